"""Results as a notebook shows them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from flip.explain.annotate import State, annotate
from flip.explain.results import listed

if TYPE_CHECKING:
    from flip.explain.results import Comparison, Explanation

_STYLES: dict[State, str] = {
    "kept": "font-weight:600",
    "faint": "opacity:.75;text-decoration:underline dotted",
    "lost": "opacity:.55;text-decoration:line-through",
    "unknown": "opacity:.55;font-style:italic",
}


def explanation_html(result: Explanation) -> str:
    """Return a text with its words kept, faint, lost or unknown, then the other words, as on a terminal."""
    shown = annotate(result, least=result.likely)
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
    return f"<div><p>{marked}</p>{_paragraphs(result.warnings)}<table>{rows}</table></div>"


def comparison_html(result: Comparison) -> str:
    """Return a row of words for both, and for each of the two alone."""
    sides = {"both": result.shared, "the first only": result.only_input, "the second only": result.only_against}
    rows = "".join(f"<tr><th>{name}</th><td>{escape(listed(words))}</td></tr>" for name, words in sides.items())
    return f"{_paragraphs(result.warnings)}<table>{rows}</table>"


def _paragraphs(lines: list[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
