from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from flip.encoders.identity import EncoderIdentity
from flip.files import written_by_flip
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flip.model.linear import FactorizedLogLinear
from tests.conftest import Flip

Fails = Callable[..., str]


@pytest.fixture
def two_views(here: Path, quickstart: Path) -> Path:
    """A manifest whose test set has a second, noisier embedding; train and dev are the quickstart's."""
    rng = np.random.default_rng(0)
    u = np.load(quickstart / "test.npy")
    np.save(here / "noisy.npy", (u + 0.01 * rng.normal(size=u.shape)).astype(np.float32))
    (here / "datasets.yaml").write_text(
        "test:\n"
        f"  embeddings: [{{id: clean, file: {quickstart / 'test.npy'}}}, {{id: noisy, file: noisy.npy}}]\n"
        f"  texts: [{{id: en, file: {quickstart / 'test.sentences.txt'}}}]\n"
        + "".join(
            f"{part}:\n  embeddings: [{{id: clean, file: {quickstart / part}.npy}}]\n"
            f"  texts: [{{id: en, file: {quickstart / part}.sentences.txt}}]\n"
            for part in ("train", "dev")
        )
    )
    return here / "datasets.yaml"


@pytest.fixture
def smaller(here: Path, run_folder: Path) -> Path:
    """A multinomial checkpoint of the same words, of half the rank."""
    whole = load_checkpoint(run_folder)
    W = whole.model.scores(np.eye(whole.model.dimension, dtype=np.float32), 0.0).T
    u, s, v = np.linalg.svd(W, full_matrices=False)
    half = FactorizedLogLinear((u * s)[:, :192], v[:192], whole.model.b)
    config = replace(whole.config, objective="multinomial")
    save_checkpoint(here / "smaller", Checkpoint(half, whole.vocabulary, config))
    return here / "smaller"


@pytest.fixture
def narrow(here: Path, two_views: Path, run_folder: Path, quickstart: Path) -> Path:
    """A checkpoint of another encoder, of 40 dimensions and half of the words; both.yaml has its vectors too."""
    whole = load_checkpoint(run_folder)
    half = len(whole.vocabulary) // 2
    model = FactorizedLogLinear(whole.model.A[:half], whole.model.B[:, :40], whole.model.b[:half])
    vocabulary = replace(whole.vocabulary, words=whole.vocabulary.words[:half])
    config = replace(whole.config, encoder=EncoderIdentity("own.py:narrow", "3"), metrics={})
    save_checkpoint(here / "narrow", Checkpoint(model, vocabulary, config))
    np.save(here / "narrow.npy", np.load(quickstart / "test.npy")[:, :40])
    (here / "narrow.json").write_bytes(orjson.dumps({"encoder": "own.py:narrow", "revision": "3", "rows": 212}))
    (here / "both.yaml").write_text(
        "test:\n"
        f"  embeddings: [{{id: own, file: narrow.npy}}, {{id: minilm, file: {quickstart / 'test.npy'}}}]\n"
        f"  texts: [{{id: en, file: {quickstart / 'test.sentences.txt'}}}]\n"
    )
    return here / "narrow"


def names(path: Path, sentences: Path) -> Path:
    first = sentences.read_text(encoding="utf-8").splitlines()[0]
    rows = [{"text": first, "entity_names": [first.split()[0]]}, {"text": "elsewhere", "entity_names": ["Nobody"]}]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def test_all_computes_what_the_inputs_allow_and_names_the_rest(
    flip: Flip, two_views: Path, run_folder: Path, quickstart: Path
) -> None:
    entities = names(two_views.parent / "names.jsonl", quickstart / "test.sentences.txt")
    done = flip("eval", "--model", run_folder, "--data", two_views, "--metrics", "all", "--entities", entities)
    assert done.code == 0, done.err
    clean, noisy = done.records
    assert {"accuracy", "precision", "recall", "f1", "average_precision", "curve", "span_accuracy"} <= set(
        clean["metrics"]
    )
    assert {"entity_recall_strict", "entity_f1", "log_loss", "calibration_error", "threshold_f1", "sparsity"} <= set(
        clean["metrics"]
    )
    assert clean["not_computed"] == {"perplexity": "the model is Bernoulli: see log_loss"}
    assert "note: perplexity not computed: the model is Bernoulli" in done.err
    assert "note: 1 of 2 entity rows belong to no sentence" in done.err
    accuracy = clean["metrics"]["accuracy"]["bias"]
    assert set(accuracy) == {"mean", "se", "n", "std", "median", "min", "max"}
    assert clean["n"] == 212
    (other,) = clean["comparisons"]
    assert other["embedding"] == "noisy"
    assert other["accuracy"] == noisy["metrics"]["accuracy"]
    assert other["difference"]["bias"]["mean"] == pytest.approx(
        noisy["metrics"]["accuracy"]["bias"]["mean"] - accuracy["mean"]
    )
    assert 0.5 < other["jaccard"]["bias"]["mean"] < 1


