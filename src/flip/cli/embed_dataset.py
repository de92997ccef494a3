"""`flip embed --dataset DIR`: a corpus to train, dev and test with embeddings, and a datasets.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flip.cli import loading
from flip.cli.output import Output, fail

if TYPE_CHECKING:
    from flip.cli.settings import Settings
    from flip.data.corpora import Part
    from flip.data.manifest import Dataset


@contextmanager
def progress_of_parts(parts: dict[str, Part], pair: bool, out: Output) -> Iterator[Callable[[str, int, int], None]]:
    """Yields update(name, done, total) for `prepare_corpus`: one bar for all, which says what it counts."""
    rows = {
        part: len(next(iter(content.texts.values())))
        * (len(content.texts) * (pair or not content.recordings) + bool(content.recordings))
        for part, content in parts.items()
    }
    made = rows.get("augmented", 0)
    more = f" + {made:,} crops and words, --augment 0 leaves them out" if made else ""
    seen: dict[str, int] = {}
    with out.progress(f"embedding {sum(rows.values()) - made:,} sentences{more}") as on_rows:

        def update(name: str, done: int, total: int) -> None:
            seen[name] = done
            on_rows(sum(seen.values()), sum(rows.values()))

        yield update


def embed_dataset(settings: Settings, languages: list[str], out: Output, *, dry_run: bool) -> None:
    """Reads the corpus, embeds its parts, and says what was written."""
    import numpy as np

    from flip.cli.embed import plan_requests
    from flip.data.corpora import augmented
    from flip.data.manifest import MANIFEST
    from flip.embedding.corpus import prepare_corpus
    from flip.embedding.shards import Shard
    from flip.errors import InputError, UsageError
    from flip.inputs.records import read_taught

    own = settings.embed
    folder = own.dataset
    assert folder is not None
    if Shard.parse(own.shard):
        raise UsageError(
            "--dataset is made by one process, not by several with --shard or torchrun",
            "embed the inputs in parts with -o instead, or give --dataset without them",
        )
    if own.output is not None:
        raise UsageError("-o and --dataset exclude each other", "--dataset DIR names all files")
    if (folder / MANIFEST).exists() and not own.force and not dry_run:
        raise InputError(f"{folder / MANIFEST} exists", "--force replaces the dataset; what has not changed is kept")
    parts = _read(settings, out)
    if own.augment:
        parts["augmented"] = augmented(parts["train"], own.augment, settings.seed, read_taught(own.teach))
    elif own.teach:
        raise UsageError("--teach makes sentences to learn from", "add --augment 2")
    texts = list(parts["train"].texts)
    if len(languages) > 1 and len(languages) != len(texts):
        raise UsageError(f"--language names {len(languages)} languages for {len(texts)} texts: {', '.join(texts)}")
    model = loading.load_encoder(settings.encoder, settings, out)
    if dry_run:
        for name, part in parts.items():
            for text, sentences in part.texts.items():
                plan_requests(sentences, f"{name} {text}", model, out)
        return
    with progress_of_parts(parts, own.pair, out) as on_rows:
        datasets = prepare_corpus(
            parts,
            folder,
            model,
            sources=own.inputs,
            pair=own.pair,
            transcriber=lambda: loading.load_transcriber(settings),
            batch_size=own.batch_size,
            languages=dict(zip(texts, languages, strict=True)) if len(languages) > 1 else None,
            dtype=np.float16 if own.dtype == "float16" else np.float32,
            force=own.force,
            on_rows=on_rows,
        )
    if dropped := sum(part.dropped for part in parts.values()):
        out.note(f"note: {dropped} rows with a blank line dropped")
    rows = {part: len(data.embeddings[0].open()) for part, data in datasets.items()}
    failed = _report(datasets, model.name, out)
    fields = {
        "manifest": str(folder / MANIFEST),
        "rows": rows,
        "texts": texts,
        "embeddings": [embedding.id for embedding in datasets["train"].embeddings],
        "failed": failed,
        "encoder": model.name,
    }
    counts = ", ".join(f"{part} {count}" for part, count in rows.items())
    out.result(fields, f"{folder / MANIFEST}: {counts} rows, {model.name}")
    if failed:
        raise typer.Exit(3)


def _report(datasets: dict[str, Dataset], encoder: str, out: Output) -> int:
    """Says what was cut and what has no row; returns the number of the latter."""
    for data in datasets.values():
        for embedding in data.embeddings:
            if cut := embedding.source.truncated:
                out.note(f"note: {embedding.file}: {cut} sentences were longer than {encoder} reads, and were cut")
        for embedding in data.embeddings:
            if lost := embedding.source.warnings:
                out.note(
                    f"note: {embedding.file}: {len(lost)} recordings were decoded only in part: {'; '.join(lost[:3])}"
                )
    failed = [item for data in datasets.values() for item in data.embeddings[-1].source.failed]
    if failed:
        shown = "; ".join(item.error for item in failed[:3])
        fail(f"{len(failed)} recordings have no row: {shown}", "all are listed in the .json beside the embeddings")
    return len(failed)


def _read(settings: Settings, out: Output) -> dict[str, Part]:
    from flip.data.corpora import read_aligned, read_plain, read_release
    from flip.errors import UsageError
    from flip.inputs.sources import require_one_stdin

    own = settings.embed
    require_one_stdin(own.inputs)
    folders = [name for name in own.inputs if Path(name).is_dir()]
    if not own.inputs:
        raise UsageError("no corpus", "name a release folder, text files, or with --pair two aligned files")
    if folders and (len(own.inputs) > 1 or (own.pair and not own.clips)):
        hint = "a release folder is the only input; with --clips, --pair embeds its sentences and its recordings"
        raise UsageError(f"{folders[0]} is a folder", hint)
    if own.clips and not folders:
        raise UsageError("--clips with --dataset needs a release folder", "one with train.tsv, dev.tsv and test.tsv")
    if folders:
        return read_release(Path(folders[0]), own.clips)
    if own.pair:
        return read_aligned(own.inputs, own.split, settings.seed)
    return read_plain(own.inputs, own.split, settings.seed, lambda message: out.note(f"note: {message}"))
