"""Drift in words: changes are found, a resample changes nothing, and intervals hold as often as promised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from flip.errors import InputError
from flip.model.checkpoint import Checkpoint, load_checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear, LogLinear
from flip.stores.drift import Moments, drift
from flip.text.vocabulary import Vocabulary
from tests.conftest import Flip

Fails = Callable[..., str]
D, WORDS = 10, 500
RNG = np.random.default_rng(11)
A, B = RNG.normal(size=(WORDS, 6)).astype(np.float32), RNG.normal(size=(6, D)).astype(np.float32)
b = np.linspace(0, -8, WORDS).astype(np.float32)
VOCABULARY = Vocabulary(tuple(f"w{i}" for i in range(WORDS)))
BERNOULLI = CheckpointConfig(objective="bernoulli")
CHECKPOINT = Checkpoint(FactorizedLogLinear(A, B, b), VOCABULARY, BERNOULLI)


def moments(u: np.ndarray, checkpoint: Checkpoint = CHECKPOINT, size: int = 37) -> Moments:
    found = Moments(checkpoint)
    for start in range(0, len(u), size):
        found.add(u[start : start + size].astype(np.float32))
    return found


def test_variances_equal_those_of_the_scores() -> None:
    u = RNG.normal(2, 3, (300, D))
    for model in (CHECKPOINT.model, LogLinear(A @ B, b)):
        one = moments(u, Checkpoint(model, VOCABULARY, BERNOULLI))
        np.testing.assert_allclose(one.variances(), model.scores(u).var(axis=0, ddof=1), rtol=1e-3)
        p = 1 / (1 + np.exp(-model.scores(u).astype(np.float64)))
        np.testing.assert_allclose(one.said, p.mean(axis=0), rtol=1e-4, atol=1e-7)


def test_intervals_hold_for_all_words_together() -> None:
    """Draw 200 pairs of samples with a known difference: in 95 of 100 every word's interval has it."""
    shift, spread = np.linspace(-1, 1, D), np.linspace(0.5, 2, D)
    truth = A @ B @ shift
    kept, words = 0, 0
    for _ in range(200):
        old, new = RNG.normal(size=(80, D)), RNG.normal(size=(150, D)) * spread + shift
        found = drift(moments(old), moments(new), CHECKPOINT, topn=WORDS)
        listed = [*found.rose, *found.fell]
        words += len(listed)
        kept += all(word.low <= truth[int(word.word[1:])] <= word.high for word in listed)
    assert words > 1000
    assert kept >= 186


def test_a_resample_shows_no_drift() -> None:
    u = RNG.normal(size=(900, D)) * np.linspace(0.2, 4, D)
    changed = [
        drift(moments(u[RNG.integers(0, 900, 700)]), moments(u[RNG.integers(0, 900, 500)]), CHECKPOINT).changed
        for _ in range(60)
    ]
    assert np.count_nonzero(changed) <= 6


def test_a_word_that_rose_one_way_fell_the_other() -> None:
    old, new = RNG.normal(size=(2, 500, D))
    direction = (A @ B)[40] / np.linalg.norm((A @ B)[40])
    found = drift(moments(old), moments(new + 1.5 * direction), CHECKPOINT, topn=WORDS)
    first = next(word for word in found.rose if word.word == "w40")
    assert first.low < 1.5 * np.linalg.norm((A @ B)[40]) < first.high
    assert first.share_new and first.share_old and first.share_new > first.share_old
    assert found.changed >= len(found.rose) + len(found.fell)
    back = drift(moments(new + 1.5 * direction), moments(old), CHECKPOINT, topn=WORDS)
    assert [w.word for w in back.fell] == [w.word for w in found.rose]
    assert found.moved == pytest.approx(np.linalg.norm((new + 1.5 * direction).mean(0) - old.mean(0)), rel=1e-4)


def test_multinomial_models_have_no_shares() -> None:
    plain = Checkpoint(CHECKPOINT.model, VOCABULARY)
    old, new = RNG.normal(size=(2, 200, D))
    found = drift(moments(old, plain), moments(new + 1, plain), plain)
    assert found.rose and found.rose[0].share_new is None


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="3 rows on one side"):
        drift(moments(RNG.normal(size=(3, D))), moments(RNG.normal(size=(90, D))), CHECKPOINT)


def write(path: Path, u: np.ndarray) -> Path:
    pq.write_table(pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1])}), path)
    return path


@pytest.mark.slow
def test_two_stores_on_the_command_line(flip: Flip, fails: Fails, here: Path, minilm: Encoder, sentences: list) -> None:
    u = minilm.encode(sentences[:1200])
    train = np.array(["train" in text.lower() for text in sentences[:1200]])
    write(here / "old.parquet", u[~train][:500])
    np.save("new.npy", np.concatenate([u[~train][500:900], *[u[train]] * 8]))
    result = flip("store", "drift", "old.parquet", "new.npy", "--encoder", "minilm")
    assert result.code == 0, result.err
    (record,) = result.records
    assert "train" in [word["word"] for word in record["rose"]]
    assert all(word["low"] > 0 and word["share_new"] > word["share_old"] for word in record["rose"])
    assert (record["old"], record["old_rows"]) == ("old.parquet", 500)
    order = RNG.permutation(len(u))
    write(here / "a.parquet", u[order[:600]])
    write(here / "b.parquet", u[order[600:]])
    (same,) = flip("store", "drift", "a.parquet", "b.parquet").records
    assert (same["changed"], same["rose"], same["fell"]) == (0, [], [])
    assert "flip store drift OLD NEW" in fails(2, "explain", "a.parquet", "--summary")
    assert load_checkpoint().calibrated
