"""The tables of several models side by side, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flip.cli.output import Output, shown

if TYPE_CHECKING:
    from rich.table import Table

    from flip.evaluation.paired import SideBySide
    from flip.evaluation.results import EvalRecord

_NAMED = 6  # words that a model finds more often than another, on a terminal


def draw_comparison(results: Sequence[EvalRecord], side: SideBySide, topn: int, out: Output) -> None:
    """Show a row for each model, then how each differs from the first."""
    from flip.evaluation.paired import HEADINGS, as_percent

    first, words = results[0], sorted({one["words"] for one in results})
    known = " to ".join(str(count) for count in words[:: max(1, len(words) - 1)])
    out.show(shown(f"{first['dataset']}: {first['n']} sentences, {known} words known", "bold"))
    out.show(shown(f"percent ± half of the 95% interval; content, names: found among the best {topn}", "dim"))
    out.show(shown("calibration: the error of the probabilities, the less the better", "dim"))
    names = [name for name in HEADINGS if any(name in one["intervals"] for one in results)]
    table = _table("model", "d", *(HEADINGS[name] for name in names))
    for one in results:
        cells = [as_percent(one["intervals"].get(name)).replace(" ", "") for name in names]  # room is scarce
        table.add_row(*map(shown, (_label(one, results), one["dimension"], *cells)))
    frequent = [first["most_frequent_words"].get(name, {}).get("mean") for name in names]
    if any(mean is not None for mean in frequent):  # what is had without any embedding
        cells = ["-" if mean is None or mean != mean else f"{100 * mean:.1f}" for mean in frequent]
        table.add_row(*(shown(cell, "dim") for cell in ("most frequent words", "", *cells)))
    out.show(table)
    if side.shared is not None:
        said = f"accuracy: of the words that a model knows; shared: of the {side.shared} that all know"
        out.show(shown(said, "dim"))
    others = {(one["model"], one["embedding"]): one for one in results[1:]}
    for difference in side.differences:
        other = others[difference.model, difference.embedding]
        out.show(shown(""))
        out.show(shown(f"{_label(other, results)} against {_label(first, results)}", "bold"))
        table = _table("", "difference", "95%", "")
        for name, gap in difference.figures.items():
            if gap.low != gap.low:  # NaN
                continue
            certain = "" if gap.low <= 0 <= gap.high else "*"
            between = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
            table.add_row(*map(shown, (HEADINGS[name], f"{100 * gap.value:+.1f}", between, certain)))
        out.show(table)
        for words_of, often in ((difference.gained, "more often"), (difference.lost, "less often")):
            if words_of:
                said = ", ".join(f"{word.word} {word.second}/{word.n}, not {word.first}" for word in words_of[:_NAMED])
                rest = len(words_of) - _NAMED
                out.show(shown(f"finds {often}: {said}" + (f", and {rest} more" if rest > 0 else "")))


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left", no_wrap=i > 0, overflow="fold")
    return table


def _label(result: EvalRecord, results: Sequence[EvalRecord]) -> str:
    """Return the model's name, with the embedding if that is not the same for all or the model's own name."""
    alike = len({one["embedding"] for one in results}) == 1 or result["embedding"] == result["model"]
    return result["model"] if alike else f"{result['model']} on {result['embedding']}"
