from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flip.data.augmentation import augment
from flip.errors import InputError

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
