"""What other processes, the terminal and the disk do to a command: locks, closed pipes, signals, a full disk."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.files import replacing
from flip.locks import held, lock_of
from processes import FLIP, finished, started, wait_until
from tests.conftest import Flip

pytestmark = pytest.mark.slow

COMMAND = " ".join(FLIP)


@pytest.fixture
def texts(here: Path) -> Path:
    for name in "abc":
        (here / f"{name}.txt").write_text("".join(f"The {name} number {i} was late.\n" for i in range(100)))
    return here


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("command", "written"),
    [
        ("vocab a.txt -o o.json", "o.json"),
        ("embed a.txt -o o.npy", "o.npy"),
        ("embed a.txt --dataset o", "o/datasets.yaml"),
        ("train a.txt -o o", "o/options.json"),
        ("train a.txt -o o --force", "o/options.json"),
    ],
)
def test_an_output_that_another_process_writes_is_refused(texts: Path, flip: Flip, command: str, written: str) -> None:
    with held(texts / written):
        result = flip(*command.split())
    assert result.code == 3
    assert f"is being written by another flip (process {os.getpid()}, since 20" in result.err
    assert not (texts / written).exists()
    lock_of(texts / written).write_text("process 1, since long ago")  # of a process that was killed
    assert flip(*command.split(), "-q").code == 0
    assert not list(texts.rglob("*.lock"))


def test_of_two_runs_on_one_output_one_is_refused_and_the_other_is_whole(texts: Path) -> None:
    text = "".join(f"Sentence {i} of a longer text about the weather.\n" for i in range(3000))
    (texts / "long.txt").write_text(text)
    with started(*FLIP, "embed", "long.txt", "-o", "o.npy", cwd=texts) as first:
        wait_until((texts / ".o.npy.journal.partial").exists, first)
        second = finished(*FLIP, "embed", "a.txt", "-o", "o.npy", "--force", cwd=texts)
        assert second.returncode == 3
        assert f"process {first.pid}, since" in second.stderr
        out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert (texts / "o.sentences.txt").read_text() == text
    assert orjson.loads(out)["rows"] == len(np.load(texts / "o.npy")) == 3000


def test_a_reader_that_has_gone_does_not_stop_what_writes_files(texts: Path) -> None:
    done = shell(f"{COMMAND} embed a.txt b.txt c.txt | true; exit ${{PIPESTATUS[0]}}", texts)
    assert (done.returncode, done.stderr) == (0, "")
    assert all((texts / f"{name}.npy").exists() for name in "abc")
    train = f"{COMMAND} train a.txt -o run --augment 0 --rank 8 --epochs 3 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    done = shell(train, texts)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert len((texts / "run/log.jsonl").read_bytes().splitlines()) == 3
    assert (texts / "run/README.md").exists()
    done = shell(f"{COMMAND} eval --model run --details d.jsonl | true; exit ${{PIPESTATUS[0]}}", texts)
    assert done.returncode == 0
    assert (texts / "d.jsonl").exists()


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("--help >/dev/full", 3, "cannot write the output: no space left"),
        ("--version >&-", 3, "cannot write the output: bad file descriptor"),
        ("explain 'The cat sat.' >&-", 3, "cannot write the output: bad file descriptor"),
        ("explain 'The cat sat.' >/dev/full", 3, "cannot write the output: no space left"),
        ("vocab a.txt >/dev/full", 3, "cannot write the output: no space left"),
        ("vocab no.txt 2>&-", 3, ""),
        ("vocab no.txt 2>/dev/full", 3, ""),
        ("explain <&-", 3, "stdin: nothing in it"),
        ("--help | true", 0, ""),
    ],
)
def test_closed_and_full_streams(texts: Path, command: str, code: int, error: str) -> None:
    done = shell(f"{COMMAND} {command}; exit ${{PIPESTATUS[0]}}", texts)
    assert done.returncode == code
    assert done.stdout == ""
    assert error in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if command.startswith("vocab a"):
        assert (texts / "vocab.json").exists()


@pytest.mark.parametrize(
    "command", ["explain a.txt", "vocab a.txt -o v.json", "embed a.txt -o o.npy", "train a.txt -o r"]
)
def test_ctrl_c_and_sigterm_in_the_first_second(texts: Path, command: str) -> None:
    """From the moment that flip's own code runs: -X importtime tells it."""
    (texts / "a.txt").write_text("The train was late.\n" * 20_000)
    python, *module = FLIP
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        for _ in range(2):
            line = [python, "-X", "importtime", *module, *command.split()]
            with started(*line, cwd=texts) as process:
                assert process.stderr is not None
                while not process.stderr.readline().rstrip().endswith(" flip"):
                    assert process.poll() is None
                time.sleep(moment := random.uniform(0.02, 1))
                process.send_signal(number)
                _, err = process.communicate(timeout=60)
            said = [line for line in err.splitlines() if not line.startswith("import time:")]
            # At its very end Python has no handlers any more, and the signal itself is the answer.
            assert process.returncode in (0, code, -number), (moment, said)
            assert not any("Traceback" in line or "Exception" in line for line in said), (moment, said)
            if process.returncode == code:
                # The run before this one may have left what this one goes on with.
                first = next(line for line in said if "goes on at row" not in line)
                assert first.startswith("error: "), (moment, said)


