"""Makes a small store to try: sentences of the quickstart with vectors of the default encoder, ids and a topic.

    python make.py store.parquet

Nothing is downloaded: the encoder is flip's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flip import load_encoder

SENTENCES = Path(__file__).parents[1] / "quickstart" / "train.txt"
TOPICS = {
    "travel": {"train", "bus", "ticket", "station", "flight", "road", "car", "airport", "bridge", "boat"},
    "food": {"bread", "soup", "cake", "kitchen", "coffee", "tea", "dinner", "fish", "cheese", "restaurant"},
    "school": {"school", "teacher", "student", "students", "book", "books", "lesson", "exam", "library", "class"},
    "weather": {"rain", "snow", "wind", "storm", "sun", "cold", "clouds", "winter", "summer", "weather"},
}


def topic(sentence: str) -> str | None:
    """The first topic that has a word of the sentence."""
    words = set(sentence.lower().strip(".!?").split())
    return next((name for name, own in TOPICS.items() if own & words), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="store.parquet")
    parser.add_argument("--rows", type=int, default=400, help="at the most")
    parser.add_argument("--only", choices=sorted(TOPICS), help="sentences of one topic alone")
    args = parser.parse_args()

    sentences = list(dict.fromkeys(SENTENCES.read_text(encoding="utf-8").splitlines()))
    sentences = [one for one in sentences if args.only in (None, topic(one))]
    sentences.sort(key=lambda one: topic(one) is None)  # those of a topic first
    sentences = sentences[: args.rows]
    encoder = load_encoder("minilm")
    u = np.concatenate([encoder.encode(sentences[i : i + 64]) for i in range(0, len(sentences), 64)])
    columns = {
        "id": [f"s{i}" for i in range(len(sentences))],
        "text": sentences,
        "topic": [topic(one) for one in sentences],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1]),
    }
    pq.write_table(pa.table(columns), args.output)


if __name__ == "__main__":
    main()
