"""The HTML report of `flip eval`: tables, plots and sentences in one file that needs no network."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from flip.evaluation import measurements, metrics, paired, word_ranking
from flip.evaluation.evaluate import Measured, SideDetails, sentence_details
from flip.evaluation.plots import heading, inline_svgs, names_of
from flip.evaluation.results import COLUMNS, EvalRecord, estimate_as_text, summary_rows
from flip.files import Fields, replacing
from flip.html import policy
from flip.text.align import Reader
from flip.text.tokenize import Tokenizer

_BAND = "{recall:.1%} ± {se:.1%} of {n}"
IN_PERCENT = "Percent ± standard error; losses and perplexity as they are."


def page_data(measured: Sequence[Measured], topn: int) -> Fields:
    """Return the words that several models find in their sentences; equal sentences stand together.

    Returns:
        sides: of the rankings, with b first.
        sentences: `[parts, one]`; parts are text, or `[text, models]` of a word that these do not know; one for each
            model is null, or for each side null or `[accuracy, [[word, score, probability, hit]], missed]`.
        words: `[word, one]`; one for each model is null if none of its sentences has the word, else `[in, found, ...]`:
            sentences that have it, and in how many it is found, by side.
    """
    sides = [side for side in word_ranking.BIAS_WEIGHTS if any(side in one.ranking for one in measured)]
    return {"sides": sides, "sentences": _sentences(measured, sides, topn), "words": _words(measured, sides)}


def _sentences(measured: Sequence[Measured], sides: Sequence[str], topn: int) -> list[object]:
    found: dict[tuple[str, int], list[object]] = {}
    for i, one in enumerate(measured):
        seen: Counter[str] = Counter()
        for record in sentence_details(one, topn):
            key = record.text, seen[record.text]
            seen[record.text] += 1
            row = found.setdefault(key, [None] * len(measured))
            surface = one.checkpoint.vocabulary.surface
            row[i] = [_ranked(record.sides[side], surface) if side in record.sides else None for side in sides]
    unknown = _Unknown(measured)
    return [
        [unknown.parts(text, [i for i, one in enumerate(row) if one is not None]), row]
        for (text, _), row in found.items()
    ]


def _ranked(side: SideDetails, surface: Callable[[str], str]) -> list[object]:
    """Return what the page shows of a side, with words as people write them."""
    words = {one["word"] for one in side["keywords"]}
    shown = [[surface(one["word"]), one["score"], one.get("probability"), int(one["hit"])] for one in side["keywords"]]
    missed = [surface(word) for word in side["misses"] if word not in words]
    return [None if side["accuracy"] is None else round(side["accuracy"], 4), shown, missed]


class _Unknown:
    """Marks the words of a text that models do not know; models of one vocabulary are looked at once."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        models: dict[tuple[tuple[str, ...], Tokenizer], list[int]] = {}
        for i, one in enumerate(measured):
            vocabulary = one.checkpoint.vocabulary
            models.setdefault((vocabulary.words, vocabulary.tokenizer), []).append(i)
        alike = [(measured[of[0]].checkpoint.vocabulary, of) for of in models.values()]
        self._readers = [(Reader(vocabulary), frozenset(vocabulary.words), of) for vocabulary, of in alike]

    def parts(self, text: str, models: Sequence[int]) -> list[object]:
        """Return the text in parts; if models cut a word differently, the first to begin counts."""
        marks: dict[tuple[int, int], list[int]] = {}
        for reader, known, of in self._readers:
            if asked := [i for i in of if i in models]:
                for mark in _unknown(reader, known, text):
                    marks.setdefault(mark, []).extend(asked)
        parts: list[object] = []
        end = 0
        for start, stop in sorted(marks):
            if start >= end:
                parts += [text[end:start]] * (start > end) + [[text[start:stop], sorted(marks[start, stop])]]
                end = stop
        return parts + [text[end:]] * (end < len(text))


