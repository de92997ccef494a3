"""`flip embed` on recordings, Common Voice, pairs and an API."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip.cli.app import main
from flip.errors import InputError
from flip.inputs.records import read_records
from sound import tone, write_audio

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "audio.wav"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[dict[str, Any]], str]:
    code = main(["embed", "--offline", *argv])
    captured = capsys.readouterr()
    return code, [orjson.loads(line) for line in captured.out.splitlines()], captured.err


def common_voice(folder: Path) -> tuple[Path, Path]:
    clips = folder / "clips"
    clips.mkdir()
    shutil.copy(EXAMPLE, clips / "a.wav")
    write_audio(clips / "b.mp3", tone(1, 44_100)[None], 44_100, "libmp3lame")
    (clips / "c.mp3").write_bytes(b"")
    tsv = folder / "train.tsv"
    tsv.write_text(
        "client_id\tpath\tsentence\tup_votes\n"
        'x\ta.wav\tYesterday the "children" played.\t2\nx\tb.mp3\tA tone.\t2\nx\tc.mp3\tNothing.\t2\n'
    )
    return tsv, clips


def test_common_voice_as_text_and_as_speech(tmp_path: Path) -> None:
    tsv, clips = common_voice(tmp_path)
    assert [record.text for record in read_records(tsv)] == ['Yesterday the "children" played.', "A tone.", "Nothing."]
    records = list(read_records(tsv, clips))
    assert [record.audio for record in records] == [clips / name for name in ("a.wav", "b.mp3", "c.mp3")]
    assert records[1].text == "A tone."
    tsv.write_text("path\twords\na\tb\n")
    with pytest.raises(InputError, match="line 1: no column 'sentence' or 'text' in the header"):
        list(read_records(tsv))
    tsv.write_text("path\ttext\na\tb\n")
    with pytest.raises(InputError, match="line 1: no column 'sentence' in the header"):
        list(read_records(tsv, clips))
    tsv.write_text("path\tsentence\na\n")
    with pytest.raises(InputError, match="line 2: 1 columns, the header has 2"):
        list(read_records(tsv))


@pytest.mark.slow
def test_common_voice_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
    tsv, clips = common_voice(tmp_path)
    code, [result], err = run(capsys, str(tsv), "--clips", str(clips), "-o", str(tmp_path / "speech.npy"))
    assert code == 3
    assert (result["rows"], result["failed"]) == (1, 2)
    assert "2 inputs have no row" in err
    assert (tmp_path / "speech.sentences.txt").read_text() == 'Yesterday the "children" played.\n'
    about = orjson.loads((tmp_path / "speech.json").read_bytes())
    assert about["via"]["name"] == "whisper tiny.en"
    assert [Path(item["audio"]).name for item in about["failed"]] == ["b.mp3", "c.mp3"]


@pytest.mark.slow
def test_a_folder_of_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
    (tmp_path / "in").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "in" / "a.wav")
    code, [result], _ = run(capsys, str(tmp_path / "in"), "-o", str(tmp_path / "o.npy"))
    assert (code, result["rows"]) == (0, 1)
    assert "children played football" in (tmp_path / "o.sentences.txt").read_text()
    assert (tmp_path / "o.audio.txt").read_text() == f"{tmp_path}/in/a.wav\n"
    code, _, err = run(capsys, str(tmp_path / "in"), "-o", str(tmp_path / "o.npy"))
    assert (code, "up to date" in err) == (0, True)
    write_audio(tmp_path / "in" / "a.wav", tone(1, 16_000)[None], 16_000)  # another recording of the same name
    code, _, err = run(capsys, str(tmp_path / "in"), "-o", str(tmp_path / "o.npy"))
    assert code == 3
    assert "was made from other input" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, str(tmp_path / "empty"), "-o", str(tmp_path / "p.npy"))
    assert code == 3
    assert "no recording and no text in this folder" in err


def test_a_folder_of_texts_is_embedded_in_the_order_of_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "0.txt").write_text("The fourth sentence.\n")
    (folder / "a.jsonl").write_text('{"text": "The second sentence."}\n{"text": "The third sentence."}\n')
    (folder / "README.md").write_text("Not a sentence.\n")
    with gzip.open(folder / "0.txt.gz", "wt") as file:
        file.write("The first sentence.\n")
    code, [result], err = run(capsys, str(folder), "-o", str(tmp_path / "o.npy"))
    assert (code, result["rows"]) == (0, 4)
    assert f"{folder}: 1 passed over, not text: README.md" in err
    lines = (tmp_path / "o.sentences.txt").read_text().splitlines()
    assert lines == [f"The {n} sentence." for n in ("first", "second", "third", "fourth")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("first", "second", "lines"),
    [
        ("One boat.\nA lamp\rstood.\nThree.\nFour.", "Ein Boot.\nEine Lampe.\nDrei\rviele.\nVier.", (2, 3)),
        ("One boat.\r\nA lamp\rstood.\r\nThree.\r\nFour.\r\n", "Ein Boot.\nEine.\nDrei\r\r\nVier.\n", (2, 3)),
        ("\rOne boat.\nA lamp.\nThree.\nFour.", "Ein Boot.\nEine.\nDrei.\nVier\r", (1, 4)),
    ],
)
def test_a_carriage_return_ends_no_line_of_a_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str, second: str, lines: tuple[int, int], encoding: str
) -> None:
    for name, text in (("t.en", first), ("t.de", second)):
        (tmp_path / name).write_bytes(text.encode(encoding))
    code, results, err = run(capsys, str(tmp_path / "t.en"), str(tmp_path / "t.de"), "--pair")
    assert (code, [result["rows"] for result in results[:2]]) == (0, [4, 4])
    for name, line in zip(("t.en", "t.de"), lines, strict=True):
        told = "".join(err.split())
        assert told.count(f"{name}:carriagereturnswithinalinearereadasspaces:line{line}") == 1
    kept = (tmp_path / "t.de.sentences.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0].strip(".") for line in kept] == ["Ein", kept[1].split()[0].strip("."), "Drei", "Vier"]


def test_a_pair_stays_aligned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.en").write_text("The rain stopped.\n\nTea?\nThe end.\n")
    (tmp_path / "t.de").write_text("Der Regen hörte auf.\nJa.\n\nDas Ende.\n")
    code, results, err = run(capsys, str(tmp_path / "t.en"), str(tmp_path / "t.de"), "--pair")
    assert code == 0
    assert (tmp_path / "t.en.sentences.txt").read_text() == "The rain stopped.\nThe end.\n"
    assert (tmp_path / "t.de.sentences.txt").read_text() == "Der Regen hörte auf.\nDas Ende.\n"
    a, b = np.load(tmp_path / "t.en.npy"), np.load(tmp_path / "t.de.npy")
    scores = np.load(tmp_path / "t.en--t.de.similarity.npy")
    assert scores.dtype == np.float32
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(scores, (a * b).sum(1) / norms, atol=1e-6)
    assert results[-1]["mean"] == pytest.approx(float(scores.mean()), abs=1e-4)
    (tmp_path / "t.de").write_text("Der Regen hörte auf.\n")
    code, _, err = run(capsys, str(tmp_path / "t.en"), str(tmp_path / "t.de"), "--pair", "--force")
    assert code == 3
    assert "t.de has fewer lines" in err
    code, _, err = run(capsys, str(tmp_path / "t.en"), "--pair")
    assert (code, "--pair takes two files" in err) == (2, True)


@pytest.mark.parametrize("shard", [("--shard", "1/2"), ()])
def test_a_dataset_is_not_made_by_several_processes(
    shard: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.txt").write_text("".join(f"Sentence number {i}.\n" for i in range(40)))
    if not shard:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "0")
    code, _, err = run(capsys, str(tmp_path / "c.txt"), "--dataset", str(tmp_path / "d"), *shard)
    assert code == 2
    assert err.startswith("error: --dataset is made by one process")
    assert not (tmp_path / "d").exists()


def test_a_part_without_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("One.\nTwo.\nThree.\n")
    code, [result], err = run(capsys, str(tmp_path / "a.txt"), "-o", str(tmp_path / "o.npy"), "--shard", "1/8")
    assert (code, result["rows"]) == (0, 0)
    assert "o.shard-1-of-8.npy is empty: there are more parts than inputs" in err


def test_an_encoder_of_ones_own_that_was_changed_is_noticed(flip: Any, fails: Any, here: Path) -> None:
    (here / "s.txt").write_text("One cat.\nTwo dogs bark.\n" * 20)
    command = ("embed", "s.txt", "--encoder", "own.py:f", "-o", "u.npy")
    for factor in (1, 2):
        (here / "own.py").write_text(f"def f(texts):\n    return [[{factor} * len(text), 1.0] for text in texts]\n")
        if factor == 2:
            assert "made from other input, weights or options" in fails(3, *command)
        assert flip(*command, *(["--force"] if factor == 2 else [])).code == 0
        assert np.load("u.npy")[0].tolist() == [8 * factor, 1]
        assert "up to date" in flip(*command).err


@pytest.mark.slow
def test_an_api_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    from api_server import KEY, Server, vector

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("flip.encoders.api._FIRST_WAIT", 0.002)
    sentences = [f"number {i}" for i in range(1000)]
    (tmp_path / "a.txt").write_text("\n".join(sentences))
    server = Server()
    argv = [str(tmp_path / "a.txt"), "--encoder", "openai:tiny", "--base-url", server.url, "--dimensions", "8"]
    code, [plan], _ = run(capsys, *argv, "--dry-run")
    assert (code, plan["requests"], plan["sentences"]) == (0, 4, 1000)
    assert server.requests == 0
    code, plans, _ = run(capsys, *argv, "--dry-run", "--dataset", str(tmp_path / "d"), "--split", "rest,100,100")
    assert code == 0
    assert [(plan["input"], plan["sentences"]) for plan in plans] == [
        ("train text", 800), ("dev text", 100), ("test text", 100),
    ]  # fmt: skip
    assert (server.requests, (tmp_path / "d").exists()) == (0, False)
    # A storm in the middle: the command fails, and what was paid for is not asked again.
    server.delay = 0.1
    server.faults = [None, None, *[429] * 40]
    code, _, err = run(capsys, *argv)
    assert code == 4
    assert "HTTP 429: no, not with ***, 8 times in a row" in err
    paid = len(server.embedded)
    assert paid in (512, 488)  # two requests of 256 sentences, or one and the last
    assert server.most_together > 1
    server.faults = []
    code, [result], err = run(capsys, *argv)
    assert (code, result["rows"], result["device"]) == (0, 1000, "api")
    assert f"goes on at row {paid}" in err
    assert sorted(server.embedded) == sorted(sentences)
    rows = np.load(tmp_path / "a.npy")
    np.testing.assert_allclose(rows, np.array([vector(s, 8) for s in sentences], np.float32), atol=1e-6)
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes()
    code, _, err = run(capsys, str(tmp_path / "a.txt"), "--dry-run", "-o", str(tmp_path / "b.npy"))
    assert code == 2
    assert "is not an API" in err


@pytest.mark.slow
def test_an_interrupt_in_a_storm_is_prompt_and_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    from api_server import KEY, Server

    sentences = [f"number {i}" for i in range(1000)]
    (tmp_path / "a.txt").write_text("\n".join(sentences))
    server = Server()
    server.faults = [None, None, (429, 60), (429, 60), *[(429, 60)] * 40]
    argv = [sys.executable, "-m", "flip", "embed", str(tmp_path / "a.txt"), "--encoder", "openai:tiny", "--offline"]
    argv += ["--base-url", server.url, "--dimensions", "8", "-q"]
    environment = os.environ | {"OPENAI_API_KEY": KEY}
    running = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
    while server.requests < 4:
        time.sleep(0.05)
    time.sleep(0.3)  # the two that are told to wait a minute, wait
    started = time.perf_counter()
    running.send_signal(signal.SIGINT)
    try:
        _, err = running.communicate(timeout=30)
    finally:
        running.kill()
    assert time.perf_counter() - started < 5
    assert (running.returncode, err.splitlines()[0]) == (130, "error: interrupted")
    assert "goes on where it stopped" in err
    paid = len(server.embedded)
    assert 0 < paid < 1000
    server.faults = []
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    assert sorted(server.embedded) == sorted(sentences)


def test_embeddings_of_another_encoder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    name, revision, dimension, device = 'mine', '1', 384, 'cpu'\n"
        "    modalities = frozenset({'text'})\n"
        "    def encode(self, batch):\n"
        "        return np.ones((len(batch), 384), np.float32)\n"
    )
    (tmp_path / "a.txt").write_text("A sentence.\n")
    code, _, _ = run(capsys, str(tmp_path / "a.txt"), "--encoder", f"{tmp_path}/own.py:Mine")
    assert code == 0
    assert main(["explain", str(tmp_path / "a.npy"), "--json"]) == 3
    err = capsys.readouterr().err
    assert "a.npy was embedded with encoder mine; the checkpoint was trained on minilm" in err
    assert "hint:  re-embed with `flip embed --encoder minilm`" in err
