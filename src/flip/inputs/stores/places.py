"""Find files on the disk, and where a URI of pyarrow.fs or fsspec leads."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flip.errors import FlipError, InputError, UnavailableError
from flip.files import os_errors, replacing
from flip.inputs.sniffing import folder_kind
from flip.inputs.stores.columns import arrow

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

_URI = re.compile(r"[a-z][a-z0-9+.-]+://")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Place:
    """A path on a filesystem of pyarrow.  start: of its name for people, such as `s3://`; empty on the disk."""

    filesystem: FileSystem
    path: str
    start: str = ""

    @property
    def ending(self) -> str:
        """Return the ending of its name in lower case."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def name(self) -> str:
        """Return the name for people, which leads to the same place again."""
        return self.start + self.path

    @property
    def is_local(self) -> bool:
        """Return whether it is on the disk."""
        return not self.start

    def below(self, relative: str) -> Place:
        """Return the place of a path relative to this one."""
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{relative}" if relative else self.path, self.start)


@dataclass(frozen=True)
class Found:
    """The files of an address.

    name: the address.  base: a folder.  files: by their names below it, sorted by path.  alone: whether the address is
    that of one file.
    """

    name: str
    base: Place
    files: Mapping[str, FileInfo]
    alone: bool


def is_uri(address: str) -> bool:
    """Return whether an address begins with a scheme such as `s3://`."""
    return _URI.match(address) is not None


def names_many(address: str) -> bool:
    """Return whether an address is a URI, a folder that is not a store of one of the libraries, or a pattern."""
    if is_uri(address):
        return True
    path = Path(address)
    try:
        if path.is_dir():
            return folder_kind(path) is None
        return _WILD.search(address) is not None and not path.exists()
    except (OSError, ValueError):  # too long for a path, or with a null byte
        return False


def place_of(address: str) -> Place:
    """Return the place of an address without wildcards.

    Raises:
        UnavailableError: a package for its scheme is not installed, or its server does not answer.
        InputError: there is no such scheme.
    """
    arrow()
    from pyarrow.fs import FileSystem, LocalFileSystem

    if not is_uri(address):
        return Place(LocalFileSystem(), address)
    start = address[: address.index("://") + 3]
    with reaching(address):
        try:
            filesystem, path = FileSystem.from_uri(address)
        except (ValueError, NotImplementedError):  # not a scheme of pyarrow, or not in this build of it
            filesystem, path = _of_fsspec(address)
    if isinstance(filesystem, LocalFileSystem):
        return Place(filesystem, path)
    return Place(filesystem, path, start)


def _of_fsspec(address: str) -> tuple[FileSystem, str]:
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        filesystem, path = url_to_fs(address)
    except ImportError as error:
        package = re.search(r"install (\S+)", str(error), re.IGNORECASE)
        raise UnavailableError(
            f"{address}: {str(error).splitlines()[0].lower()}", f"pip install {package[1]}" if package else None
        ) from error
    except ValueError as error:
        if "not known" not in str(error):
            raise
        raise InputError(
            f"{address}: no such kind of address", "s3://, gs://, az://, hf://, or another of fsspec"
        ) from error
    return PyFileSystem(FSSpecHandler(filesystem)), path


