"""Detect the kind of an input by its first bytes, else by its name. No other file decides it."""

import re
import shlex
from pathlib import Path
from typing import Literal

from flip.errors import InputError
from flip.files import byte_order_mark

STDIN = "-"
StoreKind = Literal["parquet", "arrow", "duckdb", "sqlite", "faiss", "npz", "npy", "datasets", "lance", "chroma"]
Kind = Literal["text", "audio"] | StoreKind
TextKind = Literal["text", "jsonl", "json", "table"]
Packing = Literal["gzip", "bzip2", "xz", "zstd"]

JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson"})
TABLE_SUFFIXES = frozenset({".tsv", ".csv"})
AUDIO_SUFFIXES = frozenset(
    {
        ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".oga", ".opus", ".webm", ".mp4", ".m4v", ".mov", ".mkv", ".mka",
        ".avi", ".aac", ".ac3", ".aif", ".aiff", ".aifc", ".amr", ".au", ".caf", ".wma", ".3gp", ".mp2", ".mpg",
        ".mpeg", ".w64", ".wv", ".ape", ".tta",
    }
)  # fmt: skip
STORE_SUFFIXES = frozenset(
    {".parquet", ".arrow", ".arrows", ".feather", ".npz", ".db", ".sqlite", ".sqlite3", ".duckdb", ".faiss"}
)
PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zst"})
# A name with such an ending is a file, whether it exists or not; the last ones are refused with a hint.
FILE_SUFFIXES = (
    JSONL_SUFFIXES | TABLE_SUFFIXES | AUDIO_SUFFIXES | PACKED_SUFFIXES | STORE_SUFFIXES
    | {".txt", ".npy", ".json", ".pdf", ".zip", ".docx", ".xlsx"}
)  # fmt: skip
MARKS = "\t,;|"  # between the cells of a table
# For JSON and tables alike: upper or lower case, and the first that exists counts.
TEXT_COLUMNS = ("text", "sentence")
VECTOR_COLUMNS = ("embedding", "vector")

ENOUGH = 16  # bytes that identify all of the formats below but MPEG's transport stream

_PACKED: dict[Packing, bytes] = {
    "gzip": rb"\x1f\x8b\x08",
    "bzip2": rb"BZh[1-9]1AY&SY",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"\x28\xb5\x2f\xfd",
}
_AUDIO = re.compile(
    rb"(RIFF|RIFX|RF64|BW64)....(WAVE|AVI )|riff\x2e\x91\xcf\x11|fLaC[\x00\x80]|ID3[\x02-\x04]|OggS\x00|FORM....AIF[FC]"
    rb"|\x00...(ftyp|moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|\xff[\xf0\xf1\xf8\xf9]"  # MP4, Matroska, ADTS
    rb"|\xff[\xe2\xe3\xf2-\xf5\xfa-\xfd][\x00-\xef]"  # MPEG layers II and III
    rb"|caff\x00\x01|#!AMR|\.snd\x00|FLV\x01|\x00\x00\x01\xba|\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    re.DOTALL,
)
_STORES: dict[StoreKind, bytes] = {
    "parquet": rb"PAR1\x15",
    "arrow": rb"ARROW1\x00\x00|\xff\xff\xff\xff..[\x00-\x0f]\x00",  # a file; a stream, its schema below 1 MiB
    "sqlite": rb"SQLite format 3\x00",
    "duckdb": rb".{8}DUCK",
    "faiss": rb"I[A-Za-z][A-Za-z0-9]{2}..\x00\x00",  # the name of an index, and its dimension below 65,536
}
_READS = "flip reads text, JSON lines, recordings and .npy"
_AS_NPY = 'save its matrix in Python: numpy.save("u.npy", numpy.asarray(matrix, "float32"))'
_OFFICE = "save it as plain text, a table as CSV, or: pandoc -t plain --wrap=none {file} | flip ..."
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (rb"%PDF-", "a PDF", "take its text out first: pdftotext {file} - | flip ..."),
    # The name of its first file tells the content of a ZIP archive.
    (rb"PK\x03\x04.{26}[^/]*/data\.pkl", "a file of PyTorch", _AS_NPY),
    (rb"PK\x03\x04.{26}(\[Content_Types\]|_rels|docProps|word|xl|ppt|mimetype)", "a document", _OFFICE),
    (rb"PK\x03\x04", "a ZIP archive", "unpack it first: unzip {file}"),
    (
        rb"FEA1",
        "a Feather file of version 1, which has no vectors",
        "write it again with pyarrow.feather.write_feather",
    ),
    (rb"\x89PNG|\xff\xd8\xff|GIF89a", "a picture", _READS),
    (rb"\x89HDF", "an HDF5 file", _AS_NPY),
    (rb"\x80[\x02-\x05]", "a pickle, which could run anything", _AS_NPY),
    (rb".{4}\x00{4}\{", "safetensors", _AS_NPY),
    (rb"#EXTM3U|ffconcat version", "a playlist", "name the recordings themselves"),
    (rb"7z\xbc\xaf", "a 7z archive", "unpack it first: 7z x {file}"),
)


