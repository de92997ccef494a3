"""Find the files that belong to an input; flip reads them too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from flip.errors import InputError
from flip.inputs.embedding_files import audio_path, embeddings_json, sentences_path
from flip.inputs.sniffing import STDIN
from flip.inputs.sources import opened

_ARRAYS = ("npy", "npz", "faiss")  # kinds with texts and columns beside them
_DATABASE = ("-wal", "-shm", "-journal")
_MODEL = ("model.safetensors", "vocab.json", "vocab.options.json", "config.json")


def files_read(name: str | Path) -> list[Path]:
    """Return the files that flip reads for an input, as far as they exist.

    These are the input itself; for vectors, the texts, recordings, columns and description beside them; for a database,
    its log and journal; for a checkpoint folder, its files; for `FILE.py:factory`, the file.

    Args:
        name: the input; a sentence, `-`, and an address such as `hf://...` have no files.
    """
    text = str(name)
    if text == STDIN or "://" in text:
        return []
    path = Path(text.rpartition(":")[0] if ".py:" in text else text)
    possible = [path, *(Path(f"{path}{ending}") for ending in _DATABASE)]
    if _is_file(path) and _kind(path) in _ARRAYS:
        possible += [path.with_suffix(".jsonl"), sentences_path(path), audio_path(path), embeddings_json(path)]
    possible += [path / file for file in _MODEL]
    return [one for one in possible if _is_file(one)]


def _kind(path: Path) -> str:
    with suppress(InputError), opened(path) as source:
        return source.kind
    return ""  # the reader reports a file that cannot be read


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a sentence, too long for a path or with a null byte
        return False
