"""Count how people write a word: the form in text of a normalised word, such as `Boston` for `boston`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regex import Pattern

    from flip.text.tokenize import Tokenizer

_MOST = 2_000_000  # forms kept in memory; beyond that, those seen once are forgotten


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

        For an n-gram it returns the forms of its words. A form that holds several words does not count. The first form
        of a sentence counts only if the word has no other. Typographic and plain apostrophes are the same.

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
                chosen.setdefault(word, min(forms, key=lambda form: (-forms[form], form != word, form)))
        return {word: surface for word, surface in chosen.items() if surface != word}


@cache
def _bare() -> Pattern[str]:
    """Return the pattern of a form without the punctuation around it."""
    import regex

    return regex.compile(r"[\w\p{M}](?:.*[\w\p{M}])?")
