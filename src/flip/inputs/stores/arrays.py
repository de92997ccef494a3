"""Arrays as stores: `.npz`, `.npy`, flat indexes of FAISS; and the lines beside that have a row's text and columns."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError, UnavailableError
from flip.inputs.embedding_files import open_embeddings, sentences_path
from flip.inputs.record import require_as_many
from flip.inputs.sniffing import JSONL_SUFFIXES, ending
from flip.inputs.sources import decoded, opened
from flip.inputs.stores.columns import Asked, arrow
from flip.inputs.stores.table import VECTORS, Table, arrow_type, as_batch, as_type, slices

if TYPE_CHECKING:
    from flip.inputs.sources import Source


def npy(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """Rows of a matrix."""
    return _of_rows(open_embeddings(path, name))


def _of_rows(rows: Any, ids: Any = None) -> Table:
    """Vectors, and ids where there are any, from what gives rows by `[start:stop]`."""
    pa = arrow()
    n, d = rows.shape
    fields = [pa.field(VECTORS, pa.list_(pa.from_numpy_dtype(rows.dtype), d))]
    schema = pa.schema(fields if ids is None else [pa.field("faiss_id", pa.int64()), *fields])

    def read(columns: Sequence[str], size: int) -> Iterator[Any]:
        for start, stop in slices(n, size):
            values = {VECTORS: rows[start:stop]} if VECTORS in columns else {}
            yield as_batch(schema, columns, values if ids is None else values | {"faiss_id": ids[start:stop]})

    return Table(schema, n, read)


def npz(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """Arrays of as many rows as the matrix has; read from the archive in parts."""
    pa = arrow()
    shapes = {}
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        for member in archive.namelist():
            with archive.open(member) as file:
                shapes[member.removesuffix(".npy")] = _header(file)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{name}: not a readable .npz file: {error}", "save it again with numpy.savez") from error
    matrices = {key: shape for key, (shape, fortran, kind) in shapes.items() if len(shape) == 2 and kind.kind in "fi"}
    rows = {shape[0] for shape in matrices.values()}
    if len(rows) != 1:
        raise InputError(f"{name}: {'no matrix' if not rows else 'matrices of other lengths'} in this archive")
    (n,) = rows
    fields, kinds = [], {}
    for key, (shape, fortran, kind) in shapes.items():
        if kind.hasobject or shape[:1] != (n,) or len(shape) > 2 or (fortran and len(shape) == 2):
            if key == asked.vectors or fortran:
                raise InputError(
                    f"{name}: {key} is {kind} of shape {shape}, column by column", "numpy.ascontiguousarray"
                )
            continue
        one = pa.string() if kind.kind in "US" else pa.from_numpy_dtype(kind)
        fields.append(pa.field(key, one if len(shape) == 1 else pa.list_(one, shape[1])))
        kinds[key] = (shape, kind)
    schema = pa.schema(fields)

    def read(columns: Sequence[str], size: int) -> Iterator[Any]:
        with ExitStack() as files:
            open_files = {key: files.enter_context(archive.open(f"{key}.npy")) for key in columns}
            for file in open_files.values():
                _header(file)
            for start, stop in slices(n, size):
                values = {}
                for key, file in open_files.items():
                    shape, kind = kinds[key]
                    values[key] = _rows(file, (stop - start, *shape[1:]), kind, name)
                yield as_batch(schema, columns, values)

    return Table(schema, n, read)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    reading = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = reading(file)
    return shape, fortran, kind


def _rows(file: Any, shape: tuple[int, ...], kind: np.dtype[Any], name: str) -> Any:
    count = int(np.prod(shape)) * kind.itemsize
    try:
        data = file.read(count)
    except zipfile.BadZipFile as error:
        raise InputError(f"{name}: {error}", "the archive is damaged: get it again") from error
    if len(data) != count:
        raise InputError(f"{name}: an array ends before its last row", "the archive is damaged: get it again")
    rows = np.frombuffer(data, kind).reshape(shape)
    if kind.kind == "S":
        return [value.decode("utf-8", "backslashreplace") for value in rows.tolist()]
    return rows.tolist() if kind.kind == "U" else rows


def faiss(path: Path, name: str, asked: Asked, stack: ExitStack) -> Table:
    """Vectors of a flat index, with its ids where it maps them; mapped into memory, not copied."""
    try:
        import faiss
    except ImportError as error:
        raise UnavailableError(f"{name}: an index of FAISS", "pip install 'flip-interpret[faiss]'") from error
    try:
        owner = index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition("Error: ")[2]
        raise InputError(
            f"{name}: not a readable index of FAISS: {reason}", "write it again: faiss.write_index"
        ) from error
    ids = None
    if isinstance(index, faiss.IndexIDMap):
        ids = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    if not isinstance(index, faiss.IndexFlat):
        raise InputError(
            f"{name}: {type(index).__name__}, whose vectors are compressed or in lists",
            "flat indexes are read (Flat, IDMap,Flat): keep the vectors in one, or in Parquet",
        )
    return _of_rows(_Indexed(index, owner), ids)


class _Indexed:
    """Rows of a flat index."""

    dtype = np.dtype(np.float32)

    def __init__(self, index: Any, owner: Any) -> None:
        self._index = index
        self._owner = owner  # frees the index that is in it when it goes
        self.shape = (int(index.ntotal), int(index.d))

    def __getitem__(self, key: slice) -> Any:
        return self._index.reconstruct_n(key.start, key.stop - key.start)


def with_lines(table: Table, found: Source, named: Path | None) -> Table:
    """The table with the columns of the lines beside it: NAME.jsonl, or a text, of which line i belongs to row i.

    Raises:
        InputError: the lines that are named, or all that are there, are not as many as the rows.
    """
    pa = arrow()
    possible = [named] if named is not None else []
    if named is None and found.path is not None:
        possible = [p for p in (found.path.with_suffix(".jsonl"), sentences_path(found.path)) if p.is_file()]
    if not possible:
        return table
    counts = {path: sum(1 for _ in _lines(path)) for path in possible}
    beside = next((path for path in possible if counts[path] == table.rows), possible[0])
    require_as_many(table.rows or 0, counts[beside], str(beside))
    kinds: dict[str, set[type]] = {}
    for row in _lines(beside):
        for key, value in row.items():
            kinds.setdefault(key, set()).add(type(value))
    own = set(table.schema.names)
    added = {key: arrow_type(types) for key, types in kinds.items() if key not in own}
    schema = pa.schema([*table.schema, *(pa.field(key, kind) for key, kind in added.items())])

    def read(columns: Sequence[str], size: int) -> Iterator[Any]:
        rows = _lines(beside)
        # A batch without a column would have no rows either.
        for batch in table.read([column for column in columns if column in own] or [VECTORS], size):
            some = list(islice(rows, batch.num_rows)) if set(columns) - own else []
            arrays = [
                batch.column(column)
                if column in own
                else pa.array([as_type(row.get(column), added[column]) for row in some], added[column])
                for column in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(column) for column in columns]))

    return Table(schema, table.rows, read, f"other columns from {beside}")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The columns of each line: the fields of an object of JSON, or the line as `text`."""
    import orjson

    with opened(path) as source:
        if source.kind != "text":
            raise InputError(f"{path}: {source.kind}, no text", "a line for each row is needed here")
        as_json = ending(path.name) in JSONL_SUFFIXES
        for number, line in enumerate(source.file, start=1):
            where = f"{path}, line {number}"
            text = decoded(line, where, str(path)).strip()
            if not as_json:
                yield {"text": text}
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{where}: not valid JSON: {error}", "line i has an object for row i") from error
            if not isinstance(row, dict):
                raise InputError(f"{where}: not a JSON object", "line i has an object for row i")
            yield row
