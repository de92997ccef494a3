"""Options that several commands share: each stands here once, with its type, its bounds and its help."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import call, output
from flip.cli.config import as_text, require_fitting
from flip.encoders.base import Precision
from flip.errors import FlipError
from flip.text.tokenize import TokenizerName

if TYPE_CHECKING:
    from flip.data.published import PublishedConfig

# Panels of --help, in this order; an option without one stands in "Output".
INPUT, CORPUS, DATA, RETRIEVAL, WORDS, CONCEPTS, MODEL, TRAINING, STORE, OUTPUT, DEVICE, HELP = PANELS = (
    "Input", "Corpus", "Data", "Retrieval", "Words", "Concepts", "Model", "Training", "Store", "Output", "Device",
    "Help",
)  # fmt: skip

WORSE = 5  # exit code: measured, and worse than the limit that was given
SPLIT = "0.9,0.05,0.05"
MOST_CROPS = 1000
_LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one


def finite(value: float | None) -> float | None:
    """Return a number; NaN and infinity are refused."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("must be a finite number")
    return value


def probability(text: str) -> str:
    """Return `auto`, or a number from 0 to 1 as it was written; others are refused."""
    try:
        if text == "auto" or 0 <= float(text) <= 1:
            return str(text)
    except ValueError:
        pass
    raise ValueError("must be auto, or a number from 0 to 1")


# Output
Json = Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No notes and no progress, only results and errors.", rich_help_panel=OUTPUT),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.", rich_help_panel=OUTPUT)]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.", rich_help_panel=OUTPUT)]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Let flip.toml name code to run, servers to send to, and outputs outside its folder.",
        rich_help_panel=INPUT,
    ),
]  # fmt: skip
Report = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write one HTML page: tables, plots, sentences.", rich_help_panel=OUTPUT),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Draw figures and curves: SVG, PNG or PDF by the ending.", rich_help_panel=OUTPUT
    ),
]
Details = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write hits, misses and scores of each sentence as JSONL.", rich_help_panel=OUTPUT
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Output of an earlier --json; with --fail-below.", rich_help_panel=OUTPUT),
]
FailBelow = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, metavar="X", rich_help_panel=OUTPUT,
        help=f"Exit code {WORSE} if a share is worse than in --baseline by more than this, say 0.02.",
    ),
]  # fmt: skip

# Device
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=DEVICE)]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.", rich_help_panel=DEVICE)]
Seed = Annotated[int, typer.Option(min=0, max=_LARGEST_SEED, help="Seed of everything random.", rich_help_panel=DEVICE)]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Inputs at a time.", show_default="what the encoder likes best", rich_help_panel=DEVICE),
]

# Encoders
EncoderName = Annotated[
    str,
    typer.Option(
        help="Encoder: one of `flip embed --list-encoders`, or module:factory or FILE.py:factory of your own.",
        rich_help_panel=INPUT,
    ),
]
OfModel = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="Encoder of the input; for vectors, the one that made them.",
        show_default="the checkpoint's own", rich_help_panel=INPUT,
    ),
]  # fmt: skip
Language = Annotated[
    str | None,
    typer.Option(
        help="Language of the input, such as eng_Latn.", show_default="guessed by a multilingual --asr",
        rich_help_panel=INPUT,
    ),
]  # fmt: skip
Asr = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="Whisper model or folder that transcribes recordings for an encoder of text.",
        show_default="tiny.en, or base for other languages", rich_help_panel=INPUT,
    ),
]  # fmt: skip
BaseUrl = Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible endpoint.", rich_help_panel=INPUT)]
Prompt = Annotated[str | None, typer.Option(help="Text put before every sentence.", rich_help_panel=INPUT)]
EncoderPrecision = Annotated[
    Precision | None,
    typer.Option(help="Arithmetic of the encoder.", show_default="auto", rich_help_panel=DEVICE),
]

# Models
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", show_default="minilm-en", rich_help_panel=MODEL,
        help="Checkpoint: a folder, a .safetensors file, a bundled name, or OWNER/NAME/FOLDER on the hub.",
    ),
]  # fmt: skip
Topn = Annotated[int, typer.Option("--topn", "-n", min=1, help="Keywords at most.", rich_help_panel=OUTPUT)]
BiasWeight = Annotated[
    float | None,
    typer.Option(
        callback=finite, help="Weight W of the bias in the ranking score A(Bu) + W b.",
        show_default="the checkpoint's own", rich_help_panel=MODEL,
    ),
]  # fmt: skip
MinProbability = Annotated[
    str | None,
    typer.Option(
        parser=probability, metavar="P|auto", rich_help_panel=OUTPUT,
        help="Leave out words less probable than this; auto is the threshold of the checkpoint.",
        show_default="auto on a terminal, 0 in JSON",
    ),
]  # fmt: skip

