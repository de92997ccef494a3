"""Checkpoints and data from the Hugging Face hub, through huggingface_hub's own client and cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flip.errors import InputError, UnavailableError, UsageError

# Never pickles or code: nothing that could run.
PATTERNS = ("*.safetensors", "*.json", "*.npy", "*.txt", "*.yaml")


@dataclass(frozen=True)
class Source:
    """`owner/name[/subfolder]` on the hub."""

    repo: str
    subfolder: str

    @classmethod
    def parse(cls, name: str) -> Source:
        """Splits the name; a UsageError where it is not of that form."""
        parts = name.split("/")
        if len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
            raise UsageError(f"{name!r} is not a repository", "OWNER/NAME or OWNER/NAME/SUBFOLDER")
        return cls("/".join(parts[:2]), "/".join(parts[2:]))

    @property
    def patterns(self) -> list[str]:
        """Which files of the repository are wanted."""
        return [f"{self.subfolder}/{pattern}" if self.subfolder else pattern for pattern in PATTERNS]


def pull(
    name: str,
    *,
    revision: str | None = None,
    dataset: bool = False,
    output: Path | None = None,
    offline: bool = False,
) -> Path:
    """Downloads a folder of a repository and returns where it lies.

    Files that are in the cache at this revision are not asked for again; a broken download is taken up where it
    stopped. HF_ENDPOINT, HF_HOME and HF_TOKEN work as in huggingface_hub.

    Raises:
        UsageError: not a repository name.
        UnavailableError: no such repository, no right to it, no network, or (offline) not in the cache.
        InputError: the repository has no file of the allowed kinds there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    source = Source.parse(name)
    try:
        root = snapshot_download(
            source.repo,
            repo_type="dataset" if dataset else "model",
            revision=revision,
            allow_patterns=source.patterns,
            local_dir=output,
            local_files_only=offline,
        )
    except HFValidationError as error:
        raise UsageError(f"{name!r} is not a repository: {error}") from error
    except GatedRepoError as error:
        raise UnavailableError(f"{source.repo} is gated", "accept its terms on the hub and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise UnavailableError(f"{source.repo} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        kind = "dataset" if dataset else "model"
        hint = "check the name; --dataset for data; private ones need HF_TOKEN"
        raise UnavailableError(f"no {kind} {source.repo!r} on the hub", hint) from error
    except LocalEntryNotFoundError as error:
        why = "is not in the cache, and --offline forbids the hub" if offline else "is not in the cache, and the hub is out of reach"
        raise UnavailableError(f"{source.repo} {why}", "try again with a network, or set HF_ENDPOINT") from error
    except (HfHubHTTPError, OSError) as error:
        raise UnavailableError(f"{source.repo}: download failed: {_one_line(error)}", "try again; it goes on") from error
    folder = Path(root) / source.subfolder
    if not folder.is_dir() or not any(path.suffix != ".md" for path in folder.rglob("*") if path.is_file()):
        raise InputError(
            f"{source.repo} has no {', '.join(PATTERNS)} in {source.subfolder or 'its top folder'!r}",
            "check the subfolder",
        )
    return folder


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
