"""Settings: flip.toml and FLIP_* variables are the defaults of options, checked by the parser of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from flip.cli.app import group, main
from flip.cli.config import Config, commands_of, settings_of
from flip.errors import InputError
from flip.training.recipes import PAPER, TrainConfig
from tests.conftest import Flip
from tests.settings import params

Fails = Callable[..., str]
COMMANDS = dict(commands_of(group))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FLIP_MODEL", "FLIP_EXPLAIN__MODEL"),
        ("FLIP_TOPN", "FLIP_EXPLAIN__TOPN"),
        ("FLIP_EXPLAIN_MODEL", "FLIP_EXPLAIN__MODEL"),
        ("FLIP_DEVCE", "FLIP_DEVICE"),
        ("FLIP_EXPLANE__TOPN", "FLIP_EXPLAIN__TOPN"),
        ("FLIP_OFLINE", "FLIP_OFFLINE"),
        ("FLIP_LANGUAGE", "FLIP_EXPLAIN__LANGUAGE"),
        ("FLIP_ASR", "FLIP_ENCODER_OPTIONS__ASR"),
        ("FLIP_STORE_WORDS__TOPN", "FLIP_STORE__WORDS__TOPN"),
    ],
)
def test_a_misspelt_variable_is_noted(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "run")
    assert (
        f"note: {variable} in the environment is not a setting: did you mean {meant}?" in flip("explain", "A cat.").err
    )


@pytest.mark.parametrize(
    "variable", ["FLIP_A_COIN", "FLIP", "FLIP_", "FLIP_EXPLAIN__TOPN", "FLIP_DEVICE", "flip_device"]
)
def test_settings_and_variables_of_other_programs_are_not_noted(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "cpu" if "evice" in variable.lower() else "3")
    done = flip("explain", "A cat.")
    assert (done.code, done.err) == (0, "")


def test_defaults_of_help_are_those_of_the_recipes(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    main(["train", "--help-all"])
    text = " ".join(capsys.readouterr().out.split())

    def default(option: str) -> str:
        return re.search(rf"{option} .*?\[default: (.*?)(; x>=\d+|; 0<=x<=1)?\]", text)[1]  # type: ignore[index]

    assert default("--lr") == f"{TrainConfig().lr:g}; paper {PAPER.lr:g}"
    assert default("--check-every") == f"{TrainConfig().check_every}; paper {PAPER.check_every}"
    assert default("--patience") == str(TrainConfig().patience)
    assert default("--alpha") == str(TrainConfig().alpha)
    assert default("--shuffle / --no-shuffle") == "shuffle; paper no-shuffle"


def test_help_shows_the_values_in_force(
    capsys: pytest.CaptureFixture[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "flip.toml").write_text('[train]\nrank = 64\nrecipe = "paper"\nshuffle = false\n')
    monkeypatch.setenv("FLIP_TRAIN__EPOCHS", "7")
    main(["train", "--help-all"])
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"--rank N\|full [^\[]*\[default: 64\]", text)
    assert re.search(r"--recipe <flip\|paper> [^\[]*\[default: paper\]", text)
    assert re.search(r"--epochs <int range> [^\[]*\[default: 7; x>=1\]", text)
    assert re.search(r"--no-shuffle [^\[]*\[default: no-shuffle\]", text)


@pytest.mark.parametrize(
    ("command", "name", "variable"),
    [
        (("vocab",), "output", "FLIP_VOCAB__OUTPUT"),
        (("embed",), "clips", "FLIP_EMBED__CLIPS"),
        (("train",), "vocab", "FLIP_TRAIN__VOCAB"),
        (("eval",), "data", "FLIP_EVAL__DATA"),
        (("explain",), "model", "FLIP_EXPLAIN__MODEL"),
        (("compare",), "runs", "FLIP_COMPARE__RUNS"),
        (("pull",), "revision", "FLIP_PULL__REVISION"),
        (("store", "groups"), "labels", "FLIP_STORE__GROUPS__LABELS"),
    ],
)
def test_flag_environment_file_and_default_in_this_order(
    command: tuple[str, ...], name: str, variable: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {"pull": ("a/b",), "groups": ("s.npy",)}.get(command[-1], ())

    def value(*args: str) -> str:
        return str(params(*command, args=(*needed, *args))[name])

    default = value()
    (here / "flip.toml").write_text(f'[{".".join(command)}]\n{name} = "from_file"\n')
    assert (default != "from_file", value()) == (True, "from_file")
    monkeypatch.setenv(variable, "from_environment")
    assert value() == "from_environment"
    assert value(f"--{name}", "from_flag") == "from_flag"


def test_shared_settings_are_those_of_all_commands_that_have_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "flip.toml").write_text(
        'device = "cpu"\nseed = 3\n[train]\nseed = 4\n[encoder_options]\nlanguage = "deu"\n'
    )
    monkeypatch.setenv("FLIP_OFFLINE", "true")
    monkeypatch.setenv("FLIP_ENCODER", "labse")
    train = params("train")
    assert (train["device"], train["seed"], train["offline"], train["encoder"]) == ("cpu", 4, True, "labse")
    assert params("embed")["seed"] == 3
    explain = params("explain")
    assert (explain["encoder"], explain["language"], explain["offline"]) == (None, "deu", True)


def test_the_precision_of_encoders_is_not_that_of_training(here: Path) -> None:
    (here / "flip.toml").write_text('[encoder_options]\nprecision = "float16"\n[train]\nprecision = "float32"\n')
    assert (params("embed")["precision"], params("train")["precision"]) == ("float16", "float32")


def test_lists_and_pairs_come_from_the_environment_as_json(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_EMBED__INPUTS", '["a.txt", "b.txt"]')
    monkeypatch.setenv("FLIP_VOCAB__NGRAM", "[1, 2]")
    assert (params("embed")["inputs"], params("vocab")["ngram"]) == (["a.txt", "b.txt"], (1, 2))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[train]\nepoch = 3\n", "did you mean 'epochs'?"),
        ("divice = 3\n", "did you mean 'device'?"),
        ("[store.word]\ntopn = 3\n", "there are: "),
        ("[store.words]\nby = 'x'\n", "there are: "),
        ("[explain]\nfind = 'x'\n", "there are: "),
    ],
)
def test_an_unknown_key_is_an_error_of_every_command(text: str, hint: str, fails: Fails, here: Path) -> None:
    (here / "flip.toml").write_text(text)
    for command in (("explain", "A dog."), ("train", "a.txt", "-o", "run")):
        error = fails(3, *command)
        assert "there is no such setting" in error and hint in error


def test_help_works_beside_a_broken_file(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / "flip.toml").write_text("[train\n")
    assert main(["train", "--help"]) == 0
    assert main(["explain", "A dog."]) == 3


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999999999999])
def test_a_seed_that_not_everything_random_takes_is_refused(seed: int, flip: Flip, fails: Fails, here: Path) -> None:
    (here / "a.txt").write_text("A dog.\n" * 20)
    for command in (("train", "a.txt", "-o", "run"), ("embed", "a.txt", "--dataset", "d")):
        done = flip(*command, "--seed", seed)
        assert (done.code, "Invalid value for '--seed'" in done.err) == (2, True)
    (here / "flip.toml").write_text(f"seed = {min(seed, 2**63 - 1)}\n")
    assert "setting seed: Input should be" in fails(3, "train", "a.txt", "-o", "run")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("explain", "topn = true"), ("explain", "bias_weight = true"), ("explain", "min_probability = false"),
        ("train", "rank = true"), ("vocab", "min_df = true"), ("vocab", "ngram = [true, 2]"),
        ("vocab", "max_df = 7.5"), ("train", "lr = 0"), ("train", "warm_up = 1"), ("train", "alpha = nan"),
        ("explain", "bias_weight = inf"), ("explain", "min_probability = 2"),
        ("explain", "min_probability = [0.5]"), ("explain", "against = ['A cat.']"), ("train", "rank = [8]"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_of_its_source(command: str, line: str, fails: Fails, here: Path) -> None:
    (here / "flip.toml").write_text(f"[{command}]\n{line}\n")
    needed = {"explain": ("A dog.",), "train": ("a.txt", "-o", "run"), "vocab": ("a.txt",)}[command]
    assert f"error: flip.toml, setting {command}.{line.split()[0]}: " in fails(3, command, *needed)


@pytest.mark.parametrize("value", ["[[1]]", "[{ a = 1 }]"])
def test_a_list_in_a_list_is_refused_by_every_setting(value: str, here: Path) -> None:
    for setting, targets in settings_of(group):
        if targets:
            *table, name = setting
            text = f"[{'.'.join(table)}]\n" if table else ""
            (here / "flip.toml").write_text(f"{text}{name} = {value}\n")
            with pytest.raises(InputError, match=rf"^flip.toml, setting {'.'.join(setting)}: a list, not "):
                Config.load(group).defaults(group)


def test_a_wrong_encoder_option_is_an_error_of_its_source(fails: Fails, here: Path) -> None:
    (here / "flip.toml").write_text("[encoder_options]\nconcurrency = true\n")
    assert "setting encoder_options.concurrency: " in fails(3, "embed", "a.txt", "-o", "a.npy")


def test_true_is_a_switch(here: Path) -> None:
    (here / "flip.toml").write_text("offline = true\n[train]\nshuffle = false\nresume = true\n")
    train = params("train")
    assert (train["offline"], train["shuffle"], train["resume"]) == (True, False, True)


@pytest.mark.parametrize(
    ("command", "name", "value", "hint"),
    [
        ("vocab", "tokenizer", "klingon", "'latin', 'unicode', 'whitespace'"),
        ("explain", "topn", "many", "`flip explain --help`"),
        ("embed", "concurrency", "many", "`flip embed --help`"),
    ],
)
def test_a_wrong_setting_names_its_place_and_its_values(
    command: str, name: str, value: str, hint: str, fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = "encoder_options" if name == "concurrency" else command
    variable = f"FLIP_{section}__{name}".upper()
    monkeypatch.setenv(variable, value)
    error = fails(3, command, "A dog.")
    assert f"error: {variable} in the environment: " in error and hint in error
    monkeypatch.delenv(variable)
    (here / "flip.toml").write_text(f'[{section}]\n{name} = "{value}"\n')
    error = fails(3, command, "A dog.")
    assert f"error: flip.toml, setting {section}.{name}: " in error and hint in error


def test_a_source_that_cannot_be_read_is_named(fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_VOCAB__NGRAM", "[1,")
    assert "error: FLIP_VOCAB__NGRAM in the environment: " in fails(3, "explain", "A dog.")
    monkeypatch.delenv("FLIP_VOCAB__NGRAM")
    (here / "flip.toml").write_text("[vocab")
    assert "error: flip.toml: " in fails(3, "explain", "A dog.")


def test_an_encoder_that_explain_does_not_use_is_noted(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_option_that_the_encoder_lacks_is_an_error_of_the_call_alone(
    flip: Flip, fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIP_ENCODER_OPTIONS__BASE_URL", "http://127.0.0.1:9/v1")
    assert flip("explain", "A dog.").code == 0
    assert "--base-url is not an option of encoder 'minilm'" in fails(
        2, "explain", "A dog.", "--base-url", "http://127.0.0.1:9/v1"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("base_url", "http://127.0.0.1:9/v1"),
        ("prompt", "query: "),
        ("dimensions", "64"),
        ("task_type", "SEMANTIC_SIMILARITY"),
        ("concurrency", "2"),
        ("weights", "/nowhere"),
        ("sonar_backend", "torch"),
        ("precision", "bfloat16"),
    ],
)
def test_an_exported_option_that_the_encoder_lacks_changes_nothing(
    option: str, value: str, flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("s.txt").write_text("A dog.\nA cat.\n")
    plain = flip("explain", "A dog.").out
    monkeypatch.setenv(f"FLIP_ENCODER_OPTIONS__{option.upper()}", value)
    assert flip("explain", "A dog.").out == plain
    done = flip("embed", "s.txt")
    assert (done.code, done.records[0]["rows"]) == (0, 2), done.err


@pytest.mark.slow
def test_the_address_of_an_endpoint_is_an_option_of_each_command_that_embeds(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    from api_server import KEY, Server

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server(dimension=16)
    at = ("--base-url", server.url)
    Path("s.txt").write_text("\n".join(f"The number {i} is here, beside {i % 7}." for i in range(120)))
    train = ("train", "s.txt", "-o", "run", "--encoder", "openai:tiny", "--epochs", 1, "--rank", 4)
    commands = [
        train,
        ("explain", "--model", "run", "--encoder", "openai:tiny", "The number 5."),
        ("compare", "s.txt", "--encoder", "openai:tiny", "--encoder", "minilm"),
        ("embed", "s.txt", "--encoder", "openai:tiny"),
    ]
    for command in commands:
        before = server.requests
        done = flip(*command, *at)
        assert done.code == 0, done.err
        assert server.requests > before, command
    monkeypatch.setenv("FLIP_ENCODER", "openai:tiny")
    before = server.requests
    done = flip("compare", "--model", "run", "--splice", "--data", "run/data/datasets.yaml", *at)
    assert done.code == 0, done.err
    assert server.requests > before
    monkeypatch.delenv("FLIP_ENCODER")
    before = server.requests
    assert flip("eval", "--model", "run").code == 0  # it measures vectors that are there
    assert server.requests == before
    server.http.shutdown()
    server.http.server_close()


@pytest.mark.parametrize(
    ("command", "now"),
    [
        (("explain", "s.parquet", "--find", "train"), "flip store search STORE"),
        (("explain", "s.parquet", "--group-by=topic"), "flip store groups STORE --by COLUMN"),
        (("explain", "s.parquet", "-o", "w.parquet"), "flip store words STORE -o OUT"),
        (("explain", "s.parquet", "--sparse", "w.parquet"), "flip store sparse STORE -o OUT"),
        (("explain", "a.npy", "--against", "b.npy", "--summary"), "flip store drift OLD NEW"),
        (("explain", "A dog.", "--bias"), "--bias-weight 1"),
        (("eval", "a.txt", "--encoder", "minilm"), "flip compare SENTENCES --encoder A --encoder B"),
        (("eval", "--model", "run", "--compare", "other"), "flip compare --model RUN --model OTHER"),
        (("eval", "s.parquet", "--audit", "t.txt"), "flip store audit STORE TERMS"),
    ],
)
def test_an_earlier_spelling_is_told_its_new_one(command: tuple[str, ...], now: str, fails: Fails, here: Path) -> None:
    assert f"hint:  now: {now}" in fails(2, *command)


def test_an_earlier_spelling_is_a_sentence_behind_two_dashes(flip: Flip, here: Path) -> None:
    assert flip("explain", "--", "--find").code == 0


def test_commands_have_few_options() -> None:
    """One job each: an option that does not exist needs no rule. Four of explain's are for pairs."""
    counts = {
        name: sum(param.param_type_name == "option" for param in COMMANDS[name,].params) for name in ("explain", "eval")
    }
    assert counts["explain"] <= 22 and counts["eval"] <= 23, counts


def test_unused_settings_import_nothing(here: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from flip.cli.app import main; assert main(['explain', 'A dog.']) == 0\n"
    code += "assert not {'pydantic_settings', 'flip.cli.sources'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_config_without_sources_is_empty(here: Path) -> None:
    assert not Config.load(group)
    (here / "flip.toml").write_text("seed = 1\n")
    assert Config.load(group).value(("seed",)) == "1"
    with pytest.raises(InputError):
        Config.load(group).__class__({}, {("no", "such"): "1"}).defaults(group)
