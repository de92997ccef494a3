"""Read records: text lines, JSON, tables, rows of `.npy` files, recordings; from files, folders or standard input.

A record that cannot be read is an InputError that names file and line. Readers for training raise it. For `explain`
it is yielded in the record's place, so that its stream can go on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import NamedTuple

from flip.errors import InputError
from flip.inputs import audio, embedding_files, text_records
from flip.inputs.record import Record, require_as_many
from flip.inputs.sniffing import AUDIO_SUFFIXES, JSONL_SUFFIXES, STDIN, ending, folder_kind, is_audio
from flip.inputs.sources import Source, decoded, lines_of, opened, require_one_stdin
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import store_of

_SHOWN = 5  # names of files that are passed over
_TEXTS = JSONL_SUFFIXES | {".txt"}  # endings, before those of compression, of the texts of a folder
_MOVED = 0.05  # the share of sentences that may be moved, as "Yes." may, or replaced


def read_records(
    source: str | Path,
    clips: Path | None = None,
    on_note: Callable[[str], None] | None = None,
    asked: ColumnChoice | None = None,
    aligned: bool = False,
) -> Iterator[Record]:
    """Yield the records of a file, a pipe, a folder, or of standard input for `-`.

    `sniffing` detects the kind: text (one sentence a line), JSON lines or a JSON array (objects with "text", "audio" or
    "embedding"), a TSV or CSV with such columns, `.npy` (embeddings, one a row), a store (Parquet and others, see
    `stores.store.open_store`), or a recording. A folder gives its recordings, sorted by path; without any,
    the records of its text files.

    Args:
        source: the file, pipe, folder, or `-`.
        clips: folder of the recordings that a table names in its column `path`: they are the records then, with their
            transcripts.
        on_note: receives notes on files in a folder that are passed over, on guessed columns of a store, and on
            columns or fields that look usable and are not used.
        asked: which columns, or fields of JSON, have the vectors, ids and texts; None is the texts alone.
        aligned: line i belongs to line i of another text, so that a carriage return alone ends no line.

    Raises:
        InputError: at the first record that cannot be read.
    """
    for item in scan_records(source, clips, on_note, asked, aligned):
        if isinstance(item, InputError):
            raise item
        yield item


def scan_records(
    source: str | Path,
    clips: Path | None = None,
    on_note: Callable[[str], None] | None = None,
    asked: ColumnChoice | None = None,
    aligned: bool = False,
) -> Iterator[Record | InputError]:
    """Yield records as `read_records` does, but a bad record is yielded as its error, and reading goes on."""
    returns: list[int] = []
    if source != STDIN and Path(source).is_dir() and folder_kind(Path(source)) is None:
        yield from _of_folder(Path(source), on_note, asked)
        return
    if clips is not None and not clips.is_dir():
        raise InputError(f"{clips}: no such folder", "--clips names the folder of the recordings")
    with opened(source, returns.append if aligned else None) as found:
        if asked is not None and asked.named and found.kind in ("audio", "npy"):
            raise InputError(f"{found.name}: {found.kind}, which has no columns", "leave out the options for stores")
        if found.kind == "audio":
            yield Record(where=found.name, audio=_recording(found, source))
        elif found.kind == "npy":
            yield from _rows(found)
        elif found.kind == "text":
            yield from text_records.scan_text(found, clips, asked, on_note)
        else:
            yield from _stored(found, asked, on_note)
    _note_returns(returns, source, on_note)


def _note_returns(lines: Sequence[int], source: str | Path, on_note: Callable[[str], None] | None) -> None:
    if lines and on_note is not None:
        first = ", ".join(map(str, lines[:_SHOWN])) + (
            f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        )
        on_note(f"{source}: carriage returns within a line are read as spaces: line {first}")


def scan_lines(
    source: str | Path, on_note: Callable[[str], None] | None = None, aligned: bool = False
) -> Iterator[Record | InputError]:
    """Yield every line of a text as a sentence, however it looks; a bad one is yielded as its error.

    on_note, aligned: see `read_records`.

    Raises:
        InputError: not a text.
    """
    returns: list[int] = []
    with opened(source, returns.append if aligned else None) as found:
        if found.kind != "text":
            raise InputError(f"{found.name}: {found.kind}, not text", "leave --text out")
        for number, line in enumerate(found.file, start=1):
            where = f"{found.name}, line {number}"
            try:
                yield Record(where=where, text=decoded(line, where, found.name).strip())
            except InputError as error:
                yield error
    _note_returns(returns, source, on_note)


class PartRead(NamedTuple):
    """The text that an encoder was given for a row, and how many characters of it were read; None is all."""

    text: str
    length: int | None


def with_texts(
    rows: Iterable[Record | InputError], texts: Iterable[str], where: str, read: Iterable[PartRead] = ()
) -> Iterator[Record | InputError]:
    """Yield the rows of a `.npy` file with the sentence of each.

    Args:
        rows: of the file.
        texts: one for each.
        where: the source of the texts, for messages.
        read: see `parts_read`.

    Raises:
        InputError: there are more rows or more sentences; at the end, when the others have been given.
    """
    parts = chain(read, repeat(PartRead("", None)))
    for number, (row, text) in enumerate(zip_longest(rows, texts)):
        part = next(parts)
        if row is None or text is None:
            require_as_many(number + (row is not None), number + (text is not None), where)
        elif isinstance(row, InputError):
            yield row
        else:
            yield replace(row, text=text, read_to=part.length if part.text == text else None)


def parts_read(path: Path, rows: int) -> list[PartRead]:
    """Return how far the text of each row of OUT.npy was read; an empty list if each was read to its end.

    Raises:
        InputError: see `flip.inputs.embedding_files.read_lengths`.
    """
    if embedding_files.read_path(path) not in embedding_files.lines_beside(path):
        return []
    lengths = embedding_files.read_lengths(path, rows)
    return list(map(PartRead, read_lines(embedding_files.sentences_path(path)), lengths))


def read_taught(path: Path | None) -> list[str]:
    """Return the words of --teach, one a line; none if no file is named.

    Raises:
        InputError: the file holds none.
    """
    words = [word for word in read_texts([path]) if word.strip()] if path else []
    if path and not words:
        raise InputError(f"{path}: no word to teach", "one word a line")
    return words


def read_texts(
    sources: Iterable[str | Path],
    on_note: Callable[[str], None] | None = None,
    column: str | None = None,
    aligned: bool = False,
) -> Iterator[str]:
    """Yield the text of every record of the sources, blank lines as empty strings.

    on_note, aligned: see `read_records`.  column: of the texts; None is found by name.

    Raises:
        InputError: a record is unreadable or has no text.
        UsageError: standard input is named twice.
    """
    sources = list(sources)
    require_one_stdin(sources)
    asked = None if column is None else ColumnChoice(texts=column)
    for source in sources:
        for record in read_records(source, on_note=on_note, asked=asked, aligned=aligned):
            if record.text is None:
                raise InputError(
                    f"{record.where}: no text",
                    'this command reads text lines, JSON with "text", or a TSV or CSV with text',
                )
            yield record.text


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text whose line i belongs to row i, unchanged.

    Only a name that ends in `.jsonl` makes records of them. A carriage return alone is a space.

    Raises:
        InputError: a line is unreadable.
    """
    if ending(path.name) in JSONL_SUFFIXES:
        yield from read_texts([path])
        return
    for _, line in lines_of(path, on_return=lambda line: None):
        yield line.strip()


