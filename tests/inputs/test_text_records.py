"""Texts that hold no sentences are named, with a way to get the sentences; sentences are read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.record import Record
from flip.inputs.records import read_records, scan_records

CUE = "1\n00:00:01,000 --> 00:00:02,000\nThe cat sat.\n\n2\n00:00:03,000 --> 00:00:04,500\nA dog ran.\n"
CONLLU = "# sent_id = 1\n# text = The cat sat.\n1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n\n# text = A dog ran.\n"


def read(path: Path, content: str | bytes) -> list[str | None]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [record.text for record in read_records(path)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n<!DOCTYPE html>\n<html><body><p>The train was late.</p></body></html>\n", "HTML, not sentences"),
        ('<html lang="en">\n<body>\n', "HTML, not sentences"),
        ('\ufeff<?xml version="1.0"?>\n<r><s>The cat sat.</s></r>\n', "XML, not sentences"),
        (r"{\rtf1\ansi The cat sat.}", "RTF, not sentences"),
        (CUE, "subtitles, not sentences"),
        (CUE.replace("\n", "\r\n"), "subtitles, not sentences"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nThe cat sat.\n", "subtitles, not sentences"),
        (CONLLU, "CoNLL-U, a word a line, not sentences"),
        ("1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n", "CoNLL-U, a word a line, not sentences"),
        ("the 0.418 0.24968 -0.41242 0.1217 0.34527 -0.044457 -0.49688 -0.17862\n", "numbers, not sentences"),
    ],
)
def test_texts_without_sentences_are_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a.txt: {message}") as caught:
        read(tmp_path / "a.txt", content)
    assert caught.value.hint


@pytest.mark.parametrize("mark", [" ", "\t", ",", ";"])
def test_numbers_are_named_with_the_way_to_read_them(mark: str, tmp_path: Path) -> None:
    rows = np.linspace(-1, 1, 32).reshape(2, 16).astype(np.float32)
    path = tmp_path / ("a.csv" if mark == "," else "a.txt")
    np.savetxt(path, rows, delimiter=mark)
    with pytest.raises(InputError, match="numbers, not sentences") as caught:
        list(read_records(path))
    exec(f"import numpy; {str(caught.value.hint).split(': ', 1)[1].replace('u.npy', str(tmp_path / 'u.npy'))}")
    np.testing.assert_array_equal([record.embedding for record in read_records(tmp_path / "u.npy")], rows)


@pytest.mark.parametrize(
    ("name", "content"), [("my talk.srt", CUE), ("a.vtt", f"WEBVTT\n\n{CUE}"), ("a.conllu", CONLLU)]
)
def test_the_hints_lead_to_the_sentences(name: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content)
    command = str(caught.value.hint).split(": ", 1)[1].rpartition(" | flip")[0]
    said = subprocess.run(command, shell=True, check=True, capture_output=True).stdout
    assert [text for text in read(tmp_path / "said.txt", said) if text] == ["The cat sat.", "A dog ran."]


@pytest.mark.parametrize(
    "line",
    [
        "1", "1984", "7 8 9", "1984\tis a book", "# Title", "# text of a song", "<laughs> Hello.", "< 3 is little",
        "00:12 was the time", "He waited 10.5 20.5 times.", "The WEBVTT format is old.", "{\\an8}Hello there.",
        "1 2 3 4 5 6 7 8 9 10", "nan", "-->", "<3",
    ],
)  # fmt: skip
def test_sentences_stay_sentences(line: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", f"\n{line}\nThe cat sat.\n") == ["", line, "The cat sat."]


def test_possible_markup_is_noted(tmp_path: Path) -> None:
    path, notes = tmp_path / "a.txt", list[str]()
    for line, said in (("<body>", 1), ('<div class="x">Hello', 1), ("<!-- made by hand", 1), ("The cat sat.", 0)):
        path.write_text(f"{line}\nThe cat sat.\n")
        notes.clear()
        assert len(list(read_records(path, on_note=notes.append))) == 2
        assert [f"{path}, line 1: looks like HTML or XML" in note for note in notes] == [True] * said


def test_json_below_a_line_of_text_is_not_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('Reading a.jsonl\n{"text": "The cat sat."}\n{"text" is no JSON\n')
    first, bad, last = scan_records(path)
    assert isinstance(first, Record) and isinstance(last, Record)
    assert isinstance(bad, InputError) and "line 2: a JSON object in a text" in bad.message


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"one\rtwo\rthree\r", ["one", "two", "three"]),
        (b"one\r\ntwo\r\n\r\nthree", ["one", "two", "", "three"]),
        (b"one\rtwo\nthree\r\n", ["one", "two", "three"]),
        (b"path\tsentence\ra\tone\rb\ttwo\r", ["one", "two"]),
        (b'{"text": "one"}\r{"text": "two"}\r', ["one", "two"]),
        ("one\rtwo\r\n".encode("utf-16"), ["one", "two"]),
        ((b"x" * 65_535 + b"\r\n") * 3, ["x" * 65_535] * 3),  # cut between the two
    ],
)
def test_carriage_returns_end_lines(content: bytes, texts: list[str], tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", content) == texts
