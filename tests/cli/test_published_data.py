"""BUT-FIT/FLiP-data from a hub on loopback: its file names and formats, with real embeddings, and no manifest."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flip.data.manifest import load_dataset
from flip.inputs.embedding_files import open_embeddings
from hub_server import Hub, hub_server, point_client_to

Flip = Callable[..., Any]
PAPER = Path(__file__).parents[2] / "examples" / "paper"
ENTITIES = "_entities_gemini2.5_flash_lite.jsonl"
REPO = "BUT-FIT/FLiP-data"


def release(quickstart: Path) -> dict[str, bytes]:
    """The published files; "speech" is the text's vectors with noise, and row 5 has none."""

    def npy(array: np.ndarray) -> bytes:
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()

    files = {"README.md": b"# FLiP-data", ".gitattributes": b""}
    random = np.random.default_rng(0)
    for part in ("train", "dev", "test"):
        u = np.array(open_embeddings(quickstart / f"{part}.npy"))
        v = (u + 0.02 * random.normal(size=u.shape)).astype(np.float32)
        v[5] = np.nan
        lines = (quickstart / f"{part}.sentences.txt").read_text(encoding="utf-8").splitlines()
        rows: list[dict[str, Any]] = [{"line_number": i, "text": line} for i, line in enumerate(lines, 1)]
        for row in rows[::3]:
            row["entity_names"] = [str(row["text"]).split()[-1].strip(".,!?"), "O'Brien"]
        files |= {
            f"{part}_text_embs.npy": npy(u),
            f"{part}_speech_embs.npy": npy(v),
            f"{part}_sim_scores.npy": npy((u * v).sum(axis=1)),
            f"{part}_transcript.txt": "".join(f"{line}\n" for line in lines).encode(),
            f"{part}{ENTITIES}": "".join(f"{json.dumps(row)}\n" for row in rows).encode(),
        }
    return files


