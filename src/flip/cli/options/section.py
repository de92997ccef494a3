"""What sections of the settings share: types with their bounds, and options that several commands have."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, get_args

from annotated_types import Ge, Gt, Le

from flip.cli.flag import Flag, flag

MOST_CROPS = 1000
WORSE = 5  # exit code: measured, and worse than the limit that was given
SPLIT = "0.9,0.05,0.05"


Natural = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
NonNegative = Annotated[float, Ge(0)]


def listed(allowed: Any) -> str:
    """The words of a Literal, for a person."""
    *most, last = get_args(allowed)
    return f"{', '.join(most)} or {last}"


class Section:
    """A section of flip.toml. pydantic reads this: an unknown key is an error."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}


MODEL = Flag(
    "Checkpoint: a folder, a .safetensors file, a bundled name, or OWNER/NAME/FOLDER on the hub.",
    ("--model", "-m"), default="minilm-en",
)  # fmt: skip
MODELS = replace(MODEL, help=MODEL.help[:-1] + "; may be repeated.", metavar="MODEL")
MODEL_VOCAB = flag("Vocabulary of a --model that has none beside it.", metavar="FILE")
TEXT_ID = flag("Id of the text, where a dataset has several.")
SIM_THRESHOLD = flag("Only rows whose sim_scores are above this.")
FORCE = flag("Replace existing output.", "--force")
SPLIT_FLAG = flag("How a CORPUS is split: fractions, or rest,DEV,TEST counts.", default=SPLIT)
AUGMENT = flag(
    "Learn from N random crops of each sentence of a CORPUS too, and from words alone and among others.",
    metavar="N", default="2; 0 for an API's encoder or the recipe paper",
)  # fmt: skip
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]  # scikit-learn takes no other
Crops = Annotated[int, Ge(0), Le(MOST_CROPS)]
TEACH = flag("Words to learn of which the corpus has few or none, one a line; with --augment.", metavar="FILE")
