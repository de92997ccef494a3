"""Write the page of `flip explain --html`: texts marked word by word, in one file that needs no network."""

import json
from collections.abc import Callable, Iterable
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from flip.explain.annotation import STATES, Token, state_names
from flip.explain.results import Explanation, Failure
from flip.files import replacing
from flip.html import policy
from flip.model.checkpoint import Checkpoint

_CHUNK = 500  # records parsed at a time by the page
_DATA = "\x00"  # their place in the template


def write_page(
    path: Path, results: Iterable[Explanation | Failure], checkpoint: Checkpoint, *, least: float,
    on_record: Callable[[int], None] | None = None,
) -> int:  # fmt: skip
    """Write a page, atomically, a chunk of records at a time; all content of texts is data in it.

    Args:
        path: of the page.
        results: of `Explainer.stream`.
        checkpoint: the model that explained them.
        least: see `flip.explain.annotation.annotate`.
        on_record: called with the number of records written.

    Returns:
        The number of records.

    Raises:
        InputError: the page cannot be written.
    """
    before, after = _frame(checkpoint)
    written = 0
    waiting = iter(results)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before)
        while chunk := list(islice(waiting, _CHUNK)):
            rows = [_row(result, least) for result in chunk]
            file.write(_data("index", [row.pop("index") for row in rows]))
            file.write(_data("records", rows))
            written += len(rows)
            if on_record:
                on_record(written)
        file.write(after)
    return written


def _frame(checkpoint: Checkpoint) -> tuple[str, str]:
    """Return the parts of the page before the data, and after it."""
    from jinja2 import Environment, PackageLoader

    style, script = ((files("flip.explain") / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = (
        Environment(loader=PackageLoader("flip.explain", ""), autoescape=True)
        .get_template("page.html")
        .render(
            # The page is made to be shared, and must not name the folders of this machine.
            title=f"What embeddings keep: {name.name if (name := Path(checkpoint.name)).is_absolute() else name}",
            style=style,
            policy=policy(style, script),
            script=script,
            probable=checkpoint.calibrated,
            names=state_names(checkpoint.likely if checkpoint.calibrated else None),
            data=_DATA,
        )
    )
    before, _, after = page.partition(_DATA)
    return before, after


def _data(name: str, value: object) -> str:
    """Return JSON in an element that is not run, and that nothing in it can close."""
    import orjson

    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # a file name that is not text
        text = json.dumps(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" class="{name}">{text}</script>\n'


def _row(result: Explanation | Failure, least: float) -> dict[str, Any]:
    """Return the page's data for a result.

    `index` has figures to sort by, of different content words: the share of the known ones that is kept, and how many
    are lost.
    """
    given = result.input
    title = given.audio or ("" if given.row is None else f"row {given.row}")
    row: dict[str, Any] = {
        "id": result.id,
        "title": title,
        "marks": [],
        "others": [],
        "unlikely": [],
        "index": [None, None],
    }
    row |= {"notes": given.doubts, "error": "", "via": given.heard.via if given.heard else ""}
    if isinstance(result, Failure):
        return row | {"error": result.error, "marks": [given.text] if given.text else []}
    found = result.annotate(least)
    content, function = found.content, found.function
    return row | {
        "function": [function.kept, function.known],
        "marks": [_mark(token) for token in found.tokens],
        "others": [[line.label, _rounded(line.words[0].probability)] for line in found.others],
        "unlikely": [[line.label, _rounded(line.words[0].probability)] for line in found.unlikely],
        "index": [
            round(content.kept / content.known, 4) if content.known else None,
            content.lost if found.tokens else None,
        ],
    }


def _mark(token: Token) -> str | list[str | int | float | None]:
    return token.text if token.state is None else [token.text, STATES.index(token.state), token.probability]


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)
