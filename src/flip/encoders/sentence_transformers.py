"""Run LaBSE and any other model of sentence-transformers, in bfloat16 if that is faster and keeps the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flip.device import matmul_dtype, torch_device
from flip.encoders.base import Encoder, EncoderOptions, read_by, read_texts
from flip.errors import InputError, UnavailableError, UsageError
from flip.files import readable
from flip.forks import made_again
from flip.hub.client import Source
from flip.hub.weights import content_hash, names_on_hub

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from flip.arrays import Floats32

_INSTALL = "pip install 'flip-interpret[st]'"
_ELSE = "it needs the network once; or st:FOLDER with a copy"
_LEAST_COSINE = 0.999
# Several lengths and scripts, so that the loss of a number format shows.
_PROBES = (
    "Yes.",
    "The train to Boston was late because of heavy snow.",
    "Der Zug nach Hamburg fiel aus, weil es zu stark schneite.",
    "She paid 19.99 for it in 2007, and never looked back.",
    "Музыка играла до утра.",
    "이 책은 정말 재미있어요.",
    "On the other side of the river stood a house with a red roof, and nobody in the village could remember who "
    "had built it, or when, or why the door had never been opened since the old man left for the city.",
    "¿Dónde está la biblioteca?",
)


def missing(model: str) -> str | None:
    """Return the package or model to get; None if sentence-transformers and the catalog's model are here."""
    if find_spec("sentence_transformers") is None:
        return _INSTALL
    here = not model or readable(Source(model).storage)
    return None if here else f"it needs the network once, to download {model}; or st:FOLDER"


class SentenceTransformers(Encoder):
    """A model of sentence-transformers, with its own pooling and normalisation."""

    name: str = "st"

    def __init__(self, model: str, options: EncoderOptions, *, device: str = "auto", offline: bool = False) -> None:
        """Load a model.

        Args:
            model: a folder, or a name on the hub; the cache is asked first. Code from the hub is never run.
            options: precision, prompt, dimensions.
            device: see `flip.device.torch_device`.
            offline: never ask the hub.

        Raises:
            UnavailableError: sentence-transformers or the model is not here.
            UsageError: more dimensions than the model has.
            InputError: the model cannot be loaded.
        """
        try:
            import sentence_transformers  # noqa: F401
        except ImportError as error:
            raise UnavailableError(
                f"this encoder needs sentence-transformers, which cannot be imported: {error}", _INSTALL
            ) from error
        self.options = options
        self._torch_device = torch_device(device)
        self.device = str(self._torch_device)
        self._source, self._offline = model, offline
        self._dtype: torch.dtype | None = None  # of the weights
        commit, self.weights = _origin(self._model, model)
        self.revision = commit or self.weights or "unknown"
        whole = _dimension(self._model)
        if options.dimensions is not None and not 0 < options.dimensions <= whole:
            raise UsageError(f"--dimensions {options.dimensions}: {model} has {whole}", f"from 1 to {whole}")
        self.dimension = options.dimensions or whole
        self._choose_precision()

    @made_again
    def _model(self) -> SentenceTransformer:
        model = _load(self._source, self.device, self.options.dimensions, self._offline)
        return model if self._dtype is None else model.to(self._dtype)

    def encode(self, batch: Sequence[str | Path]) -> Floats32:
        """Return the embeddings of n sentences: (n, d); sorted by length inside, so that little is padded."""
        vectors = self._model.encode(
            read_texts(batch, self.name),
            prompt=self.options.prompt,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, np.float32)

    def read_to(self, batch: Sequence[str | Path]) -> list[int | None]:
        """Return the number of characters that the model reads of each sentence; None if it reads all of it."""
        return read_by(self._model, read_texts(batch, self.name), self.options.prompt)

    def retrieval_prompts(self) -> tuple[str | None, str | None]:
        """Return the prompts that the model's config names for queries, and for passages or documents."""
        named = self._model.prompts
        return named.get("query"), named.get("passage") or named.get("document")

    def _choose_precision(self) -> None:
        import torch

        names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        if self.options.precision != "auto":
            self._dtype = names[self.options.precision]
            self._model.to(self._dtype)
            return
        faster = matmul_dtype(self._torch_device)
        if faster != torch.float32:
            self._try(faster)

    def _try(self, dtype: torch.dtype) -> None:
        """Keep `dtype` if every probe's vector stays nearly the same, else load the model again as it was."""
        exact = self.encode(_PROBES)
        self._model.to(dtype)
        close = self.encode(_PROBES)
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(close, axis=1)
        if ((exact * close).sum(axis=1) >= _LEAST_COSINE * norms).all():
            self._dtype = dtype
        else:
            del self._model


def _load(model: str, device: str, dimensions: int | None, offline: bool) -> SentenceTransformer:
    """Return the model in float32."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would be drawn into files too
    folder = Path(model)
    if not folder.is_dir() and (folder.is_absolute() or model.startswith(("./", "../", "~")) or model.count("/") > 1):
        raise UnavailableError(f"{model}: no such folder", "st: takes a folder, or a name on the hub")
    # The cache first: with a network the hub would be asked for every file.
    for local in (True,) if offline or folder.is_dir() else (True, False):
        try:
            loaded = SentenceTransformer(
                model,
                device=device,
                truncate_dim=dimensions,
                local_files_only=local,
                model_kwargs={"dtype": torch.float32},
            )
            break
        except OSError as error:
            failure = error
            if local and not (offline or folder.is_dir()):
                _ask_hub(model)
        except Exception as error:  # transformers raises many kinds of errors for a damaged or foreign folder
            raise InputError(f"{model}: sentence-transformers cannot load it: {_line(error)}") from error
    else:
        if folder.is_dir():
            raise InputError(f"{model}: sentence-transformers cannot load it: {_line(failure)}") from failure
        why = "and --offline forbids the hub" if offline else "and the hub is out of reach"
        raise UnavailableError(f"{model} is not on this machine, {why}", _ELSE) from failure
    return loaded


def _ask_hub(model: str) -> None:
    """Raise an UnavailableError if the hub is out of reach, or has no such model."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        names_on_hub(model if "/" in model else f"sentence-transformers/{model}", _ELSE)
    except UnavailableError as error:
        if "/" in model or not isinstance(error.__cause__, RepositoryNotFoundError):  # such as bert-base-uncased
            raise


def _origin(loaded: SentenceTransformer, model: str) -> tuple[str | None, str | None]:
    """Return the commit on the hub, if the model is from there, and the hash of the weights, if they are found."""
    commit, folder = None, Path(model)
    if not folder.is_dir():
        commit = getattr(getattr(getattr(loaded[0], "auto_model", None), "config", None), "_commit_hash", None)
        folder = Source(model).storage / "snapshots" / str(commit)
    files = sorted([*folder.rglob("*.safetensors"), *folder.rglob("pytorch_model*.bin")])
    return commit, content_hash(files[0]) if files else None


def _dimension(model: SentenceTransformer) -> int:
    """Return the dimension before it is cut."""
    cut, model.truncate_dim = model.truncate_dim, None
    # Renamed in sentence-transformers 6.
    get = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    try:
        return int(get() or 0)
    finally:
        model.truncate_dim = cut


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
