"""`flip train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from flip.cli.flag import argument, flag
from flip.cli.options.section import (
    AUGMENT,
    FORCE,
    SIM_THRESHOLD,
    SPLIT,
    SPLIT_FLAG,
    TEACH,
    TEXT_ID,
    Crops,
    Natural,
    NonNegative,
    Positive,
    Section,
    Share,
    listed,
)
from flip.text.tokenize import TokenizerName
from flip.training.recipes import (
    PAPER,
    DevMetric,
    Init,
    Precision,
    Recipe,
    Reduction,
    Schedule,
    TargetKind,
    TrainConfig,
)

Inputs = Literal["whitened", "centred", "raw"]
Objective = Literal["bernoulli", "multinomial"]


def recipes(name: str, flip: str = "") -> str:
    """The values of an ingredient in both recipes, as --help names defaults."""

    def said(value: Any) -> str:
        if isinstance(value, bool):
            return name if value else f"no-{name}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    ours, theirs = flip or said(getattr(TrainConfig(), name)), said(getattr(PAPER, name))
    return ours if ours == theirs else f"{ours}; paper {theirs}"


@dataclass
class TrainSettings(Section):
    """`flip train`. None of an ingredient stands for what the recipe says."""

    corpus: Annotated[
        list[str],
        argument(
            "Sentences: text or JSONL with text. They are split, embedded and kept in RUN/data.", metavar="CORPUS"
        ),
    ] = field(default_factory=list)
    output: Annotated[Path | None, flag("Folder of the run.", "--output", "-o", metavar="RUN")] = None
    embeddings: Annotated[
        Path | None,
        flag("Embeddings of a CORPUS, row i of line i, so that none is made of its sentences.", metavar="X.npy"),
    ] = None
    data: Annotated[Path | None, flag("datasets.yaml, instead of a CORPUS.")] = None
    train: Annotated[str, flag("Dataset to train on.")] = "train"
    extra: Annotated[
        str | None,
        flag("Dataset to learn from too, say augmented; it has no say in the whitening.", metavar="NAME"),
    ] = None
    dev: Annotated[str, flag("Dataset to stop by.")] = "dev"
    dev_data: Path | None = None  # the manifest of dev, where it is another one
    text: Annotated[str | None, TEXT_ID] = None
    embedding_pair: Annotated[
        tuple[str, str] | None,
        flag("Which two embeddings of a dataset.", metavar="ID ID", default="the first two"),
    ] = None
    sim_threshold: Annotated[float | None, SIM_THRESHOLD] = None
    vocab: Annotated[Path | None, flag("Vocabulary; a CORPUS makes its own from its training part.")] = None
    tokenizer: Annotated[
        TokenizerName | None,
        flag(f"What cuts the words of a CORPUS: {listed(TokenizerName)}.", default="that of [vocab], else latin"),
    ] = None
    split: Annotated[str, SPLIT_FLAG] = SPLIT
    augment: Annotated[Crops | None, AUGMENT] = None
    teach: Annotated[Path | None, TEACH] = None
    recipe: Annotated[Recipe, flag("flip, or paper as published; single options override it.")] = "flip"
    objective: Annotated[Objective | None, flag(f"{listed(Objective)}.", default=recipes("objective"))] = None
    targets: Annotated[
        TargetKind | None,
        flag("presence of words, or their counts.", default="counts for multinomial, else presence"),
    ] = None
    inputs: Annotated[Inputs | None, flag(f"Embeddings {listed(Inputs)}.", default=recipes("inputs"))] = None
    rank: Annotated[
        Natural | Literal["full"] | None,
        flag("Rank of A B, or full for LiP.", default=f"{TrainConfig().rank}, or the dimension if less"),
    ] = None
    alpha: Annotated[Share, flag("Weight of the first of two embeddings.")] = TrainConfig().alpha
    init: Annotated[
        Init | None, flag("prior (A = 0, b the words' frequencies) or xavier.", default=recipes("init"))
    ] = None
    reduction: Annotated[
        Reduction | None, flag(f"The loss of a batch is the {listed(Reduction)}.", default=recipes("reduction"))
    ] = None
    lr: Annotated[Positive | None, flag("Learning rate of AdamW.", default=recipes("lr"))] = None
    schedule: Annotated[
        Schedule | None,
        flag(
            "The rate falls by a cosine to 0, or by plateau: halved after patience // 2 + 1 checks without a gain.",
            default=recipes("schedule"),
        ),
    ] = None  # fmt: skip
    warm_up: Annotated[
        Annotated[float, Ge(0), Lt(1)] | None,
        flag("Share of the steps in which the rate rises to --lr.", default=recipes("warm_up")),
    ] = None
    shuffle: Annotated[
        bool | None,
        flag("Take sentences in another order in each pass.", "--shuffle/--no-shuffle", default=recipes("shuffle")),
    ] = None
    batch_size: Annotated[
        Natural | None, flag("Sentences a step.", default=recipes("batch_size", "1000, less for small data"))
    ] = None
    epochs: Annotated[Natural | None, flag("Passes at most.", default=recipes("epochs", "5, more for small data"))] = (
        None
    )
    patience: Annotated[
        Natural | None,
        flag("Checks on dev without a gain before stopping; paper: 1 more.", default=recipes("patience")),
    ] = None
    early_stopping: Annotated[
        bool | None,
        flag("Stop by --patience.", "--early-stopping/--no-early-stopping", default="early-stopping"),
    ] = None
    check_every: Annotated[
        Natural | None, flag("Passes from one check on dev to the next.", default=recipes("check_every"))
    ] = None
    dev_metric: Annotated[
        DevMetric | None,
        flag("Measure of the checks: accuracy with b, or recall at top 2k without.", default=recipes("dev_metric")),
    ] = None
    l1: Annotated[NonNegative | None, flag("L1 penalty on A, proximal.", default=recipes("l1"))] = None
    weight_decay: Annotated[
        NonNegative | None,
        flag("Decoupled weight decay on A and B; paper: on b too.", default=recipes("weight_decay")),
    ] = None
    precision: Annotated[
        Precision | None, flag(f"Matrix products in {listed(Precision)}.", default=recipes("precision"))
    ] = None
    calibrate: Annotated[
        bool | None,
        flag(
            "Fit the probabilities to dev.", "--calibrate/--no-calibrate",
            default="calibrate for bernoulli; not in paper",
        ),
    ] = None  # fmt: skip
    dtype: Annotated[
        Literal["float32", "float16", "int8"], flag("Numbers of the saved model: float32, float16 or int8.")
    ] = "float32"
    text_license: Annotated[str | None, flag("Licence of the sentences, for the model card (README.md).")] = None
    resume: Annotated[bool, flag("Go on with the run in RUN.", "--resume")] = False
    force: Annotated[bool, FORCE] = False
