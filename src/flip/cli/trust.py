"""What a flip.toml may not decide alone: to run code, or to send sentences somewhere.

Such a file may come with a folder that was downloaded or cloned, and `flip` reads it because it stands in the working
directory. The folders that a user trusts are listed in a file of their own: config.toml, in the folder of keys.toml.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from flip.encoders.api import keys_file
from flip.encoders.catalog import runs_code
from flip.errors import InputError, UsageError
from flip.files import os_errors


def require_trust(encoder: str | None, base_url: str | None) -> None:
    """Raises a UsageError where flip.toml brings an encoder of one's own, or a base_url, into a folder not trusted.

    Args:
        encoder, base_url: what flip.toml names of them, None where it is not what decides.
    """
    risky = {}
    if encoder is not None and runs_code(encoder):
        risky[f"the encoder {encoder!r}, which runs code"] = f"--encoder {encoder}"
    if base_url is not None:
        risky[f"the base_url {base_url!r}, to which sentences would be sent"] = f"--base-url {base_url}"
    if not risky or any(Path.cwd().is_relative_to(folder) for folder in trusted_folders()):
        return
    what, flag = next(iter(risky.items()))
    raise UsageError(
        f"flip.toml in this folder names {what}",
        f"if you trust this folder: --trust, or {flag}, or list it in {config_file()}: [trust] folders = [...]",
    )


def config_file() -> Path:
    """The user's own configuration."""
    return keys_file().with_name("config.toml")


def trusted_folders() -> list[Path]:
    """The folders, and all below them, whose flip.toml may name code and servers.

    Raises:
        InputError: config.toml is not TOML, or its `[trust] folders` is no list of paths.
    """
    path = config_file()
    if not path.is_file():
        return []
    with os_errors(path, "read"):
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}") from error
    folders = tree.get("trust", {}).get("folders", []) if isinstance(tree.get("trust", {}), dict) else None
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise InputError(f"{path}: [trust] folders is no list of paths", '[trust]\nfolders = ["~/my-project"]')
    return [Path(folder).expanduser().resolve() for folder in folders]
