"""Ranks a small corpus for a query and shows why each hit came back: the words that both embeddings carry.

    python retrieve.py ../quickstart/train.txt "a boat in the harbour"

Nothing is downloaded: the encoder and the model are flip's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from flip import Explainer, load_checkpoint, load_encoder
from flip.inputs.record import Record


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="text, a sentence a line")
    parser.add_argument("query")
    parser.add_argument("--model", help="checkpoint folder, or a bundled model")
    parser.add_argument("--hits", type=int, default=5)
    parser.add_argument("--min-probability", type=float, default=0.1, help="of a word, to be shown")
    args = parser.parse_args()

    sentences = [line for line in args.corpus.read_text(encoding="utf-8").splitlines() if line.strip()]
    checkpoint = load_checkpoint(args.model)
    encoder = load_encoder(checkpoint.encoder or "minilm")
    corpus = np.concatenate([encoder.encode(sentences[i : i + 256]) for i in range(0, len(sentences), 256)])
    query = encoder.encode([args.query])
    similarity = unit(corpus) @ unit(query)[0]
    best = np.argsort(-similarity)[: args.hits]

    explainer = Explainer(checkpoint, lambda: encoder, topn=10, min_probability=args.min_probability)
    records = [Record(where="corpus", text=sentences[i], embedding=corpus[i]) for i in best]
    for i, pair in zip(best, explainer.pairs(records, [Record("query", embedding=query[0])]), strict=True):
        print(f"{similarity[i]:.3f}  {sentences[i]}")
        for side, label in (("shared", "both"), ("only_against", "query only"), ("only_input", "hit only")):
            print(f"       {label + ':':<12}{', '.join(word.word for word in pair.side(side)) or '-'}")


if __name__ == "__main__":
    main()
