"""Read and write `datasets.yaml`, the published manifest: names, each with aligned embeddings and texts."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from flip.arrays import Floats, Ints
from flip.data.manifest_schema import Entry, Named, parsed
from flip.encoders.identity import EmbeddingInfo
from flip.errors import InputError
from flip.files import read_yaml, replacing
from flip.inputs.embedding_files import open_embeddings, read_similarities, select_rows
from flip.inputs.records import PartRead, parts_read, read_records, read_sentences
from flip.inputs.stores.store import parquet_vectors

Rows: TypeAlias = Ints

_UNKNOWN = "und"  # ISO 639-3, undetermined

MANIFEST = "datasets.yaml"  # the name of a manifest that flip writes


def files_of(path: Path) -> list[Path]:
    """Return the files of a name in a manifest: itself; or, if it is a pattern, those that match, sorted by path.

    Raises:
        InputError: none matches.
    """
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207  (Path.glob takes no absolute one)
    if not found:
        raise InputError(f"{path}: no file matches it", "check the pattern in the manifest")
    return found


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _sentences(path: Path) -> list[str]:
    """Return the lines of a text, or the texts of the rows of a Parquet file."""
    return [record.text or "" for record in read_records(path)] if _is_parquet(path) else read_sentences(path)


def _opened(paths: Sequence[Path]) -> Floats:
    matrices = [parquet_vectors(path) if _is_parquet(path) else open_embeddings(path) for path in paths]
    require_same_dimension(list(zip(paths, matrices, strict=True)))
    return select_rows([(matrix, None) for matrix in matrices])


@dataclass(frozen=True)
class EmbeddingFile:
    """One `.npy` or Parquet file of a dataset, or several that a pattern names: their rows follow each other."""

    id: str
    file: Path
    modality: str = "text"
    language: str | None = None
    rows: Rows | None = field(default=None, compare=False)  # rows of the file to use; None is all
    following: EmbeddingFile | None = None  # of the next dataset, if several are joined

    def open(self) -> Floats:
        """Memory-map the rows, shape (n, d).

        Raises:
            InputError: a file cannot be read, or joined files differ in dimension.
        """
        files = self._files()
        parts = [(_opened(files_of(one.file)), one.rows) for one in files]
        require_same_dimension([(one.file, matrix) for one, (matrix, _) in zip(files, parts, strict=True)])
        return select_rows(parts)

    @property
    def parts(self) -> tuple[int, ...]:
        """Rows of each dataset."""
        rows = [_opened(files_of(one.file)) if one.rows is None else one.rows for one in self._files()]
        return tuple(map(len, rows))

    def as_read(self, lines: list[str]) -> list[str]:
        """Return n texts, one for each row, as far as the encoder read them; others than its own are left as they are.

        Raises:
            InputError: see `flip.inputs.embedding_files.read_lengths`.
        """
        parts = [part for one in self._files() for part in one._parts_read()]
        return [line[: part.length] if line == part.text else line for line, part in zip(lines, parts, strict=True)]

    def _parts_read(self) -> list[PartRead]:
        parts: list[PartRead] = []
        for path in files_of(self.file):
            n = len(_opened([path]))
            parts += ([] if _is_parquet(path) else parts_read(path, n)) or [PartRead("", None)] * n
        return parts if self.rows is None else [parts[i] for i in self.rows]

    def _files(self) -> list[EmbeddingFile]:
        return [self, *(self.following._files() if self.following else [])]

    @property
    def source(self) -> EmbeddingInfo:
        """Content of the `.json` beside the `.npy`, the first of several; empty if it is missing."""
        return EmbeddingInfo.read(files_of(self.file)[0])

    @property
    def sources(self) -> list[EmbeddingInfo]:
        """The same for each of the files."""
        return [EmbeddingInfo.read(path) for one in self._files() for path in files_of(one.file)]


@dataclass(frozen=True)
class TextFile:
    """One text of a dataset: line i belongs to row i of its embeddings."""

    id: str
    file: Path
    language: str | None = None
    rows: Rows | None = field(default=None, compare=False)
    following: TextFile | None = None

    def read(self) -> list[str]:
        """Return the lines to use."""
        lines = [line for path in files_of(self.file) for line in _sentences(path)]
        used = lines if self.rows is None else [lines[i] for i in self.rows if i < len(lines)]
        return used + (self.following.read() if self.following else [])

    def number(self, i: int) -> int:
        """Return the number, from 0, of the i-th used line in its file; i itself if several files are joined."""
        return i if self.rows is None or self.following else int(self.rows[i])


@dataclass(frozen=True)
class SimilarityFile:
    """A `.npy` with one similarity for each row, between two embeddings of the same sentence."""

    file: Path
    pair: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Aligned embeddings and texts under one name of a manifest."""

    name: str
    embeddings: tuple[EmbeddingFile, ...]
    texts: tuple[TextFile, ...]
    similarities: tuple[SimilarityFile, ...] = ()
    dissimilar: int = field(default=0, compare=False)  # rows that `above` left out

    def text(self, text_id: str | None = None) -> TextFile:
        """Return the text called `text_id`, or the only one.

        Raises:
            InputError: no such text, or `text_id` is None and there are several.
        """
        known = ", ".join(text.id for text in self.texts) or "none"
        if text_id is None and len(self.texts) == 1:
            return self.texts[0]
        for text in self.texts:
            if text.id == text_id:
                return text
        asked = "several texts" if text_id is None else f"no text {text_id!r}"
        raise InputError(f"dataset {self.name!r} has {asked} (it has: {known})", "choose one with --text")

    def sentences(self, text_id: str | None = None) -> list[str]:
        """Return the lines of a text, as many as the rows of every embedding file, as far as all encoders read them.

        Raises:
            InputError: the counts differ; the message has both.
        """
        text = self.text(text_id)
        lines = text.read()
        read = lines
        for embedding in self.embeddings:
            if len(rows := embedding.open()) != len(lines):
                raise InputError(
                    f"{embedding.file} has {len(rows)} rows but {text.file} has {len(lines)} lines",
                    "line i must belong to row i; `flip embed` writes both",
                )
            read = [min(one, other, key=len) for one, other in zip(read, embedding.as_read(lines), strict=True)]
        return read

    @property
    def parts(self) -> tuple[int, ...]:
        """Number of rows of each of the joined datasets."""
        return self.embeddings[0].parts

    def with_embeddings(self, ids: Sequence[str]) -> Dataset:
        """Return the dataset with only these embeddings, in this order.

        Raises:
            InputError: the dataset lacks one of them.
        """
        known = {embedding.id: embedding for embedding in self.embeddings}
        if missing := [name for name in ids if name not in known]:
            raise InputError(f"dataset {self.name!r} has no embedding {missing[0]!r}", f"it has: {', '.join(known)}")
        return replace(self, embeddings=tuple(known[name] for name in ids))

    def above(self, threshold: float) -> Dataset:
        """Return only the rows with a similarity above the threshold, as the published training selects them.

        If the dataset has two embeddings, the similarity is theirs, else the first of the manifest.

        Raises:
            InputError: the manifest has no such similarities, or not one for each row; or no row is left.
        """
        matching = self._similarities()
        if not matching:
            ids = sorted({embedding.id for embedding in self.embeddings})
            raise InputError(
                f"dataset {self.name!r} has no sim_scores for {' and '.join(ids) or 'it'}",
                "leave --sim-threshold out, or add `sim_scores: [{file: scores.npy, pair: [ID, ID]}]` to the manifest",
            )
        path = matching[0].file
        scores = read_similarities(path)
        for embedding in self.embeddings:
            if len(embedding.open()) != len(scores):
                raise InputError(
                    f"{path} has {len(scores)} scores but {embedding.file} has {len(embedding.open())} rows"
                )
        rows = np.flatnonzero(scores > threshold)
        if not len(rows):
            raise InputError(f"{path}: no similarity is above {threshold}", "lower --sim-threshold")
        return replace(
            self,
            embeddings=tuple(replace(embedding, rows=rows) for embedding in self.embeddings),
            texts=tuple(replace(text, rows=rows) for text in self.texts),
            dissimilar=len(scores) - len(rows),
        )

    def similar(self) -> Dataset:
        """Return only the rows with a similarity above 0, as in the published evaluation; all without similarities."""
        return self.above(0.0) if self._similarities() else self

    def _similarities(self) -> list[SimilarityFile]:
        ids = {embedding.id for embedding in self.embeddings}
        return [one for one in self.similarities if len(ids) != 2 or set(one.pair) == ids]


