"""From a corpus in parts to a folder that can be trained on: embeddings, sentences, manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.dataset import Dataset, EmbeddingFile, TextFile, load_manifest, write_manifest
from flip.embedding import embed
from flip.records import Record
from flip.store import sentences_path

if TYPE_CHECKING:
    from flip.corpora import Part
    from flip.encoders.base import Encoder

MANIFEST = "datasets.yaml"


def prepare_corpus(
    parts: Mapping[str, Part],
    folder: Path,
    encoder: Encoder,
    *,
    batch_size: int | None = None,
    languages: Mapping[str, str] | None = None,
    dtype: type[np.floating[Any]] = np.float32,
    on_rows: Callable[[str, int, int], None] | None = None,
) -> dict[str, Dataset]:
    """Embeds each text of each part into `folder` and writes `datasets.yaml` there.

    What an earlier run with the same sentences and encoder left there is used again.

    Args:
        parts: see `flip.corpora`.
        folder: gets train.npy, train.sentences.txt, train.json, the same for the other parts, and datasets.yaml;
            train.en.npy and train.de.npy where a part has several texts.
        encoder: what embeds them.
        batch_size, dtype: see `flip.embedding.embed`.
        languages: that of each text, for an encoder that has to know.
        on_rows: called with (name of the part or text, rows done, rows in all).

    Returns:
        The datasets by name.
    """
    datasets = {}
    for part, content in parts.items():
        embeddings, texts = [], []
        for text, sentences in content.texts.items():
            alone = len(content.texts) == 1
            name = part if alone else f"{part}.{text}"
            path = folder / f"{name}.npy"

            def report(done: int, total: int, name: str = name) -> None:
                if on_rows:
                    on_rows(name, done, total)

            records = (Record(where=name, text=sentence) for sentence in sentences)
            if languages and hasattr(encoder, "with_language"):
                encoder = encoder.with_language(languages[text])
            embed(records, path, encoder, batch_size=batch_size, dtype=dtype, force=True, on_rows=report)
            language = None if alone else text
            embeddings.append(EmbeddingFile(encoder.name if alone else text, path, language=language))
            texts.append(TextFile(text, sentences_path(path), language))
        datasets[part] = Dataset(part, tuple(embeddings), tuple(texts))
    write_manifest(folder / MANIFEST, datasets)
    return load_manifest(folder / MANIFEST)
