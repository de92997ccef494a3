"""All that is bundled runs for a user without a home, and for one whose HOME or cache belongs to another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import flip

USER = 61_234  # without an entry in passwd
PROGRAM = """
import json, sys
from flip.cli.app import main
codes = [main(command) for command in json.loads(sys.argv[1])]
print(json.dumps(codes), file=sys.stderr)
"""
SENTENCES = [
    f"The {animal} sleeps in the {place}."
    for animal in ["cat", "dog", "owl", "fox"]
    for place in ["barn", "tree", "park"]
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that every user can reach; pytest's own belong to one."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def interpreter() -> str:
    """Return a Python of this version that the other user can run."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    for path in (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")):
        if path and not subprocess.run(["test", "-x", path], user=USER, group=USER, extra_groups=[]).returncode:
            return path
    pytest.skip(f"user {USER} can run no python3.{sys.version_info.minor} of this machine")


def flip_as_other(folder: Path, environment: dict[str, str], *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Run commands of flip as the user, in a folder of theirs."""
    own = [path for path in sys.path if (path and not path.startswith(sysconfig.get_path("stdlib"))) or "site-" in path]
    kept = {
        name: value for name, value in os.environ.items() if name.isupper() and not name.startswith(("HF_", "XDG_"))
    }
    kept.pop("HOME", None)
    package = Path(flip.__file__).parent
    if subprocess.run(["test", "-r", package / "__init__.py"], user=USER, group=USER, extra_groups=[]).returncode:
        pytest.skip(f"user {USER} cannot read the environment that flip is installed in")
    return subprocess.run(
        [interpreter(), "-c", PROGRAM, json.dumps(commands)], user=USER, group=USER, extra_groups=[], cwd=folder,
        env=kept | {"PYTHONPATH": os.pathsep.join(own)} | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def closed(folder: Path, *parts: str) -> str:
    """Return a folder with a cache and a configuration, some of whose parts only root can read."""
    home = folder / "home"
    (home / ".cache" / "huggingface" / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2").mkdir(parents=True)
    (home / ".config" / "flip").mkdir(parents=True)
    for name, content in (("keys.toml", 'openai = "sk"'), ("config.toml", '[trust]\nfolders = ["~/project"]')):
        (home / ".config" / "flip" / name).write_text(content)
    for part in parts:
        (home / part).chmod(0o700 if (home / part).is_dir() else 0o600)
    return str(home)


@pytest.mark.parametrize(
    ("variable", "part", "closed_parts"),
    [
        (None, "", []),
        ("HOME", "", ["."]),
        ("HOME", "", [".cache", ".config"]),
        ("HOME", "", [".cache/huggingface/hub", ".config/flip"]),
        ("HOME", "", [".config/flip/keys.toml", ".config/flip/config.toml"]),
        ("HOME", "nothing/here", []),
        ("HF_HOME", ".cache/huggingface", ["."]),
        ("HF_HUB_CACHE", ".cache/huggingface/hub", [".cache"]),
        ("XDG_CACHE_HOME", ".cache", [".cache"]),
        ("XDG_CONFIG_HOME", ".config", []),
    ],
)
def test_all_that_is_bundled_runs(variable: str | None, part: str, closed_parts: list[str], folder: Path) -> None:
    home = closed(folder, *closed_parts)
    (folder / "sents.txt").write_text("\n".join(SENTENCES))
    (folder / "flip.toml").write_text("[explain]\ntopn = 2\n")
    done = flip_as_other(
        folder,
        {} if variable is None else {variable: os.path.join(home, part)},  # noqa: PTH118
        ["embed", "--list-encoders"],
        ["explain", "The cat sleeps.", "--json"],
        ["embed", "sents.txt"],
        ["vocab", "sents.txt", "-o", "vocab.json"],
        ["explain", "The cat sleeps.", "--html", "page.html"],
    )
    lines = done.stdout.splitlines()
    assert done.stderr.splitlines()[-1:] == ["[0, 0, 0, 0, 0]"], done.stderr
    assert [json.loads(line)["encoder"] for line in lines[:2]] == ["minilm", "e5"]
    explained = next(json.loads(line) for line in lines if "keywords" in line)
    assert {"cat", "sleeping"} == {one["word"] for one in explained["keywords"][:2]}
    assert "onnxruntime" not in done.stderr


@pytest.mark.slow
def test_training_needs_no_home(folder: Path) -> None:
    (folder / "sents.txt").write_text("\n".join(SENTENCES))
    done = flip_as_other(
        folder, {}, ["train", "sents.txt", "-o", "run", "--epochs", "1", "--rank", "8"],
        ["explain", "--model", "run", "The cat sleeps."],
    )  # fmt: skip
    assert done.stderr.splitlines()[-1:] == ["[0, 0]"], done.stderr
