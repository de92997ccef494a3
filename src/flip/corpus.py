"""From a user's sentences to a folder that can be trained on: seeded split, embeddings, manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flip.dataset import Dataset, EmbeddingFile, TextFile, load_manifest, write_manifest
from flip.embedding import embed
from flip.errors import InputError
from flip.records import Record
from flip.splitting import split
from flip.store import sentences_path

if TYPE_CHECKING:
    from flip.encoders.base import Encoder

MANIFEST = "datasets.yaml"


def prepare_corpus(
    texts: Iterable[str],
    folder: Path,
    encoder: Encoder,
    *,
    spec: str,
    seed: int,
    on_rows: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, Dataset], int]:
    """Splits sentences, embeds each part into `folder` and writes `datasets.yaml` there.

    What an earlier run with the same sentences, seed and encoder left there is used again.

    Args:
        texts: sentences; blank ones are dropped and counted.
        folder: gets train.npy, train.sentences.txt, train.json, the same for dev and test, and datasets.yaml.
        encoder: what embeds them.
        spec: see `flip.splitting.split_sizes`.
        seed: of the split.
        on_rows: called with (part, rows done, rows in all).

    Returns:
        The datasets by name, and the number of blank lines.
    """
    kept, blank = [], 0
    for text in texts:
        if text:
            kept.append(text)
        else:
            blank += 1
    if not kept:
        raise InputError("no sentence to train on", "the corpus has no line that is not blank")
    datasets = {}
    for part, sentences in split(kept, spec, seed).items():
        path = folder / f"{part}.npy"

        def report(done: int, total: int, part: str = part) -> None:
            if on_rows:
                on_rows(part, done, total)

        records = (Record(where=part, text=sentence) for sentence in sentences)
        embed(records, path, encoder, force=True, on_rows=report)
        datasets[part] = Dataset(
            part,
            (EmbeddingFile(encoder.name, path),),
            (TextFile("text", sentences_path(path)),),
        )
    write_manifest(folder / MANIFEST, datasets)
    return load_manifest(folder / MANIFEST), blank
