"""Make a manifest from file names, for the data published with the paper (BUT-FIT/FLiP-data), which have none.

`train_text_embs.npy`, `train_speech_embs.npy`, `train_sim_scores.npy` and `train_transcript.txt` are a dataset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, SimilarityFile, TextFile, write_manifest

_HEADER = "# Made by `flip pull` of the names of the files, and made again by the next one; not so without this line.\n"
_TEXT, _SPEECH = "text", "speech"


def describe_published(folder: Path, language: str | None = None) -> dict[str, Dataset]:
    """Return the datasets of a folder by name: `train`, or `FOLDER_train` if several of its folders have one.

    Args:
        folder: with the files, at any depth.
        language: of files in no folder that is named by a language; None is unknown.
    """
    parts: dict[str, list[Path]] = defaultdict(list)
    for text in sorted(folder.rglob("*_transcript.txt")):
        parts[text.name.removesuffix("_transcript.txt")].append(text.parent)
    found = {}
    for part, places in parts.items():
        for place in places:
            name = part if len(places) == 1 else "_".join([*place.relative_to(folder).parts, part])
            if dataset := _dataset(name, place, part, _named(place.relative_to(folder)) or language):
                found[name] = dataset
    return found


def complete_manifest(folder: Path, pulled: Sequence[str], language: str | None = None) -> dict[str, Dataset]:
    """Write `datasets.yaml` into a folder of such files, unless one came with them or the user has written one.

    Args:
        folder, language: as for `describe_published`.
        pulled: names of the downloaded files.

    Returns:
        The datasets that it names; none if nothing was written.
    """
    path = folder / MANIFEST
    if any(PurePosixPath(name).name == MANIFEST for name in pulled):
        return {}
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEADER):
        return {}
    datasets = describe_published(folder, language)
    if datasets:
        write_manifest(path, datasets, header=_HEADER)
    return datasets


def _dataset(name: str, place: Path, part: str, language: str | None) -> Dataset | None:
    """Return a dataset, or None if no embeddings lie beside the transcript."""
    ending = f"_{language}" if language else ""
    embeddings = tuple(
        EmbeddingFile(f"{kind}{ending}", path, kind, language)
        for kind in (_TEXT, _SPEECH)
        if (path := place / f"{part}_{kind}_embs.npy").is_file()
    )
    scores = place / f"{part}_sim_scores.npy"
    pair = tuple(file.id for file in embeddings)
    similar = (SimilarityFile(scores, pair),) if len(pair) == 2 and scores.is_file() else ()
    text = TextFile(f"{_TEXT}{ending}", place / f"{part}_transcript.txt", language)
    return Dataset(name, embeddings, (text,), similar) if embeddings else None


def _named(place: Path) -> str | None:
    """Return the language that names one of the folders, two letters, or None."""
    return next((name for name in place.parts if len(name) == 2 and name.isalpha()), None)
