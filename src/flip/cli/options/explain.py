"""`flip explain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from flip.cli.flag import flag
from flip.cli.options.section import MODEL, MODEL_VOCAB, Natural, Share
from flip.cli.options.store import StoreSettings, of_store


@dataclass
class ExplainSettings(StoreSettings):
    """`flip explain`."""

    model: Annotated[str | None, MODEL] = None
    vocab: Annotated[Path | None, MODEL_VOCAB] = None
    topn: Annotated[Natural, flag("Keywords at most.", "--topn", "-n")] = 10
    bias_weight: Annotated[
        float | None,
        flag("Weight W of the bias in the ranking score A(Bu) + W b.", default="the checkpoint's own"),
    ] = None
    min_probability: Annotated[
        Share | Literal["auto"] | None,
        flag(
            "Leave out words less probable than this; auto is the threshold of the checkpoint.", metavar="P|auto",
            default="auto on a terminal, 0 in JSON",
        ),
    ] = None  # fmt: skip
    batch_size: Natural = 256
    id_column: Annotated[str | None, of_store("Column of the ids.", default="guessed by name")] = None
    output: Annotated[
        Path | None,
        of_store(
            "Write the store with its words beside every row: .parquet, .arrow or .jsonl.", "--output", "-o",
            metavar="FILE",
        ),
    ] = None  # fmt: skip
    group_by: Annotated[
        str | None, of_store("Show the words that set each group apart from the rest.", metavar="COLUMN")
    ] = None
    clusters: Annotated[
        Annotated[int, Ge(2)] | None,
        of_store("The same for K groups that are found; -o writes the group of every row.", metavar="K"),
    ] = None
    labels: Annotated[
        Path | None, of_store("Write x, y and words of each group, for an atlas.", metavar="FILE")
    ] = None  # fmt: skip
    find: Annotated[
        str | None,
        of_store(
            "Show the rows that most probably carry all of these words, separated by commas; -o writes them.",
            metavar="WORDS",
        ),
    ] = None
    any: Annotated[bool, of_store("--find: any of the words, in place of all.", "--any")] = False
    rows: Annotated[Natural | None, of_store("--find: how many.", default="10")] = None
    sparse: Annotated[
        Path | None,
        of_store(
            "Write each row as indices and weights of words, for the sparse index of a vector store.", metavar="FILE"
        ),
    ] = None
    summary: Annotated[bool, of_store("--against another store: which words rose and fell, in all.", "--summary")] = (
        False
    )
