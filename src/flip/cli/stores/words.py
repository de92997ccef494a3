"""`flip store words`."""

import typer

from flip.cli import loading, options, output
from flip.cli.call import begin, require_outputs

EPILOG = """\b
Examples:
  flip store words store.parquet -o words.parquet
  flip store words app.db --table docs --column vector -o words.jsonl --topn 5
"""


@output.guarded
def words(
    ctx: typer.Context,
    store: options.Store,
    output: options.StoreOutput,
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
    sentences: options.Sentences = None,
    encoder: options.OfModel = None,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a store with the words of every row beside its own columns."""
    from flip.inputs.stores.columns import ColumnChoice
    from flip.inputs.stores.quantization import read_quantization
    from flip.stores.rows import require_writable, writing
    from flip.stores.words import WordColumns

    call = begin(ctx)
    require_outputs(call, {"output": output}, [store, sentences, model])
    require_writable(output)
    checkpoint = loading.load_checkpoint(model, call)
    quantization = read_quantization(scale, offset, ranges)
    columns = ColumnChoice(column, id_column, text_column, table, quantization)
    with loading.opened_store(store, columns, checkpoint, call, encoder, sentences, normalize=normalize) as reader:
        least = checkpoint.likely if min_probability == "auto" else float(min_probability or 0)
        added = WordColumns(checkpoint, topn, bias_weight, least if reader.vouched else 0.0, reader.vouched)
        with call.out.progress("explaining") as on_rows, writing(output, added.schema(reader.store)) as writer:
            for batch, _ in added.batches(reader):
                writer.write_batch(batch)
                on_rows(reader.counts.rows, reader.store.rows)
        counts = reader.counts
        fields = {"output": str(output), "rows": counts.rows, "without_vector": counts.missing}
        call.out.result(fields, f"{output}: {counts.rows} rows")
