"""What a long command says of its work."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from flip.cli.corpus import progress_of_parts
from flip.cli.output import Output, guarded
from flip.data.corpora import Part
from flip.embedding.job import embed
from flip.encoders import Encoder
from flip.inputs.record import Record
from flip.training.run_folder import kept_epoch
from tests.conftest import Flip


class Bars(Output):
    """Keeps what a bar is told."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[str] = []
        self.updates: list[tuple[int, int]] = []

    @contextmanager
    def progress(self, label: str) -> Iterator[Any]:
        self.labels.append(label)
        yield lambda done, total: self.updates.append((done, total))


def test_what_is_embedded_is_told_by_its_bar_and_a_line_above(capsys: pytest.CaptureFixture[str]) -> None:
    out = Bars()
    parts = {"train": Part({"text": ["a"] * 4000}), "dev": Part({"text": ["b"] * 500})}
    with progress_of_parts(parts | {"augmented": Part({"text": ["c"] * 55_104})}, False, out) as update:
        update("train", 4000, 4000)
        update("augmented", 10, 55_104)
    with progress_of_parts(parts, False, out):
        pass
    recordings = Part({"text": ["a"] * 3}, recordings=[Path("a.wav")] * 3)
    for pair in (False, True):
        with progress_of_parts({"train": recordings}, pair, out):
            pass
    assert out.labels == [
        "embedding 59,604 texts",
        "embedding 4,500 sentences",
        "embedding 3 sentences",
        "embedding 6 sentences",
    ]
    assert out.updates == [(4000, 59_604), (4010, 59_604)]
    assert capsys.readouterr().err == "4,500 sentences, and 55,104 crops and words; --augment 0 leaves these out\n"


def test_training_says_which_epoch_it_kept_and_why_it_stopped(flip: Flip, here: Path, quickstart: Path) -> None:
    data = ["--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "--rank", "8"]
    done = flip("train", *data, "-o", "run", "--epochs", "2", "-q").records[0]
    assert (done["epochs"], done["stopped"]) == (2, "epochs")
    log = [orjson.loads(line) for line in Path("run/log.jsonl").read_bytes().splitlines()]
    assert done["kept_epoch"] == kept_epoch(Path("run")) == max(e["epoch"] for e in log if e["best"])
    # A rate of nothing cannot gain: the first check is the best.
    done = flip("train", *data, "-o", "still", "--epochs", "9", "--patience", "2", "--lr", "1e-12", "-q").records[0]
    assert done["stopped"] == "patience"
    assert done["kept_epoch"] == done["epochs"] - 2


def test_embedding_says_at_its_start_where_it_goes_on(tmp_path: Path) -> None:
    class Slow(Encoder):
        name, revision, dimension, modalities, device, batch_size = "slow", "1", 2, frozenset({"text"}), "cpu", 2
        broken = True

        def encode(self, batch: list[str]) -> Any:
            import numpy as np

            if self.broken and "d" in batch:
                raise KeyboardInterrupt
            return np.ones((len(batch), 2), np.float32)

    said: list[Any] = []
    encoder = Slow()

    def run() -> None:
        records = (Record(where="", text=text) for text in "abcd")
        embed(
            records, tmp_path / "o.npy", encoder,
            on_rows=lambda done, total: said.append((done, total)), on_resume=lambda row: said.append(row),
        )  # fmt: skip

    try:
        run()
    except KeyboardInterrupt:
        encoder.broken = False
    run()
    assert said == [(2, 4), 2, (4, 4)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Gives stderr; no fixture, as pytest puts its own in the place of stderr when a test begins."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"  # the cursor


def test_a_spinner_says_what_is_done_and_makes_room_for_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    out = Output()
    with out.working("transcribing \x1b[2Ja.wav"):
        assert "transcribing \\x1b[2Ja.wav" in terminal.getvalue()
        assert SHOWN not in terminal.getvalue()
        out.note("a note")
        assert terminal.getvalue().endswith("a note\n")
        assert SHOWN in terminal.getvalue()
    with out.working("embedding b.wav"):
        pass
    assert terminal.getvalue().count(HIDDEN) == terminal.getvalue().count(SHOWN) == 2


def test_an_interrupted_command_leaves_no_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)

    @guarded
    def command() -> None:
        Output().working("transcribing a.wav").__enter__()  # as in a thread that goes on
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit):
        command()
    text = terminal.getvalue()
    assert text.rindex(SHOWN) > text.rindex(HIDDEN)
    assert text.rindex("error: interrupted") > text.rindex(SHOWN)


def test_no_spinner_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with Output(quiet=True).working("transcribing a.wav"):
        pass
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Output().working("transcribing a.wav"):
        pass
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
