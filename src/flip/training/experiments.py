"""Run the same experiment for several encoders: one run each, in a folder that is kept and found again."""

import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import torch

from flip.data.corpora import TEXT, Part
from flip.encoders.base import Encoder, language_of
from flip.encoders.identity import EncoderIdentity, still_gives
from flip.errors import InputError
from flip.evaluation.results import peak_memory, threads
from flip.files import Fields, read_json, safe_name, write_json
from flip.inputs.embedding_files import open_embeddings
from flip.model.locate import CONFIG_FILE
from flip.text.vocabulary import Vocabulary
from flip.training import datasets, pipeline, progress, recipes, run_folder

COST = "cost.json"
_MADE_OF = "made_of"  # in `data` of config.json: a digest of all that determines the run


@dataclass(frozen=True)
class Experiment:
    """Parts, vocabulary and training that are the same for all encoders.

    parts: train, dev and test, and maybe `augmented`, see `flip.data.corpora`.
    vocabulary: of the training sentences.
    configure: gives the ingredients of the training for embeddings of d dimensions, or of unknown dimension.
    version: of flip; runs of another version are not compared with those of this one.
    """

    parts: Mapping[str, Part]
    vocabulary: Vocabulary
    configure: Callable[[int | None], recipes.TrainConfig]
    version: str

    def folder(self, runs: Path, name: str, encoder: Encoder) -> Path:
        """Return the folder of an encoder's run on these sentences: its embeddings serve every recipe and vocabulary.

        name: of the encoder, as the user gave it.
        """
        sentences = [self.parts[part].texts[TEXT] for part in ("train", "dev", "test")]
        return runs / f"{safe_name(name)}-{_digest([name, _encoded_by(encoder), sentences])[:12]}"

    def made_of(self, encoder: Encoder) -> str:
        """Return a digest of options, words, sentences, encoder and version of flip."""
        sentences = {part: self.parts[part].texts[TEXT] for part in sorted(self.parts)}
        ingredients = [self.configure(None).to_dict(), self.vocabulary.options, _encoded_by(encoder), self.version]
        return _digest([sentences, ingredients])

    def is_done(self, folder: Path, encoder: Encoder) -> bool:
        """Return whether the run exists, is measured, and belongs to this experiment."""
        config = _config(folder)
        return "metrics" in config and config.get("data", {}).get(_MADE_OF) == self.made_of(encoder)

    def forget_other_vectors(self, folder: Path, encoder: Encoder) -> bool:
        """Remove a run whose vectors the encoder would not give today; return whether it was removed.

        A custom encoder seldom names its weights, so one batch of the test sentences is embedded again. An API is not
        asked.
        """
        kept = folder / run_folder.DATA / "test.npy"
        if not kept.is_file():
            return False
        before = open_embeddings(kept)[: encoder.batch_size]
        if still_gives(encoder, self.parts["test"].texts[TEXT][: len(before)], before):
            return False
        shutil.rmtree(folder)
        return True

    def run(
        self,
        folder: Path,
        encoder: Encoder,
        prepare: Callable[[], datasets.TrainingDatasets],
        *,
        device: torch.device | str = "cpu",
        on_step: Callable[[int, int], None] | None = None,
    ) -> Generator[progress.Epoch, None, None]:
        """Embed and train, continuing an interrupted run of this experiment.

        Args:
            folder: of the run, from `Experiment.folder`.
            encoder: of the run.
            prepare: embeds the parts into `folder`/data, see `flip.training.datasets.of_corpus`.
            device, on_step: as for `train`.

        Yields:
            An Epoch after each pass.
        """
        made_of = self.made_of(encoder)
        seconds: dict[str, float | None] = {}

        def material() -> datasets.TrainingDatasets:
            begun = any((folder / run_folder.DATA).glob("*.npy")) or any((folder / run_folder.DATA).glob(".*.partial"))
            started = time.perf_counter()
            found = prepare()
            seconds["embedding"] = None if begun else round(time.perf_counter() - started, 2)
            return replace(found, description=found.description | {_MADE_OF: made_of})

        config = _config(folder)
        unfinished = (folder / run_folder.STATE).is_file() and "metrics" not in config
        resume = unfinished and config.get("data", {}).get(_MADE_OF) == made_of
        trained = yield from pipeline.train(
            material, folder, self.configure, device=device, resume=resume, force=not resume, on_step=on_step
        )
        assert trained is not None
        seconds["training"] = None if resume else round(trained.seconds, 2)
        about = {"seconds": seconds, "threads": threads(), "peak_memory": peak_memory(), _MADE_OF: made_of}
        write_json(folder / COST, about)

    def cost(self, folder: Path, encoder: Encoder) -> Fields:
        """Return seconds, threads and peak memory of a run; empty if they were not kept."""
        with suppress(InputError):
            about: Fields = read_json(folder / COST)
            if about.pop(_MADE_OF, None) == self.made_of(encoder):
                return about
        return {}


def _encoded_by(encoder: Encoder) -> Fields:
    """Return the identity and language of an encoder, as far as it reports them."""
    language = language_of(encoder)
    return EncoderIdentity.of(encoder).to_dict() | ({"language": language} if language else {})


def _config(folder: Path) -> Mapping[str, Any]:
    """Return config.json of a run; empty if it is missing or not readable, so that the run is made again."""
    with suppress(InputError):
        config = read_json(folder / CONFIG_FILE)
        return config if isinstance(config, dict) else {}
    return {}


def _digest(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
