"""Define the results of explaining records: frozen, each with one `to_dict`, the record of `flip explain --json`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from flip.explain.annotation import STATES, Annotation, State, TextWord, annotate, state_names
from flip.explain.contrast import SIDES, Pair, PairedWord
from flip.explain.lines import Line, lines
from flip.files import Fields
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import Word
from flip.text.align import Piece
from flip.text.forms import Name
from flip.text.languages import unknown_script

_ENOUGH = 6  # words

_STYLES: dict[State, str] = {
    "kept": "font-weight:600",
    "faint": "opacity:.75;text-decoration:underline dotted",
    "lost": "opacity:.55;text-decoration:line-through",
    "unknown": "opacity:.55;font-style:italic",
    "unread": "opacity:.4;background:repeating-linear-gradient(45deg,transparent 0 4px,#8886 4px 5px)",
}

CUT = "truncated: longer than the encoder reads"
ESTIMATED_CUT = f"{CUT}, by an estimate of its length in tokens"


def text_warning(text: str, words: set[str], checkpoint: Checkpoint) -> str | None:
    """Return a reason to distrust the keywords of this text, or None.

    The vocabulary has a smaller share of its words than of any text like the model's tests: less than two thirds of
    their mean, and more than three standard deviations below it. With the bundled model this holds for 83 to 97 of 100
    sentences in German, French, Spanish, Italian or Turkish, and at most one of 1,000 in English, of whatever source.

    Args:
        text: as it is written.
        words: its words, as the tokenizer of the vocabulary cuts them.
    """
    if name := unknown_script(text, checkpoint.vocabulary.scripts):
        return f"the model has no word in {name} script; its keywords may be wrong"
    if text.strip() and not words:
        return "the text has no words, so its keywords mean little"
    least, index = checkpoint.config.least_known, checkpoint.vocabulary.index
    named = [word for word in words if any(map(str.isalpha, word))]
    known = sum(word in index for word in named)
    enough = len(named) >= _ENOUGH or 2 * known < len(named)  # in a short text, a third of the words may be names
    if len(named) - known > 1 and enough and known < least * len(named):
        return "many words are not in the vocabulary: another language or subject? its keywords may be wrong"
    return None


def explanation_html(shown: Annotation, warnings: Sequence[str], likely: float | None) -> str:
    """Return a text with its words in their states, then the other words, as on a terminal."""
    marked = "".join(
        f'<span style="{_STYLES[token.state]}" title="{token.state}">{escape(token.text)}</span>'
        if token.state
        else escape(token.text)
        for token in shown.tokens
    )
    names = state_names(likely)
    found = {token.state for token in shown.tokens} - {None}
    named = [state for state in STATES if state != "unread" or state in found]
    legend = "; ".join(f'<span style="{_STYLES[state]}">{names[state]}</span>' for state in named)
    legend = f"<p><small>{legend}</small></p>" if found else ""
    rows = "".join(
        f"<tr><td>{escape(line.label)}</td></tr>"
        if (p := line.words[0].probability) is None
        else f"<tr><td>{escape(line.label)}</td><td>{p:.0%}</td></tr>"
        for line in shown.others
    )
    return f"<div><p>{marked}</p>{legend}{_paragraphs(warnings)}<table>{rows}</table></div>"


def comparison_html(found: "Comparison") -> str:
    """Return the cosine of a pair, then the words of each side with their probability and share of it."""
    titles = " / ".join(escape(one.title_read) + _unread(one.title_unread) for one in (found.input, found.against))
    head = f"{_paragraphs(found.warnings)}<p>{titles}</p>"
    if found.pair is None:
        return head
    said = found.pair.summary
    rows, pale = [], ' style="opacity:.55"'
    for side, name in (("shared", "both"), ("only_input", "the first only"), ("only_against", "the second only")):
        rows.append(f"<tr><th>{name}</th>{'' if found.side(side) else '<td>no word</td>'}</tr>")
        for line in found.lines(side):
            p = line.value(lambda word, side=side: word.probability_of(side))  # type: ignore[misc]
            style = pale if p is not None and p < found.likely else ""
            share = sum(word.share for word in line.words)
            cells = [escape(line.label), "" if p is None else f"{p:.0%}", f"{share:+.2f} of the cosine"]
            rows.append(f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    if any(pale in row for row in rows):
        said += f"; pale: below {found.likely:.0%}"
    return f"{head}<p>{said}</p><table>{''.join(rows)}</table>"


def _unread(text: str) -> str:
    return f'<span style="{_STYLES["unread"]}" title="not read">{escape(text)}</span>' if text else ""


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as it was heard.

    via: name of the transcriber.  language: guessed by it, or None.
    """

    via: str
    transcript: str
    language: str | None

    def to_dict(self) -> Fields:
        """Return the fields of a record."""
        return {"via": self.via, "transcript": self.transcript, "language": self.language}


