"""Find the words that belong together: forms of one word by their stem, and names of several words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flip.text.align import Piece

_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "nb": "norwegian", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_LONGEST = 4  # words of a name; more are a heading, or a sentence that the text repeats
_ENDS = frozenset(".!?:;…。！？։।")


def stemmer(language: str | None) -> Callable[[str], str]:
    """Return the function from a word to its stem; each word is its own stem in a language without one, or for None.

    language: such as en, eng or eng_Latn.

    >>> stem = stemmer("eng_Latn")
    >>> len({stem(word) for word in ("measure", "measuring", "measures", "measured")})
    1
    """
    import langcodes

    try:
        code = langcodes.Language.get(language).language if language else None
    except ValueError:  # a name that is no code
        code = None
    return _snowball(_SNOWBALL[code]) if code in _SNOWBALL else str


@cache
def _snowball(name: str) -> Callable[[str], str]:
    import snowballstemmer

    stem: Callable[[str], str] = snowballstemmer.stemmer(name).stemWord
    return stem


@dataclass(frozen=True, slots=True)
class Name:
    """Neighbouring words of a text that name one thing, such as New York. first: the number of its first piece."""

    text: str
    words: tuple[str, ...]
    first: int
    last: int


def names(pieces: Sequence[Piece], function_words: Collection[str]) -> list[Name]:
    """Return the names of several words in a text, at most four.

    Two neighbours belong to one name if both have a capital, as in New York, and the first does not begin a sentence;
    or if they stand together more than once in the text, as in blood pressure, which needs a list of function words.
    Those belong to no name, nor do words with a sign between them.
    """
    function = set(function_words)
    places = [i for i, piece in enumerate(pieces) if len(piece.words) == 1]
    word = {i: pieces[i].words[0] for i in places}
    beside = [
        (i, j)
        for i, j in pairwise(places)
        if j == i + 2 and pieces[i + 1].text.isspace() and not {word[i], word[j]} & function
    ]
    often = Counter((word[i], word[j]) for i, j in beside) if function else Counter[tuple[str, str]]()
    bound = {
        i: j
        for i, j in beside
        if often[word[i], word[j]] > 1
        or (_has_capital(pieces[i]) and _has_capital(pieces[j]) and not _begins_a_sentence(pieces, i))
    }
    found = []
    for start in bound.keys() - set(bound.values()):
        chain = [start]
        while chain[-1] in bound:
            chain.append(bound[chain[-1]])
        if len(chain) <= _LONGEST:
            text = " ".join(pieces[i].text for i in chain)
            found.append(Name(text, tuple(word[i] for i in chain), chain[0], chain[-1]))
    return sorted(found, key=lambda name: name.first)


def _has_capital(piece: Piece) -> bool:
    return piece.text[:1].isupper() and not piece.text.isupper()


def _begins_a_sentence(pieces: Sequence[Piece], i: int) -> bool:
    for piece in (pieces[j] for j in range(i - 1, -1, -1)):
        if piece.words or not _ENDS.isdisjoint(piece.text):
            return not piece.words
    return True