def find_files(address: str, endings: Sequence[str]) -> Found:
    """Return the files with these endings of a file, a folder or a pattern, sorted by path.

    Names that begin with `_` or `.` are left out, unless the address has them. In a pattern, `*` stands for a name or a
    part of one, `**` for any number of folders; a folder that it matches counts with all below it.

    Raises:
        InputError: there is no such file or folder, no such bucket, or no file with these endings.
        UnavailableError: see `place_of`.
    """
    from pyarrow.fs import FileSelector, FileType

    start, pattern, query = _split(address)
    base = place_of(start + query)
    with reaching(address):
        own = base.filesystem.get_file_info(base.path)
        if not pattern and own.type == FileType.File:
            if not own.path.lower().endswith(tuple(endings)):
                raise InputError(
                    f"{address}: of addresses and folders, files that end with {', '.join(endings)} are read",
                    "download it, and name the file on the disk",
                )
            folder, _, name = base.path.rpartition("/")
            return Found(address, Place(base.filesystem, folder, base.start), {name: own}, True)
        if own.type == FileType.NotFound:
            raise InputError(f"{address}: no such {'bucket, ' * is_uri(address)}file or folder", "check the address")
        listed = base.filesystem.get_file_info(FileSelector(base.path, recursive=True))
    ending = tuple(endings)
    named = {str(one.path)[len(base.path) :].lstrip("/"): one for one in listed if one.type == FileType.File}
    chosen = {
        name: named[name]
        for name in sorted(named)
        if name.lower().endswith(ending) and _is_chosen(name.split("/"), pattern)
    }
    if not chosen:
        what = "no file matches it" if pattern else "no file in it"
        raise InputError(f"{address}: {what} that ends with {', '.join(endings)}", "check the address")
    return Found(address, base, chosen, False)


def would_find(address: str, written: str) -> bool:
    """Return whether a file that is written would be among those that are found at an address the next time."""
    start, pattern, _ = _split(address)
    if not is_uri(address) and not is_uri(written):
        start, written = (str(Path(name).resolve()) for name in (start, written))
    below = written.removeprefix(start.rstrip("/") + "/")
    return below != written and _is_chosen(below.split("/"), pattern)


def _split(address: str) -> tuple[str, list[str], str]:
    """Return the folder before the wildcards of an address, its steps from the first of them on, and its options.

    The options of a URI follow a question mark; on the disk that is a wildcard.
    """
    plain, mark, query = address.partition("?") if is_uri(address) else (address, "", "")
    steps = (plain.rstrip("/") or plain).split("/")
    wild = next((i for i, step in enumerate(steps) if _WILD.search(step)), len(steps))
    start = "/".join(steps[:wild]) or ("/" if address.startswith("/") else ".")
    return start, steps[wild:], mark + query


def _is_chosen(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a pattern matches a path or a folder above it; a hidden name only if the pattern names it."""
    if not pattern:
        return not any(map(_is_hidden, steps))
    if not steps:
        return False
    if pattern[0] == "**":
        return _is_chosen(steps, pattern[1:]) or (not _is_hidden(steps[0]) and _is_chosen(steps[1:], pattern))
    known = not _is_hidden(steps[0]) or _is_hidden(pattern[0])
    return known and fnmatchcase(steps[0], pattern[0]) and _is_chosen(steps[1:], pattern[1:])


def _is_hidden(name: str) -> bool:
    return name.startswith(("_", "."))


@contextmanager
def putting(place: Place) -> Iterator[Path]:
    """Yield a temporary name; if the block ends well, the file of this name appears whole at a place.

    On the disk it is renamed (see `replacing`), elsewhere put in one piece.
    """
    if place.is_local:
        with replacing(Path(place.path)) as temporary:
            yield temporary
        return
    from pyarrow.fs import LocalFileSystem, copy_files

    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "file"
        with os_errors(temporary, "write"):
            yield temporary
        with reaching(place.name):
            copy_files(
                str(temporary), place.path, source_filesystem=LocalFileSystem(),
                destination_filesystem=place.filesystem,
            )  # fmt: skip


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Turn the errors of a filesystem into errors that name the address."""
    try:
        yield
    except (FlipError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{address}: no such file or folder", "check the address") from error
    except Exception as error:  # each of the filesystems has its own
        text = (str(error).splitlines() or [type(error).__name__])[0]
        if "NO_SUCH_BUCKET" in text or "NoSuchBucket" in text:
            raise InputError(f"{address}: no such bucket", "check the address") from error
        if isinstance(error, OSError) and error.errno is not None and not is_uri(address):
            raise InputError(f"{address}: {(error.strerror or text).lower()}", "check its permissions") from error
        raise UnavailableError(
            f"{address} cannot be reached: {text}", "check the address, the credentials in the environment, the network"
        ) from error
