"""`flip pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flip.cli import options
from flip.cli.output import Output, guarded

EPILOG = """\b
Examples:
  flip pull BUT-FIT/FLiP-en-sonar/mcv15/rank-512
  flip pull BUT-FIT/FLiP-data --dataset -o data
"""


@guarded
def pull(
    repo: Annotated[str, typer.Argument(metavar="REPO[/SUBFOLDER]", help="OWNER/NAME on the hub, and a folder in it.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit.", show_default="the main branch")
    ] = None,
    dataset: Annotated[bool, typer.Option("--dataset", help="The repository is a dataset.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to put the files in.", show_default="the hub's cache")
    ] = None,
    device: options.Device = None,
    seed: options.Seed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Download a checkpoint or data from the Hugging Face hub, and print the folder for --model.

    Only .safetensors, .json, .npy, .txt and .yaml files are taken. HF_ENDPOINT, HF_HOME and HF_TOKEN are respected.
    """
    import os

    out = Output(as_json=as_json, quiet=quiet)
    if quiet or not os.isatty(2):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from flip import hub
    from flip.config import load_settings

    settings = load_settings(
        "pull",
        {"device": device, "seed": seed, "offline": offline},
        {"revision": revision, "output": output},
    )
    own = settings.pull
    folder = hub.pull(repo, revision=own.revision, dataset=dataset, output=own.output, offline=settings.offline)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if not dataset:
        out.note(f"use it with: flip explain --model {folder}")
    out.result({"repo": repo, "folder": str(folder), "files": files}, str(folder))
