"""Normalise and tokenise text, and count how people write a word: no other module turns text into words.

Normalisation follows the published evaluation of Kesiraju et al. 2026, which was written for English: lower-case,
punctuation removed (not replaced by a space, so "don't" is `dont`), white space collapsed. For other scripts it adds
canonical composition (NFC), combining marks as parts of words, and the punctuation of all scripts, which separates
words like a space.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

from flip.errors import InputError
from flip.text.segment import UNSPACED, Unspaced, segments, unicode_words

if TYPE_CHECKING:
    from regex import Pattern

TokenizerName = Literal["latin", "unicode", "whitespace", "chinese", "japanese", "thai"]
Accents = Literal["none", "ascii", "unicode"]
TokenSource = Literal["vocabulary", "published"]  # the tokenizer of reference sentences

LONGEST_NGRAM = 16  # words; a longer one names a sentence rather than its content

_QUOTES = "‘’‚‛“”„‟‹›«»´ʼ′″"
_DASHES = "‐‑‒–—―−"
_ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_PUBLISHED = str.maketrans("", "", string.punctuation + _QUOTES + _DASHES + _ZERO_WIDTH)
# Signs that stand inside words, as the apostrophe does: Hebrew geresh, gershayim and maqaf, the Catalan middle dot,
# Armenian accents.
_WITHIN_WORDS = "׳״־·՛՜՞"
_BLANKS = re.compile(r"\s+")

_PLAIN = 3  # a form without signs stands for the others if it has at least one use in so many
_MOST = 2_000_000  # forms kept in memory; beyond that, those seen once are forgotten


class _Removed(dict[int, str]):
    """Replacement of a character: nothing, a space for the punctuation of other scripts, or itself; filled on use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = " " if unicodedata.category(character).startswith("P") else character
        return self[code]


_REMOVED = _Removed(dict.fromkeys(_PUBLISHED, "") | {ord(c): "" for c in _WITHIN_WORDS})


def normalize(text: str, lowercase: bool = True) -> str:
    """Compose (NFC), lower-case, remove punctuation and zero-width characters, collapse white space.

    >>> normalize("  “Don’t  stop—now!” ")
    'dont stopnow'
    >>> normalize("¿Qué, İzmir？")
    'qué izmir'
    """
    if text.isascii():
        return " ".join((text.lower() if lowercase else text).translate(_PUBLISHED).split())
    composed = unicodedata.normalize("NFC", text)
    if lowercase:
        # Lower-casing the Turkish İ gives an i and a combining dot, which no Turkish word is spelled with.
        composed = composed.replace("İ", "i").lower()
    # Compose once more: a removed character may have stood between a letter and its mark.
    bare = unicodedata.normalize("NFC", composed.translate(_REMOVED))
    return _BLANKS.sub(" ", bare).strip()


def strip_accents(text: str, accents: Accents) -> str:
    """Remove accents after NFKD: `unicode` drops combining marks and `ascii` drops everything outside ASCII.

    >>> strip_accents("café", "ascii"), strip_accents("straße é", "unicode")
    ('cafe', 'straße e')
    """
    if accents == "none" or text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    if accents == "ascii":
        return decomposed.encode("ascii", "ignore").decode("ascii")
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def published_tokens(text: str) -> list[str]:
    """Return tokens of a reference sentence as in the published evaluation: lower-case, no punctuation, split on space.

    >>> published_tokens("I don't know — 3.5 km!")
    ['i', 'dont', 'know', '35', 'km']
    """
    return text.lower().translate(_PUBLISHED).split()


_PUBLISHED_WORDS = re.compile(r"\b\w\w+\b")
_ASCII_WORDS = re.compile(r"\w\w+", re.ASCII)


@cache
def _latin_words() -> Pattern[str]:
    import regex

    # Not \w: in this library it includes circled letters, unlike in the `re` of the published pattern.
    return regex.compile(r"[\p{L}\p{M}\p{N}_]{2,}")


def _latin(text: str) -> list[str]:
    return _ASCII_WORDS.findall(text) if text.isascii() else _latin_words().findall(text)


