"""`flip explain`: its pipe, and inputs in which there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Flip

Fails = Callable[..., str]


@pytest.fixture
def piped(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a text on standard input."""

    def put(text: str) -> None:
        (here / "standard-input").write_text(text)
        monkeypatch.setattr("sys.stdin", (here / "standard-input").open())

    return put


@pytest.mark.parametrize("named", [(), ("-",)])
def test_with_text_each_line_of_a_pipe_is_a_sentence(
    named: tuple[str, ...], flip: Flip, piped: Callable[[str], None]
) -> None:
    lines = ['{"text": "no record"}', "A dog.", "", "not.there.txt"]
    piped("\n".join(lines) + "\n")
    done = flip("explain", "--text", *named)
    assert (done.code, [record["text"] for record in done.records]) == (0, lines)


def test_with_text_a_pipe_goes_on_after_a_bad_line(flip: Flip, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "standard-input").write_bytes(b"A dog.\n\xff\nA cat.\n")
    monkeypatch.setattr("sys.stdin", (here / "standard-input").open())
    done = flip("explain", "--text")
    assert (done.code, [record.get("text") for record in done.records]) == (3, ["A dog.", None, "A cat."])
    assert "stdin, line 2: not valid UTF-8" in done.records[1]["error"]


def test_with_text_standard_input_is_read_once(fails: Fails, piped: Callable[[str], None]) -> None:
    piped("A dog.\n")
    assert "can be read only once" in fails(2, "explain", "--text", "--against", "-")


def test_an_input_with_nothing_in_it_is_an_error(fails: Fails, here: Path, piped: Callable[[str], None]) -> None:
    (here / "empty.txt").touch()
    (here / "empty.json").write_text("[]")
    np.save(here / "empty.npy", np.empty((0, 384), np.float32))
    for name in ("empty.txt", "empty.json", "empty.npy"):
        assert f"error: {name}: nothing in it" in fails(3, "explain", name)
        assert f"error: {name}: nothing in it" in fails(3, "explain", "A dog.", "--against", name)
        fails(3, "explain", name, "--html", "page.html")
        assert not (here / "page.html").exists()
    piped("")
    assert "error: stdin: nothing in it" in fails(3, "explain")
    piped("")
    assert "error: stdin: nothing in it" in fails(3, "explain", "--text")


def test_one_empty_input_among_others_is_said(flip: Flip, here: Path) -> None:
    (here / "empty.txt").touch()
    done = flip("explain", "empty.txt", "A dog.")
    assert (done.code, len(done.records)) == (0, 1)
    assert "note: empty.txt: nothing in it" in done.err


def test_only_blank_lines_are_said(flip: Flip, here: Path) -> None:
    (here / "blank.txt").write_text("\n \n")
    for name, count in (("blank.txt", 2), ("", 1)):
        done = flip("explain", name)
        assert (done.code, [record["keywords"] for record in done.records]) == (0, [[]] * count)
        assert "note: all that was given is blank" in done.err
    (here / "mixed.txt").write_text("\nA dog.\n")
    assert flip("explain", "mixed.txt").err == ""


def test_nothing_can_be_compared_with_a_blank_text(fails: Fails, flip: Flip, here: Path) -> None:
    assert "error: --against is blank" in fails(3, "explain", "Hello", "--against", "")
    (here / "two.txt").write_text("A dog.\n\n")
    done = flip("explain", "two.txt", "--against", "A cat.")
    assert (done.code, ["cosine" in record for record in done.records], done.err) == (0, [True, False], "")


def test_a_warning_of_both_sides_of_a_pair_is_counted_once(flip: Flip, here: Path) -> None:
    done = flip("explain", "火车", "--against", "汽车")
    assert done.err.count("note:") == 1
    (here / "two.txt").write_text("火车\n汽车\n", encoding="utf-8")
    assert "note: 2 of 2 records: " in flip("explain", "two.txt", "--against", "汽车").err


def test_a_language_that_there_is_not_is_refused_for_text_too(fails: Fails, here: Path) -> None:
    assert "--language: unknown language 'zz'" in fails(2, "explain", "A dog.", "--language", "zz")
    (here / "a.txt").write_text("A dog.\n")
    for language in ("zz", "eng_Latn,zz"):
        assert "unknown language 'zz'" in fails(2, "embed", "a.txt", "a.txt", "--language", language)
