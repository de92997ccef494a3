"""`flip embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flip.cli import options
from flip.cli.output import Output, guarded, interruptible

EPILOG = """\b
Examples:
  flip embed test.txt -o test.npy
  flip embed europarl.en europarl.de --pair --dataset data
  cat train.jsonl | flip embed - -o train.npy --dtype float16
"""


def _how_to_go_on() -> str:
    return "what is done is kept; the same command goes on where it stopped"


@guarded
def embed(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT", help="Text files or JSONL with text; `-` is standard input.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, OUT.npy.", show_default="INPUT.npy of each input"),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write train, dev and test of a corpus there, with a datasets.yaml."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="--dataset: fractions, or rest,DEV,TEST counts.", show_default="0.9,0.05,0.05"),
    ] = None,
    pair: Annotated[
        bool | None,
        typer.Option("--pair", help="--dataset: two aligned files, or one TSV with both.", show_default=False),
    ] = None,
    encoder: options.EncoderName = None,
    batch_size: Annotated[int | None, typer.Option(help="Sentences at a time.", show_default="256")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the file: auto (float32), float32 or float16.", show_default="auto")
    ] = None,
    force: options.Force = None,
    device: options.Device = None,
    seed: options.Seed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Turn sentences into embeddings, row by row.

    Writes OUT.npy, OUT.sentences.txt (the lines that were embedded; blank ones are dropped) and OUT.json. An
    interrupted run goes on where it stopped when the same command is given again.
    """
    import numpy as np

    from flip import embedding
    from flip.config import load_settings
    from flip.errors import UsageError
    from flip.records import STDIN, read_texts

    settings = load_settings(
        "embed",
        {"device": device, "seed": seed, "offline": offline, "encoder": encoder},
        {
            "inputs": inputs,
            "output": output,
            "dataset": dataset,
            "split": split,
            "pair": pair,
            "batch_size": batch_size,
            "dtype": dtype,
            "force": force,
        },
    )
    own = settings.embed
    if own.dataset is not None:
        from flip.cli.embed_dataset import embed_dataset

        with interruptible(_how_to_go_on):
            embed_dataset(settings, Output(as_json=as_json, quiet=quiet))
        return
    if own.pair:
        raise UsageError("--pair needs --dataset", "flip embed corpus.en corpus.de --pair --dataset DIR")
    if not own.inputs:
        raise UsageError("no input", "name text files, `-` for standard input, or [embed] inputs in flip.toml")
    if own.output is not None:
        jobs = {own.output.with_suffix(".npy"): own.inputs}
    elif STDIN in own.inputs:
        raise UsageError("standard input needs a name for its output", "add -o OUT.npy")
    else:
        jobs = {Path(name).with_suffix(".npy"): [name] for name in own.inputs}
    out = Output(as_json=as_json, quiet=quiet)
    model = options.load_encoder(settings.encoder, settings, out)
    for path, sources in jobs.items():
        with interruptible(_how_to_go_on), out.progress(f"embedding {path.name}") as on_rows:
            done = embedding.embed(
                read_texts(sources),
                path,
                model,
                batch_size=own.batch_size,
                dtype=np.float16 if own.dtype == "float16" else np.float32,
                force=own.force,
                on_rows=on_rows,
            )
        if not done.fresh:
            out.note(f"note: {path} is up to date")
        elif done.resumed:
            out.note(f"note: {path}: went on at row {done.resumed}")
        if done.blank:
            out.note(f"note: {path}: {done.blank} blank lines dropped")
        if done.truncated:
            out.note(f"note: {path}: {done.truncated} sentences were longer than {model.name} reads, and were cut")
        result = {
            "embeddings": str(path),
            "rows": done.rows,
            "dimension": done.dimension,
            "blank": done.blank,
            "truncated": done.truncated,
            "encoder": model.name,
            "device": model.device,
        }
        out.result(result, f"{path}: {done.rows} rows of {done.dimension}, {model.name} on {model.device}")