@dataclass(frozen=True)
class Tokenizer:
    """Turn text into words. A call returns the n-grams of a sentence in order, with spaces between their words.

    name: `latin` is the published `(?u)\\b\\w\\w+\\b`, with combining marks as parts of their words; `whitespace`
        splits on white space (published as `indic`); `unicode` takes the words of `unicode_words`; `chinese`,
        `japanese` and `thai` part the text of these languages by a dictionary.
    ngram: smallest and largest n.
    normalize: strip punctuation, and lower-case the rest unless `lowercase` is False.
    """

    name: TokenizerName = "latin"
    strip_accents: Accents = "none"
    ngram: tuple[int, int] = (1, 1)
    normalize: bool = True
    lowercase: bool = True

    @property
    def lowers(self) -> bool:
        """Whether its words have no capitals."""
        return self.normalize and self.lowercase

    @cached_property
    def _split(self) -> Callable[[str], list[str]]:
        if self.name == "latin":
            return _latin
        if self.name == "whitespace":
            return str.split
        if (language := self._unspaced) is not None:
            return lambda text: [text[start:stop] for start, stop in segments(text, language)]
        return unicode_words().findall

    @property
    def _unspaced(self) -> Unspaced | None:
        return next((language for language in UNSPACED if language == self.name), None)

    def words(self, text: str) -> list[str]:
        """Return the unigrams of `text`, in order."""
        return self._split(self._prepared(text))

    def _prepared(self, text: str) -> str:
        text = normalize(text, self.lowercase) if self.normalize else unicodedata.normalize("NFC", text)
        return strip_accents(text, self.strip_accents)

    def __call__(self, text: str) -> list[str]:
        return self._ngrams(self.words(text))

    def unstripped(self, text: str) -> list[str]:
        """Return the n-grams that the published training counts: punctuation is not removed first, but parts words.

        >>> Tokenizer()("Don't stop-now"), Tokenizer().unstripped("Don't stop-now")
        (['dont', 'stopnow'], ['don', 'stop', 'now'])
        """
        text = strip_accents(text.lower() if self.lowers else text, self.strip_accents)
        return self._ngrams(_PUBLISHED_WORDS.findall(text) if self.name == "latin" else self._split(text))

    def _ngrams(self, words: list[str]) -> list[str]:
        if self.ngram == (1, 1):
            return words
        low, high = self.ngram
        return [" ".join(words[i : i + n]) for n in range(low, high + 1) for i in range(len(words) - n + 1)]

    def runs(self, form: str) -> list[str]:
        """Cut a form without spaces at every possible end of a word; joined, the runs are the form again.

        >>> Tokenizer().runs("wait…stop-now"), Tokenizer("unicode").runs("今天。")
        (['wait', '…', 'stop-now'], ['今', '天。'])
        """
        if self.name == "unicode" or self._unspaced is not None:
            starts = (
                [match.start() for match in unicode_words().finditer(form)]
                if self._unspaced is None
                else [start for start, _ in segments(form, self._unspaced)]
            )
            return [form[start:stop] for start, stop in pairwise([0, *starts[1:], len(form)])]
        return ["".join(run) for _, run in groupby(form, self._separates)]

    def of_run(self, run: str) -> list[str]:
        """Return the words of one of the `runs`: what a dictionary has parted is not parted again."""
        if self._unspaced is None:
            return self.words(run)
        bare = "".join(self._prepared(run).split())
        return [bare] if bare else []

    def _separates(self, character: str) -> bool:
        """Return whether words of a form end at a character."""
        if self.normalize:
            return _REMOVED[ord(character)] == " "
        return not (character.isalnum() or character == "_" or unicodedata.category(character).startswith("M"))

    def unigrams(self, texts: Iterable[str]) -> list[str]:
        """Return the unigrams of many texts in one pass, several times faster than one call each."""
        return self.words("\n".join(texts))

    def to_dict(self) -> Mapping[str, object]:
        """Return the options as stored in JSON; `lowercase` only if it is False, as older files lack it."""
        return {key: value for key, value in asdict(self).items() if key != "lowercase" or not value}

    @classmethod
    def from_dict(cls, options: object, source: str) -> Tokenizer:
        """Read the options that `to_dict` returns; `source` names the file in the error."""
        found: Mapping[str, Any] = options if isinstance(options, Mapping) else {"name": options}
        name, accents, normalize = (
            found.get("name", "latin"),
            found.get("strip_accents", "none"),
            found.get("normalize"),
        )
        ngram, lowercase = found.get("ngram", (1, 1)), found.get("lowercase")
        if (
            name not in get_args(TokenizerName)
            or accents not in get_args(Accents)
            or not isinstance(normalize, bool | None)
            or not isinstance(lowercase, bool | None)
            or not isinstance(ngram, list | tuple)
            or not is_ngram(ngram)
        ):
            raise InputError(
                f"{source}: unknown tokenizer options {str(options)[:200]}",
                f"tokenizers: {', '.join(get_args(TokenizerName))}; accents: {', '.join(get_args(Accents))}; "
                f"ngram: two numbers up to {LONGEST_NGRAM}; normalize, lowercase: true or false",
            )
        return cls(name, accents, (ngram[0], ngram[1]), normalize is not False, lowercase is not False)


