"""What `--help` says: panels, defaults, and what to try first."""

from __future__ import annotations

import re

import pytest

from flip.cli import train
from flip.cli.app import group, main
from flip.cli.config import commands_of
from flip.cli.options import PANELS

COMMANDS = dict(commands_of(group))
LISTED = ["explain", "train", "eval", "compare", "embed", "vocab", "pull", "store"]


def shown(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(list(argv)) == code
    out, err = capsys.readouterr()
    return out + err


def flags(text: str) -> set[str]:
    """The long options that have a line of their own."""
    return set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE))


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_flip_alone_shows_explain_first_and_three_examples(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    text = shown(capsys, *argv, code=0 if argv else 2)
    listed = text.split("Commands:")[1].split("Examples:")[0].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == LISTED
    assert "..." not in text.split("Commands:")[1]
    assert len([line for line in text.split("Examples:")[1].splitlines() if "flip" in line]) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_its_panel_and_one_default(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    text = shown(capsys, *command, "--help-all" if command == ("train",) else "--help")
    assert "Options:" not in text
    assert "[default: (" not in re.sub(r"\s+", " ", text)
    assert not re.search(r"\)\]|\[\(", text)
    expected = {max(option.opts, key=len) for option in COMMANDS[command].params if option.param_type_name == "option"}
    assert flags(text) == expected | {"--help"}
    panels = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert panels == [panel for panel in ("Arguments", *PANELS) if panel in panels]


def test_explain_has_its_panels(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "explain", "--help")
    panels = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert panels == ["Arguments", "Input", "Model", "Output", "Device", "Help"]
    assert "[default: minilm-en]" in " ".join(text.split())


def test_train_shows_ten_options_and_all_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "--help")
    assert flags(text) == {*train.BASIC, "--help", "--help-all"}
    assert len(train.BASIC) == 10
    assert len(flags(shown(capsys, "train", "--help-all"))) > 40


def test_every_command_shows_two_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        examples = shown(capsys, *command, "--help").split("Examples:")[1]
        assert sum(line.strip().startswith(("flip ", "cat ", "torchrun ")) for line in examples.splitlines()) >= 2
