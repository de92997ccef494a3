"""Group the rows of a store, by a column or by clustering, and write their labels as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from flip.errors import InputError, UnavailableError
from flip.inputs.stores.columns import arrow
from flip.stores.groups import Group, GroupWords, Label
from flip.stores.rows import StoreReader, writing

if TYPE_CHECKING:
    from pyarrow import Schema

    from flip.arrays import Bools, Floats, Floats32, Ints
    from flip.inputs.stores.store import Part

SAMPLE = 50_000  # rows to find the centres on

# Maps a part, and which of its rows can be explained, to the label of each row; None if it has none.
Labelling: TypeAlias = "Callable[[Part, Bools], list[Label]]"
Progress: TypeAlias = Callable[[int, int | None], None]

CLUSTER, CLUSTER_WORDS = "cluster", "cluster_words"
_RECORD = ("rows", "words", "central")  # fields of a group's record beside its label
_LABEL_WORDS = 3
_AXES = (("x", "y"), ("projection_x", "projection_y"))


class _Model(Protocol):
    """A model of scikit-learn that has been fitted."""

    def predict(self, vectors: Floats32) -> Ints: ...


@dataclass(frozen=True)
class Clusters:
    """K centres."""

    _model: _Model

    def of(self, vectors: Floats) -> list[int]:
        """Return the nearest centre of each vector, from 0."""
        return list(map(int, self._model.predict(np.ascontiguousarray(vectors, np.float32)))) if len(vectors) else []


def find_clusters(batches: Iterable[Floats], k: int, seed: int = 0) -> Clusters:
    """Find K centres on a random sample of at most 50,000 rows, so that the order of the rows does not matter.

    Args:
        batches: of finite vectors (n, d).
        k: the number of centres.
        seed: of the sample and of the first centres.

    Raises:
        UnavailableError: scikit-learn is not installed.
        InputError: there are fewer than K rows.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
    except ImportError as error:
        raise UnavailableError("--clusters needs scikit-learn", "pip install 'flip-interpret[stores]'") from error
    rng = np.random.default_rng(seed)
    kept: Floats | None = None
    keys = np.empty(0)
    for batch in batches:  # rows with the largest random keys are a sample of all
        both = batch if kept is None else np.concatenate([kept, batch])
        keys = np.concatenate([keys, rng.random(len(batch))])
        if len(keys) > SAMPLE:
            best = np.sort(np.argpartition(-keys, SAMPLE)[:SAMPLE])
            both, keys = both[best], keys[best]
        kept = both
    if kept is None or len(kept) < k:
        raise InputError(f"{0 if kept is None else len(kept)} vectors for {k} clusters", "ask for fewer: --clusters K")
    model = MiniBatchKMeans(n_clusters=k, random_state=seed, n_init=3, batch_size=4096)
    return Clusters(model.fit(np.ascontiguousarray(kept, np.float32)))


def label_of(group: Group) -> str:
    """Return a group's first words, as people write them."""
    return ", ".join(word.surface for word in group.words[:_LABEL_WORDS])


def by_column(reader: StoreReader, column: str) -> Labelling:
    """Return a labelling of the rows by the values of a column.

    Raises:
        InputError: there is no such column, its values are not single ones, or a group's record would have two fields
            of its name.
    """
    store = reader.store
    if column not in store.schema.names:
        raise InputError(f"{store.name}: no column {column!r}", f"it has: {', '.join(store.schema.names)}")
    kind = store.schema.field(column).type
    if arrow().types.is_nested(kind):
        raise InputError(f"{store.name}: column {column!r} is {kind}", "group by a column of single values")
    if column in _RECORD:
        raise InputError(f"{store.name}: the record of a group has a field {column!r} of its own", "rename the column")
    return lambda part, usable: [_label(value) for value in part.column(column)]


