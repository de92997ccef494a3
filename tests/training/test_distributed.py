"""Training in several processes: real ones, started by torchrun, on gloo."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.errors import UnavailableError, UsageError
from flip.inputs.embedding_files import open_embeddings
from flip.model.checkpoint import load_checkpoint
from processes import FLIP, children, finished, started, torchrun, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of torchrun in /proc"),
]

# 90 sentences a batch, the last of 34: two processes do not always have equal shares.
TRAINING = ("--rank", 24, "--batch-size", 90, "--precision", "float32", "--augment", 0, "-o")
FOREVER = ("--epochs", 100_000, "--patience", 100_000, *TRAINING)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> Path:
    """A folder with s.txt, 600 sentences."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "s.txt").write_text("\n".join(sentences[:600]))
    return folder


def log(run: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (run / "log.jsonl").read_bytes().splitlines()]


def lines(run: Path) -> int:
    return len(log(run)) if (run / "log.jsonl").is_file() else 0


@pytest.mark.parametrize(("objective", "augment"), [("bernoulli", 1), ("multinomial", 0)])
def test_two_processes_equal_one_with_the_same_global_batch(corpus: Path, objective: str, augment: int) -> None:
    """Within 1e-3 of the largest entry: sums are taken in another order, which AdamW magnifies if they are near 0.

    Both stop early, after the same pass, as all processes follow the scores of the first one on dev.
    """
    options = ("train", "s.txt", "--objective", objective, "--epochs", 40, "--patience", 2, *TRAINING)
    alone = finished(*FLIP, *options, f"one-{objective}", "--augment", augment, cwd=corpus)
    together = finished(*torchrun(2), *options, f"two-{objective}", "--augment", augment, cwd=corpus)
    assert (alone.returncode, together.returncode) == (0, 0), alone.stderr + together.stderr
    one, two = (load_checkpoint(corpus / f"{name}-{objective}") for name in ("one", "two"))
    for name in ("A", "B", "b"):
        x, y = getattr(one.model, name), getattr(two.model, name)
        assert np.abs(x - y).max() <= 1e-3 * np.abs(x).max(), name
    passes = [log(corpus / f"{name}-{objective}") for name in ("one", "two")]
    assert 2 < len(passes[0]) == len(passes[1]) < 40
    assert [line["loss"] for line in passes[0]] == pytest.approx([line["loss"] for line in passes[1]], rel=1e-5)
    # The first process alone prints and writes.
    assert len(together.stdout.splitlines()) == 1
    assert together.stderr.count("epoch 1/40") == 1
    folders = [sorted(path.relative_to(corpus / run) for path in (corpus / run).rglob("*"))
               for run in (f"one-{objective}", f"two-{objective}")]  # fmt: skip
    assert folders[0] == folders[1]
    assert np.array_equal(
        *(open_embeddings(corpus / f"{name}-{objective}" / "data" / "train.npy") for name in ("one", "two"))
    )


def test_a_dead_process_ends_all_and_resume_goes_on(corpus: Path) -> None:
    run = corpus / "killed"
    with started(*torchrun(2), "train", "s.txt", *FOREVER, run, cwd=corpus) as process:
        wait_until(lambda: lines(run) > 1, process)
        os.kill(children(process.pid)[1], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "error: process 0 of 2: another process ended" in err or "error: stopped by torchrun" in err
    assert "hint:  complete epochs are kept; start all processes again, with --resume" in err
    done = lines(run)
    with started(*torchrun(2), "train", "s.txt", *FOREVER, run, "--resume", cwd=corpus) as process:
        wait_until(lambda: lines(run) > done, process)
    assert [line["epoch"] for line in log(run)] == list(range(1, lines(run) + 1))


def test_ctrl_c_ends_all_and_explains_how_to_continue(corpus: Path) -> None:
    run = corpus / "interrupted"
    with started(*torchrun(2), "train", "s.txt", *FOREVER, run, cwd=corpus) as process:
        wait_until(lambda: lines(run) > 1, process)
        workers = children(process.pid)
        for pid in (process.pid, *workers):  # as a terminal does
            os.kill(pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert err.count("error: interrupted") == 1
    assert "give the same command again with --resume" in err
    assert not list(run.glob(".*"))


def test_the_first_process_alone_reports_an_error(corpus: Path) -> None:
    result = finished(*torchrun(2), "train", "no.txt", *TRAINING, "nothing", cwd=corpus)
    assert result.returncode != 0
    assert result.stderr.count("error: no.txt: no such file") == 1


def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from flip.training.distributed import own_device

    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("cpu").type == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert str(own_device("cuda")) == str(own_device("auto")) == "cuda:1"
    with pytest.raises(UsageError, match="cuda:0 for several processes"):
        own_device("cuda:0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UnavailableError, match="no device 'cuda:1'"):
        own_device("cuda")
