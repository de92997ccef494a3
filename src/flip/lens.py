"""Use a model from Python: `load` or `fit` a Lens, and explain a sentence or a vector."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from html import escape
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from warnings import warn

import numpy as np

from flip.encoders import load_encoder
from flip.encoders.base import Encoder, adapted, as_matrix, encode, require_batch
from flip.encoders.identity import describe
from flip.errors import InputError, UsageError
from flip.explain.explainer import Explainer
from flip.explain.results import Comparison, Explanation, Failure, Result
from flip.files import os_errors
from flip.forks import made_again
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flip.model.keywords import BEHIND_ALL, top_k
from flip.text.vocabulary import Vocabulary, build_vocabulary

if TYPE_CHECKING:
    from flip.arrays import Floats32, Ints
    from flip.evaluation.results import EvalResult


_ROWS = 1024  # embedded, or scored, at a time


class Lens:
    """A model with its words and its encoder.

    Examples:
        >>> import flip
        >>> lens = flip.load()
        >>> [word.surface for word in lens.explain("The train to Boston was late.").words[:3]]
        ['Boston', 'late', 'train']
    """

    def __init__(self, checkpoint: Checkpoint, encoder: object = None) -> None:
        """Take a checkpoint, and its own encoder if none is given, which is loaded when the first text needs it."""
        self.checkpoint = checkpoint
        self._given = None if encoder is None else adapted(encoder)

    @made_again
    def encoder(self) -> Encoder:
        """The encoder of texts and recordings."""
        return self._given or Explainer(self.checkpoint).encoder

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary, in the order of the columns of `scores`."""
        return self.checkpoint.vocabulary.words

    @overload
    def explain(self, what: str | Path, against: None = None, *, topn: int = 10) -> Explanation: ...
    @overload
    def explain(self, what: str | Path, against: str | Path, *, topn: int = 10) -> Comparison: ...
    @overload
    def explain(self, what: list[str], against: None = None, *, topn: int = 10) -> list[Explanation]: ...
    @overload
    def explain(self, what: list[str], against: object, *, topn: int = 10) -> list[Comparison]: ...
    @overload
    def explain(self, what: object, against: object = None, *, topn: int = 10) -> Any: ...

    def explain(self, what: object, against: object = None, *, topn: int = 10) -> Any:
        """Return the words of a sentence or of an embedding, (d,).

        Args:
            what: str, (d,) array, or a list of str, a column of texts, or an (n, d) array; a Path is a recording.
            against: a second input of the same kind, to find shared words and those of only one; for one text, also
                several, which come back the nearest first.
            topn: number of words at most.

        Returns:
            An Explanation, or with `against` a Comparison; a list of them for several.

        Raises:
            InputError: another dimension, NaN, an encoder of other weights, a whole table, or the name of a file.
            UsageError: topn is not a whole number of at least 1.
        """
        topn = _require_count(topn, "topn")
        records, several = self._records(what)
        explainer = self._explaining(topn)
        results: Iterator[Result] = (
            explainer.stream(records) if against is None else explainer.pairs(records, self._records(against)[0])
        )
        found = [_without_error(result) for result in results]
        return found if several or len(found) > 1 else found[0]

    def scores(self, X: object) -> Floats32:
        """Return (n, |V|) scores A(Bu) + b of embeddings (n, d), or (|V|,) of one, (d,); see `blocks` for many."""
        u = self._embeddings(X)
        z = self.checkpoint.model.scores(np.atleast_2d(u))
        return z if u.ndim == 2 else z[0]

    def blocks(self, X: object) -> Iterator[Floats32]:
        """Yield the scores of many rows, 1,024 at a time, so that memory stays that of a block."""
        u = np.atleast_2d(self._embeddings(X))
        for start in range(0, len(u), _ROWS):
            yield self.checkpoint.model.scores(u[start : start + _ROWS])

    def top(self, X: object, k: int = 10) -> tuple[Ints, Floats32]:
        """Return columns and scores of the k best words of embeddings (n, d), both (n, k); function words come last."""
        k = _require_count(k, "k")
        columns, scores = [], []
        for z in self.blocks(X):
            z[:, self.checkpoint.function_words] -= BEHIND_ALL
            best = top_k(z, k)
            columns.append(best)
            scores.append(np.take_along_axis(z, best, axis=1))
        return np.concatenate(columns), np.concatenate(scores)

    def evaluate(
        self, X: object, sentences: Sequence[str], metrics: Sequence[str] = ("accuracy", "content")
    ) -> EvalResult:
        """How much of the sentences of embeddings (n, d) is recovered; `metrics` are those of `flip eval`."""
        from flip.evaluation import evaluate, subject

        u, texts = np.atleast_2d(self._embeddings(X)), require_texts(sentences)
        _require_as_many(u, texts)
        if not isinstance(metrics, list | tuple):
            raise UsageError(f"metrics must be a list of names, got {metrics!r}", 'for example ["accuracy", "content"]')
        data = evaluate.EvaluationData("given", {"given": u}, dict(enumerate(texts)))
        (one,) = evaluate.evaluate_dataset(self.checkpoint, data, subject.EvaluationOptions(tuple(metrics)))
        return one.result

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint folder for `flip explain --model` and `flip.load`."""
        from flip.model.card import write_card

        with os_errors(Path(folder), "write"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        checkpoint = Checkpoint(self.checkpoint.model, self.checkpoint.vocabulary, self.checkpoint.config, str(folder))
        save_checkpoint(Path(folder), checkpoint)
        write_card(Path(folder), checkpoint)

    def __repr__(self) -> str:
        model = self.checkpoint.model
        of = f" of {self.checkpoint.encoder}" if self.checkpoint.encoder else ""
        return f"<Lens: {len(self.words):,} words, {model.dimension} dimensions{of}, rank {model.rank}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>"

    @made_again
    def _explainers(self) -> dict[int, Explainer]:
        """Explainers by the number of words that they show."""
        return {}

    def _explaining(self, topn: int) -> Explainer:
        if topn not in self._explainers:
            self._explainers[topn] = Explainer(self.checkpoint, lambda: self.encoder, topn=topn)
        return self._explainers[topn]

    def _records(self, what: object) -> tuple[list[Record], bool]:
        """Return the inputs as records, and whether they are several."""
        if isinstance(what, Path):
            return [Record(str(what), audio=what)], False
        if isinstance(what, str):
            if os.path.isfile(what):  # noqa: PTH113  (of a long sentence, Path raises)
                raise InputError(f"{what!r} is a file", "a recording is a pathlib.Path; of a text file give its lines")
            return [Record("text", text=what)], False
        if isinstance(what, Iterator):
            what = list(what)
        if _is_text(what):
            return [Record(f"text {i}", text=text) for i, text in enumerate(require_texts(what))], True
        u = self._embeddings(what)
        rows = np.atleast_2d(u)
        return [Record(f"row {i}", embedding=row, row=i) for i, row in enumerate(rows)], u.ndim == 2

    def _embeddings(self, X: object) -> Floats32:
        return require_matrix(X, self.checkpoint.model.dimension)


def load(name: str | Path | None = None, *, encoder: object = None) -> Lens:
    """Load the bundled model, or one by its folder or its name on the hub.

    Args:
        name: as for `flip explain --model`.
        encoder: a name of `flip embed --list-encoders`, an Encoder, a model of sentence-transformers, or a function of
            a list of sentences; by default the checkpoint's own.
    """
    checkpoint = load_checkpoint(None if name is None else str(name))
    return Lens(checkpoint, load_encoder(encoder) if isinstance(encoder, str) else encoder)


def fit(
    X: object = None,
    sentences: object = None,
    *,
    encoder: object = None,
    language: str = "eng",
    strings: int = 60_000,
    vocabulary: Vocabulary | Sequence[str] | None = None,
    rank: int | Literal["full"] | None = None,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> Lens:
    """Train a model on embeddings and their sentences, on sentences, or on generated strings, which are embedded first.

    Args:
        X: (n, d) embeddings; or n sentences, to be embedded; None generates strings.
        sentences: of the embeddings; None if X holds sentences.
        encoder: that made the embeddings, or is to make them (minilm by default); as for `load`.
        language: of the strings, such as eng, deu or de.
        strings: how many are generated if X is None.
        vocabulary: the words to learn; by default the most frequent ones.
        rank: of the factors; "full" is LiP, None the recipe's own, but at most d.
        seed: of everything random.
        device: auto, cpu, cuda, cuda:1 or mps.
        options: ingredients of training, such as epochs=3 or lr=0.004; see `TrainConfig`.

    Raises:
        UsageError: an unknown ingredient, or a value out of its range.
        InputError: the numbers of embeddings and sentences differ, NaN, masked entries, or too few to split.
    """
    from flip.text.languages import unspaced_language
    from flip.text.strings import Chain, language_of
    from flip.text.tokenize import Tokenizer
    from flip.training.pipeline import fit_checkpoint
    from flip.training.recipes import TrainConfig

    if unknown := options.keys() - {field.name for field in fields(TrainConfig)} | options.keys() & {"recipe"}:
        raise UsageError(f"no ingredient of training is called {min(unknown)!r}", "see flip.TrainConfig")
    if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        vocabulary = Vocabulary(tuple(dict.fromkeys(require_texts(vocabulary))))
    if vocabulary is not None and not len(vocabulary):
        raise InputError("the vocabulary has no word", "leave it out for the most frequent words of the sentences")
    used = load_encoder(encoder) if isinstance(encoder, str) else None if encoder is None else adapted(encoder)
    rows: dict[str, range] | None = None
    natural = None
    if X is None:
        if used is None:
            raise UsageError(
                "nothing to learn from", "flip.fit(encoder=f), flip.fit(sentences) or flip.fit(X, sentences)"
            )
        X, rows, natural = _generated(language, _require_count(strings, "strings"), seed)
        if vocabulary is None and not isinstance(language_of(language), Chain):
            vocabulary = build_vocabulary(X[: len(rows["train"])], Tokenizer(unspaced_language(X) or "unicode"))
    if sentences is None:
        if not _is_text(X):
            raise UsageError("embeddings without their sentences", "flip.fit(X, sentences)")
        sentences, used = X, used or load_encoder("minilm")
        texts = require_texts(sentences)
        blocks = [encode(used, texts[i : i + _ROWS]) for i in range(0, len(texts), _ROWS)]
        X = np.concatenate([vectors for vectors, _ in blocks])
        read = list(chain.from_iterable(lengths for _, lengths in blocks))
        if cut := sum(length is not None for length in read):
            sentences = [text[:length] for text, length in zip(texts, read, strict=True)]
            warn(f"{cut} of {len(texts)} sentences are longer than {used.name} reads, and were cut", stacklevel=2)
    texts, u = require_texts(sentences), require_matrix(X)
    _require_as_many(u, texts)
    about = None if used is None else describe(used, {"text"})
    given: Mapping[str, Any] = options
    checkpoint = fit_checkpoint(
        u, texts, vocabulary=vocabulary, rank=rank, seed=seed, device=device, options=given, encoder=about, rows=rows,
        natural=natural,
    )  # fmt: skip
    return Lens(checkpoint, used)


def _generated(language: str, n: int, seed: int) -> tuple[list[str], dict[str, range], int]:
    """Return generated strings, the rows of train, dev and test among them, and how many of train are natural."""
    from flip.data.corpora import TEXT, of_strings
    from flip.text.strings import language_of

    parts = of_strings(language_of(language), n, seed)
    texts: list[str] = []
    rows = {}
    for name, part in parts.items():
        rows[name] = range(len(texts), len(texts) + len(part.texts[TEXT]))
        texts += part.texts[TEXT]
    return texts, rows, len(rows["train"]) - parts["train"].flat


def require_matrix(X: object, dimension: int | None = None) -> Floats32:
    """Return embeddings (n, d) or (d,) of any library as float32.

    Raises:
        InputError: another shape or dimension, NaN, infinity or masked entries.
    """
    if any(np.ma.is_masked(row) for row in (X if isinstance(X, list | tuple) else [X])):
        raise InputError("an embedding has masked entries", "leave such rows out, or fill them")
    if isinstance(X, str | bytes):
        raise InputError(f"{type(X).__name__}, not embeddings", "explain() takes texts; decode bytes first")
    try:
        found = as_matrix(X, "given")
    except InputError as error:
        raise InputError("neither a list of strings nor a matrix of numbers", "(n, d), or (d,) for one") from error
    if found.ndim not in (1, 2) or not found.size:
        raise InputError(f"embeddings have shape {found.shape}", "(n, d), or (d,) for one")
    if dimension is not None and found.shape[-1] != dimension:
        raise InputError(f"embeddings have {found.shape[-1]} dimensions; the model expects {dimension}")
    if not np.isfinite(found).all():
        raise InputError("an embedding holds NaN or infinity", "leave such rows out")
    return found


def _is_text(what: Any) -> bool:
    """Return whether the input is a list or a column (numpy, pandas, polars) of sentences.

    Raises:
        InputError: it is a whole table.
    """
    if isinstance(what, Mapping) or hasattr(what, "columns"):
        names = ", ".join(map(str, what if isinstance(what, Mapping) else what.columns))
        raise InputError(f"a table of {names}, not a list of sentences or vectors", "give one column of it")
    return hasattr(what, "__len__") and len(what) > 0 and any(isinstance(one, str) for one in list(what)[:10])


def require_texts(sentences: Any) -> list[str]:
    """Return sentences as a list.

    Raises:
        InputError: one string in the place of a list, or an item that is not a string.
    """
    require_batch(sentences)
    texts = list(sentences)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"sentence {i} is {type(text).__name__}, not a string", "leave such rows out")
    return texts


def _require_count(value: object, name: str) -> int:
    """Return a number of words as an int; raise a UsageError unless it is a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _require_as_many(u: Floats32, texts: Sequence[str]) -> None:
    if u.ndim != 2 or len(u) != len(texts):
        raise InputError(f"embeddings of shape {u.shape} for {len(texts)} sentences", "row i belongs to sentence i")


def _without_error(result: Result) -> Explanation | Comparison:
    if isinstance(result, Failure):
        raise InputError(result.error)
    return result
