"""Embed the parts of a corpus into a training folder: embeddings, sentences, manifest."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flip.data.corpora import Part
from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, SimilarityFile, TextFile, load_manifest, write_manifest
from flip.data.precomputed import keep_common_rows, write_similarities
from flip.embedding.job import embed
from flip.encoders.base import Encoder, language_of, with_options
from flip.encoders.multimodal import Transcriber
from flip.errors import UsageError
from flip.inputs.embedding_files import sentences_path
from flip.inputs.record import Record
from flip.locks import held

SPEECH = "speech"  # id of the embeddings of recordings
_WRITTEN = (".npy", ".json", ".sentences.txt", ".audio.txt", ".read.txt")


def require_elsewhere(sources: Iterable[str | Path], folder: Path, parts: Iterable[str]) -> None:
    """Check that no input is a file that a dataset writes.

    Args:
        sources: all inputs.
        folder: of the dataset.
        parts: their names, such as train, dev and test.

    Raises:
        UsageError: one is.
    """
    names = set(parts)
    for source in map(Path, sources):
        made = source.name.split(".")[0] in names and source.name.endswith(_WRITTEN)
        if made and source.resolve().parent == folder.resolve():
            raise UsageError(f"{source} is an input, and its parts would overwrite it", "name another folder")


def prepare_corpus(
    parts: Mapping[str, Part],
    folder: Path,
    encoder: Encoder,
    *,
    sources: Sequence[str] = (),
    pair: bool = False,
    transcriber: Callable[[], Transcriber] | None = None,
    batch_size: int | None = None,
    languages: Mapping[str, str] | None = None,
    dtype: type[np.floating[Any]] = np.float32,
    force: bool = False,
    on_rows: Callable[[str, int, int], None] | None = None,
) -> dict[str, Dataset]:
    """Embed each part into `folder`, and write `datasets.yaml` there.

    Vectors that an earlier run with the same sentences and encoder left there are reused. A recording that cannot be
    read has no row in any file; the `.json` beside each lists it under `failed`.

    Args:
        parts: see `flip.data.corpora`.
        folder: gets train.npy, train.sentences.txt, train.json, the same for the other parts, and datasets.yaml;
            train.en.npy, train.de.npy and train.similarity.npy if a part has two texts, or text and speech.
        encoder: embeds them.
        sources: inputs of the parts, which must not be overwritten.
        pair: embed the sentences of recordings too.
        transcriber, batch_size, dtype: see `flip.embedding.job.embed`.
        languages: language of each text, for an encoder that needs it.
        force: replace files in `folder` that were made from other inputs.
        on_rows: called with (name of the part or text, rows done, rows in all).

    Returns:
        The datasets by name.

    Raises:
        UsageError: a source would be overwritten.
        InputError: a file of that name exists and was made from other inputs; or see `flip.embedding.job.embed`.
    """
    require_elsewhere(sources, folder, parts)
    with held(folder / MANIFEST, folder):
        return _prepare(parts, folder, encoder, pair, transcriber, batch_size, languages or {}, dtype, force, on_rows)


def _prepare(
    parts: Mapping[str, Part],
    folder: Path,
    encoder: Encoder,
    pair: bool,
    transcriber: Callable[[], Transcriber] | None,
    batch_size: int | None,
    languages: Mapping[str, str],
    dtype: type[np.floating[Any]],
    force: bool,
    on_rows: Callable[[str, int, int], None] | None,
) -> dict[str, Dataset]:
    datasets = {}
    for part, content in parts.items():
        sides = _sides(content, pair)
        embeddings: list[EmbeddingFile] = []
        texts: dict[str, TextFile] = {}
        for side in sides:
            name = part if len(sides) == 1 else f"{part}.{side.id}"
            path = folder / f"{name}.npy"

            def report(done: int, total: int, name: str = name) -> None:
                if on_rows:
                    on_rows(name, done, total)

            given = languages.get(side.id)
            embed(
                side.records, path, with_options(encoder, language=given), transcriber=transcriber,
                batch_size=batch_size, dtype=dtype, force=force, on_rows=report,
            )  # fmt: skip
            language = given or (side.text if len(content.texts) > 1 else language_of(encoder))
            identity = encoder.name if len(sides) == 1 and side.modality == "text" else side.id
            embeddings.append(EmbeddingFile(identity, path, side.modality, language))
            texts.setdefault(side.text, TextFile(side.text, sentences_path(path), language))
        similarities = _similarities(embeddings, folder / f"{part}.similarity.npy")
        datasets[part] = Dataset(part, tuple(embeddings), tuple(texts.values()), similarities)
    write_manifest(folder / MANIFEST, datasets)
    return load_manifest(folder / MANIFEST)


@dataclass(frozen=True)
class _Side:
    """One embedding of a part.  text: id of its sentences."""

    id: str
    modality: str
    text: str
    records: Iterator[Record]


def _sides(part: Part, pair: bool) -> list[_Side]:
    written = [
        _Side(name, "text", name, (Record(where=name, text=text) for text in lines))
        for name, lines in part.texts.items()
    ]
    if not part.recordings:
        return written
    ((name, lines),) = part.texts.items()
    pairs = zip(lines, part.recordings, strict=True)
    spoken = _Side(SPEECH, "speech", name, (Record(where=name, text=text, audio=audio) for text, audio in pairs))
    return [*written, spoken] if pair else [spoken]


def _similarities(embeddings: list[EmbeddingFile], path: Path) -> tuple[SimilarityFile, ...]:
    """Keep the common rows of a pair, and write their similarities."""
    if len(embeddings) != 2:
        return ()
    first, second = embeddings
    keep_common_rows([first.file, second.file])
    write_similarities(first.file, second.file, path)
    return (SimilarityFile(path, (first.id, second.id)),)
