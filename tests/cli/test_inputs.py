"""One decision for all commands: what an argument, a pipe or a folder is, from the command line."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flip.encoders import Encoder
from tests.conftest import Flip

Fails = Callable[..., str]
FLIP = f"{sys.executable} -m flip"
SAID = ["The cat sat on the mat.", "Trains to Boston are late."]
LINES = "".join(f"{text}\n" for text in SAID)
RECORDS = [{"text": text} for text in SAID]
PRETTY = "".join(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode() + "\n" for record in RECORDS)
TABLE = "client_id\tpath\tsentence\tlocale\n" + "".join(f"x\ta.mp3\t{text}\ten\n" for text in SAID)
INPUTS = {
    "array.json": orjson.dumps(RECORDS),
    "pretty.json": orjson.dumps(RECORDS, option=orjson.OPT_INDENT_2),
    "objects.txt": PRETTY.encode(),
    "array.jsonl.gz": gzip.compress(orjson.dumps(RECORDS)),
    "train.tsv": TABLE.encode(),
    "blank.tsv": TABLE.encode() + b"\n",
    "a.csv": ("text;n\n" + "".join(f'"{text}";1\n' for text in SAID)).encode(),
    "a.txt.gz": gzip.compress(LINES.encode()),
    "no ending": gzip.compress(TABLE.encode()),
    "utf16.txt": LINES.encode("utf-16"),
    "utf32be.txt": ("\ufeff" + LINES).encode("utf-32-be"),
}


def shell(command: str, cwd: Path) -> tuple[int, list[dict[str, object]], str]:
    """Bash, for its process substitutions."""
    done = subprocess.run(["bash", "-c", command], cwd=cwd, capture_output=True, timeout=120)
    return done.returncode, [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


@pytest.mark.parametrize("name", INPUTS)
def test_every_command_reads_the_same_sentences(name: str, flip: Flip, here: Path, minilm: Encoder) -> None:
    (here / name).write_bytes(INPUTS[name])
    explained = flip("explain", name, "--topn", 1)
    assert (explained.code, [record["text"] for record in explained.records]) == (0, SAID)
    assert flip("vocab", name, "-o", "v.json").code == 0
    assert {"boston", "cat", "trains"} <= set(orjson.loads((here / "v.json").read_bytes()))
    assert flip("embed", name, "-o", "u.npy").code == 0
    assert (here / "u.sentences.txt").read_text().splitlines() == SAID
    np.testing.assert_allclose(np.load("u.npy"), minilm.encode(SAID), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretty.json", "train.tsv", "a.txt.gz", "utf16.txt"])
def test_train_reads_them_too(name: str, flip: Flip, here: Path, sentences: list[str]) -> None:
    some = sentences[:60]
    content = {
        "pretty.json": orjson.dumps([{"text": text} for text in some], option=orjson.OPT_INDENT_2),
        "train.tsv": "\n".join(["path\tsentence", *(f"a\t{text}" for text in some)]).encode(),
        "a.txt.gz": gzip.compress("\n".join(some).encode()),
        "utf16.txt": "\n".join(some).encode("utf-16"),
    }[name]
    (here / name).write_bytes(content)
    assert flip("train", name, "-o", "run", "--epochs", 1, "--augment", 0, "--split", "rest,5,5").code == 0
    parts = [(here / f"run/data/{part}.sentences.txt").read_text() for part in ("train", "dev", "test")]
    assert sorted("".join(parts).splitlines()) == sorted(some)


@pytest.mark.slow
def test_pipes_and_substitutions_are_files(here: Path) -> None:
    (here / "a.txt").write_text(LINES)
    (here / "a.json").write_bytes(INPUTS["pretty.json"])
    for command in (
        f"{FLIP} explain <(cat a.txt)",
        f"{FLIP} explain /dev/stdin < a.txt",
        f"cat a.txt | {FLIP} explain /dev/stdin",
        f"gzip -c a.txt | {FLIP} explain",
        f"cat a.json | {FLIP} explain",
        f"mkfifo pipe; cat a.txt > pipe & {FLIP} explain pipe",
    ):
        code, records, err = shell(command, here)
        assert (code, [record["text"] for record in records]) == (0, SAID), (command, err)
    code, [record], _ = shell(f'{FLIP} explain "The cat sat." --against <(head -n 1 a.txt)', here)
    assert code == 0
    assert record["against"] == {"text": SAID[0]}
    code, [made], _ = shell(f"{FLIP} embed <(cat a.txt) -o u", here)
    assert (code, made["embeddings"], made["rows"]) == (0, "u.npy", 2)
    code, _, err = shell(f"{FLIP} embed <(cat a.txt)", here)
    assert code == 2
    assert "a pipe, needs a name for its output" in err
    code, records, _ = shell(f"cat u.npy | {FLIP} explain", here)
    assert (code, [record["row"] for record in records]) == (0, [0, 1])


def test_standard_input_named_twice_is_a_usage_error(fails: Fails, here: Path) -> None:
    for command in (
        ("explain", "-", "--against", "-"), ("explain", "--against", "-"), ("explain", "-", "/dev/stdin"),
        ("vocab", "-", "-"), ("embed", "-", "-", "-o", "u.npy"), ("train", "-", "-", "-o", "run"),
        ("embed", "-", "-", "--pair", "--dataset", "d"),
    ):  # fmt: skip
        assert "standard input can be read only once" in fails(2, *command)


def test_a_path_that_is_not_there_is_missing_and_a_sentence_is_not(fails: Fails, flip: Flip, here: Path) -> None:
    for name in ("talk.mp4", "data/sents", "./no such.txt", "a.csv.gz", "http://127.0.0.1:9/a.mp3"):
        err = fails(3, "explain", name)
        assert f"error: {name}: no such file" in err
        assert "--text" in err
        assert "no such file" in fails(3, "explain", "The cat sat.", "--against", name)
    sentences = ["and/or is fine", "What is 3/4?", "e.g. etc."]
    result = flip("explain", *sentences)
    assert (result.code, [record["text"] for record in result.records]) == (0, sentences)
    assert flip("explain", "--text", "and/or").records[0]["text"] == "and/or"


def test_what_cannot_be_read_is_named_by_every_command(fails: Fails, here: Path) -> None:
    (here / "utf16.txt").write_bytes(LINES.encode("utf-16-le"))
    (here / "a.pdf").write_bytes(b"%PDF-1.7\n%")
    np.savez(here / "u.npz", rows=np.ones((2, 384), np.float32))
    for name, message, hint in (
        ("utf16.txt", "NUL bytes, as UTF-16LE without a byte order mark", "iconv -f UTF-16LE -t UTF-8 utf16.txt"),
        ("a.pdf", "a PDF", "pdftotext a.pdf"),
        ("u.npz", "no column of text", "it has: rows"),
    ):
        for command in (["explain", name], ["vocab", name], ["embed", name], ["train", name, "-o", "run"]):
            if name == "u.npz" and command[0] in ("explain", "embed"):  # they take the texts of a named column alone
                assert "error: u.npz: a store of vectors" in fails(3, *command)
                continue
            err = fails(3, *command)
            assert f"error: {name}: {message}" in err
            assert hint in err


def test_the_hints_lead_to_success(fails: Fails, flip: Flip, here: Path) -> None:
    def follow(err: str) -> None:
        hint = next(line for line in err.splitlines() if line.startswith("hint:"))
        subprocess.run(hint[hint.index("iconv") :], shell=True, check=True)

    (here / "a.txt").write_bytes(b"It doesn\x92t matter.\n")
    result = flip("explain", "a.txt")
    assert result.code == 3
    follow(result.err)
    assert flip("explain", "a.utf8.txt").records[0]["text"] == "It doesn’t matter."
    (here / "b.txt").write_bytes("The cat sat.\n".encode("utf-16-be"))
    follow(fails(3, "explain", "b.txt"))
    assert flip("explain", "b.utf8.txt").records[0]["text"] == "The cat sat."


def test_a_record_with_an_embedding_uses_it(flip: Flip, here: Path, minilm: Encoder) -> None:
    [vector] = minilm.encode(["The train to Boston was late."])
    lines = [{"text": "Dogs bark.", "embedding": vector.tolist()}, {"text": "Dogs bark.", "embedding": [0.1] * 768}]
    (here / "a.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    result = flip("explain", "a.jsonl", "--topn", 3)
    assert result.code == 3
    assert result.records[0]["text"] == "Dogs bark."
    assert "boston" in {word["word"] for word in result.records[0]["keywords"]}
    assert "line 2: 768 dimensions; the checkpoint expects 384" in result.records[1]["error"]
    assert flip("embed", "a.jsonl").code == 0  # of the texts
    np.testing.assert_allclose(np.load("a.npy"), minilm.encode(["Dogs bark."] * 2), atol=1e-5)


def test_stored_vectors_are_used_however_they_are_written(flip: Flip, here: Path, minilm: Encoder) -> None:
    rows = minilm.encode(SAID)
    as_text = [orjson.dumps(row.tolist()).decode() for row in rows]
    text = ["Dogs bark."] * 2
    pq.write_table(pa.table({"text": text, "v": [row.tobytes() for row in rows]}), "a.parquet")
    pq.write_table(pa.table({"text": text, "v": as_text}), "b.parquet")
    (here / "a.csv").write_text("text,embedding\n" + "".join(f'Dogs bark.,"{one}"\n' for one in as_text))
    (here / "a.jsonl").write_text("".join(f'{{"text": "Dogs bark.", "vector": {one}}}\n' for one in as_text))
    for name in ("a.parquet", "b.parquet"):
        assert flip("store", "words", name, "-o", "w.jsonl", "--encoder", "minilm", "--topn", 3).code == 0
        written = [orjson.loads(line) for line in Path("w.jsonl").read_bytes().splitlines()]
        assert "cat" in written[0]["words"] and "boston" in written[1]["words"], name
    for name in ("a.csv", "a.jsonl"):
        result = flip("explain", name, "--encoder", "minilm", "--topn", 3)
        assert (result.code, [record["text"] for record in result.records]) == (0, text)
        words = [{word["word"] for word in record["keywords"]} for record in result.records]
        assert "cat" in words[0] and "boston" in words[1], name


def test_the_hint_for_a_table_without_a_column_of_text_leads_to_success(fails: Fails, flip: Flip, here: Path) -> None:
    (here / "a.csv").write_text(f"id,review\n1,{SAID[0]}\n")
    for command in (("explain", "a.csv"), ("vocab", "a.csv")):
        err = fails(3, *command)
        assert "it has: id, review; rename the one with the sentences to text" in err
        assert ("--text-column" in err) == (command[0] == "explain")
    assert [record["text"] for record in flip("explain", "a.csv", "--text-column", "review").records] == [SAID[0]]


def test_embeddings_by_their_content_and_beside_foreign_files(fails: Fails, flip: Flip, here: Path) -> None:
    (here / "a.txt").write_text(LINES)
    assert flip("embed", "a.txt", "-o", "rows.npy").code == 0
    for foreign in (b'{"text": "one"}\n{"text": "two"}\n', b"[1, 2]", b'{"encoder": {"layers": 6}}', b"not JSON"):
        (here / "rows.json").write_bytes(foreign)
        assert [record["row"] for record in flip("explain", "rows.npy").records] == [0, 1]
    (here / "rows.npy").rename(here / "rows.bin")
    assert [record["row"] for record in flip("explain", "rows.bin").records] == [0, 1]
    for number, shape in enumerate(((), (384,), (2, 384, 1))):
        np.save(f"{number}.npy", np.ones(shape, np.float32))
        err = fails(3, "explain", f"{number}.npy")
        assert f"{number}.npy: expected floats of shape (rows, dimension)" in err
        assert f"found float32 of shape {shape}" in err


def test_the_sentences_beside_rows_are_shown_where_they_fit(flip: Flip, here: Path) -> None:
    (here / "a.txt").write_text(LINES)
    assert flip("embed", "a.txt", "-o", "u.npy").code == 0
    found = flip("explain", "u.npy")
    assert [(record["row"], record["text"]) for record in found.records] == list(enumerate(SAID))
    assert found.records[0]["keywords"][0]["in_text"]
    (here / "u.sentences.txt").write_text("One.\n")
    found = flip("explain", "u.npy")
    assert (found.code, ["text" in record for record in found.records]) == (0, [False, False])
    assert "note: u.sentences.txt is not used: it has 1 lines, and u.npy 2 rows" in found.err


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["a.txt", "-o", "test.en"], "test.en.npy"),
        (["a.txt", "-o", "v1.5/u"], "v1.5/u.npy"),
        (["a.txt"], "a.npy"),
        (["a.txt.gz"], "a.npy"),
        (["europarl.de-en.en"], "europarl.de-en.en.npy"),
        (["a.txt", "-o", "u.npy"], "u.npy"),
    ],
)
def test_names_of_outputs_keep_their_dots(arguments: list[str], output: str, flip: Flip, here: Path) -> None:
    for name in ("a.txt", "europarl.de-en.en"):
        (here / name).write_text(LINES)
    (here / "a.txt.gz").write_bytes(gzip.compress(LINES.encode()))
    result = flip("embed", *arguments)
    assert (result.code, result.records[0]["embeddings"]) == (0, output)
    assert (here / output).is_file()
    assert (here / output).with_suffix(".sentences.txt").is_file()


def test_an_empty_part_of_a_release_is_named(fails: Fails, here: Path) -> None:
    header = "client_id\tpath\tsentence\n"
    for part, rows in (("train", "x\ta.mp3\tThe cat sat.\n"), ("dev", "\n"), ("test", "x\ta.mp3\tA dog.\n")):
        (here / f"{part}.tsv").write_text(header + rows)
    err = fails(3, "embed", here, "--dataset", "out")
    assert f"error: {here}/dev.tsv: no sentence" in err
    assert f"flip embed {here}/train.tsv --dataset DIR" in err
    (here / "dev.tsv").write_text(header + "x\ta.mp3\t\n")
    assert f"{here}/dev.tsv: no sentence" in fails(3, "embed", here, "--dataset", "out")
    (here / "dev.tsv").write_text("")
    assert f"{here}/dev.tsv: no sentence" in fails(3, "embed", here, "--dataset", "out")


def test_byte_order_marks_in_settings_vocabularies_and_entities(flip: Flip, here: Path, run_folder: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (here / "a.txt").write_text(LINES)
    (here / "flip.toml").write_bytes(mark + b"[vocab]\nmax_features = 3\n")
    assert flip("vocab", "a.txt").records[0]["words"] == 3
    (here / "flip.toml").write_bytes("[vocab]\nmax_features = 2\n".encode("utf-16"))
    assert flip("vocab", "a.txt", "--force").records[0]["words"] == 2
    (here / "flip.toml").unlink()
    (here / "vocab.options.json").unlink()  # of the vocabulary of a.txt
    (here / "vocab.json").write_bytes(mark + (run_folder / "vocab.json").read_bytes())
    (here / "model.safetensors").hardlink_to(run_folder / "model.safetensors")
    assert flip("explain", "--model", "model.safetensors", "--encoder", "minilm", "The boat left.").code == 0


@pytest.mark.slow
def test_recordings_of_all_kinds(flip: Flip, here: Path) -> None:
    pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
    from flip.inputs import audio
    from sound import write_audio
    from tests.conftest import ROOT

    wave = audio.load(ROOT / "examples" / "audio.wav")[None]
    talks = here / "talks"
    talks.mkdir()
    write_audio(talks / "a.m4a", wave, 16_000, "aac").rename(talks / "a.mp4")
    mp3 = bytearray(write_audio(here / "b.mp3", wave, 16_000, "libmp3lame").read_bytes())
    mp3[3000:3500] = bytes(500)
    (talks / "b.mp3").write_bytes(mp3)
    write_audio(here / "c.flac", wave, 16_000, "flac").rename(talks / "c")
    (talks / "d.txt").write_text("No recording.\n")
    (talks / "e.mp3").write_bytes(b"")
    explained = flip("explain", talks)
    assert [Path(record["audio"]).name for record in explained.records] == ["a.mp4", "b.mp3", "c", "e.mp3"]
    first, damaged, third, empty = explained.records
    for record in (first, third):
        assert "children played" in record["transcript"]
        assert "warnings" not in record
    assert "damaged part" in damaged["warnings"][0]
    assert "garden" in damaged["transcript"]
    assert "not readable audio" in empty["error"]
    assert f"note: {talks}: 1 passed over, not recordings: d.txt" in explained.err
    embedded = flip("embed", talks, "-o", "u")
    assert embedded.code == 3
    assert (embedded.records[0]["rows"], embedded.records[0]["failed"]) == (3, 1)
    assert "1 passed over, not recordings: d.txt" in embedded.err
    assert "note: u.npy: 1 recordings were decoded only in part: " in embedded.err
    assert "damaged part" in orjson.loads((here / "u.json").read_bytes())["warnings"][0]
    assert "decoded only in part" in flip("embed", talks, "-o", "u").err  # said again where it is up to date


@pytest.mark.slow
def test_piped_audio_is_audio(here: Path) -> None:
    pytest.importorskip("faster_whisper", reason="the extra `offline` is not installed")
    from tests.conftest import ROOT

    talk = ROOT / "examples" / "audio.wav"
    code, [record], err = shell(f"cat {talk} | {FLIP} explain --offline", here)
    assert code == 0, err
    assert record["audio"] == "-"
    assert "children played" in str(record["transcript"])
    embed = f"cat {talk} | {FLIP} embed - -o u --offline"
    code, [made], _ = shell(embed, here)
    assert (code, made["rows"]) == (0, 1)
    assert (here / "u.audio.txt").read_text() == "-\n"
    assert "up to date" in shell(embed, here)[2]
    code, _, err = shell(f"(cat {talk}; cat {talk}) | {FLIP} embed - -o u --offline", here)
    assert code == 3
    assert "was made from other input" in err


def test_clips_without_their_table_are_not_passed_over(fails: Fails, here: Path) -> None:
    (here / "a.txt").write_text(LINES)
    assert "not a table with the columns path and sentence" in fails(3, "embed", "a.txt", "--clips", os.curdir)


def test_a_second_column_of_text_is_said_by_every_command(flip: Flip, here: Path) -> None:
    (here / "a.csv").write_text("sentence,text\n" + "".join(f"no,{text}\n" for text in SAID))
    for command in (("explain", "a.csv"), ("vocab", "a.csv", "-o", "v.json"), ("embed", "a.csv")):
        result = flip(*command)
        assert (result.code, result.err.count("note: a.csv: texts from 'text'; 'sentence' is not used")) == (0, 1)