def test_no_word_of_the_vocabulary_anywhere_is_said(flip: Flip, two_views: Path, run_folder: Path) -> None:
    (two_views.parent / "noise.txt").write_text("zzzq\n" * 212)
    sentences = two_views.read_text().replace(str(run_folder.parent / "test.sentences.txt"), "noise.txt")
    two_views.write_text(sentences)
    done = flip("eval", "--model", run_folder, "--data", two_views, "--metrics", "all", "--report", "r.html")
    assert done.code == 0, done.err
    assert "note: accuracy not computed: no sentence has a word of the vocabulary" in done.err
    for result in done.records:
        assert result["metrics"]["accuracy"]["bias"] == {"mean": None, "se": None, "n": 0}
        assert result["skipped"] == result["n"] == 212


def test_the_defaults_are_those_of_the_contract(flip: Flip, two_views: Path, run_folder: Path) -> None:
    clean, _ = flip("eval", "--model", run_folder, "--data", two_views).records
    assert set(clean) >= {"dataset", "embedding", "model", "n", "skipped", "metrics"}
    by_side = {"accuracy", "precision", "recall", "f1", "average_precision", "all_words"}
    content = {"content_recall", "content_recall_known", "content_ceiling", "content_precision", "content_r_precision"}
    assert set(clean["metrics"]) == by_side | {"known_words"} | content
    assert all(set(clean["metrics"][name]) == {"bias", "no_bias"} for name in by_side)


def test_the_baseline_is_what_the_words_of_the_highest_b_reach(flip: Flip, two_views: Path, run_folder: Path) -> None:
    checkpoint = load_checkpoint(run_folder)
    frequent = [checkpoint.vocabulary.words[w] for w in np.argsort(-checkpoint.model.b)]
    shares = []
    for line in (run_folder.parent / "test.sentences.txt").read_text().splitlines():
        known = set(checkpoint.vocabulary.tokenizer(line)) & set(frequent)
        if known:
            shares.append(len(known & set(frequent[: len(known)])) / len(known))
    for record in flip("eval", "--model", run_folder, "--data", two_views).records:
        metrics, frequent = record["metrics"], record["most_frequent_words"]
        assert frequent["accuracy"]["mean"] == pytest.approx(np.mean(shares))
        assert 0 < frequent["accuracy"]["mean"] < metrics["accuracy"]["bias"]["mean"]
        assert frequent["content_recall"]["mean"] < metrics["content_recall"]["mean"]


def test_models_are_compared(flip: Flip, two_views: Path, run_folder: Path, smaller: Path) -> None:
    done = flip("compare", "--model", run_folder, "--model", smaller, "--data", two_views)
    assert done.code == 0, done.err
    others = done.records[0]["comparisons"]
    assert [(one["model"], one["embedding"]) for one in others] == [(str(run_folder), "noisy"), (str(smaller), "clean")]
    assert others[1]["rank"] == 192
    own = flip("eval", "--model", smaller, "--data", two_views, "--metrics", "accuracy,perplexity").records[0]
    assert own["metrics"]["accuracy"] == others[1]["accuracy"]
    assert own["metrics"]["perplexity"]["mean"] > 1


def test_models_of_other_encoders_and_words_each_on_its_own_embeddings(
    flip: Flip, here: Path, run_folder: Path, narrow: Path
) -> None:
    data = ("--data", "both.yaml", "--dataset", "test")
    models = ("--model", run_folder, "--model", narrow)
    done = flip("compare", *models, *data, "--details", "d.jsonl", "--results", "results")
    assert done.code == 0, done.err
    first, second, compared = done.records
    assert [(one["model"], one["embedding"], one["dimension"]) for one in (first, second)] == [
        (str(run_folder), "minilm", 384),
        (str(narrow), "own", 40),
    ]
    assert second["encoder"] == "own.py:narrow" and second["words"] == first["words"] // 2
    assert compared["shared_words"] == second["words"]
    (difference,) = compared["differences"]
    assert {"accuracy", "shared_accuracy", "all_words", "content_recall"} <= set(difference["figures"])
    assert difference["figures"]["shared_accuracy"]["high"] < 0
    known = set(load_checkpoint(narrow).vocabulary.words)
    lost = difference["found_less_often"]
    assert lost["in_all"] >= len(lost["words"]) > 0
    assert all(word["word"] in known | {"<numbers>"} and word["second"] < word["first"] for word in lost["words"])
    (other,) = first["comparisons"]
    assert (other["model"], other["embedding"]) == (str(narrow), "own") and "comparisons" not in second
    rows = [orjson.loads(line) for line in (here / "d.jsonl").read_bytes().splitlines()]
    assert [row["model"] for row in rows[::212]] == [str(run_folder), str(narrow)]
    assert len(list((here / "results").glob("*/*/test.json"))) == 2
    alone = flip("eval", "--model", narrow, *data)
    assert "minilm" not in alone.out.split('"metrics"')[0] and "test.npy fits no model" in alone.err
    assert alone.records[0]["metrics"]["accuracy"] == second["metrics"]["accuracy"]