def unpacked_name(name: str) -> str:
    """Return a name without the `.gz` or the like of a compressed file."""
    return name[: -len(suffix)] if (suffix := Path(name).suffix).lower() in PACKED_SUFFIXES else name


def ending(name: str) -> str:
    """Return the ending of a name in lower case, without `.gz` and the like."""
    return Path(unpacked_name(name)).suffix.lower()


def packing(head: bytes) -> Packing | None:
    """Return the compression of bytes that begin with `head`, or None."""
    return next((kind for kind, magic in _PACKED.items() if re.match(magic, head)), None)


def is_audio(head: bytes) -> bool:
    """Return whether bytes begin like a recording, or like a film that may have sound."""
    transport = head[:1] == head[188:189] == b"\x47" and b"\0" in head[:188]
    return transport or _AUDIO.match(head) is not None


def kind_of(head: bytes, name: str) -> Kind:
    """Return the kind of uncompressed bytes.

    Args:
        head: the first of them, at least `ENOUGH` if there are as many, or a whole line.
        name: of the file, as it was given; "stdin" for standard input.

    Raises:
        InputError: a format that flip does not read, with the command that makes it readable.
    """
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if byte_order_mark(head):
        return "text"
    if is_audio(head):
        return "audio"
    if store := next((kind for kind, magic in _STORES.items() if re.match(magic, head, re.DOTALL)), None):
        return store
    if head.startswith(b"PK\x03\x04") and (ending(name) == ".npz" or b".npy" in head[:80]):
        return "npz"
    for magic, what, hint in _REFUSED:
        if re.match(magic, head, re.DOTALL):
            file = "FILE" if name == "stdin" else shlex.quote(name)
            raise InputError(f"{name}: {what}, which flip does not read", hint.replace("{file}", file))
    if ending(name) == ".npy":
        return "npy"
    if ending(name) in AUDIO_SUFFIXES:
        return "audio"
    if b"\0" in head:
        raise _with_nul(head, name)
    return "text"


def folder_kind(path: Path) -> StoreKind | None:
    """Return the kind of a folder that is a store: of `datasets`, LanceDB (a table, or some) or Chroma; else None."""
    of_datasets = (path / "state.json", path / "dataset_info.json")
    if all(file.is_file() for file in of_datasets) or (path / "dataset_dict.json").is_file():
        return "datasets"
    if (path / "chroma.sqlite3").is_file():
        return "chroma"
    return "lance" if (path / "_versions").is_dir() or any(path.glob("*.lance")) else None


def text_kind(line: bytes, name: str, column: str | None = None) -> TextKind:
    """Return how to read a text, judged by its first line that is not blank, or by the beginning of that line.

    A line that has the name of a requested column is the header of a table.

    Lines that start like a JSON object are JSON lines, even if the first is bad. A line that opens an object and does
    not close it belongs to JSON over several lines.
    """
    line, suffix = line.strip(), ending(name)
    # "{laughs} Hello" is a sentence, "{{ name }}" and "{% if %}" are templates.
    if line.startswith(b"{") and not re.match(rb"\{[^\"':,{}]+\}(\s*\w|$)|\{[{%]", line):
        return "json" if _is_open(line) else "jsonl"
    if line.startswith(b"[") and (suffix in JSONL_SUFFIXES | {".json"} or _opens_array(line)):
        return "json"
    if suffix in JSONL_SUFFIXES:
        return "jsonl"
    if suffix in TABLE_SUFFIXES or _is_header(line) or (column is not None and _names(line, column)):
        return "table"
    return "text"


