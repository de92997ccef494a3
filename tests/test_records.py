from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.records import read_records, read_texts, scan_records
from flip.sniffing import is_input_file


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_lines_keep_their_order_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\ufeffone\r\n\n  two  \nthree")
    assert [record.text for record in read_records(path)] == ["one", "", "two", "three"]


def test_jsonl_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '{"id": "x", "text": "one", "other": 1}\n{"embedding": [1, 2.5]}\n\n{"id": 7, "audio": "clips/a.wav"}\n',
    )
    text, vector, blank, audio = read_records(path)
    assert (text.id, text.text) == ("x", "one")
    assert vector.embedding is not None
    assert vector.embedding.tolist() == [1, 2.5]
    assert blank.text == ""
    assert (audio.id, audio.audio) == (7, tmp_path / "clips/a.wav")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"txt": 1}', 'line 2: no "text", "audio" or "embedding" field'),
        ('{"text": "a"', "line 2: not valid JSON"),
        ('"text"', "line 2: not a JSON object"),
        ('{"embedding": ["a"]}', 'line 2: "embedding" is not a list of numbers'),
        ('{"embedding": []}', 'line 2: "embedding" is not a list of numbers'),
        ('{"embedding": [[1], [2]]}', 'line 2: "embedding" is not a list of numbers'),
        ('{"id": 1.5, "text": "a"}', 'line 2: "id" is neither'),
    ],
)
def test_bad_jsonl_names_the_line_and_scanning_goes_on(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{line}\n{{"text": "c"}}\n')
    with pytest.raises(InputError, match=f"a.jsonl, {message}"):
        list(read_records(path))
    first, bad, last = scan_records(path)
    assert isinstance(bad, InputError)
    assert (first.text, last.text) == ("a", "c")


def test_invalid_utf8_names_line_and_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"good\nbad \xe9 byte\n")
    with pytest.raises(InputError, match=r"a.txt, line 2: not valid UTF-8 \(byte 5 is 0xe9\)") as caught:
        list(read_records(path))
    assert "iconv" in str(caught.value.hint)


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match="nowhere.txt: no such file"):
        list(read_records("nowhere.txt"))


def test_a_json_file_is_told_by_its_first_line(tmp_path: Path) -> None:
    assert [r.text for r in read_records(write(tmp_path / "a.json", '{"text": "one"}\n{"text": "two"}\n'))] == [
        "one",
        "two",
    ]
    assert [r.text for r in read_records(write(tmp_path / "b.json", "plain text\n"))] == ["plain text"]


def test_npy_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float16).reshape(2, 3))
    records = list(read_records(tmp_path / "a.npy"))
    assert [record.row for record in records] == [0, 1]
    assert records[1].embedding is not None
    assert records[1].embedding.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ('\n{"text": "one"}\n{"text": "two"}\n', ["", "one", "two"]),
    ],
)
def test_standard_input_is_text_or_jsonl_by_its_first_line(
    monkeypatch: pytest.MonkeyPatch, content: str, texts: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert list(read_texts(["-"])) == texts


def test_records_without_text_where_text_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"embedding": [1]}\n')
    with pytest.raises(InputError, match="line 2: no text"):
        list(read_texts([path]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.txt", True),
        ("talk.wav", True),
        ("He said: see notes.txt", False),
        ("Hello", False),
        ("Hello.", False),
        ("x" * 5000, False),
        ("a\0b", False),
    ],
)
def test_what_is_a_file_and_what_is_a_sentence(name: str, expected: bool) -> None:
    assert is_input_file(name) is expected


def test_whatever_exists_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my sentences", "one\n")
    assert is_input_file("my sentences")
