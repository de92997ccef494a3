"""`flip pull`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from flip.cli.flag import flag
from flip.cli.options.section import Section


@dataclass
class PullSettings(Section):
    """`flip pull`."""

    revision: Annotated[str | None, flag("Branch, tag or commit.", default="the main branch")] = None
    output: Annotated[Path | None, flag("Folder to put the files in.", "--output", "-o", default="the hub's cache")] = (
        None
    )
