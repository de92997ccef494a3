"""Measure retrieval, and tell by words why a relevant chunk was missed and another came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flip.encoders.base import ends_read
from flip.explain.contrast import Contrast
from flip.model.keywords import Scores
from flip.retrieval.results import LISTED, TOPN, Answer, Hit, LostWord, Query, Retrieval
from flip.text.bow import bags_of_words

if TYPE_CHECKING:
    from flip.encoders.base import Encoder
    from flip.model.checkpoint import Checkpoint
    from flip.retrieval.ranking import Chunk, Ranked

_NAMED = 5  # words of a query that lead astray


def evaluate_retrieval(
    checkpoint: Checkpoint, encoder: Encoder, queries: Sequence[Query], gold: Sequence[Mapping[str, float]],
    ranked: Ranked, store: str, on_rows: Callable[[int, int | None], None],
) -> Retrieval:  # fmt: skip
    """Measure the ranking of a store, and explain it.

    nDCG@10 has the grades as gains, as trec_eval has. Relevant chunks that the store lacks count as missed.

    Args:
        checkpoint: a model of the encoder, which reads the words of vectors.
        encoder: tells how far it reads texts.
        queries, gold: each with its relevant chunks, at least one.
        ranked: of the same queries.
        store: its name.
        on_rows: called with the queries done, and their number.
    """
    explainer = _Explainer(checkpoint, encoder, ranked)
    answers = []
    for i, query in enumerate(queries):
        answers.append(explainer.answer(i, query, gold[i]))
        on_rows(i + 1, len(queries))
    wanted = {name for chunks in gold for name in chunks}
    relevant = [chunk for chunk in ranked.chunks.values() if chunk.id in wanted]
    cut = sum(explainer.read_to(chunk) is not None for chunk in relevant)
    absent = len(wanted) - len(relevant)
    missed = [one for one in answers if one.missed]
    return Retrieval(checkpoint.name, store, answers, explainer.lost_words(missed), absent, cut, ranked.size)


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
        self._contrast = Contrast(self.checkpoint)
        self._function = frozenset(self.checkpoint.function_words.tolist())
        chunks = [chunk for chunk in self.ranked.chunks.values() if chunk.text]
        ends = ends_read(self.encoder, [chunk.text or "" for chunk in chunks]) if chunks else []
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
        if relevant is None:
            return Answer(query, None, first, *figures)
        kept, lost, unread = self._words(query, relevant.chunk)
        if first.grade > 0:
            return Answer(query, relevant, first, *figures, kept)
        astray = self._astray(query, relevant.chunk, first.chunk)
        return Answer(query, relevant, first, *figures, kept, lost, unread, astray)

    def _hit(self, query: Query, chunk: Chunk, place: int, gold: Mapping[str, float]) -> Hit:
        lengths = np.linalg.norm(query.vector) * np.linalg.norm(chunk.vector)
        cosine = float(query.vector @ chunk.vector / lengths) if lengths else 0.0
        return Hit(chunk, place, cosine, gold.get(chunk.id, 0.0), self.read_to(chunk) is not None)

    def _astray(self, query: Query, gold: Chunk, first: Chunk) -> tuple[tuple[str, float], ...]:
        """Return the words whose share of the cosine is larger for the chunk that came first, with the difference."""
        if not (gold.vector.any() and first.vector.any()):  # a vector of zeros has no cosine to be shared
            return ()
        of_first, of_gold = (
            self._contrast.shares(query.vector, chunk.vector, (self._count(query.text), self._count(self._read(chunk))))
            for chunk in (first, gold)
        )
        gaps = np.where(of_first > 0, of_first - of_gold, 0)
        gaps[self.checkpoint.function_words] = 0
        vocabulary = self.checkpoint.vocabulary
        best = np.argsort(-gaps, kind="stable")[:_NAMED]
        return tuple((vocabulary.surface(vocabulary.words[w]), float(gaps[w])) for w in best if gaps[w] > 0)

    def _words(self, query: Query, gold: Chunk) -> tuple[tuple[str, ...], ...]:
        """Return the words of a query that the text of a chunk has: kept in its vector, lost there, and not read."""
        asked = self._content(query.text)
        read = set(self._content(self._read(gold) or ""))
        behind = set(self._content(gold.text or "")) - read
        said = {w for w, says in zip(asked, self._says(gold, asked), strict=True) if says}
        vocabulary = self.checkpoint.vocabulary
        groups = ([w for w in asked if w in read & said], [w for w in asked if w in read - said])
        return tuple(
            tuple(vocabulary.surface(vocabulary.words[w]) for w in group)
            for group in (*groups, [w for w in asked if w in behind])
        )

    def lost_words(self, missed: Sequence[Answer]) -> list[LostWord]:
        """Return the content words that most of the missed chunks lack in their vectors, though their texts have them.

        Of words that are lost equally often, those that the queries ask for come first, then those that are kept least.
        """
        vocabulary = self.checkpoint.vocabulary
        lost: Counter[int] = Counter()
        has: Counter[int] = Counter()
        asked = Counter(word for one in missed for word in one.lost)
        for chunk in {one.gold.chunk.row: one.gold.chunk for one in missed if one.gold is not None}.values():
            words = self._content(self._read(chunk) or "")
            has.update(words)
            lost.update(w for w, said in zip(words, self._says(chunk, words), strict=True) if not said)
        surface = {w: vocabulary.surface(vocabulary.words[w]) for w in lost}
        best = sorted(lost, key=lambda w: (-lost[w], -asked[surface[w]], has[w], w))[:LISTED]
        return [LostWord(surface[w], lost[w], has[w]) for w in best]

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
