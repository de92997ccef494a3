"""Everywhere the words of a sentence are those that the vocabulary's own tokenizer cuts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from flip.cli.app import main

PEOPLE, PLACES = ("Jürgen", "Zoë", "Müller", "Ägnes", "Björn"), ("Köln", "Zürich", "Lübeck", "Würzburg", "München")
VERBS = ("grüßt", "hört", "küsst", "sucht", "prüft")


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [f"{a} {v} {b} für {c} Tage in {p}." for a in PEOPLE for v in VERBS for p in PLACES
             for b, c in (("Götz", "fünf"), ("Jörg", "zwölf"))]  # fmt: skip
    (tmp_path / "german.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def accuracy(capsys: pytest.CaptureFixture[str], *arguments: str) -> float:
    assert main([*arguments, "--json", "-q"]) == 0
    record = orjson.loads(capsys.readouterr().out)
    return float((record.get("accuracy") or record["metrics"]["accuracy"])["bias"]["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("option", ['strip_accents = "unicode"', "normalize = false", 'tokenizer = "unicode"'])
def test_train_and_eval_measure_with_the_tokenizer_of_the_checkpoint(
    german: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (german / "flip.toml").write_text(f"[vocab]\n{option}\n", encoding="utf-8")
    trained = accuracy(capsys, "train", "german.txt", "-o", "run", "--augment", "0")
    assert accuracy(capsys, "eval", "--model", "run", "--details", "details.jsonl") == trained > 0.8
    first = orjson.loads(Path("details.jsonl").read_bytes().splitlines()[0])
    assert first["out_of_vocabulary"] == 0
    assert len(first["reference"]) >= 7
    published = accuracy(capsys, "eval", "--model", "run", "--tokens", "published")
    if "tokenizer" in option:
        assert published == trained
    elif "normalize" in option:  # both sides are lowered
        assert published > 0.7
    else:
        assert published < 0.7


@pytest.mark.parametrize(
    ("arguments", "toml", "words"),
    [
        (["--max-df", "1"], "", 4),
        (["--min-df", "1.0"], "", 1),
        ([], "max_df = 1", 4),
        ([], "min_df = 1.0", 1),
        (["--min-df", "2"], "min_df = 1.0", 2),
    ],
)
def test_frequency_bounds_mean_the_same_on_the_command_line_and_in_flip_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], toml: str, words: int,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("flip.toml").write_text(f"[vocab]\n{toml}\n", encoding="utf-8")
    Path("df.txt").write_text("the cat sat\nthe dog sat\nthe bird flew\n", encoding="utf-8")
    assert main(["vocab", "df.txt", *arguments]) == 0
    assert orjson.loads(capsys.readouterr().out)["words"] == words


@pytest.mark.parametrize(("value", "code"), [("2.0", 2), ("-1", 2), ("many", 2)])
def test_a_bound_that_is_none_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("df.txt").write_text("the cat sat\n", encoding="utf-8")
    assert main(["vocab", "df.txt", f"--max-df={value}"]) == code
    assert "--max-df" in capsys.readouterr().err


def test_from_the_environment_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("df.txt").write_text("the cat sat\nthe dog sat\n", encoding="utf-8")
    monkeypatch.setenv("FLIP_VOCAB__MIN_DF", "1.0")
    assert main(["vocab", "df.txt"]) == 0
    assert orjson.loads(capsys.readouterr().out)["words"] == 2


def test_text_without_spaces_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zh.txt").write_text("我今天很高兴。\n他昨天去了北京。\n", encoding="utf-8")
    assert main(["vocab", "zh.txt", "--tokenizer", "latin"]) == 0
    assert capsys.readouterr().err.count("--tokenizer chinese") == 1
    for tokenizer in ([], ["--tokenizer", "unicode"]):
        assert main(["vocab", "zh.txt", "-o", f"{len(tokenizer)}.json", *tokenizer]) == 0
        assert capsys.readouterr().err == ""
    assert main(["explain", "--text", "我今天很高兴。", "--text"]) == 0
    assert "CJK" in capsys.readouterr().err
