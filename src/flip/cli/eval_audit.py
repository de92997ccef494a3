"""`flip eval STORE --audit TERMS`: what stored vectors give away, and what hiding it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import typer

from flip.cli import loading
from flip.cli.explain_store import asked
from flip.cli.options import WORSE
from flip.cli.output import Output, fail, shown

if TYPE_CHECKING:
    from flip.cli.options import EvalSettings
    from flip.cli.settings import Settings
    from flip.evaluation.audit import CompressionAudit, Detection
    from flip.inputs.stores import Store

CAVEAT = (
    "A term that is read here can be read by whoever has the vectors. One that is not may still be read by a stronger, "
    "nonlinear attack."
)


# What else an audit heeds; an option of other measurements would do nothing, and --fail-below would guard nothing.
_OF_AUDITS = {"audit", "limit", "sentences", "model", "vocab", "report", "column", "text_column", "table", "scale"}


def is_asked(own: EvalSettings, named: frozenset[str]) -> bool:
    """Whether the command is an audit; what flip.toml and the environment say of one holds for a store alone.

    Args:
        own: the settings.
        named: those that the command line names.
    """
    from flip.inputs.sources import is_store

    if named & {"audit", "limit"}:
        return True
    others = named & {one.name for one in fields(own)} - _OF_AUDITS
    return own.audit is not None and not others and len(own.sentences) == 1 and is_store(own.sentences[0])


def audit_store(settings: Settings, out: Output) -> None:
    """Prints one record for each form of the vectors; writes the page of --report."""
    from dataclasses import replace

    from flip.encoders.embedding_info import EmbeddingInfo
    from flip.encoders.identity import require_dimension, require_same_encoder
    from flip.errors import InputError, UsageError
    from flip.evaluation.audit import Audit
    from flip.inputs.records import read_lines
    from flip.inputs.stores import open_store

    own = settings.eval
    if len(own.sentences) != 1 or own.audit is None:
        raise UsageError("an audit needs a store and terms", "flip eval store.parquet --audit terms.txt")
    if len(own.models) > 1:
        raise UsageError("an audit is of one model", "name one with --model")
    for name in sorted(settings.named & {one.name for one in fields(own)} - _OF_AUDITS):
        flag = name.replace("_", "-")
        raise UsageError(f"--{flag} is of models and encoders, and an audit is of a store", "leave it out")
    (source,), (model,) = own.sentences, own.models
    terms = list(dict.fromkeys(filter(None, read_lines(own.audit))))
    checkpoint = loading.load_checkpoint(model, own.vocab, settings.offline, out)
    with open_store(source, replace(asked(own), dimension=checkpoint.model.dimension)) as store:
        if store.note:
            out.note(f"note: {store.note}")
        if store.dimension is None or store.chosen.texts is None:
            missing = "text" if store.dimension is not None else "vectors"
            raise InputError(f"{store.name}: no column of {missing}", "an audit compares vectors with their texts")
        require_dimension(store.dimension, checkpoint.model.dimension, store.name, checkpoint.encoder)
        require_same_encoder(EmbeddingInfo.from_dict(store.about).encoder, checkpoint.trained_on, store.name)
        audit = Audit(checkpoint, terms, settings.seed)
        rows = left_out = 0
        with out.progress("learning") as on_rows:
            for vectors, texts, n in _readable(store):
                audit.learn(vectors, texts, rows)
                rows, left_out = rows + len(texts), left_out + n - len(texts)
                on_rows(rows + left_out, store.rows)
        audit.choose()
        done = 0
        with out.progress("testing") as on_rows:
            for vectors, texts, _ in _readable(store):
                audit.test(vectors, texts, done)
                done += len(texts)
                on_rows(done, store.rows)
        if left_out:
            out.note(f"note: {left_out} rows without text or vector, or with NaN, are left out")
    found = audit.result()
    few = [reading.term for reading in found[0].terms if reading.strongest is None]
    if few:
        out.note(f"note: too few rows have, or have not, {', '.join(few)}")
    for form in found:
        if out.human:
            _draw(form, out)
        else:
            out.record({"store": store.name, "rows": rows} | as_fields(form))
    out.note(f"note: {CAVEAT}")
    if own.report is not None:
        from flip.evaluation.audit_page import write_page

        write_page(own.report, store.name, rows, found, CAVEAT)
        out.note(f"wrote {own.report}")
    over = [one for one in found[0].terms if own.limit is not None and one.strongest and one.strongest.low > own.limit]
    if own.limit is not None and len(few) == len(terms):
        raise InputError("no term could be measured: too few rows have one, or have it not", "the gate says nothing")
    if over:
        worst = max(over, key=lambda one: one.strongest.recall if one.strongest else 0)
        recall = worst.strongest.recall if worst.strongest else 0
        most = f"most {worst.term!r}, {recall:.2f}"
        fail(
            f"{len(over)} of {len(terms)} terms are read with a recall above {own.limit:g}; {most}",
            "keep the vectors as you keep the texts, or in a form that hides more",
        )
        raise typer.Exit(WORSE)


def _readable(store: Store) -> Iterator[tuple[Any, list[str], int]]:
    """Vectors and texts of the rows that have both, and how many rows the part has."""
    import numpy as np

    from flip.explain.read_ahead import one_ahead

    name = str(store.chosen.texts)
    for part in one_ahead(store.parts([name])):
        texts = part.column(name)
        written = np.array([bool(text and text.strip()) for text in texts], bool)
        usable = np.asarray(np.isfinite(part.vectors).all(axis=1)) & written
        yield part.vectors[usable], [texts[i] for i in np.flatnonzero(usable)], len(texts)


def as_fields(form: CompressionAudit) -> dict[str, Any]:
    """As in output records: shares from 0 to 1."""

    def reading(one: Detection | None) -> dict[str, float] | None:
        names = ("recall", "low", "high", "precision")
        return None if one is None else {name: round(getattr(one, name), 4) for name in names}

    terms = [
        {"term": one.term, "rows": one.rows, "model": reading(one.model), "probe": reading(one.probe)}
        for one in form.terms
    ]
    costs = {"itself_at_10": round(form.itself, 4), "neighbours_at_10": round(form.neighbours, 4)}
    return {"form": form.form, "bytes": form.bytes} | costs | {"terms": terms}


def _draw(form: CompressionAudit, out: Output) -> None:
    from rich.table import Table

    out.show(shown(f"{form.form}: {form.bytes:g} bytes a vector", "bold"))
    costs = f"finds itself {100 * form.itself:.1f}%, keeps its ten neighbours {100 * form.neighbours:.1f}%"
    out.show(shown(costs, "dim"))
    table = Table(box=None, padding=(0, 2))
    for i, heading in enumerate(("term", "rows", "recall: model", "probe", "95% of the higher", "its precision")):
        table.add_column(heading, justify="right" if i else "left")
    for one in form.terms:
        best = one.strongest
        cells = [one.term, str(one.rows), _percent(one.model), _percent(one.probe)]
        cells += (
            ["", ""]
            if best is None
            else [f"{100 * best.low:.0f} to {100 * best.high:.0f}", f"{100 * best.precision:.0f}"]
        )
        table.add_row(*map(shown, cells))
    out.show(table)


def _percent(reading: Detection | None) -> str:
    return "" if reading is None else f"{100 * reading.recall:.1f}"
