from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from flip.errors import InputError, UsageError
from flip.text.tokenize import SurfaceCounter, Tokenizer, normalize
from flip.text.vocabulary import Vocabulary, build_vocabulary, options_path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_df": 2},
        {"min_df": 0.002, "max_df": 0.3},
        {"max_df": 50},
        {"ngram": (1, 2), "min_df": 3},
        {"ngram": (2, 2)},
    ],
)
def test_equals_count_vectorizer(sentences: list[str], options: dict) -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    options = dict(options)
    ngram = options.pop("ngram", (1, 1))
    ours = build_vocabulary(sentences, Tokenizer(ngram=ngram), max_features=None, **options)
    theirs = CountVectorizer(token_pattern=r"(?u)\b\w\w+\b", preprocessor=normalize, ngram_range=ngram, **options)
    theirs.fit(sentences)
    assert ours.index == {word: int(i) for word, i in theirs.vocabulary_.items()}


@pytest.mark.parametrize(
    "options", [{"max_df": 1}, {"min_df": 1.0}, {"min_df": 1, "max_df": 1.0}, {"min_df": 0.5}, {"max_df": 2}]
)
def test_integers_count_sentences_and_decimals_are_shares_as_in_count_vectorizer(options: dict) -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["the cat sat", "the dog sat", "the bird flew"]
    theirs = CountVectorizer(token_pattern=r"(?u)\b\w\w+\b", **options).fit(texts)
    assert list(build_vocabulary(texts, Tokenizer(), **options).words) == sorted(theirs.vocabulary_)


@pytest.mark.parametrize("bound", [2.0, -1, -0.5, float("nan"), True, "x", "1.5", None])
def test_a_bound_out_of_range_is_refused(bound: object) -> None:
    with pytest.raises(UsageError, match="not a bound on a frequency"):
        build_vocabulary(["one two"], Tokenizer(), max_df=bound)  # type: ignore[arg-type]


def test_a_vocabulary_of_clauses_gives_advice() -> None:
    chinese = ["我今天很高兴。", "他昨天去了北京。"]
    assert "--tokenizer chinese" in (build_vocabulary(chinese, Tokenizer()).unsegmented or "")
    assert build_vocabulary(chinese, Tokenizer("unicode")).unsegmented is None
    assert "--tokenizer thai" in (build_vocabulary(["สวัสดีชาวโลก"], Tokenizer()).unsegmented or "")
    assert "segmenter" in (build_vocabulary(["ສະບາຍດີຊາວໂລກ"], Tokenizer()).unsegmented or "")
    assert build_vocabulary(["나는 오늘 행복하다", "हिन्दी भाषा"], Tokenizer()).unsegmented is None


def test_accents_as_count_vectorizer_strips_them() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["Çà et là, déjà vu", "naïve café ﬁn"]
    for accents in ("ascii", "unicode"):
        theirs = CountVectorizer(token_pattern=r"(?u)\b\w\w+\b", strip_accents=accents).fit(map(normalize, texts))
        ours = build_vocabulary(texts, Tokenizer(strip_accents=accents))
        assert list(ours.words) == sorted(theirs.vocabulary_)


def test_the_most_frequent_words_are_kept_ties_alphabetically() -> None:
    texts = ["bb bb aa", "cc aa bb", "dd cc ee"]
    assert build_vocabulary(texts, Tokenizer(), max_features=3).words == ("aa", "bb", "cc")
    assert build_vocabulary(texts, Tokenizer(), max_features=4).words == ("aa", "bb", "cc", "dd")


def test_given_words_are_kept_whole_and_in_their_order() -> None:
    lines = ["zebra", "New York!", "Cat", "", "cat", "a", "dog"]
    built = build_vocabulary(["The cat sat in New York", "a dog ran"], Tokenizer(), words=lines, max_features=1)
    assert built.words == ("zebra", "new york", "cat", "a", "dog")
    assert built.tokenizer.ngram == (1, 2)
    assert built.lookup(built.tokenizer("A dog in New York.")) == [4, 1]
    assert built.surface("new york") == "New York"
    with pytest.raises(InputError, match="no word"):
        build_vocabulary(["The cat"], Tokenizer(), words=["", " "])


