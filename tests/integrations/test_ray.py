"""Words and embeddings of batches, as Ray, Spark and Dask give them; and `flip store words --engine ray`."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from flip.errors import InputError
from flip.integrations.ray import Embed, Words
from flip.model.checkpoint import load_checkpoint
from flip.model.keywords import top_keywords
from tests.conftest import ROOT, Flip
from tests.processes import ENVIRONMENT, FLIP, finished, started

ROWS = 50


@pytest.fixture(scope="module")
def vectors(minilm: Encoder, sentences: list[str]) -> np.ndarray:
    return minilm.encode(sentences[:ROWS])


@pytest.fixture(scope="module")
def table(vectors: np.ndarray, sentences: list[str]) -> pa.Table:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"id": range(ROWS), "text": sentences[:ROWS], "v": column})


@pytest.fixture(scope="module")
def expected(vectors: np.ndarray) -> list[list[str]]:
    return [[word.word for word in words] for words in top_keywords(load_checkpoint(), vectors, topn=4)]


def lists(values: Any) -> list[list[str]]:
    return [list(value) for value in values]


def test_batches_of_each_kind_get_the_words_of_their_vectors(table: pa.Table, expected: list[list[str]]) -> None:
    words = Words(topn=4, encoder="minilm")
    arrow = words(table)
    assert arrow.select(table.column_names).equals(table)
    assert arrow["words"].to_pylist() == expected
    assert arrow.schema.field("word_probabilities").type == pa.list_(pa.float32())
    assert words(table.to_batches()[0])["words"].to_pylist() == expected
    frame = words(table.to_pandas())
    assert isinstance(frame, pd.DataFrame) and lists(frame["words"]) == expected
    matrix = {"id": np.arange(ROWS), "v": np.stack(table["v"].to_numpy())}
    objects = {"id": np.arange(ROWS), "v": table["v"].to_numpy()}
    for batch in (matrix, objects):
        done = words(batch)
        assert isinstance(done, dict) and lists(done["words"]) == expected and done["id"] is batch["id"]


def test_rows_without_vectors_have_no_words_and_nan_is_reported(
    table: pa.Table, expected: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    values: list[Any] = table["v"].to_pylist()
    values[1], values[2] = None, [float("nan")] * 384
    given = pa.table({"v": pa.array(values, pa.list_(pa.float32()))})
    words = Words(topn=4, encoder="minilm")
    assert words(given)["words"].to_pylist() == [expected[0], None, None, *expected[3:]]
    assert "1 of 50 vectors hold NaN or infinity" in caplog.text
    nulls = pa.table({"v": pa.array([None, None], pa.list_(pa.float32()))})
    assert words(nulls)["words"].to_pylist() == [None, None]
    empty = words(given.slice(0, 0))
    assert empty.schema == words(given).schema and len(empty) == 0


def test_vectors_that_nobody_vouches_for_have_scores(table: pa.Table) -> None:
    assert Words()(table).column_names[-1] == "word_scores"
    described = table.replace_schema_metadata({"flip.encoder": json.dumps({"encoder": "minilm"})})
    assert Words()(described).column_names[-1] in ("word_scores", "word_probabilities")


def test_batches_that_do_not_fit_are_refused(table: pa.Table) -> None:
    words = Words()
    with pytest.raises(InputError, match="no column of vectors"):
        words(table.select(["id", "text"]))
    with pytest.raises(InputError, match="no column 'w'"):
        Words(column="w")(table)
    with pytest.raises(InputError, match="a column 'words' already"):
        words(words(table))
    with pytest.raises(InputError, match="384"):
        words({"v": np.ones((2, 7), np.float32)})
    with pytest.raises(InputError, match="e5"):
        Words(encoder="e5")(table)


def test_the_model_stays_behind_in_a_pickle(table: pa.Table, expected: list[list[str]]) -> None:
    words = Words(topn=4, encoder="minilm")
    words(table)
    carried = pickle.dumps(words)
    assert len(carried) < 1000
    assert pickle.loads(carried)(table)["words"].to_pylist() == expected


def test_sentences_get_the_vectors_that_their_encoder_gives(table: pa.Table, vectors: np.ndarray) -> None:
    texts = ["", *table["text"].to_pylist()[1:]]
    embed = Embed("minilm")
    given = embed(pa.table({"text": texts}))
    assert given.schema.field("embedding").type == pa.list_(pa.float32(), 384)
    assert given["embedding"][0].as_py() is None
    np.testing.assert_allclose(np.array(given["embedding"].to_pylist()[1:]), vectors[1:], atol=1e-6)
    matrix = embed({"text": np.array(texts)})["embedding"]
    assert matrix.shape == (ROWS, 384) and np.isnan(matrix[0]).all()
    np.testing.assert_allclose(matrix[1:], vectors[1:], atol=1e-6)
    with pytest.raises(InputError, match="no column 'text'"):
        embed({"id": np.arange(2)})


@pytest.mark.slow
def test_recordings_get_vectors_and_one_that_cannot_be_read_has_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    paths = [str(ROOT / "examples" / "audio.wav"), str(tmp_path / "bad.wav")]
    done = Embed("minilm", column="path", recordings=True)(pa.table({"path": paths}))
    assert [value is None for value in done["embedding"].to_pylist()] == [False, True]
    assert "bad.wav" in caplog.text


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A cluster of two workers; gives the environment that leads to it, with its address and token."""
    ray = pytest.importorskip("ray", reason="needs ray, of the extra ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    token = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    yield token | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    ray.shutdown()


@pytest.fixture
def store(here: Path, minilm: Encoder, sentences: list[str]) -> Path:
    texts = sentences[:240]
    u = minilm.encode(texts)
    for i in range(8):
        part = slice(30 * i, 30 * i + 30)
        column = pa.FixedSizeListArray.from_arrays(pa.array(u[part].reshape(-1)), 384)
        path = here / f"data/part={i % 2}/{i}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": range(part.start, part.stop), "text": texts[part], "v": column}), path)
    return here


