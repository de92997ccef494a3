"""`flip store search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin, require_outputs

if TYPE_CHECKING:
    from flip.stores.rows import StoreReader
    from flip.stores.words import SearchHit, Term

EPILOG = """\b
Examples:
  flip store search store.parquet "train, late"
  flip store search app.db "blood pressure, heart" --any --rows 50 -o hits.jsonl
"""


@output.guarded
def search(
    ctx: typer.Context,
    store: options.Store,
    words: Annotated[
        str, typer.Argument(metavar="WORDS", help="Words and phrases, separated by commas.", show_default=False)
    ],
    any_word: Annotated[
        bool, typer.Option("--any", help="Any of the words, in place of all.", rich_help_panel=options.INPUT)
    ] = False,
    rows: Annotated[int, typer.Option(min=1, help="Rows at most.", rich_help_panel=options.OUTPUT)] = 10,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", rich_help_panel=options.OUTPUT,
            help="Write the rows with all their columns: .parquet, .arrow or .jsonl.",
        ),
    ] = None,
    model: options.Model = None,
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
    """Show the rows that most probably carry all of these words."""
    from flip.stores.rows import require_writable
    from flip.stores.words import search as search_rows
    from flip.stores.words import terms_of, write_hits

    call = begin(ctx)
    require_outputs(call, {"output": output}, [store, sentences, model])
    if output is not None:
        require_writable(output)
    checkpoint = loading.load_checkpoint(model, call)
    terms = terms_of(words, checkpoint)
    columns = loading.chosen_columns(column, id_column, text_column, table, scale, offset, ranges)
    opened = loading.opened_store(
        store, columns, checkpoint, call, encoder, sentences, normalize=normalize, recentre=recentre
    )
    with opened as reader:
        with call.out.progress("searching") as on_rows:
            hits = search_rows(
                reader, terms, which="any" if any_word else "all", most=rows,
                columns=None if output is not None else reader.known_columns(), on_rows=on_rows,
            )  # fmt: skip
        if output is not None:
            write_hits(output, reader, hits)
        for hit in hits:
            _print(hit, terms, reader, call)


def _print(hit: SearchHit, terms: list[Term], reader: StoreReader, call: Call) -> None:
    from flip.inputs.stores.columns import python_value

    fields: dict[str, object] = {"row": hit.row}
    for key, name in (("id", reader.store.chosen.ids), ("text", reader.store.chosen.texts)):
        if name is not None:
            fields[key] = python_value(hit.kept, name, 0)
    if reader.store.files:
        fields["place"] = reader.store.where(hit.row)
    if reader.vouched:
        fields["probability"] = round(hit.probability, 4)
        fields["words"] = {term.text: round(p, 4) for term, p in zip(terms, hit.terms, strict=True)}
    if not call.out.human:
        call.out.record(fields)
        return
    text = " ".join(str(fields.get("text") or fields.get("id", f"row {hit.row}")).split())
    call.out.show_line((f"{hit.probability:6.3f}  " if reader.vouched else "  ") + text)
