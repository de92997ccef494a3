"""What a command raises becomes a message and an exit code."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import typer

from flip.cli.output import escape_json, guarded, visible


@pytest.mark.parametrize("said", [True, False])
def test_memory_that_is_not_there_is_named(said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command() -> None:
        if said:
            np.empty(2**60, np.uint8)
        raise MemoryError

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == 3
    err = capsys.readouterr().err
    assert err.startswith(
        "error: not enough memory: Unable to allocate 1.00 EiB" if said else "error: not enough memory"
    )


FLIP = [sys.executable, "-m", "flip"]
HOSTILE = ["\x1b]52;c;aGk=\x07", "\x1b[2J", "\x9b31m", "\u202e", "\u2066", "\x7f", "\u2028", "a\rb"]


def on_a_terminal(*argv: str, env: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Exit code, and what a terminal would get of stdout and stderr."""
    control, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"} | (env or {})
    process = subprocess.Popen([*FLIP, *argv], stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    output = b""
    try:
        while piece := os.read(control, 65536):
            output += piece
    except OSError:  # its end, on Linux
        pass
    os.close(control)
    return process.wait(), output


def controls(output: bytes) -> set[str]:
    """Those in what was shown, but for line ends and the colours and styles that rich sets."""
    import re

    text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode())
    return {c for c in text if c not in "\r\n" and visible(c) != c}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_hostile_is_written_out(hostile: str) -> None:
    assert all(c.isprintable() for c in visible(hostile))
    assert orjson.loads(escape_json(orjson.dumps({"a": hostile}).decode())) == {"a": hostile}


@pytest.mark.parametrize("kept", ["naïve café", "हिन्दी", "👩\u200d🚀", "مرحبا", "日本語"])
def test_words_stay_as_they_are(kept: str) -> None:
    assert visible(kept) == kept


@pytest.mark.slow
def test_no_control_character_reaches_the_terminal(tmp_path: Path) -> None:
    sentence = "The cat " + " ".join(HOSTILE) + " sat."
    (tmp_path / "in.txt").write_text(sentence + "\n", encoding="utf-8")
    for argv in (["in.txt"], ["in.txt", "--json"], ["--text", sentence], ["in.txt", "--against", "a dog"]):
        code, output = on_a_terminal("explain", *(str(tmp_path / a) if a == "in.txt" else a for a in argv))
        assert code == 0
        assert controls(output) == set()
        assert b"cat" in output
    code, output = on_a_terminal("explain", f"no\x1b[2Jsuch/{HOSTILE[3]}file.npy")
    assert code == 3
    assert controls(output) == set()
    code, output = on_a_terminal("vocab", str(tmp_path / "in.txt"), "-o", str(tmp_path / "v\x1b[2J.json"))
    assert controls(output) == set()


def plain(output: bytes) -> list[str]:
    """Lines as they stood on the screen, each state of a bar for itself, without colours and moves of the cursor."""
    import re

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", re.sub(r"\x1b\[[0-9;]*m", "", output.decode()))
    return re.split(r"[\r\n]+", text)


def test_notes_and_hints_break_between_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A dog.\n")
    name = str(tmp_path / ("a long name " * 6 + ".parquet"))
    for argv in (
        ["store", "words", str(tmp_path / "a.txt"), "-o", str(tmp_path / "o.jsonl")],
        ["explain", name],
        ["store", "words", name, "-o", str(tmp_path / "o.txt")],
    ):
        code, output = on_a_terminal(*argv)
        assert code in (2, 3)
        lines = plain(output)
        assert all(len(line) <= 80 or " " not in line.strip() for line in lines)
        whole = subprocess.run([*FLIP, *argv], capture_output=True, text=True).stderr
        assert " ".join("\n".join(lines).split()) == " ".join(whole.split())
        words = set(whole.split())
        assert {word for line in lines for word in line.split()} <= words


def test_a_bar_keeps_its_place_beside_a_long_label(tmp_path: Path) -> None:
    code = (
        "from flip.cli.output import Output\n"
        f"with Output().progress({'a label of many words ' * 10!r}) as update: update(617284, 1234567)"
    )
    control, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=environment)
    os.close(terminal)
    assert process.wait() == 0
    [line] = {line for line in plain(os.read(control, 65536)) if "617284/1234567" in line}
    os.close(control)
    assert line.count("━") == 10 and "…" in line and len(line) <= 80


