"""Options of commands that work on stores of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Store"
Column = Annotated[
    str | None,
    typer.Option("--column", help="Its vectors.", show_default="the only one that can be", rich_help_panel=_PANEL),
]
IdColumn = Annotated[
    str | None, typer.Option("--id-column", help="Its ids.", show_default="guessed by name", rich_help_panel=_PANEL)
]
TextColumn = Annotated[
    str | None, typer.Option("--text-column", help="Its texts.", show_default="guessed by name", rich_help_panel=_PANEL)
]
TableName = Annotated[
    str | None,
    typer.Option(
        "--table",
        metavar="NAME",
        help="Of a database, or a collection of llm.",
        show_default="the only one with vectors",
        rich_help_panel=_PANEL,
    ),
]
Scale = Annotated[
    float | None,
    typer.Option(
        "--scale",
        help="What int8 values are multiplied with.",
        show_default="what the store says",
        rich_help_panel=_PANEL,
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the store with its words beside every row: .parquet, .arrow or .jsonl.",
        rich_help_panel=_PANEL,
    ),
]

GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="COLUMN",
        help="Show the words that part each group from the rest.",
        rich_help_panel=_PANEL,
    ),
]
ClusterCount = Annotated[
    int | None,
    typer.Option(
        "--clusters",
        metavar="K",
        min=2,
        help="The same for K groups that are found; -o writes the group of every row.",
        rich_help_panel=_PANEL,
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="FILE", help="Write x, y and words of each group, for an atlas.", rich_help_panel=_PANEL
    ),
]

Find = Annotated[
    str | None,
    typer.Option(
        "--find",
        metavar="WORDS",
        help="Show the rows that most probably carry all of these words, separated by commas; -o writes them.",
        rich_help_panel=_PANEL,
    ),
]
AnyWord = Annotated[
    bool, typer.Option("--any", help="--find: any of the words, in place of all.", rich_help_panel=_PANEL)
]
Rows = Annotated[
    int | None, typer.Option("--rows", min=1, help="--find: how many.", show_default="10", rich_help_panel=_PANEL)
]
Sparse = Annotated[
    Path | None,
    typer.Option(
        "--sparse",
        metavar="FILE",
        help="Write each row as indices and weights of words, for the sparse index of a vector store.",
        rich_help_panel=_PANEL,
    ),
]

Summary = Annotated[
    bool,
    typer.Option(
        "--summary", help="--against another store: which words rose and fell, in all.", rich_help_panel=_PANEL
    ),
]
