"""A setting is written once: its option, its default as --help names it, and its name in flip.toml come from there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from flip.cli.app import group, main
from flip.cli.command import _SECTIONS
from flip.cli.flag import flags_of
from flip.cli.settings import load_settings
from flip.errors import InputError, UsageError
from flip.training.recipes import PAPER, TrainConfig
from tests.conftest import Flip


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FLIP_MODEL", "FLIP_EXPLAIN__MODEL"),
        ("FLIP_TOPN", "FLIP_EXPLAIN__TOPN"),
        ("FLIP_EXPLAIN_MODEL", "FLIP_EXPLAIN__MODEL"),
        ("FLIP_DEVCE", "FLIP_DEVICE"),
        ("FLIP_EXPLANE__TOPN", "FLIP_EXPLAIN__TOPN"),
        ("FLIP_OFLINE", "FLIP_OFFLINE"),
        ("FLIP_LANGUAGE", "FLIP_ENCODER_OPTIONS__LANGUAGE"),
    ],
)
def test_a_variable_of_the_environment_that_is_no_setting_is_said(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "run")
    assert f"note: {variable} in the environment is no setting: did you mean {meant}?" in flip("explain", "A cat.").err


@pytest.mark.parametrize(
    "variable", ["FLIP_A_COIN", "FLIP", "FLIP_", "FLIP_EXPLAIN__TOPN", "FLIP_DEVICE", "flip_device"]
)
def test_what_is_a_setting_or_another_programs_variable_is_not(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "cpu" if "evice" in variable.lower() else "3")
    done = flip("explain", "A cat.")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("section", _SECTIONS)
def test_every_setting_of_a_section_that_has_a_flag_is_an_option(section: str) -> None:
    parameters = {one.name for one in group.commands[section].params}  # type: ignore[attr-defined]
    assert set(flags_of(_SECTIONS[section])) <= parameters


def test_defaults_that_help_names_are_those_of_settings_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--help-all"])
    text = " ".join(capsys.readouterr().out.split())

    def default(option: str) -> str:
        return re.search(rf"{option} .*?\[default: (.*?)\]", text)[1]  # type: ignore[index]

    assert default("--lr") == f"{TrainConfig().lr:g}; paper {PAPER.lr:g}"
    assert default("--check-every") == f"{TrainConfig().check_every}; paper {PAPER.check_every}"
    assert default("--patience") == str(TrainConfig().patience)
    assert default("--alpha") == str(TrainConfig().alpha)
    assert default("--split") == load_settings("train", {}, {}).train.split
    assert default("--shuffle / --no-shuffle") == "shuffle; paper no-shuffle"


@pytest.mark.parametrize("section", _SECTIONS)
def test_flag_environment_file_and_default_in_this_order(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = next(one.name for one in fields(_SECTIONS[section]) if "Path" in str(one.type))

    def value() -> str:
        return str(getattr(getattr(load_settings(section, {}, {}), section), name))

    default = value()
    Path("flip.toml").write_text(f'[{section}]\n{name} = "from_file"\n')
    assert (default != "from_file", value()) == (True, "from_file")
    monkeypatch.setenv(f"FLIP_{section.upper()}__{name.upper()}", "from_environment")
    assert value() == "from_environment"
    settings = load_settings(section, {}, {name: "from_flag"})
    assert str(getattr(getattr(settings, section), name)) == "from_flag"
    assert settings.named == {name}


def test_lists_and_pairs_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_EMBED__INPUTS", '["a.txt", "b.txt"]')
    monkeypatch.setenv("FLIP_VOCAB__NGRAM", "[1, 2]")
    settings = load_settings("embed", {}, {})
    assert (settings.embed.inputs, settings.vocab.ngram) == (["a.txt", "b.txt"], (1, 2))


def test_an_unknown_key_is_an_error_and_a_wrong_flag_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--epochs"):
        load_settings("train", {}, {"epochs": 0})
    Path("flip.toml").write_text("[train]\nepoch = 3\n")
    with pytest.raises(InputError, match=r"train\.epoch: there is no such setting") as unknown:
        load_settings("train", {}, {})
    assert unknown.value.hint == "did you mean 'epochs'?"


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999999999999])
def test_a_seed_that_not_everything_random_takes_is_refused(seed: int, fails: Callable[..., str], here: Path) -> None:
    (here / "a.txt").write_text("A dog.\n" * 20)
    for command in (
        ("train", "a.txt", "-o", "run"), ("embed", "a.txt", "--dataset", "d"), ("eval", "--audit", "a.txt"),
        ("explain", "A dog."),
    ):  # fmt: skip
        assert "error: --seed: Input should be" in fails(2, *command, "--seed", seed)
    (here / "flip.toml").write_text(f"seed = {min(seed, 2**63 - 1)}\n")
    assert "setting seed: Input should be" in fails(3, "train", "a.txt", "-o", "run")


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("explain", "topn = true"), ("explain", "bias_weight = true"), ("explain", "min_probability = false"),
        ("train", "rank = true"), ("vocab", "min_df = true"), ("vocab", "ngram = [true, 2]"),
        ("encoder_options", "concurrency = true"),
    ],
)  # fmt: skip
def test_true_is_no_number(section: str, line: str, here: Path) -> None:
    (here / "flip.toml").write_text(f"[{section}]\n{line}\n")
    with pytest.raises(InputError, match=rf"setting {section}\.{line.split()[0]}"):
        load_settings("explain", {}, {})


def test_true_is_a_switch(here: Path) -> None:
    (here / "flip.toml").write_text("offline = true\n[train]\nshuffle = false\nresume = true\n")
    settings = load_settings("train", {}, {})
    assert (settings.offline, settings.train.shuffle, settings.train.resume) == (True, False, True)


@pytest.mark.parametrize(
    ("section", "name", "value", "hint"),
    [
        ("vocab", "tokenizer", "klingon", "'latin', 'unicode' or 'whitespace'"),
        ("explain", "topn", "many", "`flip explain --help`"),
        ("encoder_options", "concurrency", "many", "`flip embed --help`"),
    ],
)
def test_a_wrong_setting_says_where_it_stands_and_what_there_is(
    section: str, name: str, value: str, hint: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"FLIP_{section}__{name}".upper()
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=f"^{variable} in the environment: "):
        load_settings("explain", {}, {})
    monkeypatch.delenv(variable)
    (here / "flip.toml").write_text(f'[{section}]\n{name} = "{value}"\n')
    with pytest.raises(InputError, match=rf"^flip\.toml, setting {section}\.{name}: ") as wrong:
        load_settings("explain", {}, {})
    assert hint in f"{wrong.value.message} {wrong.value.hint}"


def test_what_cannot_be_read_at_all_says_where_it_stands(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_VOCAB__NGRAM", "[1,")
    with pytest.raises(InputError, match="^FLIP_VOCAB__NGRAM in the environment: Expecting value"):
        load_settings("explain", {}, {})
    monkeypatch.delenv("FLIP_VOCAB__NGRAM")
    (here / "flip.toml").write_text("[vocab")
    with pytest.raises(InputError, match=r"^flip\.toml: "):
        load_settings("explain", {}, {})


def test_an_encoder_that_explain_does_not_use_is_said(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_ENCODER", "labse")
    done = flip("explain", "A dog.")
    assert (done.code, done.err) == (
        0, "note: FLIP_ENCODER in the environment: labse is not used, as minilm-en is for minilm\n"
    )  # fmt: skip
    monkeypatch.setenv("FLIP_ENCODER", "minilm")
    assert flip("explain", "A dog.").err == ""
    monkeypatch.delenv("FLIP_ENCODER")
    (here / "flip.toml").write_text('encoder = "labse"\n')
    assert "note: flip.toml, setting encoder: labse is not used" in flip("explain", "A dog.").err
