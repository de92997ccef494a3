"""Cut a text into pieces as it is written, each with its words by a vocabulary's tokenizer.

Find the words that belong together: names of several words among the pieces, and forms of one word by their stem.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain, groupby, pairwise

from flip.text.bow import spans
from flip.text.vocabulary import Vocabulary

_FORMS, _LONGEST_FORM = 1 << 14, 64  # number and length of the forms in the cache
_CHUNK = re.compile(r"\s+|\S+")
_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "nb": "norwegian", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_LONGEST = 4  # words of a name; more are a heading, or a sentence that the text repeats
_ENDS = frozenset(".!?:;…。！？։।")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text as it is written. words: by the vocabulary's tokenizer; none for a part between words."""

    text: str
    words: tuple[str, ...] = ()


class Reader:
    """Cut texts into the words of a vocabulary, as they are written.

    >>> from flip.text.vocabulary import Vocabulary
    >>> [(piece.text, *piece.words) for piece in Reader(Vocabulary(("dont",))).pieces("“Don’t”  go!")]
    [('“',), ('Don’t', 'dont'), ('”',), ('  ',), ('go', 'go'), ('!',)]
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._cut = lru_cache(_FORMS)(self._cut_form)

    def pieces(self, text: str) -> list[Piece]:
        """Return the pieces of a text, in order; joined, they are the text. The longest n-grams count.

        If normalisation joins a form to a word that the vocabulary lacks, the form is cut at its signs, provided that a
        part is known. Forms between spaces are cut one by one: normalisation works on characters, and words hold no
        space.
        """
        pieces: list[Piece] = []
        for chunk in _CHUNK.findall(text):
            pieces += self._cut(chunk) if len(chunk) <= _LONGEST_FORM else self._cut_form(chunk)
        return self._joined(pieces) if self._vocabulary.longest > 1 else pieces

    def ngrams(self, text: str) -> set[str]:
        """Return all words and n-grams of the text, as long as those of the vocabulary."""
        return set(replace(self._vocabulary.tokenizer, ngram=(1, self._vocabulary.longest))(text))

    def _cut_form(self, form: str) -> list[Piece]:
        words = self._vocabulary.tokenizer.words
        found = words(form)
        if len(found) > 1:
            runs = self._vocabulary.tokenizer.runs(form)
            cut = [self._vocabulary.tokenizer.of_run(run) for run in runs]
            if list(chain(*cut)) == found and max(map(len, cut)) == 1:
                return [piece for run, own in zip(runs, cut, strict=True) for piece in _bare(run, own)]
        if len(found) == 1 and found[0] not in self._vocabulary.index:  # "late.The", "black/white"
            parts = ["".join(part) for _, part in groupby(form, _of_word)]
            cut = [words(part) for part in parts]
            if any(word in self._vocabulary.index for word in chain(*cut)):
                return [piece for part, own in zip(parts, cut, strict=True) for piece in _bare(part, own)]
        return _bare(form, found)

    def _joined(self, pieces: list[Piece]) -> list[Piece]:
        """Join the pieces of each n-gram."""
        places = [i for i, piece in enumerate(pieces) if piece.words]
        tokens = [" ".join(pieces[i].words) for i in places]
        joined: list[Piece] = []
        token = after = 0
        for n, _ in spans(tokens, self._vocabulary.index, self._vocabulary.longest):
            first, last = places[token], places[token + n - 1]
            joined += pieces[after:first]
            if n == 1:
                joined.append(pieces[first])
            else:
                whole = "".join(piece.text for piece in pieces[first : last + 1])
                joined.append(Piece(whole, (" ".join(tokens[token : token + n]),)))
            token, after = token + n, last + 1
        return joined + pieces[after:]


def _of_word(character: str) -> bool:
    return character.isalnum() or character in "'’" or unicodedata.category(character)[0] == "M"


def _bare(form: str, words: Sequence[str]) -> list[Piece]:
    """Separate a form from the signs around it; a form of signs alone is a word if the tokenizer takes it for one."""
    if not words:
        return [Piece(form)]
    inside = [i for i, c in enumerate(form) if c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M"]
    first, last = (inside[0], inside[-1] + 1) if inside else (0, len(form))
    around = Piece(form[:first]), Piece(form[first:last], tuple(words)), Piece(form[last:])
    return [piece for piece in around if piece.text]


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
        run = [start]
        while run[-1] in bound:
            run.append(bound[run[-1]])
        if len(run) <= _LONGEST:
            text = " ".join(pieces[i].text for i in run)
            found.append(Name(text, tuple(word[i] for i in run), run[0], run[-1]))
    return sorted(found, key=lambda name: name.first)


def _has_capital(piece: Piece) -> bool:
    return piece.text[:1].isupper() and not piece.text.isupper()


def _begins_a_sentence(pieces: Sequence[Piece], i: int) -> bool:
    for piece in (pieces[j] for j in range(i - 1, -1, -1)):
        if piece.words or not _ENDS.isdisjoint(piece.text):
            return not piece.words
    return True
