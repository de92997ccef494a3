"""Show results in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flip.explain.annotate import Annotation, State

_STYLES: dict[State, str] = {
    "kept": "font-weight:600",
    "faint": "opacity:.75;text-decoration:underline dotted",
    "lost": "opacity:.55;text-decoration:line-through",
    "unknown": "opacity:.55;font-style:italic",
}


def explanation_html(shown: Annotation, warnings: Sequence[str]) -> str:
    """Return a text with its words kept, faint, lost or unknown, then the other words, as on a terminal."""
    marked = "".join(
        f'<span style="{_STYLES[token.state]}" title="{token.state}">{escape(token.text)}</span>'
        if token.state
        else escape(token.text)
        for token in shown.tokens
    )
    rows = "".join(
        f"<tr><td>{escape(word.surface)}</td></tr>"
        if word.probability is None
        else f"<tr><td>{escape(word.surface)}</td><td>{word.probability:.0%}</td></tr>"
        for word in shown.others
    )
    return f"<div><p>{marked}</p>{_paragraphs(warnings)}<table>{rows}</table></div>"


def comparison_html(sides: Mapping[str, str], warnings: Sequence[str]) -> str:
    """Return a row for each side of a comparison, with its words."""
    rows = "".join(f"<tr><th>{name}</th><td>{escape(words)}</td></tr>" for name, words in sides.items())
    return f"{_paragraphs(warnings)}<table>{rows}</table>"


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
