"""Write files whole or not at all, and explain clearly why a file cannot be read or written."""

import codecs
import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from flip.errors import InputError, UsageError

Fields: TypeAlias = dict[str, object]  # of a JSON object

MARK = b"written by flip"
_MARKED = 1 << 16  # bytes at the start and the end of a file that may hold its mark
_OPEN_FILE = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")
_BOMS = {  # the longer first: UTF-16's is the start of UTF-32's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Nodes that the aliases of a YAML file may add; a file of less than 1 kB can stand for billions.
_ALIASED_NODES = 10_000


@contextmanager
def os_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "check the path, relative to the working directory") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path}: cannot {doing}: {reason}", "check free space and permissions, or name another path"
        ) from error
    except ValueError as error:
        if not isinstance(error, UnicodeEncodeError) and "null" not in str(error):
            raise
        raise InputError(f"{str(path)!r} is not a valid file name", "check the path") from error


def is_stream(path: Path) -> bool:
    """Return whether a path cannot be replaced, or may never end: a device, a pipe, an open file of a process."""
    if _OPEN_FILE.fullmatch(str(path.absolute())):
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # missing, or not a valid name
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def require_apart(output: Path, inputs: Iterable[str | Path]) -> None:
    """Raise a UsageError if an output is one of the inputs, which it would overwrite."""
    for name in inputs:
        with suppress(OSError):  # one of them does not exist
            if output.samefile(name):
                raise UsageError(f"{name} is an input, and {output} would overwrite it", "name another file")


def user_folder(variable: str, default: str) -> Path:
    """Return the folder that a variable names, else the one of this name in the user's home, if they have one."""
    try:
        return Path(os.environ.get(variable) or Path("~") / default).expanduser()
    except RuntimeError:  # neither HOME nor an entry for the user id, as in a container: there is no such folder
        return Path("/nonexistent")


def user_config(name: str) -> Path:
    """Return the path of a file in flip's configuration folder."""
    return user_folder("XDG_CONFIG_HOME", ".config") / "flip" / name


def readable(path: Path) -> bool:
    """Return whether a file or folder is there for this user: HOME may be that of another one."""
    return os.access(path, os.R_OK)


def written_by_flip(path: Path) -> bool:
    """Return whether a file carries the mark of flip: pages, plots, Parquet and Arrow files do, JSON lines cannot."""
    with os_errors(path, "read"), path.open("rb") as file:
        head = file.read(_MARKED)
        file.seek(max(0, path.stat().st_size - _MARKED))
        return MARK in head or MARK in file.read()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; rename it to `path` if the block ends well, else delete it.

    A replaced file keeps its permissions, and a link stays: its target is replaced. Remains that killed processes left
    of the same file are deleted. A stream (see `is_stream`) is not replaced: the content is written to it.
    """
    with os_errors(path, "write"):
        if is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                yield (temporary := Path(folder) / path.name)
                with temporary.open("rb") as content, path.open("ab") as stream:
                    shutil.copyfileobj(content, stream)
            return
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        for orphan in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            if (owner := orphan.name.split(".")[-2]).isdecimal() and not _runs(int(owner)):
                remove(orphan)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            temporary.touch()
            mode = (path if path.exists() else temporary).stat().st_mode
            yield temporary
            temporary.chmod(stat.S_IMODE(mode))  # the files of some writers can be read by their owner only
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Return whether another process has this number; this one never writes the same file twice at a time."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return process != os.getpid()


def reserve(path: Path, size: int) -> None:
    """Reserve disk for the first `size` bytes of a file: on a full disk, a write to its memory map ends the process.

    Raises:
        InputError: the disk is full; the message has the needed and the free space.
    """
    with os_errors(path, "write"), path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate") and size:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot
                return
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            free = shutil.disk_usage(path.parent).free
            raise InputError(
                f"{path.parent}: no space left: {path.name} needs {_bytes(size)}, {_bytes(free)} are free",
                "free some, or name an output on another disk",
            ) from error


def _bytes(size: float) -> str:
    """Return a size in readable units.

    >>> _bytes(3_500_000)
    '3.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def safe_name(text: str) -> str:
    """Return a file name that any system takes, unique to this text: with a hash if the text had to be changed.

    >>> safe_name("minilm"), safe_name("st:intfloat/e5"), safe_name("..")
    ('minilm', 'st-intfloat-e5-8dc407e2', '5ec1f7e7')
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:40]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return kept if kept == text else f"{kept}-{digest}".lstrip("-")


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON, atomically.

    Raises:
        InputError: it is nested deeper than orjson writes, as fields of another program may be.
    """
    import orjson

    try:
        content = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        if "ecursion" not in str(error):
            raise
        raise InputError(
            f"{path}: its fields are nested more than 254 deep", "remove those of other programs"
        ) from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_json(path: Path) -> Any:
    """Read a JSON file; raise an InputError if it is missing or not valid."""
    import orjson

    with os_errors(path, "read"):
        content = path.read_bytes()
    try:
        return orjson.loads(without_mark(content))
    except (orjson.JSONDecodeError, UnicodeError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain data; raise an InputError if it is missing or not valid.

    Aliases are read, unless they make a small file stand for a huge one.
    """
    import yaml

    with os_errors(path, "read"):
        content = path.read_bytes()
    try:
        loader = _yaml_loader()(content)
        node = loader.get_single_node()
        _require_bounded(path, node, len(content) + _ALIASED_NODES)
        return None if node is None else loader.construct_document(node)
    except InputError:
        raise
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    except Exception as error:  # a date that does not exist, a malformed number, brackets nested too deep
        raise InputError(f"{path}: not valid YAML: {type(error).__name__}: {error}") from error


def _require_bounded(path: Path, root: Any, most: int) -> None:
    """Raise an InputError if a tree of YAML nodes, its aliases written out, has more than `most`."""
    waiting, seen = [root] if root else [], 0
    while waiting:
        value = waiting.pop().value
        seen += 1
        if seen > most:
            raise InputError(f"{path}: its aliases (*name) stand for more than can be read", "write them out")
        if isinstance(value, list):  # of nodes, or of pairs of nodes
            waiting += [node for item in value for node in (item if isinstance(item, tuple) else (item,))]


def byte_order_mark(head: bytes) -> str | None:
    """Return Python's name of the encoding in a byte order mark; None without a mark."""
    return next((encoding for mark, encoding in _BOMS.items() if head.startswith(mark)), None)


def without_mark(content: bytes) -> bytes:
    """Return a whole file in UTF-8, without the byte order mark that editors and PowerShell put before it."""
    encoding = byte_order_mark(content)
    return content if encoding is None else content.decode(encoding).encode()


def _yaml_loader() -> Any:
    """Return a loader with YAML 1.2's booleans: in 1.1 `no` (Norwegian), `off` and `n` are false."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    return Loader


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with os_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
