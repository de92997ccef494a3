"""What `flip train` learns from: datasets, vocabulary, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flip.cli import options
from flip.cli.embed_dataset import progress_of_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flip.cli.output import Output
    from flip.cli.settings import Settings, TrainSettings
    from flip.data.manifest import Dataset
    from flip.encoders.base import Encoder
    from flip.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Given:
    """Datasets with their vocabulary, and what config.json says of encoder and data.

    train: the whole sentences, and after them those made of them, if any.
    whole: how many whole sentences there are.
    """

    train: Dataset
    whole: int
    dev: Dataset
    test: Dataset | None
    vocabulary: Vocabulary
    encoder: dict[str, Any]
    description: dict[str, Any]


def require_source(settings: Settings, of_data: dict[str, Any], of_corpus: dict[str, Any]) -> None:
    """Raises a UsageError where there is not one source, or where an option of the other was given.

    Args:
        settings: with `corpus` or `data`.
        of_data: options that only --data has, by their flags; None where one was not given.
        of_corpus: those that only a CORPUS has.
    """
    from flip.errors import UsageError

    own = settings.train
    if bool(own.corpus) == bool(own.data):
        raise UsageError(
            "give either a CORPUS or --data",
            "flip train sents.txt -o RUN, or flip train --data datasets.yaml -o RUN",
        )
    wrong = [flag for flag, given in (of_data if own.corpus else of_corpus).items() if given is not None]
    if wrong:
        hint = {
            "--extra": "--augment N makes further sentences of a CORPUS",
            "--augment": "flip embed CORPUS --dataset DIR --augment N embeds more; then --data DIR/datasets.yaml "
            "--extra augmented",
        }.get(wrong[0], "flip train --help says what each is of")
        raise UsageError(f"{wrong[0]} is of {'--data' if own.corpus else 'a CORPUS'}", hint)


def prepare(settings: Settings, out: Output) -> Given:
    """Reads the datasets that a manifest names, or makes them of a CORPUS in the folder of the run."""
    return _from_corpus(settings, out) if settings.train.corpus else _from_manifest(settings)


def _from_corpus(settings: Settings, out: Output) -> Given:
    from flip.data.corpora import augmented, read_plain
    from flip.data.manifest import load_dataset
    from flip.data.published_configs import load_vocabulary
    from flip.embedding.corpus import MANIFEST, prepare_corpus
    from flip.encoders.identity import describe
    from flip.errors import UsageError
    from flip.inputs.records import read_texts
    from flip.text.tokenize import Tokenizer
    from flip.text.vocabulary import build_vocabulary
    from flip.training.run_folder import DATA

    own, v = settings.train, settings.vocab
    assert own.output is not None
    encoder = options.load_encoder(settings.encoder, settings, out)
    parts = read_plain(own.corpus, own.split, settings.seed)
    teach = list(read_texts([own.teach])) if own.teach else []
    times = _augmentation(own, encoder)
    if teach and not times:
        raise UsageError("--teach makes sentences to learn from, which --augment 0 leaves out", "add --augment 2")
    if times:
        parts["augmented"] = augmented(parts["train"], times, settings.seed, teach)
    blank = sum(part.dropped for part in parts.values())
    with progress_of_parts(parts, False, out) as on_rows:
        datasets = prepare_corpus(
            parts,
            own.output / DATA,
            encoder,
            sources=own.corpus,
            batch_size=settings.embed.batch_size,
            force=True,  # RUN/data is ours
            on_rows=on_rows,
        )
    if blank:
        out.note(f"note: {blank} blank lines dropped")
    sentences = datasets["train"].sentences()
    learned = load_dataset(own.output / DATA / MANIFEST, "train,augmented" if "augmented" in datasets else "train")
    if own.vocab:
        vocabulary = load_vocabulary(own.vocab)
    else:
        vocabulary = build_vocabulary(
            sentences,
            Tokenizer(v.tokenizer, v.strip_accents, v.ngram, v.normalize, v.lowercase),
            max_features=v.max_features,
            min_df=v.min_df,
            max_df=v.max_df,
            words=read_texts([v.words]) if v.words else None,
            teach=teach,
        )
    if not own.vocab and (advice := vocabulary.unsegmented):
        out.note(f"note: {advice} (in flip.toml: [vocab] tokenizer)")
    about = describe(encoder)
    described = {
        "manifest": f"{DATA}/{MANIFEST}",
        "test": "test",
        "corpus": [Path(name).name for name in own.corpus],
        "split": own.split,
    } | ({"augmented": len(datasets["augmented"].sentences())} if "augmented" in datasets else {})
    return Given(learned, len(sentences), datasets["dev"], datasets["test"], vocabulary, about, described)


def _augmentation(own: TrainSettings, encoder: Encoder) -> int:
    if own.augment is not None:
        return own.augment
    # Nobody should pay for five times the corpus without having asked for it.
    return 0 if own.recipe == "paper" or encoder.device == "api" else 2


def _from_manifest(settings: Settings) -> Given:
    from flip.data.manifest import load_dataset, load_manifest
    from flip.data.published_configs import load_vocabulary
    from flip.encoders.identity import UNKNOWN, common_encoder
    from flip.errors import InputError, UsageError

    own = settings.train
    assert own.data is not None
    assert own.output is not None
    learned = own.train if own.extra is None else f"{own.train},{own.extra}"

    def load(manifest: Path, name: str) -> Dataset:
        data = load_dataset(manifest, name, embeddings=own.embedding_pair, sim_threshold=own.sim_threshold)
        if not data.embeddings:
            raise InputError(f"dataset {name!r} has no embeddings", "add them with `flip embed`")
        return data.with_embeddings(_used([embedding.id for embedding in data.embeddings], own.alpha))

    whole, train, dev = load(own.data, own.train), load(own.data, learned), load(own.dev_data or own.data, own.dev)
    if own.vocab is None:
        raise UsageError("no vocabulary", "make one with `flip vocab` and name it with --vocab")
    datasets = load_manifest(own.data)
    test = settings.eval.dataset if settings.eval.dataset in datasets else None
    tested = datasets[test].with_embeddings([train.embeddings[0].id]) if test else None
    # Embeddings of unknown origin are taken at the user's word.
    files = [file for data in (train, dev, tested) if data for file in data.embeddings]
    about = common_encoder((source for file in files for source in file.sources), str(own.data))
    about = {"name": UNKNOWN, "revision": None} | about | {"dimension": train.embeddings[0].open().shape[1]}
    described = {
        "manifest": _manifest_name(own.data, own.output),
        "train": learned,
        "dev": own.dev,
        "test": test,
    }
    return Given(train, len(whole.embeddings[0].open()), dev, tested, load_vocabulary(own.vocab), about, described)


def _used(ids: list[str], alpha: float) -> list[str]:
    """The embeddings that are learned from: the first two, but one of them where the other has no weight."""
    first, second = ids[:1], ids[1:2]
    return first if alpha == 1 else second or first if alpha == 0 else first + second


def _manifest_name(manifest: Path, run: Path) -> str:
    """Where a manifest lies, seen from the run; only its name where one of them is outside the working directory.

    The folder of a run is made to be published, and must not name the folders of this machine.
    """
    import os

    here = Path.cwd()
    if manifest.resolve().is_relative_to(here) and run.resolve().is_relative_to(here):
        return os.path.relpath(manifest, run)
    return manifest.name


def views_of(data: Dataset) -> tuple[NDArray[np.floating[Any]], ...]:
    """The embeddings of a dataset, checked.

    Raises:
        InputError: they have other dimensions, or one is not finite.
    """
    from flip.data.manifest import require_same_dimension
    from flip.inputs.embedding_files import require_finite

    views = [(file.file, file.open()) for file in data.embeddings]
    require_same_dimension(views)
    for path, view in views:
        require_finite(view, str(path))
    return tuple(view for _, view in views)
