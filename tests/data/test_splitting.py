from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flip.data.splitting import split_rows, split_sizes
from flip.errors import InputError, UsageError
from flip.text.tokenize import normalize


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a b", "A b!", "c", "d", "e", "f f", "g", "h", "i", "j", "k"]), min_size=25, max_size=60)
)
def test_equal_sentences_stay_on_one_side_and_none_is_lost(texts: list[str]) -> None:
    if len({normalize(text) for text in texts}) < 3:
        return
    try:
        parts = split_rows([(text,) for text in texts], "0.6,0.2,0.2", seed=1)
    except InputError:  # too much of the same, see below
        reject()
    assert parts["dev"] and parts["test"]
    assert sorted(row for part in parts.values() for row in part) == list(range(len(texts)))
    sides = [{normalize(texts[row]) for row in part} for part in parts.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_counts_are_met_exactly_and_order_is_kept(sentences: list[str]) -> None:
    parts = split_rows([(text,) for text in sentences], "rest,200,300", seed=0)
    assert (len(parts["dev"]), len(parts["test"])) == (200, 300)
    assert all(part == sorted(part) for part in parts.values())


def test_the_seed_decides(sentences: list[str]) -> None:
    first, again, other = (split_rows([(text,) for text in sentences], "0.8,0.1,0.1", seed) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    "spec", ["0.9,0.1", "a,b,c", "0.5,0.2,0.2", "1.2,-0.1,-0.1", "rest,10,90", "rest,0,5", "1,0,0"]
)
def test_specs_that_make_no_sense(spec: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        split_sizes(spec, 100)


def test_too_few_sentences() -> None:
    with pytest.raises(InputError, match="2 different sentences"):
        split_rows([("a",), ("A!",), ("b",)], "0.6,0.2,0.2", seed=0)


def test_too_many_equal_sentences_are_reported() -> None:
    with pytest.raises(InputError, match="3 different sentences in 300 lines"):
        split_rows([(text,) for text in "abc" * 100], "0.9,0.05,0.05", seed=0)


def test_a_split_of_few_sentences_has_a_hint() -> None:
    with pytest.raises(UsageError, match="of 5 sentences gives 5, 0, 0") as raised:
        split_sizes("0.9,0.05,0.05", 5)
    assert "more sentences" in str(raised.value.hint)
