"""A measurement as a notebook shows it and a program reads it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class EvalResult:
    """What `flip eval` measures."""

    result: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The record that `flip eval --json` prints."""
        return self.result

    def _rows(self) -> list[tuple[str, ...]]:
        from flip.evaluation.report import summary_rows

        return summary_rows(self.result, 10)

    def __repr__(self) -> str:
        measured = self.result["metrics"].get("accuracy")
        said = f"accuracy {measured['bias']['mean']:.1%} with b" if measured else ", ".join(self.result["metrics"])
        return f"<EvalResult: {said} over {self.result['n']} sentences>"

    def _repr_html_(self) -> str:
        from flip.evaluation.report import COLUMNS

        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows())
        return f"<table><tr>{head}</tr>{body}</table>"