def words_of(folder: Path) -> dict[int, list[str]]:
    rows = [row for path in sorted(folder.rglob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]
    return {row["id"]: row["words"] for row in rows}


@pytest.mark.slow
def test_actors_of_ray_give_the_words_of_one_process(flip: Flip, store: Path, cluster: dict[str, str]) -> None:
    import ray

    flip("store", "words", "data", "-o", "one", "--encoder", "minilm", "--topn", 4)
    read = ray.data.read_parquet(str(store / "data"), override_num_blocks=8)
    for kind in ("pyarrow", "numpy", "pandas"):
        options = {"fn_constructor_kwargs": {"topn": 4, "encoder": "minilm"}, "batch_format": kind, "batch_size": 32}
        rows = read.map_batches(Words, concurrency=2, num_cpus=0.5, **options).take_all()
        assert {row["id"]: list(row["words"]) for row in rows} == words_of(store / "one"), kind
    embedded = read.map_batches(Embed, fn_constructor_args=["minilm"], batch_format="pyarrow", concurrency=1).take_all()
    for row in embedded:
        np.testing.assert_allclose(row["embedding"], row["v"], atol=1e-6)


def workers(ancestor: int) -> list[int]:
    """The processes that write a file at this moment, of the cluster that a process started."""
    parents, found = {}, []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if b"ray::_write" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has ended
                continue

    def is_below(pid: int) -> bool:
        return pid == ancestor or (pid in parents and is_below(parents[pid]))

    return [pid for pid in found if is_below(pid)]


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    store: Path, cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    command = ("store", "words", "data", "--encoder", "minilm", "--topn", 4)
    assert finished(*FLIP, *command, "-o", "one", cwd=store).returncode == 0
    with started(*FLIP, *command, "-o", "ray", "--engine", "ray", cwd=store) as process:
        while not (working := workers(os.getpid())):
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        os.kill(working[0], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["rows"] == 240 and json.loads(out)["files"] == 8
    assert words_of(store / "ray") == words_of(store / "one")
    (store / "ray/part=0/2.parquet").unlink()
    again = finished(*FLIP, *command, "-o", "ray", "--engine", "ray", cwd=store)
    assert (json.loads(again.stdout)["rows"], json.loads(again.stdout)["kept"]) == (30, 7)
    assert words_of(store / "ray") == words_of(store / "one")


@pytest.mark.slow
def test_what_a_worker_finds_is_reported_by_the_command(store: Path, cluster: dict[str, str], flip: Flip) -> None:
    path = store / "data/part=1/3.parquet"
    bad = pq.ParquetFile(path).read()
    u = np.array(bad["v"].to_pylist(), np.float32)
    u[5, 0] = np.inf
    column = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)
    pq.write_table(bad.set_column(2, "v", column), path)
    environment = os.environ | cluster
    command = [*FLIP, "store", "words", "data", "-o", "out", "--engine", "ray"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and f"first: {path}, row 5" in done.stderr, done.stderr
    lists = pa.array([[1.0] * 384] * 29 + [[1.0]], pa.list_(pa.float32()))
    for i in range(8):
        pq.write_table(
            bad.set_column(2, "v", lists if i == 3 else lists.take([0] * 30)), store / f"data/part={i % 2}/{i}.parquet"
        )
    done = subprocess.run(
        [*command[:-3], "other", *command[-2:]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3 and f"error: {path}, row 29: a vector of 1 dimensions" in done.stderr, done.stderr
    environment["RAY_ADDRESS"] = "127.0.0.1:9"
    one = [*FLIP, "store", "words", str(path), "-o", "x.parquet", "--engine", "ray"]
    done = subprocess.run(one, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "is one file" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ray", "pyspark", "dask"])
def test_the_examples_give_the_words_of_one_process(library: str, flip: Flip, here: Path) -> None:
    pytest.importorskip(library, reason=f"needs {library}")
    if library == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs java")
    folder = ROOT / "examples" / "scale"
    name = {"pyspark": "spark"}.get(library, library)
    subprocess.run([sys.executable, folder / "make.py", "data", "--rows", "120", "--files", "3"], check=True)
    subprocess.run([sys.executable, folder / f"words_on_{name}.py", "data", "out"], check=True, capture_output=True)
    assert flip("store", "words", "data", "-o", "one", "--encoder", "minilm").code == 0
    assert words_of(here / "out") == words_of(here / "one")
