"""`flip store drift`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin

if TYPE_CHECKING:
    from flip.stores.drift import Drift, DriftWord, Moments

EPILOG = """\b
Examples:
  flip store drift old.parquet new.parquet
  flip store drift january.npy june.npy --topn 30 --json
"""


@output.guarded
def drift(
    ctx: typer.Context,
    old: options.Store,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The store to compare with it.", show_default=False)],
    topn: options.Topn = 10,
    model: options.Model = None,
    column: options.Column = None,
    table: options.Table = None,
    scale: options.Scale = None,
    offset: options.Offset = None,
    ranges: options.Ranges = None,
    normalize: options.Normalize = False,
    encoder: options.OfModel = None,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show the words that rose and fell between two stores."""
    from flip.stores.drift import Moments
    from flip.stores.drift import drift as compare

    call = begin(ctx, stream=True)
    checkpoint = loading.load_checkpoint(model, call)
    columns = loading.chosen_columns(column, None, None, table, scale, offset, ranges)
    sides: list[tuple[str, bool, Moments]] = []
    for name in (old, new):
        with (
            loading.opened_store(name, columns, checkpoint, call, encoder, normalize=normalize) as reader,
            call.out.progress(f"reading {reader.store.name}") as on_rows,
        ):
            sides.append((reader.store.name, reader.vouched, Moments.of(reader, on_rows)))
    found = compare(sides[0][2], sides[1][2], checkpoint, topn)
    _print(found, (sides[0][0], sides[1][0]), all(known for _, known, _ in sides), call)


def _print(found: Drift, names: tuple[str, str], shares: bool, call: Call) -> None:
    out = call.out
    if not out.human:
        words = {side: [_fields(word, shares) for word in getattr(found, side)] for side in ("rose", "fell")}
        fields = asdict(found) | {"moved": round(found.moved, 4)} | words
        out.record({"old": names[0], "new": names[1]} | fields)
        return
    title = f"{names[0]}: {found.old_rows} rows; {names[1]}: {found.new_rows} rows; {found.changed} words changed"
    out.show(output.shown(title, "bold"))
    for side, sign in (("rose", "+"), ("fell", "-")):
        for word in getattr(found, side):
            interval = f"{word.difference:+.2f} ({word.low:+.2f} to {word.high:+.2f})"
            out.show(output.shown(f"  {sign} {word.surface:<20} {interval}"))
        if not getattr(found, side):
            out.show(output.shown(f"  no word {side} for certain", "dim"))


def _fields(word: DriftWord, shares: bool) -> Mapping[str, object]:
    """Return the change in log-odds; and, with `shares`, the mean probabilities."""
    fields: dict[str, Any] = {"word": word.word}
    fields |= {name: round(getattr(word, name), 3) for name in ("difference", "low", "high")}
    if shares and word.share_old is not None and word.share_new is not None:
        fields |= {"share_old": round(word.share_old, 4), "share_new": round(word.share_new, 4)}
    return fields
