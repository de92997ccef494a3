from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from flip.text.bow import bags_of_indices
from flip.training import training_data
from flip.training.distributed import Group
from flip.training.initialization import Whitening, fit_whitening
from flip.training.training_data import Batches, batch_edges, published_edges

N, D, WORDS = 70, 4, 9


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_data, "_BLOCK_ROWS", 32)
    monkeypatch.setattr(training_data, "_CHUNK_ROWS", 8)


def corpus() -> tuple[np.ndarray, list[list[int]]]:
    rng = np.random.default_rng(0)
    u = rng.normal(size=(N, D)).astype(np.float32)
    u[:, 0] = np.arange(N)  # tells the row
    return u, [rng.choice(WORDS, rng.integers(0, 4)).tolist() for _ in range(N)]


def made(u, lists, *, shuffle: bool = True, group: Group = Group(), **options) -> Batches:  # noqa: B008, frozen
    plain = Whitening(np.zeros(D, np.float32), np.eye(D, dtype=np.float32))
    settings = {"edges": batch_edges(len(u), 10), "shuffle": shuffle, "seed": 3}
    settings |= {"device": torch.device("cpu"), "group": group}
    return Batches([(u, 1.0)], bags_of_indices(lists), **(settings | {"whitening": plain} | options))


def rows(all_batches: Batches, number: int) -> list[list[int]]:
    return [batch.views[0][0][:, 0].int().tolist() for batch in all_batches.of_pass(number)]


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_sentence_once_with_its_own_words(shuffle: bool) -> None:
    u, lists = corpus()
    all_batches = made(u, lists, shuffle=shuffle)
    seen = []
    for batch in all_batches.of_pass(0):
        own = batch.views[0][0][:, 0].int().tolist()
        seen += own
        assert batch.n == len(own)
        X = torch.zeros(len(own), WORDS)
        X[batch.targets.rows, batch.targets.words] = batch.targets.values
        wanted = torch.from_numpy(np.array([np.bincount(lists[i], minlength=WORDS) for i in own])).float()
        assert torch.equal(X, wanted)
        assert torch.equal(batch.targets.totals, wanted.sum(1))
        assert batch.targets.words.tolist() == sorted(batch.targets.words.tolist())
    assert sorted(seen) == list(range(N))
    assert (seen == list(range(N))) is not shuffle
    assert len(all_batches) == len(rows(all_batches, 0)) == 7


def test_only_the_last_batch_is_short() -> None:
    assert list(map(len, rows(made(*corpus(), edges=batch_edges(N, 12)), 0))) == [12, 12, 12, 12, 12, 10]


def test_rows_from_all_over_the_data_meet_in_a_block() -> None:
    first_block = [row for batch in rows(made(*corpus()), 0)[:3] for row in batch]
    chunks = {row // 8 for row in first_block}
    assert len(first_block) == 30
    assert chunks != set(range(min(chunks), min(chunks) + len(chunks))), "only neighbours"


def test_the_order_depends_on_seed_and_pass_alone() -> None:
    assert rows(made(*corpus()), 1) == rows(made(*corpus()), 1)
    assert rows(made(*corpus()), 0) != rows(made(*corpus()), 1)
    assert rows(made(*corpus()), 0) != rows(made(*corpus(), seed=4), 0)


def test_processes_share_every_batch() -> None:
    whole = rows(made(*corpus()), 0)
    parts = [rows(made(*corpus(), group=Group(rank, 3)), 0) for rank in range(3)]
    assert [[row for share in shares for row in share] for shares in zip(*parts, strict=True)] == whole
    assert all(max(map(len, shares)) - min(map(len, shares)) <= 1 for shares in zip(*parts, strict=True))


def test_embeddings_are_conditioned_whatever_their_type() -> None:
    u, lists = corpus()
    whitening = fit_whitening([u])
    half = u.astype(np.float16)
    bags, cpu = bags_of_indices(lists), torch.device("cpu")
    all_batches = Batches([(half, 1.0)], bags, whitening, edges=[0, N], shuffle=False, seed=0, device=cpu)
    found = torch.cat([batch.views[0][0] for batch in all_batches.of_pass(0)])
    assert np.allclose(found.numpy(), whitening.apply(half.astype(np.float32)), atol=1e-5)


class _Watched:
    """A matrix that records the blocks read, and the threads that read them."""

    def __init__(self, u: np.ndarray) -> None:
        self.u, self.shape, self.dtype = u, u.shape, u.dtype
        self.read: list[threading.Thread] = []
        self.second = threading.Event()

    def __len__(self) -> int:
        return len(self.u)

    def __getitem__(self, key: slice) -> np.ndarray:
        self.read.append(threading.current_thread())
        if len(self.read) == 2:
            self.second.set()
        return self.u[key]


def test_the_next_block_is_read_while_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_data, "_CHUNK_ROWS", N)  # then a block is one slice
    u, lists = corpus()
    watched = _Watched(u)
    passing = made(watched, lists).of_pass(0)
    next(passing)
    assert watched.second.wait(timeout=30), "the second block is not read before it is asked for"
    assert threading.main_thread() not in watched.read
    assert len(watched.read) == 2, "no more than one block ahead"
    passing.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flip-reader")]


class _Failing(_Watched):
    """Reads the first block of 30 rows, and no more."""

    def __getitem__(self, key: slice) -> np.ndarray:
        rows = super().__getitem__(key)
        if key.stop > 30:
            raise OSError("the disk is gone")
        return rows


def test_an_error_in_the_reading_thread_is_raised() -> None:
    u, lists = corpus()
    failing = _Failing(u)
    passing = made(failing, lists, shuffle=False, edges=batch_edges(N, 30)).of_pass(0)
    assert len(next(passing).views[0][0]) == 30
    with pytest.raises(OSError, match="the disk is gone"):
        next(passing)
    assert threading.main_thread() not in failing.read


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_kept_on_the_device_make_the_same_batches(monkeypatch: pytest.MonkeyPatch, dtype) -> None:
    """A GPU keeps them if it has room; here the CPU stands in for the GPU."""
    u, lists = corpus()
    u = u.astype(dtype)
    whitening = fit_whitening([u], "whitened")
    read = list(made(u, lists, whitening=whitening).of_pass(1))
    monkeypatch.setattr(Batches, "_fits_device", lambda self: True)
    kept = made(u, lists, whitening=whitening)
    assert kept.is_resident
    for expected, batch in zip(read, kept.of_pass(1), strict=True):
        assert torch.allclose(batch.views[0][0], expected.views[0][0], atol=1e-5)
        assert torch.equal(batch.targets.words, expected.targets.words)
        assert torch.equal(batch.targets.rows, expected.targets.rows)


@pytest.mark.parametrize("size", [1, 7, 12, 33, 70, 6000])
@pytest.mark.parametrize("parts", [(70,), (50, 20), (3, 0, 67)])
def test_published_batches_are_equal_and_within_one_dataset(parts: tuple[int, ...], size: int) -> None:
    expected, offset = [], 0
    for n in parts:  # as the published sampler does
        if n:
            expected += torch.arange(offset, offset + n).chunk(max(1, n // size))
        offset += n
    found = made(*corpus(), shuffle=False, edges=published_edges(parts, size))
    assert rows(found, 0) == [chunk.tolist() for chunk in expected]
    assert len(found) == len(expected)
