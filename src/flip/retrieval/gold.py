"""Read the relevant chunks of queries, as BEIR and TREC write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flip.errors import InputError
from flip.inputs.sources import lines_of

Gold = Mapping[str, Mapping[str, float]]  # by query: the grade of each relevant chunk, above 0

_HINT = "a line holds QUERY, CHUNK and a grade with tabs (BEIR), or QUERY, 0, CHUNK and a grade (TREC)"


def read_gold(path: Path) -> Gold:
    """Read which chunks are relevant to each query: BEIR's TSV, with or without its header, or TREC's qrels.

    Chunks of grade 0 or less are not relevant, and left out.

    Raises:
        InputError: a line has another form, a pair comes twice, or no chunk is relevant.
    """
    found: dict[str, dict[str, float]] = {}
    for number, (where, line) in enumerate(lines_of(path)):
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 0 and _is_header(cells)):
            continue
        if len(cells) == 4:
            cells = [cells[0], *cells[2:]]
        query, chunk, grade = cells if len(cells) == 3 else ("", "", "")
        try:
            relevance = float(grade)
        except ValueError as error:
            raise InputError(f"{where}: {line.strip()[:80]!r} has no grade of a chunk", _HINT) from error
        if chunk in found.setdefault(query, {}):
            raise InputError(f"{where}: chunk {chunk} of query {query} comes twice", "keep one of the two lines")
        found[query][chunk] = relevance
    relevant = {
        query: {chunk: grade for chunk, grade in chunks.items() if grade > 0} for query, chunks in found.items()
    }
    relevant = {query: chunks for query, chunks in relevant.items() if chunks}
    if not relevant:
        raise InputError(f"{path}: no chunk is relevant to a query", _HINT)
    return relevant


def _is_header(cells: list[str]) -> bool:
    return len(cells) >= 3 and not cells[-1].lstrip("-").replace(".", "", 1).isdigit()
