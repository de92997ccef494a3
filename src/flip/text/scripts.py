"""Detect the writing system of a text, and writing systems without spaces between words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

_IDEOGRAPHIC = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
# Unicode's word boundaries cannot part these either: that takes a dictionary.
_UNSPACED = frozenset({"THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
_SHARE = 0.2


@cache
def script(character: str) -> str | None:
    """Return the script of a letter, the first word of its Unicode name; None if the character is not a letter.

    >>> script("a"), script("я"), script("水"), script("7")
    ('LATIN', 'CYRILLIC', 'CJK', None)
    """
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return None
    name = unicodedata.name(character, "UNNAMED").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    return name.split()[0]


def scripts(text: str) -> Counter[str]:
    """Count the letters of each script in a text."""
    return Counter(name for character in text if (name := script(character)))


def unknown_script(text: str, known: frozenset[str]) -> str | None:
    """Return the most frequent unknown script if unknown scripts have more than half of a text's letters, or None.

    >>> unknown_script("The 水", frozenset({"LATIN"})), unknown_script("飲み水", frozenset({"LATIN"}))
    (None, 'CJK')
    """
    if text.isascii() and "LATIN" in known:
        return None
    found = scripts(text)
    foreign = [(count, name) for name, count in found.items() if name not in known]
    if 2 * sum(count for count, _ in foreign) <= found.total():
        return None
    return max(foreign)[1]


def unsegmented(words: Iterable[str]) -> str | None:
    """Return advice if many words are whole clauses, because their script has no spaces, or None.

    Args:
        words: a vocabulary that was cut at spaces and punctuation.
    """
    found = scripts("".join(words))
    for names, advice in (
        (_IDEOGRAPHIC, "--tokenizer unicode takes each character as a word"),
        (_UNSPACED, "part the words by spaces first, with a segmenter for the language, then --tokenizer whitespace"),
    ):
        here = [name for name in names if found[name]]
        if sum(found[name] for name in here) > _SHARE * found.total():
            script_names = " and ".join(sorted(here))
            return (
                f"{script_names} text has no spaces between words, so a word of this vocabulary is a clause; {advice}"
            )
    return None
