"""`flip store audit`: how well listed terms can be read from stored vectors, and the cost of hiding them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin, require_outputs
from flip.errors import FlipError, InputError

if TYPE_CHECKING:
    from flip.inputs.stores.columns import ColumnChoice
    from flip.model.checkpoint import Checkpoint
    from flip.stores.audit import AuditResult, CompressionAudit, RecallEstimate

EPILOG = """\b
Examples:
  flip store audit store.parquet terms.txt
  flip store audit store.parquet terms.txt --limit 0.5 --report audit.html
"""
CAVEAT = (
    "A term that is read here can be read by whoever has the vectors. One that is not may still be read by a stronger, "
    "nonlinear attack."
)


@output.guarded
def audit(
    ctx: typer.Context,
    store: options.Store,
    terms: Annotated[
        Path,
        typer.Argument(metavar="TERMS", help="Words, names or numbers, one a line.", show_default=False),
    ],
    limit: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="X", rich_help_panel=options.OUTPUT,
            help=f"Exit code {options.WORSE} if the recall of a term is above this for certain.",
        ),
    ] = None,
    report: options.Report = None,
    model: options.Model = None,
    column: options.Column = None,
    text_column: options.TextColumn = None,
    table: options.Table = None,
    scale: options.Scale = None,
    offset: options.Offset = None,
    ranges: options.Ranges = None,
    sentences: options.Sentences = None,
    offline: options.Offline = False,
    seed: options.Seed = 0,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Measure how well listed terms can be read from the vectors, as stored and in forms that hide more."""
    from flip.html import write_page
    from flip.inputs.records import read_lines

    call = begin(ctx)
    require_outputs(call, {"report": report}, [store, terms, sentences, model])
    listed = list(dict.fromkeys(filter(None, read_lines(terms))))
    checkpoint = loading.load_checkpoint(model, call)
    columns = loading.chosen_columns(column, None, text_column, table, scale, offset, ranges)
    found = _audit(store, loading.for_model(columns, checkpoint), sentences, checkpoint, listed, call)
    for form in found.forms:
        if call.out.human:
            draw(form, call.out)
        else:
            call.out.record({"store": found.store, "rows": found.rows, "cut": found.cut, **form.to_dict()})
    call.out.note(CAVEAT)
    if report is not None:
        write_page(report, "flip.stores", "audit", store=found.store, rows=found.rows, forms=found.forms, caveat=CAVEAT)
        call.out.status(f"wrote {report}")
    if limit is not None:
        _require_below(found, limit)


def _audit(
    name: str, columns: ColumnChoice, texts: Path | None, checkpoint: Checkpoint, terms: list[str], call: Call
) -> AuditResult:
    from flip.encoders.identity import EmbeddingInfo, require_dimension, require_same_encoder
    from flip.inputs.stores.row_records import noted_parts
    from flip.inputs.stores.store import open_store
    from flip.stores.audit import audit_store

    with open_store(loading.address_of(name, call), columns, beside=texts) as store:
        if store.note:
            call.out.note(store.note)
        if store.dimension is not None:
            require_dimension(store.dimension, checkpoint.model.dimension, store.name, checkpoint.encoder)
        require_same_encoder(EmbeddingInfo.from_dict(store.about).encoder, checkpoint.trained_on, store.name)
        ends = _ends(checkpoint, call) if noted_parts(store) is None else None
        found = audit_store(store, checkpoint, terms, call.runtime.seed, call.out.progress, ends)
    if found.cut:
        call.out.note(f"{found.cut} of {found.rows} texts are longer than the encoder read: the rest is not looked at")
    if found.left_out:
        call.out.note(f"{found.left_out} rows without text or vector, or with NaN, are left out")
    if few := found.too_few:
        call.out.note(f"too few rows have, or have not, {', '.join(few)}")
    return found


def _ends(checkpoint: Checkpoint, call: Call) -> Callable[[Sequence[str]], Sequence[int | None]] | None:
    """Return what tells how far the model's encoder reads texts; None, with a note, if it cannot be loaded."""
    from flip.encoders.base import ends_read

    try:
        name = loading.encoder_name(None, checkpoint, call)
        encoder = loading.load_encoder(name, call, checkpoint.trained_on.options)
    except FlipError as error:
        call.out.note(
            f"texts may be longer than the encoder read, so that their terms are not in the vectors: {error.message}"
        )
        return None
    return lambda texts: ends_read(encoder, texts)


def _require_below(found: AuditResult, limit: float) -> None:
    """End with the gate's exit code if a term is read with a recall above the limit for certain."""
    if len(found.too_few) == len(found.forms[0].terms):
        raise InputError(
            "no term could be measured: too few rows have one, or have it not", "--limit has nothing to compare"
        )
    over = found.above(limit)
    if over:
        worst = max(over, key=lambda one: one.strongest.recall if one.strongest else 0)
        recall = worst.strongest.recall if worst.strongest else 0
        output.fail(
            f"{len(over)} of {len(found.forms[0].terms)} terms are read with a recall above {limit:g}; most "
            f"{worst.term!r}, {recall:.2f}",
            "keep the vectors as you keep the texts, or in a form that hides more",
        )
        raise typer.Exit(options.WORSE)


def draw(form: CompressionAudit, out: output.Output) -> None:
    """Show the table of one form of the vectors."""
    from rich.table import Table

    out.show(output.shown(f"{form.form}: {form.bytes:g} bytes a vector", "bold"))
    costs = f"finds itself {100 * form.itself:.1f}%, keeps its ten neighbours {100 * form.neighbours:.1f}%"
    out.show(output.shown(costs, "dim"))
    table = Table(box=None, padding=(0, 2))
    for i, heading in enumerate(("term", "rows", "recall: model", "probe", "95% of the higher", "its precision")):
        table.add_column(heading, justify="right" if i else "left")
    for one in form.terms:
        best = one.strongest
        cells = [one.term, str(one.rows), _percent(one.model), _percent(one.probe)]
        if best is None:
            cells += ["too few rows", ""]
        else:
            cells += [f"{100 * best.low:.0f} to {100 * best.high:.0f}", f"{100 * best.precision:.0f}"]
        table.add_row(*map(output.shown, cells))
    out.show(table)


def _percent(estimate: RecallEstimate | None) -> str:
    return "" if estimate is None else f"{100 * estimate.recall:.1f}"
