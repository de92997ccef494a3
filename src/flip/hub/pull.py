"""Checkpoints and data from the Hugging Face hub, through huggingface_hub's own client and cache."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from flip.errors import FlipError, InputError, UnavailableError, UsageError
from flip.files import os_errors, sha256
from flip.hub.weights import hub_cache
from flip.locks import held

CHECKPOINT_FILES = ("model.safetensors", "vocab.json", "config.json")
# Never pickles or code: nothing that could run.
SUFFIXES = (".safetensors", ".json", ".jsonl", ".npy", ".txt", ".yaml")
_DAY = 86_400  # seconds


@dataclass(frozen=True)
class Source:
    """`owner/name[/subfolder]` on the hub."""

    repo: str
    subfolder: str = ""
    dataset: bool = False

    @classmethod
    def parse(cls, name: str, dataset: bool = False) -> Source:
        """Splits the name; a UsageError where it is not of that form."""
        parts = name.rstrip("/").split("/")
        if len(parts) < 2 or any(part in ("", ".", "..") or "\\" in part for part in parts):
            raise UsageError(f"{name!r} is not a repository", "OWNER/NAME or OWNER/NAME/SUBFOLDER")
        return cls("/".join(parts[:2]), "/".join(parts[2:]), dataset)

    @property
    def kind(self) -> str:
        """What the hub calls it."""
        return "dataset" if self.dataset else "model"

    @property
    def storage(self) -> Path:
        """Its folder in the cache."""
        return hub_cache() / f"{self.kind}s--{self.repo.replace('/', '--')}"

    def cached(self, revision: str | None = None) -> Path | None:
        """The folder in the cache that an earlier pull of this revision filled; asks nobody."""
        storage = self.storage
        ref = storage / "refs" / (revision or "main")
        commit = ref.read_text().strip() if ref.is_file() else revision
        folder = storage / "snapshots" / str(commit) / self.subfolder
        return folder if commit and folder.is_dir() else None


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub lists it.

    size: bytes.  sha256: of the content, for files in large-file storage.  blob: git's hash, for all others.
    """

    path: str
    size: int | None
    sha256: str | None
    blob: str | None

    def fault(self, path: Path) -> str | None:
        """What is wrong with the file at `path`, or None if it is what the hub lists."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes, the hub lists {self.size}"
        if self.sha256 is not None:
            return None if sha256(path) == self.sha256 else "its sha256 is not the one that the hub lists"
        if self.blob is not None and _git_hash(path) != self.blob:
            return "its git hash is not the one that the hub lists"
        return None


@dataclass(frozen=True)
class Listing:
    """What a pull takes.

    left: how many other files the folder has, of kinds or names that were not asked for.
    language: of all of it, where the hub says one.
    """

    commit: str
    files: tuple[RemoteFile, ...]
    left: int
    language: str | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class Pulled:
    """What a pull gave. files: relative to folder.  commit, language: None where the hub could not be asked."""

    folder: Path
    files: tuple[str, ...]
    commit: str | None
    language: str | None = None


def list_files(source: Source, *, revision: str | None = None, include: Sequence[str] = ()) -> Listing:
    """Asks the hub which files there are.

    Args:
        source: repository and folder.
        revision: branch, tag or commit; None is the main branch.
        include: patterns (`*`, `?`, `[...]`) of which a file's path below the folder, or its name, must match one.
            Without one, a model gives the three files of a checkpoint, a dataset everything of the allowed kinds.

    Raises:
        UnavailableError: no such repository or revision, no right to it, or no network.
        InputError: nothing there is wanted, or a wanted file has a name that leads out of its folder.
    """
    info = described(source, revision)
    prefix = f"{source.subfolder}/" if source.subfolder else ""
    siblings = [s for s in info.siblings or () if s.rfilename.startswith(prefix)]
    wanted = [s for s in siblings if _wanted(s.rfilename.removeprefix(prefix), source, include)]
    if bad := [s.rfilename for s in wanted if _leads_outside(s.rfilename)]:
        raise InputError(
            f"{source.repo} holds a file called {bad[0]!r}, which leads out of its folder",
            "nothing was downloaded: the repository is damaged or malicious",
        )
    paths = [s.rfilename for s in info.siblings or ()]
    if not wanted:
        raise InputError(f"{source.repo}: {_nothing(source, include)}", _hint(paths, source, include))
    if not source.dataset and not include and not any(s.rfilename.endswith(CHECKPOINT_FILES[0]) for s in wanted):
        raise InputError(f"{source.repo} has no {prefix}{CHECKPOINT_FILES[0]}", _hint(paths, source, include))
    files = tuple(
        RemoteFile(s.rfilename, s.size, s.lfs.sha256 if s.lfs else None, None if s.lfs else s.blob_id) for s in wanted
    )
    said = getattr(info.card_data, "language", None) or []
    languages = [said] if isinstance(said, str) else said
    return Listing(
        str(info.sha), files, len(siblings) - len(wanted), str(languages[0]) if len(languages) == 1 else None
    )


def described(source: Source, revision: str | None) -> Any:
    """What the hub says of a repository: asked once, where the client tries half a minute to fetch a file.

    Raises:
        UnavailableError: no such repository or revision, no right to it, or no network.
    """
    from huggingface_hub import HfApi

    try:
        ask = HfApi().dataset_info if source.dataset else HfApi().model_info
        return ask(source.repo, revision=revision, files_metadata=True)
    except Exception as error:  # the client passes on what its HTTP library raises, and that differs by version
        raise translated(error, source, revision) from error


def pull(
    source: Source,
    *,
    revision: str | None = None,
    include: Sequence[str] = (),
    output: Path | None = None,
    offline: bool = False,
    progress: bool = False,
) -> Pulled:
    """Downloads a folder of a repository, and checks every file against the size and hash that the hub lists.

    Files that are there already are not fetched again; a connection that breaks is taken up where it did. A file that
    was being fetched when the process ended starts again, as huggingface_hub keeps no part of it; what a killed process
    left of it is deleted when it is there. HF_ENDPOINT, HF_HOME and HF_TOKEN work as in huggingface_hub.

    Args:
        source, revision, include: see `list_files`.
        output: folder to put the files in, instead of the hub's cache.
        offline: take what is in the cache (or in `output`) and ask nobody.
        progress: let huggingface_hub draw its progress bars.

    Raises:
        UnavailableError: as `list_files`, or (offline) it is not here.
        InputError: as `list_files`, or another process pulls it, or a file is not what the hub lists; that file is
            removed.
    """
    if offline:
        return _local(source, revision, include, output)
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    if constants.HF_HUB_OFFLINE:
        return _local(source, revision, include, output)
    if progress:
        enable_progress_bars()
    else:
        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what goes wrong is in our error
    listing = list_files(source, revision=revision, include=include)
    place = output or source.storage
    with held(place / "pull", place):
        root = output
        for file in listing.files:
            path = _fetch(source, file.path, revision, output)
            with os_errors(path, "read"):
                if fault := file.fault(path):
                    path.resolve().unlink()  # a blob of the cache, or the file itself
                    path.unlink(missing_ok=True)
                    raise InputError(f"{source.repo}/{file.path}: {fault}", "the download was removed; pull it again")
            root = root or path.parents[file.path.count("/")]
        _remove_orphans(place, listing)
    assert root is not None
    prefix = f"{source.subfolder}/" if source.subfolder else ""
    names = tuple(f.path.removeprefix(prefix) for f in listing.files)
    return Pulled(root / source.subfolder, names, listing.commit, listing.language)


def _remove_orphans(place: Path, listing: Listing) -> None:
    """Deletes what killed processes left of files that are there now, and of any others a day ago."""
    there = {file.sha256 or file.blob for file in listing.files}
    for folder in (place / "blobs", place / ".cache" / "huggingface" / "download"):
        for path in (*folder.rglob("*.incomplete"), *folder.rglob("tmp_*")):
            with suppress(FileNotFoundError):
                if there & set(path.name.split(".")) or path.stat().st_mtime < time.time() - _DAY:
                    path.unlink()


def _fetch(source: Source, path: str, revision: str | None, output: Path | None) -> Path:
    """Downloads one file, unless it is there, and says where it lies."""
    from huggingface_hub import hf_hub_download

    try:
        # Not by the commit: only a named revision is remembered in the cache, for the next start without a network.
        return Path(hf_hub_download(source.repo, path, repo_type=source.kind, revision=revision, local_dir=output))
    except Exception as error:  # see list_files
        raise translated(error, source, revision, path) from error


def _local(source: Source, revision: str | None, include: Sequence[str], output: Path | None) -> Pulled:
    """What an earlier pull left."""
    folder = source.cached(revision) if output is None else output / source.subfolder
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] if folder else []
    files = tuple(sorted(name for name in found if _wanted(name, source, include) and not name.startswith(".cache/")))
    if folder is None or not files:
        where = "the cache" if output is None else str(output)
        name = f"{source.repo}/{source.subfolder}".rstrip("/")
        raise UnavailableError(
            f"{name} is not in {where}, and the hub may not be asked",
            "pull it once without --offline (and without HF_HUB_OFFLINE)",
        )
    return Pulled(folder, files, None)


def _wanted(path: str, source: Source, include: Sequence[str]) -> bool:
    """Whether a pull takes the file at `path`, relative to the folder that was asked for."""
    if not path.lower().endswith(SUFFIXES):
        return False
    if include:
        patterns = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in include]
        return any(fnmatchcase(path, p) or fnmatchcase(PurePosixPath(path).name, p) for p in patterns)
    return source.dataset or path in CHECKPOINT_FILES


def _leads_outside(path: str) -> bool:
    """Absolute, with `..`, or so on another system, or with a character that no honest file name has."""
    parts = path.replace("\\", "/").split("/")
    windows = PureWindowsPath(path)
    return (
        any(part in ("", ".", "..") for part in parts) or bool(windows.drive or windows.root) or not path.isprintable()
    )


def _nothing(source: Source, include: Sequence[str]) -> str:
    where = source.subfolder or "its top folder"
    if include:
        return f"no {', '.join(SUFFIXES)} file in {where} matches {', '.join(include)}"
    return f"no {', '.join(SUFFIXES if source.dataset else CHECKPOINT_FILES)} in {where}"


def _hint(paths: list[str], source: Source, include: Sequence[str]) -> str:
    """What else there is to pull in the repository."""
    if include:
        return f"the repository has: {', '.join([path for path in paths if path.endswith(SUFFIXES)][:8]) or 'none'}"
    kinds = SUFFIXES if source.dataset else (CHECKPOINT_FILES[0],)
    folders = sorted({str(PurePosixPath(path).parent) for path in paths if path.endswith(kinds)} - {"."})
    if folders:
        return f"it has: {', '.join(f'{source.repo}/{folder}' for folder in folders[:8])}"
    return "check the folder" if source.dataset else "is it a dataset? then add --dataset"


def translated(error: Exception, source: Source, revision: str | None, path: str | None = None) -> FlipError:
    """What the client raised, as an error that says what to do.  path: of the file that was asked for, if any."""
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
    # Where the hub refuses, the client looks into the cache, and then says only that nothing is there.
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
            "check the network and HF_ENDPOINT; --offline takes what is in the cache",
        )
    return UnavailableError(
        f"{what}: download failed: {_one_line(error)}", "give the same command again; complete files are kept"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _git_hash(path: Path) -> str:
    """The SHA-1 by which git names a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
