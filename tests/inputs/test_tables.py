"""TSV and CSV by their header."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.errors import InputError
from flip.inputs.record import Record
from flip.inputs.records import read_records, scan_records
from flip.inputs.stores.columns import ColumnChoice


def read(path: Path, content: str | bytes) -> list[Record]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_records(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "client_id\tpath\tsentence\tlocale\nx\ta.mp3\tThe cat sat.\ten\ny\tb.mp3\tA dog ran.\ten\n"),
        ("a.tsv", "id\ttext\n1\tThe cat sat.\n2\tA dog ran."),
        ("a.csv", 'id,text\n1,The cat sat.\n2,"A dog ran."\n'),
        ("a.csv", "text;label\nThe cat sat.;1\nA dog ran.;0\n"),
        ("a.csv", "text\nThe cat sat.\nA dog ran.\n"),
        ("a.csv", "Title, Text\nx,The cat sat.\ny,A dog ran.\n"),
        ("a.csv", "\ufeffID\tSentence\r\n1\tThe cat sat.\r\n2\tA dog ran.\r\n"),
        ("no ending", "path\tsentence\na\tThe cat sat.\nb\tA dog ran.\n\n"),
        ("a.csv", "id|text\n1|The cat sat.\n2|A dog ran.\n"),
        ("a.csv", "sep=;\r\nid;text\r\n1;The cat sat.\r\n2;A dog ran.\r\n"),
        ("no ending", "sep=^\nid^text\n1^The cat sat.\n2^A dog ran.\n"),
        ("a.txt", "path\tsentence\na\tThe cat sat.\n\nb\tA dog ran.\n \n"),
    ],
)
def test_the_column_of_text_is_read(name: str, content: str, tmp_path: Path) -> None:
    assert [record.text for record in read(tmp_path / name, content)] == ["The cat sat.", "A dog ran."]


def test_quoted_cells_may_hold_separators_and_lines(tmp_path: Path) -> None:
    first, second = read(tmp_path / "a.csv", 'id,text\nx,"One, two,\nthree ""four""."\ny,Five\n')
    assert (first.id, first.text) == ("x", 'One, two,\nthree "four".')
    assert (second.id, second.where) == ("y", f"{tmp_path / 'a.csv'}, line 4")


def test_tabs_are_read_without_quoting(tmp_path: Path) -> None:
    [record] = read(tmp_path / "a.tsv", 'path\tsentence\na\t"The "cat" sat.\n')
    assert record.text == '"The "cat" sat.'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"path\twords\na\tb\n", "line 1: no column 'sentence' or 'text' in the header"),
        ("a.csv", b"1,Hello\n2,There\n", "line 1: no column 'sentence' or 'text' in the header"),
        ("a.tsv", b"path\tsentence\n", "a header without a row below it"),
        ("a.tsv", b"path\tsentence\n\n\n", "a header without a row below it"),
        (
            "a.csv",
            b'id,text\n1,"Hello he said.\n2,Second.\n3,Third.\n',
            "line 2: not valid CSV: a quotation mark opens",
        ),
        (
            "a.csv",
            b'id,text\n1,One.\n2,"Two\n3,"Three."\n',
            "line 3: not valid CSV: ',' expected after '\"' (read until",
        ),
        ("a.csv", b"text,id,Text\na,1,b\n", "line 1: 2 columns 'text'"),
        ("a.csv", b"id,text\n1,a,b\n", "line 2: 3 columns, the header has 2"),
        ("a.csv", b"id,text\n1,caf\xe9\n", "line 2: not valid UTF-8"),
        (
            "a.csv",
            b'id,text\n1,"never closed\n' + b"x" * 200_000,
            "line 2: not valid CSV: a quotation mark opens a cell here and is never closed (read until line 3)",
        ),
    ],
)
def test_errors_name_their_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content)
    assert message in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / name))
    assert caught.value.hint


def test_a_bad_row_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"path\tsentence\na\tone\nb\nc\tcaf\xe9\nd\tfour\n")
    one, short, latin, four = scan_records(path)
    assert isinstance(one, Record) and isinstance(four, Record)
    assert (one.text, four.text) == ("one", "four")
    assert isinstance(short, InputError) and "line 3: 1 columns" in short.message
    assert isinstance(latin, InputError) and "line 4: not valid UTF-8" in latin.message


def test_clips_need_a_table_with_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("path\tsentence\na.mp3\tone\n")
    [record] = read_records(path, tmp_path)
    assert (record.audio, record.text) == (tmp_path / "a.mp3", "one")
    path.write_text("sentence\tlocale\none\ten\n")
    with pytest.raises(InputError, match="no column 'path' in the header"):
        list(read_records(path, tmp_path))
    path.with_suffix(".txt").write_text("one\n")
    with pytest.raises(InputError, match="not a table with the columns path and sentence"):
        list(read_records(path.with_suffix(".txt"), tmp_path))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        list(read_records(path, Path("nowhere")))


SAID = "The cat sat."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"id,review\n7,{SAID}\n"),
        ("no ending", f"id,review\n7,{SAID}\n"),
        ("no ending", f"Review\n{SAID}\n"),
        ("a.csv", f"sep=;\nid;review;text\n7;{SAID};no\n"),
        ("a.jsonl", f'{{"id": 7, "review": "{SAID}", "text": "no"}}\n'),
        ("a.json", f'[{{"id": 7, "Review": "{SAID}"}}]'),
    ],
)
def test_the_column_of_the_text_can_be_named(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    [record] = read_records(tmp_path / name, asked=ColumnChoice(texts="review"))
    assert record.text == SAID
    with pytest.raises(InputError, match="none|no columns"):
        list(read_records(tmp_path / name, asked=ColumnChoice(texts="none")))


def test_errors_for_inputs_without_columns_and_for_unknown_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("The cat sat.\n")
    with pytest.raises(InputError, match="text, which has no columns"):
        list(read_records(path, asked=ColumnChoice(texts="review")))
    path.write_text('{"question": "Who?", "answer": "I."}\n')
    for asked, hint in ((None, "rename the one"), (ColumnChoice(), "--text-column NAME")):
        with pytest.raises(InputError, match='line 1: no "text", "sentence"') as caught:
            list(read_records(path, asked=asked))
        assert "it has: question, answer; " in str(caught.value.hint) and hint in str(caught.value.hint)


def test_names_of_fields_ignore_case(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"Text": "one"}\n{"sentence": "two"}\n{"text": null, "Sentence": "three"}\n')
    assert [record.text for record in read_records(path)] == ["one", "two", "three"]


NUMBERS = [i / 8 for i in range(1, 17)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f'text,embedding\nA dog.,"{NUMBERS}"\n'),
        ("a.csv", f'text;Vector\nA dog.;"{NUMBERS}"\n'),
        ("a.csv", 'text,embedding\nA dog.,"' + str(NUMBERS).replace(",", "").replace(" 1.0", "\n 1.0") + '"\n'),
        ("a.tsv", f"id\tembedding\n7\t{NUMBERS}\n"),
        ("a.jsonl", f'{{"text": "A dog.", "vector": {NUMBERS}}}\n'),
        ("a.jsonl", f'{{"text": "A dog.", "embedding": "{NUMBERS}"}}\n'),
    ],
)
def test_vectors_of_tables_and_json_are_read(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    [record] = read_records(tmp_path / name, asked=ColumnChoice())
    assert record.embedding is not None and record.embedding.tolist() == NUMBERS


def test_unused_fields_like_vectors_are_noted_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    fields = f'"text": "A dog.", "sentence": "no", "scores": [0.5, 1.5], "emb": {NUMBERS}, "other": {NUMBERS}'
    path.write_text(f"{{{fields}}}\n" * 2)
    notes: list[str] = []
    records = list(read_records(path, on_note=notes.append, asked=ColumnChoice(dimension=16)))
    assert [record.embedding for record in records] == [None, None]
    assert [note.removeprefix(f"{path}: ") for note in notes] == [
        "texts from 'text'; 'sentence' is not used",
        "'emb', 'other': not used, though it looks like vectors; --column NAME chooses",
    ]
    path.write_text(f'{{"text": "A dog.", "emb": "{NUMBERS}"}}\n' * 2)
    notes.clear()
    for record in read_records(path, on_note=notes.append, asked=ColumnChoice(dimension=16)):
        assert record.embedding is not None and record.embedding.tolist() == NUMBERS
    assert notes == [f"{path}: vectors from 'emb' (16 numbers)"]
    assert [one.embedding for one in read_records(path, asked=ColumnChoice(dimension=8))] == [None, None]
    [first, _] = read_records(path, asked=ColumnChoice(vectors="emb"))
    assert first.embedding is not None and first.embedding.tolist() == NUMBERS
    path.write_text('{"text": "A dog.", "vector": "Aedes aegypti"}\n')
    assert [record.text for record in read_records(path, asked=ColumnChoice())] == ["A dog."]
