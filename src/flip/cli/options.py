"""Every setting of every command, once: its name, type, bounds and default, its option, and the help."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Ge, Gt, Le, Lt

from flip.cli.flag import Checked, Flag, argument, flag
from flip.encoders.base import DEFAULT_ENCODER
from flip.encoders.base import Precision as EncoderPrecision
from flip.errors import UsageError
from flip.evaluation.registry import CHOICES
from flip.text.tokenize import LONGEST_NGRAM, Accents, TokenizerName, TokenSource, is_ngram
from flip.text.vocabulary import frequency_bound
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

MOST_CROPS = 1000
WORSE = 5  # exit code: measured, and worse than the limit that was given
SPLIT = "0.9,0.05,0.05"
Inputs = Literal["whitened", "centred", "raw"]
Objective = Literal["bernoulli", "multinomial"]


def _bounds_frequency(value: Any) -> int | float:
    try:
        return frequency_bound(value)
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


def _is_ngram(ngram: tuple[int, int]) -> tuple[int, int]:
    if not is_ngram(ngram):
        raise ValueError(f"needs 1 <= smallest <= largest <= {LONGEST_NGRAM}, not {ngram[0]} {ngram[1]}")
    return ngram


# Not by its type first, which would take 1 for 1.0.
FrequencyBound = Annotated[int | float, Checked(_bounds_frequency, alone=True)]
Natural = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
NonNegative = Annotated[float, Ge(0)]


def _words(allowed: Any) -> str:
    """The words of a Literal, for a person."""
    *most, last = get_args(allowed)
    return f"{', '.join(most)} or {last}"


def _recipes(name: str, flip: str = "") -> str:
    """The values of an ingredient in both recipes, as --help names defaults."""

    def said(value: Any) -> str:
        if isinstance(value, bool):
            return name if value else f"no-{name}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    ours, theirs = flip or said(getattr(TrainConfig(), name)), said(getattr(PAPER, name))
    return ours if ours == theirs else f"{ours}; paper {theirs}"


class _Section:
    """A section of flip.toml. pydantic reads this: an unknown key is an error."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}


ENCODER = flag("Encoder: one of `flip embed --list-encoders`, or module:factory or FILE.py:factory of your own.")


@dataclass
class SharedSettings(_Section):
    """What stands at the top of flip.toml."""

    device: Annotated[str, flag("Where to compute: auto, cpu, cuda, cuda:1 or mps.")] = "auto"
    encoder: Annotated[str, ENCODER] = DEFAULT_ENCODER
    seed: Annotated[int, flag("Seed of everything random.")] = 0
    offline: Annotated[bool, flag("Never use the network.", "--offline")] = False


# Of `flip.encoders.base.EncoderOptions`, which the core has without a command line.
ENCODER_FLAGS = {
    "language": flag("Language of the input, such as eng_Latn.", default="guessed for speech"),
    "precision": flag(f"Arithmetic of the encoder: {_words(EncoderPrecision)}.", default="auto"),
    "weights": flag("Folder with SONAR's weights."),
    "sonar_backend": flag("auto, official (sonar-space) or torch (our port).", default="auto"),
    "asr": flag(
        "Whisper model or folder that transcribes recordings for an encoder of text.", metavar="MODEL",
        default="tiny.en, or base for other languages",
    ),
    "prompt": flag("Text put before every sentence."),
    "dimensions": flag("Keep the first so many dimensions.", default="all; gemini 768"),
    "base_url": flag("Address of an OpenAI-compatible endpoint."),
    "task_type": flag("Gemini's task type, such as SEMANTIC_SIMILARITY."),
    "concurrency": flag("Requests at the same time.", default="4"),
}  # fmt: skip

