"""`flip eval`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flip.cli import measuring, options, output
from flip.cli.call import Call, begin

EPILOG = """\b
Examples:
  flip eval --model run
  flip eval --model run --data datasets.yaml --dataset test --metrics all --json
  flip eval --model run --metrics all --report report.html
"""


@output.guarded
def evaluate(
    ctx: typer.Context,
    model: options.Model = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="datasets.yaml.", show_default="the one the model was trained with", rich_help_panel=options.DATA
        ),
    ] = None,
    dataset: measuring.Dataset = "test",
    text: options.TextId = None,
    sim_threshold: options.SimThreshold = None,
    min_tokens: measuring.MinTokens = None,
    max_tokens: measuring.MaxTokens = None,
    tokens: measuring.Tokens = "vocabulary",
    entities: measuring.EntityFile = None,
    metrics: measuring.Metrics = measuring.METRICS,
    topn: measuring.MeasuredTopn = 10,
    details: options.Details = None,
    plot: options.Plot = None,
    report: options.Report = None,
    recentre: Annotated[
        bool,
        typer.Option(
            "--recentre", rich_help_panel=options.DATA,
            help="Move the embeddings to the mean of the training: for another language, domain or version.",
        ),
    ] = False,
    baseline: options.Baseline = None,
    fail_below: options.FailBelow = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Measure how much of its sentences a model recovers, with the bias (eq. 5) and without."""
    from flip.cli.cases import trained_models

    call = begin(ctx)
    request = measuring.Request(metrics, tokens, topn, entities, details, plot, report, baseline, fail_below)
    request.check(call, [data, model])
    cases = trained_models([model], data, dataset, text, sim_threshold, (min_tokens, max_tokens), call)
    if recentre:
        cases = [_recentred(case, call) for case in cases]
    measuring.measure(cases, request, call, compared=False)


def _recentred(case: measuring.Case, call: Call) -> measuring.Case:
    """Return the case with its embeddings at the mean of the training; report by how much they were moved."""
    import numpy as np

    from flip.model.recentring import Recentring, blocks

    views, about = {}, dict(case.about)
    for name, view in case.data.embeddings.items():
        moved = Recentring.of(blocks(view), case.checkpoint)
        call.out.note(f"{name}: {moved.note}")
        views[name] = moved(np.asarray(view[:]))
        about[name] = {**about.get(name, {}), "recentred": {"shift": moved.shift}}
    return replace(case, data=replace(case.data, embeddings=views), about=about)
