"""Table 4, language of the vocabulary: trained on both languages with alpha = 0.5, the words of one.

    python table4.py datasets.yaml

The datasets have two embeddings and two texts, in the same order of languages.
"""

from __future__ import annotations

import argparse

from runs import arguments, evaluated, parsed, percent, print_table, trained, vocabulary

from flip import load_dataset


def rows(args: argparse.Namespace, options: list[str]) -> list[tuple[str, ...]]:
    """(words of, own embeddings, accuracy, translations, accuracy) for each of the two texts."""
    dataset = load_dataset(args.data, args.test)
    found = []
    for i, text in enumerate(dataset.texts[:2]):
        own, other = (dataset.embeddings[j].id for j in (i, 1 - i))
        vocab = vocabulary(args, text.id)
        run = trained(
            args.output / f"words-{text.id}", args, vocab, "--rank", args.rank, "--alpha", 0.5, *options, text=text.id
        )
        results = evaluated(run, args, text=text.id)
        accuracies = [percent(results[name]["metrics"]["accuracy"]["bias"]) for name in (own, other)]
        found.append((text.id, own, accuracies[0], other, accuracies[1]))
    return found


if __name__ == "__main__":
    print_table(("words", "embedding", "accuracy", "other", "accuracy"), rows(*parsed(arguments(__doc__))))