def test_a_view_of_the_sentences_is_for_every_model(
    flip: Flip, fails: Fails, two_views: Path, run_folder: Path, smaller: Path
) -> None:
    done = flip("compare", "--model", run_folder, "--model", smaller, "--data", two_views)
    models, differences = done.records[:4], done.records[4:]
    assert [(one["model"], one["embedding"]) for one in models] == [
        (str(model), view) for model in (run_folder, smaller) for view in ("clean", "noisy")
    ]
    assert [one["embedding"] for one in differences] == ["clean", "noisy"]
    assert "calibration_error" in models[0]["intervals"] and "calibration_error" not in models[2]["intervals"]
    named = ("compare", "--model", run_folder, "--model", run_folder, "--data", two_views)
    assert f"model {run_folder} is named twice" in fails(2, *named)


def test_a_trained_model_has_a_gate_and_a_setting_may_name_it(
    flip: Flip, here: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIP_EVAL__MODEL", str(run_folder))
    done = flip("eval")
    assert done.code == 0, done.err
    (here / "base.jsonl").write_text(done.out)
    assert flip("eval", "--baseline", "base.jsonl", "--fail-below", 0).code == 0
    (here / "base.jsonl").write_text(done.out.replace('"precision":', '"span_accuracy":'))
    assert "span_accuracy with b is in the baseline" in flip("eval", "--baseline", "base.jsonl", "--fail-below", 0).err
    monkeypatch.delenv("FLIP_EVAL__MODEL")
    (here / "flip.toml").write_text(f'[eval]\nmodel = "{run_folder}"\n')
    assert flip("eval").records == done.records


@pytest.mark.slow
def test_splice(flip: Flip, here: Path, two_views: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flip.evaluation.splice.PENALTIES", (0.4, 0.2))  # each takes a second
    command = ("compare", "--model", run_folder, "--data", two_views, "--splice", "--metrics")
    done = flip(*command, "all")
    assert done.code == 0, done.err
    ours, clean = done.records[0], done.records[2]
    assert (ours["method"], clean["method"]) == ("flip", "splice")
    assert ours["embedding"] == clean["embedding"] == "clean"
    assert clean["splice"]["penalty"] > 0
    monkeypatch.setenv("FLIP_TRAIN__TRAIN", "dev")
    monkeypatch.setenv("FLIP_TRAIN__DEV", "test")
    other = flip(*command, "span")
    assert other.code == 0 and other.records[2]["splice"]["dev_accuracy"] != clean["splice"]["dev_accuracy"]
    monkeypatch.setenv("FLIP_TRAIN__DEV", "none")
    assert "no dataset 'none'" in flip(*command, "span").err
    assert set(clean["metrics"]["accuracy"]) == {"no_bias"}
    assert 0.1 < clean["metrics"]["span_accuracy"]["no_bias"]["mean"] < 0.6
    assert set(clean["not_computed"]) == {"perplexity", "calibration", "sparsity"}


def test_details_are_one_record_a_sentence(flip: Flip, here: Path, two_views: Path, run_folder: Path) -> None:
    done = flip("eval", "--model", run_folder, "--data", two_views, "--details", "d.jsonl", "--topn", 5)
    assert done.code == 0, done.err
    rows = [orjson.loads(line) for line in (here / "d.jsonl").read_bytes().splitlines()]
    assert len(rows) == 2 * 212
    for row in rows:
        for side in ("bias", "no_bias"):
            found = row[side]
            assert sorted(found["hits"] + found["misses"]) == sorted(row["reference"])
            assert len(found["keywords"]) == 5
            assert all(word["hit"] == (word["word"] in row["reference"]) for word in found["keywords"])
    clean = [row["bias"]["accuracy"] for row in rows[:212] if row["bias"]["accuracy"] is not None]
    assert np.mean(clean) == pytest.approx(done.records[0]["metrics"]["accuracy"]["bias"]["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["p.svg", "p.png", "p.pdf"])
def test_plots_by_ending(flip: Flip, here: Path, two_views: Path, run_folder: Path, smaller: Path, name: str) -> None:
    args = ["--model", run_folder, "--model", smaller, "--data", two_views, "--plot", name]
    assert flip("compare", *args).code == 0
    first = (here / name).read_bytes()
    assert written_by_flip(here / name)
    assert first.startswith({"p.svg": b"<?xml", "p.png": b"\x89PNG", "p.pdf": b"%PDF"}[name])
    if name == "p.svg":
        assert b"Precision and recall" in first
        assert b"Recall by word frequency" in first and b"2 models on test" in first
        assert flip("compare", *args).code == 0
        assert (here / name).read_bytes() == first


def test_what_cannot_be_done_is_said(fails: Fails, here: Path, two_views: Path, run_folder: Path) -> None:
    own = ["eval", "--model", run_folder, "--data", two_views]
    assert "cannot compute entities: needs --entities" in fails(2, *own, "--metrics", "entities")
    assert "cannot compute perplexity: the model is Bernoulli" in fails(2, *own, "--metrics", "perplexity")
    assert "no metric to compute" in fails(2, *own, "--metrics", " , ")
    assert "unknown metric 'bleu'" in fails(2, *own, "--metrics", "bleu")
    assert "nothing to compare it with" in fails(2, "compare", *own[1:])
    assert "unknown ending" in fails(2, *own, "--plot", "p.gif")
    assert "no.jsonl: no such file" in fails(3, *own, "--entities", "no.jsonl")
    assert not list(here.glob("p.*"))


def test_a_dataset_of_one_embedding_has_nothing_to_compare(fails: Fails, quickstart: Path, monkeypatch) -> None:
    monkeypatch.chdir(quickstart)
    assert "cannot compute jaccard: needs a second embedding" in fails(2, "eval", "--metrics", "jaccard")


def test_plots_without_matplotlib(fails: Fails, two_views: Path, run_folder: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    err = fails(4, "eval", "--model", run_folder, "--data", two_views, "--plot", "p.svg")
    assert "hint:  pip install 'flip-interpret[report]'" in err


def test_concepts(flip: Flip, fails: Fails, here: Path) -> None:
    (here / "t.txt").write_text("new york is big\nnew york is old\nparis is big\nparis is old\n")
    options = ["--concepts", "--min-count", 2, "--min-pmi", 3, "--unigrams", 4, "--bigrams", 1]
    done = flip("vocab", "t.txt", "-o", "c.json", *options)
    assert done.code == 0, done.err
    assert orjson.loads((here / "c.json").read_bytes()) == {"big": 0, "is": 1, "new": 2, "new york": 3, "old": 4}
    stored = orjson.loads((here / "c.options.json").read_bytes())
    assert stored["tokenizer"]["ngram"] == [1, 2]
    assert flip("vocab", "t.txt", "-o", "c.json", *options).code == 0  # the same again is no conflict
    assert "nothing occurs 20 times" in fails(3, "vocab", "t.txt", "-o", "d.json", "--concepts")
    assert "exclude each other" in fails(2, "vocab", "t.txt", "--concepts", "--words", "t.txt")


@pytest.mark.slow
def test_no_model_is_measured_on_what_another_has_learned(
    flip: Flip, fails: Fails, here: Path, sentences: list[str]
) -> None:
    for name, lines in (("a", sentences[:400]), ("b", sentences[:200]), ("c", sentences[400:600])):
        Path(f"{name}.txt").write_text("\n".join(lines))
        assert flip("train", f"{name}.txt", "-o", name, "--augment", 0, "--epochs", 2, "--rank", 8).code == 0
    learned = set(Path("b/data/train.sentences.txt").read_text().splitlines())
    tested = Path("a/data/test.sentences.txt").read_text().splitlines()
    both = flip("compare", "--model", "a", "--model", "b", "--data", "a/data/datasets.yaml")
    shared = len(learned & set(tested))
    assert 0 < shared < len(tested)
    assert f"{shared} sentences that a model was trained on left out" in both.err
    assert [record["n"] for record in both.records[:2]] == [len(tested) - shared] * 2
    assert "trained on" not in flip("compare", "--model", "a", "--model", "c", "--data", "a/data/datasets.yaml").err
    # Alone, it is said.
    own = ("--data", "b/data/datasets.yaml", "--dataset", "train")
    err = flip("eval", "--model", "b", *own).err
    assert f"note: b was trained on {len(learned)} of the {len(learned)} sentences of dataset train" in err
    models = ("--model", "b", "--model", "c")
    assert "all 180 are sentences that a model was trained on" in fails(3, "compare", *models, *own)
    assert "trained on" not in flip("eval", "--model", "b").err
