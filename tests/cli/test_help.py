"""What `--help` says: panels, defaults, and what to try first."""

from __future__ import annotations

import re

import pytest

from flip.cli import help, train
from flip.cli.app import group, main

COMMANDS = ("explain", "train", "eval", "embed", "vocab", "pull")


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
    assert [line.split()[0] for line in listed if line.strip()] == [*COMMANDS]
    assert "..." not in text.split("Commands:")[1]
    assert len([line for line in text.split("Examples:")[1].splitlines() if "flip" in line]) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_its_panel_and_one_default(capsys: pytest.CaptureFixture[str], command: str) -> None:
    text = shown(capsys, command, "--help-all" if command == "train" else "--help")
    assert "Options:" not in text
    assert "[default: (" not in re.sub(r"\s+", " ", text)
    assert not re.search(r"\)\]|\[\(", text)
    expected = {
        max(option.opts, key=len)
        for option in group.commands[command].params  # type: ignore[attr-defined]
        if option.param_type_name == "option" and not option.hidden
    }
    assert flags(text) == expected | {"--help"}
    assert text.index("Output:") < text.index("Device:" if "Device:" in text else "Help:")


def test_explain_has_its_panels(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "explain", "--help")
    panels = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert panels == ["Arguments", "Input", "Model", "Store", "Output", "Device", "Help"]
    assert "[default: minilm-en]" in " ".join(text.split())


def test_train_shows_ten_options_and_all_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "--help")
    assert flags(text) == {*train.BASIC, "--help", "--help-all"}
    assert len(train.BASIC) == 10
    assert len(flags(shown(capsys, "train", "--help-all"))) > 40


def test_no_panel_names_an_option_that_no_command_has() -> None:
    known = {opt for command in group.commands.values() for option in command.params for opt in option.opts}  # type: ignore[attr-defined]
    assert set(help._PANEL) - known == {"--help"}
