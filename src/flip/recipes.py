"""The ingredients of training, each with a name, and the two recipes that combine them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from flip.objectives import Objective
    from flip.whitening import Inputs

Recipe = Literal["flip", "paper"]
_FEWEST_STEPS = 350  # a small corpus is passed over more often, to take at least so many steps


@dataclass(frozen=True)
class TrainConfig:
    """Every ingredient of training. The defaults are the recipe `flip`; `PAPER` is the published one.

    None stands for a value that depends on the data; `resolved` fills it in.
    """

    recipe: Recipe = "flip"
    objective: Objective = "bernoulli"
    inputs: Inputs = "whitened"  # conditioning of the embeddings, folded back into B and b afterwards
    rank: int | None = 512  # None is full rank, LiP
    alpha: float = 0.5  # weight of the first of two embeddings of the same sentences
    lr: float = 8e-3
    schedule: Literal["cosine", "plateau"] = "cosine"  # cosine has a warm-up over the first 5% of the steps
    batch_size: int | None = None
    epochs: int | None = None
    patience: int = 5  # checks on dev without a gain before stopping
    check_every: int = 1  # passes from one check on dev to the next
    dev_metric: Literal["accuracy", "recall"] = "accuracy"  # accuracy has b; recall at top 2k has not
    l1: float = 0.0  # on A, proximal
    weight_decay: float = 0.0  # on A and B, decoupled
    init: Literal["prior", "xavier"] = "prior"  # prior: A = 0, b = log-odds or log-frequency of each word
    reduction: Literal["mean", "sum"] = "mean"  # of the loss over a batch
    shuffle: bool = True
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def resolved(self, n: int) -> TrainConfig:
        """With batch size and epochs for n sentences."""
        batch = self.batch_size or max(64, min(1000, n // 32))
        steps = math.ceil(n / batch)
        epochs = self.epochs or max(8, math.ceil(_FEWEST_STEPS / steps))
        return replace(self, batch_size=batch, epochs=epochs)

    def to_dict(self) -> dict[str, Any]:
        """As in config.json and log.jsonl."""
        return asdict(self) | {"rank": "full" if self.rank is None else self.rank}


PAPER = TrainConfig(
    recipe="paper",
    objective="multinomial",
    inputs="raw",
    lr=5e-3,
    schedule="plateau",
    batch_size=6000,
    epochs=100,
    patience=5,
    check_every=3,
    dev_metric="recall",
    l1=1e-4,
    init="xavier",
    reduction="sum",
    shuffle=False,
    precision="float32",
)
RECIPES: dict[str, TrainConfig] = {"flip": TrainConfig(), "paper": PAPER}
