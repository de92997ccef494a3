"""Write the page of an audit: a table of all forms and terms, in one file that needs no network."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from flip.files import replacing
from flip.html import policy
from flip.stores.audit import CompressionAudit


def write_page(path: Path, store: str, rows: int, forms: Sequence[CompressionAudit], caveat: str) -> None:
    """Write the page.

    Args:
        path: of the page.
        store, rows: the audited store.
        forms: of the same terms, in the same order.
        caveat: the limits of the figures.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("flip.stores", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (files("flip.stores") / "audit.css").read_text(encoding="utf-8")
    page = environment.get_template("audit.html").render(
        policy=policy(style), style=style, store=store, rows=rows, forms=forms, caveat=caveat
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