def is_ngram(bounds: Sequence[int]) -> bool:
    """Return whether these are a smallest and a largest n."""
    return len(bounds) == 2 and all(type(n) is int for n in bounds) and 1 <= bounds[0] <= bounds[1] <= LONGEST_NGRAM


class SurfaceCounter:
    """Count forms between spaces; the first of a sentence counts separately, as any word has a capital there."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()
        self._first: Counter[str] = Counter()

    def add(self, texts: Iterable[str]) -> None:
        """Count the forms of some sentences."""
        for text in texts:
            forms = text.split()
            self._first.update(forms[:1])
            self._inside.update(forms[1:])
        for counts in (self._inside, self._first):
            if len(counts) > _MOST:
                for form in [form for form, count in counts.items() if count == 1]:
                    del counts[form]

    def surfaces(self, tokenizer: Tokenizer, words: Iterable[str]) -> dict[str, str]:
        """Return the most frequent form of each word, if it differs from the word itself.

        The signs come first: none, if at least a third of the uses has none ("queens" stands for "Queen's" too), else
        the most frequent ones. Then the most frequent case of that form. For an n-gram it returns the forms of its
        words. A form that holds several words does not count. The first form of a sentence counts only if the word has
        no other. Typographic and plain apostrophes are the same.

        >>> counter = SurfaceCounter()
        >>> counter.add(["Today’s train to Boston", "The state-of-the-art trains of today’s Boston"])
        >>> from flip.text.tokenize import Tokenizer
        >>> counter.surfaces(Tokenizer(), {"todays", "boston", "the", "stateoftheart", "train"})
        {'boston': 'Boston', 'stateoftheart': 'state-of-the-art', 'todays': "today's", 'the': 'The'}
        """
        parts = {part for word in words for part in word.split(" ")}
        chosen: dict[str, str] = {}
        for counts in (self._inside, self._first):
            found: dict[str, Counter[str]] = defaultdict(Counter)
            for form, count in counts.items():
                match = _bare().search(form)
                if match is not None and len(cut := tokenizer.words(form)) == 1 and cut[0] in parts:
                    found[cut[0]][match[0].replace("’", "'")] += count
            for word, forms in found.items():
                chosen.setdefault(word, _usual(word, forms))
        return {word: surface for word, surface in chosen.items() if surface != word}


def _usual(word: str, forms: Counter[str]) -> str:
    """Return the form of a word that stands for all of them, see `SurfaceCounter.surfaces`."""
    signs: Counter[str] = Counter()
    for form, count in forms.items():
        signs[form.lower()] += count
    (usual, _), *_ = signs.most_common(1)
    best = word if _PLAIN * signs[word] >= forms.total() else usual
    return min((form for form in forms if form.lower() == best), key=lambda form: (-forms[form], form != word, form))


@cache
def _bare() -> Pattern[str]:
    """Return the pattern of a form without the punctuation around it."""
    import regex

    return regex.compile(r"[\w\p{M}](?:.*[\w\p{M}])?")
