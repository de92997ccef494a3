"""Define the results of evaluating retrieval, by query and over all queries, of one encoder and of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from flip.arrays import Floats
from flip.evaluation.measurements import Interval, Means
from flip.files import Fields
from flip.retrieval.ranking import Chunk

TOPN = 10
LISTED = 20  # words over all queries
_RESAMPLES = 2000


@dataclass(frozen=True)
class Query:
    """A query.  vector: (d,)."""

    id: str
    text: str
    vector: Floats


@dataclass(frozen=True)
class Hit:
    """A chunk of a query.

    place: among all chunks by their cosine, from 1.  grade: of its relevance; 0 if it is not relevant.
    cut: whether the encoder did not read all of its text.
    """

    chunk: Chunk
    place: int
    cosine: float
    grade: float
    cut: bool

    def to_dict(self) -> Fields:
        """Return the fields of a record."""
        text: Fields = {} if self.chunk.text is None else {"text": self.chunk.text}
        cut: Fields = {"cut": True} if self.cut else {}
        numbers: Fields = {"place": self.place, "cosine": round(self.cosine, 4), "grade": self.grade}
        return {"id": self.chunk.id, **numbers, **text, **cut}


@dataclass(frozen=True)
class Answer:
    """A query, the relevant chunk that came first, and the chunk that came first.

    gold: None if the store has none of the relevant chunks.  ndcg, recall: at 10.
    kept: words of the query that the text of `gold` has and its vector says.  lost: those that it does not say.
    unread: those that stand only where the encoder did not read.  astray: words that favour `first` over `gold`, with
    the difference of their shares of the cosines, the largest first. The last three are empty if `gold` came first.
    """

    query: Query
    gold: Hit | None
    first: Hit
    ndcg: float
    recall: float
    kept: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    astray: tuple[tuple[str, float], ...] = ()

    @property
    def missed(self) -> bool:
        """Whether the relevant chunk is not among the first ten."""
        return self.gold is None or self.gold.place > TOPN

    def to_dict(self) -> Fields:
        """Return the record of the query."""
        return {
            "query": self.query.id,
            "text": self.query.text,
            "ndcg": round(self.ndcg, 4),
            "recall": round(self.recall, 4),
            "gold": None if self.gold is None else self.gold.to_dict(),
            "first": self.first.to_dict(),
            "kept": list(self.kept),
            "lost": list(self.lost),
            "unread": list(self.unread),
            "astray": [{"word": word, "share": round(share, 4)} for word, share in self.astray],
        }


@dataclass(frozen=True)
class LostWord:
    """A word that relevant chunks have in their texts.

    missed: chunks that were missed and whose vectors do not say it.  of: missed chunks whose texts have it.
    """

    word: str
    missed: int
    of: int

    def to_dict(self) -> Fields:
        """Return the fields of a record."""
        return {"word": self.word, "missed": self.missed, "of": self.of}


@dataclass(frozen=True)
class Retrieval:
    """The answers to all queries by one encoder.

    model, store: names.  answers: in the order of the queries.  lost: the words that missed chunks lack most often, see
    `LostWord`.  absent: relevant chunks that the store lacks.  cut: relevant chunks that were not read to their end.
    chunks: the number of chunks that were ranked.
    """

    model: str
    store: str
    answers: Sequence[Answer]
    lost: Sequence[LostWord]
    absent: int
    cut: int
    chunks: int

    @cached_property
    def figures(self) -> Mapping[str, Means]:
        """Return nDCG@10 and recall@10 of each query."""
        every = np.ones(len(self.answers), bool)
        return {name: Means.at(every, np.array([getattr(one, name) for one in self.answers])) for name in _FIGURES}

    @property
    def missed(self) -> int:
        """Return the number of queries none of whose relevant chunks is among the first ten."""
        return sum(one.missed for one in self.answers)

    @property
    def astray(self) -> list[tuple[str, float, int]]:
        """Return the words that lead astray most: the sum of their differences in share, and in how many queries."""
        sums: dict[str, float] = {}
        queries: Counter[str] = Counter()
        for one in self.answers:
            for word, share in one.astray:
                sums[word] = sums.get(word, 0.0) + share
                queries[word] += 1
        best = sorted(sums, key=lambda word: -sums[word])[:LISTED]
        return [(word, sums[word], queries[word]) for word in best]

    def interval(self, name: str, seed: int = 0) -> Interval:
        """Return a figure with the 95% interval of 2,000 resamples of the queries."""
        return _interval(self.figures[name].parts[:, 0], seed)

    def to_dict(self, seed: int = 0) -> Fields:
        """Return the record over all queries."""
        return {
            "model": self.model,
            "store": self.store,
            "queries": len(self.answers),
            "chunks": self.chunks,
            **{name: self.interval(name, seed).to_dict() for name in _FIGURES},
            "missed": self.missed,
            "absent": self.absent,
            "cut": self.cut,
            "lost": [one.to_dict() for one in self.lost],
            "astray": [{"word": word, "share": round(share, 4), "queries": n} for word, share, n in self.astray],
        }


_FIGURES = ("ndcg", "recall")


def titles(found: Sequence[Retrieval]) -> list[str]:
    """Return a name of each for people: its model, and its store if the model is the same. No folder is named."""
    models = [Path(one.model).name for one in found]
    stores = [Path(one.store).name for one in found]
    if len(set(models)) == len(models):
        return models
    return [f"{model}, {store}" for model, store in zip(models, stores, strict=True)]


@dataclass(frozen=True)
class Change:
    """Two encoders on the same queries: the second less the first."""

    first: Retrieval
    second: Retrieval

    def interval(self, name: str, seed: int = 0) -> Interval:
        """Return the difference of a figure with the 95% interval of a paired bootstrap."""
        return _interval(self.second.figures[name].parts[:, 0] - self.first.figures[name].parts[:, 0], seed)

    @property
    def changed(self) -> list[tuple[Answer, Answer]]:
        """Return the answers to the queries with another nDCG, the largest loss first."""
        pairs = zip(self.first.answers, self.second.answers, strict=True)
        return sorted((pair for pair in pairs if pair[0].ndcg != pair[1].ndcg), key=lambda p: p[1].ndcg - p[0].ndcg)

    @property
    def worse(self) -> list[tuple[Answer, Answer]]:
        """Return the answers to the queries with a lower nDCG, the largest loss first."""
        return [(a, b) for a, b in self.changed if b.ndcg < a.ndcg]

    @property
    def better(self) -> list[tuple[Answer, Answer]]:
        """Return the answers to the queries with a higher nDCG, the largest gain first."""
        return [(a, b) for a, b in reversed(self.changed) if b.ndcg > a.ndcg]

    @property
    def words_lost(self) -> list[tuple[str, int]]:
        """Return the words that only the first keeps, in queries that got worse, by the number of queries."""
        return _words((b.lost, a.kept) for a, b in self.worse)

    @property
    def words_regained(self) -> list[tuple[str, int]]:
        """Return the words that only the second keeps, in queries that got better, by the number of queries."""
        return _words((a.lost, b.kept) for a, b in self.better)

    def to_dict(self, seed: int = 0) -> Fields:
        """Return the record of the difference."""
        worse, better = self.worse, self.better
        return {
            "model": self.second.model,
            "against": self.first.model,
            "store": self.second.store,
            "against_store": self.first.store,
            **{name: self.interval(name, seed).to_dict() for name in _FIGURES},
            "better": len(better),
            "worse": len(worse),
            "gained": [_change(a, b) for a, b in better[:LISTED]],
            "lost": [_change(a, b) for a, b in worse[:LISTED]],
            "words_lost": [{"word": word, "queries": n} for word, n in self.words_lost],
            "words_regained": [{"word": word, "queries": n} for word, n in self.words_regained],
        }


def _change(a: Answer, b: Answer) -> Fields:
    return {"query": b.query.id, "text": b.query.text, "ndcg": [round(a.ndcg, 4), round(b.ndcg, 4)]}


def _words(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[tuple[str, int]]:
    """Return the words that are lost by one encoder and kept by the other, with the number of queries."""
    return Counter(word for lost, kept in pairs for word in lost if word in kept).most_common(LISTED)


def _interval(values: Floats, seed: int) -> Interval:
    n = len(values)
    drawn = np.random.default_rng(seed).integers(n, size=(_RESAMPLES, n))
    means = values[drawn].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))
