"""What the environment and `flip.toml` hold, read by pydantic-settings; imported only if there is one of them."""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from flip.errors import InputError
from flip.files import without_mark


class _Base(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FLIP_", env_nested_delimiter="__")


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> object:
        """Read a list or a table as JSON; everything else stays text, which Typer's parser checks.

        Raises:
            InputError: it starts as JSON, and is not.
        """
        if not str(value).lstrip().startswith(("[", "{")):
            return value
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            name = next((name for name, text in os.environ.items() if text == value), field_name)
            raise InputError(f"{name} in the environment: {error}", 'a list is JSON: ["a.txt", "b.txt"]') from error


class _File(TomlConfigSettingsSource):
    def _read_file(self, file_path: Any) -> dict[str, Any]:
        """Read TOML, also with a byte order mark."""
        return tomllib.loads(without_mark(file_path.read_bytes()).decode())


def read_environment(shared: Iterable[str], tables: Iterable[str]) -> dict[str, Any]:
    """Return the `FLIP_*` variables as a tree.

    Args:
        shared: settings without a table, `FLIP_DEVICE`.
        tables: names of tables, `FLIP_TRAIN__RANK`.
    """
    fields: dict[str, Any] = dict.fromkeys(shared, (str | None, None)) | {name: (dict, {}) for name in tables}
    return _Environment(create_model("Settings", __base__=_Base, **fields))()


def read_file(path: Path) -> dict[str, Any]:
    """Return a TOML file as a tree; empty if it is not there.

    Raises:
        InputError: not TOML, or nested too deep.
    """
    try:
        return dict(_File(_Base, path).toml_data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error
