"""Get one file of a dataset on the hub, by the address that its viewers and DuckDB use."""

from __future__ import annotations

from pathlib import Path

from flip.errors import UnavailableError, UsageError
from flip.hub.client import Source, described, fetch

PREFIX = "hf://datasets/"


def dataset_file(address: str, *, offline: bool = False) -> Path:
    """Download a file to huggingface_hub's cache, unless it is there, and return its path.

    Args:
        address: `hf://datasets/OWNER/NAME/path.parquet`, or `OWNER/NAME@REVISION`.
        offline: use the cache only.

    Raises:
        UsageError: not such an address.
        UnavailableError: no such dataset or file, no right to it, or no network.
    """
    parts = address.removeprefix(PREFIX).split("/")
    if not address.startswith(PREFIX) or len(parts) < 3 or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{address!r} is not a file of a dataset", f"{PREFIX}OWNER/NAME/path.parquet")
    name, _, revision = parts[1].partition("@")
    source, path = Source(f"{parts[0]}/{name}", dataset=True), "/".join(parts[2:])
    folder = source.cached(revision or None)
    here = folder is not None and (folder / path).is_file()
    if not offline:
        if not here:
            described(source, revision or None)
        return fetch(source, path, revision or None, None)
    if folder is None or not here:
        raise UnavailableError(f"{address} is not in the cache, and the hub may not be asked", "leave --offline out")
    return folder / path
