"""What else finds the words, on the sentences that make.py kept aside: python compare.py minilm-en.work [MODEL ...]

Content words among the ten best, of all content words, by source: of the models, of the words whose own vectors are
nearest to the sentence's, and of the most frequent words whatever the sentence is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from flip import load_checkpoint
from flip.evaluation.metrics import content_recall, content_words
from flip.evaluation.word_ranking import Ranking, rank
from flip.inputs.embedding_files import open_embeddings
from flip.inputs.records import read_sentences
from flip.model.checkpoint import Checkpoint
from flip.model.keywords import BEHIND_ALL, top_k

TOPN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="*", default=["minilm-en"])
    args = parser.parse_args()
    models = {name: load_checkpoint(name) for name in args.models}
    words = read_sentences(args.work / "words.sentences.txt")
    vectors = np.asarray(open_embeddings(args.work / "words.npy")[:])
    sources = sorted(path.name.split(".")[0] for path in args.work.glob("*.test.npy"))
    rows: dict[str, list[float]] = {name: [] for name in (*models, "nearest word vectors", "most frequent words")}
    for source in sources:
        u = np.asarray(open_embeddings(args.work / f"{source}.test.npy")[:])
        texts = read_sentences(args.work / f"{source}.test.sentences.txt")
        for name, checkpoint in models.items():
            rows[name].append(recall(shown(checkpoint, u), texts, checkpoint))
        first = next(iter(models.values()))
        listed = [i for i, word in enumerate(words) if word in first.vocabulary.index]
        columns = np.array([first.vocabulary.index[words[i]] for i in listed])
        nearest = np.full((len(u), len(first.vocabulary)), -BEHIND_ALL, np.float32)
        nearest[:, columns] = u @ vectors[listed].T
        frequent = np.tile(first.model.b, (len(u), 1))
        for name, scores in (("nearest word vectors", nearest), ("most frequent words", frequent)):
            scores[:, first.function_words] -= BEHIND_ALL
            rows[name].append(recall(top_k(scores, TOPN), texts, first))
    print("|", " | ".join(["content words in the top ten, %", *sources, "mean"]), "|")
    print("|", " | ".join(["---"] * (len(sources) + 2)), "|")
    for name, values in rows.items():
        print("|", " | ".join([name, *(f"{100 * value:.1f}" for value in [*values, float(np.mean(values))])]), "|")


def shown(checkpoint: Checkpoint, u: Any) -> Any:
    """The words that `flip explain` shows, (n, 10)."""
    weights, last = {"": checkpoint.bias_weight}, {"": checkpoint.function_words}
    return rank(checkpoint.model, u, TOPN, bias_weights=weights, last=last)[""].words


def recall(found: Any, texts: list[str], checkpoint: Checkpoint) -> float:
    ranking = Ranking(found, np.zeros(found.shape, np.float32))
    content = content_words(texts, checkpoint.vocabulary)
    return float(content_recall(ranking, content, len(checkpoint.vocabulary), TOPN)["content_recall"].estimate().mean)


if __name__ == "__main__":
    main()
