"""Read records of a text: its lines, JSON, the rows of a table. One rule finds keys and columns."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from flip.errors import InputError
from flip.inputs import sources, tables
from flip.inputs.record import AS_READ, Record, numbers_of, unread_vector, width_of
from flip.inputs.sniffing import TEXT_COLUMNS, VECTOR_COLUMNS, TextKind, text_kind
from flip.inputs.stores.columns import ColumnChoice

_PANDOC = "take its text out first: pandoc -t plain --wrap=none {file} | flip ..."
_SUBTITLES = "take the spoken lines out first: sed -E '/-->/d; /^[0-9]*\\r?$/d; /^WEBVTT/d' {file} | flip ..."
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"(?i)<!doctype html|<html[\s>]", "HTML", _PANDOC),
    (rb"<\?xml\s", "XML", "take its sentences out first, one a line"),
    (rb"\{\\rtf\d", "RTF", _PANDOC),
    (rb"WEBVTT(\s+-.*)?$|[\d:]+[,.]\d{3}\s+-->\s+[\d:]+[,.]\d{3}|\[Script Info\]", "subtitles", _SUBTITLES),
    (
        rb"#\s*(sent_id|newdoc id|newpar id|global\.columns)\s*=|\d+(\t[^\t]+){5}\t(\d+|_)(\t[^\t]+){3}$",
        "CoNLL-U, a word a line",
        "take its sentences out first: sed -n 's/^# text = //p' {file} | flip ...",
    ),
)
_MARKUP = re.compile(
    rb"<(!--|(?i:a|body|br|div|em|h[1-6]|head|i?frame|img|li|p|script|span|strong|t[dr]|table|ul|doc)\b)"
)
_NUMBER = rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|-?inf"
# Rows as numpy.savetxt writes them; with a word before them, as in files of word vectors.
_NUMBERS = re.compile(rb"(\S+[\s,;])?((" + _NUMBER + rb")[\s,;]+){7,}(" + _NUMBER + rb")")

_JSONL_HINT = 'each record is an object such as {"id": "a1", "text": "hello"}'
_LINE = 1 << 16  # bytes of a first line, enough to detect its kind
_DEEPEST = 1000  # lists and objects inside of each other
_MARKS = re.compile(rb'["\[\]{}]|\\(?:.|$)', re.DOTALL)
_EXCEL = re.compile(rb'"?sep=(.)"?\r?\n')  # declares the separator of the cells below it


def require_sentences(line: bytes, after: bytes, name: str) -> None:
    """Raise an InputError if a text surely holds no sentences.

    Args:
        line: the first that is not blank.
        after: the next one if the first is a number, or a row of them, else empty.
        name: of the file.
    """
    for pattern, what, hint in _FORMATS:
        if any(re.match(pattern, one.strip()) for one in (line, after)):
            raise InputError(f"{name}: {what}, not sentences", hint.replace("{file}", _file(name)))
    if is_numbers(line) and (is_numbers(after) or not after.strip()):
        mark = next((shown for mark, shown in ((b",", ","), (b";", ";"), (b"\t", r"\t")) if mark in line), None)
        separator = f', delimiter="{mark}"' if mark else ""
        raise InputError(
            f"{name}: numbers, not sentences",
            f'as vectors, in Python: numpy.save("u.npy", numpy.loadtxt("{name}"{separator}).astype("float32"))',
        )


def is_numbers(line: bytes) -> bool:
    """Return whether a line is a row of numbers; one that ends with a full stop is a sentence."""
    bare = line.strip()
    return b"." in bare and not bare.endswith(b".") and _NUMBERS.fullmatch(bare) is not None


def looks_like_markup(line: bytes) -> bool:
    """Return whether a first line may be markup, though a sentence can begin with a tag too."""
    return _MARKUP.match(line.strip()) is not None


def _file(name: str) -> str:
    return "FILE" if name == "stdin" else shlex.quote(name)


def scan_text(
    found: sources.Source, clips: Path | None, asked: ColumnChoice | None, on_note: Callable[[str], None] | None
) -> Iterator[Record | InputError]:
    """Yield the records of a source that is text; see `records.scan_records`."""
    number = 1
    while (line := found.file.readline(_LINE)) and not line.strip():
        yield Record(where=f"{found.name}, line {number}", text="")
        number += 1
    if not line:
        return
    mark = None
    # A cue of subtitles begins with its number; a sentence may list numbers.
    after = found.file.readline(_LINE) if line.strip().isdigit() or is_numbers(line) else b""
    require_sentences(line, after, found.name)
    if excel := _EXCEL.fullmatch(line):
        mark, number, line = excel[1].decode("latin-1"), number + 1, found.file.readline(_LINE)
    kind: TextKind = "table" if mark else text_kind(line, found.name, asked.texts if asked else None)
    rule = _Rule(kind, found, clips, asked, on_note)
    if clips is not None and kind != "table":
        raise InputError(f"{found.name}: not a table with the columns path and sentence", "--clips needs such a TSV")
    if asked is not None and asked.named:
        if kind == "text":
            raise InputError(f"{found.name}: text, which has no columns", "leave out the options for stores")
        if asked.table is not None or asked.quantization is not None:
            raise InputError(f"{found.name}: {kind}: --table and --scale apply to stores only", "leave them out")
    if kind == "json":
        yield from _json(found, line, rule)
        return
    if not line.endswith(b"\n"):
        line += found.file.readline()
    lines = chain([line, after] if after else [line], found.file)
    if kind == "table":
        rows = tables.table_rows(lines, found.name, rule.columns, rule.needed, first=number, mark=mark, hint=rule.hint)
        for where, row in rows:
            yield row if isinstance(row, InputError) else rule.tried(row, where)
        return
    if kind == "text" and on_note and looks_like_markup(line):
        on_note(f"{found.name}, line {number}: looks like HTML or XML; each line is read as a sentence")
    below = False  # whether JSON follows a line that is not JSON
    for at, line in enumerate(lines, start=number):
        where = f"{found.name}, line {at}"
        try:
            text = sources.decoded(line, where, found.name).strip()
            below = kind == "text" and line.startswith(b'{"') and (below or at == number + 1) and _is_object(text)
            if below:
                raise InputError(f"{where}: a JSON object in a text", "leave out the lines before the first of JSON")
            yield rule.record(_parsed(text, where), where) if kind == "jsonl" and text else Record(where, text=text)
        except InputError as error:
            yield error


@dataclass
class _Rule:
    """Assigns the fields of a record to text, audio, id and vector.

    Names are found in upper or lower case: the requested ones, or `text` and `sentence`, `embedding` and `vector`,
    `id`, `audio`; with `clips` they are `sentence` and `path`, as in Common Voice.
    """

    kind: TextKind
    found: sources.Source
    clips: Path | None
    asked: ColumnChoice | None
    on_note: Callable[[str], None] | None
    _looked: bool = field(default=False, init=False)
    _guessed: tuple[str, ...] = field(default=(), init=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return names of the field of the text, the best first."""
        if self.clips is not None:
            return ("sentence",)
        return TEXT_COLUMNS if self.asked is None or self.asked.texts is None else (self.asked.texts,)

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the columns that a table must have."""
        named = () if self.asked is None else (self.asked.texts, self.asked.vectors, self.asked.ids)
        return ("path", "sentence") if self.clips else tuple(name for name in named if name is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return columns, one of which a table must have."""
        if self.asked is None or self.asked.texts is not None:
            return self.texts
        return (*self.texts, *VECTOR_COLUMNS) if self.asked.vectors is None else (*self.texts, self.asked.vectors)

    @property
    def hint(self) -> str:
        """Return the next step if none of the columns is there."""
        if self.asked is not None and self.asked.texts is not None:
            return "--text-column names one of these"
        named = ", or name it: --text-column NAME, --column NAME of vectors" if self.asked is not None else ""
        return "rename the one with the sentences to text" + named

    def tried(self, fields: object, where: str) -> Record | InputError:
        """Return the record, or its error."""
        try:
            return self.record(fields, where)
        except InputError as error:
            return error

    def record(self, fields: object, where: str) -> Record:
        """Return the record of an object of JSON, or of a row: names -> values.

        Raises:
            InputError: not an object, or a needed field is missing.
        """
        if not isinstance(fields, dict):
            raise InputError(f"{where}: not a JSON object", _JSONL_HINT)
        names = {name.lower(): name for name in reversed(fields)}
        for name in self.needed:
            if name.lower() not in names:
                raise InputError(f"{where}: no field {name!r}", f"it has: {tables.listed(fields)}")
        self._look(fields, names)
        record_id = _value(fields, names, (self.asked and self.asked.ids) or "id")
        if not isinstance(record_id, str | int | None):
            raise InputError(f'{where}: "id" is neither a string nor an integer', _JSONL_HINT)
        values = (fields[names[name.lower()]] for name in self.texts if name.lower() in names)
        text = next((value.strip() for value in values if isinstance(value, str)), None)
        audio = self._audio(fields, names)
        embedding = None
        if self.asked is not None or (text is None and audio is None):
            embedding = self._embedding(fields, names, where, text is not None)
            self._require_read(fields, names, embedding, where)
        if text is None and audio is None and embedding is None:
            raise InputError(
                f'{where}: no "text", "sentence", "audio" or "embedding" field',
                f"it has: {tables.listed(fields)}; {self.hint}" if fields else _JSONL_HINT,
            )
        read_to = _value(fields, names, "read_to") if text is not None and embedding is not None else None
        return Record(
            where, None if record_id == "" else record_id, text, audio, embedding=embedding,
            read_to=read_to if type(read_to) is int and read_to >= 0 else None,
            read_estimated=_value(fields, names, "read_estimated") is True,
            read_known=text is None or embedding is None or "read_to" in names,
        )  # fmt: skip

    def _audio(self, fields: Mapping[str, object], names: dict[str, str]) -> Path | None:
        if self.clips is not None:
            return self.clips / str(fields[names["path"]])
        value = _value(fields, names, "audio")
        return self.found.folder / value if self.kind != "table" and isinstance(value, str) else None

    def _embedding(
        self, fields: Mapping[str, object], names: dict[str, str], where: str, beside_text: bool
    ) -> np.ndarray | None:
        named = self.asked.vectors if self.asked is not None else None
        for name in (*VECTOR_COLUMNS, *self._guessed) if named is None else (named,):
            value = _value(fields, names, name)
            if value is None or value == "":
                continue
            vector = numbers_of(value)
            # Beside a text a vector may be a virus, or the embedding of a table the name of a model.
            doubtful = beside_text and named is None and (name == "vector" or self.kind == "table")
            if vector is not None and not (doubtful and self.asked and self.asked.dimension not in (None, len(vector))):
                return vector
            if not doubtful and (name != "vector" or name == named):
                raise InputError(f'{where}: "{name}" is not a list of numbers', "a vector is written [0.1, -0.2, ...]")
        return None

    def _require_read(
        self, fields: Mapping[str, object], names: dict[str, str], embedding: np.ndarray | None, where: str
    ) -> None:
        """Raise an InputError if the text would stand for a vector beside it that is not read, and nobody chose it."""
        asked = self.asked
        if embedding is not None or asked is None or asked.dimension is None or asked.texts or asked.vectors:
            return
        own = {names[name] for name in (*self.texts, "id", "audio") if name in names}
        others = {name: value for name, value in fields.items() if name not in own and numbers_of(value) is None}
        if found := unread_vector(others, asked.dimension):
            raise InputError(f"{where}: {found}", f"{AS_READ}; --text-column NAME takes the text")

    def _look(self, fields: Mapping[str, object], names: dict[str, str]) -> None:
        """Guess from the first record which other field has the vectors; note the guess, and unused fields."""
        if self._looked:
            return
        self._looked = True
        texts = [names[name.lower()] for name in self.texts if isinstance(_value(fields, names, name), str)]
        if len(texts) > 1:
            self._say(f"texts from {texts[0]!r}; {texts[1]!r} is not used")
        if self.asked is None or self.asked.vectors is not None or self.asked.dimension is None:
            return
        fitting = [
            name for name, value in fields.items()
            if width_of(value) == self.asked.dimension and not _is_whole(numbers_of(value))
        ]  # fmt: skip
        used = next(
            (names[name] for name in VECTOR_COLUMNS if name in names and numbers_of(fields[names[name]]) is not None),
            None,
        )
        if used is None and len(fitting) == 1:
            self._guessed = (fitting[0],)
            self._say(f"vectors from {fitting[0]!r} ({self.asked.dimension} numbers)")
        elif others := [name for name in fitting if name != used]:
            self._say(f"{', '.join(map(repr, others))}: not used, though it looks like vectors; --column NAME chooses")

    def _say(self, message: str) -> None:
        if self.on_note:
            self.on_note(f"{self.found.name}: {message}")