def test_outputs_that_are_no_regular_files_are_written_to(texts: Path, flip: Flip) -> None:
    before = Path("/dev/null").stat()
    assert flip("vocab", "a.txt", "-o", "/dev/null").code == 0
    assert Path("/dev/null").stat().st_rdev == before.st_rdev
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    assert flip("vocab", "a.txt", "-o", "pipe").code == 0
    reader.join(20)
    assert "late" in orjson.loads(read[0])
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert not list(texts.glob("*options*"))
    for output in ("/dev/null", "pipe"):
        result = flip("embed", "a.txt", "-o", output)
        assert (result.code, "is not a regular file" in result.err) == (2, True)


def test_a_link_and_permissions_stay(texts: Path, flip: Flip) -> None:
    (texts / "disk").mkdir()
    for name, command in (("v.json", ["vocab"]), ("o.npy", ["embed"])):
        (texts / "disk" / name).touch()
        (texts / name).symlink_to(texts / "disk" / name)
        (texts / "disk" / name).chmod(0o604)
        assert flip(*command, "a.txt", "-o", name, "--force").code == 0
        assert (texts / name).is_symlink()
        assert (texts / "disk" / name).stat().st_size > 100
        assert stat.S_IMODE((texts / "disk" / name).stat().st_mode) == 0o604


def test_what_killed_processes_left_of_the_same_output_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    alive = [tmp_path / f".a.json.{os.getppid()}.partial", tmp_path / f".b.json.{gone.pid}.partial"]
    for path in (*alive, tmp_path / f".a.json.{gone.pid}.partial"):
        path.touch()
    with replacing(tmp_path / "a.json") as temporary:
        temporary.touch()
    assert set(tmp_path.iterdir()) == {*alive, tmp_path / "a.json"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_an_error_that_says_what_is_needed(texts: Path, small_disk: Path) -> None:
    lines = "".join(f"Sentence {i}.\n" for i in range(500))
    (texts / "a.txt").write_text(lines)
    done = finished(*FLIP, "embed", "a.txt", "-o", small_disk / "o.npy", cwd=texts)
    assert done.returncode == 3, done.stderr
    assert "no space left: .o.npy.vectors.partial needs 768 kB, " in done.stderr
    assert not list(small_disk.glob("*.npy")) and not list(small_disk.glob(".*vectors*"))
    (texts / "a.txt").write_text(lines[: len(lines) // 10])
    done = finished(*FLIP, "train", "a.txt", "-o", small_disk / "run", "--augment", "0", cwd=texts)
    assert done.returncode == 3, done.stderr
    assert "no space left: " in done.stderr


def test_an_embedding_file_that_is_cut_short_while_it_is_read(tmp_path: Path) -> None:
    from flip.errors import InputError
    from flip.inputs.embedding_files import open_embeddings

    np.save(tmp_path / "a.npy", np.ones((1000, 64), np.float32))
    rows = open_embeddings(tmp_path / "a.npy")
    assert rows[999].sum() == 64
    os.truncate(tmp_path / "a.npy", 128 + 500 * 256)
    assert rows[499].sum() == 64
    with pytest.raises(InputError, match="cut short while it was read"):
        rows[500:]


def test_a_device_in_flip_toml_is_not_read(texts: Path, flip: Flip) -> None:
    for section, setting in (("vocab", "text"), ("embed", "inputs"), ("train", "corpus")):
        Path("flip.toml").write_text(f'[{section}]\n{setting} = ["/dev/zero"]\n')
        result = flip(section, *(["-o", "run"] if section == "train" else []))
        assert (result.code, "/dev/zero is not a regular file" in result.err) == (3, True), result.err


def test_aliases_that_stand_for_billions(texts: Path, flip: Flip) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    Path("bomb.yaml").write_text("\n".join(lines))
    Path("loop.yaml").write_text("a: &a [*a]")
    for name in ("bomb.yaml", "loop.yaml"):
        for command in (["eval", "--data"], ["vocab", "--data"], ["vocab", "a.txt", "--config"], ["train", "--config"]):
            result = flip(*command, name)
            assert (result.code, "its aliases (*name) stand for more" in result.err) == (3, True), result.err


def test_a_line_of_many_megabytes_is_cut_and_said(texts: Path, flip: Flip) -> None:
    Path("long.txt").write_text("The train was late. " * 250_000 + "\nThe cat sat.\n")
    began = time.monotonic()
    first, second = flip("explain", "long.txt").records
    assert first["truncated"] and first["keywords"] and "truncated" not in second
    assert flip("embed", "long.txt").records[0]["truncated"] == 1
    assert time.monotonic() - began < 60  # it took minutes for ten times as much
