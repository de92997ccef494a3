from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flip.data.splitting import augment, split_rows, split_sizes
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


SENTENCES = ["The night train from Boston was late.", "“Don't,” she said — twice.", "Yes"]
WORDS = ["boston", "don't", "from", "late", "night", "said", "she", "the", "train", "twice", "was", "yes"]


def test_first_come_runs_of_the_words_of_each_sentence() -> None:
    found = augment(SENTENCES, 5, seed=1)
    for sentence, own in ((SENTENCES[0], found[:5]), (SENTENCES[1], found[5:10])):
        for text in own:
            assert text in sentence
            assert text != sentence.rstrip(".")
    assert len({len(text.split()) for text in found[:5]}) > 1


def test_then_each_word_alone_once_in_lower_case() -> None:
    assert augment([*SENTENCES, "the Train"], 3, seed=1)[9:21] == WORDS


def test_then_each_word_in_place_of_one_of_a_sentence_and_of_a_crop() -> None:
    found = augment(SENTENCES[:1], 2, seed=3)
    crops, words, among = found[:2], found[2:9], found[9:]
    assert len(among) == 2 * 2 * len(words)
    for i, text in enumerate(among):
        assert words[i % 7] in text.split() or text.startswith(words[i % 7]) or text.endswith(words[i % 7] + ".")
        of_a_sentence = i % 28 < 7 or 14 <= i % 28 < 21
        sources = SENTENCES[:1] if of_a_sentence else crops
        parted = [zip(text.rstrip(".").split(), s.rstrip(".").split(), strict=False) for s in sources]
        assert min(sum(a != b for a, b in pairs) for pairs in parted) <= 1


def test_scripts_without_spaces_are_cut_between_words() -> None:
    found = augment(["我喜欢火车"], 20, seed=0)[:20]
    assert {len(text) for text in found} >= {1, 2, 3}


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 3), st.integers(0, 2**31))
def test_no_text_is_blank_and_the_seed_decides(sentences: list[str], n: int, seed: int) -> None:
    found = augment(sentences, n, seed)
    assert all(text.strip() for text in found)
    assert found == augment(sentences, n, seed)
    assert n or not found


def test_taught_words_come_alone_and_four_times_as_often_among_others() -> None:
    made = augment(["The train to Boston was late today.", "A cat sat on the mat."], 2, seed=0, teach=["Kubernetes"])
    assert made.count("kubernetes") == 1
    assert sum("Kubernetes" in text for text in made) == 2 * 2 * 3
    assert sum("kubernetes" in text for text in made) == 1 + 2 * 2
    assert augment(["One two three."], 2, seed=0) == augment(["One two three."], 2, seed=0, teach=[])


@pytest.mark.parametrize(
    ("teach", "message"),
    [(["word " * 2001], "has 10,005 characters"), ([f"w{i}" for i in range(100_001)], "more than 100,000 words")],
)
def test_teaching_has_a_limit(teach: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(["One two three."], 2, seed=0, teach=teach)
