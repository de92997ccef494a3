"""Inputs opened: compressed and in other encodings, from files and pipes, promptly; devices are not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue

import numpy as np
import orjson
import pytest

from flip.errors import InputError, UsageError
from flip.inputs.record import Record
from flip.inputs.records import read_records
from flip.inputs.sources import _with_line_feeds, is_stream, opened, require_one_stdin
from sound import tone, write_audio

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = ["The cat sat on the mat.", "Trains to Boston are late.", "Grün, 猫 and 𝄞."]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def texts(source: str | Path) -> list[str | None]:
    return [record.text for record in read_records(source)]


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """Return a function that makes a named pipe with a writer."""
    writers = []

    def make(content: bytes, name: str = "pipe") -> str:
        path = tmp_path / name
        os.mkfifo(path)
        writers.append(threading.Thread(target=path.write_bytes, args=(content,), daemon=True))
        writers[-1].start()
        return str(path)

    yield make
    for writer in writers:
        writer.join(10)


@pytest.mark.parametrize("packed", PACKERS)
def test_compressed_files_are_decompressed(packed: str, tmp_path: Path) -> None:
    assert texts(write(tmp_path / "a.txt", PACKERS[packed](TEXT))) == LINES  # whatever it is called
    jsonl = b"".join(orjson.dumps({"text": line}) + b"\n" for line in LINES)
    assert texts(write(tmp_path / "a.jsonl.gz", PACKERS[packed](jsonl))) == LINES
    joined = PACKERS[packed](TEXT) + PACKERS[packed](TEXT)
    assert texts(write(tmp_path / "b.txt", joined)) == LINES * 2


@pytest.mark.parametrize("packed", PACKERS)
def test_damaged_compressed_files_are_one_error(packed: str, tmp_path: Path) -> None:
    content = PACKERS[packed]("".join(f"Sentence {i * i}.\n" for i in range(20_000)).encode())
    path = write(tmp_path / "a.txt.gz", content[: len(content) // 2])
    with pytest.raises(InputError, match=f"a.txt.gz: damaged {packed} data"):
        texts(path)
    with pytest.raises(InputError, match=f"a.gz: {packed} inside gzip"):
        texts(write(tmp_path / "a.gz", gzip.compress(content)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_byte_order_mark_names_the_encoding(encoding: str, tmp_path: Path) -> None:
    mark = "" if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff"
    content = (mark + TEXT.decode()).encode(encoding)
    assert texts(write(tmp_path / "a.txt", content)) == LINES
    assert texts(write(tmp_path / "a.gz", gzip.compress(content))) == LINES
    with pytest.raises(InputError, match=r"not valid UTF") if "8" not in encoding else pytest.raises(InputError):
        texts(write(tmp_path / "b.txt", content + b"\xd8\xd8\xd8"))


def test_a_nul_byte_in_a_later_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"Hello there, all of you.\n" * 4000 + b"a\0b\n")
    with pytest.raises(InputError, match=r"a\.txt, line 4001: a NUL byte"):
        texts(path)


def test_the_hint_for_windows_text_keeps_the_apostrophes(tmp_path: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("iconv") is None:
        pytest.skip("this system has no iconv")
    path = write(tmp_path / "my notes.txt", b"It doesn\x92t matter \x96 she\x92s \x93late\x94.\n")
    with pytest.raises(InputError, match=r"line 1: not valid UTF-8 \(byte 9 is 0x92\)") as caught:
        texts(path)
    subprocess.run(str(caught.value.hint).split(": ", 1)[1], shell=True, check=True, cwd=tmp_path)
    assert texts(tmp_path / "my notes.utf8.txt") == ["It doesn’t matter – she’s “late”."]


def test_pipes_are_files(fifo: Callable[..., str], tmp_path: Path) -> None:
    assert texts(fifo(TEXT, "a")) == LINES
    assert texts(fifo(gzip.compress(TEXT), "b")) == LINES
    assert texts(fifo(b'[{"text": "one"},\n {"text": "two"}]', "c")) == ["one", "two"]
    assert texts(fifo(b"path\tsentence\na\tone\n", "d")) == ["one"]
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "u.npy", matrix)
    rows = [record.embedding for record in read_records(fifo((tmp_path / "u.npy").read_bytes(), "e"))]
    np.testing.assert_array_equal(np.stack([row for row in rows if row is not None]), matrix)
    packed = write(tmp_path / "u.npy.gz", gzip.compress((tmp_path / "u.npy").read_bytes()))
    assert [record.row for record in read_records(packed)] == [0, 1, 2]


def test_recordings_in_pipes_and_compressed_are_decoded(fifo: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra `speech` is not installed")
    from flip.inputs import audio

    path = write_audio(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000)
    [record] = read_records(fifo(path.read_bytes()))
    assert record.content == {"audio": str(tmp_path / "pipe")}
    assert record.audio is not None
    np.testing.assert_array_equal(audio.load(record.audio), audio.load(path))
    np.testing.assert_array_equal(audio.load(record.audio), audio.load(path))  # as often as it is needed
    [packed] = read_records(write(tmp_path / "a.wav.gz", gzip.compress(path.read_bytes())))
    assert packed.audio is not None
    np.testing.assert_array_equal(audio.load(packed.audio), audio.load(path))
    [renamed] = read_records(path.rename(tmp_path / "a.txt"))
    assert renamed.audio == tmp_path / "a.txt"


@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        ([b"Hi.\n", b"\n", b"A dog ran.\n"], ["Hi.", "", "A dog ran."]),
        ([b"\n", b'{"text": "one"}\n', b'{"text": "two"}\n'], ["", "one", "two"]),
        ([b'{\n "text": "one"\n}\n', b'{\n "text": "two"\n}\n'], ["one", "two"]),
        ([b'[{"text": "one"}, \n', b'{"text": "two"}\n'], ["one", "two"]),
        ([b"id,text\n1,one\n", b'2,"two\nlines"\n'], ["one", "two\nlines"]),
        (["\ufeffone\n".encode("utf-16-le"), "two\n".encode("utf-16-le")], ["one", "two"]),
    ],
)
def test_a_slow_producer_is_not_held_back(pieces: list[bytes], answers: list[str]) -> None:
    """Each piece is answered while the pipe is open and nothing else has been written."""
    reading, writing = os.pipe()
    found: Queue[Record] = Queue()

    def read() -> None:
        with suppress(InputError):  # an array that is never closed
            for record in read_records(f"/dev/fd/{reading}"):
                found.put(record)

    if not Path(f"/dev/fd/{reading}").exists():
        pytest.skip("this system has no /dev/fd")
    threading.Thread(target=read, daemon=True).start()
    try:
        for piece, answer in zip(pieces, answers, strict=True):
            os.write(writing, piece)
            assert found.get(timeout=20).text == answer
    finally:
        os.close(writing)
        os.close(reading)


def test_devices_and_sockets_are_not_opened(tmp_path: Path) -> None:
    for device in ("/dev/zero", "/dev/urandom"):
        if Path(device).exists():
            with pytest.raises(InputError, match=f"{device}: neither a file nor a pipe"):
                texts(device)
    assert texts(os.devnull) == []
    with pytest.raises(InputError, match="nowhere.txt: no such file"):
        texts("nowhere.txt")


def test_standard_input_is_read_once() -> None:
    for names in (["-", "-"], ["-", "/dev/stdin"], ["/dev/fd/0", "a.txt", "-"]):
        with pytest.raises(UsageError, match="standard input can be read only once"):
            require_one_stdin(names)
    require_one_stdin(["-", "a.txt"])


def test_standard_input_and_pipes_are_streams(fifo: Callable[..., str], tmp_path: Path) -> None:
    path = fifo(b"")
    assert is_stream("-")
    assert is_stream(path)
    assert not is_stream(str(tmp_path))
    assert not is_stream(str(write(tmp_path / "a.txt", b"")))
    assert not is_stream("nowhere")
    with opened(path) as source:  # so that its writer can end
        assert source.file.read() == b""


@pytest.mark.parametrize("cut", range(1, 9))
def test_line_ends_do_not_depend_on_the_chunks(cut: int) -> None:
    text = b"a\r\n\r\n\nb\rc\r\r\nd"
    chunks = [text[i : i + cut] for i in range(0, len(text), cut)]
    assert b"".join(_with_line_feeds(iter([*chunks[:1], b"", *chunks[1:]]))) == b"a\n\n\nb\nc\n\nd"
