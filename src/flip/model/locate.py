"""Find the files of a checkpoint in our own folders, published ones, single files, or the hub's cache."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flip.errors import InputError, UnavailableError, UsageError
from flip.hub.client import CHECKPOINT_FILES, Source

MODEL_FILE, VOCAB_FILE, CONFIG_FILE = CHECKPOINT_FILES
SUFFIXES = (".safetensors", ".pt")
BUNDLED = Path(__file__).parent / "bundled"
DEFAULT_MODEL = "minilm-en"

# Dimensions of the encoders in Kesiraju et al. 2026, and of the default one.
_DIMENSIONS = {"minilm": 384, "sonar": 1024, "labse": 768, "gemini": 768}


@dataclass(frozen=True)
class CheckpointFiles:
    """The three files; config is None if it is missing. own_vocab: beside the model, even if another was named."""

    model: Path
    vocab: Path
    own_vocab: Path | None
    config: Path | None

    @property
    def folder(self) -> Path:
        """Folder of the model."""
        return self.model.parent


def locate(
    name: str | Path | None = None,
    vocab: Path | None = None,
    *,
    offline: bool = False,
    on_pull: Callable[[str], None] | None = None,
) -> CheckpointFiles:
    """Find the files of a checkpoint; take one on the hub from the cache, or pull it.

    Args:
        name: a folder with model.safetensors; the folder that published training writes (`checkpoints/*.safetensors`,
            or `.pt` of its first version, and vocab.json beside `checkpoints`); a file of these kinds; the name of a
            bundled model (None is the default, even if a folder has its name); or OWNER/NAME[/SUBFOLDER] on the hub.
        vocab: the vocabulary, if none lies beside the model or one folder up.
        offline: never ask the hub.
        on_pull: called with the name before a download.

    Raises:
        UnavailableError: no folder, file, bundled model or repository on the hub has this name.
        UsageError: a bundled model and a folder here have this name.
        InputError: the folder holds no model, or several; or the vocabulary is missing.
    """
    if name is None:
        return _complete(BUNDLED / DEFAULT_MODEL / MODEL_FILE, vocab)
    path = Path(name)
    if is_bundled(name):
        if path.exists():
            raise UsageError(
                f"{name!r} is both a bundled model and a path here",
                f"write ./{name} for the path; without a name, the bundled {DEFAULT_MODEL} is taken",
            )
        return _complete(BUNDLED / name / MODEL_FILE, vocab)
    name = str(name)
    if path.is_file():
        return _complete(path, vocab)
    if path.is_dir():
        return _complete(_model_in(path), vocab)
    if path.suffix not in SUFFIXES and (source := _on_hub(name)):
        folder = source.cached()
        if folder is None or not all((folder / file).is_file() for file in (MODEL_FILE, VOCAB_FILE)):
            if on_pull and not offline:
                on_pull(name)
            folder = _pulled(source, name, offline, progress=on_pull is not None)
        return _complete(folder / MODEL_FILE, vocab)
    bundled = ", ".join(sorted(folder.name for folder in BUNDLED.glob("*") if folder.is_dir()))
    raise UnavailableError(
        f"no model {name!r}",
        f"a checkpoint folder, a .safetensors or .pt file, a bundled model ({bundled or 'none'}), or OWNER/NAME on "
        "the hub",
    )


def is_bundled(name: str | Path) -> bool:
    """Return whether a model of this name comes with the package; a path such as ./NAME does not count."""
    return isinstance(name, str) and Path(name).name == name and (BUNDLED / name / MODEL_FILE).is_file()


def infer_encoder(path: Path, dimension: int) -> str | None:
    """Return the encoder that a path names, if it has this dimension; a dimension alone is not enough.

    >>> infer_encoder(Path("FLiP-en-sonar/rank-512"), 1024), infer_encoder(Path("run"), 1024)
    ('sonar', None)
    """
    named = re.split(r"[^a-z0-9]+", str(path).lower())
    possible = [name for name, d in _DIMENSIONS.items() if d == dimension and name in named]
    return possible[0] if len(possible) == 1 else None


def _model_in(folder: Path) -> Path:
    """Return the model of a folder. Published training saves several: take the best on dev."""
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    patterns = [f"{place}*{name}" for name in (SUFFIXES[0], f"model*{SUFFIXES[1]}") for place in ("", "checkpoints/")]
    found = next(filter(None, (sorted(folder.glob(pattern)) for pattern in patterns)), [])
    best = [path for path in found if "best" in path.name] if len(found) > 1 else found
    if len(best) == 1:
        return best[0]
    if not found:
        raise InputError(f"{folder}: no {MODEL_FILE} in this folder", "train one with `flip train`")
    raise InputError(
        f"{folder} holds {len(found)} models: {', '.join(path.name for path in found[:8])}",
        f"name one of them: --model {found[0]}",
    )


def _complete(model: Path, vocab: Path | None) -> CheckpointFiles:
    """Add vocabulary and configuration, from the model's folder or the one above."""
    if model.suffix not in SUFFIXES:
        raise InputError(f"{model}: not a {' or '.join(SUFFIXES)} file", "a pickle (.pkl) is not read")
    folders = (model.parent, model.parent.parent) if model.name != MODEL_FILE else (model.parent,)

    def beside(file: str) -> Path | None:
        return next((folder / file for folder in folders if (folder / file).is_file()), None)

    own = beside(VOCAB_FILE)
    vocab = vocab or own
    if vocab is None:
        raise InputError(f"{model}: no {VOCAB_FILE} beside it", "put the vocabulary of the model there")
    return CheckpointFiles(model, vocab, own, beside(CONFIG_FILE))


def _pulled(source: Source, name: str, offline: bool, progress: bool) -> Path:
    from flip.hub.pull import pull

    try:
        return pull(source, offline=offline, progress=progress).folder
    except UnavailableError as error:
        raise UnavailableError(f"there is no folder {name!r} here; {error.message}", error.hint) from error


def _on_hub(name: str) -> Source | None:
    try:
        return Source.parse(name)
    except UsageError:
        return None
