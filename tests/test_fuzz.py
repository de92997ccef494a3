"""Damaged and hostile files and flags: exit code 1 is a bug by definition, whatever is read.

Valid files are mutated and given to the command. A few cases of each run by default; `FLIP_FUZZ_CASES=2000 pytest -m ''
tests/test_fuzz.py` runs so many. Hypothesis prints how to repeat a failure, and keeps it in .hypothesis.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from copy import deepcopy
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flip.cli.app import main
from flip.embedding.job import embed
from flip.errors import InputError
from flip.inputs.record import Record
from flip.model.checkpoint import Checkpoint, save_checkpoint
from flip.model.linear import LogLinear
from flip.text.vocabulary import Vocabulary
from tests.embedding.test_job import TEXTS, Counting, vectors
from tests.inputs.stores.test_store import WRITERS, D

CASES = int(os.environ.get("FLIP_FUZZ_CASES", "25"))
SECONDS, BYTES = 20, 2**30  # of one case: four times what one is to take on a machine that does nothing else; of all
pytestmark = pytest.mark.slow

# What parsers stumble over, put in the place of something valid.
_ODD = [
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"]", b"[[[[[[[[" * 200, b'"', b"-1", b"1e999", b"NaN", b"null",
    b"true", b"1" * 5000, b"99999999999999999999", b"0.5", b"[]", b"{}", b'""', b"a", b"../x", b"&a [*a]", b"*a",
    b"!!python/none x", b"2020-13-45", b": ", b"- ", b"\n", b"\r", "\u2028".encode(), b"\xed\xa0\x80", b"/dev/null",
    b"'", b",", b"\t",
]  # fmt: skip


_ODD_VALUES: list[object] = [
    None, True, False, 0, -1, 7, 1.5, 1e300, 10**30, float("nan"), float("inf"), "", " ", "x", "1",
    "/dev/null", "\0", "\ud800", [], [None], [[]], [1, "x"], ["a", "b"], {}, {"a": 1}, {"": None},
    {"id": "m", "file": "test.npy"}, [{"id": 1, "file": 2}],
]  # fmt: skip

# Shares of a length; not st.floats, which needs the subnormal numbers that training switches off.
PLACES = st.integers(0, 9_999).map(lambda i: i / 10_000)


def mutated(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the seeds with one to four changes: bytes cut, doubled, flipped, or replaced by something odd."""

    def change(content: bytes, edits: list[tuple[float, int, bytes | int]]) -> bytes:
        for place, length, new in edits:
            at = int(place * len(content))
            if new == -1:
                new = content[at : at + length] * 2
            elif isinstance(new, int):
                new = bytes(byte ^ new for byte in content[at : at + 1])
            content = content[:at] + new + content[at + length :]
        return content

    edit = st.tuples(
        PLACES,
        st.sampled_from([0, 1, 1, 2, 4, 9, 40]),
        st.one_of(st.sampled_from(_ODD), st.integers(-1, 255), st.binary(max_size=3)),
    )
    changed = st.builds(change, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=4))
    text = [seed for seed in seeds if not seed.startswith(b"\x93NUMPY")]  # whose header is a dictionary too
    trees = [seed for seed in text if b"{" in seed[:99] or b": " in seed[:99]]
    return changed | st.builds(of_other_types, st.sampled_from(trees), st.data()) if trees else changed


def of_other_types(content: bytes, data: st.DataObject) -> bytes:
    """JSON or YAML of which one or two values, anywhere in the tree, are replaced by ones that do not belong there."""
    tree = yaml.safe_load(content)
    for _ in range(data.draw(st.integers(1, 2))):
        parent, key, node = None, None, tree
        while isinstance(node, dict | list) and node and (parent is None or data.draw(st.integers(0, 3))):
            parent, key = node, data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
            node = node[key]
        if parent is not None:
            parent[key] = deepcopy(data.draw(st.sampled_from(_ODD_VALUES)))
    return json.dumps(tree).encode()