@pytest.fixture
def hub(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        point_client_to(server.url, here / "home", monkeypatch)
        yield server


@pytest.mark.slow
def test_the_published_data_are_trained_on_and_measured_as_they_are(
    hub: Hub, quickstart: Path, here: Path, flip: Flip
) -> None:
    hub.add(REPO, release(quickstart), kind="datasets", card={"language": ["en"]})
    pulled = flip("pull", REPO, "--dataset", "-o", "data")
    assert pulled.code == 0, pulled.err
    assert "wrote data/datasets.yaml, of the files' names: dev, test, train" in pulled.err
    assert f"test{ENTITIES}" in pulled.records[0]["files"]
    tree = yaml.safe_load((here / "data/datasets.yaml").read_text())
    assert tree["test"] == {
        "embeddings": [
            {"id": "text_en", "file": "test_text_embs.npy", "modality": "text", "language": "en"},
            {"id": "speech_en", "file": "test_speech_embs.npy", "modality": "speech", "language": "en"},
        ],
        "texts": [{"id": "text_en", "file": "test_transcript.txt", "language": "en"}],
        "sim_scores": [{"file": "test_sim_scores.npy", "pair": ["text_en", "speech_en"]}],
    }
    named = ("--data", "data/datasets.yaml")
    assert flip("vocab", *named, "-o", "v.json", "--max-features", 800).code == 0
    train = ("train", *named, "--vocab", "v.json", "-o", "run", "--rank", 32, "--epochs", 2, "-q")
    refused = flip(*train)
    assert refused.code == 3 and "--sim-threshold 0 leaves them out" in refused.err
    assert flip(*train, "--sim-threshold", 0).code == 0
    entities = ("--entities", f"data/test{ENTITIES}", "--tokens", "published")
    found = flip("eval", "--model", "run", *named, *entities, "--json")
    assert found.code == 0, found.err
    assert [record["embedding"] for record in found.records] == ["text_en", "speech_en"]
    rows = found.records[0]["entity_rows"]
    assert rows["nameless"] == sum(i % 3 > 0 for i in range(rows["rows"]))
    assert f"note: {rows['nameless']} of {rows['rows']} entity rows have no entity_names" in found.err
    recall = found.records[1]["metrics"]["entity_recall_strict"]["no_bias"]
    assert 0 < recall["mean"] <= 0.5  # half of the names have an apostrophe, which no word has
    command = [sys.executable, PAPER / "figure1.py", "data/datasets.yaml", "--rank", "32", "--entities"]
    command += [f"data/test{ENTITIES}", "--vocab", "v.json", "--", "--epochs", "1", "--sim-threshold", "0"]
    figure = subprocess.run(command, capture_output=True, text=True, check=False)
    assert figure.returncode == 0, figure.stderr
    assert "| speech_en | strict |" in figure.stdout and Path("figure1.svg").is_file()


def test_what_was_made_is_completed_and_what_was_written_by_hand_is_kept(
    hub: Hub, quickstart: Path, here: Path, flip: Flip
) -> None:
    files = {f"cv_15/de/sonar/{name}": content for name, content in release(quickstart).items()}
    hub.add(REPO, files, kind="datasets")
    assert flip("pull", REPO, "--dataset", "-o", "data", "--include", "test_t*").code == 0
    assert [file.id for file in load_dataset(Path("data/datasets.yaml"), "test").embeddings] == ["text_de"]
    assert flip("pull", REPO, "--dataset", "-o", "data", "--include", "test_*").code == 0
    assert [file.id for file in load_dataset(Path("data/datasets.yaml"), "test").embeddings] == ["text_de", "speech_de"]
    Path("data/datasets.yaml").write_text("mine: {}\n")
    assert flip("pull", REPO, "--dataset", "-o", "data").code == 0
    assert Path("data/datasets.yaml").read_text() == "mine: {}\n"


def test_folders_with_the_same_parts_are_told_apart(here: Path) -> None:
    from flip.data.published import describe_published

    for folder in ("en", "fr/sonar"):
        (here / folder).mkdir(parents=True)
        for name in ("test_transcript.txt", "test_text_embs.npy"):
            (here / folder / name).write_bytes(b"")
    (here / "en" / "dev_transcript.txt").write_bytes(b"")  # no vectors, no dataset
    found = describe_published(here, "und")
    assert {name: data.embeddings[0].id for name, data in found.items()} == {
        "en_test": "text_en", "fr_sonar_test": "text_fr",
    }  # fmt: skip
    assert describe_published(here / "fr" / "sonar")["test"].embeddings[0].id == "text"


def test_every_entry_of_a_manifest_has_the_language_that_the_published_training_asks_for(here: Path) -> None:
    from flip.data.manifest import Dataset, EmbeddingFile, TextFile, load_manifest, write_manifest

    unknown = Dataset("train", (EmbeddingFile("a", here / "a.npy"),), (TextFile("a", here / "a.txt"),))
    write_manifest(here / "datasets.yaml", {"train": unknown})
    tree = yaml.safe_load((here / "datasets.yaml").read_text())["train"]
    assert {entry["language"] for entry in (*tree["embeddings"], *tree["texts"])} == {"und"}
    read = load_manifest(here / "datasets.yaml")["train"]
    assert read.embeddings[0].language is None and read.texts[0].language is None


def test_rows_and_sentences_that_the_published_evaluation_leaves_out(
    hub: Hub, quickstart: Path, run_folder: Path, here: Path, flip: Flip
) -> None:
    files = release(quickstart)
    similarity = np.load(io.BytesIO(files["test_sim_scores.npy"]))
    similarity[:3] = [-0.1, 0.0, 0.1]
    content = io.BytesIO()
    np.save(content, similarity)
    lines = files["test_transcript.txt"].decode().splitlines()
    named = [json.dumps({"line_number": i, "entity_names": [line.split()[0]]}) for i, line in enumerate(lines, 1)]
    hub.add(REPO, files | {"test_sim_scores.npy": content.getvalue()}, kind="datasets")
    assert flip("pull", REPO, "--dataset", "-o", "data").code == 0
    Path("e.jsonl").write_text("\n".join(named))
    measured = ("eval", "--model", run_folder, "--data", "data/datasets.yaml", "--dataset", "test", "--json")
    found = flip(*measured, "--entities", "e.jsonl")
    assert found.code == 0, found.err
    assert "3 rows whose sim_scores are too low left out" in found.err  # -0.1, 0.0 and NaN
    assert found.records[0]["n"] == len(lines) - 3
    assert found.records[0]["entity_rows"]["unmatched"] == 3  # the lines are still those of the file
    spread = found.records[0]["metrics"]["accuracy"]["bias"]
    assert spread["min"] <= spread["median"] <= spread["max"] and spread["std"] > spread["se"]
    assert flip(*measured, "--sim-threshold", "-1").records[0]["n"] == len(lines) - 1
    some = flip(*measured, "--min-tokens", 5, "--max-tokens", 7)
    fitting = [5 <= len(line.split()) <= 7 and i not in (0, 1, 5) for i, line in enumerate(lines)]
    assert some.records[0]["n"] == sum(fitting) > 0
    assert "sentences that have not 5 to 7 words left out" in some.err
    none = flip(*measured, "--min-tokens", 500)
    assert (none.code, "no sentence has at least 500 words" in none.err) == (3, True)
