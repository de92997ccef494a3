"""`flip compare`: encoders or models side by side, on the same sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flip.cli import measuring, options, output
from flip.cli.call import Call, begin, require_outputs
from flip.errors import UsageError

EPILOG = """\b
Examples:
  flip compare sents.txt --encoder minilm --encoder my_encoder.py:FastUSE
  flip compare --model run --model smaller --data datasets.yaml --report report.html
  flip compare --model run --splice --data datasets.yaml
  flip compare --retrieval queries.jsonl --store chunks.parquet --gold qrels.tsv --html missed.html
"""


@output.guarded
def compare(
    ctx: typer.Context,
    sentences: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SENTENCES", help="Sentences to train and measure a model of each encoder on.", show_default=False
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", rich_help_panel=options.INPUT,
            help="Encoder to train and measure a model of on SENTENCES; to be repeated.",
        ),
    ] = None,
    language: options.Language = None,
    base_url: options.BaseUrl = None,
    split: options.Split = options.SPLIT,
    augment: options.Augment = None,
    vocab: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Vocabulary, instead of one made of SENTENCES.", rich_help_panel=options.CORPUS
        ),
    ] = None,
    runs: Annotated[
        Path,
        typer.Option(
            metavar="DIR", rich_help_panel=options.CORPUS,
            help="Folder in which the runs of the encoders are kept, and found by the next command.",
        ),
    ] = Path("runs"),
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Checkpoint, as in `flip eval`; to be repeated.", rich_help_panel=options.MODEL
        ),
    ] = None,
    splice: Annotated[
        bool,
        typer.Option(
            "--splice", help="SpLiCE too, with the words of the model as concepts.", rich_help_panel=options.DATA
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="datasets.yaml that all models are measured on.", rich_help_panel=options.DATA)
    ] = None,
    dataset: measuring.Dataset = "test",
    text: options.TextId = None,
    sim_threshold: options.SimThreshold = None,
    min_tokens: measuring.MinTokens = None,
    max_tokens: measuring.MaxTokens = None,
    tokens: measuring.Tokens = "vocabulary",
    entities: measuring.EntityFile = None,
    retrieval: Annotated[
        str | None,
        typer.Option(
            metavar="QUERIES", rich_help_panel=options.RETRIEVAL,
            help="Queries with ids and texts (JSONL, TSV), to find their chunks in --store.",
        ),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(metavar="STORE", help="Chunks, one store for each --model.", rich_help_panel=options.RETRIEVAL),
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            metavar="QRELS", rich_help_panel=options.RETRIEVAL,
            help="Relevant chunks of the queries: TSV of BEIR, or of TREC.",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the vectors.", rich_help_panel=options.RETRIEVAL)
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts.", rich_help_panel=options.RETRIEVAL)
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the ids.", rich_help_panel=options.RETRIEVAL)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the queries as a page.", rich_help_panel=options.RETRIEVAL),
    ] = None,
    metrics: measuring.Metrics = measuring.METRICS,
    topn: measuring.MeasuredTopn = 10,
    details: options.Details = None,
    plot: options.Plot = None,
    report: options.Report = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", rich_help_panel=options.OUTPUT,
            help="Write DIR/ENCODER/REVISION/DATASET.json for each model, for a leaderboard.",
        ),
    ] = None,
    baseline: options.Baseline = None,
    fail_below: options.FailBelow = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Compare encoders or models on the same sentences, with intervals.

    With --encoder, a model of each encoder is trained alike, on SENTENCES or on generated strings. With --model and
    --data, trained models are measured on one dataset. The first is compared with each of the others. With --retrieval,
    --store and --gold it tells which chunks of a store queries miss, and by which words.
    """
    from flip.cli.cases import trained_encoders, trained_models
    from flip.cli.corpus import Corpus

    call = begin(ctx)
    if retrieval is not None:
        _compare_retrieval(retrieval, gold, store or [], model or [None], (column, id_column, text_column), html, call)
        return
    call.refuse(
        options.RETRIEVAL, "requires --retrieval", "--retrieval queries.jsonl --store chunks.parquet --gold qrels.tsv"
    )
    request = measuring.Request(metrics, tokens, topn, entities, details, plot, report, baseline, fail_below, results)
    lengths = (min_tokens, max_tokens)
    if call.given("model", "data", "splice") and not call.given("sentences"):
        sentences = None  # the call wins over flip.toml
    if sentences or (encoder and not call.given("model", "data", "splice")):
        sentences = sentences or []
        call.refuse(options.MODEL, "is for trained models, and --encoder trains its own", "leave SENTENCES out")
        call.refuse(options.DATA, "requires --model", "SENTENCES are split: see --split")
        request.check(call, [*sentences, vocab, *(encoder or []), *runs.glob("*")])
        require_outputs(call, {"runs": runs}, [])
        if not encoder:
            raise UsageError("SENTENCES need --encoder", "flip compare sents.txt --encoder minilm --encoder labse")
        batch = call.params_of("embed")["batch_size"]
        corpus = Corpus(sentences, split, augment, vocab=vocab, batch_size=batch)
        cases = trained_encoders(encoder, corpus, runs, lengths, call)
    else:
        call.refuse(options.CORPUS, "requires --encoder", "flip compare sents.txt --encoder A --encoder B")
        request.check(call, [data, *(model or [])])
        if not model or data is None:
            raise UsageError(
                "nothing to compare",
                "flip compare --encoder A --encoder B, with SENTENCES or without, or --model A --model B --data "
                "datasets.yaml",
            )
        cases = trained_models(list(model), data, dataset, text, sim_threshold, lengths, call, splice=splice)
        if len(cases) < 2:
            raise UsageError("one model, and nothing to compare it with", "name another --model, or add --splice")
    measuring.measure(cases, request, call, compared=True)


def _compare_retrieval(
    queries: str, gold: Path | None, stores: list[str], models: Sequence[str | None],
    columns: tuple[str | None, str | None, str | None],
    page: Path | None, call: Call,
) -> None:  # fmt: skip
    from flip.cli.retrieval import Request, compare_retrieval
    from flip.inputs.stores.columns import ColumnChoice

    hint = "--retrieval queries.jsonl --store chunks.parquet --gold qrels.tsv"
    if call.given("encoder", "sentences"):
        raise UsageError("--retrieval takes the encoder of each --model", hint)
    for panel in (options.CORPUS, options.DATA):
        call.refuse(panel, "is not for --retrieval", hint)
    if gold is None or not stores:
        raise UsageError("--retrieval requires --store and --gold", hint)
    require_outputs(call, {"html": page}, [queries, gold, *stores, *models])
    compare_retrieval(Request(queries, gold, stores, models, ColumnChoice(*columns), page), call)
