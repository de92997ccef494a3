"""Measure word recall while sentence-transformers trains: the share of its words that an embedding still carries."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from flip.arrays import Floats32
from flip.data.corpora import split_rows
from flip.encoders.base import adapted, encode
from flip.errors import UnavailableError, UsageError
from flip.lens import fit, require_texts
from flip.text.languages import unspaced_language
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import Vocabulary, build_vocabulary

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

try:
    from sentence_transformers.sentence_transformer.evaluation import BaseEvaluator
except ImportError as error:
    raise UnavailableError("sentence-transformers is not installed", "pip install 'flip-interpret[st]'") from error

_LOG = logging.getLogger(__name__)
_BATCH = 1024
_METRICS = ("content_recall", "accuracy", "all_words")


class _Fitting(TypedDict):
    """Arguments of `flip.lens.fit`."""

    vocabulary: Vocabulary
    epochs: int | None
    rank: int | None
    seed: int


class WordRecallEvaluator(BaseEvaluator):
    """Fit a small lens to the current weights, and measure which words of held-out sentences it finds.

    Split, vocabulary and seed stay the same, so that only the model differs from call to call. The metrics, from 0 to
    1, are prefixed with the name and an underscore:

    content_recall: the share of a sentence's content words among its ten best; the primary metric.
    accuracy: of the k words of a sentence that the vocabulary has the share among its k best, with b.
    all_words: of all words of a sentence the share that is found so.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        *,
        held_out: float = 0.2,
        max_features: int = 5000,
        epochs: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        name: str = "",
        write_csv: bool = True,
    ) -> None:
        """Split the sentences and choose the vocabulary.

        Args:
            sentences: some thousands of the kind that the model is for; equal ones stay on one side.
            held_out: the share of them that is measured.
            max_features: words of the vocabulary, the most frequent of those held in.
            epochs, rank: of the lens; by default those of `flip.lens.fit`.
            seed: of the split and of the lens.
            name: of the evaluation.
            write_csv: whether each call adds a line to `csv_file` in the output folder.

        Raises:
            UsageError: nothing would be held in or out.
            InputError: not a list of strings, or too few to split.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        texts = require_texts(sentences)
        if not 1 <= round(held_out * len(texts)) < len(texts) - 1:
            raise UsageError(f"held_out={held_out} of {len(texts)} sentences", "a share such as 0.2, of some thousands")
        # fit splits these again; the dev part of this split is one sentence, and goes back to them.
        rows = split_rows([(text,) for text in texts], f"rest,1,{round(held_out * len(texts))}", seed)
        self._held_in = [texts[i] for i in rows["train"] + rows["dev"]]
        self._held_out = [texts[i] for i in rows["test"]]
        tokenizer = Tokenizer(unspaced_language(self._held_in) or "latin")
        self._fitting: _Fitting = {
            "vocabulary": build_vocabulary(self._held_in, tokenizer, max_features=max_features),
            "epochs": epochs,
            "rank": rank,
            "seed": seed,
        }
        self.name = name
        self.write_csv = write_csv
        self.csv_file = f"word_recall_evaluation{'_' if name else ''}{name}_results.csv"
        self.csv_headers = ["epoch", "steps", *_METRICS]
        self.primary_metric = _METRICS[0]

    def __call__(  # type: ignore[override]  # as its own evaluators of sentence embeddings do
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the metrics of the model as it is now.

        Args:
            model: of which all sentences are embedded.
            output_path: folder of the CSV file.
            epoch, steps: progress of the training, for the CSV file.

        Raises:
            InputError: an embedding holds NaN or infinity.
        """
        lens = fit(*self._embedded(model, self._held_in), **self._fitting)
        result = lens.evaluate(*self._embedded(model, self._held_out)).to_dict()["metrics"]
        values = [float((result[key].get("bias") or result[key])["mean"]) for key in _METRICS]
        _LOG.info(
            "Word recall evaluation of %s (epoch %s, step %s): %s",
            self.name or "the model", epoch, steps,
            ", ".join(f"{key} {value:.4f}" for key, value in zip(_METRICS, values, strict=True)),
        )  # fmt: skip
        if output_path is not None and self.write_csv:
            self._write(Path(output_path) / self.csv_file, [epoch, steps, *values])
        metrics: dict[str, float] = self.prefix_name_to_metrics(dict(zip(_METRICS, values, strict=True)), self.name)
        self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics

    @property
    def description(self) -> str:
        """The name for the model card."""
        return "Word Recall"

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings for the model card."""
        chosen = {key: value for key, value in self._fitting.items() if key != "vocabulary"}
        return {"held_in": len(self._held_in), "held_out": len(self._held_out)} | chosen

    def _embedded(self, model: SentenceTransformer, texts: list[str]) -> tuple[Floats32, list[str]]:
        """Return the vectors (n, d), and the texts as far as the model read them."""
        encoder = adapted(model)
        parts = [encode(encoder, texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
        read = list(chain.from_iterable(lengths for _, lengths in parts))
        if cut := sum(length is not None for length in read):
            _LOG.warning("%d of %d sentences are longer than the model reads, and were cut", cut, len(texts))
        vectors = np.concatenate([vectors for vectors, _ in parts])
        return vectors, [text[:length] for text, length in zip(texts, read, strict=True)]

    def _write(self, path: Path, row: Sequence[object]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self.csv_headers, row] if new else [row])
