"""Strings that nobody wrote: their statistics, and what the file of English pairs may not give away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from flip.errors import InputError, UsageError
from flip.text.strings import ENGLISH, Chain, WordList, drawn, generate, language_of, own_words

THREE = WordList(("aa", "bb", "cc"), np.array([0.75, 0.24, 0.01]))


@pytest.fixture(scope="module")
def english() -> Chain:
    return Chain.load()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_words_are_drawn_by_their_weights() -> None:
    rows = drawn(np.array([1.0, 0.0, 3.0]), np.array([2, 0, 6_000]), rng())
    assert [len(row) for row in rows] == [2, 0, 6_000]
    counts = Counter(rows[2])
    assert counts[1] == 0
    assert counts[2] / 6_000 == pytest.approx(0.75, abs=0.03)
    assert drawn(np.ones(2), np.zeros(0, np.int64), rng()) == []


def test_half_of_the_strings_are_natural_and_the_others_flat() -> None:
    made = generate(THREE, 4_001, 3)
    assert (len(made.texts), made.natural) == (4_001, 2_001)
    assert made == generate(THREE, 4_001, 3)
    assert made != generate(THREE, 4_001, 4)
    shares = []
    for texts in (made.texts[: made.natural], made.texts[made.natural :]):
        words = Counter(word for text in texts for word in text.split())
        shares.append([words[word] / words.total() for word in THREE.words])
    root = np.sqrt(THREE.frequencies)
    assert shares == [
        pytest.approx(THREE.frequencies.tolist(), abs=0.01),
        pytest.approx((root / root.sum()).tolist(), abs=0.01),
    ]
    lengths = [len(text.split()) for text in made.texts[made.natural :]]
    assert (min(lengths), max(lengths)) == (3, 14)


def test_a_natural_string_is_as_long_as_a_sentence(english: Chain) -> None:
    for language in (THREE, english):
        lengths = np.array([len(text.split()) for text in language.natural(3_000, rng())])
        assert lengths.min() >= 3 and lengths.max() <= 40
        assert 11 < lengths.mean() < 18


def test_english_words_follow_each_other_as_people_write_them(english: Chain) -> None:
    texts = english.natural(4_000, rng())
    assert all(text[0] == text[0].upper() and text.endswith(".") and "  " not in text for text in texts)
    pairs = Counter(pair for text in texts for pair in zip(text.split(), text.split()[1:], strict=False))
    assert pairs["of", "the"] > 200 > pairs["the", "of"]
    words = Counter(word for text in texts for word in text.lower().replace(",", "").strip(".").split())
    assert {word for word, _ in words.most_common(12)} >= {"the", "of", "and", "to", "in"}
    assert words["the"] / words.total() == pytest.approx(english.frequencies[english.words.index("the")], rel=0.15)


def test_the_file_of_english_has_no_sentence(english: Chain) -> None:
    """A string of eight words comes out by the chances of its pairs alone, and the likeliest has next to none."""
    with np.load(ENGLISH) as stored:
        assert set(stored.files) == {"words", "counts", "starts", "followers", "pairs"}
        assert stored["starts"][-1] == len(stored["followers"]) == len(stored["pairs"])
    assert ENGLISH.stat().st_size < 4e6
    before = np.repeat(np.arange(len(english.counts)), np.diff(english.starts))
    sums = np.bincount(before, english.follower_counts, len(english.counts))
    chance = english.follower_counts / np.maximum(sums, english.counts)[before]
    best = english.counts / english.counts[1:].sum()
    best[0] = 0  # begins anywhere within a string
    for _ in range(7):
        reached = np.where(english.followers > 0, best[before] * chance, 0)
        best = np.zeros_like(best)
        np.maximum.at(best, english.followers, reached)
    assert best.max() < 1e-6


def test_words_of_other_languages_are_those_of_wordfreq() -> None:
    pytest.importorskip("wordfreq", reason="needs the extra words")
    for code in ("deu", "deu_Latn", "de-AT", "de"):
        german = language_of(code)
        assert isinstance(german, WordList)
        assert {"der", "und", "haus"} <= set(german.words[:2_000])
        assert german.frequencies.sum() == pytest.approx(1)
    assert " " not in language_of("zho_Hans").natural(1, rng())[0]
    assert any("\u0900" <= sign <= "\u097f" for sign in language_of("hin_Deva").natural(1, rng())[0])
    assert isinstance(language_of("eng_Latn"), Chain)
    with pytest.raises(UsageError, match="wordfreq has no list of it"):
        language_of("swh_Latn")
    with pytest.raises(UsageError, match="wordfreq has no list of it"):
        language_of("zho_Hant")  # the list has simplified characters
    for code, same in (("cmn", "zh"), ("hrv", "sh"), ("nob", "nb"), ("kor_Hang", "ko"), ("arb_Arab", "ar")):
        assert language_of(code).words == language_of(same).words


def test_words_of_ones_own() -> None:
    found = own_words(["flux capacitor\t3", "tachyon 1", "warp drive", "warp drive 2", "", "7"], "words.txt")
    assert dict(zip(found.words, (found.frequencies * 8).tolist(), strict=True)) == pytest.approx(
        {"flux capacitor": 3, "tachyon": 1, "warp drive": 3, "7": 1}
    )
    with pytest.raises(InputError, match=r"words\.txt: no word"):
        own_words(["", " "], "words.txt")
    with pytest.raises(InputError, match=r"words\.txt, line 2: a count of 0"):
        own_words(["a 1", "b 0"], "words.txt")
