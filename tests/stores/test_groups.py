"""Words of groups: found in planted groups, absent in random ones, and not the frequent ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import t as student

from flip.encoders import Encoder
from flip.errors import InputError
from flip.model.checkpoint import Checkpoint, load_checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear
from flip.stores.groups import Group, GroupWords, critical, welch
from flip.stores.labels import find_clusters
from flip.text.vocabulary import Vocabulary
from tests.conftest import Flip

Fails = Callable[..., str]
D, WORDS = 12, 400
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Return a model with words along random directions, from frequent (b = 1) to rare (b = -9)."""
    A = RNG.normal(size=(WORDS, D)).astype(np.float32)
    b = np.linspace(1, -9, WORDS).astype(np.float32)
    words = Vocabulary(tuple(f"w{i}" for i in range(WORDS)))
    return Checkpoint(
        FactorizedLogLinear(A, np.eye(D, dtype=np.float32), b), words, CheckpointConfig(objective="bernoulli")
    )


def grouped(checkpoint: Checkpoint, u: np.ndarray, labels: list[object], size: int = 97) -> dict[object, Group]:
    words = GroupWords(checkpoint)
    for start in range(0, len(u), size):
        words.count(u[start : start + size], labels[start : start + size])
    words.choose()
    for start in range(0, len(u), size):
        words.measure(u[start : start + size], labels[start : start + size], lambda i, start=start: start + i)
    return {group.label: group for group in words.result()}


@pytest.mark.parametrize("comparisons", [1, 300, 33_871, 1_000_000])
def test_quantiles_equal_those_of_student(comparisons: int) -> None:
    freedom = np.concatenate([np.arange(3, 100, 0.5), [200, 1e3, 1e6]])
    np.testing.assert_allclose(critical(comparisons, freedom), student.isf(0.025 / comparisons, freedom), rtol=1e-9)
    assert np.isinf(critical(comparisons, np.array([2.0])))


def test_intervals_cover_the_difference_as_often_as_promised() -> None:
    """Draw groups of other sizes and variances, 4,000 times: 95 of 100 intervals hold the true difference, not more."""
    n, other, repeats = 12, 60, 4000
    a, b = RNG.normal(1.5, 3.0, (repeats, n)), RNG.normal(0, 1.0, (repeats, other))
    error, freedom = welch(a.var(axis=1, ddof=1), n, b.var(axis=1, ddof=1), other)
    off = np.abs(a.mean(axis=1) - b.mean(axis=1) - 1.5)
    assert 0.94 < (off < critical(1, freedom) * error).mean() < 0.96
    # Of 20 intervals at once, all hold 95 times of 100.
    assert 0.93 < (off < critical(20, freedom) * error).reshape(-1, 20).all(axis=1).mean() <= 1


def test_a_group_moved_along_a_word_is_named_by_it(checkpoint: Checkpoint) -> None:
    u = RNG.normal(size=(600, D)).astype(np.float32)
    labels: list[object] = [i % 3 for i in range(600)]
    direction = checkpoint.model.output[150] / np.linalg.norm(checkpoint.model.output[150])
    u[::3] += 2 * direction
    found = grouped(checkpoint, u, labels)
    first = found[0].words[0]
    assert (found[0].rows, first.word) == (200, "w150")
    moved = 2 * float(np.linalg.norm(checkpoint.model.output[150]))
    assert first.low < moved < first.high
    z = u @ checkpoint.model.output[150]
    assert first.difference == pytest.approx(z[::3].mean() - np.delete(z, np.arange(0, 600, 3)).mean(), abs=1e-4)
    p = 1 / (1 + np.exp(-(z + checkpoint.model.b[150])))
    assert first.share == pytest.approx(p[::3].mean(), abs=1e-4)


def test_groups_at_random_have_no_words(checkpoint: Checkpoint) -> None:
    """Divide the same rows 40 times: words are found in 5% at the most; 95% for each word alone would find many."""
    u = (RNG.normal(size=(800, D)) * np.linspace(0.2, 3, D)).astype(np.float32)
    divisions = [grouped(checkpoint, u, RNG.integers(0, 4, 800).tolist()) for _ in range(40)]
    assert sum(any(group.words for group in found.values()) for found in divisions) <= 4


