"""A share of what make.py embedded, for methods that cannot learn from all of it: python share.py minilm-en.work

Writes datasets.yaml into that folder: `train` has as many sentences of each source, `dev` those to stop by, and every
source that is measured on is a dataset of its name.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from make import SOURCES

from flip.data.manifest import MANIFEST, Dataset, EmbeddingFile, TextFile, write_manifest
from flip.inputs.embedding_files import open_embeddings
from flip.inputs.records import read_sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--sentences", type=int, default=60_000, help="to train on")
    args = parser.parse_args()
    measured = [source.name for source in SOURCES if source.held_out]
    share(args.work, "train", [f"{name}.train" for name in measured], args.sentences)
    share(args.work, "dev", [f"{name}.dev" for name in measured], 2_000)
    datasets = {name: dataset(args.work / name, name) for name in ("train", "dev")}
    datasets |= {name: dataset(args.work / f"{name}.test", name) for name in measured}
    write_manifest(args.work / MANIFEST, datasets)


def share(work: Path, name: str, parts: list[str], count: int) -> None:
    """As many rows of each part as there are, or as its part of the count asks for; in random order."""
    rng = np.random.default_rng(0)
    vectors, texts = [], []
    for part in sorted(parts, key=lambda part: len(open_embeddings(work / f"{part}.npy"))):
        rows, lines = open_embeddings(work / f"{part}.npy"), read_sentences(work / f"{part}.sentences.txt")
        wanted = (count - len(texts)) // (len(parts) - len(vectors))  # what a small source lacks, larger ones give
        chosen = np.sort(rng.permutation(len(rows))[:wanted])
        vectors.append(np.asarray(rows[chosen]))
        texts += [lines[i] for i in chosen]
    order = rng.permutation(len(texts))
    np.save(work / f"{name}.npy", np.concatenate(vectors)[order])
    (work / f"{name}.sentences.txt").write_text("".join(f"{texts[i]}\n" for i in order), encoding="utf-8")
    description = json.loads((work / f"{parts[0]}.json").read_text(encoding="utf-8"))
    kept = {key: description[key] for key in ("encoder", "revision", "weights", "dimension", "dtype")}
    (work / f"{name}.json").write_text(json.dumps(kept | {"rows": len(texts)}), encoding="utf-8")


def dataset(stem: Path, name: str) -> Dataset:
    embeddings = EmbeddingFile("minilm", stem.with_name(f"{stem.name}.npy"), language="eng")
    return Dataset(name, (embeddings,), (TextFile("text", stem.with_name(f"{stem.name}.sentences.txt"), "eng"),))


if __name__ == "__main__":
    main()
