"""The words of a store of many files: a file for a file, the same as of one file, whatever interrupts the work."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from flip.encoders import Encoder
from tests.conftest import Flip
from tests.processes import FLIP, started
from tests.s3_server import BUCKET, serving

Fails = Callable[..., str]
FILES, ROWS = 6, 40


def table(u: np.ndarray, texts: list[str], first: int) -> pa.Table:
    v = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1])
    return pa.table({"id": pa.array(range(first, first + len(u))), "text": texts, "v": v})


def make(folder: Path, minilm: Encoder, sentences: list[str]) -> Path:
    """Six files, half of them below year=2025, half below year=2026; and in one file."""
    chosen = sentences[: FILES * ROWS]
    whole = table(minilm.encode(chosen), chosen, 0)
    for i in range(FILES):
        path = folder / f"data/year={2025 + i % 2}/part-{i}.{'arrow' if i == 4 else 'parquet'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = whole.slice(i * ROWS, ROWS)
        if path.suffix == ".parquet":
            pq.write_table(part, path, row_group_size=16)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, part.schema) as writer:
                writer.write_table(part)
    pq.write_table(whole, folder / "whole.parquet")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, minilm: Encoder, sentences: list[str]) -> Path:
    return make(tmp_path_factory.mktemp("stores"), minilm, sentences)


@pytest.fixture
def stores(here: Path, made: Path) -> Path:
    shutil.copytree(made, here, dirs_exist_ok=True)
    return here


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    return pa.ipc.open_file(pa.OSFile(str(path))).read_all()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


def assert_alike(one: object, other: object) -> None:
    """Equal, up to the last bits of sums that batches of other sizes make in another order."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_alike(a, b)
    else:
        assert one == (pytest.approx(other, rel=1e-3, abs=2e-3) if isinstance(other, float) else other)


COMMAND = ("store", "words", "data", "-o", "out", "--encoder", "minilm")


def test_each_file_gets_a_file_with_the_words_of_its_rows(flip: Flip, stores: Path) -> None:
    done = flip(*COMMAND)
    assert done.code == 0 and done.records == [
        {"output": "out", "rows": FILES * ROWS, "without_vector": 0, "files": FILES, "kept": 0}
    ]
    assert names(stores / "out") == sorted(["_flip.json", *names(stores / "data")])
    assert flip("store", "words", "whole.parquet", "-o", "words.parquet", "--encoder", "minilm").code == 0
    whole = pq.read_table("words.parquet")
    parts = [read(stores / "out" / name) for name in names(stores / "data")]
    assert all(part.column_names == whole.column_names for part in parts)
    assert_alike(pa.concat_tables(parts).sort_by("id").to_pylist(), whole.to_pylist())


def test_words_of_many_files_are_read_by_pyarrow_and_by_flip(flip: Flip, stores: Path) -> None:
    (stores / "data/year=2025/part-4.arrow").unlink()
    flip(*COMMAND)
    import pyarrow.dataset as ds

    assert ds.dataset("out", partitioning="hive").count_rows() == (FILES - 1) * ROWS
    grouped = flip("store", "groups", "out", "--by", "year").records
    assert {group["year"]: group["rows"] for group in grouped} == {2025: 2 * ROWS, 2026: 3 * ROWS}


def test_only_the_files_that_are_missing_are_made(flip: Flip, stores: Path) -> None:
    flip(*COMMAND)
    before = contents(stores / "out")
    (stores / "out/year=2025/part-0.parquet").unlink()
    (stores / "out/year=2026/part-3.parquet").unlink()
    kept = {name: (stores / "out" / name).stat().st_mtime_ns for name in names(stores / "out")}
    again = flip(*COMMAND)
    assert again.records[0] | {"rows": 2 * ROWS, "kept": FILES - 2} == again.records[0]
    assert "4 of 6 files are in out already, and are kept" in again.err
    assert contents(stores / "out") == before
    assert {name: (stores / "out" / name).stat().st_mtime_ns for name in kept} == kept
    assert flip(*COMMAND).records[0]["rows"] == 0


