"""The kind of an input, by its first bytes, then by its name; and the meaning of a command-line argument."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flip.errors import InputError
from flip.inputs.sniffing import is_input_file, kind_of, packing, text_kind


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.ones((2, 3), np.float32))
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "<w/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\x24\x00\x00\x00WAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"RIFF\x24\x00\x00\x00AVI LIST",
        b"fLaC\x00\x00\x00\x22", b"ID3\x04\x00\x00\x00\x00\x00\x00", b"\xff\xfb\x90\x64\x00\x00",
        b"\xff\xf1\x50\x80\x00\x00",
        b"OggS\x00\x02\x00\x00", b"\x00\x00\x00\x20ftypisom\x00\x00", b"\x00\x00\x00\x08wide\x00\x00",
        b"\x1a\x45\xdf\xa3\x01",
        b"FORM\x00\x00\x10\x00AIFFCOMM", b"caff\x00\x01\x00\x00", b"#!AMR\n", b".snd\x00\x00\x00\x18", b"FLV\x01\x05",
        b"G\x40\x00\x10\x00" + bytes(183) + b"G" + bytes(187),
    ],
)  # fmt: skip
def test_recordings_are_known_by_their_content(head: bytes) -> None:
    assert kind_of(head, "notes.txt") == "audio"
    assert kind_of(head, "stdin") == "audio"


@pytest.mark.parametrize(
    "text",
    [
        "ID3 tags are old.\n", "RIFF is a format of Microsoft.\n", "G is a letter.\n" * 30, "BZh is no word.\n",
        "FORM 27 is lost\n",
        "\ufeffwith a mark\n", "ÿû and ÿñ\n", "PAR1 is a name.\n", "OggSound\n", "caffeine\n", "नमस्ते\n", "",
        "IxF2 is no word.\n", "ARROW1 is a name.\n", "Lame DUCK.\n",
    ],
)  # fmt: skip
def test_sentences_are_not_recordings(text: str) -> None:
    assert packing(text.encode()) is None
    assert kind_of(text.encode(), "notes") == "text"


def test_the_name_decides_if_the_content_does_not() -> None:
    assert kind_of(bytes(64), "old.mp3") == "audio"
    assert kind_of(b"damaged", "u.npy") == "npy"
    assert kind_of(b"\x93NUMPY\x01\x00v\x00", "u.txt") == "npy"
    assert kind_of(b"RIFF\x24\x00\x00\x00WAVEfmt ", "talk.jsonl") == "audio"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PAR1\x15\x04\x15\x20", "parquet"), (b"ARROW1\x00\x00\xff\xff\xff\xff", "arrow"),
        (b"\xff\xff\xff\xff\x78\x01\x00\x00", "arrow"), (b"SQLite format 3\x00", "sqlite"),
        (bytes(8) + b"DUCK\x40\x00\x00\x00", "duckdb"), (b"IxF2\x80\x01\x00\x00\xe8\x03", "faiss"),
        (b"IxMp\x80\x01\x00\x00\xe8\x03", "faiss"), (npz(), "npz"),
    ],
)  # fmt: skip
def test_stores_are_known_by_their_content(head: bytes, kind: str) -> None:
    assert kind_of(head, "notes.txt") == kind


@pytest.mark.parametrize(
    ("head", "name", "what", "hint"),
    [
        (zipped("notes.txt"), "a b.zip", "a ZIP archive", "unzip 'a b.zip'"),
        (zipped("notes.txt"), "stdin", "a ZIP archive", "unzip FILE"),
        (zipped("word/document.xml"), "a.docx", "a document", "pandoc -t plain --wrap=none a.docx | flip"),
        (zipped("[Content_Types].xml"), "stdin", "a document", "pandoc -t plain --wrap=none FILE | flip"),
        (zipped("model/data.pkl"), "a.pt", "a file of PyTorch", "numpy.save"),
        (pickle.dumps([1.5]), "a.pkl", "a pickle", "numpy.save"),
        (struct.pack("<Q", 64) + b'{"e":{"dtype":"F32"}}', "a.safetensors", "safetensors", "numpy.save"),
        (b"%PDF-1.7\n%", "stdin", "a PDF", "pdftotext FILE - | flip"),
        (b"%PDF-1.7\n%", "my paper.pdf", "a PDF", "pdftotext 'my paper.pdf' - | flip"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "a picture", "flip reads text"),
        (b"FEA1\x00\x00\x00\x00", "a.feather", "a Feather file of version 1", "write_feather"),
        (b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n", "a.m3u8", "a playlist", "name the recordings"),
        (
            "The cat sat.\n".encode("utf-16-le"),
            "a.txt",
            "NUL bytes, as UTF-16LE without",
            "iconv -f UTF-16LE -t UTF-8 a.txt",
        ),
        ("The cat sat.\n".encode("utf-16-be"), "stdin", "NUL bytes, as UTF-16BE without", "| iconv -f UTF-16BE"),
        (bytes(range(256)) * 3, "a.bin", "NUL bytes: binary data", "flip reads text"),
    ],
)
def test_refused_formats_are_named_with_a_hint(head: bytes, name: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        kind_of(head, name)
    assert caught.value.message.startswith(f"{name}: {what}")
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"text": "one"}\n', "jsonl"),
        (b"{not json\n", "jsonl"),
        (b'{"text": "The cat sat.", "score": NaN}\n', "jsonl"),
        (b'{"text": "cut off\n', "jsonl"),
        (b'{"text": "a"},\n', "jsonl"),
        (b"{\n", "json"),
        (b'{"text": "one",\n', "json"),
        (b'{"text": "a { in a string",\n', "json"),
        (b'[{"text": "one"}]', "json"),
        (b"[\n", "json"),
        (b"[]\n", "json"),
        (b'["The cat sat.", "A dog ran."]\n', "json"),
        (b"[[0.1, 0.2]]\n", "json"),
        (b"[0.1, -2e-3, 5]\n", "json"),
        (b"[laughs] Hello there.\n", "text"),
        (b"{laughs} Hello there.\n", "text"),
        (b"{applause}\n", "text"),
        (b"{{ name }} is late.\n", "text"),
        (b"{% extends 'base' %}\n", "text"),
        (b"{\\an8}Hello there.\n", "text"),
        (b"{'text': 'a dict of Python'}\n", "jsonl"),
        (b"[1] Ada et al.\n", "text"),
        (b'["Hello there" was all he said.\n', "text"),
        (b"path\tsentence\tlocale\n", "table"),
        (b"id,text\n", "table"),
        (b"ID;Sentence\n", "table"),
        (b'"id","text"\n', "table"),
        (b"The sentence, the text, and the rest.\n", "text"),
        (b"Hello, text\n", "text"),
        (b"text\n", "text"),
        (b"Hello there.\n", "text"),
    ],
)
def test_the_kind_of_a_text_is_detected_by_its_first_line(line: bytes, kind: str) -> None:
    assert text_kind(line, "stdin") == kind


def test_the_kind_of_a_text_is_detected_by_its_name_if_the_line_does_not_tell() -> None:
    assert text_kind(b"Hello there.\n", "a.jsonl") == "jsonl"
    assert text_kind(b"a,b\n", "a.csv.gz") == "table"
    assert text_kind(b'["Hello', "a.json") == "json"
    assert text_kind(b"Hello there.\n", "a.json") == "text"


@pytest.mark.parametrize(
    "name",
    [
        "missing.txt", "talk.wav", "talk.MP4", "a.txt.gz", "a.npz", "a.csv", "data/sents", "./sents",
        "/tmp/my talks/a b.wav",
        "../no such folder/a.jsonl", "~/a.txt", "https://example.org/a.mp3", "-",
    ],
)  # fmt: skip
def test_an_argument_like_a_path_is_a_file(name: str) -> None:
    assert is_input_file(name)


@pytest.mark.parametrize(
    "name",
    [
        "He said: see notes.txt", "Hello", "Hello.", "x" * 5000, "a\0b", "and/or is fine", "What is 3/4?", "e.g. etc.",
        "etc.",
        "U.S.A", "/ is the root of all folders", "Read the .json, then the .csv files", "", "node.js",
    ],
)  # fmt: skip
def test_a_sentence_stays_a_sentence(name: str) -> None:
    assert not is_input_file(name)


def test_any_existing_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my sentences").write_text("one\n")
    Path("folder").mkdir()
    assert is_input_file("my sentences")
    assert is_input_file("folder")
