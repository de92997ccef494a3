"""A user's strict type check passes on the README's Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

import flip

pytestmark = pytest.mark.slow

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_passes_mypy_strict(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for i, block in enumerate(blocks):
        (tmp_path / f"readme_{i}.py").write_text(block, encoding="utf-8")
    (tmp_path / "wrong.py").write_text("import flip\nflip.load_checkpoint(3)\n", encoding="utf-8")
    source = Path(flip.__file__).parents[1]
    environment = os.environ | ({} if source.name == "site-packages" else {"MYPYPATH": str(source)})
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--follow-imports=silent", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert [line.split(":")[0] for line in done.stdout.splitlines() if "error" in line][:1] == ["wrong.py"]
    assert "Found 1 error in 1 file" in done.stdout


def test_the_readme_says_what_python_gives() -> None:
    """Each line with a value behind `#` gives it."""
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    *lines, last = block.strip().splitlines()
    exec("\n".join(lines), names)
    expression, _, value = last.rpartition("  # ")
    assert eval(expression, names) == eval(value)


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(flip.__file__).parent / "py.typed").is_file()
    assert files("flip-interpret")
