"""A store and its model, opened for a command; and the report on rows that have no words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flip.cli import loading
from flip.cli.output import fail
from flip.errors import InputError

if TYPE_CHECKING:
    from flip.cli.call import Call
    from flip.inputs.stores.columns import ColumnChoice
    from flip.inputs.stores.store import Store
    from flip.model.checkpoint import Checkpoint
    from flip.stores.reader import StoreReader


@contextmanager
def opened_store(
    name: str,
    columns: ColumnChoice,
    checkpoint: Checkpoint,
    call: Call,
    encoder: str | None = None,
    texts: Path | None = None,
) -> Iterator[StoreReader]:
    """Open a store for a model; report rows without words at the end.

    Args:
        name: of the store; one of a dataset on the hub is downloaded first.
        columns: what the user tells of its columns.
        checkpoint: the model.
        call: of the command.
        encoder: the one that vouches for vectors of unknown origin.
        texts: file with the texts of the rows of a `.npy`.

    Raises:
        InputError: not a store, without vectors, or with those of another encoder or dimension.
        Exit: with code 3 at the end, if vectors hold NaN or infinity.
    """
    from flip.inputs.stores.store import open_store
    from flip.stores.reader import StoreReader

    columns = replace(columns, dimension=checkpoint.model.dimension)
    with open_store(fetched(name, call), columns, beside=texts) as store:
        if store.note:
            call.out.note(store.note)
        reader = StoreReader(store, checkpoint, _is_known(store, checkpoint, call, encoder))
        yield reader
        _report(reader, call)


def fetched(name: str, call: Call) -> str:
    """Return the path of a store; one of a dataset on the hub is downloaded."""
    if not name.startswith("hf://"):
        return name
    from flip.hub.client import dataset_file

    call.out.note(f"{name} is taken from the hub")
    return str(dataset_file(name, offline=call.runtime.offline))


def _is_known(store: Store, checkpoint: Checkpoint, call: Call, encoder: str | None) -> bool:
    """Return whether something tells that the vectors are of the checkpoint's encoder; note it if nothing does."""
    from flip.encoders.embedding_info import EmbeddingInfo
    from flip.encoders.identity import require_dimension, require_same_encoder

    if store.dimension is None:
        raise InputError(f"{store.name}: no column of vectors", f"it has: {', '.join(store.schema.names)}")
    require_dimension(store.dimension, checkpoint.model.dimension, store.name, checkpoint.encoder)
    made_by = EmbeddingInfo.from_dict(store.about).encoder
    require_same_encoder(made_by, checkpoint.trained_on, store.name)
    known = loading.vouched(encoder, checkpoint) or made_by.is_known or checkpoint.encoder is None
    if not known:
        call.out.note(
            f"the encoder of the vectors of {store.name} is unknown; {checkpoint.encoder} is taken on "
            f"trust, without probabilities (--encoder {checkpoint.encoder} vouches for it)"
        )
    return known


def _report(reader: StoreReader, call: Call) -> None:
    """Report how many rows have no words, and why."""
    counts, name = reader.counts, reader.store.name
    if counts.missing:
        call.out.note(f"{counts.missing} of {counts.rows} rows have no vector, and no words")
    if counts.far:
        call.out.note(
            f"{counts.far} of {counts.rows} vectors lie far outside those of the training: another encoder, "
            "scale or normalisation?"
        )
    if counts.bad:
        fail(
            f"{counts.bad} of {counts.rows} vectors hold NaN or infinity, and have no words; first: {name}, "
            f"row {counts.first_bad}",
            "embed these rows again",
        )
        raise typer.Exit(3)
