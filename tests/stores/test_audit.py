"""The audit: terms in the vectors are read; terms outside them are called only as often as false alarms are allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.table import Table

from flip.cli.options import WORSE
from flip.cli.output import Output
from flip.cli.stores.audit import draw
from flip.encoders import Encoder
from flip.errors import InputError, UnavailableError, UsageError
from flip.html import policy
from flip.model.checkpoint import Checkpoint
from flip.model.config import CheckpointConfig
from flip.model.linear import FactorizedLogLinear
from flip.stores.audit import Audit, CompressionAudit, RecallEstimate, TermRecall, _wilson
from flip.stores.compression import COMPRESSIONS
from flip.text.vocabulary import Vocabulary
from tests.conftest import Flip

Fails = Callable[..., str]
D, N = 60, 3000
RNG = np.random.default_rng(2)
WORDS = ("river", "paper", "dublin", "plain")
MODEL = FactorizedLogLinear(
    RNG.normal(size=(4, D)).astype(np.float32), np.eye(D, dtype=np.float32), np.zeros(4, np.float32)
)
CHECKPOINT = Checkpoint(MODEL, Vocabulary(WORDS), CheckpointConfig(objective="bernoulli"))


def planted() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return vectors, texts and (n, 4) the rows with each word.

    `river` is along the model's row, `paper` along another direction that the model does not know, `plain` nowhere;
    `Dublin 1904` is a phrase along a direction of its own.
    """
    has = RNG.random((N, 4)) < (0.05, 0.05, 0.04, 0.05)
    u = RNG.normal(size=(N, D)).astype(np.float32)
    directions = [MODEL.A[0], RNG.normal(size=D), RNG.normal(size=D)]
    for t, direction in enumerate(directions):
        u[has[:, t]] += 3.5 * direction / np.linalg.norm(direction)
    said = ("River", "paper,", "Dublin 1904", "plain")
    texts = ["x " + " ".join(word for word, one in zip(said, row, strict=True) if one) for row in has]
    return u, texts, has


def audited(u: np.ndarray, texts: list[str], terms: list[str], size: int = 173) -> list[CompressionAudit]:
    audit = Audit(CHECKPOINT, terms)
    for reading in (audit.learn, audit.test):
        if reading == audit.test:
            audit.choose()
        for start in range(0, len(u), size):
            reading(u[start : start + size], texts[start : start + size], start)
    return audit.result()


@pytest.fixture(scope="module")
def found() -> tuple[np.ndarray, np.ndarray, list[CompressionAudit]]:
    u, texts, has = planted()
    return u, has, audited(u, texts, ["river", "paper", "Dublin 1904", "plain", "nowhere"])


def test_each_reader_reads_its_own_terms(found: tuple[np.ndarray, np.ndarray, list[CompressionAudit]]) -> None:
    _, has, forms = found
    stored = {one.term: one for one in forms[0].terms}
    assert forms[0].form == "as stored"
    river = stored["river"]
    assert river.rows == has[:, 0].sum()
    assert river.model and river.probe and river.model.recall > 0.8 and river.probe.recall > 0.7
    assert stored["paper"].model and stored["paper"].model.recall < 0.15
    assert stored["paper"].probe and stored["paper"].probe.recall > 0.7
    assert stored["Dublin 1904"].model is None  # the model has no word 1904
    assert stored["Dublin 1904"].probe and stored["Dublin 1904"].probe.recall > 0.7
    assert (stored["nowhere"].rows, stored["nowhere"].probe, stored["nowhere"].strongest) == (0, None, None)


def test_the_models_recall_equals_that_of_a_sorted_list(
    found: tuple[np.ndarray, np.ndarray, list[CompressionAudit]],
) -> None:
    u, has, forms = found
    z = u @ MODEL.A[0]
    exact = (z[has[:, 0]] > np.quantile(z[~has[:, 0]], 0.99)).mean()
    river = forms[0].terms[0].model
    assert river and river.recall == pytest.approx(exact, abs=0.03)
    called = river.recall * has[:, 0].sum() / river.precision
    alarms = (called - river.recall * has[:, 0].sum()) / (~has[:, 0]).sum()
    assert 0.005 < alarms <= 0.01
    assert river.low < river.recall < river.high


def test_a_term_in_no_vector_is_not_read(found: tuple[np.ndarray, np.ndarray, list[CompressionAudit]]) -> None:
    """Read chance only: a probe tested on the rows that it learned from would read 60 dimensions' worth of it."""
    *_, forms = found
    for form in forms:
        plain = next(one for one in form.terms if one.term == "plain").probe
        assert plain and plain.recall < 0.05
    u = RNG.normal(size=(240, D)).astype(np.float32)
    recalls = []
    for _ in range(10):
        texts = ["plain" if one else "x" for one in RNG.random(240) < 0.15]
        recalls.append(audited(u, texts, ["plain"])[0].terms[0].probe)
    assert np.mean([one.recall for one in recalls if one]) < 0.05


