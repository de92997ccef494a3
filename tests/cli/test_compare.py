"""`flip compare SENTENCES --encoder A --encoder B`: one experiment for each, kept and found again; and its gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from api_server import KEY, Server

from flip import load_checkpoint
from tests.conftest import Flip

Fails = Callable[..., str]

ENCODERS = """
import numpy as np
from pathlib import Path
from flip import load_encoder

def rotated():
    minilm, R = load_encoder("minilm"), np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0]
    return lambda sentences: minilm.encode(sentences) @ R

def letters(sentences):
    with Path("asked.txt").open("a") as file:
        file.writelines("letters\\n" for _ in sentences)
    if Path("stop").exists() and len(Path("asked.txt").read_text().split()) > 100:
        raise KeyboardInterrupt
    seed = int(Path("weights.txt").read_text()) if Path("weights.txt").exists() else 0
    of_letter = np.random.default_rng(seed).normal(size=(128, 16))
    return np.array([np.mean([of_letter[ord(c) % 128] for c in text], axis=0) for text in sentences])

def turned(sentences):
    return letters(sentences) @ np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
"""
PLACES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Perth", "Quito", "Tunis", "Accra")
ASKED = ("compare", "sents.txt", "--encoder", "own.py:letters", "--encoder", "own.py:turned")


@pytest.fixture
def corpus(here: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 240 sentences, some with names, and encoders of one's own; training is short."""
    monkeypatch.setenv("FLIP_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("FLIP_TRAIN__RANK", "64")
    named = [f"{first} of the children saw Ada in {place}." for first in ("One", "Two") for place in PLACES]
    (here / "sents.txt").write_text("\n".join([*sentences[:220], *named]) + "\n\n")
    (here / "own.py").write_text(ENCODERS)
    return here


def asked(folder: Path) -> int:
    """How many sentences the encoders of own.py have been given so far."""
    path = folder / "asked.txt"
    return len(path.read_text().split()) if path.exists() else 0


def test_a_record_for_each_and_one_of_the_differences_and_the_second_time_nothing_is_made(
    flip: Flip, corpus: Path
) -> None:
    done = flip(*ASKED, "--split", "rest,30,60", "--augment", 1, "--results", "results")
    assert done.code == 0, done.err
    first, second, compared = done.records
    assert "note: 1 blank lines dropped" in done.err
    assert [(one["model"], one["encoder"], one["dataset"], one["n"]) for one in (first, second)] == [
        ("own.py:letters", "own.py:letters", "sents", 60),
        ("own.py:turned", "own.py:turned", "sents", 60),
    ]
    assert first["vocabulary"] == second["vocabulary"] and first["words"] == second["words"]
    one, other = (load_checkpoint(record["run"]) for record in (first, second))
    assert one.vocabulary == other.vocabulary
    same = ("training", "objective", "recipe", "rank", "tokenizer")
    assert [getattr(one.config, key) for key in same] == [getattr(other.config, key) for key in same]
    assert one.config.data["augmented"] == other.config.data["augmented"] > 150
    sentences = [Path(record["run"], "data", "test.sentences.txt").read_text() for record in (first, second)]
    assert sentences[0] == sentences[1]
    figures = {"accuracy", "all_words", "content_recall", "names", "calibration_error"}
    assert set(first["intervals"]) == figures and {"content_recall", "calibration_error"} <= set(first["metrics"])
    interval = first["intervals"]["accuracy"]
    assert interval["low"] < interval["value"] == first["metrics"]["accuracy"]["bias"]["mean"] < interval["high"]
    assert compared["model"] == "own.py:letters" and compared["resamples"] == 2000
    (difference,) = compared["differences"]
    assert difference["model"] == "own.py:turned"
    gap = difference["figures"]["accuracy"]
    assert gap["low"] <= gap["value"] <= gap["high"] and abs(gap["value"]) < 0.05  # by chance, on 60 sentences
    assert set(difference["figures"]) == figures
    assert difference["found_more_often"] == {"words": [], "in_all": 0} == difference["found_less_often"]

    kept = {path: orjson.loads(path.read_bytes()) for path in Path("results").glob("*/*/*.json")}
    assert [path.parts[2:] for path in kept] == [("unknown", "sents.json")] * 2
    (one,) = [value for value in kept.values() if value["encoder"] == "own.py:letters"]
    assert one["metrics"] == first["metrics"] and one["intervals"] == first["intervals"]
    assert one["seconds"]["embedding"] > 0 < one["seconds"]["training"]
    assert one["threads"] >= 1 and one["peak_memory"] > 1e7 and one["version"]

    before = asked(corpus)
    again = flip(*ASKED, "--split", "rest,30,60", "--augment", 1, "--results", "results")
    assert again.records == done.records
    # A word for the dimension; a batch, and one of it alone, tell that the encoder is the same.
    assert asked(corpus) == before + 2 * 62
    assert "own.py:letters: kept in runs/own.py-letters-" in again.err and "trained" not in again.err
    for path, value in kept.items():
        assert orjson.loads(path.read_bytes()) == value


@pytest.mark.slow
def test_a_third_encoder_costs_only_itself_and_other_options_are_another_run(flip: Flip, corpus: Path) -> None:
    base = ("compare", "sents.txt", "--augment", 0, "--encoder", "minilm")
    assert flip(*base).code == 0
    added = flip(*base, "--encoder", "own.py:letters")
    assert "minilm: kept in" in added.err and "own.py:letters: trained" in added.err
    minilm, letters, compared = added.records
    assert letters["dimension"] == 16 and minilm["dimension"] == 384
    assert compared["differences"][0]["model"] == "own.py:letters"
    asked_before = asked(corpus)
    other = flip(*base, "--encoder", "own.py:letters", "--seed", 1)
    assert "kept" not in other.err.replace("kept in", "", 2)  # another split: both are made
    assert other.records[0]["run"] != minilm["run"]
    assert asked(corpus) >= asked_before + 240
    # Other words of the same split: trained again, on the vectors that are there.
    asked_before = asked(corpus)
    Path("flip.toml").write_text("[vocab]\nmin_df = 2\n")
    fewer = flip(*base, "--encoder", "own.py:letters")
    assert fewer.code == 0, fewer.err
    assert "minilm: trained" in fewer.err and fewer.records[0]["words"] < minilm["words"]
    assert asked(corpus) < asked_before + 60  # a few of each part, which tell that the encoder is the same
    with Path("sents.txt").open("a") as file:
        file.write("Another sentence about a harbour.\n")
    longer = flip(*base)
    assert "minilm: trained" in longer.err and longer.records[0]["run"] not in (fewer.records[0]["run"], minilm["run"])


@pytest.mark.slow
def test_other_weights_of_an_encoder_that_does_not_say_so_are_noticed(flip: Flip, corpus: Path) -> None:
    command = ("compare", "sents.txt", "--augment", 0, "--encoder", "own.py:letters")
    before = flip(*command).records[0]
    Path("weights.txt").write_text("7")
    changed = flip(*command)
    assert "note: own.py:letters gives other vectors than those kept in runs/own.py-letters-" in changed.err
    assert changed.records[0]["metrics"] != before["metrics"]
    Path("weights.txt").unlink()
    assert flip(*command).records[0]["metrics"] == before["metrics"]


def test_interrupted_embedding_goes_on(flip: Flip, corpus: Path) -> None:
    command = ("compare", "sents.txt", "--augment", 0, "--encoder", "own.py:letters")
    Path("flip.toml").write_text("[embed]\nbatch_size = 32\n")
    Path("stop").touch()
    stopped = flip(*command)
    assert stopped.code == 130
    assert "hint:  what is done of own.py:letters is kept in runs/own.py-letters-" in stopped.err
    Path("stop").unlink()
    before = asked(corpus)
    done = flip(*command)
    assert done.code == 0, done.err
    assert asked(corpus) - before < 240
    (result,) = done.records  # of one encoder there is no difference
    assert result["n"] == 12


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pytest.importorskip("openai", reason="openai is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server()
    monkeypatch.setenv("FLIP_ENCODER_OPTIONS__BASE_URL", server.url)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.mark.slow
def test_what_an_api_costs_is_said_before_and_nobody_has_what_it_goes_without(
    flip: Flip, corpus: Path, server: Server
) -> None:
    command = ("compare", "sents.txt", "--encoder", "own.py:letters", "--encoder", "openai:tiny")
    done = flip(*command)
    assert done.code == 0, done.err
    assert "note: openai:tiny is asked for 240 texts in 1 requests, about " in done.err
    assert done.err.index("is asked for") < done.err.index("own.py:letters: trained")
    assert "no encoder learns from crops" in done.err
    assert all("augmented" not in load_checkpoint(one["run"]).config.data for one in done.records[:2])
    assert sorted(server.embedded).count("dimension") == 1 and len(server.embedded) == 241
    requests = server.requests
    assert "is asked for" not in flip(*command).err
    assert server.requests == requests
    more = flip(*command, "--augment", 1)
    assert "no encoder learns" not in more.err
    assert all(load_checkpoint(one["run"]).config.data["augmented"] for one in more.records[:2])


@pytest.mark.slow
def test_a_script_without_spaces_is_cut_by_its_own_tokenizer(flip: Flip, here: Path, monkeypatch) -> None:
    monkeypatch.setenv("FLIP_TRAIN__EPOCHS", "1")
    words = ["我们", "喜欢", "火车", "今天", "天气", "很好", "明天", "下雨", "老师", "学生"]
    lines = [f"{words[i % 10]}{words[i // 10 % 10]}{words[i // 100]}。" for i in range(300)]
    (here / "zh.txt").write_text("\n".join(lines), encoding="utf-8")
    done = flip("compare", "zh.txt", "--encoder", "minilm", "--augment", 0)
    assert done.code == 0, done.err
    found = load_checkpoint(done.records[0]["run"]).vocabulary
    assert found.tokenizer.name == "chinese"
    assert {"火车", "老师"} <= set(found.words)
    assert "entity_recall_strict" not in done.records[0]["metrics"]  # the rule for names is for English


def test_the_gate(flip: Flip, fails: Fails, corpus: Path) -> None:
    command = ("compare", "sents.txt", "--augment", 0, "--encoder", "own.py:letters")
    done = flip(*command)
    Path("base.jsonl").write_text(done.out)
    gate = (*command, "--baseline", "base.jsonl", "--fail-below")
    assert flip(*gate, 0).code == 0
    record = done.records[0]
    record["metrics"]["accuracy"]["bias"]["mean"] += 0.05
    record["metrics"]["content_recall"]["mean"] += 0.01
    Path("base.jsonl").write_bytes(orjson.dumps(record) + b"\n" + orjson.dumps(record | {"model": "other"}))
    fallen = flip(*gate, 0.02)
    assert fallen.code == 5
    assert fallen.records == done.records  # what was measured is printed all the same
    errors = [line for line in fallen.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "own.py:letters on sents / own.py:letters: accuracy with b fell from 0." in errors[0]
    assert "note: other on sents / own.py:letters is in the baseline, and is not measured here" in fallen.err
    assert flip(*gate, 0.06).code == 0
    assert len([line for line in flip(*gate, 0).err.splitlines() if line.startswith("error:")]) == 2
    Path("base.jsonl").write_bytes(orjson.dumps(record | {"dataset": "other"}))
    assert "the baseline has no record of own.py:letters on sents" in fails(3, *gate, 0.02)
    assert "no.json: no such file" in fails(3, *command, "--baseline", "no.json", "--fail-below", 0.02)
    assert "belong together" in fails(2, *command, "--baseline", "base.jsonl")
    assert "belong together" in fails(2, *command, "--fail-below", 0.02)


def test_what_makes_no_sense_is_said_before_anything_is_made(fails: Fails, corpus: Path) -> None:
    command = ("compare", "sents.txt")
    assert "SENTENCES need --encoder" in fails(2, *command)
    assert "unknown encoder 'minilmm'" in fails(2, *command, "--encoder", "minilm", "--encoder", "minilmm")
    assert "encoder minilm is named twice" in fails(2, *command, "--encoder", "minilm", "--encoder", "minilm")
    assert "no.py:f': no such file" in fails(4, *command, "--encoder", "no.py:f")
    assert "no.txt" in fails(3, "compare", "no.txt", "--encoder", "minilm")
    assert "unknown metric 'bleu'" in fails(2, *command, "--encoder", "minilm", "--metrics", "bleu")
    assert "names.jsonl: no such file" in fails(3, *command, "--encoder", "minilm", "--entities", "names.jsonl")
    for option in (("--model", "run"), ("--data", "d.yaml"), ("--dataset", "dev"), ("--splice",)):
        assert f"{option[0]} " in fails(2, *command, "--encoder", "minilm", *option)
    for option in (("--augment", 1), ("--split", "rest,1,1"), ("--runs", "elsewhere")):
        assert f"{option[0]} requires --encoder" in fails(2, "compare", "--model", "run", "--data", "d.yaml", *option)
    assert "nothing to compare" in fails(2, "compare", "--model", "run")
    assert not (corpus / "runs").exists()


def test_what_an_encoder_prints_is_no_result(flip: Flip, corpus: Path) -> None:
    (corpus / "talks.py").write_text(
        "print('loaded')\ndef talks(sentences):\n    print('embedding')\n    return [[len(s), 1] for s in sentences]"
    )
    done = flip("embed", "sents.txt", "--encoder", "talks.py:talks", "-o", "u.npy")
    assert done.code == 0, done.err
    assert [record["dimension"] for record in done.records] == [2]  # JSON alone
    assert {"loaded", "embedding"} <= {*done.err.splitlines()}
    print("to the caller's own again")
    assert flip("embed", "--list-encoders").records


@pytest.mark.parametrize("option", ["--report", "--details", "--plot"])
def test_no_output_is_written_over_an_input_and_its_ending_is_known_before_anything_is_made(
    fails: Fails, corpus: Path, option: str
) -> None:
    (corpus / "names.jsonl").write_text('{"text": "a", "entity_names": []}\n')
    (corpus / "base.svg").write_text("{}")
    command = ("compare", "sents.txt", "--encoder", "own.py:letters", "--entities", "names.jsonl")
    before = {path.name: path.read_bytes() for path in corpus.iterdir()}
    for name in ("./sents.txt", "names.jsonl", "own.py"):
        assert "is an input, and" in fails(2, *command, option, name)
    gate = ("--baseline", "base.svg", "--fail-below", 0.1)
    assert "base.svg is an input" in fails(2, *command, *gate, option, "base.svg")
    assert "unknown ending" in fails(2, *command, "--plot", "p.gif")
    others = {"--report", "--details", "--plot"} - {option}
    for other in others:
        assert "are both new.svg" in fails(2, *command, option, "new.svg", other, "./new.svg")
    assert {path.name: path.read_bytes() for path in corpus.iterdir()} == before


def test_a_flip_toml_that_was_brought_runs_no_code(flip: Flip, fails: Fails, corpus: Path) -> None:
    Path("flip.toml").write_text('[compare]\nencoder = ["own.py:letters"]\n')
    err = fails(2, "compare", "sents.txt", "--augment", 0)
    assert "flip.toml in this folder names the encoder 'own.py:letters', which runs code" in err
    assert not asked(corpus)
    assert flip("compare", "sents.txt", "--augment", 0, "--trust").code == 0


def test_sentences_come_through_a_pipe_too(flip: Flip, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("--augment", 0, "--encoder", "own.py:letters", "--encoder", "own.py:turned")
    with Path("sents.txt").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        done = flip("compare", "-", *command, "--runs", "kept")
    assert done.code == 0, done.err
    one, other, compared = done.records
    assert one["dataset"] == "stdin" and one["embedding"] != other["embedding"]
    assert one["run"].startswith("kept/") and one["run"] != other["run"]
    assert compared["n"] == one["n"]


@pytest.mark.slow
def test_a_rotation_of_the_vectors_changes_nearly_nothing(flip: Flip, here: Path, sentences: list[str]) -> None:
    (here / "own.py").write_text(ENCODERS)
    (here / "sents.txt").write_text("\n".join(sentences[:1200]))
    done = flip("compare", "sents.txt", "--encoder", "minilm", "--encoder", "own.py:rotated", "--split", "rest,100,400")
    assert done.code == 0, done.err
    one, other, compared = done.records
    accuracies = [record["metrics"]["accuracy"]["bias"]["mean"] for record in (one, other)]
    assert accuracies[0] > 0.5 and abs(accuracies[0] - accuracies[1]) < 0.015
    words = compared["differences"][0]
    assert words["found_more_often"]["in_all"] + words["found_less_often"]["in_all"] <= 2
