"""Print results on stdout and all else on stderr, for a person or a program, safe for a terminal."""

from __future__ import annotations

import functools
import math
import os
import signal
import sys
import threading
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer

from flip.cli import stage
from flip.errors import FlipError, InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

# Marks and overrides that change the order of the characters around them; joiners (200c, 200d) only change shapes.
_ORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Command = TypeVar("Command", bound=Callable[..., None])

_SAME = 1.0  # seconds
_INDENT = "       "  # of the further lines of a message, below "error: "
_BAR = 20  # characters
_LEAST_LABEL, _BESIDE_LABEL = 12, 46  # characters of a bar's label, and of the bar, the counts and the time beside it
_STOPPING = {signal.SIGINT: "interrupted", signal.SIGTERM: "told to stop"}


class _Visible(dict[int, str]):
    """Map from a character to its visible form; learned by use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hidden = character in _ORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        self[code] = _escaped(code) if hidden else character
        return self[code]


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it in arguments and file names
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_VISIBLE = _Visible()


def visible(text: str) -> str:
    """Return text with its control characters, line ends and bidirectional overrides written out.

    >>> visible("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


def visible_lines(text: str) -> str:
    """Return a message of several lines with each line made visible."""
    return "\n".join(map(visible, text.split("\n")))


def escape_json(line: str) -> str:
    """Return JSON for a terminal: the same value, with escapes for characters that a terminal would obey."""
    return "".join(c if visible(c) == c else "".join(f"\\u{unit:04x}" for unit in _utf16(c)) for c in line)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def show_what_can_be_shown() -> None:
    """Escape characters that the encoding of a stream lacks, such as a Chinese word in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


class OutputError(Exception):
    """Standard output cannot be written."""


class _Process:
    """Signals that reached this process while a command ran."""

    stopped: int | None = None  # the signal that told it to end
    unwritten: str | None = None  # why a command that went on could not print results
    spoken_for: bool = False  # another process of the same command reports why all of them end
    results: TextIO | None = None  # standard output; other prints during a command go to stderr
    spinner: Live | None = None
    screen = threading.RLock()  # held by who draws or ends a spinner, or prints beside it


class Output:
    """Prints for one command: a table on a terminal, else JSON lines; notes and progress on stderr.

    A command whose results are on stdout alone (`stream`) ends when that cannot be written, quietly if a reader such as
    `head` has closed it. A command that writes files goes on without stdout.
    """

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False, stream: bool = False
    ) -> None:
        self._results = _Process.results or sys.stdout
        self.human = not as_json and self._results.isatty()
        self.quiet, self.verbose, self.stream = quiet, verbose, stream

    def record(self, fields: Mapping[str, object]) -> None:
        """Print one JSON line on stdout, at once."""
        import orjson

        try:
            line = orjson.dumps(fields).decode()
        except TypeError:  # a name that is not text, as a file of another encoding may have
            line = orjson.dumps(_printable(fields)).decode()
        self._print(escape_json(line) if self._results.isatty() else line)

    def result(self, fields: Mapping[str, object], *lines: str) -> None:
        """Print a result: `lines` for a person (plain text), `fields` as JSON for a program."""
        if self.human:
            self._print("\n".join(map(visible, lines)))
        else:
            self.record(fields)

    def _print(self, text: str) -> None:
        try:
            _end_spinner()
            if self._results.isatty() or not hasattr(self._results, "buffer"):
                self._results.write(text + "\n")
            else:  # a file or a pipe is UTF-8 in any locale
                self._results.buffer.write(text.encode() + b"\n")
            self._results.flush()
        except OSError as error:
            if self.stream:
                raise _unwritable(error) from error
            forget_stdout(self._results)
            if not isinstance(error, BrokenPipeError):
                _Process.unwritten = str(_unwritable(error))

    def show(self, renderable: RenderableType) -> None:
        """Print a rich table or text on stdout; text of others must come in it as `shown`, never as markup."""
        _end_spinner()
        self._console(self._results).print(renderable)

    def show_line(self, text: str, style: str = "") -> None:
        """Print text of others on one line, cut with an ellipsis at the width of the terminal."""
        _end_spinner()
        self._console(self._results).print(shown(text, style), no_wrap=True, overflow="ellipsis")

    def note(self, message: str) -> None:
        """Print a note on stderr; not with --quiet."""
        self.status(f"note: {message}")

    def status(self, message: str) -> None:
        """Print a report of progress on stderr; not with --quiet."""
        if not self.quiet:
            _say(message)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int | None], None]]:
        """Yield update(done, total), total None if unknown: a bar if stderr is a terminal, else lines for a log."""
        if self.quiet:
            yield lambda done, total: None
            return
        if not sys.stderr.isatty():
            with stage.logged(label, self.status) as update:
                yield update
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        console = self._console(sys.stderr)
        cut = Column(no_wrap=True, overflow="ellipsis", max_width=max(_LEAST_LABEL, console.width - _BESIDE_LABEL))
        columns = (
            TextColumn("{task.description}", markup=False, table_column=cut),
            BarColumn(_BAR),
            MofNCompleteColumn(),
        )
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(visible(label), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show a spinner with a description if stderr is a terminal, until the end or the next print."""
        if self.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("line", shown(what))
        live = Live(
            spinner, console=self._console(sys.stderr), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        with _Process.screen:
            _end_spinner()
            live.start(refresh=True)
            _Process.spinner = live
        try:
            yield
        finally:
            with _Process.screen:
                if _Process.spinner is live:
                    _end_spinner()

    @staticmethod
    def _console(file: TextIO) -> Console:
        from rich.console import Console

        return Console(file=file, markup=False, highlight=False, emoji=False)


def shown(value: object, style: str = "") -> Text:
    """Return a value as text for `Output.show`: without markup or characters that a terminal would obey."""
    from rich.text import Text

    return Text(visible(str(value)), style)


def _printable(value: object) -> object:
    """Return fields whose strings have escapes for characters that are not UTF-8."""
    if isinstance(value, dict):
        return {str(_printable(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return visible(value) if isinstance(value, str) and not value.isprintable() else value


def fail(message: str, hint: str | None = None) -> None:
    """Print an error for a person: the fault, its place, and the next step."""
    _say(f"error: {message}" + (f"\nhint:  {hint}" if hint else ""))


def _wrapped(text: str) -> str:
    """Return lines broken between words at the width of the terminal, with further lines indented."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) if len(line) > width else line for line in text.split("\n"))


def fail_to_print(reason: str) -> int:
    """Report that results are lost; return the exit code."""
    fail(f"cannot write the output: {reason}", "check the free space of the disk that standard output is written to")
    return InputError.exit_code


def _end_spinner() -> None:
    """End the spinner; leave its line empty, and the cursor as it was."""
    with _Process.screen:
        if _Process.spinner is not None:
            spinner, _Process.spinner = _Process.spinner, None
            spinner.stop()


def _say(text: str) -> None:
    _end_spinner()
    text = visible_lines(text)
    with _Process.screen, suppress(OSError):  # nobody reads a closed or full stderr
        print(_wrapped(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


def _unwritable(error: OSError) -> OSError | OutputError:
    return error if isinstance(error, BrokenPipeError) else OutputError((error.strerror or str(error)).lower())


@contextmanager
def interruptible(hint: Callable[[], str]) -> Iterator[None]:
    """Give Ctrl-C a hint that tells how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(hint()) from None


def forget_stdout(stream: TextIO | None = None) -> None:
    """Discard the rest of a stream's buffer, which would be written, and fail, once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


@contextmanager
def _stoppable() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C, unless it is ignored; remember both.

    An interrupt that arrives inside an import or in foreign code may come out of it as any other error. Terminal and
    torchrun both send one: the second within a second is the same.
    """
    _Process.stopped, _Process.unwritten, _Process.spoken_for = None, None, False
    told = -math.inf

    def stop(number: int, frame: object) -> None:
        nonlocal told
        before, told = told, time.monotonic()
        if told - before > _SAME:
            _Process.stopped = number
            raise KeyboardInterrupt

    handled = [number for number in _STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        handled = []
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_it_to_the_first() -> None:
    """Leave the report of an interruption to the first of several processes that work together."""
    _Process.spoken_for = True


def guarded(command: Command) -> Command:
    """Turn the errors of a command into a message and an exit code."""

    @functools.wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        verbose = bool(kwargs.get("verbose"))
        code = 0
        with _stoppable():
            _Process.results = sys.stdout
            try:
                with redirect_stdout(sys.stderr):  # the user's own encoder may print too
                    command(*args, **kwargs)
            except (Exception, KeyboardInterrupt) as error:
                code = _report(error, verbose)
            finally:
                _Process.results = None
            _end_spinner()
        if _Process.unwritten and not code:
            code = fail_to_print(_Process.unwritten)
        if code:
            raise typer.Exit(code)

    return run  # type: ignore[return-value]


def _report(error: BaseException, verbose: bool) -> int:
    """Report the error of a command, and return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt) or _Process.stopped:
        stopped = _Process.stopped or signal.SIGINT
        hint = str(error) if isinstance(error, KeyboardInterrupt) else ""
        if not _Process.spoken_for:
            hint = hint or "nothing half-written is left; the same command starts again"
            fail(_STOPPING[signal.Signals(stopped)], hint)
        return 128 + stopped
    if isinstance(error, BrokenPipeError):  # the reader, such as `head`, needs no more
        forget_stdout()
        return 0
    if isinstance(error, OutputError):
        forget_stdout()
        return fail_to_print(str(error))
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, FlipError):
        fail(error.message, error.hint)
        return error.exit_code
    if isinstance(error, MemoryError):
        fail(f"not enough memory: {error}" if str(error) else "not enough memory", "is the file damaged, or too large?")
        return InputError.exit_code
    if isinstance(error, OSError) and error.filename:  # a name that is too long, a link that leads to itself
        fail(f"{str(error.filename)[:200]}: {(error.strerror or str(error)).lower()}", "is that the name of a file?")
        return InputError.exit_code
    # The last resort: a fault of ours, reported in one line.
    fail(f"unexpected {type(error).__name__}: {error}", None if verbose else "-v shows the traceback")
    return 1
