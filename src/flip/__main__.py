"""`python -m flip`, `torchrun -m flip`, and the installed command: from its first moment on."""

import os
import signal
import sys


def run() -> None:
    """Entry point: nothing is imported before it is known what Ctrl-C and a closed stream mean."""
    _open_closed_streams()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    from flip.cli.app import main

    code = main()
    if code > 128:  # stopped: a thread that is still at work in foreign code would abort an orderly end
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _end(number: int, frame: object) -> None:
    """Before a command has begun, and after it has ended, there is nothing to clean up."""
    os.write(2, b"error: interrupted\n")
    os._exit(128 + number)


def _open_closed_streams() -> None:
    """Gives `<&-`, `>&-` and `2>&-` a file, so that no other file gets their number.

    Standard output gets one that cannot be written, so that lost results are an error.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the smallest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


if __name__ == "__main__":
    run()