def _unknown(reader: Reader, known: frozenset[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each unknown word."""
    start = 0
    for piece in reader.pieces(text):
        stop = start + len(piece.text)
        if piece.words and not known.issuperset(piece.words):
            yield start, stop
        start = stop


def _words(measured: Sequence[Measured], sides: Sequence[str]) -> list[object]:
    found: dict[str, list[object]] = {}
    surfaces: dict[str, str] = {}
    for i, one in enumerate(measured):
        vocabulary, bags = one.checkpoint.vocabulary, one.refs.words
        words = vocabulary.words
        occurring = bags.document_frequency(len(words))
        by_side = [
            metrics.times_found(one.counted[side], bags, len(words)).tolist() if side in one.counted else None
            for side in sides
        ]
        for w in occurring.nonzero()[0].tolist():
            counts = [hits and hits[w] for hits in by_side]
            found.setdefault(words[w], [None] * len(measured))[i] = [int(occurring[w]), *counts]
            surfaces.setdefault(words[w], vocabulary.surface(words[w]))
    return [[surfaces[word], row] for word, row in found.items()]


def comparison_rows(result: EvalRecord) -> list[tuple[str, str, str, str]]:
    """Return (compared with, accuracy, difference, Jaccard index) with b if there is one, in percent."""
    rows = []
    for one in result.get("comparisons", []):
        side = "bias" if "bias" in one["accuracy"] else "no_bias"
        name = f"{one['model']} (rank {one['rank']}) on {one['embedding']}"
        accuracy, jaccard = (estimate_as_text(one[key][side]) for key in ("accuracy", "jaccard"))
        rows.append((name, accuracy, estimate_as_text(one["difference"][side], signed=True), jaccard))
    return rows


def models_table(results: Sequence[EvalRecord]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the figures of several models with their 95% intervals."""
    named = [name for name in paired.HEADINGS if any(name in one["intervals"] for one in results)]
    rows = []
    for name, result in zip(names_of(results), results, strict=True):
        rows.append([name, *(paired.as_percent(result["intervals"].get(key), 2) for key in named)])
    return ["model", *(paired.HEADINGS[name] for name in named)], rows


def bands_table(results: Sequence[EvalRecord]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the recall by word frequency, a column for each model, with b if there is one."""
    measured = [one["metrics"].get("recall_by_frequency", {}) for one in results]
    bands = [measurements.main_side(sides) or {} for sides in measured]
    least = sorted({n for band in bands for n in band.get("least", [])})
    rows = []
    for n, text in zip(least, metrics.bands_as_text(least), strict=True):
        cells = [text]
        for band in bands:
            i = band["least"].index(n) if n in band.get("least", []) else None
            cells.append("-" if i is None else _BAND.format(**{key: values[i] for key, values in band.items()}))
        rows.append(cells)
    return ["sentences with the word", *names_of(results)], rows


def write_report(path: Path, measured: Sequence[Measured], topn: int) -> None:
    """Write the page. Names, sentences and words are data in it, shown as text whatever they contain."""
    from jinja2 import Environment, PackageLoader

    results = [one.result.to_dict() for one in measured]
    style, script = (_beside(f"report.{kind}") for kind in ("css", "js"))
    page = (
        Environment(loader=PackageLoader("flip.evaluation", ""), autoescape=True)
        .get_template("report.html")
        .render(
            title=heading(results),
            style=style,
            policy=policy(style, script, style_attributes=True),
            script=script,
            results=[(r, summary_rows(r, topn), comparison_rows(r)) for r in results],
            models=models_table(results),
            topn=topn,
            bands=bands_table(results),
            in_percent=IN_PERCENT,
            columns=COLUMNS,
            plots=inline_svgs(results),
            data={"models": names_of(results), **page_data(measured, topn)},
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _beside(name: str) -> str:
    return (files("flip.evaluation") / name).read_text(encoding="utf-8")
