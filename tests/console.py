"""The console sessions of the READMEs: `$ command` and what it prints. `python tests/console.py FILE` renews a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """(command, output) of each command in the console blocks of a Markdown text."""
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def run(command: str, folder: Path) -> str:
    """What a command prints on standard output, with this environment's flip."""
    here = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{here}:{os.environ['PATH']}", "FLIP": f"{sys.executable} -m flip"}
    script = f'flip() {{ "{sys.executable}" -m flip "$@"; }}\n{command}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def shortened(output: str) -> str:
    """Output as it is printed in a README: long records without what is beside the keywords."""
    lines = []
    for line in output.splitlines():
        line = re.sub(r'"score":[-\d.]+,|"against_score":[-\d.]+,', "", line)
        line = re.sub(r',"words":\[.*?\],"unknown":\[.*?\]', ',"words":[...],"unknown":[...]', line)
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?= s\b)")
_SHARE, _UNITS = 0.03, 2  # of a number, or of its last digit: processors round differently


def differences(printed: str, there: str) -> list[str]:
    """Where a text differs from the one in a README: in more than numbers, or in a number by more than the tolerance.

    A number may differ by 3%, or by two in its last digit. Seconds may differ by anything.
    """
    printed, there = _SECONDS.sub("0", printed), _SECONDS.sub("0", there)
    if _NUMBER.sub("0", printed).split() != _NUMBER.sub("0", there).split():
        return [printed]
    numbers = zip(_NUMBER.findall(there), _NUMBER.findall(printed), strict=True)
    return [f"{other}, not {one}" for one, other in numbers if not _alike(one, other)]


def _alike(one: str, other: str) -> bool:
    unit = 10.0 ** -len(one.partition(".")[2])
    return abs(float(one) - float(other)) <= max(_SHARE * float(one), (_UNITS + 1e-6) * unit if "." in one else 0)


def renew(path: Path, folder: Path) -> None:
    """Writes the true output below each command."""

    def block(match: re.Match[str]) -> str:
        commands = [command for command, _ in sessions(match[0])]
        return "```console\n" + "".join(f"$ {c}\n{shortened(run(c, folder))}" for c in commands) + "```"

    path.write_text(_BLOCK.sub(block, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "examples").symlink_to(EXAMPLES)
            renew(Path(name), Path(scratch))