def test_parts_do_not_matter() -> None:
    u, texts, _ = planted()
    one, other = (audited(u, texts, ["river", "paper"], size)[:5] for size in (64, N))  # without the noise
    for a, b in zip(one, other, strict=True):
        assert a.itself == b.itself
        for x, y in zip(a.terms, b.terms, strict=True):
            assert x.probe and y.probe
            assert x.probe.recall == pytest.approx(y.probe.recall, abs=0.02)


def test_costs_equal_those_of_all_pairs() -> None:
    u, texts, _ = planted()
    u, texts = u[:200] + 1, texts[:200]  # as many as are sampled, so that each is a query
    forms = audited(u, texts, ["river"])
    unit = u / np.linalg.norm(u, axis=1, keepdims=True)
    truth = np.argsort(-(unit @ unit.T - 9 * np.eye(200)), axis=1)[:, :10]
    for form, kept in zip(COMPRESSIONS[:5], forms, strict=False):
        v = form.change(u, RNG)
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        similar = unit @ v.T
        own = similar.diagonal()[:, None]
        assert kept.itself == pytest.approx(((similar > own).sum(axis=1) < 10).mean())
        near = np.argsort(-(similar - 9 * np.eye(200)), axis=1)[:, :10]
        same = np.mean([len({*a} & {*b}) / 10 for a, b in zip(near, truth, strict=True)])
        assert kept.neighbours == pytest.approx(same, abs=0.01)
    assert forms[0].itself == forms[0].neighbours == 1


def test_forms() -> None:
    u = RNG.normal(size=(50, 64)).astype(np.float32)
    changed = {form.name: form.change(u, np.random.default_rng(0)) for form in COMPRESSIONS}
    lengths = np.linalg.norm(u, axis=1)
    assert np.abs(changed["int8"] - u).max() <= np.abs(u).max() / 250
    np.testing.assert_array_equal(np.sign(changed["binary"]), np.sign(u))
    for part in (2, 4):
        cut = changed[f"1/{part} of the dimensions"]
        assert not cut[:, 64 // part :].any()
        np.testing.assert_allclose(np.linalg.norm(cut, axis=1), lengths, rtol=1e-5)
    noise = np.linalg.norm(changed["noise of 1/2 the length"] - u, axis=1) / lengths
    assert noise.mean() == pytest.approx(0.5, abs=0.03)
    assert [form.bytes(64) for form in COMPRESSIONS] == [256, 64, 8, 128, 64, 256, 256]


def test_wilsons_interval_covers() -> None:
    for p in (0.05, 0.5, 0.95):
        hits = RNG.binomial(40, p, 4000)
        covered = np.mean([low <= p <= high for low, high in (_wilson(int(h), 40) for h in hits)])
        assert 0.92 < covered < 0.985


def test_stores_and_terms_that_cannot_be_audited() -> None:
    with pytest.raises(UsageError, match="no term"):
        Audit(CHECKPOINT, [])
    with pytest.raises(UsageError, match="no term"):
        Audit(CHECKPOINT, ["river", "!!"])
    audit = Audit(CHECKPOINT, ["river"])
    audit.learn(RNG.normal(size=(20, D)), ["river"] * 20, 0)
    with pytest.raises(InputError, match="20 rows with text are too few"):
        audit.choose()


@pytest.mark.slow
def test_on_the_command_line(flip: Flip, fails: Fails, here: Path, minilm: Encoder, sentences: list[str]) -> None:
    texts = sentences[:900]
    u = minilm.encode(texts)
    v = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), 384)
    pq.write_table(pa.table({"text": [*texts[:-1], None], "v": v}), "s.parquet")
    (here / "terms.txt").write_text("train\nwindow\nZanzibar\n\n")
    result = flip("store", "audit", "s.parquet", "terms.txt", "--report", "page.html")
    assert result.code == 0, result.err
    assert [record["form"] for record in result.records] == [form.name for form in COMPRESSIONS]
    stored, *_, noise = result.records
    by_term = {one["term"]: one for one in stored["terms"]}
    assert stored["rows"] == 899 and "1 rows without text or vector" in result.err
    assert by_term["train"]["rows"] == sum("train" in text.lower().replace(".", " ").split() for text in texts[:-1])
    assert by_term["train"]["model"]["recall"] > 0.8
    assert by_term["Zanzibar"]["probe"] is None and "too few rows have, or have not, " in result.err
    assert noise["neighbours_at_10"] < stored["neighbours_at_10"] == 1
    assert "may still be read by a stronger" in result.err
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Zanzibar" in page and "may still be read" in page
    assert page.count("too few rows") == len(COMPRESSIONS)
    assert not any(external in page for external in ("http:", "https:", "src=", "@import"))
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert f'Content-Security-Policy" content="{policy(style)}"' in page
    over = flip("store", "audit", "s.parquet", "terms.txt", "--limit", 0.3, "-q")
    assert over.code == 5
    assert "terms are read with a recall above 0.3" in over.err
    assert flip("store", "audit", "s.parquet", "terms.txt", "--limit", 1, "-q").code == 0
    (here / "rare.txt").write_text("Zanzibar\n")
    rare = fails(3, "store", "audit", "s.parquet", "rare.txt", "--limit", 0.3)
    assert "no term could be measured" in rare  # a gate that cannot close is not open
    pq.write_table(pa.table({"v": v}), "bare.parquet")
    assert "no column of text" in fails(3, "store", "audit", "bare.parquet", "terms.txt")


