"""Makes a store of many files below year=2025 and year=2026: ids, and unit vectors of 384 dimensions.

    python make.py store --rows 1000000 --files 40

The vectors are random draws around those of sentences of the quickstart; `source` is the number of the sentence.
Nothing is downloaded.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flip import load_encoder

SENTENCES = Path(__file__).parents[1] / "quickstart" / "train.txt"
ROW_GROUP = 16_384
NOISE = 0.02  # of each dimension; the vectors have a length of 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the folder to make")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=40)
    args = parser.parse_args()

    sentences = SENTENCES.read_text(encoding="utf-8").splitlines()[:500]
    centres = load_encoder("minilm").encode(sentences)
    rng = np.random.default_rng(0)
    bounds = np.linspace(0, args.rows, args.files + 1).astype(int)
    for i, (start, stop) in enumerate(pairwise(bounds)):
        chosen = rng.integers(0, len(centres), stop - start)
        u = centres[chosen] + NOISE * rng.standard_normal((stop - start, centres.shape[1]), dtype=np.float32)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        columns = {
            "id": pa.array(np.arange(start, stop)),
            "source": pa.array(chosen.astype(np.int16)),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1]),
        }
        path = args.output / f"year={2025 + i % 2}" / f"part-{i:05}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=ROW_GROUP)


if __name__ == "__main__":
    main()
