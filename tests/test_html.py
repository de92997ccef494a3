"""What a page of flip allows itself."""

from __future__ import annotations

import base64
import hashlib

from flip.html import policy


def test_a_page_may_use_what_it_holds_and_nothing_else() -> None:
    digest = base64.b64encode(hashlib.sha256("p { color: grün }".encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy("p { color: grün }").split("; "))
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    with_script = dict(
        rule.split(" ", 1) for rule in policy("", "p { color: grün }", style_attributes=True).split("; ")
    )
    assert with_script["script-src"] == f"'sha256-{digest}'"
    assert with_script["style-src-attr"] == "'unsafe-inline'"
