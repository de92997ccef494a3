"""--config: a configuration of the published code as the defaults of a command's options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli.call import PUBLISHED, Published
from flip.cli.config import as_text, require_fitting
from flip.cli.options import INPUT
from flip.cli.output import fail
from flip.errors import FlipError

if TYPE_CHECKING:
    from flip.data.published_configs import PublishedConfig


def _defaults(read: str) -> Callable[[typer.Context, Path | None], Path | None]:
    """Return the callback of --config, which runs before all other options are parsed.

    Args:
        read: function of `flip.data.published_configs` that reads the file.
    """

    def callback(ctx: typer.Context, path: Path | None) -> Path | None:
        if path is None or ctx.resilient_parsing:
            return path
        from flip.data import published_configs

        try:
            config: PublishedConfig = getattr(published_configs, read)(path)
            values = {name: as_text(value) for name, value in (config.shared | config.own).items()}
            for name, value in values.items():
                require_fitting(ctx.command, name, value, f"{path}, {name}")
        except FlipError as error:
            fail(error.message, error.hint)
            raise typer.Exit(error.exit_code) from error
        ctx.meta[PUBLISHED] = Published(path, frozenset(values), config.ignored)
        ctx.default_map = {**(ctx.default_map or {}), **values}
        return path

    return callback


TrainPublished = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Published configuration (train_lolm.yaml); options override it.", is_eager=True,
        callback=_defaults("read_train_config"), rich_help_panel=INPUT,
    ),
]  # fmt: skip
VocabPublished = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Published configuration (vocab_en.yaml); options override it.", is_eager=True,
        callback=_defaults("read_vocab_config"), rich_help_panel=INPUT,
    ),
]  # fmt: skip