def test_an_option_of_other_measurements_is_refused(flip: Flip, here: Path) -> None:
    """Refuse --fail-below: for an audit it would be a gate that is always open."""
    Path("terms.txt").write_text("train\n")
    audit = ("store", "audit", "s.parquet", "terms.txt")
    for flags in (("--metrics", "pr"), ("--plot", "x.svg"), ("--baseline", "b", "--fail-below", 0)):
        done = flip(*audit, *flags)
        assert (done.code, f"No such option: {flags[0]}" in done.err) == (2, True)


def test_settings_of_audits_are_for_audits(flip: Flip, here: Path, run_folder: Path) -> None:
    Path("flip.toml").write_text('[store.audit]\nterms = "terms.txt"\nlimit = 0.5\n')
    done = flip("eval", "--model", run_folder)
    assert done.code == 0, done.err
    assert "metrics" in done.records[0]
    Path("terms.txt").write_text("train\n")
    table = {"text": ["a train", "b"] * 60, "v": np.eye(120, 384, dtype=np.float32).tolist()}
    pq.write_table(pa.table(table), "s.parquet")
    done = flip("store", "audit", "s.parquet")
    assert done.records and done.code in (0, WORSE), done.err
    assert done.records[0]["form"] == "as stored"


def test_the_table_names_the_recall_of_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Table] = []
    monkeypatch.setattr(Output, "show", lambda self, table: tables.append(table))
    low, high = RecallEstimate(0.2, 0.1, 0.3, 0.5), RecallEstimate(0.8, 0.7, 0.9, 0.6)
    draw(CompressionAudit("float32", 4, 1, 1, [TermRecall("a", 9, high, low), TermRecall("b", 9, low, high)]), Output())
    headings = [str(column.header) for column in tables[-1].columns]
    assert headings == ["term", "rows", "recall: model", "probe", "95% of the higher", "its precision"]
    assert [str(cell) for cell in tables[-1].columns[4].cells] == ["70 to 90"] * 2


def test_terms_behind_what_the_encoder_read_are_not_looked_for(
    flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "The city council met on Monday to discuss the new budget. " * 30 + "It voted to build a harbour."
    texts = [*["The harbour froze."] * 30, *[long] * 20, *["A quiet street."] * 70]
    v = RNG.normal(size=(120, 384)).astype(np.float32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), 384)
    table = pa.table({"text": texts, "v": rows})
    pq.write_table(table, "s.parquet")
    (here / "terms.txt").write_text("harbour\nbudget\n")
    done = flip("store", "audit", "s.parquet", "terms.txt")
    assert done.code == 0, done.err
    assert "20 of 120 texts are longer than the encoder read" in done.err
    assert done.records[0]["cut"] == 20
    assert [one["rows"] for one in done.records[0]["terms"]] == [30, 20]
    # `flip embed` notes that it cut nothing: so it is, whatever the encoder of today reads
    about = {"encoder": "minilm", "dimension": 384, "truncated": 0}
    np.save("u.npy", v)
    (here / "u.json").write_text(json.dumps(about))
    (here / "u.sentences.txt").write_text("\n".join(texts) + "\n")
    done = flip("store", "audit", "u.npy", "terms.txt")
    assert done.code == 0, done.err
    assert (done.records[0]["cut"], done.records[0]["terms"][0]["rows"]) == (0, 50)
    (here / "u.json").write_text(json.dumps({**about, "truncated": 20}))
    (here / "u.read.txt").write_text("".join("\n" if text != long else "100\n" for text in texts))
    done = flip("store", "audit", "u.npy", "terms.txt")
    assert (done.records[0]["cut"], done.records[0]["terms"][0]["rows"]) == (20, 30)

    def lacking(*_: object, **__: object) -> Encoder:
        raise UnavailableError("the encoder is not here")

    monkeypatch.setattr("flip.cli.loading.load_encoder", lacking)
    done = flip("store", "audit", "s.parquet", "terms.txt")
    assert "their terms are not in the vectors: the encoder is not here" in done.err
    assert (done.records[0]["cut"], done.records[0]["terms"][0]["rows"]) == (None, 50)