_MODEL = Flag(
    "Checkpoint: a folder, a .safetensors file, a bundled name, or OWNER/NAME/FOLDER on the hub.",
    ("--model", "-m"), default="minilm-en",
)  # fmt: skip
_MODELS = replace(_MODEL, help=_MODEL.help[:-1] + "; may be repeated.")
_MODEL_VOCAB = flag("Vocabulary of a --model that has none beside it.", metavar="FILE")
_TEXT_ID = flag("Id of the text, where a dataset has several.")
_SIM_THRESHOLD = flag("Only rows whose sim_scores are above this.")
_FORCE = flag("Replace existing output.", "--force")
_SPLIT = flag("How a CORPUS is split: fractions, or rest,DEV,TEST counts.", default=SPLIT)
_AUGMENT = flag(
    "Learn from N random crops of each sentence of a CORPUS too, and from words alone and among others.",
    metavar="N", default="2; 0 for an API's encoder or the recipe paper",
)  # fmt: skip
Crops = Annotated[int, Ge(0), Le(MOST_CROPS)]
_TEACH = flag("Words to learn of which the corpus has few or none, one a line; with --augment.", metavar="FILE")


@dataclass
class VocabSettings(_Section):
    """`flip vocab`."""

    text: Annotated[list[str], argument("Text files or JSONL with text; `-` is standard input.", metavar="TEXT")] = (
        field(default_factory=list)
    )
    data: Annotated[Path | None, flag("datasets.yaml, instead of TEXT.")] = None
    dataset: Annotated[str, flag("Dataset of --data; several with commas.")] = "train"
    text_id: Annotated[str | None, _TEXT_ID] = None
    sim_threshold: Annotated[float | None, _SIM_THRESHOLD] = None
    output: Annotated[Path, flag("File to write.", "--output", "-o")] = Path("vocab.json")
    max_features: Annotated[Natural, flag("Keep so many of the most frequent words.")] = 100_000
    min_df: Annotated[FrequencyBound, flag("Least number (2) or share (0.01) of sentences that have a word.")] = 1
    max_df: Annotated[FrequencyBound, flag("Largest number (50) or share (0.5) of them.")] = 1.0
    ngram: Annotated[tuple[int, int], Checked(_is_ngram), flag("Smallest and largest n.")] = (1, 1)
    tokenizer: Annotated[TokenizerName, flag(f"What cuts words: {_words(TokenizerName)}.")] = "latin"
    strip_accents: Annotated[Accents, flag(f"Accents to take off: {_words(Accents)}.")] = "none"
    normalize: Annotated[bool, flag("Lower-case, and strip punctuation.", "--normalize/--no-normalize")] = True
    lowercase: bool = True  # of the normalisation
    words: Annotated[Path | None, flag("The words of this file, one a line, whole and in this order.")] = None
    teach: Annotated[Path | None, flag("Also the words of this file, one a line.", metavar="FILE")] = None
    concepts: Annotated[bool, flag("SpLiCE's vocabulary: frequent words and bound pairs.", "--concepts")] = False
    unigrams: Annotated[Count, flag("Words at most, with --concepts.")] = 6500
    bigrams: Annotated[Count, flag("Pairs at most, with --concepts.")] = 3500
    min_count: Annotated[Natural, flag("Least number of occurrences, with --concepts.")] = 20
    min_pmi: Annotated[float, flag("Least mutual information of a pair in bits, with --concepts.")] = 1.5
    force: Annotated[bool, _FORCE] = False


