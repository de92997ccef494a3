"""Measure retrieval, and tell by words why a relevant chunk was missed and another came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flip.arrays import Floats
from flip.evaluation.measurements import Interval, Means
from flip.explain.contrast import SIDES, Contrast, Pair
from flip.files import Fields
from flip.model.keywords import Scores
from flip.text.bow import bags_of_words

if TYPE_CHECKING:
    from flip.encoders.base import Encoder
    from flip.model.checkpoint import Checkpoint
    from flip.retrieval.ranking import Chunk, Ranked

TOPN = 10
_COMPARED = 30  # words of either side whose shares are compared
_NAMED = 5  # words of a query that lead astray
_LISTED = 20  # words over all queries
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
    lost: words of the query that the text of `gold` has and its vector does not say.  unread: those that stand only
    where the encoder did not read.  astray: words that favour `first` over `gold`, with the difference of their shares
    of the cosines, the largest first. All are empty if `gold` came first.
    """

    query: Query
    gold: Hit | None
    first: Hit
    ndcg: float
    recall: float
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
    """

    model: str
    store: str
    answers: Sequence[Answer]
    lost: Sequence[LostWord]
    absent: int
    cut: int

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
        best = sorted(sums, key=lambda word: -sums[word])[:_LISTED]
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
            **{name: self.interval(name, seed).to_dict() for name in _FIGURES},
            "missed": self.missed,
            "absent": self.absent,
            "cut": self.cut,
            "lost": [one.to_dict() for one in self.lost],
            "astray": [{"word": word, "share": round(share, 4), "queries": n} for word, share, n in self.astray],
        }


_FIGURES = ("ndcg", "recall")


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

    def to_dict(self, seed: int = 0) -> Fields:
        """Return the record of the difference."""
        changed = self.changed
        worse = [(a, b) for a, b in changed if b.ndcg < a.ndcg]
        better = [(a, b) for a, b in reversed(changed) if b.ndcg > a.ndcg]
        return {
            "model": self.second.model,
            "against": self.first.model,
            **{name: self.interval(name, seed).to_dict() for name in _FIGURES},
            "better": len(better),
            "worse": len(worse),
            "gained": [_change(a, b) for a, b in better[:_LISTED]],
            "lost": [_change(a, b) for a, b in worse[:_LISTED]],
            "words_lost": _words(b for _, b in worse),
            "words_regained": _words(a for a, _ in better),
        }


def _change(a: Answer, b: Answer) -> Fields:
    return {"query": b.query.id, "text": b.query.text, "ndcg": [round(a.ndcg, 4), round(b.ndcg, 4)]}


def _words(answers: Iterable[Answer]) -> list[Fields]:
    counts = Counter(word for one in answers for word in one.lost)
    return [{"word": word, "queries": n} for word, n in counts.most_common(_LISTED)]


def evaluate_retrieval(
    checkpoint: Checkpoint, encoder: Encoder, queries: Sequence[Query], gold: Sequence[Mapping[str, float]],
    ranked: Ranked, store: str,
) -> Retrieval:  # fmt: skip
    """Measure the ranking of a store, and explain it.

    nDCG@10 has the grades as gains, as trec_eval has. Relevant chunks that the store lacks count as missed.

    Args:
        checkpoint: a model of the encoder, which reads the words of vectors.
        encoder: tells how far it reads texts.
        queries, gold: each with its relevant chunks, at least one.
        ranked: of the same queries.
        store: its name.
    """
    explainer = _Explainer(checkpoint, encoder, ranked)
    answers = [explainer.answer(i, query, gold[i]) for i, query in enumerate(queries)]
    wanted = {name for chunks in gold for name in chunks}
    relevant = [chunk for chunk in ranked.chunks.values() if chunk.id in wanted]
    cut = sum(explainer.read_to(chunk) is not None for chunk in relevant)
    absent = len(wanted) - len(relevant)
    missed = [one.gold.chunk for one in answers if one.gold is not None and one.missed]
    return Retrieval(checkpoint.name, store, answers, explainer.lost_words(missed), absent, cut)


def ndcg(grades: Sequence[float], relevant: Sequence[float]) -> float:
    """Return nDCG@10 for the grades of the first chunks, and of all relevant ones.

    >>> round(ndcg([0, 1], [1]), 4)
    0.6309
    """
    discount = 1 / np.log2(np.arange(2, TOPN + 2))
    ideal = np.sort(relevant)[::-1][:TOPN]
    found = np.asarray(grades[:TOPN], np.float64)
    return float((found * discount[: len(found)]).sum() / (ideal * discount[: len(ideal)]).sum())


@dataclass
class _Explainer:
    checkpoint: Checkpoint
    encoder: Encoder
    ranked: Ranked

    def __post_init__(self) -> None:
        self._contrast = Contrast(self.checkpoint, topn=_COMPARED)
        self._function = frozenset(self.checkpoint.function_words.tolist())
        chunks = [chunk for chunk in self.ranked.chunks.values() if chunk.text]
        ends = self.encoder.read_to([chunk.text or "" for chunk in chunks]) if chunks else []
        self._ends = {chunk.row: end for chunk, end in zip(chunks, ends, strict=True)}
        self._by_id = {chunk.id: chunk for chunk in self.ranked.chunks.values()}

    def read_to(self, chunk: Chunk) -> int | None:
        """Return how far the text of a chunk was read; None if all of it was."""
        return self._ends.get(chunk.row)

    def answer(self, i: int, query: Query, gold: Mapping[str, float]) -> Answer:
        rows = [row for row in self.ranked.rows[i].tolist() if row >= 0]
        chunks = [self.ranked.chunks[row] for row in rows]
        grades = [gold.get(chunk.id, 0.0) for chunk in chunks]
        found = sum(grade > 0 for grade in grades[:TOPN])
        first = self._hit(query, chunks[0], 1, gold)
        places = self.ranked.places[i]
        best = min(places, key=lambda name: (places[name], name), default=None)
        relevant = None if best is None else self._hit(query, self._by_id[best], places[best], gold)
        figures = ndcg(grades, list(gold.values())), found / len(gold)
        if relevant is None or first.grade > 0:
            return Answer(query, relevant, first, *figures)
        lost, unread = self._lacks(query, relevant.chunk)
        return Answer(query, relevant, first, *figures, lost, unread, self._astray(query, relevant.chunk, first.chunk))

    def _hit(self, query: Query, chunk: Chunk, place: int, gold: Mapping[str, float]) -> Hit:
        lengths = np.linalg.norm(query.vector) * np.linalg.norm(chunk.vector)
        cosine = float(query.vector @ chunk.vector / lengths) if lengths else 0.0
        return Hit(chunk, place, cosine, gold.get(chunk.id, 0.0), self.read_to(chunk) is not None)

    def _astray(self, query: Query, gold: Chunk, first: Chunk) -> tuple[tuple[str, float], ...]:
        """Return the words whose share of the cosine is larger for the chunk that came first, with the difference."""
        of_first, of_gold = (
            _shares(
                self._contrast(query.vector, chunk.vector, (self._count(query.text), self._count(self._read(chunk))))
            )
            for chunk in (first, gold)
        )
        gaps = {word: share - of_gold.get(word, 0.0) for word, share in of_first.items() if share > 0}
        best = sorted((word for word in gaps if gaps[word] > 0), key=lambda word: -gaps[word])
        surface = self.checkpoint.vocabulary.surface
        return tuple((surface(word), gaps[word]) for word in best[:_NAMED])

    def _lacks(self, query: Query, gold: Chunk) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the words of a query that a chunk's text has and its vector does not say, and those not read."""
        asked = self._content(query.text)
        read = set(self._content(self._read(gold) or ""))
        said = self._says(gold, asked)
        behind = set(self._content(gold.text or "")) - read
        surface, words = self.checkpoint.vocabulary.surface, self.checkpoint.vocabulary.words
        lost = [surface(words[w]) for w, has in zip(asked, said, strict=True) if w in read and not has]
        return tuple(lost), tuple(surface(words[w]) for w in asked if w in behind)

    def lost_words(self, missed: Sequence[Chunk]) -> list[LostWord]:
        """Return the content words that most of these chunks lack in their vectors, though their texts have them."""
        lost: Counter[int] = Counter()
        has: Counter[int] = Counter()
        for chunk in {chunk.row: chunk for chunk in missed}.values():
            words = self._content(self._read(chunk) or "")
            has.update(words)
            lost.update(w for w, said in zip(words, self._says(chunk, words), strict=True) if not said)
        vocabulary = self.checkpoint.vocabulary
        # Of words that are lost equally often, the one that is usually kept has less of a claim.
        best = sorted(lost, key=lambda w: (-lost[w], has[w], w))[:_LISTED]
        return [LostWord(vocabulary.surface(vocabulary.words[w]), lost[w], has[w]) for w in best]

    def _says(self, chunk: Chunk, words: Sequence[int]) -> Sequence[bool]:
        if not words:
            return []
        scores = Scores(self.checkpoint, chunk.vector[None], None, [self._count(self._read(chunk))])
        likely = self.checkpoint.likely
        return [p is not None and p >= likely for p, _, _ in scores.of_words(0, list(words))]

    def _read(self, chunk: Chunk) -> str | None:
        return None if chunk.text is None else chunk.text[: self.read_to(chunk)]

    def _content(self, text: str) -> list[int]:
        """Return the different content words of a text that the vocabulary has, in order."""
        vocabulary = self.checkpoint.vocabulary
        known = dict.fromkeys(vocabulary.lookup(vocabulary.tokenizer(text)))
        return [w for w in known if w not in self._function]

    def _count(self, text: str | None) -> int | None:
        return None if text is None else int(bags_of_words([text], self.checkpoint.vocabulary).sizes[0])


def _shares(pair: Pair) -> dict[str, float]:
    return {word.word: word.share for side in SIDES for word in getattr(pair, side)}


def _interval(values: Floats, seed: int) -> Interval:
    n = len(values)
    drawn = np.random.default_rng(seed).integers(n, size=(_RESAMPLES, n))
    means = values[drawn].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))
