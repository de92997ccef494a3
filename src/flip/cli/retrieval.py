"""`flip compare --retrieval`: a whole set of queries, their relevant chunks and the chunks that came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np

from flip.cli import loading
from flip.cli.call import Call
from flip.cli.output import shown
from flip.encoders.base import Encoder, encode
from flip.encoders.identity import EmbeddingInfo, require_encoder_of
from flip.errors import InputError, UsageError
from flip.evaluation.measurements import Interval
from flip.inputs.record import Record
from flip.inputs.records import read_records
from flip.inputs.sources import is_store
from flip.inputs.stores.columns import ColumnChoice
from flip.inputs.stores.row_records import row_records
from flip.inputs.stores.store import open_store
from flip.retrieval.evaluation import evaluate_retrieval
from flip.retrieval.ranking import known_gold, rank_chunks, read_gold
from flip.retrieval.results import LISTED, TOPN, Answer, Change, Hit, Query, Retrieval, titles
from flip.stores.words import require_probabilities

if TYPE_CHECKING:
    from flip.model.checkpoint import Checkpoint

_BATCH = 256
_WORST = 5  # missed queries on a terminal
_WORDS = 10
_LONGEST = 240  # characters of a chunk on a terminal


@dataclass(frozen=True)
class Request:
    """What `flip compare --retrieval` is asked for; the fields are its options."""

    queries: str
    gold: Path
    stores: Sequence[str]
    models: Sequence[str | None]
    columns: ColumnChoice
    page: Path | None = None


def compare_retrieval(request: Request, call: Call) -> None:
    """Measure one encoder, or two on the same queries, and print every query, then all of them together.

    Raises:
        UsageError: more than two models, or as many stores are not named.
        InputError: a query has no text, an id is missing or comes twice, or no query has a relevant chunk.
    """
    if len(request.models) != len(request.stores) or len(request.models) > 2:
        raise UsageError(
            f"{len(request.models)} models and {len(request.stores)} stores",
            "--model A --store A.parquet, and for a second encoder --model B --store B.parquet",
        )
    every, gold = _records(request.queries, call), read_gold(request.gold)
    known = known_gold(gold, [str(record.id) for record in every])
    records = [record for record, chunks in zip(every, known, strict=True) if chunks]
    if not records:
        raise InputError(
            f"no query of {request.queries} has a relevant chunk in {request.gold}", "both name queries by their ids"
        )
    if left := len(every) - len(records):
        call.out.note(f"{left} queries without a relevant chunk left out")
    if strange := len(gold.keys() - {str(record.id) for record in every}):
        call.out.note(f"{strange} queries of {request.gold} are not in {request.queries}")
    if len(records) == 1:
        call.out.note("one query tells nothing of others: its interval is empty")
    if len(set(request.models)) == 2 and (own := [one.where for one in records if one.embedding is not None]):
        raise InputError(f"{own[0]}: a vector is of one encoder, and two are compared", "leave out the vectors")
    relevant = [chunks for chunks in known if chunks]
    found = [
        _measured(model, store, records, relevant, request.columns, call)
        for model, store in zip(request.models, request.stores, strict=True)
    ]
    change = Change(*found) if len(found) == 2 else None
    if change is not None and change.first.chunks != change.second.chunks:
        one, other = change.first, change.second
        call.out.note(
            f"{one.store} has {one.chunks:,} chunks and {other.store} {other.chunks:,}: fewer are easier to search, so "
            "the difference is not of the encoders alone"
        )
    if request.page is not None:
        from flip.html import write_page

        named = list(zip(titles(found), found, strict=True))
        seed = call.runtime.seed
        write_page(request.page, "flip.retrieval", "page", found=named, change=change, seed=seed, listed=LISTED)
    if call.out.human:
        _show(found, change, call)
        return
    for one in found:
        for answer in one.answers:
            call.out.record({"model": one.model, "store": one.store, **answer.to_dict()})
    for one in found:
        call.out.record(one.to_dict(call.runtime.seed))
    if change is not None:
        call.out.record(change.to_dict(call.runtime.seed))


def _read(name: str, call: Call) -> list[Record]:
    """Return the records of a file or a store, with their vectors if they have them."""
    if is_store(name):
        with open_store(name) as store:
            if store.dimension is not None:
                return list(row_records(store, call.out.note, origin_known=True))
        return list(read_records(name))
    return list(read_records(name, asked=ColumnChoice()))


def _records(name: str, call: Call) -> list[Record]:
    """Return the queries; each has an id of its own."""
    records = _read(name, call)
    seen: set[str] = set()
    for record in records:
        if not record.text:
            raise InputError(f"{record.where}: a query without text", 'JSON lines such as {"id": "q1", "text": "..."}')
        if record.id is None or str(record.id) in seen:
            lacks = "no id" if record.id is None else f"the id {record.id} a second time"
            raise InputError(f"{record.where}: {lacks}", "--gold names queries by their ids")
        seen.add(str(record.id))
    return records


def _measured(
    model: str | None, store: str, records: Sequence[Record], gold: Sequence[Mapping[str, float]],
    columns: ColumnChoice, call: Call,
) -> Retrieval:  # fmt: skip
    checkpoint = loading.load_checkpoint(model, call)
    require_probabilities(checkpoint)
    encoder = loading.load_encoder(loading.encoder_name(None, checkpoint, call), call, checkpoint.trained_on.options)
    require_encoder_of(encoder, checkpoint.trained_on, {"text"})
    queries = _embedded(records, checkpoint, encoder, call)
    vectors = np.stack([query.vector for query in queries])
    with (
        loading.opened_store(store, columns, checkpoint, call, checkpoint.encoder) as reader,
        call.out.progress(f"ranking {store}") as on_rows,
    ):
        if not EmbeddingInfo.from_dict(reader.store.about).encoder.is_known and checkpoint.encoder is not None:
            call.out.note(f"{store} does not tell its encoder: {checkpoint.encoder}, that of the model, is assumed")
        ranked = rank_chunks(reader, vectors, gold, TOPN, on_rows)
    with call.out.progress("reading words") as on_rows:
        return evaluate_retrieval(checkpoint, encoder, queries, gold, ranked, store, on_rows)


def _embedded(records: Sequence[Record], checkpoint: Checkpoint, encoder: Encoder, call: Call) -> list[Query]:
    """Return the queries with their vectors: their own, or those of the encoder."""
    vectors: dict[int, np.ndarray] = {}
    for i, record in enumerate(records):
        if record.embedding is not None:
            vectors[i] = record.embedding
            if len(record.embedding) != checkpoint.model.dimension:
                raise InputError(
                    f"{record.where}: {len(record.embedding)} dimensions; {checkpoint.name} expects "
                    f"{checkpoint.model.dimension}"
                )
            if not np.isfinite(record.embedding).all() or not record.embedding.any():
                raise InputError(f"{record.where}: the vector is zero, or holds NaN or infinity", "embed it again")
    missing = [i for i in range(len(records)) if i not in vectors]
    with call.out.progress("embedding queries") as on_rows:
        for start in range(0, len(missing), _BATCH):
            chosen = missing[start : start + _BATCH]
            found, _ = encode(encoder, [records[i].text or "" for i in chosen])
            vectors |= dict(zip(chosen, found, strict=True))
            on_rows(start + len(chosen), len(missing))
    return [Query(str(record.id), record.text or "", vectors[i]) for i, record in enumerate(records)]


def _show(found: Sequence[Retrieval], change: Change | None, call: Call) -> None:
    from rich.table import Table

    out, seed = call.out, call.runtime.seed
    table = Table(box=None, padding=(0, 1, 0, 0))
    for i, heading in enumerate(("model", "queries", "nDCG@10", "recall@10", "missed", "cut")):
        table.add_column(heading, justify="right" if i else "left", overflow="fold")
    names = titles(found)
    for name, one in zip(names, found, strict=True):
        figures = [_percent(one.interval(key, seed)) for key in _NAMES.values()]
        cells = (name, len(one.answers), *figures, one.missed, one.cut)
        table.add_row(*map(shown, cells))
    out.show(table)
    out.show(
        shown("percent, and the 95% interval; missed: no relevant chunk among ten; cut: not read to the end", "dim")
    )
    if change is not None:
        gaps = ", ".join(f"{name} {_percent(change.interval(key, seed), '+')}" for name, key in _NAMES.items())
        out.show(shown(f"{names[1]} less {names[0]}: {gaps}", "bold"))
        out.show(shown(f"better for {len(change.better)} queries, worse for {len(change.worse)}"))
        for kind, words in (("lost", change.words_lost), ("regained", change.words_regained)):
            if words:
                out.show(shown(f"  {kind}: {', '.join(f'{word} {n}' for word, n in words[:_WORDS])}"))
    for name, one in zip(names, found, strict=True):
        _show_words(name, one, call)
        missed = [answer for answer in one.answers if answer.missed]
        for answer in sorted(missed, key=lambda one: one.gold.place if one.gold else 0, reverse=True)[:_WORST]:
            _show_answer(answer, call)


def _show_words(name: str, one: Retrieval, call: Call) -> None:
    show = call.out.show
    if one.absent:
        show(shown(f"{one.store} lacks {one.absent} relevant chunks", "yellow"))
    if one.lost:
        show(shown(""))
        show(shown(f"{name}: missed chunks have these words in their texts, not in their vectors", "bold"))
        show(shown(", ".join(f"{word.word} {word.missed}/{word.of}" for word in one.lost[:_WORDS])))
    if one.astray:
        show(shown("these words lead to other chunks", "bold"))
        show(shown(", ".join(f"{word} {share:+.2f}" for word, share, _ in one.astray[:_WORDS])))


def _show_answer(answer: Answer, call: Call) -> None:
    show = call.out.show
    show(shown(""))
    show(shown(answer.query.text, "bold"))
    if answer.gold is not None:
        show(shown(f"  relevant, in place {answer.gold.place}: {_brief(answer.gold)}"))
    show(shown(f"  came first: {_brief(answer.first)}"))
    reasons = {"lost": answer.lost, "not read": answer.unread, "astray": [word for word, _ in answer.astray]}
    for name, words in reasons.items():
        if words:
            show(shown(f"  {name}: {', '.join(words)}", "dim"))


def _brief(hit: Hit) -> str:
    return shorten(hit.chunk.text or hit.chunk.id, _LONGEST, placeholder=" ...")


_NAMES = {"nDCG@10": "ndcg", "recall@10": "recall"}


def _percent(interval: Interval, sign: str = "") -> str:
    value, low, high = (100 * number for number in (interval.value, interval.low, interval.high))
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"
