"""Use the client of the Hugging Face hub: repositories, its cache, single files, and its errors in our words."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from flip.errors import FlipError, UnavailableError, UsageError
from flip.files import readable, user_folder

PREFIX = "hf://datasets/"
CHECKPOINT_FILES = ("model.safetensors", "vocab.json", "config.json")


@dataclass(frozen=True)
class Source:
    """`owner/name[/subfolder]` on the hub."""

    repo: str
    subfolder: str = ""
    dataset: bool = False

    @classmethod
    def parse(cls, name: str, dataset: bool = False) -> Self:
        """Split the name; raise a UsageError if it has another form."""
        parts = name.rstrip("/").split("/")
        if len(parts) < 2 or any(part in ("", ".", "..") or "\\" in part for part in parts):
            raise UsageError(f"{name!r} is not a repository", "OWNER/NAME or OWNER/NAME/SUBFOLDER")
        return cls("/".join(parts[:2]), "/".join(parts[2:]), dataset)

    @property
    def kind(self) -> str:
        """Return the hub's name for its kind."""
        return "dataset" if self.dataset else "model"

    @property
    def storage(self) -> Path:
        """Return its folder in the cache."""
        return hub_cache() / f"{self.kind}s--{self.repo.replace('/', '--')}"

    def cached(self, revision: str | None = None) -> Path | None:
        """Return the folder in the cache that an earlier pull of this revision filled, without a request."""
        storage = self.storage
        ref = storage / "refs" / (revision or "main")
        commit = ref.read_text().strip() if readable(ref) else revision
        folder = storage / "snapshots" / str(commit) / self.subfolder
        return folder if commit and readable(folder) else None


def described(source: Source, revision: str | None) -> Any:
    """Return the hub's description of a repository with one request; to fetch a file is retried for half a minute.

    Raises:
        UnavailableError: no such repository or revision, no right to it, or no network.
    """
    from huggingface_hub import HfApi

    try:
        ask = HfApi().dataset_info if source.dataset else HfApi().model_info
        return ask(source.repo, revision=revision, files_metadata=True)
    except Exception as error:  # the client passes on the errors of its HTTP library, which differ by version
        raise translated(error, source, revision) from error


def fetch(source: Source, path: str, revision: str | None, output: Path | None) -> Path:
    """Download one file, unless it is there, and return its path."""
    from huggingface_hub import hf_hub_download

    try:
        # Not by the commit: only a named revision is remembered in the cache, for the next start without a network.
        return Path(hf_hub_download(source.repo, path, repo_type=source.kind, revision=revision, local_dir=output))
    except Exception as error:  # see list_files
        raise translated(error, source, revision, path) from error


def translated(error: Exception, source: Source, revision: str | None, path: str | None = None) -> FlipError:
    """Return the client's error as one of ours, with a hint.  path: of the requested file, if any."""
    from huggingface_hub import errors

    what = f"{source.repo}/{path}" if path else source.repo
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"{source.repo!r} is not a repository: {_one_line(error)}", "OWNER/NAME[/SUBFOLDER]")
    if isinstance(error, errors.GatedRepoError):
        return UnavailableError(f"{source.repo} is gated", "accept its terms on the hub, and set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return UnavailableError(f"{source.repo} has no revision {revision!r}", "name a branch, a tag or a commit")
    if isinstance(error, errors.RepositoryNotFoundError):
        other = "leave --dataset out for a model" if source.dataset else "--dataset for data"
        return UnavailableError(
            f"no {source.kind} {source.repo!r} on the hub",
            f"check the name; {other}; a private one needs HF_TOKEN",
        )
    # If the hub refuses, the client looks into the cache, and then reports only that nothing is there.
    response: Any = getattr(
        error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error, "response", None
    )
    status = getattr(response, "status_code", None)
    if status == 401:
        return UnavailableError(f"{what}: the hub refused the token", "check HF_TOKEN")
    if status == 403:
        return UnavailableError(f"{what}: access denied", "does the token in HF_TOKEN have the right to read it?")
    if status == 404:
        return UnavailableError(f"{what}: not found on the hub", "check the name and the revision")
    if status == 429:
        wait = response.headers.get("Retry-After")
        hint = f"try again in {wait} s; it goes on" if wait else "try again later; it goes on"
        return UnavailableError(f"{what}: the hub limits the rate of requests", f"{hint}; HF_TOKEN raises the limit")
    if status is not None:
        return UnavailableError(f"{what}: the hub answered {status}", "try again later; complete files are kept")
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)) or path is None:
        return UnavailableError(
            f"{what}: the hub is out of reach: {_one_line(error)}",
            "check the network and HF_ENDPOINT; --offline uses the cache",
        )
    return UnavailableError(
        f"{what}: download failed: {_one_line(error)}", "give the same command again; complete files are kept"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def hub_cache() -> Path:
    """Return the folder of huggingface_hub's cache without importing it: most starts do not need the library."""
    if os.environ.get("HF_HUB_CACHE"):
        return user_folder("HF_HUB_CACHE", "")
    home = user_folder("XDG_CACHE_HOME", ".cache") / "huggingface"
    return (user_folder("HF_HOME", "") if os.environ.get("HF_HOME") else home) / "hub"


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
    here = folder is not None and readable(folder / path)
    if not offline:
        if not here:
            described(source, revision or None)
        return fetch(source, path, revision or None, None)
    if folder is None or not here:
        raise UnavailableError(f"{address} is not in the cache, and the hub may not be asked", "leave --offline out")
    return folder / path
