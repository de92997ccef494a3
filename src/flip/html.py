"""Make the content security policy of the pages that flip writes."""

import base64
import hashlib


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
