"""Cut long texts into parts, each to become a row of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from flip.inputs.record import Record
from flip.text.sentences import parts


def chunked(records: Iterable[Record], most: int, language: str | None = None) -> Iterator[Record]:
    """Yield the parts of each text, of at most `most` words, see `flip.text.sentences.parts`.

    The id of a part is `PARENT#1`, `PARENT#2` and so on, also if there is only one: the id of its text is what stands
    before the last `#`. A record without an id has its number among the records, from 1. Recordings stay whole.

    Args:
        records: texts and recordings.
        most: words of a part.
        language: of the texts, such as eng_Latn; English if it is not told.

    Raises:
        UnavailableError: see `flip.text.sentences.sentences`.
    """
    import langcodes

    code = langcodes.standardize_tag(language, macro=True).split("-")[0] if language else "en"
    for number, record in enumerate(records, start=1):
        parent = number if record.id is None else record.id
        found = [record.text] if record.audio or not record.text else parts(record.text, most, code)
        for i, text in enumerate(found, start=1):
            yield replace(record, id=f"{parent}#{i}", parent=parent, text=text)
