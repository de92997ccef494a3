"""`flip store sparse`."""

import typer

from flip.cli import loading, options, output
from flip.cli.call import begin, require_outputs

EPILOG = """\b
Examples:
  flip store sparse store.parquet -o sparse.parquet
  flip store sparse u.npy -o sparse.jsonl
"""


@output.guarded
def sparse(
    ctx: typer.Context,
    store: options.Store,
    output: options.StoreOutput,
    model: options.Model = None,
    column: options.Column = None,
    id_column: options.IdColumn = None,
    table: options.Table = None,
    scale: options.Scale = None,
    offset: options.Offset = None,
    ranges: options.Ranges = None,
    normalize: options.Normalize = False,
    recentre: options.Recentre = False,
    encoder: options.OfModel = None,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write each row as indices and weights of words, for the sparse index of a vector store."""
    from flip.stores.rows import require_writable
    from flip.stores.words import write_sparse

    call = begin(ctx)
    require_outputs(call, {"output": output}, [store, model])
    require_writable(output)
    checkpoint = loading.load_checkpoint(model, call)
    columns = loading.chosen_columns(column, id_column, None, table, scale, offset, ranges)
    opened = loading.opened_store(store, columns, checkpoint, call, encoder, normalize=normalize, recentre=recentre)
    with opened as reader:
        with call.out.progress("writing") as on_rows:
            write_sparse(reader, output, on_rows)
        rows = reader.counts.rows
        fields = {"sparse": str(output), "rows": rows, "words": len(checkpoint.vocabulary)}
        call.out.result(fields, f"{output}: {rows} rows")
