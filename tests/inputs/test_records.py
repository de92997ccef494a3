from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.record import Record
from flip.inputs.records import read_lines, read_records, read_texts, scan_records
from flip.inputs.stores.columns import ColumnChoice


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
        ('{"txt": 1}', 'line 2: no "text", "sentence", "audio" or "embedding" field'),
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


def test_a_json_file_is_detected_by_its_first_line(tmp_path: Path) -> None:
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


def test_a_record_without_text_is_an_error_if_text_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"embedding": [1]}\n')
    with pytest.raises(InputError, match="line 2: no text"):
        list(read_texts([path]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"text": "one"}, {"text": "two"}]'),
        ("a.txt", '[\n  {\n    "text": "one"\n  },\n  {\n    "text": "two"\n  }\n]\n'),
        ("a.jsonl", '[{"text": "one"},\n{"text": "two"}]'),
        ("a", '["one", "two"]'),
        ("a", '{\n  "text": "one"\n}\n{\n  "text": "two"\n}\n'),
        ("a.json", '{"text": "one",\n "id": 1}\n{"text": "two",\n "id": 2}\n'),
        ("a.txt", '{"text": "one"}\n{"text": "two"}\n'),
    ],
)
def test_json_of_any_layout_is_records(name: str, content: str, tmp_path: Path) -> None:
    assert [record.text for record in read_records(write(tmp_path / name, content))] == ["one", "two"]


def test_elements_of_an_array_have_all_fields_and_are_named_by_their_number(tmp_path: Path) -> None:
    content = (
        '[{"id": "x", "embedding": [1, 2.5]}, 7, {"text": "a", "id": 1.5}, {"audio": "b.wav"}, null, {"text": "c"}]'
    )
    vector, number, bad, audio, null, text = scan_records(write(tmp_path / "a.json", content))
    assert isinstance(vector, Record) and vector.embedding is not None
    assert (vector.id, vector.embedding.tolist()) == ("x", [1, 2.5])
    assert isinstance(number, InputError) and number.message == f"{tmp_path}/a.json, record 2: not a JSON object"
    assert isinstance(bad, InputError) and 'record 3: "id" is neither' in bad.message
    assert isinstance(audio, Record) and audio.audio == tmp_path / "b.wav"
    assert isinstance(null, InputError) and "record 5: not a JSON object" in null.message
    assert isinstance(text, Record) and text.text == "c"


@pytest.mark.parametrize(
    "content",
    ['[{"text": "one"}, {"text": "two"', '[{"text": "one"} {"text": "two"}]', '[{"text": "one"}, {"x": NaN}]'],
)
def test_a_broken_array_is_an_error_after_its_readable_elements(content: str, tmp_path: Path) -> None:
    one, error = scan_records(write(tmp_path / "a.json", content))
    assert isinstance(one, Record) and one.text == "one"
    assert isinstance(error, InputError) and "a.json, record 2: not valid JSON" in error.message


@pytest.mark.slow
def test_a_long_array_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write("[" + ",".join(f'{{"text": "Sentence {i} of a long array."}}' for i in range(200_000)) + "]")
    tracemalloc.start()
    assert sum(1 for _ in read_records(path)) == 200_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6  # the file has 8 MB


def test_json_lines_stay_json_lines_if_the_first_is_bad(tmp_path: Path) -> None:
    content = '{"text": "The cat sat.", "score": NaN}\n{"text": "A dog ran.", "score": 0.5}\n'
    for name in ("a.jsonl", "a.txt", "a"):
        bad, good = scan_records(write(tmp_path / name, content))
        assert isinstance(bad, InputError) and "line 1: not valid JSON" in bad.message
        assert isinstance(good, Record) and good.text == "A dog ran."


def test_an_embedding_stands_for_the_text_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "one", "embedding": [1, 2]}\n{"text": "two", "embedding": null}\n')
    first, second = read_records(path, asked=ColumnChoice())
    assert first.embedding is not None
    assert (first.content, first.embedding.tolist()) == ({"text": "one"}, [1, 2])
    assert second.embedding is None
    assert [record.embedding for record in read_records(path)] == [None, None]  # if only the texts are requested
    assert list(read_texts([path])) == ["one", "two"]
    with pytest.raises(InputError, match='"embedding" is not a list of numbers'):
        list(read_records(write(path, '{"text": "one", "embedding": "AACAPw=="}\n'), asked=ColumnChoice()))


def test_lines_that_belong_to_rows_are_read_as_they_are(tmp_path: Path) -> None:
    lines = ['{"text": "no record"}', "path\tsentence", "", "[", "three"]
    assert list(read_lines(write(tmp_path / "a.sentences.txt", "\n".join(lines)))) == lines
    assert list(read_lines(write(tmp_path / "a.jsonl", '{"text": "one"}\n'))) == ["one"]


