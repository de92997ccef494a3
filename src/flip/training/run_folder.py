"""Keep the folder of a training run: best model, last state, log; a kill at any moment leaves it complete."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flip.errors import InputError, UsageError
from flip.files import os_errors, read_json, remove, replacing, write_json
from flip.locks import held, lock_of
from flip.model.checkpoint import Checkpoint, SavedType, load_model, save_checkpoint
from flip.model.locate import CONFIG_FILE, MODEL_FILE, VOCAB_FILE
from flip.model.tensors import saving
from flip.training.recipes import Precision

if TYPE_CHECKING:
    from flip.arrays import Floats
    from flip.model.config import CheckpointConfig
    from flip.text.bow import Bags
    from flip.text.vocabulary import Vocabulary
    from flip.training.progress import Epoch
    from flip.training.trainer import Trainer

DATA, LOG, STATE, STARTED = "data", "log.jsonl", "state.safetensors", "options.json"
_OWN = (STARTED, STATE, LOG, MODEL_FILE, VOCAB_FILE, CONFIG_FILE)
_LEFT = tuple(f".{name}.*.partial" for name in _OWN)  # the remains of a process that was killed while it wrote
_SAMPLED_ROWS = 1_000  # rows in the digest of embeddings


class Ingredients(BaseModel):
    """The ingredients of a run, see `TrainConfig`; here is only what is read back."""

    model_config = ConfigDict(extra="allow")

    precision: Precision


class RunOptions(BaseModel):
    """The content of options.json: ingredients of a run, and sizes and SHA-256 digests of its data and vocabulary.

    Fields of other versions are kept, and compared with those of this one.
    """

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

    training: Ingredients
    rows: int
    whole: int | None
    words: int
    data: str
    dev: str
    embeddings: str
    dev_embeddings: str = Field(alias="dev embeddings")
    vocabulary: str

    @classmethod
    def read(cls, folder: Path) -> RunOptions:
        """Read the options that the run in `folder` was started with.

        Raises:
            InputError: the file is damaged.
        """
        path = folder / STARTED
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{path}: {field}: {first['msg']}", "--force starts the run anew") from error


@contextmanager
def open_run(folder: Path, *, resume: bool = False, force: bool = False) -> Iterator[None]:
    """Prepare the folder of a run, and lock it for this process until the block ends.

    A run in it stays until `train_run` begins another. A folder with nothing but `data/` (a corpus that was split and
    embedded) counts as new.

    Raises:
        UsageError: --resume and --force together, or there is nothing to resume.
        InputError: it holds a run or something else, without --resume or --force; another process has locked it; or it
            cannot be written.
    """
    if resume and force:
        raise UsageError("--resume and --force exclude each other")
    if resume and not (folder / STARTED).is_file():
        raise UsageError(f"{folder}: no run to resume", "leave --resume out to start one")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "-o names the folder of the run")
    with held(folder / STARTED, folder):
        with os_errors(folder, "write"):
            left = {path for pattern in _LEFT for path in folder.glob(pattern)}
            others = {path for path in folder.iterdir() if path.name not in (DATA, lock_of(folder / STARTED).name)}
            if others - left and not resume and not force:
                raise InputError(
                    f"{folder} exists and is not empty",
                    "--resume goes on with the run in it, --force starts it anew (its data/ is kept), -o names another",
                )
            for path in left:
                remove(path)
        yield


def train_run(
    folder: Path,
    trainer: Trainer,
    vocabulary: Vocabulary,
    config: CheckpointConfig,
    *,
    resume: bool = False,
    dtype: SavedType = "float32",
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[Epoch]:
    """Train in `folder`; after each epoch, replace the best model, the log and the state, each atomically.

    Processes that train together all call it with the same `folder`, and the first one writes.

    Args:
        folder: locked by `open_run`.
        trainer: at its start.
        vocabulary: saved with the model.
        config: config.json of the checkpoint.
        resume: continue after the last complete epoch.
        dtype: of the saved model.
        on_step: see `Trainer.fit`.

    Raises:
        UsageError: the run was started with other options, data or vocabulary.
    """
    import orjson
    from safetensors import safe_open
    from safetensors.torch import save_file

    started = RunOptions.model_validate(
        {
            "training": trainer.config.to_dict(),
            "rows": trainer.n,
            "whole": trainer.train.whole,
            "words": len(vocabulary),
            "data": _bags_digest(trainer.train.bags),
            "dev": _bags_digest(trainer.dev.references.words),
            "embeddings": _views_digest(trainer.train.views),
            "dev embeddings": _views_digest(trainer.dev.views),
            "vocabulary": _digest("\n".join(vocabulary.words).encode()),
        }
    )
    log: list[Mapping[str, object]] = []
    if resume:
        _require_same(RunOptions.read(folder), started, folder)
        if (folder / STATE).is_file():
            with safe_open(folder / STATE, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                trainer.restore(tensors, file.metadata(), load_model(folder / MODEL_FILE))
        if (folder / LOG).is_file():
            lines = [orjson.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
            log = [line for line in lines if line["epoch"] <= trainer.epoch]
    if not trainer.group.is_first:
        yield from trainer.fit(on_step)
        return
    if not resume:
        with os_errors(folder, "write"):
            for name in _OWN:
                (folder / name).unlink(missing_ok=True)
        write_json(folder / STARTED, started.model_dump())
    where = {"device": str(trainer.device), "precision": trainer.config.precision}
    for epoch in trainer.fit(on_step):
        if epoch.best or trainer.best_score == -math.inf:  # before the first check each is the best that is known
            save_checkpoint(folder, Checkpoint(trainer.best, vocabulary, config, str(folder)), dtype)
        # The state is written last: --resume repeats a pass that the state lacks, but could not recover a lost file.
        log.append({**epoch.to_dict(), **where})
        with replacing(folder / LOG) as temporary:
            temporary.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in log))
        tensors, progress = trainer.state()
        with saving(folder / STATE, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
            save_file(tensors, temporary, metadata=progress)
        yield epoch


def kept_epoch(folder: Path) -> int:
    """Return the epoch of the best check, from 1: `folder` keeps its model."""
    import orjson

    with os_errors(folder / LOG, "read"):
        lines = [orjson.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    return max((int(line["epoch"]) for line in lines if line["best"]), default=len(lines))


def precision_of(folder: Path) -> Precision:
    """Return the precision that a probe chose when the run in `folder` began; a new probe may choose another."""
    return RunOptions.read(folder).training.precision


def _bags_digest(bags: Bags) -> str:
    return _digest(bags.indptr.data, bags.words.data, bags.counts.data)


def _views_digest(views: Sequence[Floats]) -> str:
    rows = [view[:: max(1, len(view) // _SAMPLED_ROWS)] for view in views]
    return _digest(*(part for sample in rows for part in (repr(sample.shape).encode(), sample.tobytes())))


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _require_same(before: RunOptions, now: RunOptions, folder: Path) -> None:
    def flat(options: RunOptions) -> Mapping[str, object]:
        return options.training.model_dump() | options.model_dump(exclude={"training"})

    old, new = flat(before), flat(now)
    changed = [f"{key} {old.get(key)} -> {value}" for key, value in new.items() if old.get(key) != value]
    if changed:
        raise UsageError(
            f"{folder} was started with other options: {', '.join(changed)}",
            "give the same options to resume, or --force to start anew",
        )
