"""A file of a dataset on the hub as an input, with the real client against a hub on loopback."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.cli.app import main
from flip.errors import UnavailableError, UsageError
from flip.hub.client import dataset_file
from hub_server import Hub
from tests.hub.test_pull import hub  # noqa: F401

ADDRESS = "hf://datasets/someone/vectors/data/train.parquet"


def parquet() -> bytes:
    u = np.random.default_rng(0).normal(size=(20, 384)).astype(np.float32)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)}), buffer)
    return buffer.getvalue()


def test_it_is_a_store_like_others(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    hub.add("someone/vectors", {"data/train.parquet": parquet(), "other.parquet": b"x"}, kind="datasets")
    assert main(["store", "words", ADDRESS, "-o", "w.parquet"]) == 0
    assert pq.read_table("w.parquet").num_rows == 20
    assert "is taken from the hub" in capsys.readouterr().err
    assert not any("other.parquet" in path for path in hub.fetched())
    before = len(hub.fetched())
    assert main(["store", "words", ADDRESS, "-o", "w.jsonl", "--topn", "1", "--offline"]) == 0
    assert len(hub.fetched()) == before
    assert len(Path("w.jsonl").read_text().splitlines()) == 20
    assert main(["explain", ADDRESS, "--offline"]) == 3
    assert "a store of vectors" in capsys.readouterr().err


def test_a_missing_model_is_an_error(hub: Hub) -> None:  # noqa: F811
    hub.add("someone/vectors", {"data/train.parquet": parquet()}, kind="datasets")
    with pytest.raises(UnavailableError, match="nothing.parquet: not found"):
        dataset_file("hf://datasets/someone/vectors/nothing.parquet")
    with pytest.raises(UnavailableError, match="no dataset 'nobody/vectors'"):
        dataset_file("hf://datasets/nobody/vectors/a.parquet")
    with pytest.raises(UnavailableError, match="is not in the cache"):
        dataset_file(ADDRESS, offline=True)
    for wrong in ("hf://models/a/b/c.parquet", "hf://datasets/a/b", "hf://datasets/a/b/../c"):
        with pytest.raises(UsageError, match="is not a file of a dataset"):
            dataset_file(wrong)
    assert main(["store", "words", "hf://datasets/someone/vectors/nothing.parquet", "-o", "w.parquet"]) == 4


def test_no_network_is_known_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def fetched(*asked: object) -> None:
        pytest.fail("the client was left to try again and again")

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("flip.hub.client.fetch", fetched)
    with pytest.raises(UnavailableError, match="the hub is out of reach"):
        dataset_file(ADDRESS)