@dataclass
class EmbedSettings(_Section):
    """`flip embed`."""

    inputs: Annotated[
        list[str],
        argument(
            "Text, JSON with text or audio, a TSV or CSV with text, recordings or folders of them; "
            "`-` is standard input.", metavar="INPUT",
        ),
    ] = field(default_factory=list)  # fmt: skip
    output: Annotated[
        Path | None, flag("File to write, OUT.npy.", "--output", "-o", default="INPUT.npy of each input")
    ] = None
    dataset: Annotated[
        Path | None,
        flag("Write train, dev and test of a corpus there, with a datasets.yaml.", metavar="DIR", panel="Output"),
    ] = None
    split: Annotated[str, flag("Fractions, or rest,DEV,TEST counts, with --dataset.")] = SPLIT
    clips: Annotated[Path | None, flag("Folder of the recordings that a TSV names.")] = None
    pair: Annotated[
        bool,
        flag("Two aligned inputs (with --dataset also one TSV); also writes how near row i is to row i.", "--pair"),
    ] = False
    augment: Annotated[
        Crops,
        flag("Also embed, as `augmented`, N random crops of each training sentence, and words; with --dataset."),
    ] = 0  # fmt: skip
    teach: Annotated[Path | None, _TEACH] = None
    shard: Annotated[str | None, flag("Only this part, such as 3/16.", metavar="PART/PARTS", default="torchrun's")] = (
        None
    )
    batch_size: Annotated[Natural | None, flag("Inputs at a time.", default="what the encoder likes best")] = None
    dtype: Annotated[
        Literal["auto", "float32", "float16"], flag("Numbers of the file: auto (float32), float32 or float16.")
    ] = "auto"
    force: Annotated[bool, _FORCE] = False


