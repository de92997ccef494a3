"""`flip explain` on stores of vectors: words beside every row, and what is said of many rows at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flip.cli.output import Output, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flip.cli.options import ExplainSettings, StoreSettings
    from flip.cli.settings import Settings
    from flip.inputs.stores.columns import Asked
    from flip.inputs.stores.store import Part, Store
    from flip.model.checkpoint import Checkpoint
    from flip.stores.words import Counts


def asked(own: StoreSettings, ids: str | None = None) -> Asked:
    """Which columns the settings name."""
    from flip.inputs.stores.columns import Asked

    return Asked(own.column, ids, own.text_column, own.table, own.scale)


def fetched(name: str, offline: bool, out: Output) -> str:
    """An input; one of a dataset on the hub is downloaded first."""
    if not name.startswith("hf://"):
        return name
    from flip.hub.dataset_file import dataset_file

    out.note(f"note: {name} is taken from the hub")
    return str(dataset_file(name, offline=offline))


@dataclass(frozen=True)
class With:
    """What a job works with."""

    store: Store
    checkpoint: Checkpoint
    settings: Settings
    out: Output
    least: float
    vouched: bool
    counts: Counts

    def parts(self, columns: list[str] | None, *, again: bool = False) -> Iterator[tuple[Part, Any]]:
        """The parts of the store, and which of their rows can be explained; counted where they are not read `again`."""
        from flip.inputs.prefetch import one_ahead
        from flip.stores.words import ROWS, Counts

        counts = Counts() if again else self.counts
        for part in one_ahead(self.store.parts(columns, ROWS)):
            yield part, counts.usable(part, self.checkpoint)


_JOBS = {"group_by", "clusters", "find", "sparse", "summary"}  # each excludes the others


@dataclass(frozen=True)
class Job:
    """What is asked of a store as a whole."""

    output: Path | None = None
    group_by: str | None = None
    clusters: int | None = None
    labels: Path | None = None
    find: str | None = None
    any: bool = False
    rows: int | None = None
    sparse: Path | None = None
    summary: bool = False

    @classmethod
    def of(cls, own: ExplainSettings, named: frozenset[str], out: Output, *, fits: bool, pair: bool) -> Job:
        """What the command line asks, and of what flip.toml and the environment ask, what goes with it.

        Args:
            own: the settings.
            named: those that the command line names, which win over others that they exclude.
            out: takes a note where what the others ask is left out since the input is no store.
            fits: whether the command can be of a store as a whole.
            pair: whether there is a store to compare with.
        """
        asked = {one.name: getattr(own, one.name) for one in fields(cls)}
        given = {name for name, value in asked.items() if value is not None and value is not False}
        flags, brought = given & named, given - named
        if flags & _JOBS:
            brought -= _JOBS | {"output", "labels"}
        if "output" in flags:
            brought -= {"group_by", "sparse", "summary"}
        brought -= _JOBS - {"summary"} if pair else {"summary"}
        if "find" not in flags | brought:
            brought -= {"any", "rows"}
        if not (flags | brought) & {"group_by", "clusters"}:
            brought -= {"labels"}
        if brought and not fits:
            names = ", ".join(sorted(brought))
            out.note(f"note: {names} of flip.toml or the environment: left out, since the input is not one store")
            brought = set()
        return cls(**{name: asked[name] for name in flags | brought})

    @property
    def wanted(self) -> bool:
        """Whether a job on a whole store is asked for."""
        return self.flag is not None

    @property
    def flag(self) -> str | None:
        """The first option that asks for it."""
        given = (name for name, value in vars(self).items() if value is not None and value is not False)
        return next((name.replace("_", "-") for name in given), None)

    def require_alone(self, others: dict[str, bool]) -> None:
        """Raises a UsageError where an option is given that does nothing for a store as a whole."""
        from flip.errors import UsageError

        if self.wanted and (given := [flag for flag, used in others.items() if used]):
            raise UsageError(f"{given[0]} shows single records, and this is of a store as a whole", "leave it out")

    def run(
        self,
        inputs: list[str],
        asked: Asked,
        checkpoint: Checkpoint,
        settings: Settings,
        out: Output,
        least: float,
        encoder: str | None,
        against: str | None,
        lines: str | None,
    ) -> None:
        """Does the job, and reports rows without words; ends the command where some hold NaN."""
        from flip.errors import InputError, UsageError
        from flip.inputs.sniffing import is_input_file
        from flip.inputs.stores.store import open_store
        from flip.stores.words import Counts

        if len(inputs) != 1:
            raise UsageError(f"{len(inputs)} inputs, and one store is worked on at a time", "leave the others out")
        for name in [*inputs, *([against] if against is not None else [])]:
            if not is_input_file(name):
                raise InputError(
                    f"{name}: no such file, and --{self.flag} is of a store of vectors, not of a sentence",
                    f"flip explain store.parquet --{self.flag} ...",
                )
        if self.summary != (against is not None):
            raise UsageError("--summary compares two stores", "flip explain OLD --against NEW --summary")
        self._require_sense()
        for path in (self.output, self.labels, self.sparse):
            _require_apart(path, inputs)
        if self.output is not None and self.output == self.labels:
            raise UsageError(f"-o and --labels are both {self.output}", "name another file for one of them")
        counts = Counts()
        with open_store(inputs[0], asked, beside=Path(lines) if lines else None) as store:
            _say_columns(store, out)
            known = _vouched(store, checkpoint, encoder, out)
            job = With(store, checkpoint, settings, out, least, known, counts)
            if against is not None:
                self._compare(job, against, asked, encoder)
            else:
                self._do(job)
            _report(store, counts, out)

    def _require_sense(self) -> None:
        """Raises a UsageError where the options exclude each other."""
        from flip.errors import UsageError

        if self.group_by is not None and self.clusters is not None:
            raise UsageError("--group-by has the groups that --clusters would find", "leave one of them out")
        grouped = self.group_by is not None or self.clusters is not None
        if self.labels is not None and not grouped:
            raise UsageError("--labels names groups", "add --group-by COLUMN, or --clusters K")
        if self.group_by is not None and self.output is not None:
            raise UsageError("-o has the words of rows, and --group-by those of groups", "--labels FILE writes these")
        if self.find is None and (self.any or self.rows is not None):
            raise UsageError(f"{'--any' if self.any else '--rows'} belongs to --find", '--find "train, delay"')
        if sum((grouped, self.find is not None, self.sparse is not None, self.summary)) > 1:
            raise UsageError(
                "--find, --sparse, --summary and groups are jobs of their own", "give them one after the other"
            )
        if self.summary and self.output is not None:
            raise UsageError("--summary is printed", "leave -o out")
        if self.sparse is not None and self.output is not None:
            raise UsageError("--sparse names its output itself", "leave -o out, or give two commands")

    @staticmethod
    def _compare(old: With, against: str, asked: Asked, encoder: str | None) -> None:
        from flip.cli.explain_drift import show_drift
        from flip.inputs.stores.store import open_store
        from flip.stores.words import Counts

        with open_store(against, asked) as store:
            _say_columns(store, old.out)
            known = _vouched(store, old.checkpoint, encoder, old.out)
            new = With(store, old.checkpoint, old.settings, old.out, old.least, known, Counts())
            show_drift(old, new)
            _report(store, new.counts, old.out)

    def _do(self, job: With) -> None:
        if self.group_by is not None or self.clusters is not None:
            from flip.cli.explain_groups import explain_groups

            explain_groups(job, self.group_by, self.clusters, self.labels, self.output)
        elif self.find is not None:
            from flip.cli.explain_find import find_rows

            find_rows(job, self.find, any_word=self.any, most=self.rows or 10, output=self.output)
        elif self.sparse is not None:
            from flip.cli.explain_find import write_sparse

            write_sparse(job, self.sparse)
        elif self.output is not None:
            _write_words(self.output, job)


def _write_words(path: Path, job: With) -> None:
    from flip.stores.words import WordColumns
    from flip.stores.write import writing

    own = job.settings.explain
    least = job.least if job.vouched else 0.0
    columns = WordColumns(job.checkpoint, own.topn, own.bias_weight, least, probabilities=job.vouched)
    with job.out.progress("explaining") as on_rows, writing(path, columns.schema(job.store)) as writer:
        for batch, _ in columns.batches(job.store, job.counts):
            writer.write_batch(batch)
            on_rows(job.counts.rows, job.store.rows)
    done = {"output": str(path), "rows": job.counts.rows, "without_vector": job.counts.missing}
    job.out.result(done, f"{path}: {job.counts.rows} rows")


def _say_columns(store: Store, out: Output) -> None:
    if store.note:
        out.note(f"note: {store.note}")


def _vouched(store: Store, checkpoint: Checkpoint, encoder: str | None, out: Output) -> bool:
    """Whether something says that the vectors are of the checkpoint's encoder; a note where nothing does.

    Raises:
        InputError: they are of another, or of another dimension.
    """
    from flip.cli import loading
    from flip.encoders.embedding_info import EmbeddingInfo
    from flip.encoders.identity import require_dimension, require_same_encoder
    from flip.errors import InputError

    if store.dimension is None:
        raise InputError(f"{store.name}: no column of vectors", f"it has: {', '.join(store.schema.names)}")
    require_dimension(store.dimension, checkpoint.model.dimension, store.name, checkpoint.encoder)
    made_by = EmbeddingInfo.from_dict(store.about).encoder
    require_same_encoder(made_by, checkpoint.trained_on, store.name)
    known = loading.vouched(encoder, checkpoint) or made_by.is_known or checkpoint.encoder is None
    if not known:
        out.note(
            f"note: nothing says which encoder made the vectors of {store.name}; {checkpoint.encoder} is taken on "
            f"trust, without probabilities (--encoder {checkpoint.encoder} vouches for it)"
        )
    return known


def _require_apart(path: Path | None, inputs: list[str]) -> None:
    """Before anything is read: an output must have an ending that is known, and not be an input."""
    from flip.files import require_apart
    from flip.stores.write import require_writable

    if path is None:
        return
    require_writable(path)
    require_apart(path, inputs)


def _report(store: Store, counts: Counts, out: Output) -> None:
    """Reports how many rows have no words, and why."""
    if counts.missing:
        out.note(f"note: {counts.missing} of {counts.rows} rows have no vector, and no words")
    if counts.far:
        out.note(
            f"note: {counts.far} of {counts.rows} vectors lie far outside those of the training: another encoder, "
            "scale or normalisation?"
        )
    if counts.bad:
        fail(
            f"{counts.bad} of {counts.rows} vectors hold NaN or infinity, and have no words; first: {store.name}, "
            f"row {counts.first_bad}",
            "embed these rows again",
        )
        raise typer.Exit(3)
