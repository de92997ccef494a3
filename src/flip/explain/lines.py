"""Put words that belong together on one line, for people: forms of one word, and names of several words."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from flip.text.align import Name, stemmer


class _Written(Protocol):
    """A word of the vocabulary, and how people write it."""

    @property
    def word(self) -> str: ...
    @property
    def surface(self) -> str: ...


W = TypeVar("W", bound=_Written)


@dataclass(frozen=True)
class Line(Generic[W]):
    """Words on one line. words: the first stands for all, unless they are a name.  name: as the text writes it."""

    words: tuple[W, ...]
    name: str | None = None

    @property
    def label(self) -> str:
        """Return the name, or the first form and the number of the others: `measure +3`."""
        if self.name is not None:
            return self.name
        return self.words[0].surface + (f" +{len(self.words) - 1}" if len(self.words) > 1 else "")

    def value(self, of: Callable[[W], float | None]) -> float | None:
        """Return the value of the line: that of the first form, or the least of the words of a name."""
        found = [of(word) for word in self.words]
        known = [value for value in found if value is not None]
        return min(known, default=None) if self.name is not None else found[0]

    def has(self, words: Container[str]) -> bool:
        """Return whether one of its words is among these."""
        return any(one.word in words for one in self.words)


def lines(words: Iterable[W], language: str | None = None, names: Sequence[Name] = ()) -> list[Line[W]]:
    """Return words by lines, each in the place of its first word.

    Args:
        words: the best first.
        language: of the words, for their stems; None keeps each on its own line.
        names: of the text. One is a line if all its words are there.
    """
    stem = stemmer(language)
    listed = list(words)
    by_word = {one.word: one for one in listed}
    name_of: dict[str, Name] = {}
    for name in names:
        if all(word in by_word and word not in name_of for word in name.words):
            name_of |= dict.fromkeys(name.words, name)
    found: dict[tuple[str, ...], list[W]] = {}
    for one in listed:
        own = name_of.get(one.word)
        found.setdefault(own.words if own else (stem(one.word),), []).append(one)
    texts = {name.words: name.text for name in name_of.values()}
    return [Line(tuple(group), texts.get(key)) for key, group in found.items()]