def test_words_of_other_options_are_not_mixed(flip: Flip, fails: Fails, stores: Path) -> None:
    flip(*COMMAND, "--topn", 3)
    before = contents(stores / "out")
    told = "out has words of another store, of another model or of other options"
    assert told in fails(3, *COMMAND)
    assert told in fails(3, *COMMAND, "--topn", 3, "--normalize")
    shutil.copytree("data", "other")
    assert told in fails(3, "store", "words", "other", *COMMAND[3:], "--topn", 3)
    assert contents(stores / "out") == before
    assert flip("store", "words", stores / "data", *COMMAND[3:], "--topn", 3).records[0]["kept"] == FILES
    assert flip(*COMMAND, "--topn", 3).code == 0


def test_an_output_that_cannot_be_is_told_and_nothing_is_written(fails: Fails, stores: Path) -> None:
    before = contents(stores)
    for output, told in (
        ("data", "data/year=2025/part-0.parquet would be one of the files of data"),
        ("data/words", "would be one of the files of data"),
        (f"{stores}/data/year=2025", "would be one of the files of data"),
        (".", "has other files"),
        ("whole.parquet", "is a file"),
    ):
        assert told in fails(2, "store", "words", "data", "-o", output)
    assert "unknown format" in fails(2, "store", "words", "whole.parquet", "-o", "folder")
    assert contents(stores) == before


def test_the_other_commands_read_many_files_as_one(flip: Flip, stores: Path) -> None:
    shutil.copytree("data", "flat")
    for path in Path("flat").rglob("*.*"):
        if path.is_file():
            path.rename(Path("flat") / path.name)
    vouched = ("--encoder", "minilm")
    for command in (
        ("search", "{}", "the, man", "--any", "--rows", 5, *vouched),
        ("sparse", "{}", "-o", "sparse.jsonl", *vouched),
        ("drift", "{}", "data/year=2025", *vouched),
        ("groups", "{}", "--clusters", 2, "--labels", "labels.jsonl", "-o", "clusters.jsonl", *vouched),
    ):
        results = []
        for store in ("flat", "whole.parquet"):
            done = flip("store", *(str(part).format(store) for part in command))
            assert done.code == 0, done.err
            own = ("old", "store", "place")
            results.append([{key: value for key, value in record.items() if key not in own} for record in done.records])
            for name in ("sparse.jsonl", "labels.jsonl", "clusters.jsonl"):
                if Path(name).exists():
                    results[-1] += [json.loads(line) for line in Path(name).read_bytes().splitlines()]
                    Path(name).unlink()
        assert results[0]
        assert_alike(*results)


def test_an_audit_reads_all_files(flip: Flip, stores: Path) -> None:
    Path("terms.txt").write_text("the\n")
    done = flip("store", "audit", "data", "terms.txt")
    assert done.code == 0 and {record["rows"] for record in done.records} == {FILES * ROWS}


def test_a_hit_is_found_again_by_its_file_and_row(flip: Flip, stores: Path) -> None:
    (hit,) = flip("store", "search", "data", "the", "--rows", 1).records
    file, row = hit["place"].split(", row ")
    assert read(Path(file))["id"][int(row)].as_py() == hit["id"]


