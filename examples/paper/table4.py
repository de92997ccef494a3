"""Table 4, language of the vocabulary: trained on both languages with alpha = 0.5, the words of one.

    python table4.py datasets.yaml

The datasets have two embeddings and two texts, in the same order of languages.
"""

from __future__ import annotations

import argparse

from runs import TwoViews, arguments, parsed, percent, print_table, trained, two_views, vocabulary

from flip import load_dataset


def words_of_each(args: argparse.Namespace, options: list[str]) -> dict[str, TwoViews]:
    """The words of each of the two texts, by its id, read from its own embeddings and from the translations'."""
    dataset = load_dataset(args.data, args.test)
    found = {}
    for text, embedding in zip(dataset.texts[:2], dataset.embeddings[:2], strict=True):
        vocab = vocabulary(args, text.id)
        run = trained(
            args.output / f"words-{text.id}", args, vocab, "--rank", args.rank, "--alpha", 0.5, *options, text=text.id
        )
        found[text.id] = two_views(run, args, embedding.id, text.id)
    return found


def rows(args: argparse.Namespace, options: list[str]) -> list[tuple[str, ...]]:
    """(words of, own embeddings, accuracy, translations, accuracy) for each of the two texts."""
    return [
        (words, one.own, percent(one.accuracy), one.other, percent(one.other_accuracy))
        for words, one in words_of_each(args, options).items()
    ]


if __name__ == "__main__":
    print_table(("words", "embedding", "accuracy", "other", "accuracy"), rows(*parsed(arguments(__doc__))))