def fuzzed(**strategies: st.SearchStrategy[object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test on CASES cases."""
    checked = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    return lambda test: checked(given(**strategies)(test))


def survives(*args: object) -> int:
    """Runs a command that may fail, but not by a fault of ours, not for long, and not with a traceback."""
    began, before, out, err = time.monotonic(), peak(), StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(arg) for arg in args])
    assert code in (0, 2, 3, 4), (args, code, err.getvalue()[-2000:])
    assert "Traceback" not in err.getvalue()
    assert code == 0 or "rror:" in err.getvalue()
    assert time.monotonic() - began < SECONDS, args
    assert peak() - before < BYTES, args
    return code


def peak() -> int:
    """The most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module", autouse=True)
def _memory() -> Iterator[None]:
    before = peak()
    yield
    assert peak() - before < BYTES


@pytest.fixture(scope="module")
def data(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The quickstart folder, small: what is fuzzed lies in it under names of its own."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("vocab.json", "vocab.options.json"):
        shutil.copy(quickstart / name, folder)
    for part in ("train", "dev", "test"):
        np.save(folder / f"{part}.npy", np.load(quickstart / f"{part}.npy")[:40])
        lines = (quickstart / f"{part}.sentences.txt").read_text(encoding="utf-8").splitlines(keepends=True)[:40]
        (folder / f"{part}.sentences.txt").write_text("".join(lines), encoding="utf-8")
        shutil.copy(quickstart / f"{part}.json", folder)
    shutil.copytree(quickstart / "run", folder / "run")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }".ljust(127) + b"\n"
VOCAB = b'{"cat": 0, "dog": 1, "the train": 2}'
OPTIONS = b'{"tokenizer": {"name": "latin", "strip_accents": "none", "ngram": [1, 2], "normalize": true}}'
MANIFEST = b"""\
train:
  embeddings: [{id: m, file: train.npy, modality: text, language: en}]
  texts: [{id: t, file: train.sentences.txt}]
test:
  embeddings: &e
  - {id: m, file: test.npy}
  texts: [{id: t, file: test.sentences.txt}]
  sim_scores: [{file: test.similarity.npy, pair: [m, m]}]
dev: {embeddings: *e, texts: [{id: t, file: dev.sentences.txt}]}
"""
TRAIN_CONFIG = b"""\
experiment: {name: a, output_dir: out, seed: 42}
data:
  train_datasets_yaml: datasets.yaml
  vocab_yaml: vocab.json
  train: {datasets: [nowhere], embedding_pair: [m, n], target_text: m, sim_threshold: 0.5}
  validation: {datasets: [dev]}
model: {type: FactLoLM, rank: 8, alpha: 0.5}
training: {batch_size: 6000, iterations: 10, learning_rate: 5e-3, patience: 5, early_stopping: true}
regularization: {l1: 1e-4, weight_decay: 0.0}
"""
VOCAB_CONFIG = b"""\
name: v
output_dir: out
datasets: [train]
text_id: t
token_pattern: latin
strip_accents: ascii
ngram_range: [1, 2]
max_features: 1000
min_df: 1
max_df: 0.9
lowercase: true
"""


SETTINGS = b"""\
device = "cpu"
seed = 1
[vocab]
text = ["test.sentences.txt"]
ngram = [1, 2]
min_df = 1
"""


@fuzzed(content=mutated([NPY + np.zeros((3, 384), np.float32).tobytes()]))
def test_embeddings(data: Path, content: bytes) -> None:
    Path("fuzzed.npy").write_bytes(content)
    survives("explain", "fuzzed.npy", "--offline")


@fuzzed(vocab=st.one_of(st.just(VOCAB), mutated([VOCAB])), options=st.one_of(st.just(OPTIONS), mutated([OPTIONS])))
def test_vocabularies(data: Path, vocab: bytes, options: bytes) -> None:
    from flip.data.published import load_vocabulary

    Path("v.json").write_bytes(vocab)
    Path("v.options.json").write_bytes(options)
    survives("vocab", "test.sentences.txt", "-o", "v.json", "-q")
    try:
        assert load_vocabulary(Path("v.json")).tokenizer("the train was late")
    except InputError:
        survives("vocab", "test.sentences.txt", "-o", "v.json", "--force", "-q")
        assert len(load_vocabulary(Path("v.json")))


@fuzzed(content=mutated([MANIFEST]))
def test_manifests(data: Path, content: bytes) -> None:
    Path("fuzzed.yaml").write_bytes(content)
    for name in ("test", "train,dev"):
        survives("eval", "--model", "run", "--data", "fuzzed.yaml", "--dataset", name, "--sim-threshold", "-1")
        survives("eval", "--model", "run", "--data", "fuzzed.yaml", "--dataset", name)


@fuzzed(content=mutated([TRAIN_CONFIG]))
def test_training_configurations(data: Path, content: bytes) -> None:
    Path("fuzzed.yaml").write_bytes(content)
    survives("train", "--config", "fuzzed.yaml", "--data", "nothing.yaml", "-o", "trained")


@fuzzed(content=mutated([VOCAB_CONFIG]))
def test_vocabulary_configurations(data: Path, content: bytes) -> None:
    Path("fuzzed.yaml").write_bytes(content)
    survives("vocab", "test.sentences.txt", "--config", "fuzzed.yaml", "-o", "w.json", "--force")


@fuzzed(
    content=mutated([b'device = "cpu"\nseed = 1\n[vocab]\ntext = ["test.sentences.txt"]\nngram = [1, 2]\nmin_df = 1\n'])
)
def test_settings(data: Path, content: bytes) -> None:
    Path("flip.toml").write_bytes(content)
    try:
        survives("vocab", "-o", "u.json", "--force")
    finally:
        Path("flip.toml").unlink()


# Sizes that a header may promise, and texts that hold more than their archive.
_NUMBERS = [struct.pack(form, n) for form in ("<q", "<i") for n in (0, 1, -1, 7, 2**20, 2**30, 2**31 - 1, -(2**31))]
_NUMBERS += [struct.pack("<q", n) for n in (2**32, 2**40, 2**62, 2**63 - 1, -(2**63))]
_VIEW = "CREATE VIEW few AS SELECT id, text, embedding FROM items"
_ENDLESS = "CREATE VIEW endless AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i FROM r) SELECT i FROM r"


def with_views(path: Path) -> None:
    """Adds a view that may be named, and one that may not be looked at."""
    if path.name == "blobs.db":
        with closing(sqlite3.connect(path)) as database:
            database.executescript(f"{_VIEW}; {_ENDLESS}")
    elif path.name == "a.duckdb":
        with duckdb.connect(str(path)) as database:
            database.execute(f"{_VIEW}; {_ENDLESS}")


def damaged(whole: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """A file cut, or changed in up to three places: anywhere, or in the headers at its start and at its end."""
    if whole.startswith(b"PK") and draw(st.booleans()):
        return repacked(whole, draw)
    place = st.one_of(PLACES.map(lambda share: int(share * len(whole))), st.integers(0, 200), st.integers(-400, -1))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(place) % max(1, len(whole))
        new = draw(st.one_of(st.sampled_from(_NUMBERS), mutated([b"x"]).map(lambda one: one.replace(b"x", b""))))
        over = draw(st.sampled_from([len(new), len(new), 0, 5]))
        whole = whole[:at] + new + whole[at + over :]
    return whole[: draw(place) % max(1, len(whole))] if draw(st.integers(0, 3)) == 0 else whole


def repacked(whole: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """An archive one of whose members is damaged and packed as if it were not."""
    with zipfile.ZipFile(BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = draw(st.sampled_from(sorted(members)))
    members[chosen] = damaged(members[chosen], draw)
    output = BytesIO()
    method = draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]))
    with zipfile.ZipFile(output, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(
                name if draw(st.integers(0, 9)) else draw(st.sampled_from(["x", ".npy", "id.npy"])), content
            )
    return output.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_stores(data: Path, name: str) -> None:
    model = LogLinear(np.eye(5, D, dtype=np.float32), np.zeros(5, np.float32))
    save_checkpoint(Path("tiny"), Checkpoint(model, Vocabulary(tuple("abcde"))))
    WRITERS[name](Path(name))
    with_views(Path(name))
    whole = Path(name).read_bytes()
    named = [[], ["--table", "few"]] if name in ("blobs.db", "a.duckdb") else [[]]

    # Hypothesis keeps what it draws: edits, and not files.
    @fuzzed(more=st.data(), asked=st.sampled_from(named), ending=st.sampled_from(["jsonl", "parquet"]))
    def check(more: st.DataObject, asked: list[str], ending: str) -> None:
        for beside in Path().glob(f"{name}[-.]*"):
            beside.unlink()
        Path(name).write_bytes(damaged(whole, more.draw))
        survives("store", "words", name, "-m", "tiny", "-o", f"words.{ending}", "-q", *asked)
        assert not list(Path().glob(f"{name}[-.]*")), "something is left beside it"

    check()


@fuzzed(which=st.sampled_from(["journal", "vectors"]), mutate=mutated([b"x" * 64]), place=PLACES, force=st.booleans())
def test_journals(data: Path, which: str, mutate: bytes, place: float, force: bool) -> None:
    """Whatever is damaged, the next run ends with the right rows, with --force and without."""
    output = Path("j/o.npy")
    records = [Record(where="", text=text) for text in TEXTS]
    with pytest.raises(KeyboardInterrupt):
        embed(records, output, Counting(stop_after=24), batch_size=8, force=True)
    path = Path(f"j/.o.npy.{which}.partial")
    content = path.read_bytes()
    at = int(place * len(content))
    path.write_bytes(content[:at] + mutate.replace(b"x", b"") + content[at + 5 :])
    embed(records, output, Counting(), batch_size=8, force=force)
    np.testing.assert_array_equal(np.load(output), vectors(TEXTS))
    output.unlink()


@pytest.mark.parametrize("name", ["a.json", "a.sentences.txt"])
def test_descriptions_of_embeddings(data: Path, name: str) -> None:
    @fuzzed(content=mutated([b"x"]), place=PLACES, more=st.data())
    def check(content: bytes, place: float, more: st.DataObject) -> None:
        shutil.rmtree("d", ignore_errors=True)
        Path("d").mkdir()
        for path in Path().glob("test.*"):
            shutil.copy(path, Path("d") / path.name.replace("test", "a"))
        whole = (Path("d") / name).read_bytes()
        at = int(place * len(whole))
        changed = whole[:at] + content + whole[at + 3 :]
        if name == "a.json" and more.draw(st.booleans()):
            changed = of_other_types(whole, more)
        (Path("d") / name).write_bytes(changed)
        Path("d/d.yaml").write_text(
            "test: {embeddings: [{id: m, file: a.npy}], texts: [{id: t, file: a.sentences.txt}]}"
        )
        survives("eval", "--model", "run", "--data", "d/d.yaml")
        survives("explain", "d/a.npy", "--model", "run", "--offline", "-q")

    check()


RUN = ("config.json", "vocab.json", "model.safetensors", "options.json", "log.jsonl", "state.safetensors")


@pytest.mark.parametrize("name", RUN)
def test_run_folders(data: Path, name: str) -> None:
    whole = (data / "run" / name).read_bytes()

    @fuzzed(
        edit=mutated([b""]),
        place=PLACES,
        near_start=st.booleans(),
        cut=st.sampled_from([0, 1, 5, 10**9]),
        more=st.data(),
    )
    def check(edit: bytes, place: float, near_start: bool, cut: int, more: st.DataObject) -> None:
        at = int(place * (min(len(whole), 1500) if near_start else len(whole)))
        content = whole[:at] + edit + whole[at + cut :]
        if name in ("config.json", "options.json") and more.draw(st.booleans()):
            content = of_other_types(whole, more)
        elif name == "log.jsonl" and more.draw(st.booleans()):
            content = of_other_types(whole.splitlines()[0], more) + b"\n"
        (data / "run" / name).write_bytes(content)
        survives("explain", "test.npy", "--model", "run", "--offline", "-q")
        if name in ("options.json", "log.jsonl", "state.safetensors"):
            survives("train", "--data", "datasets.yaml", "--vocab", "vocab.json", "-o", "run", "--resume", "-q")

    try:
        check()
    finally:
        (data / "run" / name).write_bytes(whole)


_VALUES = st.one_of(
    st.sampled_from(["0", "-1", "1e30", "inf", "nan", str(10**30), str(2**63), "", " ", "a,b", "1,2", "x" * 5000,
                     "\ud800", "a\x01b", "/dev/null", ".", "..", "1/0", "0/0", "[1]", "{}", "full", "auto", "cuda:99",
                     "-", "%s"]),
    st.text(st.characters(blacklist_characters="\0"), max_size=12),
)  # fmt: skip
_FLAGS = {
    "explain": ["--topn", "--bias-weight", "--min-probability", "--encoder", "--language", "--device"],
    "vocab": ["--max-features", "--min-df", "--max-df", "--tokenizer", "--strip-accents", "--words", "--min-pmi",
              "--unigrams", "--bigrams", "--min-count", "--data", "--config", "--text-id"],
    "embed": ["--split", "--clips", "--shard", "--augment", "--batch-size", "--dtype", "--precision", "--prompt",
              "--dimensions", "--dataset", "--language"],
    "train": ["--split", "--augment", "--recipe", "--rank", "--alpha", "--lr", "--schedule", "--warm-up",
              "--batch-size", "--epochs", "--patience", "--check-every", "--l1", "--weight-decay", "--dtype", "--vocab",
              "--seed"],
    "eval": ["--metrics", "--topn", "--tokens", "--entities", "--dataset", "--text", "--plot",
             "--sim-threshold", "--model"],
    "compare": ["--split", "--augment", "--min-tokens", "--max-tokens", "--runs", "--encoder", "--language"],
    "pull": ["--revision", "--include"],
}  # fmt: skip
_GIVEN = {
    "explain": ["test.npy", "--offline"],
    "vocab": ["test.sentences.txt", "--force", "-o", "f.json"],
    "embed": ["nothing.txt", "--offline"],
    "train": ["nothing.txt", "-o", "f"],
    "eval": ["--model", "run", "--data", "datasets.yaml", "--offline"],
    "compare": ["nothing.txt", "--offline"],
    "pull": ["a/b", "--offline"],
}


@fuzzed(flag=st.sampled_from([(command, flag) for command, flags in _FLAGS.items() for flag in flags]), value=_VALUES)
def test_flag_values(data: Path, flag: tuple[str, str], value: str) -> None:
    survives(flag[0], *_GIVEN[flag[0]], f"{flag[1]}={value}")
