"""Commands that are killed, at their renames and at random: what is left is whole, and the next run ends the same.

Each kind of kill is tried a few times by default; `FLIP_KILLS=all pytest -m '' tests/test_crashes.py` kills at every
rename.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from flip.data.published import load_vocabulary
from flip.encoders.identity import EmbeddingInfo
from flip.errors import InputError
from flip.inputs.embedding_files import open_embeddings, sentences_path
from hub_server import hub_server
from processes import ENVIRONMENT, FLIP, finished, started

pytestmark = pytest.mark.slow
KILLED = [sys.executable, Path(__file__).with_name("killed.py")]
KILLS = os.environ.get("FLIP_KILLS", "2")
# Times and folders differ from run to run.
_NOT_COMPARED = ("log.jsonl", "config.json", "options.json", "README.md")


def content(folder: Path, compared: str) -> dict[str, object]:
    """What files hold, hidden ones too, by their paths in the folder, of those that match a pattern."""
    files = ((str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file())
    kept = ((name, path) for name, path in files if path.name not in _NOT_COMPARED and re.search(compared, name))
    return {name: _tensors(path) or path.read_bytes() for name, path in kept}


def _tensors(path: Path) -> object:
    """The tensors of a state: the order of what is said of them is not always the same."""
    return {k: v.tobytes() for k, v in load_file(path).items()} if path.name == "state.safetensors" else None


class Killing:
    """Runs a command in a copy of a folder: whole, then killed at each of some moments and run once more."""

    def __init__(
        self,
        start: Path,
        tmp_path: Path,
        command: list[object],
        again: list[object] | None = None,
        compared: str = "",
    ) -> None:
        self.start, self.folder = start, tmp_path / "here"
        self.command, self.again, self.compared = command, again or command, compared

    def anew(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.start, self.folder)
        return self.folder

    def check(self, whole: Callable[[Path], None] = lambda folder: None) -> None:
        """`whole` is asked of what a killed run left."""
        self.anew()
        began = time.monotonic()
        done = finished(*KILLED, 0, *self.command, cwd=self.folder)
        took = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        expected = content(self.folder, self.compared)
        renames = int(done.stderr.split()[-2])
        assert renames > 0
        seed = time.time_ns()
        moments = random.Random(seed)
        every = range(1, renames + 1)
        for number in every if KILLS == "all" else moments.sample(every, min(int(KILLS), renames)):
            self.anew()
            done = finished(*KILLED, number, *self.command, cwd=self.folder)
            assert done.returncode == -9, done.stderr
            self._ends_the_same(expected, whole, f"killed before rename {number} of {renames}")
        for _ in range(renames if KILLS == "all" else int(KILLS)):
            self.anew()
            moment = moments.uniform(0, took)
            command = self.command if str(self.command[0]).endswith(".py") else [*FLIP[1:], *self.command]
            with started(sys.executable, *command, cwd=self.folder):
                time.sleep(moment)
            self._ends_the_same(expected, whole, f"seed {seed}, killed after {moment:.3f} s")

    def _ends_the_same(self, expected: dict[str, object], whole: Callable[[Path], None], where: str) -> None:
        whole(self.folder)
        command = self.command if not (self.folder / "run/options.json").exists() else self.again
        command = command if str(command[0]).endswith(".py") else [*FLIP[1:], *command]
        done = finished(sys.executable, *command, cwd=self.folder)
        assert done.returncode == 0, (where, done.stderr)
        found = content(self.folder, self.compared)
        assert found.keys() == expected.keys(), where
        assert [name for name in found if found[name] != expected[name]] == [], where


@pytest.fixture
def start(tmp_path: Path, sentences: list[str]) -> Path:
    """A folder with two texts."""
    folder = tmp_path / "start"
    folder.mkdir()
    (folder / "a.txt").write_text("\n".join(sentences[:300]) + "\n", encoding="utf-8")
    (folder / "b.txt").write_text("\n".join(sentences[300:600]) + "\n", encoding="utf-8")
    return folder


def test_vocab(start: Path, tmp_path: Path) -> None:
    assert finished(*FLIP, "vocab", "a.txt", "-o", "v.json", cwd=start).returncode == 0
    before = load_vocabulary(start / "v.json")
    killing = Killing(start, tmp_path, ["vocab", "b.txt", "-o", "v.json", "--ngram", "1", "2", "--force"])

    def old_or_new_or_said(folder: Path) -> None:
        try:
            found = load_vocabulary(folder / "v.json")
        except InputError as error:
            assert "do not belong together" in error.message
            assert "flip vocab" in str(error.hint)
        else:
            assert (found == before) == (found.tokenizer == before.tokenizer)

    killing.check(old_or_new_or_said)


def rows_belong_to_lines(folder: Path) -> None:
    """Of every embedding file: as many rows as lines, unless its description says that some are being dropped."""
    for path in folder.glob("*.npy"):
        about = EmbeddingInfo.read(path)
        if about.encoder.name and not about.dropping:
            lines = sentences_path(path).read_text(encoding="utf-8").splitlines()
            assert len(open_embeddings(path)) == len(lines) == about.rows, path


def test_embed(start: Path, tmp_path: Path) -> None:
    assert finished(*FLIP, "embed", "a.txt", "-o", "o.npy", cwd=start).returncode == 0
    killing = Killing(start, tmp_path, ["embed", "b.txt", "-o", "o.npy", "--batch-size", "32", "--force"])
    killing.check(rows_belong_to_lines)


PAIR = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from flip.embedding.job import embed
from flip.inputs.record import Record
from flip.data.precomputed import keep_common_rows, write_similarities
from tests.embedding.test_job import Counting

for side, bad in (("x", 3), ("y", 7)):
    names = [f"{{side}}{{i}}{{'bad' * (i == bad)}}.wav" for i in range(40)]
    embed([Record(where="", audio=Path(name), text=name) for name in names], Path(f"{{side}}.npy"), Counting())
keep_common_rows([Path("x.npy"), Path("y.npy")])
write_similarities(Path("x.npy"), Path("y.npy"), Path("s.npy"))
"""