def test_a_long_text_of_a_store_is_one_line_on_a_terminal_and_whole_in_json(
    here: Path, vectors: np.ndarray, sentences: list[str]
) -> None:
    texts = [" ".join([sentence] * 20) for sentence in sentences[:40]]
    lines = [orjson.dumps({"topic": "ab"[i % 2], "text": text}).decode() for i, text in enumerate(texts)]
    np.save("s.npy", vectors[:40])
    Path("s.jsonl").write_text("\n".join(lines) + "\n")
    for command in (["groups", "s.npy", "--by", "topic"], ["search", "s.npy", "train"]):
        code, output = on_a_terminal("store", *command)
        assert code == 0
        shown = [line for line in plain(output) if line.endswith("…")]
        assert len(shown) == (6 if command[0] == "groups" else 10)
        assert all(len(line) <= 80 for line in plain(output))
        found = subprocess.run([*FLIP, "store", *command, "--json"], capture_output=True, text=True).stdout
        records = [orjson.loads(line) for line in found.splitlines()]
        whole = [row["text"] for one in records for row in one.get("central", [one])]
        assert whole and all(text in texts for text in whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a\x1b]0;owned", "a\x9b31m", "a\u202eb"])
def test_the_name_of_a_file_is_written_out_in_a_progress_bar_too(
    tmp_path: Path, sentences: list[str], vectors: np.ndarray, name: str
) -> None:
    store, other, terms = tmp_path / f"{name}.npy", tmp_path / "other.npy", tmp_path / f"{name}.txt"
    np.save(store, vectors[:100])
    np.save(other, vectors[100:200])
    store.with_suffix(".sentences.txt").write_text("\n".join(sentences[:100]) + "\n", encoding="utf-8")
    terms.write_text("train\nnight\n", encoding="utf-8")
    commands: list[list[object]] = [
        ["store", "drift", store, other, "--encoder", "minilm"],
        ["store", "groups", store, "--clusters", "3", "--encoder", "minilm"],
        ["store", "words", store, "-o", tmp_path / f"{name}.jsonl", "--encoder", "minilm"],
        ["embed", terms, "-o", tmp_path / f"{name} 2.npy"],
        ["vocab", terms, "-o", tmp_path / f"{name}.json"],
    ]
    for argv in commands:
        code, output = on_a_terminal(*map(str, argv))
        assert code == 0, output
        assert name.encode() not in output, argv
        assert visible(name).encode() in output, argv


@pytest.mark.slow
def test_a_vocabulary_may_hold_control_characters(tmp_path: Path, run_folder: Path) -> None:
    import shutil

    shutil.copytree(run_folder, tmp_path / "run")
    words = orjson.loads((tmp_path / "run" / "vocab.json").read_bytes())
    renamed = {f"{word}\x1b[2J\u202e": i for word, i in words.items()}
    (tmp_path / "run" / "vocab.json").write_bytes(orjson.dumps(renamed))
    config = orjson.loads((tmp_path / "run" / "config.json").read_bytes())
    del config["words_sha256"]
    (tmp_path / "run" / "config.json").write_bytes(orjson.dumps(config))
    code, output = on_a_terminal("explain", "A garden.", "-m", str(tmp_path / "run"))
    assert code == 0
    assert controls(output) == set()


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_word_gets_it_escaped(tmp_path: Path) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for argv in (["explain", "--text", "naïve 水"], ["explain", "--text", "naïve 水", "--json"]):
        code, output = on_a_terminal(*argv, env=environment)
        assert code == 0
        assert output.isascii()


@pytest.mark.slow
def test_what_goes_into_a_file_is_utf8_whatever_the_locale() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([*FLIP, "explain", "--text", "naïve 水"], env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    assert orjson.loads(done.stdout)["text"] == "naïve 水"


@pytest.mark.slow
def test_arguments_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(name)).write_text("The cat sat.\n")
    done = subprocess.run([*FLIP, "explain", name], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert orjson.loads(done.stdout)["keywords"][0]["word"] in ("cat", "sat")
    done = subprocess.run([*FLIP, "explain", b"The caf\xe9 was closed."], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"not valid UTF-8" in done.stderr
    done = subprocess.run([*FLIP, "embed", name, "-o", str(tmp_path / "o.npy")], capture_output=True, check=False)
    assert done.returncode == 0
    done = subprocess.run([*FLIP, "vocab", name, "-o", name + b".json"], capture_output=True, check=False)
    assert (done.returncode, orjson.loads(done.stdout)["words"]) == (0, 3)
