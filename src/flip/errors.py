"""Define the errors that flip raises on purpose.

FlipError                 exit 1, a failure of none of these kinds
├── UsageError            exit 2, the command makes no sense as given
├── InputError            exit 3, a file, line, row or checkpoint is missing or malformed
└── UnavailableError      exit 4, a model, package, device or network is missing

The message names the fault and its place; the hint, if any, is the next step.
"""


class FlipError(Exception):
    """Base of all of flip's errors."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FlipError):
    """The command makes no sense as given: two options exclude each other, a value is out of range."""

    exit_code = 2


class InputError(FlipError):
    """Input is missing or malformed: a file, line, row, vocabulary or checkpoint."""

    exit_code = 3


class UnavailableError(FlipError):
    """The command needs something that is missing: a model, a package, a device, the network."""

    exit_code = 4