def is_input_file(name: str) -> bool:
    """Return whether a command-line argument means a file or a folder: it exists, or it looks like a path.

    A path has no white space and a slash or the ending of a file that flip reads; one that starts with `/`, `./`, `../`
    or `~/` may have white space before such an ending. All else is a sentence.
    """
    if name == STDIN or _exists(name):
        return True
    known = Path(name).suffix.lower() in FILE_SUFFIXES
    if any(c.isspace() for c in name):
        return known and name.startswith(("/", "./", "../", "~/"))
    return known or "/" in name


def rows_named(given: str) -> tuple[str, tuple[str, ...]]:
    """Return the name of a file and the ids after it; without ids for all else, such as a sentence with a `#`.

    >>> rows_named("chunks.parquet#a#0,b")
    ('chunks.parquet', ('a#0', 'b'))
    """
    if given == STDIN or _exists(given):
        return given, ()
    for at, sign in enumerate(given):
        name = given[:at]
        if sign == "#" and is_input_file(name) and ("/" in name or Path(name).suffix.lower() in FILE_SUFFIXES):
            return name, tuple(dict.fromkeys(given[at + 1 :].split(",")))
    return given, ()


def recoding_hint(name: str, line: bytes) -> str:
    """Return the command that converts a file to UTF-8, given a line that is not UTF-8."""
    # Windows text of western Europe has its quotation marks at 0x80 to 0x9f, which Latin-1 leaves empty.
    encoding = "ENCODING" if set(line) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "CP1252"
    origin = "find its encoding with `file -i`" if encoding == "ENCODING" else "text of Windows in western Europe"
    return f"{origin}: {_iconv(encoding, name)}"


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # too long for a path, or a null byte: a sentence
        return False


def _iconv(encoding: str, name: str) -> str:
    if name == "stdin":
        return f"... | iconv -f {encoding} -t UTF-8 | flip ..."
    path = Path(name)
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(name)} > {shlex.quote(f'{path.stem}.utf8{path.suffix}')}"


def _with_nul(head: bytes, name: str) -> InputError:
    """Return the error for NUL bytes: text of UTF-16 has them at every other place."""
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) > len(head) // 5 and min(odd, even) <= len(head) // 50:
        encoding = "UTF-16LE" if odd > even else "UTF-16BE"
        return InputError(
            f"{name}: NUL bytes, as {encoding} without a byte order mark has them", _iconv(encoding, name)
        )
    return InputError(f"{name}: NUL bytes: binary data, not text", _READS)


def _is_header(line: bytes) -> bool:
    """Return whether a line is the header of a table with a column that flip reads: all of its cells are names.

    Between tabs, other text is allowed too.
    """
    for mark in MARKS.encode():
        cells = [one.strip(b'"').lower() for one in line.split(bytes([mark]))]
        names = all(re.fullmatch(rb"\w[\w.-]*", one) for one in cells)
        if len(cells) > 1 and (names or mark == 9):
            return any(column.encode() in cells for column in TEXT_COLUMNS + (VECTOR_COLUMNS if names else ()))
    return False


def _names(line: bytes, column: str) -> bool:
    """Return whether one of the cells of a line is the name of a column."""
    cells = re.split(rf"[{MARKS}]".encode(), line)
    return column.lower().encode() in (cell.strip(b'" ').lower() for cell in cells)


def _is_open(line: bytes) -> bool:
    """Return whether a line of JSON goes on: it ends before a value, and closes fewer brackets than it opens."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line)
    opened = sum(bare.count(mark) for mark in (b"{", b"["))
    closed = sum(bare.count(mark) for mark in (b"}", b"]"))
    return opened > closed and line.endswith((b"{", b"[", b",", b":"))


def _opens_array(line: bytes) -> bool:
    """Return whether `[` opens JSON: objects, strings, lists, numbers, or alone in its line; not "[laughs] Hello"."""
    if re.match(rb'\[\s*(\{|$|\[\s*[-\d"]|"(?:[^"\\]|\\.)*"\s*[,\]]|\]$)', line):
        return True
    return re.fullmatch(rb"\[\s*-?\d[\d.eE+-]*(\s*,\s*-?\d[\d.eE+-]*)+\s*[,\]]?", line) is not None