def load_manifest(path: Path) -> dict[str, Dataset]:
    """Read a manifest; look for files in its folder, then in the working directory.

    Raises:
        InputError: not YAML, or not of the schema in `flip.data.manifest_schema`.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not tree:
        raise InputError(f"{path}: no datasets", "expected NAME: {embeddings: [...], texts: [...]}")
    return {name: _dataset(name, entry, path) for name, entry in parsed(tree, path).items()}


def load_dataset(
    manifest: Path,
    name: str,
    *,
    embeddings: Sequence[str] | None = None,
    sim_threshold: float | None = None,
    similar: bool = False,
) -> Dataset:
    """Return a dataset of a manifest, or several as one.

    Args:
        manifest: datasets.yaml.
        name: of the dataset; several names are separated by commas, and their rows follow each other.
        embeddings: ids of the embeddings to use, in this order; None is all.
        sim_threshold: see `Dataset.above`; None is all rows.
        similar: without a threshold, see `Dataset.similar`.

    Raises:
        InputError: no such dataset, embedding or similarities.
    """
    datasets = load_manifest(manifest)
    parts = []
    for part in name.split(",") if name not in datasets else [name]:
        if part.strip() not in datasets:
            raise InputError(f"{manifest}: no dataset {part.strip()!r}", f"it has: {', '.join(datasets)}")
        found = datasets[part.strip()]
        found = found if embeddings is None else found.with_embeddings(embeddings)
        if sim_threshold is not None:
            found = found.above(sim_threshold)
        parts.append(found.similar() if similar and sim_threshold is None else found)
    return _joined(name, parts)


def require_same_dimension(files: Sequence[tuple[Path, Floats]]) -> None:
    """Raise an InputError if embeddings that are used together differ in dimension from the first."""
    for path, matrix in files[1:]:
        if matrix.shape[1] != files[0][1].shape[1]:
            raise InputError(
                f"{path} has {matrix.shape[1]} dimensions, {files[0][0]} has {files[0][1].shape[1]}",
                "files that are used together must come from the same encoder",
            )


def _joined(name: str, parts: list[Dataset]) -> Dataset:
    """Join datasets with the same embeddings and texts, one after the other."""
    joined = parts[-1]
    for part in reversed(parts[:-1]):
        for ours, theirs in ((part.embeddings, joined.embeddings), (part.texts, joined.texts)):
            if [item.id for item in ours] != [item.id for item in theirs]:
                raise InputError(
                    f"datasets {part.name!r} and {joined.name!r} differ in the ids of their embeddings or texts",
                    "datasets that are used together need the same ids in the same order",
                )
        joined = Dataset(
            part.name,
            tuple(replace(a, following=b) for a, b in zip(part.embeddings, joined.embeddings, strict=True)),
            tuple(replace(a, following=b) for a, b in zip(part.texts, joined.texts, strict=True)),
            dissimilar=part.dissimilar + joined.dissimilar,
        )
    return replace(joined, name=name)


def write_manifest(path: Path, datasets: dict[str, Dataset], *, header: str = "") -> None:
    """Write a manifest with paths relative to it, below a header of comments.

    Every entry has a language, which the published training needs: `und` if it is unknown.
    """
    import yaml

    def entry(item: EmbeddingFile | TextFile) -> dict[str, str]:
        modality = {"modality": item.modality} if isinstance(item, EmbeddingFile) else {}
        named = {"id": item.id, "file": os.path.relpath(item.file, path.parent)}
        return named | modality | {"language": item.language or _UNKNOWN}

    def described(data: Dataset) -> Mapping[str, object]:
        similarities = [
            {"file": os.path.relpath(one.file, path.parent), "pair": list(one.pair)} for one in data.similarities
        ]
        parts = {"embeddings": [entry(e) for e in data.embeddings], "texts": [entry(t) for t in data.texts]}
        return parts | ({"sim_scores": similarities} if similarities else {})

    tree = {name: described(data) for name, data in datasets.items()}
    with replacing(path) as temporary:
        content = header + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        temporary.write_text(content, encoding="utf-8")


def _dataset(name: str, entry: Entry, manifest: Path) -> Dataset:
    def located(file: str) -> Path:
        """Return the path beside the manifest, or the one in the working directory if only that exists."""
        beside = manifest.parent / file
        if beside.exists() or glob.glob(str(beside), recursive=True):  # noqa: PTH207
            return beside
        return Path(file) if glob.glob(file, recursive=True) else beside  # noqa: PTH207

    def spoken(item: Named) -> str | None:
        return None if item.language == _UNKNOWN else item.language

    return Dataset(
        name,
        tuple(EmbeddingFile(i.id, located(i.file), i.modality or "text", spoken(i)) for i in entry.embeddings or ()),
        tuple(TextFile(i.id, located(i.file), spoken(i)) for i in entry.texts or ()),
        tuple(SimilarityFile(located(i.file), tuple(i.pair or ())) for i in entry.sim_scores or ()),
    )
