"""A measurement that a notebook shows."""

from dataclasses import dataclass
from html import escape

from flip.evaluation import results
from flip.evaluation.report import COLUMNS, summary_rows


@dataclass(frozen=True, repr=False)
class EvalResult(results.EvalResult):
    """The figures of `flip eval`, as a notebook shows them."""

    @classmethod
    def of(cls, result: results.EvalResult) -> "EvalResult":
        """Return the same figures."""
        return cls(**vars(result))

    def __repr__(self) -> str:
        metrics = self.to_dict()["metrics"]
        accuracy = metrics.get("accuracy")
        figures = f"accuracy {accuracy['bias']['mean']:.1%} with b" if accuracy else ", ".join(metrics)
        return f"<EvalResult: {figures} over {self.n} sentences>"

    def _repr_html_(self) -> str:
        rows = summary_rows(self.to_dict(), 10)
        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table><tr>{head}</tr>{body}</table>"
