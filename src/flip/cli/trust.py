"""Folders whose flip.toml may name code to run, servers to send sentences to, and outputs outside of them."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

from flip.errors import InputError
from flip.files import os_errors, readable, user_config


def config_file() -> Path:
    """Return the path of the user's own configuration."""
    return user_config("config.toml")


def trusted_folders() -> list[Path]:
    """Return the folders that config.toml trusts, with all below them.

    Raises:
        InputError: config.toml is not TOML, or its `[trust] folders` is not a list of paths.
    """
    path = config_file()
    if not readable(path):
        return []
    with os_errors(path, "read"):
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}") from error
    folders = tree.get("trust", {}).get("folders", []) if isinstance(tree.get("trust", {}), dict) else None
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise InputError(f"{path}: [trust] folders is not a list of paths", '[trust]\nfolders = ["~/my-project"]')
    found = []
    for folder in folders:
        with suppress(RuntimeError):  # ~ of a user without a home
            found.append(Path(folder).expanduser().resolve())
    return found
