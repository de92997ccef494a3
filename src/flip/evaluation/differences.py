"""The record of the differences between several models on the same sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flip.evaluation.paired import RESAMPLES, side_by_side

if TYPE_CHECKING:
    from flip.evaluation.evaluate import Measured
    from flip.evaluation.word_changes import WordChange

_LISTED = 20  # words, of those that a model finds more often, and of the others


def differences_of(measured: Sequence[Measured], seed: int) -> dict[str, Any]:
    """Give the record of each model its intervals; return the record of the differences to the first."""
    found = side_by_side(measured, seed)
    for one, figures in zip(measured, found.figures, strict=True):
        one.result["intervals"] = {name: interval.to_dict() for name, interval in figures.items()}
    first = measured[0].result
    differences = []
    for one, difference in zip(measured[1:], found.differences, strict=True):
        more = [word for word in difference.words if word.change > 0]
        fewer = [word for word in reversed(difference.words) if word.change < 0]
        differences.append(
            {
                "model": one.result["model"],
                "embedding": one.result["embedding"],
                "figures": {name: interval.to_dict() for name, interval in difference.figures.items()},
                "found_more_often": _listed(more),
                "found_less_often": _listed(fewer),
            }
        )
    about = {"dataset": first["dataset"], "model": first["model"], "embedding": first["embedding"]}
    shared = {} if found.shared is None else {"shared_words": found.shared}
    return about | {"n": first["n"], "resamples": RESAMPLES, "seed": seed} | shared | {"differences": differences}


def _listed(words: list[WordChange]) -> dict[str, Any]:
    return {"words": [word.to_dict() for word in words[:_LISTED]], "in_all": len(words)}