@dataclass(frozen=True)
class Input:
    """An input of `flip explain`, with the facts that embedding it adds.

    text: None for a vector without one and for a recording.  audio: path of a recording.  row: number from 0.
    heard: None if the encoder reads recordings.  read_to: how many characters of the text or transcript the encoder
    read; None if all of it.  read_estimated: whether that is an estimate.  warnings: reasons to distrust its words.
    names: of several words that the text has.
    """

    text: str | None = None
    audio: str | None = None
    row: int | None = None
    heard: Heard | None = None
    read_to: int | None = None
    read_estimated: bool = False
    warnings: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()

    @property
    def truncated(self) -> bool:
        """Return whether it is longer than the encoder reads."""
        return self.read_to is not None

    @property
    def words_of(self) -> str | None:
        """Return the text whose words are looked up: the transcript, or the text."""
        return self.heard.transcript if self.heard else self.text

    @property
    def title(self) -> str:
        """Return a name for people: the text, the path or the row; empty if it is blank."""
        return self.text or self.audio or ("" if self.row is None else f"row {self.row}")

    @property
    def title_read(self) -> str:
        """Return the title without the part of a text that the encoder did not read."""
        return self.title[: self.read_to] if self.text else self.title

    @property
    def title_unread(self) -> str:
        """Return that part; empty if it read all of it."""
        return self.title[len(self.title_read) :]

    @property
    def doubts(self) -> list[str]:
        """Return its warnings, and whether it was cut."""
        cut = ESTIMATED_CUT if self.read_estimated else CUT
        return [*self.warnings, *([cut] if self.truncated else [])]

    def content(self) -> Fields:
        """Return the fields that name it in a record."""
        if self.audio is not None and self.row is None:
            return {"audio": self.audio}
        return ({} if self.row is None else {"row": self.row}) | ({} if self.text is None else {"text": self.text})

    def to_dict(self) -> Fields:
        """Return its fields in the record of a pair."""
        return self.content() | self._heard() | self.cut() | self._warned()

    def cut(self) -> Fields:
        """Return the fields that tell how far it was read; none if that is all of it."""
        if self.read_to is None:
            return {}
        estimated: Fields = {"read_estimated": True} if self.read_estimated else {}
        return {"truncated": True, "read_to": self.read_to, **estimated}

    def _heard(self) -> Fields:
        return self.heard.to_dict() if self.heard else {}

    def _warned(self) -> Fields:
        return {"warnings": list(self.warnings)} if self.warnings else {}

    def head(self) -> Fields:
        """Return the fields that come first in the record of an explanation."""
        return self.content() | self._heard() | self._warned()


