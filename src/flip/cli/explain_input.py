"""Read the inputs of `flip explain` as records: sentences, files, and rows of stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli import loading
from flip.cli.call import Call
from flip.errors import InputError

if TYPE_CHECKING:
    from flip.inputs.record import Record
    from flip.inputs.stores.columns import ColumnChoice
    from flip.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class Reader:
    """Reads inputs as records for a model.

    vouched: --encoder vouches for vectors.  columns: fields that are named.  force_text: every input is a sentence.
    aligned: line i belongs to line i of another text.  sentences: file with the texts of a `.npy`.
    stores: whether a store stands for its rows.  unreadable: the first record that could not be read, with its hint.
    """

    checkpoint: Checkpoint
    vouched: bool
    columns: ColumnChoice
    force_text: bool
    aligned: bool
    sentences: str | None
    call: Call
    stores: bool = False
    unreadable: list[InputError] = field(default_factory=list)

    def records(self, inputs: list[str]) -> Iterator[Record | InputError]:
        """Yield the records of all inputs.

        Raises:
            InputError: a file is missing, or there is nothing in any of them.
        """
        from flip.inputs.sniffing import STDIN, is_input_file, rows_named

        empty = []
        for given in inputs:
            name, ids = (given, ()) if self.force_text else rows_named(given)
            if name != STDIN and (self.force_text or not is_input_file(name)):
                yield _sentence(name)
                continue
            if name != STDIN and not name.startswith("hf://") and not Path(name).exists():
                raise InputError(f"{name}: no such file", "check the path; --text explains it as a sentence")
            found = False
            records = self._records_of(name, as_rows=self.stores or bool(ids))
            if ids:
                from flip.inputs.records import chosen

                records = chosen(records, ids, name)
            for record in records:
                found = True
                if isinstance(record, InputError) and not self.unreadable:
                    self.unreadable.append(record)
                yield record
            if not found:
                empty.append("stdin" if name == STDIN else name)
        if len(empty) == len(inputs):
            raise InputError(f"{', '.join(empty)}: nothing in it", "give a line of text, a record or a row")
        for name in empty:
            self.call.out.note(f"{name}: nothing in it")

    def _records_of(self, name: str, *, as_rows: bool) -> Iterator[Record | InputError]:
        from flip.inputs.records import scan_lines, scan_records
        from flip.inputs.sources import holds_embeddings, is_store

        if as_rows and not self.force_text and not holds_embeddings(name) and is_store(name):
            yield from self._rows(name)
            return
        note, aligned = self.call.out.note, self.aligned
        known, records = self.vouched, scan_lines(name, note, aligned) if self.force_text else None
        if holds_embeddings(name):
            rows, of_encoder = self._require_fit(name)
            known = known or of_encoder
            records = self._with_texts(records or scan_records(name, asked=self.columns), name, rows)
        for record in records or scan_records(name, None, note, self.columns, aligned):
            if not isinstance(record, InputError) and record.embedding is not None and not known:
                record = replace(record, origin_known=False)
            yield record

    def _rows(self, name: str) -> Iterator[Record]:
        """Yield the rows of a store: their vectors, or the texts that --text-column names if it has no vectors."""
        from flip.inputs.records import read_records
        from flip.inputs.stores.row_records import row_records
        from flip.inputs.stores.store import open_store
        from flip.stores.rows import is_known

        checkpoint, note = self.checkpoint, self.call.out.note
        with open_store(loading.address_of(name, self.call), loading.for_model(self.columns, checkpoint)) as store:
            if store.dimension is not None:
                if store.note:
                    note(store.note)
                known = is_known(store.about, store.dimension, store.name, checkpoint, vouched=self.vouched)
                yield from row_records(store, note, origin_known=known)
                return
            if self.columns.texts is None:
                raise store.no_vectors(checkpoint.model.dimension)
        yield from read_records(name, on_note=note, asked=self.columns)

    def _require_fit(self, name: str) -> tuple[int, bool]:
        """Return the rows of a `.npy`, and whether its encoder is known; raise an InputError if it does not fit."""
        from flip.data.manifest import EmbeddingFile
        from flip.encoders.identity import require_dimension, require_same_encoder

        file = EmbeddingFile(name, Path(name))
        require_same_encoder(file.source.encoder, self.checkpoint.trained_on, name)
        rows, dimension = file.open().shape
        require_dimension(dimension, self.checkpoint.model.dimension, name, self.checkpoint.encoder)
        return rows, file.source.encoder.is_known

    def _with_texts(
        self, records: Iterator[Record | InputError], name: str, rows: int
    ) -> Iterator[Record | InputError]:
        """Return the rows of a `.npy` with their texts: of --sentences, or of NAME.sentences.txt if it fits."""
        from flip.data.manifest import EmbeddingFile
        from flip.inputs.embedding_files import sentences_path
        from flip.inputs.record import Record, require_as_many
        from flip.inputs.records import parts_read, read_lines, read_texts, require_in_order, with_texts

        read, about = parts_read(Path(name), rows), EmbeddingFile(name, Path(name)).source
        known, estimated = about.truncated is not None, bool(read) and about.reading == "estimated"
        records = (
            replace(one, read_known=known, read_estimated=estimated) if isinstance(one, Record) else one
            for one in records
        )
        if self.sentences is not None:
            if Path(self.sentences).is_file():
                require_as_many(rows, sum(1 for _ in read_texts([self.sentences], aligned=True)), self.sentences)
                require_in_order(Path(name), read_texts([self.sentences], aligned=True))
            return with_texts(records, read_texts([self.sentences], aligned=True), self.sentences, read)
        beside = sentences_path(Path(name))
        if not beside.is_file():
            return records
        if (lines := sum(1 for _ in read_lines(beside))) != rows:
            self.call.out.note(f"{beside} is not used: it has {lines} lines, and {name} {rows} rows")
            return records
        return with_texts(records, read_lines(beside), str(beside), read)


def _sentence(name: str) -> Record:
    from flip.inputs.record import Record

    try:  # in the locale C, Python takes the bytes of a word in UTF-8 for something else
        return Record(where="sentence", text=os.fsencode(name).decode().strip())
    except UnicodeError as error:
        raise InputError(f"{name}: the sentence is not valid UTF-8", "is the terminal set to UTF-8?") from error
