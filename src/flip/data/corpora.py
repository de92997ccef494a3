"""Read published corpora into aligned texts, split them, and make further sentences from the training part.

An encoder reads any text, so a corpus of n sentences can give more than n examples. A word in few sentences is confused
with its company in them; shorter runs of these sentences, the word alone, and the word among others separate the two.
Random cropping is known from contrastive training of encoders (Izacard et al. 2022, arXiv:2112.09118), random words in
place of others from machine translation (Wang et al. 2018, arXiv:1808.07512).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from flip.errors import InputError, UsageError
from flip.inputs import sniffing, sources, tables
from flip.inputs.records import read_records, read_texts
from flip.text.segment import unicode_words
from flip.text.strings import Language, Strings, generate
from flip.text.tokenize import normalize
from flip.text.vocabulary import taught_words

_HINT = "three parts: fractions that sum to 1, such as 0.9,0.05,0.05, or counts of dev and test, such as rest,2000,3000"

_PLACES_OF_TAUGHT = 4  # places in other sentences, for each place of a word that the corpus knows

RUN = 12  # lines that stay on one side of a split if passages are made of them, and lines of the longest passage

MOST_CHECKED, FEWEST_CHECKED = 2_000, 100  # generated strings of dev, and of test
PARTS = ("train", "dev", "test")
TEXT = "text"  # id of the only text of a corpus


def split_sizes(spec: str, n: int) -> tuple[int, int]:
    """Return the numbers of dev and test sentences for `TRAIN,DEV,TEST`: fractions, or counts after `rest`.

    Raises:
        UsageError: not of that form, or a part would be empty.
    """
    parts = [part.strip() for part in spec.split(",")]
    if len(parts) != 3:
        raise UsageError(f"--split {spec!r} has {len(parts)} parts", _HINT)
    if parts[0] == "rest" and all(re.fullmatch(r"\d+", part) for part in parts[1:]):
        dev, test = int(parts[1]), int(parts[2])
    else:
        try:
            fractions = [float(part) for part in parts]
        except ValueError as error:
            raise UsageError(f"--split {spec!r}: not numbers", _HINT) from error
        if abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0:
            raise UsageError(f"--split {spec!r}: fractions do not sum to 1", _HINT)
        dev, test = round(fractions[1] * n), round(fractions[2] * n)
    if dev < 1 or test < 1 or dev + test >= n:
        few = "larger parts, or more sentences: dev and test need one each, and so does train"
        raise UsageError(f"--split {spec!r} of {n} sentences gives {n - dev - test}, {dev}, {test}", few)
    return dev, test


def split_rows(texts: Sequence[tuple[str, ...]], spec: str, seed: int, run: int = 1) -> dict[str, list[int]]:
    """Split rows of one sentence, or of aligned sentences, into `train`, `dev` and `test`: row numbers, ascending.

    Rows that share a sentence after normalisation stay together, and so do `run` rows that follow each other. Groups
    that fit fill dev and test in random order, so that both have the requested size if possible.

    Raises:
        UsageError: see `split_sizes`.
        InputError: there are fewer than three groups of rows, or none fits into dev or test.
    """
    groups = _groups(texts, run)
    if len(groups) < 3:
        what = "different sentences" if run == 1 else f"runs of {run} lines"
        raise InputError(f"{len(groups)} {what} cannot be split in three", "give a larger corpus")
    wanted = dict(zip(("dev", "test"), split_sizes(spec, len(texts)), strict=True))
    parts: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for g in np.random.default_rng(seed).permutation(len(groups)):
        fits = [part for part, size in wanted.items() if len(parts[part]) + len(groups[g]) <= size]
        parts[fits[0] if fits else "train"].extend(groups[g])
    if run > 1 and not (parts["dev"] and parts["test"]):
        hint = f"--split rest,{10 * run},{10 * run}, or a larger corpus"
        raise InputError(f"none of the runs of {run} lines fits into dev or test", hint)
    if not (parts["dev"] and parts["test"]):
        raise InputError(
            f"{len(groups)} different sentences in {len(texts)} lines: equal ones stay together, and are too many for "
            "dev and test",
            "give each sentence once (sort -u), or more different ones",
        )
    return {part: sorted(rows) for part, rows in parts.items()}


def _groups(texts: Sequence[tuple[str, ...]], run: int) -> list[list[int]]:
    """Return groups of rows that share a sentence on any side or a run of rows, directly or through others."""
    parent = [i - i % run for i in range(len(texts))]

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[int, str], int] = {}
    for i, sides in enumerate(texts):
        for side, text in enumerate(sides):
            a, b = root(i), root(first.setdefault((side, normalize(text)), i))
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(texts)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def augment(sentences: Sequence[str], times: int, seed: int, teach: Sequence[str] = ()) -> list[str]:
    """Return random crops of the sentences, then their distinct words alone, then these in the places of other words.

    Words are bounded as in UAX #29, which needs no spaces; a crop keeps the text between its words. A sentence of one
    word is not cropped, and gives no place.

    Args:
        sentences: to crop.
        times: crops of each sentence, of 1 to n - 1 of its n words. Short crops are more frequent (the smaller of two
            uniform lengths) and teach more. Each word, in lower case, comes once alone, so many times in the place of
            a random word of a random sentence, and as often in a crop of two words or more. 0 gives nothing.
        seed: of all random choices.
        teach: words to learn even if the sentences have few of them or none, as they are written. Each comes once alone
            too, and four times as often in other places, in sentences and in crops.

    Raises:
        InputError: `teach` is too long, see `flip.text.vocabulary.taught_words`.

    >>> augment(["Trains run late."], 1, seed=1)
    ['late', 'late', 'run', 'trains', 'Trains run late.', 'run run late.', 'trains run late.']
    """
    if not times:
        return []
    word = unicode_words()
    rng = np.random.default_rng(seed)
    whole: list[str] = []
    crops: list[str] = []
    longer: list[str] = []  # crops of two words or more
    known: set[str] = set()
    for sentence in sentences:
        spans = [match.span() for match in word.finditer(sentence)]
        known.update(sentence[start:stop].lower() for start, stop in spans)
        if len(spans) < 2:
            continue
        whole.append(sentence)
        for _ in range(times):
            length = int(rng.integers(1, len(spans), size=2).min())
            first = int(rng.integers(0, len(spans) - length + 1))
            crops.append(sentence[spans[first][0] : spans[first + length - 1][1]])
            if length > 1:
                longer.append(crops[-1])
    taught = sorted(taught_words(teach, word.findall)[1])
    words = sorted(known.union(text.lower() for text in taught))

    def among_others(new: str, texts: list[str]) -> str:
        text = texts[rng.integers(len(texts))]
        spans = [match.span() for match in word.finditer(text)]
        start, stop = spans[rng.integers(len(spans))]
        return text[:start] + new + text[stop:]

    pools = [texts for texts in (whole, longer) if texts]
    places = words + taught * (_PLACES_OF_TAUGHT - 1)
    return crops + words + [among_others(new, texts) for texts in pools * times for new in places]


@dataclass(frozen=True)
class Part:
    """Aligned sentences: text id -> lines, all of the same number.

    dropped: rows with a blank side.  recordings: one for each sentence, or none.  flat: how many of the last sentences
    have other frequencies than the language, see `flip.text.strings`.
    """

    texts: dict[str, list[str]]
    dropped: int = 0
    recordings: list[Path] = field(default_factory=list)
    flat: int = 0


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
        except tables.EmptyTableError:
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
        split: see `flip.data.corpora.split_sizes`.
        on_note: see `flip.inputs.records.read_records`.
        seed: of the split. Pairs that share a sentence on either side stay together.

    Raises:
        UsageError: not one or two inputs, or both have the same name.
        InputError: the files differ in their number of lines, or the lines of the TSV in their number of columns.
    """
    if len(inputs) == 2:
        ids = [Path(sniffing.unpacked_name(name)).suffix.removeprefix(".") or Path(name).name for name in inputs]
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
    passages: int = 0,
) -> dict[str, Part]:
    """Return text or JSONL, split with a seed; equal normalised sentences stay together.

    `passages` of 2 to 12 lines that follow each other join the training part; dev gets one of each of its runs of 12.
    """
    rows = ((text,) for text in read_texts(inputs, on_note, text_column))
    parts = _split([TEXT], rows, split, seed, RUN if passages else 1)
    if not passages:
        return parts
    rng = np.random.default_rng(seed)
    train, dev = parts["train"].texts[TEXT], parts["dev"].texts[TEXT]
    runs = [dev[start : start + int(rng.integers(2, RUN + 1))] for start in range(0, len(dev), RUN)]
    made = Part({TEXT: train + joined(train, passages, rng)}, parts["train"].dropped)
    return parts | {"train": made, "dev": Part({TEXT: dev + [" ".join(lines) for lines in runs]})}