@dataclass
class TrainSettings(_Section):
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
    text: Annotated[str | None, _TEXT_ID] = None
    embedding_pair: Annotated[
        tuple[str, str] | None,
        flag("Which two embeddings of a dataset.", metavar="ID ID", default="the first two"),
    ] = None
    sim_threshold: Annotated[float | None, _SIM_THRESHOLD] = None
    vocab: Annotated[Path | None, flag("Vocabulary; a CORPUS makes its own from its training part.")] = None
    split: Annotated[str, _SPLIT] = SPLIT
    augment: Annotated[Crops | None, _AUGMENT] = None
    teach: Annotated[Path | None, _TEACH] = None
    recipe: Annotated[Recipe, flag("flip, or paper as published; single options override it.")] = "flip"
    objective: Annotated[Objective | None, flag(f"{_words(Objective)}.", default=_recipes("objective"))] = None
    targets: Annotated[
        TargetKind | None,
        flag("presence of words, or their counts.", default="counts for multinomial, else presence"),
    ] = None
    inputs: Annotated[Inputs | None, flag(f"Embeddings {_words(Inputs)}.", default=_recipes("inputs"))] = None
    rank: Annotated[
        Natural | Literal["full"] | None,
        flag("Rank of A B, or full for LiP.", default=f"{TrainConfig().rank}, or the dimension if less"),
    ] = None
    alpha: Annotated[Share, flag("Weight of the first of two embeddings.")] = TrainConfig().alpha
    init: Annotated[
        Init | None, flag("prior (A = 0, b the words' frequencies) or xavier.", default=_recipes("init"))
    ] = None
    reduction: Annotated[
        Reduction | None, flag(f"The loss of a batch is the {_words(Reduction)}.", default=_recipes("reduction"))
    ] = None
    lr: Annotated[Positive | None, flag("Learning rate of AdamW.", default=_recipes("lr"))] = None
    schedule: Annotated[
        Schedule | None,
        flag(
            "The rate falls by a cosine to 0, or by plateau: halved after patience // 2 + 1 checks without a gain.",
            default=_recipes("schedule"),
        ),
    ] = None  # fmt: skip
    warm_up: Annotated[
        Annotated[float, Ge(0), Lt(1)] | None,
        flag("Share of the steps in which the rate rises to --lr.", default=_recipes("warm_up")),
    ] = None
    shuffle: Annotated[
        bool | None,
        flag("Take sentences in another order in each pass.", "--shuffle/--no-shuffle", default=_recipes("shuffle")),
    ] = None
    batch_size: Annotated[
        Natural | None, flag("Sentences a step.", default=_recipes("batch_size", "1000, less for small data"))
    ] = None
    epochs: Annotated[Natural | None, flag("Passes at most.", default=_recipes("epochs", "5, more for small data"))] = (
        None
    )
    patience: Annotated[
        Natural | None,
        flag("Checks on dev without a gain before stopping; paper: 1 more.", default=_recipes("patience")),
    ] = None
    early_stopping: Annotated[
        bool | None,
        flag("Stop by --patience.", "--early-stopping/--no-early-stopping", default="early-stopping"),
    ] = None
    check_every: Annotated[
        Natural | None, flag("Passes from one check on dev to the next.", default=_recipes("check_every"))
    ] = None
    dev_metric: Annotated[
        DevMetric | None,
        flag("Measure of the checks: accuracy with b, or recall at top 2k without.", default=_recipes("dev_metric")),
    ] = None
    l1: Annotated[NonNegative | None, flag("L1 penalty on A, proximal.", default=_recipes("l1"))] = None
    weight_decay: Annotated[
        NonNegative | None,
        flag("Decoupled weight decay on A and B; paper: on b too.", default=_recipes("weight_decay")),
    ] = None
    precision: Annotated[
        Precision | None, flag(f"Matrix products in {_words(Precision)}.", default=_recipes("precision"))
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
    force: Annotated[bool, _FORCE] = False


_store = partial(flag, panel="Store")


@dataclass
class StoreSettings(_Section):
    """Where in a store of vectors what lies; of every command that reads one."""

    column: Annotated[str | None, _store("Column of the vectors.", default="the only one that can be")] = None
    text_column: Annotated[str | None, _store("Column of the texts.", default="guessed by name")] = None
    table: Annotated[
        str | None,
        _store("Table of a database, or collection of llm.", metavar="NAME", default="the only one with vectors"),
    ] = None
    scale: Annotated[
        float | None, _store("What int8 values are multiplied with.", default="what the store says")
    ] = None  # fmt: skip


@dataclass
class EvalSettings(StoreSettings):
    """`flip eval`."""

    sentences: Annotated[
        list[str],
        argument("Sentences to compare encoders on; with --audit, a store of vectors.", metavar="SENTENCES|STORE"),
    ] = field(default_factory=list)
    encoder: Annotated[
        list[str],
        flag("Encoder to train and measure a model of on SENTENCES; may be repeated.", metavar="NAME"),
    ] = field(default_factory=list)
    split: Annotated[str | None, _SPLIT] = None
    augment: Annotated[Crops | None, _AUGMENT] = None
    runs: Annotated[
        Path, flag("Folder in which the runs of --encoder are kept, and found by the next command.", metavar="DIR")
    ] = Path("runs")
    model: Annotated[list[str] | str | None, _MODELS] = None
    vocab: Annotated[Path | None, _MODEL_VOCAB] = None
    data: Annotated[Path | None, flag("datasets.yaml.", default="the one the model was trained with")] = None
    dataset: Annotated[str, flag("Dataset to measure on.")] = "test"
    text: Annotated[str | None, _TEXT_ID] = None
    sim_threshold: Annotated[float | None, flag("Only rows whose sim_scores, if any, are above this.", default="0")] = (
        None
    )
    min_tokens: Annotated[Count | None, flag("Only sentences of so many words or more.")] = None
    max_tokens: Annotated[Natural | None, flag("Only sentences of so many words or fewer.")] = None
    metrics: Annotated[str, flag(f"Separated by commas: {CHOICES}; or all.")] = "accuracy,content,pr"
    tokens: Annotated[
        TokenSource,
        flag("Words of the sentences: vocabulary (by its tokenizer) or published (split on white space)."),
    ] = "vocabulary"
    topn: Annotated[Natural, flag("N of precision, recall and F1.", "--topn", "-n")] = 10
    method: Annotated[Literal["flip", "splice"], flag("flip, or splice: the model's words as concepts.")] = "flip"
    train: Annotated[str | None, flag("Dataset to centre SpLiCE's sentences by.", default="train")] = None
    dev: Annotated[str | None, flag("Dataset to tune SpLiCE on.", default="dev")] = None
    compare: Annotated[
        list[str], flag("Another --model, to compare with the first; may be repeated.", metavar="RUN")
    ] = field(default_factory=list)
    entities: Annotated[Path | None, flag("JSONL of text (or line_number) and entity_names.", metavar="FILE")] = None
    details: Annotated[
        Path | None, flag("Write hits, misses and scores of each sentence as JSONL.", metavar="FILE")
    ] = None
    plot: Annotated[Path | None, flag("Draw figures and curves, as SVG, PNG or PDF by the ending.", metavar="FILE")] = (
        None
    )
    report: Annotated[Path | None, flag("Write one HTML page: tables, plots, sentences.", metavar="FILE")] = None
    results: Annotated[
        Path | None, flag("Write DIR/ENCODER/REVISION/DATASET.json for each model, for a leaderboard.", metavar="DIR")
    ] = None
    baseline: Annotated[
        Path | None, flag("What an earlier `flip eval --json` printed; with --fail-below.", metavar="FILE")
    ] = None
    fail_below: Annotated[
        Share | None,
        flag(f"Exit code {WORSE} where a share is worse than in --baseline by more than this, say 0.02.", metavar="X"),
    ] = None
    audit: Annotated[
        Path | None,
        _store("Words, names or numbers, one a line: how well can they be read from the vectors?", metavar="FILE"),
    ] = None
    limit: Annotated[
        Share | None,
        _store(f"--audit: exit code {WORSE} where the recall of a term is above this for certain.", metavar="X"),
    ] = None

    @property
    def models(self) -> list[str | None]:
        """All that are to be measured, the first first; None is the default one."""
        named = self.model if isinstance(self.model, list) else [self.model]
        return [*(named or [None]), *self.compare]


@dataclass
class ExplainSettings(StoreSettings):
    """`flip explain`."""

    model: Annotated[str | None, _MODEL] = None
    vocab: Annotated[Path | None, _MODEL_VOCAB] = None
    topn: Annotated[Natural, flag("Keywords at most.", "--topn", "-n")] = 10
    bias_weight: Annotated[
        float | None,
        flag("Weight W of the bias in the ranking score A(Bu) + W b.", default="the checkpoint's own"),
    ] = None
    min_probability: Annotated[
        Share | Literal["auto"] | None,
        flag(
            "Leave out words less probable than this; auto is the threshold of the checkpoint.", metavar="P|auto",
            default="auto on a terminal, 0 in JSON",
        ),
    ] = None  # fmt: skip
    batch_size: Natural = 256
    id_column: Annotated[str | None, _store("Column of the ids.", default="guessed by name")] = None
    output: Annotated[
        Path | None,
        _store(
            "Write the store with its words beside every row: .parquet, .arrow or .jsonl.", "--output", "-o",
            metavar="FILE",
        ),
    ] = None  # fmt: skip
    group_by: Annotated[
        str | None, _store("Show the words that set each group apart from the rest.", metavar="COLUMN")
    ] = None
    clusters: Annotated[
        Annotated[int, Ge(2)] | None,
        _store("The same for K groups that are found; -o writes the group of every row.", metavar="K"),
    ] = None
    labels: Annotated[
        Path | None, _store("Write x, y and words of each group, for an atlas.", metavar="FILE")
    ] = None  # fmt: skip
    find: Annotated[
        str | None,
        _store(
            "Show the rows that most probably carry all of these words, separated by commas; -o writes them.",
            metavar="WORDS",
        ),
    ] = None
    any: Annotated[bool, _store("--find: any of the words, in place of all.", "--any")] = False
    rows: Annotated[Natural | None, _store("--find: how many.", default="10")] = None
    sparse: Annotated[
        Path | None,
        _store(
            "Write each row as indices and weights of words, for the sparse index of a vector store.", metavar="FILE"
        ),
    ] = None
    summary: Annotated[bool, _store("--against another store: which words rose and fell, in all.", "--summary")] = False


@dataclass
class PullSettings(_Section):
    """`flip pull`."""

    revision: Annotated[str | None, flag("Branch, tag or commit.", default="the main branch")] = None
    output: Annotated[Path | None, flag("Folder to put the files in.", "--output", "-o", default="the hub's cache")] = (
        None
    )
