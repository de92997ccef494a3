"""Cut texts into sentences and parts, and Chinese, Japanese and Thai into words, which takes a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

from flip.errors import UnavailableError

if TYPE_CHECKING:
    from regex import Pattern

Unspaced = Literal["chinese", "japanese", "thai"]
UNSPACED: tuple[Unspaced, ...] = get_args(Unspaced)

_SCRIPTS: dict[Unspaced, str] = {
    "chinese": r"\p{Han}",
    "japanese": r"[\p{Han}\p{Hiragana}\p{Katakana}ー]",
    "thai": r"\p{Thai}",
}


def segments(text: str, language: Unspaced) -> Iterator[tuple[int, int]]:
    """Yield start and end of each word of a text. Words in other scripts are those of `unicode_words`.

    A dictionary sees one run of its scripts at a time, so that the words do not depend on what stands beside it.

    Raises:
        UnavailableError: the package with the dictionary is not installed.

    >>> [text[start:stop] for text in ["我喜欢绿茶，2杯。"] for start, stop in segments(text, "chinese")]
    ['我', '喜欢', '绿茶', '2', '杯']
    """
    part = _dictionary(language)
    for run in _runs(language).finditer(text):
        start = run.start()
        for word in part(run[0]) if run["script"] else [run[0]]:
            yield start, start + len(word)
            start += len(word)


@cache
def unicode_words() -> Pattern[str]:
    """Return the pattern of a word by the boundaries of UAX #29, which needs no spaces (an ideograph is a word)."""
    import regex

    return regex.compile(_WORD, regex.WORD | regex.V1)


_WORD = r"\b\w.*?\b"


@cache
def _runs(language: Unspaced) -> Pattern[str]:
    """Return the pattern of a run of a language's scripts, which is its group `script`, or of another word."""
    import regex

    own = _SCRIPTS[language]
    return regex.compile(rf"(?P<script>{own}+)|\b(?!{own})\w.*?(?:\b|(?={own}))", regex.WORD | regex.V1)


@cache
def _dictionary(language: Unspaced) -> Callable[[str], list[str]]:
    """Return the function from a run of a language's scripts to its words, which joined are the run."""
    package = {"chinese": "rjieba", "japanese": "janome", "thai": "pythainlp"}[language]
    try:
        if language == "chinese":
            import rjieba

            return lambda run: list(rjieba.cut(run))
        if language == "japanese":
            from janome.tokenizer import Tokenizer

            parts = Tokenizer(wakati=True)
            return lambda run: [str(word) for word in parts.tokenize(run)]
        from pythainlp.tokenize import word_tokenize

        return lambda run: list(word_tokenize(run, keep_whitespace=False))
    except ImportError as error:
        raise UnavailableError(
            f"the words of {language.title()} text are in the package {package}, which is not installed",
            "pip install 'flip-interpret[words]'; or --tokenizer unicode takes each character as a word"
            if language != "thai"
            else "pip install 'flip-interpret[words]'; or part the words by spaces first",
        ) from error


def sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of a text; joined, they are the text.

    language: in ISO 639-1; one without rules of its own is cut by those that most languages share.

    Raises:
        UnavailableError: the package sentencex is not installed.
    """
    try:
        import sentencex
    except ImportError as error:
        raise UnavailableError(
            f"the ends of sentences are found by sentencex, which cannot be imported: {error}",
            "pip install 'flip-interpret[chunk]'",
        ) from error
    return list(sentencex.segment(language, text))


def parts(text: str, most: int, language: str = "en") -> list[str]:
    """Return parts of a text of at most `most` words: as many whole sentences as fit, a longer sentence in pieces.

    Words are those of `unicode_words`, so that scripts without spaces are counted too. Spaces around parts are dropped.

    Raises:
        UnavailableError: see `sentences`.
    """
    found, words = [""], 0
    for piece, count in _pieces(text, most, language):
        if words + count > most:
            found.append("")
            words = 0
        found[-1] += piece
        words += count
    return [part for one in found if (part := one.strip())]


def _pieces(text: str, most: int, language: str) -> Iterator[tuple[str, int]]:
    """Yield what is not cut further, with its number of words: sentences, or pieces of longer ones."""
    for sentence in sentences(text, language):
        starts = [match.start() for match in unicode_words().finditer(sentence)]
        edges = [0, *starts[most::most], len(sentence)]
        for i, (start, stop) in enumerate(pairwise(edges)):
            yield sentence[start:stop], min(most, len(starts) - i * most)
