"""A metric as CONTRIBUTING.md describes it: whether the best word is one of the sentence."""

from __future__ import annotations

from flip.evaluation.measurements import Figures, Means
from flip.evaluation.metrics import hits
from flip.evaluation.subject import Subject


def first_word(subject: Subject) -> Figures:
    """Return 1 for each sentence whose best word is in it, and 0 for the others, by side."""
    words = subject.sought.references.words
    found = {side: hits(one.words, words, subject.size)[:, :1] for side, one in subject.ranking.items()}
    return {"first_word": {side: Means.of(hit.sum(axis=1), words.sizes > 0) for side, hit in found.items()}}