def test_taught_words_are_in_whether_they_occur_or_not() -> None:
    built = build_vocabulary(
        ["The cat sat"], Tokenizer(), min_df=1, max_features=2, teach=["Kubernetes", "the", "New York"]
    )
    assert built.words == ("cat", "kubernetes", "new", "sat", "the", "york")
    assert (built.surface("kubernetes"), built.surface("york")) == ("Kubernetes", "York")


def test_text_is_read_once_and_lazily(sentences: list[str]) -> None:
    assert build_vocabulary(iter(sentences), Tokenizer()) == build_vocabulary(sentences, Tokenizer())


def test_nothing_to_build_from() -> None:
    with pytest.raises(InputError, match="no text"):
        build_vocabulary(["", ""], Tokenizer())
    with pytest.raises(InputError, match="none of 2 words in 1 sentences is left"):
        build_vocabulary(["one two"], Tokenizer(), min_df=2)


def test_round_trip_with_options(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("aa", "bb"), Tokenizer("whitespace", "ascii", (1, 2)))
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary
    assert orjson.loads((tmp_path / "v.json").read_bytes()) == {"aa": 0, "bb": 1}
    options_path(tmp_path / "v.json").unlink()
    assert Vocabulary.load(tmp_path / "v.json").tokenizer == Tokenizer()


@pytest.mark.parametrize(
    ("forms", "surface"),
    [
        ({"queens": 3, "Queens": 2, "Queen's": 9}, "queens"),
        ({"queens": 2, "Queens": 3, "Queen's": 9}, "Queens"),
        ({"Queen's": 9, "queens": 4}, "Queen's"),
        ({"Queen's": 6, "queen's": 2, "queens": 4}, "queens"),
        ({"Boston": 9, "BOSTON": 8}, "Boston"),
        ({"can't": 5, "Can't": 4, "cant": 2}, "can't"),
        ({"us": 5, "US": 3, "U.S": 3}, "us"),
    ],
)
def test_a_form_without_signs_stands_for_the_others(forms: dict[str, int], surface: str) -> None:
    counter = SurfaceCounter()
    counter.add(f"Here {form}" for form, count in forms.items() for _ in range(count))
    (word,) = {word for form in forms for word in Tokenizer().words(form)}
    assert counter.surfaces(Tokenizer(), [word]).get(word, word) == surface


def test_surfaces_are_how_people_write_the_words(tmp_path: Path) -> None:
    texts = ["The state-of-the-art train to Boston, today's best.", "In Boston, new trains.", "A train — Boston's."]
    built = build_vocabulary(texts, Tokenizer())
    assert built.surface("boston") == "Boston"
    assert built.surface("bostons") == "Boston's"
    assert built.surface("stateoftheart") == "state-of-the-art"
    assert built.surface("train") == "train"
    assert "train" not in built.surfaces
    built.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json").surfaces == built.surfaces
    pairs = build_vocabulary(texts, Tokenizer(ngram=(2, 2)))
    assert pairs.surface("to boston") == "to Boston"


@pytest.mark.parametrize("given", [{"teach": ["word " * 2001]}, {"words": ["cat", "x" * 10_001]}])
def test_a_line_of_words_has_a_limit(given: dict[str, list[str]]) -> None:
    with pytest.raises(InputError, match=r"has 10,0\d\d characters, more than 10,000: '"):
        build_vocabulary(["The cat sat"], Tokenizer(), **given)
    assert "x" * 10_000 in build_vocabulary(["The cat sat"], Tokenizer(), teach=["x" * 10_000]).index


def test_words_to_teach_have_a_limit() -> None:
    lines = [f"word{i}" for i in range(100_001)]
    assert len(build_vocabulary(["The cat sat"], Tokenizer(), teach=[*lines[:-1], *lines[:5]])) == 100_003
    with pytest.raises(InputError, match="more than 100,000 words to teach"):
        build_vocabulary(["The cat sat"], Tokenizer(), teach=lines)
    with pytest.raises(InputError, match="more than 100,000 words to teach"):
        build_vocabulary(["The cat sat"], Tokenizer(), words=["cat"], teach=lines)


def test_indices_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"zz": 1, "aa": 2, "mm": 0}')
    assert Vocabulary.load(tmp_path / "v.json").words == ("mm", "zz", "aa")


@pytest.mark.parametrize("content", ['{"a": 0, "b": 2}', '{"a": 0, "b": 0}', '{"a": "x"}', "[]", "{}", "not json"])
def test_a_damaged_vocabulary_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(InputError, match="v.json"):
        Vocabulary.load(tmp_path / "v.json")