# Stores
Store = Annotated[
    str,
    typer.Argument(
        metavar="STORE", show_default=False,
        help="Parquet, Arrow, .npy, .npz, SQLite, DuckDB, FAISS, a folder of datasets or LanceDB; a folder or a "
        "pattern of Parquet or Arrow files; or a URI: s3://, gs://, az://, hf://datasets/OWNER/NAME.",
    ),
]  # fmt: skip
Column = Annotated[
    str | None,
    typer.Option(help="Column of the vectors.", show_default="the only one that can be", rich_help_panel=STORE),
]
TextColumn = Annotated[
    str | None, typer.Option(help="Column of the texts.", show_default="guessed by name", rich_help_panel=STORE)
]
IdColumn = Annotated[
    str | None, typer.Option(help="Column of the ids.", show_default="guessed by name", rich_help_panel=STORE)
]
Table = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Table or view of a database, or collection of llm.",
        show_default="the only table with vectors", rich_help_panel=STORE,
    ),
]  # fmt: skip
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="S|FILE", show_default="stored beside the vectors", rich_help_panel=STORE,
        help="For vectors of integers q, S of S * q + O: a number, or .npy or .json with one for each dimension.",
    ),
]  # fmt: skip
Offset = Annotated[
    str | None,
    typer.Option(
        metavar="O|FILE", help="O of --scale.", show_default="stored beside the vectors, else 0", rich_help_panel=STORE
    ),
]
Ranges = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=STORE,
        help="In place of both, the ranges of quantize_embeddings (sentence-transformers): .npy of shape (2, d).",
    ),
]  # fmt: skip
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize", rich_help_panel=STORE,
        help="Bring vectors, such as averages, to the length of those of the training.",
    ),
]  # fmt: skip
Recentre = Annotated[
    bool,
    typer.Option(
        "--recentre", rich_help_panel=STORE,
        help="Move the vectors to the mean of the training: for another language, domain or version of the encoder.",
    ),
]  # fmt: skip
Sentences = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The texts of the rows of a .npy, one a line.", rich_help_panel=STORE),
]
StoreOutput = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="File to write: .parquet, .arrow or .jsonl.", rich_help_panel=OUTPUT
    ),
]

# Corpora and datasets
Split = Annotated[
    str, typer.Option(help="How a CORPUS is split: fractions, or rest,DEV,TEST counts.", rich_help_panel=CORPUS)
]
Augment = Annotated[
    int | None,
    typer.Option(
        min=0, max=MOST_CROPS, metavar="N", rich_help_panel=CORPUS,
        help="Learn from N random crops of each sentence of a CORPUS too, and from words alone and among others.",
        show_default="2; 0 for an API's encoder or the recipe paper",
    ),
]  # fmt: skip
Teach = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=CORPUS,
        help="Words to learn of which the corpus has few or none, one a line; with --augment.",
    ),
]  # fmt: skip
Data = Annotated[Path | None, typer.Option(help="datasets.yaml, instead of a CORPUS.", rich_help_panel=DATA)]
TextId = Annotated[str | None, typer.Option(help="Id of the text, if a dataset has several.", rich_help_panel=DATA)]
SimThreshold = Annotated[
    float | None,
    typer.Option(callback=finite, help="Only rows whose sim_scores are above this.", rich_help_panel=DATA),
]
TOKENIZER_OF_SCRIPT = "latin, or the one for Chinese, Japanese or Thai text"
Tokenizer = Annotated[
    TokenizerName | None,
    typer.Option(
        help="What cuts the words of a CORPUS.",
        show_default=f"the one of [vocab], else {TOKENIZER_OF_SCRIPT}",
        rich_help_panel=CORPUS,
    ),
]


def _defaults(read: str) -> Callable[[typer.Context, Path | None], Path | None]:
    """Return the callback of --config, which runs before all other options are parsed.

    Args:
        read: function of `flip.data.published` that reads the file.
    """

    def callback(ctx: typer.Context, path: Path | None) -> Path | None:
        if path is None or ctx.resilient_parsing:
            return path
        from flip.data import published

        try:
            config: PublishedConfig = getattr(published, read)(path)
            values = {name: as_text(value) for name, value in (config.shared | config.own).items()}
            for name, value in values.items():
                require_fitting(ctx.command, name, value, f"{path}, {name}")
        except FlipError as error:
            output.fail(error.message, error.hint)
            raise typer.Exit(error.exit_code) from error
        ctx.meta[call.PUBLISHED] = call.Published(path, frozenset(values), config.ignored)
        ctx.default_map = {**(ctx.default_map or {}), **values}
        return path

    return callback


TrainPublished = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Published configuration (train_lolm.yaml); options override it.", is_eager=True,
        callback=_defaults("read_train_config"), rich_help_panel=INPUT,
    ),
]  # fmt: skip
VocabPublished = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Published configuration (vocab_en.yaml); options override it.", is_eager=True,
        callback=_defaults("read_vocab_config"), rich_help_panel=INPUT,
    ),
]  # fmt: skip
