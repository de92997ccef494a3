"""`flip store groups`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin, require_outputs
from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.stores.groups import Group, GroupWord
    from flip.stores.labels import Progress
    from flip.stores.rows import StoreReader

EPILOG = """\b
Examples:
  flip store groups store.parquet --by topic
  flip store groups store.parquet --clusters 20 --labels labels.parquet -o clusters.parquet
"""


@output.guarded
def groups(
    ctx: typer.Context,
    store: options.Store,
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the groups.", rich_help_panel=options.STORE)
    ] = None,
    clusters: Annotated[
        int | None, typer.Option(min=2, metavar="K", help="Find K groups instead.", rich_help_panel=options.STORE)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write x, y and words of each group, for an atlas.", rich_help_panel=options.OUTPUT
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", rich_help_panel=options.OUTPUT,
            help="With --clusters, write the store with the cluster of every row: .parquet, .arrow or .jsonl.",
        ),
    ] = None,
    topn: options.Topn = 10,
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
    seed: options.Seed = 0,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Show the words that set each group of rows apart from the rest."""
    from flip.stores.rows import require_writable

    call = begin(ctx)
    by, clusters = (
        (None if call.given("clusters") and not call.given("by") else by),
        (None if call.given("by") and not call.given("clusters") else clusters),
    )
    if (by is None) == (clusters is None):
        raise UsageError("groups are those of a column, or clusters", "--by COLUMN, or --clusters K")
    if by is not None and call.given("output"):
        raise UsageError("-o writes the cluster of every row, and --by has no clusters", "--labels FILE writes groups")
    require_outputs(call, {"labels": labels, "output": output if clusters else None}, [store, sentences, model])
    for path in (labels, output):
        if path is not None:
            require_writable(path)
    checkpoint = loading.load_checkpoint(model, call)
    columns = loading.chosen_columns(column, id_column, text_column, table, scale, offset, ranges)
    opened = loading.opened_store(
        store, columns, checkpoint, call, encoder, sentences, normalize=normalize, recentre=recentre
    )
    with opened as reader:
        found = _group(reader, call, by, clusters, topn, labels, output if clusters else None)
        for group in found:
            _print(group, reader, call, by or "cluster")


def _group(
    reader: StoreReader,
    call: Call,
    by: str | None,
    clusters: int | None,
    topn: int,
    labels_file: Path | None,
    output: Path | None,
) -> list[Group]:
    from flip.stores import labels

    if output is not None:
        labels.cluster_schema(reader)  # a column that is there already is reported before the work
    with ExitStack() as bars:

        def bar(name: str) -> Progress:
            bars.close()
            return bars.enter_context(call.out.progress(name))

        if by is not None:
            labelling = labels.by_column(reader, by)
        else:
            labelling = labels.by_cluster(reader, clusters or 0, call.runtime.seed, bar("clustering"))
        found, places = labels.group_words(reader, labelling, by, topn, bar)
    counts = reader.counts
    if unlabelled := counts.rows - counts.missing - counts.bad - sum(group.rows for group in found):
        call.out.note(f"{unlabelled} rows have no {by!r}, and belong to no group")
    if small := sum(not group.words for group in found):
        call.out.note(f"{small} of {len(found)} groups have no words that part them from the rest for certain")
    if labels_file is not None:
        axes = labels.axes_of(reader)
        position = f"the means of {axes[0]} and {axes[1]}" if axes else "principal components"
        call.out.note(f"{labels_file}: x and y are {position}")
        labels.write_labels(labels_file, reader, found, places)
    if output is not None:
        labels.write_clusters(output, reader, labelling, found)
    return found


def _print(group: Group, reader: StoreReader, call: Call, name: str) -> None:
    if not call.out.human:
        words = [_fields(word, reader.has_probabilities) for word in group.words]
        call.out.record({name: group.label, "rows": group.rows, "words": words, "central": group.central})
        return
    call.out.show(output.shown(f"{group.label}: {group.rows} rows", "bold"))
    call.out.show(output.shown("  " + (", ".join(word.surface for word in group.words) or "no words of its own")))
    for row in group.central:
        text = " ".join(str(row.get("text", row.get("id", f"row {row['row']}"))).split())
        call.out.show_line(f"  · {text}", "dim")


def _fields(word: GroupWord, shares: bool) -> Mapping[str, object]:
    """Return difference, low and high in log-odds; and, with `shares`, mean probabilities in the group and the rest."""
    fields: dict[str, Any] = {"word": word.word}
    fields |= {name: round(getattr(word, name), 3) for name in ("difference", "low", "high")}
    if shares:
        fields |= {"share": round(word.share, 4), "share_rest": round(word.share_rest, 4)}
    return fields