def require_in_order(path: Path, sentences: Iterable[str]) -> None:
    """Raise an InputError if the sentences of an embedding file are in another order than its rows.

    Other sentences are trusted: the text may be a translation.

    Args:
        path: OUT.npy, beside which OUT.sentences.txt may lie.
        sentences: one for each row.
    """
    beside = embedding_files.sentences_path(path)
    if not beside.is_file():
        return
    own = [line.strip() for line in read_sentences(beside)]
    known = set(own)
    given = [" ".join(sentence.splitlines()).strip() for sentence in sentences]
    moved = [i for i, (mine, other) in enumerate(zip(given, own, strict=False)) if mine != other and mine in known]
    strange = sum(sentence not in known for sentence in given)
    if len(moved) > _MOVED * len(own) and strange <= _MOVED * len(own):
        raise InputError(
            f"row {moved[0]} of {path} is for {own[moved[0]]!r}, not for {given[moved[0]]!r} ({len(moved)} such rows)",
            f"{beside} has its sentences in order; if you mean another order, move that file away",
        )


def read_sentences(path: Path) -> list[str]:
    """Return the lines of a text file, line i for row i, blank ones kept."""
    return list(read_lines(path))


def _of_folder(
    folder: Path, on_note: Callable[[str], None] | None, asked: ColumnChoice | None
) -> Iterator[Record | InputError]:
    """Yield the recordings of a folder, or, if it has none, the records of its text files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    kind, found = (
        "recordings",
        [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES or is_audio(_head(path))],
    )
    if not found:
        kind, found = "text", [path for path in files if ending(path.name) in _TEXTS]
    passed = [str(path.relative_to(folder)) for path in files if path not in set(found)]
    more = ", ..." if len(passed) > _SHOWN else ""
    names = f"{len(passed)} passed over, not {kind}: {', '.join(passed[:_SHOWN])}{more}"
    if not found:
        raise InputError(
            f"{folder}: no recording and no text in this folder" + (f"; {names}" if passed else ""),
            f"recordings, {', '.join(sorted(_TEXTS))}; vectors of many files: flip store words {folder} -o OUT",
        )
    if passed and on_note:
        on_note(f"{folder}: {names}")
    for path in found:
        if kind == "recordings":
            yield Record(where=str(path), audio=path)
        else:
            yield from scan_records(path, None, on_note, asked)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError:  # it is reported among the files passed over
        return b""


def _recording(found: Source, source: str | Path) -> Path:
    """Return the file itself; a pipe or a compressed file is kept under its given name."""
    if found.path is not None:
        return found.path

    return audio.keep(Path(source), found.file)


def _rows(found: Source) -> Iterator[Record]:
    with found.on_disk() as path:
        rows = embedding_files.open_embeddings(path, found.name)
        ids = embedding_files.read_ids(found.path, len(rows)) if found.path else None
        for row, vector in enumerate(rows):
            yield Record(where=f"{found.name}, row {row}", id=ids[row] if ids else None, row=row, embedding=vector)


def _stored(found: Source, asked: ColumnChoice | None, on_note: Callable[[str], None] | None) -> Iterator[Record]:
    """Yield the texts of a store with their ids; its vectors are not read.

    Raises:
        InputError: `asked` names no column of the texts, or the store has none.
    """
    if asked is not None and asked.texts is None:
        raise InputError(
            f"{found.name}: a store of vectors ({found.kind})",
            f"flip store words {found.name} -o OUT writes the words of its rows; --text-column NAME takes its texts",
        )
    with store_of(found, asked or ColumnChoice(), texts_only=True) as store:
        if store.note and on_note:
            on_note(store.note)
        ids, texts = store.chosen.ids, store.chosen.texts
        if texts is None:
            raise InputError(
                f"{found.name}: no column of text",
                f"it has: {', '.join(store.schema.names)}; rename the column of the text to text",
            )
        for part in store.parts([column for column in (ids, texts) if column is not None]):
            names = part.column(ids) if ids else [None] * len(part.vectors)
            for i, (name, text) in enumerate(zip(names, part.column(texts), strict=True)):
                yield Record(f"{found.name}, row {part.first + i}", name, (text or "").strip())


def chosen(records: Iterable[Record | InputError], ids: Sequence[str], name: str) -> Iterator[Record]:
    """Yield the records with these ids, in the order of the ids; a vector without an id has the number of its row.

    Raises:
        InputError: there is none with such an id.
    """
    found: dict[str, list[Record]] = {one: [] for one in ids}
    for record in records:
        own = None if isinstance(record, InputError) else record.row if record.id is None else record.id
        if isinstance(record, Record) and str(own) in found and own is not None:
            found[str(own)].append(replace(record, id=own))
    if missing := [one for one in ids if not found[one]]:
        raise InputError(f"{name}: nothing in it has the id {missing[0]!r}", "FILE#ID,ID chooses by ids")
    for one in ids:
        yield from found[one]
