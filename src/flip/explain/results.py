"""Define the results of explaining records: frozen, each with one `to_dict`, the record of `flip explain --json`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeAlias

from flip.explain.annotation import STATES, Annotation, Line, State, TextWord, annotate, lines, state_names
from flip.explain.contrast import SIDES, Pair, PairedWord
from flip.files import Fields
from flip.model.keywords import Word
from flip.text.align import Name, Piece

Side = Literal["input", "against"]
CUT = "truncated: longer than the encoder reads"
ESTIMATED_CUT = f"{CUT}, by an estimate of its length in tokens"

_STYLES: dict[State, str] = {
    "kept": "font-weight:600",
    "faint": "opacity:.75;text-decoration:underline dotted",
    "lost": "opacity:.55;text-decoration:line-through",
    "unknown": "opacity:.55;font-style:italic",
    "unread": "opacity:.4;background:repeating-linear-gradient(45deg,transparent 0 4px,#8886 4px 5px)",
}


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
            cells = [escape(line.label), "" if p is None else f"{p:.0%}", f"{share:+z.2f} of the cosine"]
            cells += (
                ["lost: in the text of the other"] if found.lost(side).intersection(w.word for w in line.words) else []
            )
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
    names: of several words that the text has.  pieces: the part of the text that was read, of an input of a pair.
    """

    text: str | None = None
    audio: str | None = None
    row: int | None = None
    heard: Heard | None = None
    read_to: int | None = None
    read_estimated: bool = False
    warnings: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    pieces: tuple[Piece, ...] = ()

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
    recentred: the language whose mean was moved to that of the training; None if the vector was not moved.
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
    recentred: str | None = None

    @property
    def warnings(self) -> list[str]:
        """Return the reasons to distrust the words: another language, a vector from elsewhere, a text that was cut."""
        return self.input.doubts

    def to_dict(self) -> Fields:
        """Return the record that `flip explain --json` prints."""
        words: Fields = {"keywords": [word.to_dict() for word in self.words]}
        if self.text_words is not None:
            words |= {"words": [word.to_dict() for word in self.text_words], "unknown": list(self.unknown)}
        moved: Fields = {} if self.recentred is None else {"recentred": self.recentred}
        return {"id": self.id} | self.input.head() | moved | words | self.input.cut()

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


@dataclass(frozen=True, slots=True)
class SentenceMatch:
    """A sentence of a text, compared with the other of a pair.

    cosine: of the sentence by itself.  fall: by how much the cosine of the pair falls when the sentence is left out.
    """

    text: str
    cosine: float
    fall: float

    def to_dict(self) -> Fields:
        """Return the fields of a record."""
        return {"text": self.text, "cosine": round(self.cosine, 4), "fall": round(self.fall, 4)}


@dataclass(frozen=True)
class Comparison:
    """Two embeddings side by side.

    pair: None if one of them is blank.  likely: least probability of a word that counts as present.  language: of the
    vocabulary, if it is known.  query: the side that is compared with many others, "input" or "against", if there is
    one.  sentences: of the side `sentences_of`, if they were asked for and there are several.
    """

    id: str | int
    input: Input
    against: Input
    pair: Pair | None
    likely: float = 0.5
    language: str | None = None
    query: Side | None = None
    sentences: tuple[SentenceMatch, ...] = ()
    sentences_of: Side = "against"

    @property
    def said_by_sentence(self) -> str | None:
        """Return the sentence without which the cosine falls most, for people; None if none was compared."""
        best = max(self.sentences, key=lambda one: one.fall, default=None)
        if best is None or self.pair is None:
            return None
        return f"“{best.text}”: cosine {best.cosine:.2f} by itself, {self.pair.cosine - best.fall:.2f} without it"

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

    def lost(self, name: str) -> frozenset[str]:
        """Return those words of one side only that the text of the other has too, as far as it was read.

        The vector of that text has lost them.
        """
        other = {"only_input": self.against, "only_against": self.input}.get(name)
        written = {word for piece in other.pieces for word in piece.words} if other else set()
        return frozenset(word.word for word in self.side(name) if word.word in written)

    def lines(self, name: str) -> list[Line[PairedWord]]:
        """Return the same words by lines: forms of one word, and names that either text has."""
        return lines(self.side(name), self.language, [*self.input.names, *self.against.names])

    @property
    def warnings(self) -> list[str]:
        """Return the reasons to distrust the words of either."""
        return [*self.input.doubts, *self.against.doubts]

    def to_dict(self) -> Fields:
        """Return the record that `flip explain --against` prints."""
        pair: Fields = {} if self.pair is None else self.pair.to_dict()
        for side in SIDES:
            lost = self.lost(side)
            pair[side] = [word.to_dict() | ({"lost": True} if word.word in lost else {}) for word in self.side(side)]
        found = [one.to_dict() for one in self.sentences]
        sentences: Fields = {"sentences_of": self.sentences_of, "sentences": found} if found else {}
        return {"id": self.id} | self.input.to_dict() | {"against": self.against.to_dict()} | pair | sentences

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


def side_names(query: Side | None) -> dict[str, str]:
    """Return the name of each side of a pair, for people; the other side of a query is a hit."""
    first, second = {None: ("first", "second"), "input": ("query", "hit"), "against": ("hit", "query")}[query]
    names = {"shared": "both say", "only_input": f"only the {first}", "only_against": f"only the {second}"}
    return names if query != "against" else {side: names[side] for side in ("shared", "only_against", "only_input")}


def lost_from(query: Side | None, side: str) -> str:
    """Return the explanation of the words of a side that are lost, for people."""
    names = {None: ("first", "second"), "input": ("query", "hit"), "against": ("hit", "query")}[query]
    return f"lost: the text of the {names[side == 'only_input']} has it, its vector does not say it"


def listed(words: Iterable[Line[PairedWord]]) -> str:
    """Return words as people write them, separated by commas."""
    return ", ".join(line.label for line in words) or "no word"


def _doubted(warnings: list[str]) -> str:
    return f"; but {'; '.join(warnings)}" if warnings else ""
