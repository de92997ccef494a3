"""Cut texts at the ends of sentences, and long ones into parts of several sentences."""

from collections.abc import Iterator
from itertools import pairwise

from flip.errors import UnavailableError
from flip.text.segment import unicode_words


def sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of a text; joined, they are the text.

    language: in ISO 639-1; one without rules of its own is cut by those that most languages share.

    Raises:
        UnavailableError: the package sentencex is not installed.
    """
    try:
        from sentencex import segment
    except ImportError as error:
        raise UnavailableError(
            f"the ends of sentences are found by sentencex, which cannot be imported: {error}",
            "pip install 'flip-interpret[chunk]'",
        ) from error
    return list(segment(language, text))


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
