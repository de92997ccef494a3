"""examples/scale: its commands run on a small store, and its table is what its script computes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from console import run
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "examples" / "scale"
README = FOLDER / "README.md"


def commands() -> list[tuple[str, str]]:
    """(command, what it printed on a million rows) of the page."""
    (session,) = re.findall(r"```text\n(\$ python make\.py.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [tuple(part.split("\n", 1)) for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]]  # type: ignore[misc]


def shape(output: str) -> str:
    """Output without numbers, words and the length of lists: the fields that are there."""
    return re.sub(r'"words":[\[{].*|[\d.]+', "", output)


def test_its_commands_print_such_output(tmp_path: Path) -> None:
    found = commands()
    assert len(found) >= 4 and "--rows 1000000 --files 40" in found[0][0]
    for command, printed in found:
        small = command.replace("--rows 1000000 --files 40", "--rows 4000 --files 4")
        now = run(small.replace("make.py", str(FOLDER / "make.py")), tmp_path)
        assert shape(now.partition("\n")[0])[:60] == shape(printed.partition("\n")[0])[:60], command


def test_its_table_is_what_the_script_computes() -> None:
    done = subprocess.run([sys.executable, FOLDER / "arithmetic.py"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() and done.stdout.strip() in README.read_text(encoding="utf-8")


def test_more_gpus_are_never_slower_and_always_faster_than_two_cores() -> None:
    done = subprocess.run([sys.executable, FOLDER / "arithmetic.py"], capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    seconds = {"s": 1, "min": 60, "h": 3600, "days": 86_400}

    def time(cell: str) -> float:
        value, unit = cell.split()[:2]
        return float(value) * seconds[unit]

    assert len(rows) == 8
    for row in rows:
        assert time(row[7]) > time(row[8]) >= time(row[9]) > time(row[10]), row