@dataclass(frozen=True)
class Explanation:
    """The words of one embedding.

    words: keywords, best first.  text_words: words of the text in order, None without a text.
    unknown: words of the text that the encoder read and the vocabulary lacks.
    pieces: the text as it is written, in parts.  likely: least probability of a word that counts as present.
    topn: keywords that are shown beside the words of the text.  language: of the vocabulary, if it is known.
    """

    id: str | int
    input: Input
    words: tuple[Word, ...]
    text_words: tuple[TextWord, ...] | None = None
    unknown: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    likely: float = 0.5
    topn: int = 10
    language: str | None = None

    @property
    def warnings(self) -> list[str]:
        """Return the reasons to distrust the words: another language, a vector from elsewhere, a text that was cut."""
        return self.input.doubts

    def to_dict(self) -> Fields:
        """Return the record that `flip explain --json` prints."""
        words: Fields = {"keywords": [word.to_dict() for word in self.words]}
        if self.text_words is not None:
            words |= {"words": [word.to_dict() for word in self.text_words], "unknown": list(self.unknown)}
        return {"id": self.id} | self.input.head() | words | self.input.cut()

    @property
    def has_probabilities(self) -> bool:
        """Return whether the words of the text have probabilities."""
        return any(word.probability is not None for word in self.text_words or ())

    def annotate(self, least: float) -> Annotation:
        """Return the view of it, see `flip.explain.annotation.annotate`."""
        text = self.input.words_of or ""
        return annotate(
            self.words, self.text_words or (), self.pieces if self.text_words else (Piece(text),) if text else (),
            likely=self.likely, least=least, topn=self.topn, language=self.language, names=self.input.names,
        )  # fmt: skip

    def __repr__(self) -> str:
        likely = [word for word in self.words if word.probability is None or word.probability >= self.likely]
        words = []
        for line in lines(likely, self.language, self.input.names):
            p = line.value(lambda word: word.probability)
            words.append(line.label + ("" if p is None else f" {p:.0%}"))
        return f"<Explanation: {', '.join(words) or 'no word for certain'}{_doubted(self.warnings)}>"

    def _repr_html_(self) -> str:
        likely = self.likely if self.has_probabilities else None
        return explanation_html(self.annotate(self.likely), self.warnings, likely)


@dataclass(frozen=True)
class Comparison:
    """Two embeddings side by side.

    pair: None if one of them is blank.  likely: least probability of a word that counts as present.  language: of the
    vocabulary, if it is known.
    """

    id: str | int
    input: Input
    against: Input
    pair: Pair | None
    likely: float = 0.5
    language: str | None = None

    @property
    def shared(self) -> tuple[PairedWord, ...]:
        """Return the words of both, by their share of the cosine."""
        return self.side("shared")

    @property
    def only_input(self) -> tuple[PairedWord, ...]:
        """Return the words of the first only."""
        return self.side("only_input")

    @property
    def only_against(self) -> tuple[PairedWord, ...]:
        """Return the words of the second only."""
        return self.side("only_against")

    def side(self, name: str) -> tuple[PairedWord, ...]:
        """Return the words of one of `flip.explain.contrast.SIDES`."""
        return () if self.pair is None else tuple(getattr(self.pair, name))

    def lines(self, name: str) -> list[Line[PairedWord]]:
        """Return the same words by lines: forms of one word, and names that either text has."""
        return lines(self.side(name), self.language, [*self.input.names, *self.against.names])

    @property
    def warnings(self) -> list[str]:
        """Return the reasons to distrust the words of either."""
        return [*self.input.doubts, *self.against.doubts]

    def to_dict(self) -> Fields:
        """Return the record that `flip explain --against` prints."""
        pair: Fields = {side: [] for side in SIDES} if self.pair is None else self.pair.to_dict()
        return {"id": self.id} | self.input.to_dict() | {"against": self.against.to_dict()} | pair

    def __repr__(self) -> str:
        sides = {"shared": "shared", "only input": "only_input", "only against": "only_against"}
        words = "; ".join(f"{name}: {listed(self.lines(side))}" for name, side in sides.items())
        return f"<Comparison: {words}{_doubted(self.warnings)}>"

    def _repr_html_(self) -> str:
        return comparison_html(self)


@dataclass(frozen=True)
class Failure:
    """A record that could not be explained.

    against: the other of a pair, None if there is none.
    """

    id: str | int
    input: Input
    error: str
    against: Input | None = None

    @property
    def warnings(self) -> list[str]:
        """Return the reasons to distrust the rest of it."""
        return [*self.input.doubts, *(self.against.doubts if self.against else [])]

    def to_dict(self) -> Fields:
        """Return the record that `flip explain --json` prints."""
        if self.against is None:
            return {"id": self.id} | self.input.content() | {"error": self.error}
        return {"id": self.id} | self.input.to_dict() | {"against": self.against.to_dict(), "error": self.error}


Result: TypeAlias = Explanation | Comparison | Failure


def listed(words: Iterable[Line[PairedWord]]) -> str:
    """Return words as people write them, separated by commas."""
    return ", ".join(line.label for line in words) or "no word"


def _doubted(warnings: list[str]) -> str:
    return f"; but {'; '.join(warnings)}" if warnings else ""