def joined(lines: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """Return n passages of 2 to 12 lines that follow each other."""
    lengths = np.minimum(rng.integers(2, RUN + 1, n), len(lines))
    starts = rng.integers(0, len(lines) - lengths + 1)
    return [" ".join(lines[start : start + n]) for start, n in zip(starts.tolist(), lengths.tolist(), strict=True)]


def with_strings(parts: dict[str, Part], made: Strings) -> dict[str, Part]:
    """Return the parts with generated strings among the training sentences, the flat ones last."""
    ((name, sentences),) = parts["train"].texts.items()
    train = Part({name: [*sentences, *made.texts]}, parts["train"].dropped, flat=len(made.texts) - made.natural)
    return parts | {"train": train}


def of_strings(language: Language, n: int, seed: int, dev: Sequence[str] = ()) -> dict[str, Part]:
    """Return n generated strings to learn from, with natural ones for test, and for dev unless sentences are given.

    Args:
        language: gives the strings.
        n: strings to learn from.
        seed: of all random choices.
        dev: sentences that somebody wrote; every second one is for test.
    """
    count = min(MOST_CHECKED, max(FEWEST_CHECKED, n // 20))
    real = [sentence for sentence in dev if sentence]
    checked = language.natural(2 * count, np.random.default_rng(seed + 1)) if not dev else real
    parts = {"train": Part({TEXT: []}), "dev": Part({TEXT: checked[::2]}), "test": Part({TEXT: checked[1::2]})}
    return with_strings(parts, generate(language, n, seed))


def augmented(part: Part, times: int, seed: int, teach: Sequence[str] = ()) -> Part:
    """Return further sentences, made of those of a part with one text, see `flip.data.corpora`.

    Raises:
        UsageError: the part has recordings, or several texts, whose crops would not be translations of each other.
    """
    if len(part.texts) > 1 or part.recordings:
        raise UsageError("--augment needs a corpus of one text", "aligned texts and recordings cannot be cropped alike")
    ((name, sentences),) = part.texts.items()
    return Part({name: augment(sentences, times, seed, teach)})


def _split(ids: list[str], rows: Iterator[tuple[str, ...]], split: str, seed: int, run: int = 1) -> dict[str, Part]:
    kept, dropped = [], 0
    for row in rows:
        if all(row):
            kept.append(row)
        else:
            dropped += 1
    if not kept:
        raise InputError("no sentence to train on", "the corpus has no line that is not blank")
    numbers = split_rows(kept, split, seed, run)
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
    for where, line in sources.lines_of(path):
        if line.strip():
            yield where, [cell.strip() for cell in line.rstrip("\r\n").split("\t")]


def _tsv_ids(path: Path) -> list[str]:
    """Return the languages in a name: `europarl-v10.de-en.tsv` -> de, en; else src, tgt."""
    named = re.search(r"(?:^|[^A-Za-z])([a-z]{2,3})[-_]([a-z]{2,3})$", Path(sniffing.unpacked_name(path.name)).stem)
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