def test_frequent_words_do_not_win_by_being_frequent(checkpoint: Checkpoint) -> None:
    """Move the rows along a rare word; the most frequent words stay equally probable in both groups."""
    u = RNG.normal(size=(1000, D)).astype(np.float32)
    u[:500] += 3 * checkpoint.model.output[300] / np.linalg.norm(checkpoint.model.output[300])
    found = grouped(checkpoint, u, ["a"] * 500 + ["b"] * 500)
    assert "w300" in [word.word for word in found["a"].words]
    base = GroupWords(checkpoint)._probabilities(u).mean(axis=0)
    frequent = {f"w{i}" for i in np.argsort(-base)[:10]}
    assert len(frequent & {word.word for word in found["a"].words}) <= 3


def test_batches_and_their_order_do_not_matter(checkpoint: Checkpoint) -> None:
    u = RNG.normal(size=(300, D)).astype(np.float32)
    u[:100, 0] += 2
    labels: list[object] = ["a"] * 100 + ["b"] * 150 + [None] * 50
    one, other = (grouped(checkpoint, u, labels, size) for size in (7, 300))
    assert [w.word for w in one["a"].words] == [w.word for w in other["a"].words]
    assert one["a"].central == other["a"].central
    order = RNG.permutation(300)
    shuffled = grouped(checkpoint, u[order], [labels[i] for i in order])
    assert [order[i] for i in shuffled["a"].central] == one["a"].central
    assert sum(group.rows for group in one.values()) == 250
    np.testing.assert_allclose(np.abs(one["a"].position), np.abs(shuffled["a"].position), rtol=1e-3, atol=1e-4)


def test_central_rows_are_the_nearest_to_the_mean(checkpoint: Checkpoint) -> None:
    u = RNG.normal(size=(200, D)).astype(np.float32)
    found = grouped(checkpoint, u, ["a", "b"] * 100)
    away = np.linalg.norm(u[::2] - u[::2].mean(axis=0), axis=1)
    assert found["a"].central == [2 * int(i) for i in np.argsort(away)[:3]]


def test_too_many_groups_and_a_single_one_are_errors(checkpoint: Checkpoint) -> None:
    u = RNG.normal(size=(1200, D)).astype(np.float32)
    with pytest.raises(InputError, match="more than 1000 groups"):
        grouped(checkpoint, u, list(range(1200)))
    with pytest.raises(InputError, match="1 group"):
        grouped(checkpoint, u, ["a"] * 1200)
    found = grouped(checkpoint, u, [*["one"] * 1199, "lonely"])
    assert (found["lonely"].rows, found["lonely"].words) == (1, [])


def test_clusters_do_not_depend_on_the_order() -> None:
    centres = 10 * np.eye(4)
    truth = np.repeat(np.arange(4), 500)
    u = (centres[truth] + RNG.normal(size=(2000, 4))).astype(np.float32)
    found = np.array(find_clusters([u[i : i + 100] for i in range(0, 2000, 100)], 4).of(u))
    assert sorted(np.bincount(found)) == [500] * 4
    assert all(len(set(found[truth == k])) == 1 for k in range(4))
    with pytest.raises(InputError, match="3 vectors for 4 clusters"):
        find_clusters([u[:3]], 4)


@pytest.fixture
def topics(here: Path, minilm: Encoder) -> Path:
    """Return sentences of two kinds, 60 of each, with a projection and a label."""
    # fmt: off
    trains = [f"The train to {a} was {b}." for a in ("Boston", "Rome", "Berlin", "Paris", "Leeds", "Oslo") for b in
              ("late", "full", "early", "cold", "slow", "on time", "cancelled", "new", "empty", "crowded")]
    music = [f"She plays the {a} {b}." for a in ("violin", "piano", "flute", "drums", "cello", "guitar") for b in
             ("well", "at night", "in a band", "loudly", "at school", "alone", "badly", "daily", "softly", "now")]
    # fmt: on
    texts = trains + music
    u = minilm.encode(texts)
    columns = {
        "id": [f"r{i}" for i in range(120)], "text": texts, "kind": ["trains"] * 60 + ["music"] * 60,
        "x": [1.0] * 60 + [5.0] * 60, "y": [2.0] * 120,
        "v": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384),
    }  # fmt: skip
    pq.write_table(pa.table(columns), "s.parquet")
    return here / "s.parquet"


