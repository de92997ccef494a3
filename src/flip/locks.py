"""Let one process at a time write an output: the operating system holds the lock, and frees it with the process."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from flip.errors import InputError
from flip.files import is_stream, os_errors

# File systems without locks, as on some clusters: flip writes without one, as the hub's own cache does.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def held(path: Path, whole: Path | None = None) -> Iterator[None]:
    """Hold `.NAME.lock` beside `path` until the block ends. A file that a killed process left does not matter.

    Args:
        path: output of the block; for a folder, a file in it that stands for the whole.
        whole: that folder, for the message.

    Raises:
        InputError: another process holds it (the message has its number and start), or the folder cannot be written.
    """
    if is_stream(path):
        yield
        return
    from filelock import FileLock, Timeout

    file = lock_of(path)
    with os_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=0, on_acquired=_sign)
        try:
            lock.acquire()
        except Timeout as error:
            if not file.exists():  # FileLock waits for a missing file, as on a network; in /proc it never appears
                _require_room(file)
            raise InputError(
                f"{whole or path} is being written by another flip ({_holder(file)})",
                "wait until it has ended, or name another output with -o",
            ) from error
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
    try:
        yield
    finally:
        if lock.is_locked:
            file.unlink(missing_ok=True)  # before it is released, so that it is never another process's
            lock.release()


def _require_room(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        raise InputError(f"{file.parent}: cannot make a file in this folder", "name another output with -o") from error


def lock_of(path: Path) -> Path:
    """Return the file that `held` locks."""
    return path.with_name(f".{path.name}.lock")


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}".encode())


def _holder(file: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")[:80].strip() or "just started"
    return "unknown"
