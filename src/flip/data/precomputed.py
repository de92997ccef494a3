"""Split given vectors and their sentences into the parts of a data set; keep the same rows in a pair of files."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from flip.data.corpora import split_rows
from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, TextFile, write_manifest
from flip.encoders.identity import EmbeddingInfo
from flip.errors import InputError
from flip.files import os_errors, replacing
from flip.inputs import embedding_files
from flip.inputs.records import parts_read, read_lines, require_in_order
from flip.locks import held

_ROWS = 65_536

GIVEN = "given"  # id of embeddings of an unknown encoder


def keep_common_rows(paths: Sequence[Path]) -> int:
    """Drop from embedding files of aligned inputs each row whose input failed in another file.

    Returns:
        The number of inputs without a row.

    Raises:
        InputError: no row is left, or a description does not list the inputs that failed.
    """
    with ExitStack() as locks:
        for path in paths:
            locks.enter_context(held(path))
            finish_dropping(path)
        about = {path: EmbeddingInfo.read(path) for path in paths}
        if damaged := [embedding_files.embeddings_json(path) for path, one in about.items() if not one.is_whole]:
            raise InputError(f"{damaged[0]} does not tell which inputs have a row", "make it again with `flip embed`")
        failed = {item.input: item for one in about.values() for item in one.failed}
        for path, one in about.items():
            own = {item.input: item for item in one.failed}
            inputs = [i for i in range(one.inputs or 0) if i not in own]
            dropping = [row for row, i in enumerate(inputs) if i in failed]
            if not dropping:
                continue
            if len(dropping) == len(inputs):
                raise InputError(f"{path}: no row is left: every other of the pair failed", "see the .json beside it")
            others = {i: replace(item, error=f"the other of the pair: {item.error}") for i, item in failed.items()}
            merged = tuple(item for _, item in sorted((others | own).items()))
            rows = len(inputs) - len(dropping)
            replace(one, rows=rows, failed=merged, dropping=tuple(dropping)).write(path)
            finish_dropping(path)
    return len(failed)


def finish_dropping(path: Path) -> None:
    """Drop the rows that the description marks as dropped, if an earlier run was killed before it did so.

    Each file is replaced as a whole, and its length shows whether that was done: after a kill at any moment, the next
    run does the rest.
    """
    about = EmbeddingInfo.read(path) if path.exists() else EmbeddingInfo()
    if not about.dropping or about.rows is None:
        return
    before, found = about.rows + len(about.dropping), len(embedding_files.open_embeddings(path))
    # A description that does not fit these vectors belongs to other ones: leave both as they are.
    if found not in (before, about.rows) or len(rows := np.setdiff1d(np.arange(before), about.dropping)) != about.rows:
        return
    if found == before:
        embedding_files.copy_rows(path, rows, path)
    for lines in embedding_files.lines_beside(path):
        content = lines.read_text(encoding="utf-8").split("\n")
        if len(content) == before + 1:
            with replacing(lines) as temporary:
                temporary.write_text("".join(f"{content[row]}\n" for row in rows), encoding="utf-8")
    replace(about, dropping=()).write(path)


def write_similarities(first: Path, second: Path, output: Path) -> float:
    """Write the cosine of row i of `first` and row i of `second`, float32 of shape (n,); return their mean.

    Raises:
        InputError: the files differ in shape.
    """
    a, b = embedding_files.open_embeddings(first), embedding_files.open_embeddings(second)
    if a.shape != b.shape:
        raise InputError(f"{first} is {a.shape[0]} x {a.shape[1]}, {second} is {b.shape[0]} x {b.shape[1]}")
    scores = np.empty(len(a), np.float32)
    for start in range(0, len(a), _ROWS):
        x, y = (np.asarray(m[start : start + _ROWS], np.float32) for m in (a, b))
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        scores[start : start + _ROWS] = (x * y).sum(axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)
    with os_errors(output, "write"), replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, scores)
    return float(scores.mean())


def split_vectors(
    vectors: Path, sentences: Sequence[str], folder: Path, split: str, seed: int
) -> tuple[dict[str, Dataset], int]:
    """Split a `.npy` and its sentences into train, dev and test in `folder`, with a manifest.

    Args:
        vectors: (n, d), row i belongs to sentence i.
        sentences: n of them; rows of blank ones, or with NaN, are left out.
        folder: for the parts.
        split, seed: see `split_rows`.

    Returns:
        The datasets by name, and the number of rows left out.

    Raises:
        InputError: the numbers of rows and sentences differ, or there are too few to split.
    """
    view = embedding_files.open_embeddings(vectors)
    if len(view) != len(sentences):
        beside = embedding_files.sentences_path(vectors)
        fits = beside.is_file() and sum(1 for _ in read_lines(beside)) == len(view)
        raise InputError(
            f"{vectors} has {len(view)} rows for {len(sentences)} sentences",
            f"{beside} has a line for each row: give that as the CORPUS" if fits else "row i belongs to line i",
        )
    require_in_order(vectors, sentences)
    usable = [i for i in np.flatnonzero(embedding_files.finite_rows(view)).tolist() if sentences[i].strip()]
    source = EmbeddingInfo.read(vectors)
    read = parts_read(vectors, len(view))
    datasets = {}
    with held(folder / MANIFEST, folder):
        for part, chosen in split_rows([(sentences[i],) for i in usable], split, seed).items():
            rows = np.array([usable[i] for i in chosen], np.int64)
            path = folder / f"{part}.npy"
            embedding_files.copy_rows(vectors, rows, path)
            with replacing(embedding_files.sentences_path(path)) as temporary:
                lines = (" ".join(sentences[i].splitlines()) for i in rows)
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            if read:
                with replacing(embedding_files.read_path(path)) as temporary:
                    lengths = (read[i].length if read[i].text == sentences[i] else None for i in rows)
                    temporary.write_text("".join("\n" if n is None else f"{n}\n" for n in lengths), encoding="utf-8")
            if source.encoder.name:
                replace(source, rows=len(rows), dropping=()).write(path)
            files = (EmbeddingFile(source.encoder.name or GIVEN, path),)
            datasets[part] = Dataset(part, files, (TextFile("text", embedding_files.sentences_path(path)),))
        write_manifest(folder / MANIFEST, datasets)
    return datasets, len(view) - len(usable)