def test_topics_are_named_without_their_text(flip: Flip, topics: Path) -> None:
    table = pq.read_table(topics)
    pq.write_table(table.drop_columns(["text"]), "no_text.parquet")
    result = flip("store", "groups", "no_text.parquet", "--by", "kind", "--encoder", "minilm", "--labels", "l.parquet")
    assert result.code == 0, result.err
    named = {record["kind"]: [word["word"] for word in record["words"]] for record in result.records}
    assert "train" in named["trains"][:3] and "plays" in named["music"][:5]
    assert all(word["low"] > 0 and word["share"] > word["share_rest"] for r in result.records for word in r["words"])
    assert [len(record["central"]) for record in result.records] == [3, 3]
    labels = {row["group"]: row for row in pq.read_table("l.parquet").to_pylist()}
    assert (labels["trains"]["x"], labels["music"]["x"], labels["music"]["y"]) == (1.0, 5.0, 2.0)
    assert labels["trains"]["text"].split(", ")[0].lower() == named["trains"][0]
    assert "x and y are the means of x and y" in result.err


def test_clusters_find_the_topics(flip: Flip, topics: Path) -> None:
    result = flip("store", "groups", topics, "--clusters", 2, "-o", "c.parquet", "--labels", "l.jsonl")
    assert result.code == 0, result.err
    table = pq.read_table("c.parquet")
    of_kind = [set(table["cluster"].to_pylist()[part]) for part in (slice(0, 60), slice(60, 120))]
    assert of_kind in ([{0}, {1}], [{1}, {0}])
    assert table.schema.field("cluster").type == pa.int32()
    words = {record["cluster"]: record["words"][0]["word"] for record in result.records}
    assert "train" in words.values()
    assert all(row["cluster_words"] for row in table.to_pylist())
    assert len([json.loads(line) for line in Path("l.jsonl").read_text().splitlines()]) == 2
    assert flip("store", "groups", topics, "--clusters", 2, "-q").records == result.records


def test_rows_without_a_group_are_counted(flip: Flip, topics: Path) -> None:
    table = pq.read_table(topics)
    kinds = [None if i < 7 else kind for i, kind in enumerate(table["kind"].to_pylist())]
    pq.write_table(table.set_column(2, "kind", pa.array(kinds)), "s2.parquet")
    result = flip("store", "groups", "s2.parquet", "--by", "kind")
    assert "7 rows have no 'kind'" in result.err
    assert sorted(record["rows"] for record in result.records) == [53, 60]


def test_impossible_requests_are_errors(fails: Fails, topics: Path) -> None:
    assert "no column 'nothing'" in fails(3, "store", "groups", topics, "--by", "nothing")
    assert "group by a column of single values" in fails(3, "store", "groups", topics, "--by", "v")
    assert "--by COLUMN, or --clusters K" in fails(2, "store", "groups", topics, "--by", "kind", "--clusters", 3)
    assert "are both l.parquet" in fails(
        2, "store", "groups", topics, "--clusters", 2, "--labels", "l.parquet", "-o", "l.parquet"
    )
    assert "--by COLUMN, or --clusters K" in fails(2, "store", "groups", topics, "--labels", "l.parquet")
    assert "--labels FILE writes groups" in fails(2, "store", "groups", topics, "--by", "kind", "-o", "o.parquet")
    assert "120 vectors for 500 clusters" in fails(3, "store", "groups", topics, "--clusters", 500)
    assert ".parquet" in fails(2, "store", "groups", topics, "--clusters", 2, "--labels", "l.csv")


@pytest.mark.slow
def test_the_bundled_model_names_no_random_groups(minilm: Encoder, sentences: list[str]) -> None:
    u = minilm.encode(sentences[:600])
    found = grouped(load_checkpoint(), u, RNG.integers(0, 3, 600).tolist())
    assert not any(group.words for group in found.values())
