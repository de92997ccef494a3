"""The options of a command with the values that they have in the working directory."""

from __future__ import annotations

from typing import Any

from flip.cli.app import group
from flip.cli.call import load_config
from flip.cli.config import Config


def params(*command: str, args: tuple[str, ...] = ()) -> dict[str, Any]:
    """The options of a command with their values in force."""
    config, defaults = load_config(group)
    assert isinstance(config, Config), config
    *parents, name = command
    context: Any = group.make_context("flip", [], obj=config, default_map=defaults, resilient_parsing=True)
    found: Any = group
    for parent in parents:
        found = found.commands[parent]
        context = found.make_context(parent, [], parent=context, resilient_parsing=True)
    return dict(found.commands[name].make_context(name, list(args), parent=context).params)
