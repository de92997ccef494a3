"""`flip store words`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin, require_outputs
from flip.cli.output import interruptible
from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.stores.rows import StoreReader
    from flip.stores.words import WordColumns

Engine = Literal["process", "ray"]

EPILOG = """\b
Examples:
  flip store words store.parquet -o words.parquet
  flip store words app.db --table docs --column vector -o words.jsonl --topn 5
  flip store words data -o words --engine ray
  flip store words s3://bucket/vectors -o s3://bucket/words --encoder minilm
"""


@output.guarded
def words(
    ctx: typer.Context,
    store: options.Store,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="OUT", rich_help_panel=options.OUTPUT,
            help="File to write: .parquet, .arrow or .jsonl; for a folder or a pattern, a folder. Or a URI.",
        ),
    ],
    engine: Annotated[
        Engine,
        typer.Option(
            rich_help_panel=options.DEVICE,
            help="One process here; or Ray, a file on each core, where RAY_ADDRESS tells, else here.",
        ),
    ] = "process",
    model: options.Model = None,
    topn: options.Topn = 10,
    bias_weight: options.BiasWeight = None,
    min_probability: options.MinProbability = None,
    column: options.Column = None,
    text_column: options.TextColumn = None,
    id_column: options.IdColumn = None,
    table: options.Table = None,
    scale: options.Scale = None,
    offset: options.Offset = None,
    ranges: options.Ranges = None,
    normalize: options.Normalize = False,
    recentre: options.Recentre = False,
    sentences: options.Sentences = None,
    encoder: options.OfModel = None,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Write a store with the words of every row beside its own columns."""
    from flip.inputs.stores.places import is_uri, names_many, place_of
    from flip.stores.rows import require_writable
    from flip.stores.words import WordColumns

    call = begin(ctx)
    local = None if is_uri(output) else Path(output)
    require_outputs(call, {"output": local}, [store, sentences, model])
    if local is None and call.of_file("output") and not call.trusts:
        raise UsageError(f"flip.toml names {output} as output, on another machine", f"if you mean it: -o {output}")
    if not names_many(store):
        require_writable(output)
    if engine == "ray":  # its workers have working directories of their own
        store, output = (name if is_uri(name) else str(Path(name).absolute()) for name in (store, output))
    checkpoint = loading.load_checkpoint(model, call)
    columns = loading.chosen_columns(column, id_column, text_column, table, scale, offset, ranges)
    opened = loading.opened_store(
        store, columns, checkpoint, call, encoder, sentences, normalize=normalize, recentre=recentre
    )
    with opened as reader:
        least = checkpoint.likely if min_probability == "auto" else float(min_probability or 0)
        added = WordColumns(checkpoint, topn, bias_weight, least if reader.vouched else 0.0, reader.vouched)
        if reader.store.files:
            _write_folder(store, output, reader, added, engine, call)
            return
        if engine == "ray":
            raise UsageError(f"{store} is one file, and Ray takes a file on each core", "leave --engine out")
        require_writable(output)
        with call.out.progress("explaining") as on_rows:
            added.write(reader, place_of(output), on_rows)
        counts = reader.counts
        fields = {"output": output, "rows": counts.rows, "without_vector": counts.missing}
        call.out.result(fields, f"{output}: {counts.rows} rows")


def _write_folder(store: str, output: str, reader: StoreReader, added: WordColumns, engine: Engine, call: Call) -> None:
    """Write a file for each file of a store, but those that are there."""
    from flip.inputs.stores.places import place_of, would_find
    from flip.stores import folder

    place = place_of(output)
    written = (place.below(name).name for name in reader.store.files)
    if inside := next((name for name in written if would_find(store, name)), None):
        raise UsageError(f"{inside} would be one of the files of {store}", "name another folder: -o OUT")
    names = folder.missing(reader, added, place)
    total = len(reader.store.files)
    if kept := total - len(names):
        call.out.note(f"{kept} of {total} files are in {output} already, and are kept")
    hint = f"the files in {output} are complete; the same command goes on with the next"
    with interruptible(lambda: hint), call.out.progress("explaining") as on_rows:
        write_files = folder.write_files_on_ray if engine == "ray" else folder.write_files
        write_files(reader, added, place, names, on_rows)
    counts = reader.counts
    fields = {"output": output, "rows": counts.rows, "without_vector": counts.missing, "files": total, "kept": kept}
    call.out.result(fields, f"{output}: {len(names)} files, {counts.rows} rows")
