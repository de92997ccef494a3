"""Results of a Lens: objects that a notebook shows and a program reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flip.evaluation.eval_result import EvalResult
    from flip.explain.reading import Reading

_STYLES = {
    "kept": "font-weight:600",
    "faint": "opacity:.75;text-decoration:underline dotted",
    "lost": "opacity:.55;text-decoration:line-through",
    "unknown": "opacity:.55;font-style:italic",
}


class Explanation:
    """The words of one embedding.

    words: keywords, best first, each with word, surface, probability and score, and in_text if there is a text.
    unknown: words of the text that the vocabulary lacks.
    warnings: reasons to distrust the words: another language, a vector from elsewhere, a text that is too long.
    """

    def __init__(self, record: dict[str, Any], reading: Reading, likely: float) -> None:
        self._record, self._reading, self._likely = record, reading, likely
        self.words: list[dict[str, Any]] = record["keywords"]
        self.unknown: list[str] = record.get("unknown", [])
        self.warnings = _warnings(record)

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `flip explain --json` prints."""
        return self._record

    def __repr__(self) -> str:
        likely = [word for word in self.words if word.get("probability", 1.0) >= self._likely]
        said = (word["surface"] + (f" {word['probability']:.0%}" if "probability" in word else "") for word in likely)
        return f"<Explanation: {', '.join(said) or 'no word for certain'}{_doubted(self.warnings)}>"

    def _repr_html_(self) -> str:
        """Return the view of the terminal: the sentence with its words marked, then the other words."""
        marked = "".join(
            f'<span style="{_STYLES[mark.state]}" title="{mark.state}">{escape(mark.text)}</span>'
            if mark.state
            else escape(mark.text)
            for mark in self._reading.marks
        )
        rows = "".join(
            f"<tr><td>{escape(word['surface'])}</td><td>{word['probability']:.0%}</td></tr>"
            if "probability" in word
            else f"<tr><td>{escape(word['surface'])}</td></tr>"
            for word in self._reading.others
        )
        doubts = "".join(f"<p>{escape(warning)}</p>" for warning in self.warnings)
        return f"<div><p>{marked}</p>{doubts}<table>{rows}</table></div>"


class Contrasted:
    """Words that two embeddings share, and words of only one; see `flip.explain.contrast.Contrast`."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        self.shared, self.only_input, self.only_against = (
            record[side] for side in ("shared", "only_input", "only_against")
        )
        self.warnings = [*_warnings(record), *_warnings(record["against"])]

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `flip explain --against` prints."""
        return self._record

    def __repr__(self) -> str:
        sides = {"shared": self.shared, "only input": self.only_input, "only against": self.only_against}
        said = "; ".join(f"{name}: {_listed(words)}" for name, words in sides.items())
        return f"<Contrasted: {said}{_doubted(self.warnings)}>"

    def _repr_html_(self) -> str:
        sides = {"both": self.shared, "the first only": self.only_input, "the second only": self.only_against}
        rows = "".join(f"<tr><th>{name}</th><td>{escape(_listed(words))}</td></tr>" for name, words in sides.items())
        doubts = "".join(f"<p>{escape(warning)}</p>" for warning in self.warnings)
        return f"{doubts}<table>{rows}</table>"


def _warnings(record: Mapping[str, Any]) -> list[str]:
    cut = ["truncated: longer than the encoder reads"] if record.get("truncated") else []
    return [*record.get("warnings", []), *cut]


def _doubted(warnings: Sequence[str]) -> str:
    return f"; but {'; '.join(warnings)}" if warnings else ""


@dataclass(frozen=True)
class Result:
    """The figures of `flip eval`."""

    result: EvalResult

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `flip eval --json` prints."""
        return self.result.to_dict()

    def _rows(self) -> list[tuple[str, ...]]:
        from flip.evaluation.report import summary_rows

        return summary_rows(self.to_dict(), 10)

    def __repr__(self) -> str:
        metrics = self.to_dict()["metrics"]
        accuracy = metrics.get("accuracy")
        said = f"accuracy {accuracy['bias']['mean']:.1%} with b" if accuracy else ", ".join(metrics)
        return f"<Result: {said} over {self.result.n} sentences>"

    def _repr_html_(self) -> str:
        from flip.evaluation.report import COLUMNS

        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows())
        return f"<table><tr>{head}</tr>{body}</table>"


def _listed(words: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(word["surface"] for word in words) or "no word"
