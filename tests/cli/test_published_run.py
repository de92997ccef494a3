"""The folder of a run is made to be published: what it says of where it was made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Flip = Callable[..., Any]


def test_config_names_no_folder_above_the_project(here: Path, quickstart: Path, flip: Flip) -> None:
    project = here / "secret" / "project"
    shutil.copytree(quickstart, project, ignore=shutil.ignore_patterns("run"))
    os.chdir(project)
    command = ("train", "--vocab", "vocab.json", "--epochs", 1, "--rank", 8, "-q")
    assert flip(*command, "--data", "datasets.yaml", "-o", "runs/a").code == 0
    assert json.loads(Path("runs/a/config.json").read_text())["data"]["manifest"] == "../../datasets.yaml"
    assert flip("eval", "--model", "runs/a", "--json").code == 0
    outside = here / "elsewhere" / "run"
    assert flip(*command, "--data", project / "datasets.yaml", "-o", outside).code == 0
    for name in ("config.json", "README.md"):
        assert "secret" not in (outside / name).read_text()
    assert json.loads((outside / "config.json").read_text())["data"]["manifest"] == "datasets.yaml"
    Path("flip.toml").unlink()
    assert "names no data to evaluate on" in flip("eval", "--model", outside).err
