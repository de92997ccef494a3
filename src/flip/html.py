"""Write pages of one file that need no network, and their content security policy."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from flip.files import replacing


def write_page(path: Path, room: str, name: str, **fields: object) -> None:
    """Write a page without a script, atomically; the fields are data in it, shown as text whatever they contain.

    Args:
        path: of the page.
        room: package of NAME.html, its template, and NAME.css, its style.
        name: NAME.
        fields: all that the template shows.

    Raises:
        InputError: the page cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(room, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (files(room) / f"{name}.css").read_text(encoding="utf-8")
    page = environment.get_template(f"{name}.html").render(policy=policy(style), style=style, **fields)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def policy(style: str, script: str | None = None, *, style_attributes: bool = False) -> str:
    """Return a policy that allows one inline style sheet, one inline script and data images, and nothing else.

    Args:
        style: content of the only style element.
        script: content of the only script element that runs; None allows no script.
        style_attributes: allow style attributes, which the drawings of matplotlib have.
    """
    rules = ["default-src 'none'", "img-src data:", f"style-src '{_digest(style)}'"]
    rules += ["style-src-attr 'unsafe-inline'"] if style_attributes else []
    rules += [f"script-src '{_digest(script)}'"] if script is not None else []
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
