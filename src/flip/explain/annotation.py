"""Mark the words of a text by what its embedding keeps of them, and put the forms of one word on one line."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from flip.files import Fields
from flip.model.keywords import Word
from flip.text.align import Name, Piece, stemmer


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


State = Literal["kept", "faint", "lost", "unknown", "unread"]
STATES: tuple[State, ...] = ("kept", "faint", "lost", "unknown", "unread")

_FAINT = 3  # times less probable than a word that is kept, or so many times as far down the list


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a text.

    word: in the spelling of the vocabulary.  surface: in the spelling of the text.  rank: of its score among all words,
    from 1.  place: in the list of keywords, from 1, where function words come last.  probability, rank and place are
    None for a word that the vocabulary lacks; without a calibrated model, so is probability.  read: whether the encoder
    read it to its end.  is_function: whether it is a function word.
    """

    word: str
    surface: str
    probability: float | None
    rank: int | None
    place: int | None = None
    read: bool = True
    is_function: bool = False

    def to_dict(self) -> Fields:
        """Return the fields of a record."""
        fields: Fields = {name: getattr(self, name) for name in ("word", "surface", "probability", "rank", "place")}
        return fields if self.read else fields | {"read": False}


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text.

    state: of its words; None between words.  probability: of its least likely word.
    """

    text: str
    state: State | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Kept:
    """How many different words of a text are kept, faint and lost. Unknown and unread words are none of them."""

    kept: int
    faint: int
    lost: int

    @classmethod
    def of(cls, states: Iterable[State]) -> "Kept":
        """Count the states of different words."""
        found = list(states)
        return cls(*(found.count(state) for state in STATES[:3]))

    @property
    def known(self) -> int:
        """Return the number of words that have one of the three states."""
        return self.kept + self.faint + self.lost


@dataclass(frozen=True)
class Annotation:
    """The view of one explanation.

    tokens: the whole text; empty for a vector or a recording without a transcript.
    content, function: the different words of the text, content words and function words apart.
    others: keywords that are not in the text, and are likely enough, forms of one word on one line.  unlikely: those
        that are not. Both are sorted by probability, if there is one.
    """

    tokens: list[Token]
    content: Kept
    function: Kept
    others: list[Line[Word]]
    unlikely: list[Line[Word]]


def annotate(
    words: Sequence[Word], text_words: Sequence[TextWord], pieces: Sequence[Piece], *, likely: float, least: float,
    topn: int, language: str | None = None, names: Sequence[Name] = (),
) -> Annotation:  # fmt: skip
    """Return the view of an explanation.

    A word of the text is `unread` if the encoder did not read it, and `unknown` if the vocabulary lacks it. It is
    `kept` if its probability is `likely` or more; `faint` if it is a third of that or more, or if the word is among the
    3k with the highest scores, k being the number of distinct words of the text that the encoder read and the
    vocabulary has; else `lost`. Without probabilities, it is kept among the k with the highest scores. A part of a text
    that holds several words is in the state of the least of them. A name of several kept words is one part.

    Args:
        words: keywords, at least the `topn` best beside the words of the text.
        text_words: words of the text in order.
        pieces: the text in parts, which hold these words.
        likely: least probability of a word that counts as present.
        least: probability of a word that is not in the text, below which it is unlikely.
        topn: lines of words that are not in the text at most.
        language, names: see `flip.explain.annotation.lines`.
    """
    k = len({word.word for word in text_words if word.read and word.rank is not None})
    states = [_state(word, likely, k) for word in text_words]
    waiting = iter(zip(text_words, states, strict=True))
    tokens = []
    for piece in pieces:
        own = [next(waiting) for _ in piece.words]
        known = [word.probability for word, _ in own if word.probability is not None]
        worst = max((state for _, state in own), key=STATES.index, default=None)
        tokens.append(Token(piece.text, worst, min(known, default=None)))
    others = lines((word for word in words if not word.in_text), language)[:topn]
    if others and others[0].words[0].probability is not None:
        others = [Line(tuple(sorted(line.words, key=_improbability))) for line in others]
        others.sort(key=lambda line: _improbability(line.words[0]))
    best = (line.words[0].probability for line in others)
    probable = others[: sum(p is None or p >= least for p in best)]
    read = {word.word: (state, word.is_function) for word, state in zip(text_words, states, strict=True) if word.read}
    content, function = (
        Kept.of(state for state, is_function in read.values() if is_function == side) for side in (False, True)
    )
    return Annotation(_joined(tokens, names), content, function, probable, others[len(probable) :])


def _improbability(word: Word) -> float:
    return -(word.probability or 0)


def _joined(tokens: list[Token], names: Iterable[Name]) -> list[Token]:
    """Return the tokens, those of a name in one if all its words are kept."""
    found, done = [], 0
    for name in names:
        own = tokens[name.first : name.last + 1]
        if all(token.state in ("kept", None) for token in own):
            known = [token.probability for token in own if token.probability is not None]
            found += tokens[done : name.first]
            found.append(Token("".join(token.text for token in own), "kept", min(known, default=None)))
            done = name.last + 1
    return found + tokens[done:]


def state_names(likely: float | None) -> dict[State, str]:
    """Return what each state means, for a legend; without probabilities, `likely` is None."""
    kept, faint = "kept (by rank)", "faint (by rank)"
    if likely is not None:
        kept, faint = f"kept: {likely:.0%} or more", f"faint: {likely / _FAINT:.0%}, or a high score"
    return {"kept": kept, "faint": faint, "lost": "lost", "unknown": "not in vocabulary", "unread": "not read"}


def _state(word: TextWord, likely: float, k: int) -> State:
    if not word.read:
        return "unread"
    if word.rank is None:
        return "unknown"
    if word.rank <= k if word.probability is None else word.probability >= likely:
        return "kept"
    if word.rank <= _FAINT * k or (word.probability is not None and _FAINT * word.probability >= likely):
        return "faint"
    return "lost"
