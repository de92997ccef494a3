"""A Common Voice release with its recordings to a datasets.yaml: speech, or text and speech as a pair."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip.data.manifest import load_dataset, load_manifest
from flip.data.precomputed import keep_common_rows
from flip.inputs import audio
from flip.inputs.embedding_files import embeddings_json
from sound import tone, write_audio
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
EXAMPLE = ROOT / "examples" / "audio.wav"
SAID = "Yesterday the children played football in the garden behind the school."
Flip = Callable[..., Any]


@pytest.fixture
def release(here: Path) -> Path:
    """Real recordings in three formats; in train one that is damaged, and a sentence that is blank."""
    folder = here / "cv-corpus" / "en"
    clips = folder / "clips"
    clips.mkdir(parents=True)
    wave = audio.load(EXAMPLE)[None]
    shutil.copy(EXAMPLE, clips / "a.wav")
    write_audio(clips / "b.mp3", wave, 16_000, "libmp3lame")
    write_audio(clips / "c.flac", np.repeat(wave, 2, axis=0), 16_000, "flac")
    (clips / "bad.mp3").write_bytes(b"ID3" + bytes(500))
    for part, names in (("train", ["a.wav", "bad.mp3", "b.mp3", "-", "c.flac"]), ("dev", ["b.mp3"]), ("test", "ca")):
        rows = [f"x\t{name}\t{'' if name == '-' else SAID}\t2" for name in names]
        rows = [row.replace("\tc\t", "\tc.flac\t").replace("\ta\t", "\ta.wav\t") for row in rows]
        (folder / f"{part}.tsv").write_text("\n".join(["client_id\tpath\tsentence\tup_votes", *rows]) + "\n")
    return folder


def test_text_and_speech_as_a_pair(release: Path, flip: Flip, minilm: Any) -> None:
    command = ("embed", release, "--clips", release / "clips", "--pair", "--dataset", "data", "--offline")
    done = flip(*command)
    assert done.code == 3
    assert "error: 1 recordings have no row" in done.err and "bad.mp3: not readable audio" in done.err
    assert "1 rows with a blank line dropped" in done.err
    [result] = done.records
    assert (result["rows"], result["failed"]) == ({"train": 3, "dev": 1, "test": 2}, 1)
    assert result["embeddings"] == ["text", "speech"]
    train = load_manifest(Path("data/datasets.yaml"))["train"]
    assert [(e.id, e.modality) for e in train.embeddings] == [("text", "text"), ("speech", "speech")]
    assert train.sentences() == [SAID] * 3
    written, spoken = (np.asarray(e.open()) for e in train.embeddings)
    np.testing.assert_allclose(written, minilm.encode([SAID] * 3), atol=1e-5)
    assert [Path(p).name for p in Path("data/train.speech.audio.txt").read_text().split()] == [
        "a.wav", "b.mp3", "c.flac",
    ]  # fmt: skip
    [scores] = train.similarities
    assert scores.pair == ("text", "speech")
    np.testing.assert_allclose(np.load(scores.file), (written * spoken).sum(1), atol=1e-5)
    assert (np.load(scores.file) > 0.8).all()
    for embedding in train.embeddings:
        assert [item.input for item in embedding.source.failed] == [1]
    # All of it works in training and evaluation.
    assert len(load_dataset(Path("data/datasets.yaml"), "train", sim_threshold=0.5).sentences()) == 3
    assert flip("vocab", "--data", "data/datasets.yaml", "-o", "v.json").code == 0
    trained = flip(
        "train", "--data", "data/datasets.yaml", "--vocab", "v.json", "-o", "run", "--epochs", 1,
        "--sim-threshold", 0.5,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert [r["embedding"] for r in flip("eval", "--model", "run", "--json").records] == ["text", "speech"]
    # Given again, nothing is transcribed or dropped a second time.
    times = {path: path.stat().st_mtime_ns for path in Path("data").glob("*.npy") if "similarity" not in path.name}
    again = flip(*command, "--force")
    assert again.records == done.records
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_speech_alone(release: Path, flip: Flip) -> None:
    done = flip("embed", release, "--clips", release / "clips", "--dataset", "data", "--asr", "tiny.en", "--offline")
    assert done.code == 3
    train = load_manifest(Path("data/datasets.yaml"))["train"]
    assert [(e.id, e.modality) for e in train.embeddings] == [("speech", "speech")]
    assert (train.texts[0].id, train.similarities) == ("text", ())
    assert train.sentences() == [SAID] * 3
    assert train.embeddings[0].source.via["name"] == "whisper tiny.en"


def test_a_pair_drops_rows_that_failed_on_either_side(release: Path, flip: Flip) -> None:
    clips = release / "clips"
    write_audio(clips / "tone.wav", tone(1, 16_000)[None], 16_000)
    left, right = ["a.wav", "tone.wav", "b.mp3", "c.flac"], ["c.flac", "a.wav", "bad.mp3", "b.mp3"]
    for name, files in (("left", left), ("right", right)):
        lines = [orjson.dumps({"audio": str(clips / file), "text": f"{name} {file}"}) for file in files]
        Path(f"{name}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    done = flip("embed", "left.jsonl", "right.jsonl", "--pair", "--offline")
    assert done.code == 3
    assert "2 inputs have a row in neither of the pair" in done.err
    assert Path("left.sentences.txt").read_text() == "left a.wav\nleft c.flac\n"
    assert Path("right.sentences.txt").read_text() == "right c.flac\nright b.mp3\n"
    a, b = np.load("left.npy"), np.load("right.npy")
    assert len(a) == len(b) == 2
    np.testing.assert_allclose(np.load("left--right.similarity.npy"), (a * b).sum(1), atol=1e-5)
    left_about = orjson.loads(Path("left.json").read_bytes())
    assert [(item["input"], Path(item["audio"]).name) for item in left_about["failed"]] == [
        (1, "tone.wav"), (2, "bad.mp3"),
    ]  # fmt: skip
    assert "the other of the pair: " in left_about["failed"][1]["error"]
    before = {path: path.read_bytes() for path in Path().glob("*.*")}
    again = flip("embed", "left.jsonl", "right.jsonl", "--pair", "--offline")
    assert "left.npy is up to date" in again.err
    assert before == {path: path.read_bytes() for path in before}
    assert keep_common_rows([Path("left.npy"), Path("right.npy")]) == 2
    assert embeddings_json(Path("left.npy")).read_bytes() == before[Path("left.json")]


def test_options_that_do_not_go_together(release: Path, fails: Callable[..., str]) -> None:
    clips = release / "clips"
    Path("a.txt").write_text("A line.\n")
    assert "with --clips, --pair embeds" in fails(2, "embed", release, "--pair", "--dataset", "d")
    assert "needs a release folder" in fails(2, "embed", "a.txt", "--clips", clips, "--dataset", "d")
    assert "no such folder" in fails(3, "embed", release, "--clips", "nowhere", "--dataset", "d")
    assert "made by one process" in fails(2, "embed", release, "--shard", "1/2", "--dataset", "d")
    assert not Path("d").exists()
