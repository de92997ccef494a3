"""`flip pull`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import options, output
from flip.cli.call import begin, require_outputs
from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.hub.client import Source
    from flip.hub.pull import Listing

EPILOG = """\b
Examples:
  flip pull BUT-FIT/FLiP-en-sonar/mcv15/rank-512
  flip pull BUT-FIT/FLiP-data --dataset --include "test_*" -o data --dry-run
"""


@output.guarded
def pull(
    ctx: typer.Context,
    repo: Annotated[
        str,
        typer.Argument(
            metavar="REPO[/SUBFOLDER]", help="OWNER/NAME on the hub, and a folder in it.", show_default=False
        ),
    ],
    dataset: Annotated[
        bool, typer.Option("--dataset", help="The repository is a dataset.", rich_help_panel=options.INPUT)
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", rich_help_panel=options.INPUT,
            help="Only files whose path or name matches, such as 'test_*'; can be given several times.",
            show_default="model.safetensors, vocab.json, config.json; of a dataset everything",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, tag or commit.", show_default="the main branch", rich_help_panel=options.INPUT),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder to put the files in.", show_default="the hub's cache",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files and their sizes.", rich_help_panel=options.OUTPUT)
    ] = False,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Download a checkpoint or data from the Hugging Face hub, and print the folder for --model or --data.

    Only .safetensors, .json, .jsonl, .npy, .txt and .yaml files are taken, and each is checked against the size and
    hash that the hub lists. A dataset that comes without a datasets.yaml gets one, if its files have the published
    names (*_text_embs.npy, *_speech_embs.npy, *_sim_scores.npy, *_transcript.txt). Given again, it keeps complete
    files; one that was broken off starts again. HF_ENDPOINT, HF_HOME and HF_TOKEN are respected. The name of a bundled
    model writes that as float32, for other programs.
    """
    from flip.data.manifest import MANIFEST
    from flip.data.published import complete_manifest
    from flip.hub import pull as hub
    from flip.hub.client import Source
    from flip.model.locate import is_bundled

    call = begin(ctx)
    out = call.out
    require_outputs(call, {"output": output}, [])
    if is_bundled(repo):
        _export(repo, output, out)
        return
    source = Source.parse(repo, dataset)
    patterns = include or []
    if dry_run:
        if offline:
            raise UsageError("--dry-run asks the hub, --offline forbids it", "leave one of them out")
        _show(out, source, hub.list_files(source, revision=revision, include=patterns))
        return
    drawn = not out.quiet and sys.stderr.isatty()  # by huggingface_hub
    try:
        with nullcontext(lambda done, total: None) if drawn else out.progress(f"pulling {repo}") as on_file:
            pulled = hub.pull(
                source, revision=revision, include=patterns, output=output, offline=offline, progress=drawn,
                on_file=on_file,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "complete files are kept; the same command goes on, and starts the file that was broken off again"
        ) from None
    if "model.safetensors" in pulled.files:
        out.status(f"use it with: flip explain --model {pulled.folder if output else repo}")
    if dataset and (made := complete_manifest(pulled.folder, pulled.files, pulled.language)):
        out.status(f"wrote {pulled.folder / MANIFEST}, of the files' names: {', '.join(made)}")
    fields = {"repo": repo, "folder": str(pulled.folder), "files": pulled.files, "commit": pulled.commit}
    out.result(fields, str(pulled.folder))


def _export(name: str, folder: Path | None, out: output.Output) -> None:
    """Write the bundled model as the published programs read it: float32, in three files."""
    from flip.model.checkpoint import load_checkpoint, save_checkpoint

    if folder is None:
        raise UsageError(f"{name} comes with flip, and needs no download", f"-o FOLDER writes it as float32: -o {name}")
    save_checkpoint(folder, load_checkpoint(name))
    out.result({"repo": name, "folder": str(folder)}, str(folder))


def _show(out: output.Output, source: Source, listing: Listing) -> None:
    """Show the files and their sizes, as a table or as one JSON object."""
    if not out.human:
        files = [{"path": file.path, "size": file.size} for file in listing.files]
        out.record({"repo": source.repo, "commit": listing.commit, "files": files, "size": listing.size})
    else:
        from rich.filesize import decimal
        from rich.table import Table

        table = Table(box=None, padding=(0, 2))
        table.add_column("file")
        table.add_column("size", justify="right")
        for file in listing.files:
            table.add_row(output.shown(file.path), decimal(file.size or 0))
        table.add_row(
            output.shown(f"{len(listing.files)} files", style="bold"), output.shown(decimal(listing.size), style="bold")
        )
        out.show(table)
    if listing.left:
        out.note(f"{listing.left} other files in this folder would not be taken")
