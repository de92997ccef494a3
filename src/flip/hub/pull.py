"""Pull checkpoints and data from the Hugging Face hub, through huggingface_hub's own client and cache."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath

from flip.errors import InputError, UnavailableError
from flip.files import os_errors, sha256
from flip.hub.client import CHECKPOINT_FILES, Source, described, fetch
from flip.locks import held

# Never pickles or code: nothing that could run.
SUFFIXES = (".safetensors", ".json", ".jsonl", ".npy", ".txt", ".yaml")
_DAY = 86_400  # seconds


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
        """Return the fault of the file at `path`, or None if it is the file that the hub lists."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes, the hub lists {self.size}"
        if self.sha256 is not None:
            return None if sha256(path) == self.sha256 else "its sha256 differs from the hub's"
        if self.blob is not None and _git_hash(path) != self.blob:
            return "its git hash differs from the hub's"
        return None


@dataclass(frozen=True)
class Listing:
    """The files that a pull takes.

    left: the number of other files in the folder, of other kinds or names.
    language: of all of it, if the hub tells one.
    """

    commit: str
    files: tuple[RemoteFile, ...]
    left: int
    language: str | None = None

    @property
    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class Pulled:
    """The result of a pull. files: relative to folder.  commit, language: None if the hub could not be asked."""

    folder: Path
    files: tuple[str, ...]
    commit: str | None
    language: str | None = None


def list_files(source: Source, *, revision: str | None = None, include: Sequence[str] = ()) -> Listing:
    """Ask the hub for the files of a repository.

    Args:
        source: repository and folder.
        revision: branch, tag or commit; None is the main branch.
        include: patterns (`*`, `?`, `[...]`); a file's path below the folder, or its name, must match one of them.
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
    declared = getattr(info.card_data, "language", None) or []
    languages = [declared] if isinstance(declared, str) else declared
    return Listing(
        str(info.sha), files, len(siblings) - len(wanted), str(languages[0]) if len(languages) == 1 else None
    )


def pull(
    source: Source,
    *,
    revision: str | None = None,
    include: Sequence[str] = (),
    output: Path | None = None,
    offline: bool = False,
    progress: bool = False,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Pulled:
    """Download a folder of a repository, and check every file against the size and hash that the hub lists.

    Existing files are not fetched again; a broken connection is resumed. A file that was being fetched when the
    process ended starts again, as huggingface_hub keeps no part of it; the remains of a killed process are deleted once
    the file is complete. HF_ENDPOINT, HF_HOME and HF_TOKEN work as in huggingface_hub.

    Args:
        source, revision, include: see `list_files`.
        output: folder to put the files in, instead of the hub's cache.
        offline: use the cache (or `output`) and ask nobody.
        progress: let huggingface_hub draw its progress bars.
        on_file: called with the files that are complete and their number.

    Raises:
        UnavailableError: as `list_files`, or (offline) it is not here.
        InputError: as `list_files`, or another process pulls it, or a file differs from the hub's listing; that file is
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
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our own errors report failures
    listing = list_files(source, revision=revision, include=include)
    place = output or source.storage
    with held(place / "pull", place):
        root = output
        for i, file in enumerate(listing.files):
            on_file(i, len(listing.files))
            path = fetch(source, file.path, revision, output)
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
    """Delete the remains of killed processes for files that are complete now, and any others after a day."""
    there = {file.sha256 or file.blob for file in listing.files}
    for folder in (place / "blobs", place / ".cache" / "huggingface" / "download"):
        for path in (*folder.rglob("*.incomplete"), *folder.rglob("tmp_*")):
            with suppress(FileNotFoundError):
                if there & set(path.name.split(".")) or path.stat().st_mtime < time.time() - _DAY:
                    path.unlink()


def _local(source: Source, revision: str | None, include: Sequence[str], output: Path | None) -> Pulled:
    """Return the files of an earlier pull."""
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
    """Return whether a pull takes the file at `path`, relative to the requested folder."""
    if not path.lower().endswith(SUFFIXES):
        return False
    if include:
        patterns = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in include]
        return any(fnmatchcase(path, p) or fnmatchcase(PurePosixPath(path).name, p) for p in patterns)
    return source.dataset or path in CHECKPOINT_FILES


def _leads_outside(path: str) -> bool:
    """Return whether a path is absolute, has `..`, is so on another system, or has an unprintable character."""
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
    """Return the other files or folders of the repository that can be pulled, for a hint."""
    if include:
        return f"the repository has: {', '.join([path for path in paths if path.endswith(SUFFIXES)][:8]) or 'none'}"
    kinds = SUFFIXES if source.dataset else (CHECKPOINT_FILES[0],)
    folders = sorted({str(PurePosixPath(path).parent) for path in paths if path.endswith(kinds)} - {"."})
    if folders:
        return f"it has: {', '.join(f'{source.repo}/{folder}' for folder in folders[:8])}"
    return "check the folder" if source.dataset else "is it a dataset? then add --dataset"


def _git_hash(path: Path) -> str:
    """Return the SHA-1 by which git names a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
