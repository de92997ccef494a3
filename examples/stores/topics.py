"""How many words that flip names for groups of vectors are those that c-TF-IDF finds in their texts.

    python topics.py topics.parquet topic

c-TF-IDF (Grootendorst 2022, as BERTopic has it) counts the words of the texts; flip sees the vectors alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from flip import load_checkpoint
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import open_store
from flip.stores.groups import GroupWords


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("column", help="of the groups")
    parser.add_argument("--topn", type=int, default=10)
    parser.add_argument("--show", type=int, default=5, help="groups whose words are printed")
    args = parser.parse_args()

    checkpoint = load_checkpoint()
    with open_store(args.store, ColumnChoice(dimension=checkpoint.model.dimension)) as store:
        (text,) = [store.chosen.texts]
        parts = [(part.vectors, part.column(args.column), part.column(str(text))) for part in store.parts()]
    words = GroupWords(checkpoint, args.topn)
    for vectors, labels, _ in parts:
        words.count(vectors, labels)
    words.choose()
    for vectors, labels, _ in parts:
        words.measure(vectors, labels)
    groups = words.result()

    vocabulary = checkpoint.vocabulary
    counts = np.zeros((len(groups), len(vocabulary)))
    place = {group.label: i for i, group in enumerate(groups)}
    for _, labels, texts in parts:
        for label, said in zip(labels, texts, strict=True):
            if label is not None:
                np.add.at(counts[place[label]], vocabulary.lookup(vocabulary.tokenizer(said)), 1)
    counts[:, checkpoint.function_words] = 0
    weights = counts / counts.sum(axis=1, keepdims=True)
    weights *= np.log(1 + counts.sum(axis=1).mean() / np.maximum(counts.sum(axis=0), 1))
    shared = []
    for group, row in zip(groups, weights, strict=True):
        counted = [vocabulary.words[i] for i in np.argsort(-row, kind="stable")[: args.topn]]
        named = [word.word for word in group.words]
        shared.append(len(set(counted) & set(named)))
        if len(shared) <= args.show:
            print(f"{group.label} ({group.rows} rows)")
            print(f"  flip, from vectors:    {', '.join(named)}")
            print(f"  c-TF-IDF, from texts:  {', '.join(counted)}")
    print(f"shared: {np.mean(shared):.1f} of {args.topn} words, mean of {len(groups)} groups")


if __name__ == "__main__":
    main()