def _value(fields: Mapping[str, object], names: dict[str, str], name: str) -> object:
    """Return the value under a name, in upper or lower case; None if there is none."""
    return fields[names[name.lower()]] if name.lower() in names else None


def _is_whole(vector: np.ndarray | None) -> bool:
    """Return whether all numbers are whole: the ids of tokens, a mask."""
    return vector is not None and bool((vector == vector.round()).all())


def _json(found: sources.Source, start: bytes, rule: _Rule) -> Iterator[Record | InputError]:
    """Yield the elements of an array, or objects of several lines each, without reading them all at once."""
    import ijson

    array = start.lstrip().startswith(b"[")
    chunks = chain([start], iter(lambda: found.file.read1(_LINE), b""))
    stream = sources.ChunkStream(_shallow(chunks, found.name))
    elements = ijson.items(stream, "item" if array else "", multiple_values=not array, use_float=True)
    number = 0
    while True:
        number += 1
        where = f"{found.name}, record {number}"
        try:
            element = next(elements)
        except StopIteration:
            return
        except (ijson.JSONError, UnicodeDecodeError) as error:  # the start of the next record is not known
            yield InputError(f"{where}: not valid JSON: {str(error).splitlines()[0]}", _JSONL_HINT)
            return
        if array and isinstance(element, str):
            yield Record(where=where, text=element.strip())
        else:
            yield rule.tried(element, where)


def _shallow(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield chunks of JSON; raise an InputError if it is nested deeper than `_DEEPEST`.

    ijson keeps a path for each level, with all the levels above it.
    """
    depth, quoted, escaped = 0, False, False
    for chunk in chunks:
        mark = b""
        for found in _MARKS.finditer(chunk, 1 if escaped else 0):
            mark = found[0]
            if mark == b'"':
                quoted = not quoted
            elif not quoted:
                depth += (mark in b"[{") - (mark in b"]}")
            if depth > _DEEPEST:
                raise InputError(f"{name}: JSON of more than {_DEEPEST:,} levels", "each record is an object")
        escaped = mark == b"\\"  # the byte that it belongs to is in the next chunk
        yield chunk


def _is_object(line: str) -> bool:
    import orjson

    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _parsed(line: str, where: str) -> object:
    import orjson

    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON: {error}", _JSONL_HINT) from error
