"""Commands that read a store of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from flip.cli.flag import flag
from flip.cli.options.section import Section

of_store = partial(flag, panel="Store")


@dataclass
class StoreSettings(Section):
    """Where in a store of vectors what lies; of every command that reads one."""

    column: Annotated[str | None, of_store("Column of the vectors.", default="the only one that can be")] = None
    text_column: Annotated[str | None, of_store("Column of the texts.", default="guessed by name")] = None
    table: Annotated[
        str | None,
        of_store("Table of a database, or collection of llm.", metavar="NAME", default="the only one with vectors"),
    ] = None
    scale: Annotated[
        float | None, of_store("What int8 values are multiplied with.", default="what the store says")
    ] = None  # fmt: skip
