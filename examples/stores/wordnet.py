"""Makes stores of the entries of WordNet, as Debian's package wordnet-base has them, with the vectors of an encoder.

    python wordnet.py /usr/share/wordnet topics.parquet            # definitions of 20 topics, with no word of theirs
    python wordnet.py /usr/share/wordnet entries.parquet --entries # words and definitions, with an example of use

The topics are the 20 largest of WordNet's own files of nouns: animal, food, person, time ...
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flip import load_encoder

# The lexicographer files of nouns, 3 to 28 in lexnames(5WN).
NAMES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
NOUNS = dict(enumerate(NAMES.split(), start=3))


@dataclass(frozen=True)
class Entry:
    """A synset."""

    id: str
    file: int
    words: str
    definition: str
    examples: tuple[str, ...]


def entries(folder: Path, parts: tuple[str, ...]) -> Iterator[Entry]:
    """The synsets of data.noun and the like (wndb(5WN))."""
    for part in parts:
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence
                continue
            fields, _, gloss = line.partition(" | ")
            offset, file, _, count, *rest = fields.split(" ")
            words = ", ".join(word.replace("_", " ") for word in rest[: 2 * int(count, 16) : 2])
            definition, *examples = re.split(r'; "', gloss.strip())
            yield Entry(f"{part}-{offset}", int(file), words, definition, tuple(one.rstrip('"; ') for one in examples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="/usr/share/wordnet")
    parser.add_argument("output", type=Path)
    parser.add_argument("--entries", action="store_true", help="entries of nouns and verbs, in place of topics")
    parser.add_argument("--rows", type=int, default=10_000, help="entries, or 20 times those of a topic")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    if args.entries:
        chosen = list(entries(args.folder, ("noun", "verb")))
        rng.shuffle(chosen)
        chosen = chosen[: args.rows]
        texts = [f"{one.words}: {one.definition}" for one in chosen]
        others = {"example": [next((e for e in one.examples if len(e.split()) > 3), None) for one in chosen]}
    else:
        found = [one for one in entries(args.folder, ("noun",)) if len(one.definition.split()) > 3]
        largest = [file for file, _ in Counter(one.file for one in found).most_common(20)]
        chosen = []
        for file in largest:
            of_topic = [one for one in found if one.file == file]
            chosen += rng.sample(of_topic, min(len(of_topic), args.rows // 20))
        rng.shuffle(chosen)
        texts = [one.definition for one in chosen]
        others = {"topic": [NOUNS[one.file] for one in chosen]}
    encoder = load_encoder(args.encoder)
    u = np.concatenate([encoder.encode(texts[i : i + 256]) for i in range(0, len(texts), 256)])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(u.reshape(-1)), u.shape[1])
    columns = {"id": [one.id for one in chosen], "text": texts} | others | {"embedding": vectors}
    pq.write_table(pa.table(columns), args.output)


if __name__ == "__main__":
    main()
