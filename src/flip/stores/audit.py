"""Measure how well listed terms can be read from stored vectors, and how much retrieval loses when they are hidden.

A term that is read here can be read by anybody who has the vectors, with one matrix product. A term that is not read
here is not proved safe: both readers are linear. Other attacks, above all trained inversion models, may read more, and
context reveals more than single terms.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from flip.arrays import Bools, Floats, Ints
from flip.errors import InputError, UsageError
from flip.files import Fields
from flip.inputs.prefetch import one_ahead
from flip.inputs.records import PartRead
from flip.inputs.stores.row_records import noted_parts
from flip.inputs.stores.store import Store
from flip.model.checkpoint import Checkpoint
from flip.stores.compression import COMPRESSIONS, Compression

FALSE_ALARMS = 0.01
FEWEST = 10  # rows with a term, and rows without, needed for a figure
_MOST = 500  # terms
_QUERIES = 200
_NEAREST = 10
_BINS, _LOW, _HIGH = 2048, -8.0, 12.0  # of scores, in standard deviations from the mean
_RIDGE = 1e-2  # of the mean variance, added to each


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """Recall at 1% false alarms, with its 95% interval (Wilson's), and precision at the term's rate in the store."""

    recall: float
    low: float
    high: float
    precision: float


@dataclass(frozen=True)
class TermRecall:
    """A term. rows: with it.  model: by the checkpoint, None if it lacks the word.  probe: see `Audit`.

    Both are None if fewer than 10 rows have the term, or fewer than 10 lack it.
    """

    term: str
    rows: int
    model: RecallEstimate | None
    probe: RecallEstimate | None

    @property
    def strongest(self) -> RecallEstimate | None:
        """Return the better of the two readers."""
        return max((one for one in (self.model, self.probe) if one), key=lambda one: one.recall, default=None)


@dataclass(frozen=True)
class CompressionAudit:
    """The audit of one form of the vectors.

    bytes: of a vector.  itself: the share of queries (vectors as stored) that find their own kept form among the ten
    nearest.  neighbours: the share of their ten nearest others that is the same as among vectors as stored.
    """

    form: str
    bytes: float
    itself: float
    neighbours: float
    terms: list[TermRecall]

    def to_dict(self) -> Fields:
        """Return the fields of an output record, with shares from 0 to 1."""

        def recall(one: RecallEstimate | None) -> dict[str, float] | None:
            names = ("recall", "low", "high", "precision")
            return None if one is None else {name: round(getattr(one, name), 4) for name in names}

        terms = [
            {"term": one.term, "rows": one.rows, "model": recall(one.model), "probe": recall(one.probe)}
            for one in self.terms
        ]
        costs = {"itself_at_10": round(self.itself, 4), "neighbours_at_10": round(self.neighbours, 4)}
        return {"form": self.form, "bytes": self.bytes} | costs | {"terms": terms}


@dataclass(frozen=True)
class AuditResult:
    """An audit of a store.

    rows: with a text and a vector.  left_out: others.  forms: the vectors as stored first.  cut: rows whose texts are
    longer than the encoder read; None if nothing tells.
    """

    store: str
    rows: int
    left_out: int
    forms: list[CompressionAudit]
    cut: int | None = None

    @property
    def too_few(self) -> list[str]:
        """Return the terms that too few rows have, or too few lack."""
        return [one.term for one in self.forms[0].terms if one.strongest is None]

    def above(self, limit: float) -> list[TermRecall]:
        """Return the terms whose recall from the vectors as stored is above a limit for certain."""
        return [one for one in self.forms[0].terms if one.strongest and one.strongest.low > limit]


def audit_store(
    store: Store,
    checkpoint: Checkpoint,
    terms: Sequence[str],
    seed: int,
    progress: Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]],
    ends: Callable[[Sequence[str]], Sequence[int | None]] | None = None,
) -> AuditResult:
    """Audit the vectors of a store that has texts. Terms are looked for where the encoder read, if something tells.

    Args:
        store: read twice.
        checkpoint: the model whose words are one reader.
        terms: words, phrases and numbers.
        seed: of the noise and of the sample of queries.
        progress: called with the name of a pass; returns a callback for the rows done and their number.
        ends: tells how many characters the encoder reads of texts, None for all; asked if nothing is noted beside them.

    Raises:
        InputError: it has no vectors or no texts, or too few rows.
        UsageError: no terms, or too many.
    """
    if store.dimension is None:
        raise store.no_vectors(checkpoint.model.dimension)
    if store.chosen.texts is None:
        raise InputError(f"{store.name}: no column of text", "an audit compares vectors with their texts")
    audit = Audit(checkpoint, terms, seed)
    noted = noted_parts(store)
    cut: dict[int, int] = {}
    rows = left_out = 0
    with progress("learning") as on_rows:
        for part in _readable(store, store.chosen.texts):
            cut |= _cut(part, noted, ends)
            audit.learn(part.vectors, part.read(cut), rows)
            rows, left_out = rows + len(part.texts), left_out + part.size - len(part.texts)
            on_rows(rows + left_out, store.rows)
    audit.choose()
    done = 0
    with progress("testing") as on_rows:
        for part in _readable(store, store.chosen.texts):
            audit.test(part.vectors, part.read(cut), done)
            done += len(part.texts)
            on_rows(done, store.rows)
    known = noted is not None or ends is not None
    return AuditResult(store.name, rows, left_out, audit.result(), len(cut) if known else None)


@dataclass(frozen=True)
class _Readable:
    """The rows of a part that have both a vector and a text.  rows: their numbers.  size: rows of the part."""

    rows: list[int]
    vectors: Floats
    texts: list[str]
    size: int

    def read(self, cut: Mapping[int, int]) -> list[str]:
        """Return the parts of the texts that were read. cut: by row."""
        return [text[: cut.get(row)] for row, text in zip(self.rows, self.texts, strict=True)]


def _readable(store: Store, column: str) -> Iterator[_Readable]:
    for part in one_ahead(store.parts([column])):
        texts = part.column(column)
        written = np.array([bool(text and text.strip()) for text in texts], bool)
        usable = np.flatnonzero(np.isfinite(part.vectors).all(axis=1) & written)
        rows = (part.first + usable).tolist()
        yield _Readable(rows, part.vectors[usable], [texts[i] for i in usable], len(texts))


def _cut(
    part: _Readable, noted: Sequence[PartRead] | None, ends: Callable[[Sequence[str]], Sequence[int | None]] | None
) -> dict[int, int]:
    """Return, by row, how many characters were read of the texts that were not read to their ends."""
    found: Sequence[int | None] = [None] * len(part.texts)
    if noted:
        own = [noted[row] for row in part.rows]
        found = [one.length if one.text == text else None for one, text in zip(own, part.texts, strict=True)]
    elif noted is None and ends is not None:
        found = ends(part.texts)
    return {row: end for row, end in zip(part.rows, found, strict=True) if end is not None}


@dataclass
class _Side:
    """Sums over one half of the rows in one form: over all rows, and over those with each term."""

    n: int
    total: Floats
    gram: Floats
    having: Floats  # (T,)
    with_term: Floats  # (T, d)


@dataclass
class Audit:
    """An audit in two passes over the vectors: `learn` from all, `choose`, then `test` all, then `result`.

    Two readers give each row a score for each term, linear in the vector. The model's is the checkpoint's own z, the
    sum over the words of a phrase: anybody with the encoder and no data can read as much. The probe's is a linear
    discriminant (S + r I)^-1 (mean with the term - mean without), learned on one half of the rows and tested on the
    other, for each form anew: anybody with some such vectors and their texts can read as much. S and the means are
    sums, so that no row is kept. A row is called when its score is above that of 99% of the rows without the term.
    """

    checkpoint: Checkpoint
    terms: Sequence[str]
    seed: int = 0
    forms: Sequence[Compression] = COMPRESSIONS
    _rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._keys = [tuple(_tokens(term)) for term in self.terms]
        self._lengths = sorted({len(key) for key in self._keys})
        if not self.terms or not all(self._keys):
            raise UsageError("no terms", "give one word, name or number a line")
        if len(self.terms) > _MOST:
            raise UsageError(f"{len(self.terms)} terms; an audit takes at most {_MOST}", "split the list")
        d, t = self.checkpoint.model.dimension, len(self.terms)
        self._sides = [
            [_Side(0, np.zeros(d), np.zeros((d, d)), np.zeros(t), np.zeros((t, d))) for _ in range(2)]
            for _ in self.forms
        ]
        self._known, self._model = self._model_weights()
        self._draw = np.random.default_rng(self.seed)
        self._queries = _Queries(len(self.forms), d)

    def learn(self, vectors: Floats, texts: Sequence[str], first: int) -> None:
        """Take a part of the first pass: vectors (n, d), finite, their texts, and the number of the first row."""
        has = self._has(texts)
        halves = self._halves(first, len(vectors))
        changed = self._changed(vectors, first)
        for sides, v in zip(self._sides, changed, strict=True):
            for half, side in enumerate(sides):
                mine = halves == half
                u, h = v[mine].astype(np.float64), has[mine].astype(np.float64)
                side.n += len(u)
                side.total += u.sum(axis=0)
                side.gram += u.T @ u
                side.having += h.sum(axis=0)
                side.with_term += h.T @ u
        self._queries.offer(changed, first, self._draw.random(len(vectors)))
        self._rows += len(vectors)

    def choose(self) -> None:
        """Learn the probes, between the passes.

        Raises:
            InputError: there are fewer rows than a probe needs.
        """
        d, t = self.checkpoint.model.dimension, len(self.terms)
        if min(side.n for side in self._sides[0]) < 2 * FEWEST:
            raise InputError(
                f"{self._rows} rows with text are too few to audit", f"an audit needs at least {8 * FEWEST}"
            )
        # weights of both readers (form, half, reader, T, d), and the mean and deviation of their scores on that half
        self._weights = np.zeros((len(self.forms), 2, 2, t, d), np.float32)
        self._centre, self._scale = np.zeros((2, len(self.forms), 2, 2, t))
        for f, sides in enumerate(self._sides):
            for half, side in enumerate(sides):
                mean = side.total / side.n
                S = side.gram / side.n - np.outer(mean, mean)
                other = sides[1 - half]
                weights = np.stack([self._model, _discriminants(other)])
                self._weights[f, half] = weights
                self._centre[f, half] = weights @ mean
                self._scale[f, half] = np.sqrt(np.maximum(np.einsum("rti,ij,rtj->rt", weights, S, weights), 1e-24))
        self._counts = np.zeros((len(self.forms), 2, 2, 2, t * _BINS), np.int32)  # form, half, reader, has, T and bins
        self._queries.start()

    def test(self, vectors: Floats, texts: Sequence[str], first: int) -> None:
        """Take a part of the second pass, of the same rows as in the first."""
        has, halves = self._has(texts), self._halves(first, len(vectors))
        changed = self._changed(vectors, first)
        offsets = np.arange(len(self.terms)) * _BINS
        for f, v in enumerate(changed):
            for half in range(2):
                mine = halves == half
                for reader in range(2):
                    scores = v[mine] @ self._weights[f, half, reader].T
                    scores = (scores - self._centre[f, half, reader]) / self._scale[f, half, reader]
                    bins = np.clip(((scores - _LOW) * (_BINS / (_HIGH - _LOW))).astype(np.int64), 0, _BINS - 1)
                    for which in (0, 1):
                        flat = (bins + offsets)[has[mine] == bool(which)]
                        self._counts[f, half, reader, which] += np.bincount(
                            flat, minlength=len(offsets) * _BINS
                        ).astype(np.int32)
            self._queries.look(f, v, first)

    def result(self) -> list[CompressionAudit]:
        """Return the audit of each form, in their order."""
        d = self.checkpoint.model.dimension
        having = sum(side.having for side in self._sides[0])
        found = []
        for f, form in enumerate(self.forms):
            terms = []
            for t, term in enumerate(self.terms):
                model, probe = (self._reading(f, reader, t) for reader in range(2))
                rows = int(np.asarray(having)[t])
                terms.append(TermRecall(term, rows, model if self._known[t] else None, probe))
            itself, neighbours = self._queries.result(f)
            found.append(CompressionAudit(form.name, form.bytes(d), itself, neighbours, terms))
        return found

    def _reading(self, f: int, reader: int, t: int) -> RecallEstimate | None:
        hits, called, having, lacking = 0, 0, 0, 0
        for half in range(2):
            without, with_term = self._counts[f, half, reader].reshape(2, -1, _BINS)[:, t].astype(np.int64)
            alarms = np.cumsum(without[::-1])[::-1]  # rows without the term at or above each bin
            few = alarms <= FALSE_ALARMS * without.sum()
            bound = int(np.argmax(few)) if few.any() else _BINS
            hits += int(with_term[bound:].sum())
            called += int(with_term[bound:].sum() + without[bound:].sum())
            having, lacking = having + int(with_term.sum()), lacking + int(without.sum())
        if min(having, lacking) < FEWEST:
            return None
        return RecallEstimate(hits / having, *_wilson(hits, having), hits / called if called else 0.0)

    def _changed(self, vectors: Floats, first: int) -> list[Floats]:
        u = np.asarray(vectors, np.float32)
        rng = np.random.default_rng((self.seed, first))  # the same noise in both readings
        return [np.asarray(form.change(u, rng), np.float32) for form in self.forms]

    def _halves(self, first: int, n: int) -> Ints:
        """Return (n,) 0 or 1, by the number of the row, independent of any order of the rows."""
        rows = np.arange(first, first + n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.asarray(rows >> np.uint64(63), np.int64)

    def _has(self, texts: Sequence[str]) -> Bools:
        """Return (n, T), whether a text has a term, as whole words in upper or lower case."""
        index: dict[tuple[str, ...], list[int]] = {}
        for t, key in enumerate(self._keys):
            index.setdefault(key, []).append(t)
        has = np.zeros((len(texts), len(self._keys)), bool)
        for i, text in enumerate(texts):
            tokens = _tokens(text)
            for length in self._lengths:
                for start in range(len(tokens) - length + 1):
                    if found := index.get(tuple(tokens[start : start + length])):
                        has[i, found] = True
        return has

    def _model_weights(self) -> tuple[list[bool], Floats]:
        """Return which terms the checkpoint knows, and (T, d) the sums of the rows of A B of their words."""
        model, vocabulary = self.checkpoint.model, self.checkpoint.vocabulary
        B = getattr(model, "B", None)
        known, weights = [], np.zeros((len(self.terms), model.dimension))
        for t, term in enumerate(self.terms):
            words = vocabulary.tokenizer.words(term)
            indices = [vocabulary.index[word] for word in words if word in vocabulary.index]
            known.append(bool(words) and len(indices) == len(words))
            if known[-1]:
                row = model.output[indices].astype(np.float64).sum(axis=0)
                weights[t] = row if B is None else row @ B
        return known, weights


class _Queries:
    """A random sample of rows as queries, and their nearest rows in each form."""

    def __init__(self, forms: int, d: int) -> None:
        self._keys = np.empty(0)
        self._rows = np.empty(0, np.int64)
        self._kept = np.empty((forms, 0, d), np.float32)

    def offer(self, changed: list[Floats], first: int, keys: Floats) -> None:
        rows = np.arange(first, first + len(keys))
        self._keys = np.concatenate([self._keys, keys])
        best = np.argsort(-self._keys, kind="stable")[:_QUERIES]
        new = best[best >= len(self._rows)] - len(self._rows)
        fresh = np.stack([v[new] for v in changed])
        old = best[best < len(self._rows)]
        self._rows = np.concatenate([self._rows[old], rows[new]])
        self._kept = np.concatenate([self._kept[:, old], fresh], axis=1)
        self._keys = np.concatenate([self._keys[old], keys[new]])

    def start(self) -> None:
        self._queries = _unit(self._kept[0])  # as stored
        self._own = np.einsum("qd,fqd->fq", self._queries, _unit(self._kept))
        shape = len(self._kept), len(self._rows)
        self._better = np.zeros(shape, np.int64)
        self._near = np.full((*shape, _NEAREST), -np.inf)
        self._names = np.full((*shape, _NEAREST), -1)

    def look(self, f: int, v: Floats, first: int) -> None:
        similar = self._queries @ _unit(v).T
        rows = np.arange(first, first + len(v))
        similar[self._rows[:, None] == rows] = -np.inf  # itself
        self._better[f] += (similar > self._own[f][:, None] + 1e-6).sum(axis=1)
        both = np.concatenate([self._near[f], similar], axis=1)
        names = np.concatenate([self._names[f], np.broadcast_to(rows, similar.shape)], axis=1)
        best = np.argpartition(-both, _NEAREST - 1, axis=1)[:, :_NEAREST]
        self._near[f], self._names[f] = (np.take_along_axis(one, best, axis=1) for one in (both, names))

    def result(self, f: int) -> tuple[float, float]:
        """Return the share of queries that find themselves among ten, and the share of their neighbours that stay."""
        same = (self._names[f][:, :, None] == self._names[0][:, None, :]).any(axis=2)
        return float((self._better[f] < _NEAREST).mean()), float(same.mean())


def _discriminants(side: _Side) -> Floats:
    """Return (T, d), the linear discriminant of each term; 0 if no row or every row has it."""
    mean = side.total / side.n
    S = side.gram / side.n - np.outer(mean, mean)
    S[np.diag_indices_from(S)] += _RIDGE * np.trace(S) / len(S) + 1e-12
    having = side.having[:, None]
    lacking = side.n - having
    usable = (having > 0) & (lacking > 0)
    difference = side.with_term / np.maximum(having, 1) - (side.total - side.with_term) / np.maximum(lacking, 1)
    return np.asarray(np.linalg.solve(S, np.where(usable, difference, 0).T).T)


def _wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.975)
    p = hits / n
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return float(max(0.0, (centre - half) / (1 + z**2 / n))), float(min(1.0, (centre + half) / (1 + z**2 / n)))


def _unit(u: Floats) -> Floats:
    return np.asarray(u / np.maximum(np.linalg.norm(u, axis=-1, keepdims=True), 1e-12))


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