def test_a_bad_row_is_named_with_its_file(flip: Flip, stores: Path) -> None:
    path = stores / "data/year=2026/part-3.parquet"
    bad = pq.ParquetFile(path).read()
    u = np.array(bad["v"].to_pylist(), np.float32)
    u[7, 3] = np.nan
    pq.write_table(table(u, bad["text"].to_pylist(), 0), path)
    for command in (COMMAND, ("store", "sparse", "data", "-o", "s.parquet")):
        done = flip(*command)
        assert done.code == 3 and "first: data/year=2026/part-3.parquet, row 7" in done.err
    assert read(stores / "out/year=2026/part-3.parquet")["words"].null_count == 1


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(stores: Path) -> None:
    subprocess.run([*FLIP, *COMMAND, "-q"], check=True, capture_output=True)
    expected = contents(stores / "out")
    shutil.rmtree("out")
    seed = random.randrange(1 << 32)
    draw, kills = random.Random(seed), 0
    for _ in range(8):
        with started(*FLIP, *COMMAND, "-q", cwd=stores) as process:
            while process.poll() is None and not (stores / "out").exists():
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.15))
            kills += process.poll() is None
        there = contents(stores / "out")
        assert {name: there[name] for name in there if ".partial" not in name}.items() <= expected.items(), seed
    assert kills, seed
    subprocess.run([*FLIP, *COMMAND, "-q"], check=True, capture_output=True)
    assert contents(stores / "out") == expected, seed


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    pytest.importorskip("moto", reason="needs moto, of the extra test")
    with serving() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def test_from_s3_to_s3_it_is_the_same(flip: Flip, fails: Fails, stores: Path, s3: None) -> None:
    assert flip(*COMMAND).code == 0
    bucket, path = FileSystem.from_uri(f"s3://{BUCKET}/data")
    copy_files("data", path, source_filesystem=LocalFileSystem(), destination_filesystem=bucket)
    remote = ("store", "words", f"s3://{BUCKET}/data", "-o", f"s3://{BUCKET}/out", "--encoder", "minilm")
    assert flip(*remote).records[0]["rows"] == FILES * ROWS

    def downloaded() -> dict[str, bytes]:
        files = bucket.get_file_info(FileSelector(f"{BUCKET}/out", recursive=True))
        found = [one.path for one in files if one.type == FileType.File]
        return {name.removeprefix(f"{BUCKET}/out/"): bucket.open_input_file(name).read() for name in found}

    expected = contents(stores / "out") | {"_flip.json": downloaded()["_flip.json"]}
    assert downloaded() == expected
    bucket.delete_file(f"{BUCKET}/out/year=2026/part-5.parquet")
    again = flip(*remote)
    assert (again.records[0]["rows"], again.records[0]["kept"]) == (ROWS, FILES - 1)
    assert downloaded() == expected
    one = flip(
        "store", "words", f"s3://{BUCKET}/data/year=2025/part-0.parquet", "-o", "one.parquet", "--encoder", "minilm"
    )
    assert one.code == 0 and read(Path("one.parquet")).equals(read(Path("out/year=2025/part-0.parquet")))
    put = flip("store", "words", "whole.parquet", "-o", f"s3://{BUCKET}/one.jsonl", "--encoder", "minilm")
    assert put.records == [{"output": f"s3://{BUCKET}/one.jsonl", "rows": FILES * ROWS, "without_vector": 0}]
    assert bucket.open_input_file(f"{BUCKET}/one.jsonl").read().count(b"\n") == FILES * ROWS
    assert "no such bucket" in fails(3, *remote[:3], "-o", "s3://no-such-bucket/out")
    assert "is on another machine" in fails(4, *remote, "--offline")


def test_a_package_that_a_scheme_needs_is_named_with_its_command(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['adlfs'] = None\n"
        "from flip.cli.app import main\n"
        "sys.exit(main(['store', 'words', 'az://container/data', '-o', 'out']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "hint:  pip install adlfs" in done.stderr, done.stderr


def test_without_ray_its_extra_is_named(stores: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        "from flip.cli.app import main\n"
        "sys.exit(main(['store', 'words', 'data', '-o', 'out', '--engine', 'ray']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=stores, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "pip install 'flip-interpret[ray]'" in done.stderr, done.stderr


def test_a_uri_as_output_is_not_taken_from_a_file_of_a_stranger(fails: Fails, stores: Path) -> None:
    (stores / "flip.toml").write_text('[store.words]\noutput = "s3://somewhere/out"\n')
    assert "flip.toml names s3://somewhere/out as output" in fails(2, "store", "words", "data")
