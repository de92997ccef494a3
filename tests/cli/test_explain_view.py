"""The screen of `flip explain`, drawn in memory."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from flip import Explainer, load_checkpoint
from flip.cli.explain_view import View, bar
from flip.explain.results import Failure, Heard, Input, Result
from flip.inputs.record import Record
from tests.conftest import Flip

EISEN = "Eisen was born in Brooklyn, New York and was raised on Staten Island."


@pytest.fixture(scope="module")
def explainer(minilm: Any) -> Explainer:
    return Explainer(load_checkpoint(), lambda: minilm, topn=10, extra=64)


def screen(explainer: Explainer, *results: Result, width: int = 100, encoding: str = "utf-8", **options: Any) -> str:
    """What a terminal without styles shows."""
    view = View(explainer.checkpoint, **{"least": explainer.checkpoint.likely, "scores": False} | options)
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
    for result in results:
        console.print(view.draw(result))
    file.flush()
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_the_text_stands_first_with_four_states_that_need_no_colour(explainer: Explainer) -> None:
    shown = screen(explainer, explainer.text(EISEN), explainer.text("A train.")).splitlines()
    assert shown[0] == "[Eisen?] was born in Brooklyn~, New York and was raised~ on~ [Staten?] Island."
    likely = f"{explainer.checkpoint.likely:.0%} or more"
    faint = f"faint: {explainer.checkpoint.likely / 3:.0%}, or a high score~"
    assert shown[1].split("  ")[1:5] == [f"kept: {likely}", faint, "(lost)", "[not in vocabulary?]"]
    assert len(shown[1]) <= 80
    assert sum(likely in line and "kept" in line for line in shown) == 1
    others = sorted(
        (word for word in explainer.text(EISEN).words if not word.in_text), key=lambda word: -word.probability
    )
    said = [word for word in others if word.probability >= explainer.checkpoint.likely]
    assert said
    listed = shown[3 : 3 + len(said)]
    assert [line.split()[0] for line in listed] == [word.surface for word in said]
    assert [line.split()[-1] for line in listed] == [f"{word.probability:.0%}" for word in said]
    unlikely = f"  {10 - len(said)} less likely words (--min-probability 0): "
    assert shown[3 + len(said)].startswith(f"{unlikely}{others[len(said)].surface}, ")
    narrow = screen(explainer, explainer.text(EISEN), width=60).splitlines()
    assert narrow[-2].rstrip().endswith(", ...")


def test_all_and_scores(explainer: Explainer) -> None:
    shown = screen(explainer, explainer.text(EISEN), least=0.0, scores=True)
    assert "less likely" not in shown
    unlikely = [word for word in explainer.text(EISEN).words if word.probability < explainer.checkpoint.likely]
    word = next(word for word in unlikely if not word.in_text)
    line = next(line for line in shown.splitlines() if line.split()[:1] == [word.surface])
    assert line.split()[-2:] == [f"{word.probability:.0%}", f"{word.score:.2f}"]


@pytest.mark.parametrize("width", [30, 60, 200])
@pytest.mark.parametrize("text", [EISEN * 5, "東京は大きい。" * 20, "a" * 500, "👩‍🚀 नमस्ते hello", "x", " "])
def test_nothing_is_wider_than_the_terminal(explainer: Explainer, width: int, text: str) -> None:
    shown = screen(explainer, explainer.text(text), width=width, least=0.0, scores=True)
    assert max(map(cell_len, shown.splitlines())) <= width


def test_a_vector_has_a_list_and_one_that_nothing_vouches_for_has_ranks(explainer: Explainer) -> None:
    (u,) = explainer.encoder.encode([EISEN])
    record = Record("", row=3, embedding=u)
    known, unknown = explainer.batch([record, replace(record, origin_known=False)])
    shown = screen(explainer, known).splitlines()
    assert [line.strip() for line in shown[:2]] == ["row 3", "says"]
    first = known.words[0]
    assert first.surface in shown[2] and f"{first.probability:.0%}" in shown[2]
    shown = screen(explainer, unknown).splitlines()
    assert shown[2].split() == [first.surface, "1."]
    assert "%" not in "".join(shown)
    (marked,) = explainer.batch([replace(record, text=EISEN, origin_known=False)])
    shown = screen(explainer, marked).splitlines()
    assert "kept (by rank)" in shown[1]
    assert "New York" in shown[0]


def test_a_recording_shows_what_was_heard_word_by_word(explainer: Explainer) -> None:
    heard = Heard("whisper", "The train was late.", None)
    heard = replace(explainer.text("The train was late."), input=Input(audio="a.wav", heard=heard))
    shown = screen(explainer, heard).splitlines()
    assert [line.strip() for line in shown[:3]] == ["a.wav", "heard (whisper):", "The train was~ late."]


def test_a_pair_has_both_texts_the_cosine_and_three_lists(explainer: Explainer) -> None:
    (pair,) = Explainer(explainer.checkpoint, lambda: explainer.encoder, min_probability=0.32).pairs(
        [Record("", text="The train was late.")], [Record("", text="The flight was late.")]
    )
    lines = [line.strip() for line in screen(explainer, pair).splitlines()]
    assert lines[:2] == ["The train was late.", "The flight was late."]
    assert lines[2].startswith("cosine 0.5")
    sides = [lines.index(name) for name in ("both say", "only the first", "only the second")]
    assert sides == sorted(sides)
    assert lines[sides[1] + 1].startswith("train")
    assert "of the cosine" in lines[sides[1] + 1]


def test_errors_warnings_and_what_is_blank(explainer: Explainer) -> None:
    shown = screen(explainer, Failure(1, Input(), "line 1: not valid [JSON]"), explainer.text(""))
    assert "line 1: not valid [JSON]" in shown
    assert "(blank)" in shown
    result = explainer.text("A cat.")
    result = replace(result, input=replace(result.input, warnings=("odd",), read_to=3))
    assert "odd" in screen(explainer, result)
    assert "truncated" in screen(explainer, result)


def test_a_terminal_of_ascii_has_bars_too(explainer: Explainer) -> None:
    shown = screen(explainer, explainer.text(EISEN), encoding="ascii")
    assert re.search(r"East +#+ +\d+%", shown)
    assert "\\u" not in shown


@pytest.mark.parametrize("ascii_only", [False, True])
def test_bars_grow_and_are_never_longer_than_their_place(ascii_only: bool) -> None:
    lengths = [len(bar(share / 100, ascii_only=ascii_only)) for share in range(101)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[1], lengths[-1]) == (0, 1, 16)


def likely_words(explainer: Explainer, least: float) -> int:
    return sum(word.probability >= least for word in explainer.text(EISEN).words[:10])


@pytest.mark.parametrize(("value", "least"), [("0", 0.0), ("0.9", 0.9), ("auto", None), (None, 0.0)])
def test_minimum_probability_of_json(
    flip: Flip, here: Any, explainer: Explainer, value: str | None, least: float | None
) -> None:
    done = flip("explain", EISEN, *(["--min-probability", value] if value else []))
    least = explainer.checkpoint.likely if least is None else least
    assert len(done.records[0]["keywords"]) == likely_words(explainer, least)


@pytest.mark.parametrize(("value", "said"), [("abc", "must be auto, or"), ("1.5", "a number from 0 to 1")])
def test_a_minimum_that_is_none(flip: Flip, here: Any, value: str, said: str) -> None:
    done = flip("explain", "A cat.", "--min-probability", value)
    assert (done.code, "--min-probability" in done.err, said in done.err) == (2, True, True)


def test_auto_from_the_environment_and_from_flip_toml(
    flip: Flip, here: Any, explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "flip.toml").write_text('[explain]\nmin_probability = "auto"\n')
    assert len(flip("explain", EISEN).records[0]["keywords"]) == likely_words(explainer, explainer.checkpoint.likely)
    monkeypatch.setitem(os.environ, "FLIP_EXPLAIN__MIN_PROBABILITY", "0.9")
    assert 0 < likely_words(explainer, 0.9) < likely_words(explainer, explainer.checkpoint.likely)
    assert len(flip("explain", EISEN).records[0]["keywords"]) == likely_words(explainer, 0.9)


def test_what_the_encoder_did_not_read_stands_in_signs_of_its_own(explainer: Explainer) -> None:
    long = "The train was late. " * 80 + "A violin in Vienna."
    shown = " ".join(screen(explainer, explainer.text(long)).split())
    assert shown.count("{") == 2  # the legend has one, for the first cut text
    assert "{not read}" in shown
    assert re.search(r"\{[^{}]* A violin in Vienna\.\}", shown)
    assert "not read" not in screen(explainer, explainer.text("The train was late."))


@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_shows_where_either_text_was_cut(explainer: Explainer, side: int) -> None:
    texts = ["A short text.", "A short text."]
    texts[side] = "The train was late. " * 80 + "A violin in Vienna."
    left, right = ([Record("", text=text)] for text in texts)
    (pair,) = explainer.pairs(left, right)
    shown = " ".join(screen(explainer, pair).split())
    assert re.search(r"\{[^{}]*A violin in Vienna\.\}", shown)
    assert "truncated" in shown
    record = pair.to_dict()
    assert (record if side == 0 else record["against"])["read_to"] < 1600
    assert "violin" in pair._repr_html_() and "not read" in pair._repr_html_()


def test_a_query_stands_once_above_its_hits(explainer: Explainer) -> None:
    hits = [Record("", id=name, text=text) for name, text in (("x", "A violin."), ("y", "The flight was late."))]
    found = list(explainer.pairs([Record("", text="The train was late.")], hits))
    lines = [line.rstrip() for line in screen(explainer, *found).splitlines()]
    assert lines.count("The train was late.") == 1
    assert [line for line in lines if line.startswith(("x  ", "y  "))] == ["y  The flight was late.", "x  A violin."]
    assert sum(line.strip().startswith("only the hit") for line in lines) == 2
