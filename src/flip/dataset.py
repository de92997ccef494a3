"""`datasets.yaml`, the published manifest: names, and for each the embeddings and texts that belong together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.errors import InputError
from flip.files import os_errors, read_json, replacing
from flip.store import embeddings_json, open_embeddings, read_sentences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EmbeddingFile:
    """One `.npy` of a dataset."""

    id: str
    file: Path
    modality: str = "text"
    language: str | None = None

    def open(self) -> NDArray[np.floating[Any]]:
        """Memory-maps the rows, shape (n, d)."""
        return open_embeddings(self.file)

    @property
    def source(self) -> dict[str, Any]:
        """What the `.json` beside the `.npy` says of encoder and revision; empty where there is none."""
        path = embeddings_json(self.file)
        return dict(read_json(path)) if path.is_file() else {}


@dataclass(frozen=True)
class TextFile:
    """One text of a dataset: line i belongs to row i of its embeddings."""

    id: str
    file: Path
    language: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Aligned embeddings and texts under one name of a manifest."""

    name: str
    embeddings: tuple[EmbeddingFile, ...]
    texts: tuple[TextFile, ...]

    def text(self, text_id: str | None = None) -> TextFile:
        """The text called `text_id`, or the only one there is.

        Raises:
            InputError: no such text, or several and none named.
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
        """Lines of a text, checked to be as many as the rows of every embedding file.

        Raises:
            InputError: the counts differ, with both in the message.
        """
        file = self.text(text_id).file
        lines = read_sentences(file)
        for embedding in self.embeddings:
            if len(rows := embedding.open()) != len(lines):
                raise InputError(
                    f"{embedding.file} has {len(rows)} rows but {file} has {len(lines)} lines",
                    "line i must belong to row i; `flip embed` writes both",
                )
        return lines


def load_manifest(path: Path) -> dict[str, Dataset]:
    """Reads a manifest; files are looked up from the working directory, then from the manifest's folder.

    Raises:
        InputError: not YAML, or not of the schema in DESIGN's section on files.
    """
    import yaml

    with os_errors(path, "read"):
        content = path.read_bytes()
    try:
        tree = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict) or not tree:
        raise InputError(f"{path}: no datasets", "expected NAME: {embeddings: [...], texts: [...]}")
    return {str(name): _dataset(str(name), entry, path) for name, entry in tree.items()}


def load_dataset(manifest: Path, name: str) -> Dataset:
    """One dataset of a manifest."""
    datasets = load_manifest(manifest)
    if name not in datasets:
        raise InputError(f"{manifest}: no dataset {name!r}", f"it has: {', '.join(datasets)}")
    return datasets[name]


def write_manifest(path: Path, datasets: dict[str, Dataset]) -> None:
    """Writes a manifest with paths relative to it."""
    import yaml

    def entry(item: EmbeddingFile | TextFile) -> dict[str, str]:
        fields = {key: value for key, value in vars(item).items() if value is not None}
        return fields | {"file": os.path.relpath(item.file, path.parent)}

    tree = {
        name: {"embeddings": [entry(e) for e in data.embeddings], "texts": [entry(t) for t in data.texts]}
        for name, data in datasets.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _dataset(name: str, entry: Any, manifest: Path) -> Dataset:
    def items(key: str) -> list[dict[str, Any]]:
        found = entry.get(key) or [] if isinstance(entry, dict) else None
        if not isinstance(found, list) or not all(isinstance(i, dict) and "id" in i and "file" in i for i in found):
            raise InputError(
                f"{manifest}: dataset {name!r}: {key} must be a list of objects with id and file",
                "for example `texts: [{id: en, file: test.txt, language: eng_Latn}]`",
            )
        return found

    def located(file: str) -> Path:
        path = Path(file)
        return path if path.exists() else manifest.parent / path

    return Dataset(
        name,
        tuple(
            EmbeddingFile(str(i["id"]), located(i["file"]), i.get("modality", "text"), i.get("language"))
            for i in items("embeddings")
        ),
        tuple(TextFile(str(i["id"]), located(i["file"]), i.get("language")) for i in items("texts")),
    )