def test_a_folder_gives_its_recordings_and_names_skipped_files(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.mp4", "sub/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, "not looked at yet")
    write(tmp_path / "no ending", b"fLaC\x00\x00\x00\x22")
    for name in ("notes.txt", "sub/x.pdf"):
        write(tmp_path / name, "Hello.\n")
    notes: list[str] = []
    found = [record.audio for record in read_records(tmp_path, on_note=notes.append)]
    assert found == [tmp_path / name for name in ("a.mp4", "b.WAV", "no ending", "sub/c.mkv")]
    assert notes == [f"{tmp_path}: 2 passed over, not recordings: notes.txt, sub/x.pdf"]
    for audio in found:
        assert audio is not None
        audio.unlink()
    assert [record.text for record in read_records(tmp_path)] == ["Hello."]
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(InputError, match="no recording and no text in this folder; 1 passed over, not text: sub/x.pdf"):
        list(read_records(tmp_path))


@pytest.mark.filterwarnings("error")
def test_numbers_that_float32_cannot_hold(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", f'[{{"embedding": [1e300, 1]}}, {{"embedding": [1{"0" * 400}, 1]}}]')
    infinite, bad = scan_records(path)
    assert isinstance(infinite, Record) and infinite.embedding is not None
    assert infinite.embedding.tolist() == [np.inf, 1]
    assert isinstance(bad, InputError)


ORDINARY = {
    "pandas.csv": (",text\n0,The train was late.\n1,The bus.\n", ["The train was late.", "The bus."]),
    "trailing.csv": ("id,sentence,\n1,The train.,\n", ["The train."]),
    "unnamed.tsv": ("\tText\n0\tThe train.\n", ["The train."]),
    "empty_key.jsonl": ('{"": 0, "text": "The train."}\n', ["The train."]),
    "virus.jsonl": ('{"text": "The flu.", "vector": [0, 1, 0]}\n', ["The flu."]),
    "mask.jsonl": ('{"text": "The train.", "mask": [' + ", ".join("1" * 384) + "]}\n", ["The train."]),
    "models.csv": ("text,embedding\nThe train.,text-embedding-3-small\n", ["The train."]),
    "long.csv": ("text,n\n" + "word " * 40_000 + ",1\n", [("word " * 40_000).strip()]),
    "notes.md": ('Use this:\n\n    {"name": "x"}\n\nThen run.\n', ["Use this:", "", '{"name": "x"}', "", "Then run."]),
    "fibonacci.txt": (
        "1, 2, 3, 5, 8, 13, 21, 34, 55.\nThat is all.\n",
        ["1, 2, 3, 5, 8, 13, 21, 34, 55.", "That is all."],
    ),
    "scores.txt": ("Marks: 9.5, 8.0, 7.5, 9.0, 8.5, 7.0, 9.5, 10\nGood.\n", None),
    "chat.txt": ("12:03:11,500 --> hi there\n12:03:12,100 --> hello\n", None),
    "webvtt.txt": ("WEBVTT is a file format for subtitles.\n", None),
    "code.txt": ("# text = a variable\nx = 1\n", None),
    "glossary.txt": ("vector\tan arrow with a length\nscalar\ta number\n", None),
    "ten.txt": ("\t".join(["1", *"abcdefghi"]) + "\n", None),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_records_are_read(name: str, tmp_path: Path) -> None:
    content, texts = ORDINARY[name]
    (tmp_path / name).write_text(content)
    found = list(scan_records(tmp_path / name, asked=ColumnChoice(dimension=384)))
    assert not [record for record in found if isinstance(record, InputError)]
    assert [record.text for record in found] == (content.splitlines() if texts is None else texts)
    assert all(record.embedding is None for record in found)


@pytest.mark.parametrize(
    "form", ['[{"text": %s}]', '{"text": %s}\n', '{\n"text": %s\n}', '[{"a": "\\"}]", "text": %s}]']
)
def test_json_that_is_nested_too_deep_is_an_error(form: str, tmp_path: Path) -> None:
    for deep in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000):
        path = write(tmp_path / "a.json", form % deep)
        with pytest.raises(InputError, match="JSON of more than 1,000 levels|depth limit exceeded"):
            list(read_records(path))


def test_brackets_in_strings_of_json_are_not_levels(tmp_path: Path) -> None:
    texts = ["[{" * 999, '"[' * 70_000, "\\" * 65_535 + "["]
    path = write(tmp_path / "a.json", json.dumps([{"text": text} for text in texts]))
    assert [record.text for record in read_records(path)] == texts