def test_a_pair_of_which_both_sides_lose_rows(start: Path, tmp_path: Path) -> None:
    tests = Path(__file__).parent
    (start / "pair.py").write_text(PAIR.format(root=str(tests.parent)))
    Killing(start, tmp_path, ["pair.py"]).check(rows_belong_to_lines)


def test_train(start: Path, tmp_path: Path) -> None:
    command: list[object] = ["train", "a.txt", "-o", "run", "--epochs", "2", "--augment", "0", "--rank", "16"]
    Killing(start, tmp_path, command, [*command, "--resume"]).check()


def test_eval(run_folder: Path, quickstart: Path, tmp_path: Path) -> None:
    outputs = ["--details", "d.jsonl", "--plot", "p.svg", "--report", "r.html"]
    command = ["eval", "--model", "run", "--data", "datasets.yaml", "--metrics", "all", *outputs]
    Killing(quickstart, tmp_path, [*command]).check()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with hub_server() as server:
        server.add("me/words", {"model.safetensors": bytes(300_000), "vocab.json": b'{"a": 0}', "config.json": b"{}"})
        for name, value in (("HF_ENDPOINT", server.url), ("HF_HUB_OFFLINE", "0"), ("HF_HOME", "home")):
            monkeypatch.setitem(ENVIRONMENT, name, value)
        yield


@pytest.mark.parametrize("output", [[], ["-o", "there"]])
def test_pull(start: Path, tmp_path: Path, hub: None, output: list[object]) -> None:
    # What else the hub's client keeps for itself is its own matter.
    delivered = r"/snapshots/|^there/[^.]|\.incomplete$|/\.pull\.lock$"
    Killing(start, tmp_path, ["pull", "me/words", *output], compared=delivered).check()
