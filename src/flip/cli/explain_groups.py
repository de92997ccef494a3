"""`flip explain STORE --group-by COLUMN`, or `--clusters K`: the words that part each group from the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.cli.output import shown

if TYPE_CHECKING:
    from flip.cli.explain_store import With
    from flip.stores.groups import Group

    # The label of each row of a part, and the part's vectors that can be explained; None where a row has no label.
    Labels = Callable[[Any, Any], list[Any]]

_CLUSTER, _WORDS = "cluster", "cluster_words"
_LABEL_WORDS = 3
_AXES = (("x", "y"), ("projection_x", "projection_y"))


def explain_groups(
    job: With, column: str | None, clusters: int | None, labels: Path | None, output: Path | None
) -> None:
    """Prints one record for each group; writes a table of labels, and the store with the cluster of every row."""
    from flip.stores.groups import GroupWords

    schema = _with_clusters(job) if output is not None else None
    read = [column] if column is not None else []
    labelled = _by_column(job, column) if column is not None else _by_cluster(job, clusters or 0)
    words = GroupWords(job.checkpoint, job.settings.explain.topn)
    with job.out.progress("counting") as on_rows:
        for part, usable in job.parts(read):
            words.count(part.vectors, _only(labelled(part, usable), usable))
            on_rows(job.counts.rows, job.store.rows)
    words.choose()
    axes = _axes(job)
    chosen = job.store.chosen
    kept = [name for name in (*read, chosen.ids, chosen.texts) if name is not None]
    places: dict[Any, Any] = {}
    with job.out.progress("measuring") as on_rows:
        for part, usable in job.parts([*kept, *axes], again=True):
            given = _only(labelled(part, usable), usable)
            words.measure(part.vectors, given, _describing(part, chosen.ids, chosen.texts))
            _add_places(places, part, given, axes)
            on_rows(part.first + len(part.vectors), job.store.rows)
    groups = words.result()
    if unlabelled := job.counts.rows - job.counts.missing - job.counts.bad - sum(group.rows for group in groups):
        job.out.note(f"note: {unlabelled} rows have no {column!r}, and belong to no group")
    if small := sum(not group.words for group in groups):
        job.out.note(f"note: {small} of {len(groups)} groups have no words that part them from the rest for certain")
    if labels is not None:
        _write_labels(labels, job, groups, places, axes)
    if output is not None:
        _write_clusters(output, schema, job, labelled, {group.label: label_of(group) for group in groups})
    _show(job, groups, column or _CLUSTER)


def label_of(group: Group) -> str:
    """A group's first words, as people write them."""
    return ", ".join(word.surface for word in group.words[:_LABEL_WORDS])


def _by_column(job: With, column: str) -> Labels:
    from flip.errors import InputError
    from flip.inputs.stores.columns import arrow

    if column not in job.store.schema.names:
        raise InputError(f"{job.store.name}: no column {column!r}", f"it has: {', '.join(job.store.schema.names)}")
    kind = job.store.schema.field(column).type
    if arrow().types.is_nested(kind):
        raise InputError(f"{job.store.name}: column {column!r} is {kind}", "group by a column of single values")
    return lambda part, usable: [_label(value) for value in part.column(column)]


def _label(value: Any) -> Any:
    """What JSON can hold; NaN, which is not the same as itself, is no label."""
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float) else str(value)


def _by_cluster(job: With, k: int) -> Labels:
    from flip.stores.clusters import find_clusters

    with job.out.progress("clustering") as on_rows:

        def batches() -> Iterator[Any]:
            for part, usable in job.parts([], again=True):
                yield part.vectors[usable]
                on_rows(part.first + len(part.vectors), job.store.rows)

        clusters = find_clusters(batches(), k, job.settings.seed)

    def labels(part: Any, usable: Any) -> list[Any]:
        found = iter(clusters.of(part.vectors[usable]))
        return [next(found) if one else None for one in usable]

    return labels


def _only(labels: list[Any], usable: Any) -> list[Any]:
    return [label if one else None for label, one in zip(labels, usable, strict=True)]


