"""Split vectors and their sentences, one file each, into the parts of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, TextFile, write_manifest
from flip.data.splitting import split_rows
from flip.encoders.embedding_info import EmbeddingInfo
from flip.errors import InputError
from flip.files import replacing
from flip.inputs.embedding_files import copy_rows, finite_rows, open_embeddings, sentences_path
from flip.inputs.records import read_lines, require_in_order
from flip.locks import held

GIVEN = "given"  # id of embeddings of an unknown encoder


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
    view = open_embeddings(vectors)
    if len(view) != len(sentences):
        beside = sentences_path(vectors)
        fits = beside.is_file() and sum(1 for _ in read_lines(beside)) == len(view)
        raise InputError(
            f"{vectors} has {len(view)} rows for {len(sentences)} sentences",
            f"{beside} has a line for each row: give that as the CORPUS" if fits else "row i belongs to line i",
        )
    require_in_order(vectors, sentences)
    usable = [i for i in np.flatnonzero(finite_rows(view)).tolist() if sentences[i].strip()]
    source = EmbeddingInfo.read(vectors)
    datasets = {}
    with held(folder / MANIFEST, folder):
        for part, chosen in split_rows([(sentences[i],) for i in usable], split, seed).items():
            rows = np.array([usable[i] for i in chosen], np.int64)
            path = folder / f"{part}.npy"
            copy_rows(vectors, rows, path)
            with replacing(sentences_path(path)) as temporary:
                lines = (" ".join(sentences[i].splitlines()) for i in rows)
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            if source.encoder.name:
                replace(source, rows=len(rows), dropping=()).write(path)
            files = (EmbeddingFile(source.encoder.name or GIVEN, path),)
            datasets[part] = Dataset(part, files, (TextFile("text", sentences_path(path)),))
        write_manifest(folder / MANIFEST, datasets)
    return datasets, len(view) - len(usable)
