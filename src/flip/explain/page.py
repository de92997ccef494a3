"""The page of `flip explain --html`: texts marked word by word, in one file that asks nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.explain.annotate import STATES, Token, read
from flip.files import replacing
from flip.html import policy

if TYPE_CHECKING:
    from flip.explain.explainer import Explainer

_CHUNK = 500  # records parsed at a time by the page
_DATA = "\x00"  # where they stand in the template


def write_page(
    path: Path, records: Iterable[dict[str, Any]], explainer: Explainer, *, least: float, topn: int,
    on_record: Callable[[int], None] | None = None,
) -> int:  # fmt: skip
    """Writes a page, atomically, a chunk of records at a time; texts are data in it, whatever they contain.

    Args:
        path: of the page.
        records: of `explainer.stream`, errors too.
        explainer: what made them.
        least, topn: see `flip.explain.annotate.read`.
        on_record: called with the number of records written.

    Returns:
        How many records there were.

    Raises:
        InputError: the page cannot be written.
    """
    before, after = _frame(explainer)
    written = 0
    waiting = iter(records)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before)
        while chunk := list(islice(waiting, _CHUNK)):
            rows = [_row(record, explainer, least, topn) for record in chunk]
            file.write(_data("index", [row.pop("index") for row in rows]))
            file.write(_data("records", rows))
            written += len(rows)
            if on_record:
                on_record(written)
        file.write(after)
    return written


def _frame(explainer: Explainer) -> tuple[str, str]:
    """What stands before the data, and after."""
    from jinja2 import Environment, PackageLoader

    style, script = ((files("flip.explain") / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    checkpoint = explainer.checkpoint
    page = (
        Environment(loader=PackageLoader("flip.explain", ""), autoescape=True)
        .get_template("page.html")
        .render(
            # The page is made to be shown around, and must not name the folders of this machine.
            title=f"What embeddings keep: {name.name if (name := Path(checkpoint.name)).is_absolute() else name}",
            style=style,
            policy=policy(style, script),
            script=script,
            probable=checkpoint.calibrated,
            likely=f"{checkpoint.likely:.0%}",
            data=_DATA,
        )
    )
    before, _, after = page.partition(_DATA)
    return before, after


def _data(name: str, value: Any) -> str:
    """JSON in an element that is not run, and that nothing in it can close."""
    import orjson

    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # a file name that is no text
        text = json.dumps(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" class="{name}">{text}</script>\n'


def _row(record: dict[str, Any], explainer: Explainer, least: float, topn: int) -> dict[str, Any]:
    """A record as the page has it, and in `index` what it sorts by: the share of known words kept, and words lost."""
    title = record.get("audio") or (f"row {record['row']}" if "row" in record else "")
    row = {"id": record["id"], "title": title, "marks": [], "others": [], "unlikely": [], "index": [None, None]}
    row |= {"notes": list(_notes(record)), "error": record.get("error", ""), "via": record.get("via", "")}
    if "error" in record:
        return row | {"marks": [record["text"]] if record.get("text") else []}
    found = read(record, explainer.reader, likely=explainer.checkpoint.likely, least=least, topn=topn)
    kept, faint, lost = (found.count(state) for state in STATES[:3])
    known = kept + faint + lost
    return row | {
        "marks": [_mark(mark) for mark in found.marks],
        "others": [[word["surface"], word.get("probability")] for word in found.others],
        "unlikely": [[word["surface"], word.get("probability")] for word in found.unlikely],
        "index": [round(kept / known, 4) if known else None, lost if found.marks else None],
    }


def _mark(mark: Token) -> str | list[Any]:
    return mark.text if mark.state is None else [mark.text, STATES.index(mark.state), mark.probability]


def _notes(record: dict[str, Any]) -> Iterator[str]:
    yield from record.get("warnings", ())
    if record.get("truncated"):
        yield "truncated: longer than the encoder reads"
