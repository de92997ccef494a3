"""`flip train`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flip.cli import loading, options
from flip.cli.call import Call, begin, require_outputs
from flip.cli.help import HelpAll
from flip.cli.options import CORPUS, DATA, MODEL, OUTPUT, SPLIT, TRAINING, TrainPublished
from flip.cli.output import guarded, interruptible, leave_it_to_the_first
from flip.encoders.base import DEFAULT_ENCODER
from flip.errors import UsageError
from flip.training import recipes

if TYPE_CHECKING:
    from flip.cli.corpus import Corpus
    from flip.training.datasets import TrainingDatasets
    from flip.training.pipeline import Trained

EPILOG = """\b
Examples:
  flip train --encoder st:BAAI/bge-small-en-v1.5 -o run
  flip train sents.txt -o run && flip explain --model run "Any sentence."
  flip train --data datasets.yaml --train train --dev dev --vocab vocab.json -o run --rank 256
  torchrun --nproc-per-node 2 -m flip train --data datasets.yaml --vocab vocab.json -o run
"""

# What --help shows; --help-all shows the rest.
BASIC = (
    "--output", "--encoder", "--language", "--strings", "--augment", "--data", "--vocab", "--rank", "--resume",
    "--device",
)  # fmt: skip
_FLIP = recipes.TrainConfig()


def _recipes(name: str, flip: str = "") -> str:
    """Return the default of an ingredient in both recipes, as --help shows it."""

    def text(value: object) -> str:
        if isinstance(value, bool):
            return name if value else f"no-{name}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    ours, theirs = flip or text(getattr(_FLIP, name)), text(getattr(recipes.PAPER, name))
    return ours if ours == theirs else f"{ours}; paper {theirs}"


def _ingredient(name: str, help: str, *names: str, default: str | None = None, **more: Any) -> Any:
    """Return the option of an ingredient of training; None stands for the recipe's own value."""
    shown = _recipes(name) if default is None else default
    return typer.Option(*names, help=help, show_default=shown, rich_help_panel=TRAINING, **more)


def _rank(text: str) -> int | Literal["full"]:
    """Return a rank; `full` is LiP."""
    if text == "full":
        return "full"
    try:
        if (rank := int(text)) >= 1:
            return rank
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not one of 'full', '1' or a larger number.")


def _share_below_one(value: float | None) -> float | None:
    if value is not None and not 0 <= value < 1:
        raise typer.BadParameter("must be 0 or more and less than 1")
    return value


