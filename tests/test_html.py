"""What a page of flip allows itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from flip.html import policy, write_page


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a template and its style."""
    folder = tmp_path / "room_of_pages"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "list.html").write_text("<style>{{ style | safe }}</style><p>{{ store }}</p>")
    (folder / "list.css").write_text("p { color: grün }", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_fields_of_a_page_are_data_in_it(room: str, tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", room, "list", store="<script>")
    found = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert found == "<style>p { color: grün }</style><p>&lt;script&gt;</p>"


def test_a_page_that_lacks_a_field_leaves_the_earlier_one(room: str, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("earlier")
    with pytest.raises(UndefinedError, match="store"):
        write_page(page, room, "list")
    assert page.read_text() == "earlier"


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
