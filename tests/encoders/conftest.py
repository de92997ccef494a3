"""A checkpoint on the real default encoder, trained on the quickstart's sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from flip.cli.app import main

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = tmp_path_factory.mktemp("run") / "run"
    corpus = str(ROOT / "examples" / "quickstart" / "train.txt")
    assert main(["train", corpus, "-o", str(run), "--epochs", "12", "-q", "--offline"]) == 0
    return str(run)
