"""Named ingredients of training, and the two recipes that combine them."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Literal, Self, get_args

from flip.errors import UsageError
from flip.files import Fields

Recipe = Literal["flip", "paper"]
Objective = Literal["bernoulli", "multinomial"]
Inputs = Literal["whitened", "centred", "raw"]
TargetKind = Literal["presence", "counts"]
Init = Literal["prior", "xavier"]
Schedule = Literal["cosine", "plateau"]
Reduction = Literal["mean", "sum"]
DevMetric = Literal["accuracy", "recall"]
Precision = Literal["auto", "float32", "bfloat16"]
_SEEDS = 2**32 - 1  # the largest that everything random takes
_MANY = 10**9
_WHOLE = {  # least and most
    "rank": (1, 100_000), "epochs": (1, _MANY), "batch_size": (1, _MANY), "patience": (1, _MANY),
    "check_every": (1, _MANY), "seed": (0, _SEEDS),
}  # fmt: skip
_OPTIONAL = ("rank", "epochs", "batch_size")
_NUMBERS = {  # least and the first that is too large
    "alpha": (0, math.nextafter(1, 2)), "lr": (0, math.inf), "warm_up": (0, 1), "l1": (0, math.inf),
    "weight_decay": (0, math.inf),
}  # fmt: skip
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "recipe": get_args(Recipe), "objective": get_args(Objective), "targets": (*get_args(TargetKind), None),
    "inputs": get_args(Inputs), "schedule": get_args(Schedule), "dev_metric": get_args(DevMetric),
    "init": get_args(Init), "reduction": get_args(Reduction), "precision": get_args(Precision),
    "early_stopping": (True, False), "shuffle": (True, False), "scale_bias": (True, False),
    "calibrate": (True, False, None),
}  # fmt: skip
# At least so many passes, and so many steps: a small corpus needs more passes.
_FEWEST_EPOCHS = 5
_FEWEST_STEPS = 350


@dataclass(frozen=True)
class TrainConfig:
    """All ingredients of training. The defaults are the recipe `flip`; `PAPER` is the published one.

    None stands for a value that depends on the data; `resolved` fills it in.
    """

    recipe: Recipe = "flip"
    objective: Objective = "bernoulli"
    targets: TargetKind | None = None  # None: counts for multinomial; bernoulli takes presence alone
    inputs: Inputs = "whitened"  # conditioning of the embeddings, folded back into B and b afterwards
    rank: int | None = 512  # None is full rank, LiP
    alpha: float = 0.5  # weight of the first of two embeddings of the same sentences
    lr: float = 8e-3
    # cosine: zero just after the last step.  plateau: halved after every patience // 2 + 1 checks without a gain.
    schedule: Schedule = "cosine"
    warm_up: float = 0.05  # share of all steps over which the learning rate rises to lr
    batch_size: int | None = None
    epochs: int | None = None
    patience: int = 5  # checks on dev without a gain before stopping; the paper's recipe stops at the one after them
    early_stopping: bool = True
    check_every: int = 1  # passes from one check on dev to the next
    dev_metric: DevMetric = "accuracy"  # accuracy includes b; recall at top 2k does not
    l1: float = 0.0  # on A, proximal
    weight_decay: float = 0.0  # on A and B, decoupled; in the paper's recipe on b too
    init: Init = "prior"  # prior: A = 0, b = log-odds or log-frequency of each word
    reduction: Reduction = "mean"  # of the loss over a batch
    shuffle: bool = True
    precision: Precision = "auto"
    scale_bias: bool = True  # at each check, see flip.training.training_data.fitted_bias
    calibrate: bool | None = None  # on dev, beside the model; None: only if the objective is bernoulli
    seed: int = 0

    def __post_init__(self) -> None:
        """Check each ingredient and their combination. Convert numpy numbers to Python's.

        Raises:
            UsageError: a value is out of its range or not one of its choices; bernoulli with counts, multinomial
                calibrated, or zeros that could not be saved.
        """
        for name, (least, most) in _WHOLE.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
                raise UsageError(f"{name} must be a whole number from {least} to {most:,}, got {value!r}")
            object.__setattr__(self, name, int(value))
        for name, (least, limit) in _NUMBERS.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not least <= float(value) < limit:
                bound = "" if limit == math.inf else f" and below {limit:g}"
                raise UsageError(f"{name} must be a finite number of at least {least:g}{bound}, got {value!r}")
            object.__setattr__(self, name, float(value))
        if not self.lr:
            raise UsageError("lr must be above 0, got 0")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str | bool | None) or value not in choices:
                raise UsageError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
        if self.l1 and self.rank is None and self.inputs == "whitened":
            raise UsageError(
                "--l1 with --rank full on whitened embeddings: the matrix of the raw embedding has no zeros",
                "--inputs centred, or a rank, whose A keeps them",
            )
        if self.objective == "multinomial" and self.calibrate:
            raise UsageError(
                "--calibrate with --objective multinomial: its scores are not probabilities of single words",
                "--no-calibrate, or --objective bernoulli",
            )
        if self.objective == "bernoulli" and self.targets == "counts":
            raise UsageError(
                "--targets counts with --objective bernoulli: a word is present or not, and a count above 1 leaves "
                "the loss without a minimum",
                "--targets presence, or --objective multinomial",
            )

    @property
    def is_paper(self) -> bool:
        """Whether rules without an ingredient follow the published program."""
        return self.recipe == "paper"

    @property
    def last_check(self) -> float:
        """Number of successive checks on dev without a gain that ends the training."""
        return self.patience + self.is_paper if self.early_stopping else math.inf

    def resolved(self, n: int) -> Self:
        """Fill in targets and calibration for the objective, and batch size and epochs for n sentences."""
        targets = self.targets or ("counts" if self.objective == "multinomial" else "presence")
        batch = self.batch_size or max(64, min(1000, n // 32))
        steps = math.ceil(n / batch)
        epochs = self.epochs or max(_FEWEST_EPOCHS, math.ceil(_FEWEST_STEPS / steps))
        calibrate = self.objective == "bernoulli" if self.calibrate is None else self.calibrate
        return replace(self, targets=targets, batch_size=batch, epochs=epochs, calibrate=calibrate)

    def to_dict(self) -> Fields:
        """Return the ingredients as in config.json."""
        return asdict(self) | {"rank": "full" if self.rank is None else self.rank}


PAPER = TrainConfig(
    recipe="paper",
    objective="multinomial",
    inputs="raw",
    lr=5e-3,
    schedule="plateau",
    warm_up=0.0,
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
    scale_bias=False,
    calibrate=False,
)
RECIPES: dict[Recipe, TrainConfig] = {"flip": TrainConfig(), "paper": PAPER}


def choose(
    recipe: Recipe, rank: int | Literal["full"] | None, chosen: Mapping[str, Any], d: int | None = None
) -> TrainConfig:
    """Return a recipe, with its ingredients overridden by those of `chosen` that are not None.

    Args:
        recipe: flip or paper.
        rank: of the factors; "full" is LiP, None the recipe's own, but not more than d.
        chosen: ingredients by name.
        d: dimension of the embeddings, if known.
    """
    base = RECIPES[recipe]
    own = base.rank if d is None or base.rank is None else min(base.rank, d)
    names = {field.name for field in fields(TrainConfig)} - {"recipe", "rank"}
    overridden = {name: chosen[name] for name in names if chosen.get(name) is not None}
    return replace(base, rank=None if rank == "full" else own if rank is None else rank, **overridden)