def _positive(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter("must be a finite number above 0")
    return value


@guarded
def train(
    ctx: typer.Context,
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CORPUS", show_default=False,
            help="Sentences: text or JSONL with text. They are split, embedded and kept in RUN/data.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RUN", help="Folder of the run.", rich_help_panel=OUTPUT),
    ] = None,
    encoder: options.EncoderName = DEFAULT_ENCODER,
    language: options.Language = None,
    base_url: options.BaseUrl = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="X.npy", rich_help_panel=CORPUS,
            help="Embeddings of a CORPUS, row i of line i, so that none is made of its sentences.",
        ),
    ] = None,
    tokenizer: options.Tokenizer = None,
    split: options.Split = SPLIT,
    augment: options.Augment = None,
    teach: options.Teach = None,
    strings: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", rich_help_panel=CORPUS,
            help="Strings to generate in --language and learn from: without a CORPUS, or beside a small one, of less "
            "than about 50,000 sentences.",
            show_default="60000 without a CORPUS, 5000 for an API, else 0",
        ),
    ] = None,
    words: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=CORPUS,
            help="Words to make the strings of, one a line, with an optional count.",
            show_default="those of --language",
        ),
    ] = None,
    passages: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", rich_help_panel=CORPUS,
            help="Passages of 2 to 12 lines that follow each other in the CORPUS, to learn from too: for texts of more "
            "than 50 words.",
        ),
    ] = 0,
    encoder_batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sentences of a CORPUS embedded at a time.", show_default="what the encoder likes best",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(help="Vocabulary; a CORPUS makes its own from its training part.", rich_help_panel=MODEL),
    ] = None,
    data: options.Data = None,
    train: Annotated[str, typer.Option(help="Dataset to train on.", rich_help_panel=DATA)] = "train",
    extra: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=DATA,
            help="Dataset to learn from too, say augmented; it has no say in the whitening.",
        ),
    ] = None,
    dev: Annotated[
        str,
        typer.Option(
            help="Dataset to stop by; without a CORPUS, a FILE of real sentences to calibrate and measure on.",
            rich_help_panel=TRAINING,
        ),
    ] = "dev",
    dev_data: Annotated[
        Path | None, typer.Option(help="datasets.yaml of --dev, if it is another one.", rich_help_panel=DATA)
    ] = None,
    text: options.TextId = None,
    embedding_pair: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="ID ID", help="Two embeddings of a dataset.", show_default="the first two", rich_help_panel=DATA
        ),
    ] = None,
    sim_threshold: options.SimThreshold = None,
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of the first of two embeddings.", rich_help_panel=TRAINING)
    ] = _FLIP.alpha,
    recipe: Annotated[
        recipes.Recipe,
        typer.Option(help="flip, or paper as published; single options override it.", rich_help_panel=TRAINING),
    ] = "flip",
    objective: Annotated[
        recipes.Objective | None, _ingredient("objective", "Independent words, or one distribution.")
    ] = None,
    targets: Annotated[
        recipes.TargetKind | None,
        _ingredient(
            "targets", "Presence of words, or their counts.", default="counts for multinomial, else presence"
        ),
    ] = None,
    inputs: Annotated[recipes.Inputs | None, _ingredient("inputs", "Conditioning of the embeddings.")] = None,
    rank: Annotated[
        str | None,
        _ingredient(
            "rank", "Rank of A B, or full for LiP.", default=f"{_FLIP.rank}, or the dimension if less", parser=_rank,
            metavar="N|full",
        ),
    ] = None,
    init: Annotated[
        recipes.Init | None, _ingredient("init", "prior (A = 0, b the words' frequencies) or xavier.")
    ] = None,
    reduction: Annotated[
        recipes.Reduction | None, _ingredient("reduction", "The loss of a batch is the mean or sum.")
    ] = None,
    lr: Annotated[float | None, _ingredient("lr", "Learning rate of AdamW.", callback=_positive)] = None,
    schedule: Annotated[
        recipes.Schedule | None,
        _ingredient(
            "schedule",
            "The rate falls by a cosine to 0, or by plateau: halved after patience // 2 + 1 checks without a gain.",
        ),
    ] = None,
    warm_up: Annotated[
        float | None,
        _ingredient("warm_up", "Share of the steps in which the rate rises to --lr.", callback=_share_below_one),
    ] = None,
    shuffle: Annotated[
        bool | None,
        _ingredient("shuffle", "Take sentences in another order in each pass.", "--shuffle/--no-shuffle"),
    ] = None,
    batch_size: Annotated[
        int | None,
        _ingredient(
            "batch_size", "Sentences a step.", default=_recipes("batch_size", "1000, less for small data"), min=1
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        _ingredient("epochs", "Passes at most.", default=_recipes("epochs", "5, more for small data"), min=1),
    ] = None,
    patience: Annotated[
        int | None, _ingredient("patience", "Checks on dev without a gain before stopping; paper: 1 more.", min=1)
    ] = None,
    early_stopping: Annotated[
        bool | None,
        _ingredient(
            "early_stopping", "Stop by --patience.", "--early-stopping/--no-early-stopping", default="early-stopping"
        ),
    ] = None,
    check_every: Annotated[
        int | None, _ingredient("check_every", "Passes from one check on dev to the next.", min=1)
    ] = None,
    dev_metric: Annotated[
        recipes.DevMetric | None,
        _ingredient("dev_metric", "Measure of the checks: accuracy with b, or recall at top 2k without."),
    ] = None,
    l1: Annotated[float | None, _ingredient("l1", "L1 penalty on A, proximal.", min=0)] = None,
    weight_decay: Annotated[
        float | None, _ingredient("weight_decay", "Decoupled weight decay on A and B; paper: on b too.", min=0)
    ] = None,
    precision: Annotated[
        recipes.Precision | None, _ingredient("precision", "Number format of matrix products.")
    ] = None,
    scale_bias: Annotated[
        bool | None,
        _ingredient(
            "scale_bias", "Scale b for the best accuracy on dev.", "--scale-bias/--no-scale-bias",
            default="scale-bias; not in paper",
        ),
    ] = None,
    calibrate: Annotated[
        bool | None,
        _ingredient(
            "calibrate", "Fit the probabilities to dev; no word changes its rank.", "--calibrate/--no-calibrate",
            default="calibrate for bernoulli; not in paper",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="Numbers of the saved model.", rich_help_panel=OUTPUT),
    ] = "float32",
    text_license: Annotated[
        str | None,
        typer.Option(help="Licence of the sentences, for the model card (README.md).", rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in RUN.", rich_help_panel=OUTPUT)
    ] = False,
    force: options.Force = False,
    config: TrainPublished = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    help_all: Annotated[bool, HelpAll] = False,
) -> None:  # fmt: skip
    """Learn a model of an encoder: from generated strings, from sentences, or from embeddings and their texts.

    With --encoder alone it generates strings, embeds them, learns from them and measures. With a CORPUS it splits and
    embeds that.
    """
    from flip.cli.corpus import Corpus
    from flip.training.distributed import process_number

    call = begin(ctx)
    if process_number() > 0:
        call.out.quiet = True
        leave_it_to_the_first()
    corpus, data = _source(corpus or [], data, call)
    real = Path(dev) if data is None and call.given("dev") else None
    if output is None:
        raise UsageError("no folder for the run", "add -o RUN, or [train] output in flip.toml")
    require_outputs(call, {"output": output}, [])
    if data is None:
        sentences = Corpus(
            corpus, split, augment, teach, vocab, tokenizer, encoder_batch_size or _embed_batch(call), strings, words,
            real, passages,
        )  # fmt: skip
        prepare = partial(_of_corpus, sentences, output, embeddings, encoder, recipe, call)
    else:
        prepare = partial(_of_manifest, data, output, call)
    _train(prepare, output, partial(ingredients, call), call)


def ingredients(call: Call, d: int | None) -> recipes.TrainConfig:
    """Return the recipe of the options of `flip train` for embeddings of d dimensions, None if that is not known."""
    params = call.ctx.params if call.command == ("train",) else call.params_of("train")
    config = recipes.choose(params["recipe"], params["rank"], params | {"seed": call.runtime.seed}, d)
    if d is not None and config.rank is not None and config.rank > d:
        call.out.note(f"rank {config.rank} is more than the {d} dimensions of the embeddings: it adds no power")
    return config


def _source(corpus: list[str], data: Path | None, call: Call) -> tuple[list[str], Path | None]:
    """Return the one source that is named; that of the call wins over the other of flip.toml.

    Raises:
        UsageError: both or none, or an option of the other.
    """
    if call.given("corpus") and not call.given("data"):
        data = None
    elif call.given("data") and not call.given("corpus"):
        corpus = []
    settled = data is None and any(call.ctx.params[name] is not None for name in ("strings", "words"))  # in flip.toml
    generated = not corpus and not call.given("embeddings") and (settled or call.given("encoder", "strings", "words"))
    if (data is not None and (corpus or generated)) or not (data or corpus or generated):
        raise UsageError(
            "give one source: a CORPUS, --data, or an --encoder to generate strings for",
            "flip train --encoder minilm -o RUN, flip train sents.txt -o RUN, flip train --data datasets.yaml -o RUN",
        )
    if call.given("tokenizer") and call.given("vocab"):
        raise UsageError("--tokenizer makes a vocabulary, and --vocab is one", "leave one of them out")
    if data is None:
        if call.given("extra"):
            raise UsageError("--extra requires --data", "--augment N makes further sentences of a CORPUS")
        call.refuse(DATA, "requires --data", "a CORPUS is split into train, dev and test: see --split")
        if call.ctx.params["passages"] and (not corpus or call.given("embeddings")):
            raise UsageError(
                "--passages joins lines of a CORPUS and embeds them", "name a CORPUS of lines in their order"
            )
        if corpus and call.given("dev"):
            raise UsageError("--dev requires --data, or no CORPUS", "a CORPUS has a dev part of its own: see --split")
    else:
        if call.given("augment"):
            hint = "flip embed CORPUS --dataset DIR --augment N; then --data DIR/datasets.yaml --extra augmented"
            raise UsageError("--augment requires a CORPUS", hint)
        call.refuse(CORPUS, "requires a CORPUS", "the datasets of --data are embedded and split already")
    return corpus, data


def _embed_batch(call: Call) -> int | None:
    batch: int | None = call.params_of("embed")["batch_size"]
    return batch


def _of_corpus(
    corpus: Corpus, output: Path, embeddings: Path | None, encoder_name: str, recipe: recipes.Recipe, call: Call
) -> TrainingDatasets:
    from flip.cli.corpus import announce, note_blank_lines
    from flip.training.run_folder import DATA as FOLDER

    if embeddings is not None:
        return corpus.with_vectors(embeddings, output / FOLDER, call)
    encoder = loading.load_encoder(encoder_name, call)
    strings = corpus.generated(encoder)
    parts = corpus.read(corpus.crops(encoder, recipe), strings, call)
    if strings:
        announce(parts, encoder, call)
    datasets = corpus.embedded(parts, output / FOLDER, encoder, corpus.word_chooser(call), call, strings)
    note_blank_lines(parts, call)
    if not corpus.vocab and (advice := datasets.vocabulary.unsegmented):
        call.out.note(advice)
    return datasets


def _of_manifest(data: Path, output: Path, call: Call) -> TrainingDatasets:
    from flip.data.published import load_vocabulary
    from flip.training.datasets import of_manifest

    own = call.ctx.params
    if own["vocab"] is None:
        raise UsageError("no vocabulary", "make one with `flip vocab` and name it with --vocab")
    return of_manifest(
        data, output, load_vocabulary(own["vocab"]), train=own["train"], extra=own["extra"], dev=own["dev"],
        test=call.params_of("eval")["dataset"], dev_manifest=own["dev_data"], text=own["text"],
        embedding_pair=own["embedding_pair"], sim_threshold=own["sim_threshold"], alpha=own["alpha"],
    )  # fmt: skip


def _train(
    prepare: Callable[[], TrainingDatasets],
    output: Path,
    configure: Callable[[int | None], recipes.TrainConfig],
    call: Call,
) -> None:
    from flip.training.distributed import joined, own_device
    from flip.training.pipeline import train as training

    own, out = call.ctx.params, call.out
    metric = configure(None).dev_metric  # ingredients that do not go together are refused before anything is prepared
    device = own_device(call.runtime.device)
    before = _started(output)
    hint = partial(_how_to_go_on, output, before, call)
    with interruptible(hint), joined(device) as group, ExitStack() as shown:
        bar = cache(lambda: shown.enter_context(out.progress("training")))  # after the bars of the preparation
        epochs = training(
            prepare, output, configure, device=device, group=group, resume=own["resume"], force=own["force"],
            dtype=own["dtype"], text_license=own["text_license"],
            on_step=(lambda done, total: bar()(done, total)) if group.is_first else None,
        )  # fmt: skip
        while True:
            try:
                epoch = next(epochs)
            except StopIteration as end:
                trained: Trained | None = end.value
                break
            score = "" if epoch.score is None else f"  dev {metric} {epoch.score:.4f}"
            out.status(f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.3f}{score}  {epoch.seconds:.1f} s")
    if trained:
        _report(trained, output, call)


def _report(trained: Trained, folder: Path, call: Call) -> None:
    why = f"{trained.config.last_check} checks on dev without a gain" if trained.gainless else "all passes done"
    words = len(trained.checkpoint.vocabulary)
    measured = trained.checkpoint.config.metrics[trained.part]
    accuracy, known, frequent = trained.accuracy, measured["known_words"], measured["frequent_words"]
    error = 1.96 * accuracy["bias"]["se"]
    if trained.checkpoint.unsure:
        call.out.note(f"{trained.checkpoint.unsure}; give more sentences, or --split 0.5,0.25,0.25")
    fields = {
        "run": str(folder),
        "words": words,
        "epochs": trained.epochs,
        "kept_epoch": trained.kept,
        "stopped": "patience" if trained.gainless else "epochs",
        "seconds": round(trained.seconds, 1),
        "device": trained.device,
        "dataset": trained.part,
        "accuracy": accuracy,
        "most_frequent_words": frequent["mean"],
        "known_words": known["mean"],
        "sentences": known["n"],
    }
    call.out.result(
        fields,
        f"{folder}: {words} words, {trained.epochs} epochs in {trained.seconds:.0f} s on {trained.device}",
        f"kept epoch {trained.kept}, the best on dev; stopped: {why}",
        f"{trained.part} accuracy {100 * accuracy['bias']['mean']:.1f} ± {100 * error:.1f} with b, "
        f"{100 * accuracy['no_bias']['mean']:.1f} without, {100 * frequent['mean']:.1f} by the most frequent words",
        f"over {accuracy['bias']['n']} of {known['n']} sentences, those with a known word; "
        f"{100 * known['mean']:.0f}% of the words of a sentence are known",
        f'try: flip explain --model {folder} "Any sentence."',
    )


def _started(folder: Path) -> int | None:
    """Return when the run in a folder began, in nanoseconds; None if there is none."""
    from flip.training.run_folder import STARTED

    path = folder / STARTED
    return path.stat().st_mtime_ns if path.is_file() else None


def _how_to_go_on(output: Path, before: int | None, call: Call) -> str:
    own, again = call.ctx.params, "give the same command again"
    if not own["resume"] and _started(output) != before:  # training has begun
        again += " with --resume in place of --force" if own["force"] else " with --resume"
    return f"complete epochs and embeddings are kept in {output}; to go on, {again}"
