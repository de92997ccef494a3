"""`flip embed --dataset DIR`: a corpus to train, dev and test with embeddings, and a datasets.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli import options
from flip.cli.output import Output

if TYPE_CHECKING:
    from flip.config import Settings
    from flip.corpora import Part


def embed_dataset(settings: Settings, languages: list[str], out: Output) -> None:
    """Reads the corpus, embeds its parts, and says what was written."""
    import numpy as np

    from flip.corpus import MANIFEST, prepare_corpus
    from flip.errors import InputError, UsageError

    own = settings.embed
    folder = own.dataset
    if own.clips or own.shard:
        raise UsageError("--dataset reads text: no --clips and no --shard with it", "leave --dataset out for those")
    assert folder is not None
    if own.output is not None:
        raise UsageError("-o and --dataset exclude each other", "--dataset DIR names all files")
    if (folder / MANIFEST).exists() and not own.force:
        raise InputError(f"{folder / MANIFEST} exists", "--force replaces the dataset; what has not changed is kept")
    parts = _read(settings)
    texts = list(parts["train"].texts)
    if len(languages) > 1 and len(languages) != len(texts):
        raise UsageError(f"--language names {len(languages)} languages for {len(texts)} texts: {', '.join(texts)}")
    model = options.load_encoder(settings.encoder, settings, out)
    with out.progress("embedding") as on_rows:
        datasets = prepare_corpus(
            parts,
            folder,
            model,
            batch_size=own.batch_size,
            languages=dict(zip(texts, languages, strict=True)) if len(languages) > 1 else None,
            dtype=np.float16 if own.dtype == "float16" else np.float32,
            on_rows=lambda name, done, total: on_rows(done, total),
        )
    if dropped := sum(part.dropped for part in parts.values()):
        out.note(f"note: {dropped} rows with a blank line dropped")
    rows = {part: len(datasets[part].embeddings[0].open()) for part in parts}
    fields = {"manifest": str(folder / MANIFEST), "rows": rows, "texts": texts, "encoder": model.name}
    counts = ", ".join(f"{part} {count}" for part, count in rows.items())
    out.result(fields, f"{folder / MANIFEST}: {counts} rows, {model.name}")


def _read(settings: Settings) -> dict[str, Part]:
    from flip.corpora import read_aligned, read_plain, read_release
    from flip.errors import UsageError

    own = settings.embed
    folders = [name for name in own.inputs if Path(name).is_dir()]
    if not own.inputs:
        raise UsageError("no corpus", "name a release folder, text files, or with --pair two aligned files")
    if folders and (len(own.inputs) > 1 or own.pair):
        raise UsageError(f"{folders[0]} is a folder", "a release folder is the only input, without --pair")
    if folders:
        return read_release(Path(folders[0]))
    if own.pair:
        return read_aligned(own.inputs, own.split, settings.seed)
    return read_plain(own.inputs, own.split, settings.seed)
