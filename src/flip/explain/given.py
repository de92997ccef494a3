"""Define what was given to explain: a text, a recording or a vector, with the facts that embedding it adds."""

from dataclasses import dataclass

from flip.errors import InputError
from flip.files import Fields
from flip.inputs.record import Record
from flip.text.align import Name, Piece

CUT = "truncated: longer than the encoder reads"
ESTIMATED_CUT = f"{CUT}, by an estimate of its length in tokens"


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


def record_id(record: Record | InputError, number: int) -> str | int:
    """Return the id of a record: its own, or its number."""
    own = None if isinstance(record, InputError) else record.id
    return number if own is None else own
