"""The committed completions ask `flip` itself, so they are always current; here each shell does it for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.completion import get_completion_script

FOLDER = Path(__file__).parents[2] / "completions"
FILES = {"bash": "flip.bash", "zsh": "_flip", "fish": "flip.fish"}


@pytest.mark.parametrize("shell", FILES)
def test_committed_files_are_those_that_flip_shows(shell: str) -> None:
    script = get_completion_script(prog_name="flip", complete_var="_FLIP_COMPLETE", shell=shell)
    assert (FOLDER / FILES[shell]).read_text() == script.rstrip("\n") + "\n"


def in_shell(shell: str, script: str, tmp_path: Path) -> str:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "flip").write_text(f'#!/bin/sh\nexec {sys.executable} -m flip "$@"\n')
    (tmp_path / "flip").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([shell, "-c", script], capture_output=True, text=True, env=env, check=True).stdout


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = f"""
source {FOLDER}/flip.bash
COMP_WORDS=(flip e) COMP_CWORD=1; _flip_completion flip; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(flip train --ra) COMP_CWORD=2; _flip_completion flip; echo "${{COMPREPLY[@]}}"
"""
    commands, options = in_shell("bash", script, tmp_path).splitlines()
    assert sorted(commands.split()) == ["embed", "eval", "explain"]
    assert options.split() == ["--rank"]


def test_zsh_gets_commands_with_their_help(tmp_path: Path) -> None:
    script = f"""
compdef() {{ : }}
_arguments() {{ print -l -- "$@" }}; _describe() {{ print -l -- $commands; print -l -- "$@" }}
source {FOLDER}/_flip
words=(flip e); CURRENT=2; _flip_completion
"""
    found = in_shell("zsh", script, tmp_path)
    assert "explain" in found
    assert "embed" in found
    assert "vocab" not in found


def test_fish_completes_commands(tmp_path: Path) -> None:
    script = f"source {FOLDER}/flip.fish; complete -C 'flip e'"
    found = in_shell("fish", script, tmp_path)
    assert sorted(line.split("\t")[0] for line in found.splitlines()) == ["embed", "eval", "explain"]


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", """source {file}; COMP_WORDS=(flip train --recipe "") COMP_CWORD=3; _flip_completion flip
echo "${{COMPREPLY[@]}}" """),
        ("zsh", """compdef() {{ : }}; _arguments() {{ print -l -- "$@" }}
source {file}; words=(flip train --recipe ""); CURRENT=4; _flip_completion"""),
        ("fish", "source {file}; complete -C 'flip train --recipe '"),
    ],
)  # fmt: skip
def test_each_shell_completes_the_values_of_an_option(shell: str, script: str, tmp_path: Path) -> None:
    found = in_shell(shell, script.format(file=FOLDER / FILES[shell]), tmp_path)
    assert set(re.findall(r"\w+", found)) >= {"flip", "paper"}
