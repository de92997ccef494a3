"""`flip eval`."""

from pathlib import Path
from typing import Annotated

import typer

from flip.cli import measuring, options, output
from flip.cli.call import begin

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
    measuring.measure(cases, request, call, compared=False)