def by_cluster(reader: StoreReader, k: int, seed: int, on_rows: Progress) -> Labelling:
    """Find K groups, see `flip.stores.labels.find_clusters`; return a labelling of the rows by their numbers."""

    def batches() -> Iterator[Floats32]:
        for part, usable in reader.parts([], again=True):
            yield part.vectors[usable]
            on_rows(part.first + len(part.vectors), reader.store.rows)

    clusters = find_clusters(batches(), k, seed)

    def labels(part: Part, usable: Bools) -> list[Label]:
        found = iter(clusters.of(part.vectors[usable]))
        return [next(found) if one else None for one in usable]

    return labels


def group_words(
    reader: StoreReader, labelling: Labelling, column: str | None, topn: int, on_rows: Callable[[str], Progress]
) -> tuple[list[Group], dict[Label, tuple[float, float]]]:
    """Return the groups with their words, and the mean of each group in a projection that the store has.

    Args:
        reader: the store and its model.
        labelling: see above.
        column: the one that it reads, if any.
        topn: words of a group at most.
        on_rows: called with the name of a pass; returns a callback for the rows done and their number.
    """
    words = GroupWords(reader.checkpoint, topn)
    read = [column] if column is not None else []
    update = on_rows("counting")
    for part, usable in reader.parts(read):
        words.count(part.vectors, _only(labelling(part, usable), usable))
        update(reader.counts.rows, reader.store.rows)
    words.choose()
    axes = axes_of(reader)
    sums: dict[Label, tuple[float, float, int]] = {}
    update = on_rows("measuring")
    for part, usable in reader.parts([*read, *reader.known_columns(), *axes], again=True):
        given = _only(labelling(part, usable), usable)
        words.measure(part.vectors, given, lambda i, part=part: reader.description(part, i))  # type: ignore[misc]
        for label, *xy in zip(given, *(part.column(name) for name in axes), strict=True) if axes else ():
            if label is not None and None not in xy:
                x, y, n = sums.get(label, (0.0, 0.0, 0))
                sums[label] = (x + xy[0], y + xy[1], n + 1)
        update(part.first + len(part.vectors), reader.store.rows)
    return words.result(), {label: (x / n, y / n) for label, (x, y, n) in sums.items()}


def axes_of(reader: StoreReader) -> tuple[str, ...]:
    """Return the columns of a projection that the store has, such as x and y; empty if it has none."""
    return next((pair for pair in _AXES if set(pair) <= set(reader.store.schema.names)), ())


def write_labels(
    path: Path, reader: StoreReader, groups: Sequence[Group], places: Mapping[Label, tuple[float, float]]
) -> None:
    """Write x, y and text of each group, as label layers of atlases need them.

    x and y are the means of the store's projection, or else the group's mean in its two principal components.
    """
    pa = arrow()
    projected = bool(axes_of(reader))
    rows = []
    for group in groups:
        x, y = places.get(group.label, (None, None)) if projected else group.position
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


def cluster_schema(reader: StoreReader) -> Schema:
    """Return the schema of the store with the columns of `write_clusters`.

    Raises:
        InputError: it has such a column already.
    """
    pa = arrow()
    return reader.store.extended(pa.field(CLUSTER, pa.int32()), pa.field(CLUSTER_WORDS, pa.string()))


def write_clusters(path: Path, reader: StoreReader, labelling: Labelling, groups: Sequence[Group]) -> None:
    """Write the store with the cluster of every row, and the cluster's first words."""
    pa, schema = arrow(), cluster_schema(reader)
    names = {group.label: label_of(group) for group in groups}
    with writing(path, schema) as writer:
        for part, usable in reader.parts(None, again=True):
            labels = labelling(part, usable)
            words = [None if label is None else names[label] for label in labels]
            columns = [*part.table.columns, pa.array(labels, pa.int32()), pa.array(words, pa.string())]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _label(value: object) -> Label:
    """Return a value as JSON can hold it; NaN, which is not the same as itself, is not a label."""
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float) else str(value)


def _only(labels: list[Label], usable: Bools) -> list[Label]:
    return [label if one else None for label, one in zip(labels, usable, strict=True)]
