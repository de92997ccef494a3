"""Read published corpora into aligned texts: Common Voice, Europarl, Samanantar, plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from flip.data.augmentation import augment
from flip.data.splitting import split_rows
from flip.errors import InputError, UsageError
from flip.inputs.records import read_records, read_texts
from flip.inputs.sniffing import unpacked_name
from flip.inputs.sources import lines_of
from flip.inputs.tables import EmptyTableError

PARTS = ("train", "dev", "test")
TEXT = "text"  # id of the only text of a corpus


@dataclass(frozen=True)
class Part:
    """Aligned sentences: text id -> lines, all of the same number.

    dropped: rows with a blank side.  recordings: one for each sentence, or none.
    """

    texts: dict[str, list[str]]
    dropped: int = 0
    recordings: list[Path] = field(default_factory=list)


def read_release(folder: Path, clips: Path | None = None) -> dict[str, Part]:
    """Read a Common Voice release: a folder with train.tsv, dev.tsv and test.tsv, split as published.

    Args:
        folder: with the three files.
        clips: folder of the recordings, to read them too.

    Raises:
        InputError: a file or the folder of the recordings is missing, or a line does not have the release's form.
    """
    parts = {}
    for part in PARTS:
        path = folder / f"{part}.tsv"
        try:
            records = list(read_records(path, clips))
        except EmptyTableError:
            records = []
        kept = [record for record in records if record.text]
        if not kept:
            raise InputError(
                f"{path}: no sentence", f"split one file instead: flip embed {folder / 'train.tsv'} --dataset DIR"
            )
        recordings = [record.audio for record in kept if record.audio]
        parts[part] = Part({TEXT: [str(record.text) for record in kept]}, len(records) - len(kept), recordings)
    return parts


def read_aligned(
    inputs: Sequence[str], split: str, seed: int, on_note: Callable[[str], None] | None = None
) -> dict[str, Part]:
    """Read two aligned files (line i of one translates line i of the other), or one TSV with both; split with a seed.

    The languages in the files' names become the ids of the texts: `europarl-v7.de-en.de`, `de-en.tsv`. A TSV has two
    columns and no header, or a header that names `src` and `tgt`.

    Args:
        inputs: the two files, or the TSV.
        split: see `flip.data.splitting.split_sizes`.
        on_note: see `flip.inputs.records.read_records`.
        seed: of the split. Pairs that share a sentence on either side stay together.

    Raises:
        UsageError: not one or two inputs, or both have the same name.
        InputError: the files differ in their number of lines, or the lines of the TSV in their number of columns.
    """
    if len(inputs) == 2:
        ids = [Path(unpacked_name(name)).suffix.removeprefix(".") or Path(name).name for name in inputs]
        if ids[0] == ids[1] or "txt" in ids:
            ids = [Path(name).stem for name in inputs]
        rows = _lines_of_two(inputs, on_note)
    elif len(inputs) == 1:
        ids, rows = _tsv_ids(Path(inputs[0])), _tsv_pairs(Path(inputs[0]))
    else:
        raise UsageError(f"{len(inputs)} inputs are not a pair", "give two aligned files, or one TSV with two columns")
    if ids[0] == ids[1]:
        raise UsageError(
            f"both texts are called {ids[0]!r}", "name the files after their languages: corpus.en, corpus.de"
        )
    return _split(ids, rows, split, seed)


def read_plain(
    inputs: Sequence[str],
    split: str,
    seed: int,
    on_note: Callable[[str], None] | None = None,
    text_column: str | None = None,
) -> dict[str, Part]:
    """Return text or JSONL, split with a seed; equal normalised sentences stay together."""
    return _split([TEXT], ((text,) for text in read_texts(inputs, on_note, text_column)), split, seed)


def augmented(part: Part, times: int, seed: int, teach: Sequence[str] = ()) -> Part:
    """Return further sentences, made of those of a part with one text, see `flip.data.augmentation`.

    Raises:
        UsageError: the part has recordings, or several texts, whose crops would not be translations of each other.
    """
    if len(part.texts) > 1 or part.recordings:
        raise UsageError("--augment needs a corpus of one text", "aligned texts and recordings cannot be cropped alike")
    ((name, sentences),) = part.texts.items()
    return Part({name: augment(sentences, times, seed, teach)})


def _split(ids: list[str], rows: Iterator[tuple[str, ...]], split: str, seed: int) -> dict[str, Part]:
    kept, dropped = [], 0
    for row in rows:
        if all(row):
            kept.append(row)
        else:
            dropped += 1
    if not kept:
        raise InputError("no sentence to train on", "the corpus has no line that is not blank")
    numbers = split_rows(kept, split, seed)
    return {
        part: Part(
            {name: [kept[i][side] for i in numbers[part]] for side, name in enumerate(ids)},
            dropped if part == "train" else 0,
        )
        for part in PARTS
    }


def _lines_of_two(inputs: Sequence[str], on_note: Callable[[str], None] | None) -> Iterator[tuple[str, ...]]:
    for row in zip_longest(*(read_texts([name], on_note, aligned=True) for name in inputs)):
        if None in row:
            raise InputError(
                f"{inputs[row.index(None)]} has fewer lines than the other of the pair", "line i belongs to line i"
            )
        yield row


def _cells(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (place, cells) of each line of a TSV that is not blank; no quoting, as these corpora have none."""
    for where, line in lines_of(path):
        if line.strip():
            yield where, [cell.strip() for cell in line.rstrip("\r\n").split("\t")]


def _tsv_ids(path: Path) -> list[str]:
    """Return the languages in a name: `europarl-v10.de-en.tsv` -> de, en; else src, tgt."""
    named = re.search(r"(?:^|[^A-Za-z])([a-z]{2,3})[-_]([a-z]{2,3})$", Path(unpacked_name(path.name)).stem)
    return list(named.groups()) if named else ["src", "tgt"]


def _tsv_pairs(path: Path) -> Iterator[tuple[str, ...]]:
    columns = (0, 1)
    for number, (where, cells) in enumerate(_cells(path), start=1):
        if number == 1 and {"src", "tgt"} <= set(cells):
            columns = (cells.index("src"), cells.index("tgt"))
            width = len(cells)
            continue
        if number == 1:
            width = 2
        if len(cells) != width:
            raise InputError(
                f"{where}: {len(cells)} columns, expected {width}",
                "a TSV of pairs has two columns, or a header with src and tgt",
            )
        yield cells[columns[0]], cells[columns[1]]
