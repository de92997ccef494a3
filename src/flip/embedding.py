"""Sentences to an embedding file, with its sentences and its description beside it; an interrupted run goes on.

While it runs, three partial files lie beside the output: the sentences, the vectors so far, and the description, whose
`input` hash and encoder revision decide whether what lies there can be continued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.encoders.base import truncated
from flip.errors import InputError
from flip.files import os_errors, read_json, write_json
from flip.store import embeddings_json, open_embeddings, sentences_path

if TYPE_CHECKING:
    from flip.encoders.base import Encoder

_HEADER = 128  # bytes; numpy pads its header to a multiple of 64, this one always fits


@dataclass(frozen=True)
class Embedded:
    """What was written. blank: input lines dropped. resumed: rows that an earlier run had done. fresh: False if all."""

    path: Path
    rows: int
    dimension: int
    blank: int
    truncated: int
    resumed: int
    fresh: bool


def embed(
    texts: Iterable[str],
    output: Path,
    encoder: Encoder,
    *,
    batch_size: int = 256,
    dtype: type[np.floating[Any]] = np.float32,
    force: bool = False,
    on_rows: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Writes OUT.npy (n, d), OUT.sentences.txt and OUT.json; row i belongs to line i.

    Args:
        texts: sentences, blank ones are dropped and counted. Read once, not kept.
        output: OUT.npy.
        encoder: what embeds them.
        batch_size: sentences encoded at a time.
        dtype: of the file, float32 or float16.
        force: replace an output that was made of something else.
        on_rows: called with (rows done, rows in all).

    Raises:
        InputError: no sentence, an output of something else, NaN from the encoder, or the disk.
    """
    sentences = _partial(sentences_path(output))
    with os_errors(output, "write"):
        output.parent.mkdir(parents=True, exist_ok=True)
        rows, blank, digest = _spool(texts, sentences)
    if not rows:
        sentences.unlink()
        raise InputError("nothing to embed", "the input has no line that is not blank")
    description = {
        "encoder": encoder.name,
        "revision": encoder.revision,
        "dimension": encoder.dimension,
        "rows": rows,
        "dtype": np.dtype(dtype).name,
        "input": f"sha256:{digest}",
    }
    if output.exists():
        known = _known(embeddings_json(output))
        if description.items() <= known.items() and len(open_embeddings(output)) == rows:
            sentences.unlink()
            return Embedded(output, rows, encoder.dimension, blank, known["truncated"], rows, fresh=False)
        if not force:
            sentences.unlink()
            raise InputError(f"{output} exists and was made of other input", "--force replaces it, -o names another")
    vectors = _partial(output)
    done = _resumable(vectors, description)
    write_json(_partial(embeddings_json(output)), description)
    with os_errors(output, "write"):
        cut = _append(sentences, vectors, encoder, rows, done, batch_size, dtype, on_rows)
        # The vectors come last: where they are, the other two are complete.
        write_json(
            embeddings_json(output),
            description | {"truncated": cut, "blank": blank, "device": encoder.device},
        )
        _partial(embeddings_json(output)).unlink()
        sentences.replace(sentences_path(output))
        vectors.replace(output)
    return Embedded(output, rows, encoder.dimension, blank, cut, done, fresh=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _spool(texts: Iterable[str], path: Path) -> tuple[int, int, str]:
    """Writes the sentences that are not blank; returns (rows, blank ones, sha256)."""
    rows = blank = 0
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for text in texts:
            if not text:
                blank += 1
                continue
            line = " ".join(text.split("\n")).encode() + b"\n"
            digest.update(line)
            file.write(line)
            rows += 1
    return rows, blank, digest.hexdigest()


def _known(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}


def _resumable(vectors: Path, description: dict[str, Any]) -> int:
    """Whole rows in the partial file, if it belongs to the same sentences, encoder and type; else 0."""
    about = vectors.with_name(f".{embeddings_json(Path(vectors.name[1:].removesuffix('.partial'))).name}.partial")
    if not vectors.is_file() or _known(about) != description:
        return 0
    row_bytes = description["dimension"] * np.dtype(description["dtype"]).itemsize
    return int(max(0, vectors.stat().st_size - _HEADER) // row_bytes)


def _append(
    sentences: Path,
    vectors: Path,
    encoder: Encoder,
    rows: int,
    done: int,
    batch_size: int,
    dtype: type[np.floating[Any]],
    on_rows: Callable[[int, int], None] | None,
) -> int:
    """Embeds the sentences after row `done` and appends them; returns how many of all were truncated."""
    cut = 0
    with vectors.open("r+b" if done else "wb") as file, sentences.open(encoding="utf-8", newline="\n") as lines:
        if not done:
            file.write(_npy_header(rows, encoder.dimension, dtype))
        file.truncate(_HEADER + done * encoder.dimension * np.dtype(dtype).itemsize)
        file.seek(0, 2)
        position = 0
        for batch in _batches((line.rstrip("\n") for line in lines), done, batch_size):
            cut += sum(truncated(encoder, batch))
            position += len(batch)
            if position > done:
                embedded = encoder.encode(batch)
                _check(embedded, batch, encoder, position - len(batch))
                file.write(np.ascontiguousarray(embedded, dtype).tobytes())
                file.flush()
            if on_rows:
                on_rows(position, rows)
    return cut


def _batches(lines: Iterator[str], done: int, size: int) -> Iterator[list[str]]:
    """Batches that break at row `done`, so that the rows before it are never encoded again."""
    before = islice(lines, done)
    while batch := list(islice(before, size)):
        yield batch
    while batch := list(islice(lines, size)):
        yield batch


def _check(embedded: np.ndarray, batch: Sequence[str], encoder: Encoder, start: int) -> None:
    expected = (len(batch), encoder.dimension)
    if embedded.shape != expected:
        raise InputError(f"encoder {encoder.name} gave shape {embedded.shape} for a batch, expected {expected}")
    bad = np.flatnonzero(~np.isfinite(embedded).all(axis=1))
    if len(bad):
        raise InputError(f"encoder {encoder.name} gave NaN or infinity for row {start + bad[0]}: {batch[bad[0]]!r}")


def _npy_header(rows: int, dimension: int, dtype: type[np.floating[Any]]) -> bytes:
    """Version 1.0 of the format, padded to a fixed size: magic, version, length, a Python literal, a newline."""
    fields = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, dimension)}
    text = str(fields).encode("latin1").ljust(_HEADER - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
