"""Rank the chunks of a store by their cosine to queries, in two passes; read which chunks are relevant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError
from flip.inputs.sources import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flip.arrays import Floats, Ints
    from flip.stores.rows import StoreReader


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


@dataclass(frozen=True)
class Chunk:
    """A row of a store.  row: its number, from 0.  text: None if the store has none.  vector: (d,)."""

    id: str
    row: int
    text: str | None
    vector: Floats


@dataclass(frozen=True)
class Ranked:
    """The best rows of a store for each of n queries, and the chunks that are shown.

    rows: (n, k), best first; -1 after the last.  cosines: of these.  chunks: by row, those of `rows` and the relevant.
    places: by query, the place of each relevant chunk among all rows, from 1; chunks that the store lacks have none. Of
    rows with the same cosine, to six digits, the first in the store comes first.  size: the number of rows.
    """

    rows: Ints
    cosines: Floats
    chunks: Mapping[int, Chunk]
    places: Sequence[Mapping[str, int]]
    size: int


@dataclass
class _Found:
    """The first pass: the best rows, and the relevant chunks."""

    cosines: Floats
    rows: Ints
    chunks: dict[int, Chunk] = field(default_factory=dict)
    by_id: dict[str, Chunk] = field(default_factory=dict)
    limits: dict[str, Floats] = field(default_factory=dict)  # by relevant chunk: its cosines (n,)
    size: int = 0

    def add(self, z: Floats, rows: Ints) -> None:
        """Add the cosines (n, m) of m rows."""
        k = self.rows.shape[1]
        every = np.concatenate([self.cosines, z], axis=1)
        numbers = np.concatenate([self.rows, np.broadcast_to(rows, z.shape)], axis=1)
        order = np.argsort(-every, axis=1, kind="stable")[:, :k]
        self.cosines, self.rows = (np.take_along_axis(one, order, axis=1) for one in (every, numbers))


def rank_chunks(
    reader: StoreReader, queries: Floats, gold: Sequence[Mapping[str, float]], k: int,
    on_rows: Callable[[int, int | None], None],
) -> Ranked:  # fmt: skip
    """Rank all rows of a store by their cosine to each query.

    Args:
        reader: the store; its ids name the relevant chunks.
        queries: their vectors, (n, d).
        gold: the relevant chunks of each query, by id.
        k: rows kept for each.
        on_rows: called with the rows done, of both passes, and their number if it is known.

    Raises:
        InputError: the store has no ids, or two relevant rows have the same.
    """
    ids, texts = reader.store.chosen.ids, reader.store.chosen.texts
    if ids is None:
        raise InputError(f"{reader.store.name} has no ids, by which --gold names its chunks", "--id-column NAME")
    wanted = {chunk for chunks in gold for chunk in chunks}
    unit = _unit(queries)
    found = _Found(np.full((len(unit), k), -np.inf, np.float32), np.full((len(unit), k), -1, np.int64))
    total = None if reader.store.rows is None else 2 * reader.store.rows
    done = 0
    for part, usable in reader.parts([ids]):
        rows = np.flatnonzero(usable)
        z = _cosines(unit, part.vectors[rows])
        found.add(z, part.first + rows)
        found.size += len(rows)
        names = [str(name) for name in part.column(ids)]
        for column, i in enumerate(rows.tolist()):
            if (name := names[i]) in wanted:
                if name in found.by_id:
                    raise InputError(f"{reader.store.name}: two rows have the id {name}", "--id-column names another")
                found.by_id[name] = Chunk(name, part.first + i, None, np.array(part.vectors[i]))
                found.limits[name] = z[:, column]
        done += len(part.vectors)
        on_rows(done, total)
    pairs = [(q, found.by_id[name]) for q, chunks in enumerate(gold) for name in chunks if name in found.by_id]
    shown = {*found.rows[found.rows >= 0].tolist(), *(chunk.row for _, chunk in pairs)}
    limits = np.array([found.limits[chunk.id][q] for q, chunk in pairs], np.float32)[:, None]
    above = np.zeros(len(pairs), np.int64)
    of_query = np.array([q for q, _ in pairs], np.int64)
    own = np.array([chunk.row for _, chunk in pairs], np.int64)[:, None]
    for part, usable in reader.parts([name for name in (ids, texts) if name is not None], again=True):
        rows = np.flatnonzero(usable)
        z, numbers = _cosines(unit, part.vectors[rows])[of_query], part.first + rows
        above += (((z > limits) | ((z == limits) & (numbers < own))) & (numbers != own)).sum(axis=1)
        _keep(part, ids, texts, shown, found.chunks)
        done += len(part.vectors)
        on_rows(done, total)
    places: list[dict[str, int]] = [{} for _ in gold]
    for (q, chunk), better in zip(pairs, above.tolist(), strict=True):
        places[q][chunk.id] = better + 1
    return Ranked(found.rows, found.cosines, found.chunks, places, found.size)


def _keep(part: Any, ids: str, texts: str | None, shown: Collection[int], chunks: dict[int, Chunk]) -> None:
    """Keep the rows of a part that are shown, with their texts."""
    inside = [i for i in range(len(part.vectors)) if part.first + i in shown]
    if not inside:
        return
    names, written = part.column(ids), None if texts is None else part.column(texts)
    for i in inside:
        text = None if written is None or written[i] is None else str(written[i])
        chunks[part.first + i] = Chunk(str(names[i]), part.first + i, text, np.array(part.vectors[i]))


def _cosines(unit: Floats, vectors: Floats) -> Floats:
    """Return the cosines (n, m), to six digits: those of equal vectors may differ in the last one."""
    return np.round(unit @ _unit(vectors).T, 6)


def _unit(u: Floats) -> Floats:
    """Return vectors (n, d) at length 1; zeros stay."""
    lengths = np.linalg.norm(u, axis=1, keepdims=True)
    return np.asarray(u / np.where(lengths > 0, lengths, 1), np.float32)


def known_gold(gold: Gold, ids: Sequence[str]) -> list[Mapping[str, float]]:
    """Return the relevant chunks of the queries with these ids, in their order; none for a query that gold lacks."""
    return [gold.get(name, {}) for name in ids]