def _describing(part: Any, ids: str | None, texts: str | None) -> Callable[[int], dict[str, Any]]:
    def describe(i: int) -> dict[str, Any]:
        fields = {"row": part.first + i}
        for key, name in (("id", ids), ("text", texts)):
            if name is not None and (value := part.table.column(name)[i].as_py()) is not None:
                fields[key] = value
        return fields

    return describe


def _axes(job: With) -> tuple[str, ...]:
    """The columns of a projection that is in the store already."""
    return next((pair for pair in _AXES if set(pair) <= set(job.store.schema.names)), ())


def _add_places(places: dict[Any, Any], part: Any, labels: list[Any], axes: tuple[str, ...]) -> None:
    """Adds up the projection of each group, and counts the rows that have one."""
    if not axes:
        return
    for label, *xy in zip(labels, *(part.column(name) for name in axes), strict=True):
        if label is not None and None not in xy:
            x, y, n = places.get(label, (0.0, 0.0, 0))
            places[label] = (x + xy[0], y + xy[1], n + 1)


def _write_labels(path: Path, job: With, groups: list[Group], places: dict[Any, Any], axes: tuple[str, ...]) -> None:
    """x, y and text of each group, as the label layer of an atlas takes them."""
    from flip.inputs.stores.columns import arrow
    from flip.stores.write import writing

    pa = arrow()
    job.out.note(
        f"note: {path}: x and y are {f'the means of {axes[0]} and {axes[1]}' if axes else 'principal components'}"
    )
    rows = []
    for group in groups:
        x, y = group.position
        if axes:
            sx, sy, n = places.get(group.label, (0.0, 0.0, 0))
            x, y = (sx / n, sy / n) if n else (None, None)  # type: ignore[assignment]
        label = group.label if isinstance(group.label, int | str) else str(group.label)
        words = [word.word for word in group.words]
        rows.append({"x": x, "y": y, "text": label_of(group), "group": str(label), "rows": group.rows, "words": words})
    schema = pa.schema(
        [
            ("x", pa.float64()), ("y", pa.float64()), ("text", pa.string()), ("group", pa.string()),
            ("rows", pa.int64()), ("words", pa.list_(pa.string())),
        ]
    )  # fmt: skip
    with writing(path, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def _with_clusters(job: With) -> Any:
    from flip.inputs.stores.columns import arrow

    return job.store.extended(arrow().field(_CLUSTER, arrow().int32()), arrow().field(_WORDS, arrow().string()))


def _write_clusters(path: Path, schema: Any, job: With, labelled: Labels, names: dict[Any, str]) -> None:
    """The store with the cluster of every row, and its first words."""
    from flip.inputs.stores.columns import arrow
    from flip.stores.write import writing

    pa = arrow()
    with writing(path, schema) as writer:
        for part, usable in job.parts(None, again=True):
            labels = labelled(part, usable)
            said = [None if label is None else names[label] for label in labels]
            columns = [*part.table.columns, pa.array(labels, pa.int32()), pa.array(said, pa.string())]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _show(job: With, groups: list[Group], name: str) -> None:
    for group in groups:
        fields = {
            name: group.label,
            "rows": group.rows,
            "words": [_fields(word, job.vouched and job.checkpoint.calibrated) for word in group.words],
            "central": group.central,
        }
        if not job.out.human:
            job.out.record(fields)
            continue
        job.out.show(shown(f"{group.label}: {group.rows} rows", "bold"))
        job.out.show(shown("  " + (", ".join(word.surface for word in group.words) or "no words of its own")))
        for row in group.central:
            job.out.show(
                shown("  · " + " ".join(str(row.get("text", row.get("id", f"row {row['row']}"))).split()), "dim")
            )


def _fields(word: Any, shares: bool) -> dict[str, Any]:
    """difference, low and high in log-odds; the mean probability in the group and in the rest where it is known."""
    fields = {"word": word.word} | {name: round(getattr(word, name), 3) for name in ("difference", "low", "high")}
    if shares:
        fields |= {"share": round(word.share, 4), "share_rest": round(word.share_rest, 4)}
    return fields
