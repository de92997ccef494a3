"""`flip explain STORE --find "WORD, WORD"` and `--sparse OUT`: rows by their words."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.cli.output import shown

if TYPE_CHECKING:
    from flip.cli.explain_store import With
    from flip.inputs.stores.store import Part
    from flip.stores.search import SearchHit


def find_rows(job: With, terms: str, *, any_word: bool, most: int, output: Path | None) -> None:
    """Prints the rows that most probably carry the words; writes them with all their columns."""
    from flip.stores.search import Search, terms_of

    asked = terms_of(terms, job.checkpoint)
    schema = job.store.extended(*_added(job)) if output is not None else None
    finder = Search(job.checkpoint, asked, "any" if any_word else "all", most)
    chosen = job.store.chosen
    columns = None if output is not None else [name for name in (chosen.ids, chosen.texts) if name is not None]
    with job.out.progress("looking") as on_rows:
        for part, usable in job.parts(columns):
            finder.add(part.vectors, part.first, partial(_row, part), usable)
            on_rows(job.counts.rows, job.store.rows)
    found = finder.result()
    if output is not None:
        _write(output, schema, job, found)
    for one in found:
        fields: dict[str, Any] = {"row": one.row}
        for key, name in (("id", chosen.ids), ("text", chosen.texts)):
            if name is not None:
                fields[key] = one.kept.column(name)[0].as_py()
        if job.vouched:
            fields |= {"probability": round(one.probability, 4)}
            fields |= {"words": {term.text: round(p, 4) for term, p in zip(asked, one.terms, strict=True)}}
        if job.out.human:
            said = str(fields.get("text") or fields.get("id", f"row {one.row}"))
            job.out.show(shown((f"{one.probability:6.3f}  " if job.vouched else "  ") + " ".join(said.split())))
        else:
            job.out.record(fields)


def _row(part: Part, i: int) -> Any:
    return part.table.slice(i, 1)


def _added(job: With) -> list[Any]:
    from flip.inputs.stores.columns import arrow

    return [arrow().field("probability", arrow().float32())] if job.vouched else []


def _write(path: Path, schema: Any, job: With, found: list[SearchHit]) -> None:
    from flip.inputs.stores.columns import arrow
    from flip.stores.write import writing

    pa = arrow()
    with writing(path, schema) as writer:
        for one in found:
            columns = [*one.kept.columns, *(pa.array([one.probability], field.type) for field in _added(job))]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def write_sparse(job: With, path: Path) -> None:
    """The id, or the row, and the words of every row as indices and weights."""
    import numpy as np

    from flip.inputs.stores.columns import arrow
    from flip.stores.search import SparseWords
    from flip.stores.write import writing

    pa = arrow()
    sparse, ids = SparseWords(job.checkpoint), job.store.chosen.ids
    first = pa.field("row", pa.int64()) if ids is None else job.store.schema.field(ids)
    lists = [pa.field("indices", pa.list_(pa.int32())), pa.field("values", pa.list_(pa.float32()))]
    # The words themselves, so that whoever has the file alone can read it: JSON lines have no metadata.
    words, in_lines = job.checkpoint.vocabulary.words, path.suffix.lower() == ".jsonl"
    if in_lines:
        lists.append(pa.field("words", pa.list_(pa.string())))
    schema = pa.schema([first, *lists], metadata={"flip.words": json.dumps(words, ensure_ascii=False)})
    with job.out.progress("writing") as on_rows, writing(path, schema) as writer:
        for part, usable in job.parts([] if ids is None else [ids]):
            kept = np.zeros(len(part.vectors), np.int32)
            indices, weights = np.empty(0, np.int64), np.empty(0, np.float32)
            if usable.any():
                best, heavy = sparse.of(part.vectors[usable])
                kept[usable] = (heavy > 0).sum(axis=1)
                indices, weights = best[heavy > 0], heavy[heavy > 0]
            ends, mask = pa.array(np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)), pa.array(~usable)
            rows = np.arange(part.first, part.first + len(kept))
            columns = [
                pa.array(rows) if ids is None else part.table.column(ids),
                pa.ListArray.from_arrays(ends, pa.array(indices.astype(np.int32)), mask=mask),
                pa.ListArray.from_arrays(ends, pa.array(weights), mask=mask),
            ]
            if in_lines:
                columns.append(pa.ListArray.from_arrays(ends, pa.array([words[i] for i in indices]), mask=mask))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            on_rows(job.counts.rows, job.store.rows)
    fields = {"sparse": str(path), "rows": job.counts.rows, "words": len(job.checkpoint.vocabulary)}
    job.out.result(fields, f"{path}: {job.counts.rows} rows")
