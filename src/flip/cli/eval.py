"""`flip eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import options
from flip.cli.output import Output, guarded

if TYPE_CHECKING:
    from flip.config import EvalSettings

EPILOG = """\b
Examples:
  flip eval --model run
  flip eval --model run --data datasets.yaml --dataset test --metrics all --json
"""


@guarded
def evaluate(
    model: options.Model = None,
    vocab: options.ModelVocab = None,
    data: Annotated[
        Path | None, typer.Option(help="datasets.yaml.", show_default="the one the model was trained with")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Which of its datasets.", show_default="test")] = None,
    text: Annotated[str | None, typer.Option(help="Id of the text, where a dataset has several.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="accuracy and pr, separated by commas, or all.", show_default="accuracy,pr")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            help="Reference tokens: published (split on white space) or vocabulary (its tokenizer).",
            show_default="published",
        ),
    ] = None,
    topn: Annotated[
        int | None, typer.Option("--topn", "-n", help="N of precision, recall and F1.", show_default="10")
    ] = None,
    device: options.Device = None,
    seed: options.Seed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Measure how much of its sentences a model recovers, with the bias (eq. 5) and without."""
    from flip.checkpoint import find_checkpoint
    from flip.config import load_settings
    from flip.dataset import load_dataset
    from flip.device import torch_device
    from flip.encoders.base import require_dimension, require_same_encoder
    from flip.metrics import evaluate as measure
    from flip.metrics import references
    from flip.store import finite_rows

    settings = load_settings(
        "eval",
        {"device": device, "seed": seed, "offline": offline},
        {
            "model": model,
            "vocab": vocab,
            "data": data,
            "dataset": dataset,
            "text": text,
            "metrics": metrics,
            "tokens": tokens,
            "topn": topn,
        },
    )
    own = settings.eval
    chosen = _chosen(own.metrics)
    where = torch_device(settings.device)
    out = Output(as_json=as_json, quiet=quiet)
    checkpoint = options.load_checkpoint(own.model, own.vocab, settings.offline, out)
    manifest = own.data or _own_manifest(find_checkpoint(own.model), checkpoint.config)
    found = load_dataset(manifest, own.dataset)
    sentences = found.sentences(own.text)
    for file in found.embeddings:
        embeddings = file.open()
        require_dimension(embeddings.shape[1], checkpoint.model.dimension, str(file.file), checkpoint.encoder)
        require_same_encoder(file.source, checkpoint.config.get("encoder") or {}, str(file.file))
        usable = finite_rows(embeddings)
        kept = [i for i, sentence in enumerate(sentences) if sentence and usable[i]]
        if len(kept) < len(sentences):
            out.note(f"note: {file.file}: {len(sentences) - len(kept)} blank lines or rows with NaN left out")
        refs = references((sentences[i] for i in kept), checkpoint.vocabulary, own.tokens)
        rows = embeddings if len(kept) == len(sentences) else embeddings[kept]
        result = {
            "dataset": found.name,
            "embedding": file.id,
            "model": checkpoint.name,
            "n": len(kept),
            "skipped": len(sentences) - len(kept) + int((refs.words.sizes == 0).sum()),
            "device": str(where),
            "metrics": measure(checkpoint.model, rows, refs, metrics=chosen, topn=own.topn, device=str(where)),
        }
        if out.human:
            _draw(out, result, own)
        else:
            out.record(result)


def _chosen(names: str) -> list[str]:
    from flip.errors import UsageError
    from flip.metrics import METRICS

    chosen = list(METRICS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in METRICS]:
        raise UsageError(f"unknown metric {unknown[0]!r}", f"one or more of {', '.join(METRICS)}, or all")
    return chosen


def _own_manifest(folder: Path, config: dict[str, Any]) -> Path:
    from flip.errors import UsageError

    named = (config.get("data") or {}).get("manifest")
    if named is None or not (folder / named).is_file():
        raise UsageError(f"{folder} names no data to evaluate on", "add --data datasets.yaml --dataset NAME")
    return folder / named


def _draw(out: Output, result: dict[str, Any], own: EvalSettings) -> None:
    from rich.table import Table
    from rich.text import Text

    title = f"{result['model']} on {result['dataset']} / {result['embedding']}"
    out.show(Text(f"{title}: {result['n']} sentences, {result['skipped']} skipped", style="bold"))
    table = Table(box=None, padding=(0, 2))
    for column in ("metric", "with b", "without b"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, sides in result["metrics"].items():
        label = name if name == "accuracy" else f"{name} at {own.topn}"
        cells = (f"{100 * s['mean']:.2f} ± {100 * s['se']:.2f}" for s in (sides["bias"], sides["no_bias"]))
        table.add_row(Text(label), *cells)
    out.show(table)
