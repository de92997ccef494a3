"""Writing files so that nothing is ever half-written, and saying clearly why a file cannot be read or written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flip.errors import InputError
from flip.sniffing import byte_order_mark

_UMASK = os.umask(0o022)
os.umask(_UMASK)


@contextmanager
def os_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns an OSError of the block into an InputError that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "check the path, relative to the working directory") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path}: cannot {doing}: {reason}", "check free space and permissions, or name another path"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`; renames it to `path` if the block ends well, else deletes it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with os_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_UMASK)  # some writers make files that only their owner can read
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented UTF-8 JSON, atomically."""
    import orjson

    with replacing(path) as temporary:
        temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read_json(path: Path) -> Any:
    """Reads a JSON file; what is wrong with it is an InputError."""
    import orjson

    with os_errors(path, "read"):
        content = path.read_bytes()
    try:
        return orjson.loads(without_mark(content))
    except (orjson.JSONDecodeError, UnicodeError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def read_yaml(path: Path) -> Any:
    """Reads a YAML file of plain data; what is wrong with it is an InputError."""
    import yaml

    with os_errors(path, "read"):
        content = path.read_bytes()
    try:
        return yaml.load(content, Loader=_yaml_loader())  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error


def without_mark(content: bytes) -> bytes:
    """UTF-8 of a whole file, without the byte order mark that editors and PowerShell put before it."""
    encoding = byte_order_mark(content)
    return content if encoding is None else content.decode(encoding).encode()


def _yaml_loader() -> Any:
    """YAML 1.2's booleans: in 1.1 `no`, the code of Norwegian, is false, and so are `off` and `n`."""
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
    """Hexadecimal SHA-256 of a file."""
    with os_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
