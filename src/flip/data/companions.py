"""Find the files that belong to an input; flip reads them too."""

from contextlib import suppress
from pathlib import Path

from flip.data.manifest import files_of, load_manifest
from flip.errors import InputError
from flip.files import read_json
from flip.inputs import embedding_files, sniffing, sources

_ARRAYS = ("npy", "npz", "faiss")  # kinds with texts and columns beside them
_DATABASE = ("-wal", "-shm", "-journal")
_MANIFEST = (".yaml", ".yml")
_WEIGHTS = (".safetensors", ".pt")
_CONFIG = "config.json"
_MODEL = ("model.safetensors", "vocab.json", "vocab.options.json", _CONFIG)


def files_read(name: str | Path) -> list[Path]:
    """Return the files that flip reads for an input, as far as they exist.

    These are the input itself; for vectors, the texts, recordings, columns and description beside them; for a database,
    its log and journal; for a folder, its recordings; for a manifest, all files that it names; for a checkpoint, the
    files of its folder and the manifest of its training; for `FILE.py:factory`, the file.

    Args:
        name: the input; a sentence, `-`, and an address such as `hf://...` have no files.
    """
    text = str(name)
    if text == sniffing.STDIN or "://" in text:
        return []
    path = Path(text.rpartition(":")[0] if ".py:" in text else text)
    possible = [path, *(Path(f"{path}{ending}") for ending in _DATABASE)]
    folder = path
    if _is_file(path):
        suffix = path.suffix.lower()
        if suffix in _MANIFEST:
            possible += _files_of_manifest(path)
        elif suffix in _WEIGHTS:
            folder = path.parent
        elif _kind(path) in _ARRAYS:
            possible += [path.with_suffix(".jsonl"), *_beside(path)]
    elif _is_folder(path):
        possible += [one for one in path.rglob("*") if one.suffix.lower() in sniffing.AUDIO_SUFFIXES]
    possible += [folder / file for file in _MODEL]
    found = [one for one in possible if _is_file(one)]
    if folder / _CONFIG in found:
        found += _files_of_training(folder / _CONFIG)
    return found


def _beside(vectors: Path) -> list[Path]:
    """Return the paths of the texts and other lines of the rows, and of the description of vectors."""
    return [*embedding_files.lines_beside(vectors), embedding_files.embeddings_json(vectors)]


def _files_of_manifest(manifest: Path) -> list[Path]:
    """Return the files that a manifest names; none if it is damaged, or another YAML file: the reader reports it."""
    files: list[Path] = []
    with suppress(InputError):
        for data in load_manifest(manifest).values():
            files += [path for one in data.texts for path in files_of(one.file)]
            files += [one.file for one in data.similarities]
            files += [near for one in data.embeddings for path in files_of(one.file) for near in (path, *_beside(path))]
    return files


def _files_of_training(config: Path) -> list[Path]:
    """Return the manifest that the config.json of a checkpoint names, and its files."""
    with suppress(InputError):
        stored = read_json(config)
        named = stored.get("data") if isinstance(stored, dict) else None
        manifest = named.get("manifest") if isinstance(named, dict) else None
        if isinstance(manifest, str):
            return files_read(config.parent / manifest)
    return []


def _kind(path: Path) -> str:
    with suppress(InputError), sources.opened(path) as source:
        return source.kind
    return ""  # the reader reports a file that cannot be read


def _is_file(path: Path) -> bool:
    with suppress(OSError, ValueError):  # a sentence, too long for a path or with a null byte
        return path.is_file()
    return False


def _is_folder(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False
