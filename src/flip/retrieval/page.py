"""Write the page of `flip compare --retrieval --html`: figures, words and every query whose first chunk is wrong."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from flip.files import replacing
from flip.html import policy
from flip.retrieval.results import LISTED, Change, Retrieval, titles


def write_page(path: Path, found: Sequence[Retrieval], change: Change | None, seed: int) -> None:
    """Write the page, atomically; it needs no network and runs nothing.

    Args:
        path: of the page.
        found: one encoder, or two on the same queries.
        change: between the two.
        seed: of the intervals.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("flip.retrieval", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (files("flip.retrieval") / "page.css").read_text(encoding="utf-8")
    page = environment.get_template("page.html").render(
        policy=policy(style),
        style=style,
        found=list(zip(titles(found), found, strict=True)),
        change=change,
        seed=seed,
        listed=LISTED,
    )  # fmt: skip
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
