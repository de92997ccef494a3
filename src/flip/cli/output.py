"""What a person and what a program sees: results on stdout, everything else on stderr."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from flip.errors import FlipError, InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Command = TypeVar("Command", bound=Callable[..., None])

INTERRUPTED = 130


class OutputError(Exception):
    """Standard output cannot be written."""


class Output:
    """Prints for one command: a table on a terminal, else JSON lines; notes and progress on stderr."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.human = not as_json and sys.stdout.isatty()
        self.quiet = quiet

    def record(self, fields: dict[str, Any]) -> None:
        """One JSON line on stdout, at once."""
        import orjson

        try:
            sys.stdout.write(orjson.dumps(fields).decode() + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError((error.strerror or str(error)).lower()) from error

    def result(self, fields: dict[str, Any], *lines: str) -> None:
        """A result: `lines` for a person (plain text), `fields` as JSON for a program."""
        if self.human:
            print("\n".join(lines))
        else:
            self.record(fields)

    def show(self, renderable: RenderableType) -> None:
        """A rich table or text on stdout; user text must come in it as `Text`, never as markup."""
        self._console(stderr=False).print(renderable)

    def note(self, message: str) -> None:
        """Something worth knowing, on stderr; not with --quiet."""
        if not self.quiet:
            print(message, file=sys.stderr)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Yields update(done, total): a bar on a stderr that is a terminal, else nothing."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, TimeRemainingColumn(), console=self._console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    @staticmethod
    def _console(*, stderr: bool) -> Console:
        from rich.console import Console

        return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def fail(message: str, hint: str | None = None) -> None:
    """An error for a person: what and where, and the next step."""
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint:  {hint}", file=sys.stderr)


@contextmanager
def interruptible(hint: Callable[[], str]) -> Iterator[None]:
    """Says on Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(hint()) from None


def _forget_stdout() -> None:
    # What is still in its buffer must not be written, and fail, once more at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def guarded(command: Command) -> Command:
    """Turns what a command raises into a message and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        verbose = bool(kwargs.get("verbose"))
        try:
            command(*args, **kwargs)
        except FlipError as error:
            if verbose:
                traceback.print_exc()
            fail(error.message, error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as interrupt:
            fail("interrupted", str(interrupt) or "nothing half-written is left; the same command starts again")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader, such as `head`, has what it wanted.
            _forget_stdout()
            raise typer.Exit(0) from None
        except OutputError as error:
            _forget_stdout()
            fail(f"cannot write the output: {error}", "check free space where standard output goes")
            raise typer.Exit(InputError.exit_code) from None
        except typer.Exit:
            raise
        except Exception as error:  # the last resort: a fault of ours, said in one line
            if verbose:
                traceback.print_exc()
            fail(f"unexpected {type(error).__name__}: {error}", None if verbose else "-v shows the traceback")
            raise typer.Exit(1) from None

    return run  # type: ignore[return-value]
