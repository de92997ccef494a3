"""`flip train`, `flip compare` and `flip.fit` without a corpus: strings are generated for any encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from api_server import KEY, Server

import flip as library
from flip import load_checkpoint
from tests.conftest import Flip

Fails = Callable[..., str]
pytestmark = pytest.mark.slow

ENCODER = '''
import zlib
import numpy as np

def of_words(sentences):
    """Sums of a random vector for each word, with some noise: every word can be read from them."""
    found = np.zeros((len(sentences), 256), np.float32)
    for row, sentence in zip(found, sentences):
        for word in sentence.lower().replace(",", "").strip(".").split():
            row += np.random.default_rng(zlib.crc32(word.encode())).normal(size=256)
    return found / np.linalg.norm(found + 1e-6, axis=1, keepdims=True)

def other(sentences):
    return of_words(sentences)[:, :96]
'''
SMALL = ("--augment", 0, "--epochs", 4)
ITS_OWN = ("--encoder", "own.py:of_words")


@pytest.fixture
def own(here: Path) -> Path:
    (here / "own.py").write_text(ENCODER)
    return here


def test_an_encoder_is_enough(flip: Flip, own: Path) -> None:
    done = flip("train", "--encoder", "own.py:of_words", "--strings", 2000, *SMALL, "-o", "run")
    assert done.code == 0, done.err
    assert "2,200 texts to embed with own.py:of_words: about " in " ".join(done.err.split())
    checkpoint = load_checkpoint("run")
    assert checkpoint.encoder == "own.py:of_words"
    about = checkpoint.config.data
    assert (about["strings"], about["language"], about["train_sentences"]) == (2000, "eng", 2000)
    assert checkpoint.config.calibration is not None
    sentence = "The children play in the garden behind the school."
    (found,) = flip("explain", "-m", "run", *ITS_OWN, sentence, "--topn", 4).records
    assert {"children", "play", "garden", "school"} & {word["word"] for word in found["keywords"]}
    kept = (own / "run" / "data" / "train.sentences.txt").read_text(encoding="utf-8").splitlines()
    again = flip("train", "--encoder", "own.py:of_words", "--strings", 2000, *SMALL, "-o", "again")
    assert (own / "again" / "data" / "train.sentences.txt").read_text(encoding="utf-8").splitlines() == kept
    assert again.records[0]["accuracy"] == done.records[0]["accuracy"]
    flip("train", "--encoder", "own.py:of_words", "--strings", 2000, *SMALL, "-o", "other", "--seed", 1)
    assert (own / "other" / "data" / "train.sentences.txt").read_text(encoding="utf-8").splitlines() != kept


def test_real_sentences_for_dev(flip: Flip, own: Path, sentences: list[str]) -> None:
    (own / "real.txt").write_text("\n".join(["", *sentences[:300]]) + "\n")
    done = flip("train", "--encoder", "own.py:of_words", "--strings", 3000, *SMALL, "-o", "run", "--dev", "real.txt")
    assert done.code == 0, done.err
    data = own / "run" / "data"
    dev, test = ((data / f"{part}.sentences.txt").read_text(encoding="utf-8").splitlines() for part in ("dev", "test"))
    assert (dev, test) == (sentences[:300:2], sentences[1:300:2])
    assert done.records[0]["sentences"] == 150


def test_another_language(flip: Flip, own: Path, fails: Fails) -> None:
    pytest.importorskip("wordfreq", reason="needs the extra words")
    common = ("train", "--encoder", "own.py:of_words", "--strings", 2000, *SMALL)
    done = flip(*common, "-o", "run", "--language", "deu")
    assert done.code == 0, done.err
    checkpoint = load_checkpoint("run")
    assert checkpoint.config.data["language"] == "deu"
    assert {"für", "kinder"} <= set(checkpoint.vocabulary.words)
    (found,) = flip("explain", "-m", "run", *ITS_OWN, "die kinder spielen im garten", "--topn", 4).records
    assert {"kinder", "spielen", "garten"} & {word["word"] for word in found["keywords"]}
    assert "wordfreq has no list of it" in fails(2, *common, "-o", "none", "--language", "swh")
    assert "unknown language" in fails(2, *common, "-o", "none", "--language", "qqqq")


def test_words_of_ones_own(flip: Flip, own: Path, fails: Fails) -> None:
    names = [f"{a}{b}" for a in ("zor", "bli", "mak", "tup") for b in ("ex", "ira", "osa", "um")]
    (own / "names.txt").write_text("".join(f"{name} {i + 1}\n" for i, name in enumerate(names)) + "flux capacitor\n")
    done = flip("train", "--encoder", "own.py:of_words", "--words", "names.txt", "--strings", 2000, *SMALL, "-o", "run")
    assert done.code == 0, done.err
    checkpoint = load_checkpoint("run")
    assert set(checkpoint.vocabulary.words) == {*names, "flux capacitor"}
    (found,) = flip("explain", "-m", "run", *ITS_OWN, "zorex flux capacitor tupum", "--topn", 3).records
    assert {word["word"] for word in found["keywords"]} == {"zorex", "flux capacitor", "tupum"}
    (own / "empty.txt").write_text("\n")
    assert "no word" in fails(3, "train", "--encoder", "own.py:of_words", "--words", "empty.txt", "-o", "none")


def test_strings_beside_a_small_corpus(flip: Flip, own: Path, sentences: list[str]) -> None:
    (own / "sents.txt").write_text("\n".join(sentences[:200]) + "\n")
    common = ("train", "sents.txt", "--encoder", "own.py:of_words", *SMALL)
    alone = flip(*common, "-o", "alone").records[0]
    mixed = flip(*common, "-o", "mixed", "--strings", 3000).records[0]
    assert mixed["sentences"] == alone["sentences"] == 10
    assert mixed["words"] > 2 * alone["words"]
    assert load_checkpoint("mixed").config.data["train_sentences"] == 3000 + 180
    assert "strings" not in load_checkpoint("alone").config.data


def test_settings_are_enough(flip: Flip, own: Path) -> None:
    Path("flip.toml").write_text('[train]\noutput = "run"\nstrings = 500\nepochs = 1\naugment = 0\n')
    (own / "words.txt").write_text("".join(f"word{i}\n" for i in range(20)))
    assert flip("train", "--words", "words.txt").code == 0
    assert load_checkpoint("run").config.data["strings"] == 500
    assert load_checkpoint("run").config.data["words"] == "words.txt"


def test_encoders_are_compared_without_sentences(flip: Flip, own: Path) -> None:
    encoders = ("--encoder", "own.py:of_words", "--encoder", "own.py:other")
    Path("flip.toml").write_text("[train]\nepochs = 4\nstrings = 3000\n")
    done = flip("compare", *encoders, "--augment", 0)
    assert done.code == 0, done.err
    first, second, compared = done.records
    assert first["dataset"] == second["dataset"] == "strings"
    assert first["sentences"] == second["sentences"]
    assert load_checkpoint(first["run"]).config.data["strings"] == 3000
    assert compared["differences"][0]["figures"]["accuracy"]["high"] < 0  # 96 numbers tell less than 256
    assert "kept in runs" in flip("compare", *encoders, "--augment", 0).err


def test_python_needs_a_function_alone(own: Path) -> None:
    space: dict[str, object] = {}
    exec(ENCODER, space)
    lens = library.fit(encoder=space["of_words"], strings=2000, epochs=6)
    words = {word.word for word in lens.explain("The children play in the garden.", topn=4).words}  # type: ignore[union-attr]
    assert words & {"children", "play", "garden"}
    with pytest.raises(library.UsageError, match="nothing to learn from"):
        library.fit()
    pytest.importorskip("wordfreq", reason="needs the extra words")
    german = library.fit(encoder=space["of_words"], language="deu", strings=3000, epochs=4)
    assert {"für", "kinder"} <= set(german.words)


def test_an_api_is_asked_for_fewer_and_its_price_is_told(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai", reason="openai is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server()
    try:
        options = ("--base-url", server.url, "--epochs", 1)
        done = flip("train", "--encoder", "openai:tiny", *options, "--strings", 300, "-o", "run")
    finally:
        server.http.shutdown()
        server.http.server_close()
    assert done.code == 0, done.err
    assert "500 texts to embed with openai:tiny: 2 requests, about " in " ".join(done.err.split())
    assert not (here / "run" / "data" / "augmented.npy").exists()
    assert load_checkpoint("run").config.data["strings"] == 300
    assert "5000 for an API" in flip("train", "--help").out.replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one source"),
        (("--strings", 10, "--data", "d.yaml"), "--data"),
        (("--encoder", "minilm", "--data", "d.yaml"), "give one source"),
        (("--encoder", "minilm", "--sim-threshold", 0.5), "requires --data"),
        (("a.txt", "--dev", "b.txt"), "--dev requires --data, or no CORPUS"),
        (("--encoder", "minilm", "--embeddings", "u.npy"), "give one source"),
    ],
)
def test_sources_that_do_not_go_together(fails: Fails, here: Path, options: tuple[object, ...], message: str) -> None:
    (here / "a.txt").write_text("A dog.\n")
    assert message in fails(2, "train", *options, "-o", "run")
