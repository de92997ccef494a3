"""Every method on the same embeddings, sentences and words: which of the words of a sentence each finds.

    python methods.py datasets.yaml --vocab v8000.json --rank 384

FLiP as `flip train` does it, the published recipe, LiP (that recipe without factorisation), SpLiCE with its penalty
tuned on dev, the words whose own vectors are nearest to that of the sentence, and the most frequent words. What follows
`--` goes to the training of `flip` alone. In the top ten, function words come behind all others, whatever the method.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runs import arguments, compared, evaluated, parsed, percent, print_table, trained, vocabulary

from flip import load_checkpoint, load_dataset, load_encoder
from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
from flip.evaluation.splice import embed_concepts
from flip.evaluation.subject import EvaluationOptions
from flip.evaluation.word_ranking import Ranking
from flip.model.keywords import top_k

METRICS = ("--metrics", "accuracy,content")


def main() -> None:
    args, options = parsed(arguments(__doc__))
    vocab = vocabulary(args)
    ours = trained(args.output / "flip", args, vocab, "--rank", args.rank, *options)
    runs = {
        "FLiP, `flip train`": ours,
        "FLiP, the published recipe": trained(
            args.output / "published", args, vocab, "--recipe", "paper", "--rank", args.rank
        ),
        "LiP, the published recipe": trained(
            args.output / "lip", args, vocab, "--recipe", "paper", "--rank", "full", "--l1", "0"
        ),
    }
    rows = [(name, *found(next(iter(evaluated(run, args, *METRICS).values())))) for name, run in runs.items()]
    spliced = next(r for r in compared([ours], args, *METRICS, "--splice") if r["method"] == "splice")
    rows.append(("SpLiCE", *found(spliced, "no_bias")))
    nearest = nearest_words(ours, args)
    rows.append(("nearest word vectors", *found(nearest, "no_bias")))
    frequent = nearest["most_frequent_words"]
    rows.append(("most frequent words", percent(frequent["accuracy"]), percent(frequent["content_recall"])))
    print_table(("", "accuracy over known words", "content words in the top ten"), rows)


def found(result: dict[str, Any], side: str = "bias") -> tuple[str, str]:
    """Accuracy, with b where there is one, and content-word recall."""
    metrics = result["metrics"]
    return percent(metrics["accuracy"][side]), percent(metrics["content_recall"])


def nearest_words(run: Path, args: Any) -> dict[str, Any]:
    """What `flip eval` says where words are ranked by the cosine of their own vectors with that of the sentence."""
    checkpoint = load_checkpoint(str(run))
    words = unit(embed_concepts(load_encoder(checkpoint.require_encoder()), checkpoint.vocabulary.words))

    def rank(name: str, u: Any, depth: int) -> dict[str, Ranking]:
        parts = [unit(np.asarray(u[i : i + 1000], np.float32)) @ words.T for i in range(0, len(u), 1000)]
        best = np.concatenate([top_k(part, depth) for part in parts])
        return {"no_bias": Ranking(best, np.take_along_axis(np.concatenate(parts), best, axis=1))}

    data = EvaluationData.of(load_dataset(args.data, args.test), args.text)
    (measured,) = evaluate_dataset(
        checkpoint, data, EvaluationOptions(("accuracy", "content"), tokens="published"), splice=rank
    )
    return measured.result.to_dict()


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


if __name__ == "__main__":
    main()
