"""Text normalisation and tokenisers: the only place where text becomes words.

Normalisation follows the published evaluation of Kesiraju et al. 2026: lower-case, punctuation removed (not
replaced by a space, so "don't" is `dont`), white space collapsed.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from flip.errors import InputError

if TYPE_CHECKING:
    from regex import Pattern

TokenizerName = Literal["latin", "unicode", "whitespace"]
Accents = Literal["none", "ascii", "unicode"]

LONGEST_NGRAM = 16  # words; what is longer says which sentence, not what is in it

_QUOTES = "‘’‚‛“”„‟‹›«»´ʼ′″"
_DASHES = "‐‑‒–—―−"
_ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_REMOVED = str.maketrans("", "", string.punctuation + _QUOTES + _DASHES + _ZERO_WIDTH)
_BLANKS = re.compile(r"\s+")


def normalize(text: str) -> str:
    """Lower-cases, removes punctuation and zero-width characters, collapses white space.

    >>> normalize("  “Don’t  stop—now!” ")
    'dont stopnow'
    """
    return _BLANKS.sub(" ", text.lower().translate(_REMOVED)).strip()


def strip_accents(text: str, accents: Accents) -> str:
    """After NFKD, `unicode` drops combining marks and `ascii` drops everything outside ASCII.

    >>> strip_accents("café", "ascii"), strip_accents("straße é", "unicode")
    ('cafe', 'straße e')
    """
    if accents == "none" or text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    if accents == "ascii":
        return decomposed.encode("ascii", "ignore").decode("ascii")
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def reference_tokens(text: str) -> list[str]:
    """Tokens of a reference sentence as the published evaluation defines them: normalised, split on white space."""
    return normalize(text).split()


@cache
def unicode_words() -> Pattern[str]:
    """The pattern of a word by the boundaries of UAX #29, which needs no spaces (an ideograph is a word)."""
    import regex

    return regex.compile(r"\b\w.*?\b", regex.WORD | regex.V1)


@dataclass(frozen=True)
class Tokenizer:
    """Text to words. Calling it gives the n-grams of a sentence in order, words of an n-gram joined by a space.

    name: `latin` is the published `(?u)\\b\\w\\w+\\b`; `whitespace` splits on white space (published as `indic`);
        `unicode` takes the words of `unicode_words`.
    ngram: smallest and largest n.
    """

    name: TokenizerName = "latin"
    strip_accents: Accents = "none"
    ngram: tuple[int, int] = (1, 1)
    normalize: bool = True

    @cached_property
    def _split(self) -> Callable[[str], list[str]]:
        if self.name == "latin":
            return re.compile(r"(?u)\b\w\w+\b").findall
        if self.name == "whitespace":
            return str.split
        return unicode_words().findall

    def words(self, text: str) -> list[str]:
        """The unigrams of `text`, in order."""
        if self.normalize:
            text = normalize(text)
        return self._split(strip_accents(text, self.strip_accents))

    def __call__(self, text: str) -> list[str]:
        words = self.words(text)
        if self.ngram == (1, 1):
            return words
        low, high = self.ngram
        return [" ".join(words[i : i + n]) for n in range(low, high + 1) for i in range(len(words) - n + 1)]

    def unigrams(self, texts: Iterable[str]) -> list[str]:
        """The unigrams of many texts in one pass, several times faster than one call each."""
        return self.words("\n".join(texts))

    def to_dict(self) -> dict[str, Any]:
        """The options as stored in JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: dict[str, Any], where: str) -> Tokenizer:
        """Reads what `to_dict` wrote; `where` names the file in the error."""
        found = options if isinstance(options, dict) else {"name": options}
        name, accents, normalize = (
            found.get("name", "latin"),
            found.get("strip_accents", "none"),
            found.get("normalize"),
        )
        ngram = found.get("ngram", (1, 1))
        if (
            name not in get_args(TokenizerName)
            or accents not in get_args(Accents)
            or not isinstance(normalize, bool | None)
            or not isinstance(ngram, list | tuple)
            or not is_ngram(ngram)
        ):
            raise InputError(
                f"{where}: unknown tokenizer options {str(options)[:200]}",
                f"tokenizers: {', '.join(get_args(TokenizerName))}; accents: {', '.join(get_args(Accents))}; "
                f"ngram: two numbers up to {LONGEST_NGRAM}; normalize: true or false",
            )
        return cls(name, accents, (ngram[0], ngram[1]), normalize is not False)


def is_ngram(bounds: Sequence[Any]) -> bool:
    """Whether these are a smallest and a largest n."""
    return len(bounds) == 2 and all(type(n) is int for n in bounds) and 1 <= bounds[0] <= bounds[1] <= LONGEST_NGRAM
