"""Prepare datasets and a vocabulary for training, from a corpus, from given vectors, or from a manifest."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flip.arrays import Floats
from flip.data.corpora import Part
from flip.data.manifest import MANIFEST, Dataset, load_dataset, load_manifest, require_same_dimension
from flip.data.precomputed import split_vectors
from flip.embedding.corpus import prepare_corpus, require_elsewhere
from flip.encoders.base import Encoder
from flip.encoders.identity import UNKNOWN, EncoderIdentity, common_encoder, describe
from flip.errors import InputError
from flip.files import Fields
from flip.inputs.embedding_files import require_finite
from flip.text.vocabulary import Vocabulary

AUGMENTED = "augmented"  # the part with sentences that are made of others


@dataclass(frozen=True)
class TrainingDatasets:
    """Datasets, their vocabulary, and the description of encoder and data in config.json.

    train: whole sentences, then the sentences made of them, if any.
    whole: number of whole sentences.  natural: how many of them have the frequencies of the language, from the first;
    None: all.
    text: id of the text, if a dataset has several.
    """

    train: Dataset
    whole: int
    dev: Dataset
    test: Dataset | None
    vocabulary: Vocabulary
    encoder: EncoderIdentity
    description: Fields
    text: str | None = None
    natural: int | None = None

    @property
    def dimension(self) -> int:
        """Dimension d of the embeddings."""
        return int(self.train.embeddings[0].open().shape[1])

    def require_one_dimension(self) -> None:
        """Raise an InputError if the embeddings of train, dev and test differ in dimension."""
        datasets = [data for data in (self.train, self.dev, self.test) if data]
        require_same_dimension([(data.embeddings[0].file, data.embeddings[0].open()) for data in datasets])


def of_corpus(
    parts: Mapping[str, Part],
    folder: Path,
    encoder: Encoder,
    choose_words: Callable[[list[str]], Vocabulary],
    *,
    sources: Sequence[str] = (),
    split: str = "",
    about: Fields | None = None,
    batch_size: int | None = None,
    on_rows: Callable[[str, int, int], None] | None = None,
) -> TrainingDatasets:
    """Embed a corpus into `folder`, and choose words from its training sentences.

    Args:
        parts: train, dev and test, and maybe `augmented`, see `flip.data.corpora`.
        folder: for the embeddings and their manifest; vectors that an earlier run left of these sentences are reused.
        encoder: embeds them.
        choose_words: makes the vocabulary from the training sentences.
        sources, split, about: the origin of the parts, for config.json.
        batch_size, on_rows: see `prepare_corpus`.
    """
    datasets = prepare_corpus(
        parts, folder, encoder, sources=sources, batch_size=batch_size, force=True, on_rows=on_rows
    )
    found = _of_parts(datasets, folder, choose_words, describe(encoder), sources, split)
    description = found.description | (about or {})
    return replace(found, natural=found.whole - parts["train"].flat, description=description)


def of_vectors(
    vectors: Path,
    sentences: Sequence[str],
    folder: Path,
    choose_words: Callable[[list[str]], Vocabulary],
    *,
    sources: Sequence[str] = (),
    split: str,
    seed: int,
) -> tuple[TrainingDatasets, int]:
    """Split vectors and their sentences into `folder`, see `split_vectors`; other arguments as for `of_corpus`.

    Returns:
        The datasets, and the number of rows that were left out.
    """
    require_elsewhere((*sources, vectors), folder, ("train", "dev", "test"))
    datasets, left_out = split_vectors(vectors, sentences, folder, split, seed)
    train = datasets["train"].embeddings[0]
    about = _known(common_encoder([one.encoder for one in train.sources], str(vectors)), train.open().shape[1])
    material = _of_parts(datasets, folder, choose_words, about, (*sources, str(vectors)), split)
    return material, left_out


def _of_parts(
    datasets: Mapping[str, Dataset],
    folder: Path,
    choose_words: Callable[[list[str]], Vocabulary],
    encoder: EncoderIdentity,
    sources: Sequence[str],
    split: str,
) -> TrainingDatasets:
    sentences = datasets["train"].sentences()
    description: Fields = {
        "manifest": f"{folder.name}/{MANIFEST}",
        "test": "test",
        "corpus": [Path(name).name for name in sources],
        "split": split,
    }
    learned = "train"
    if AUGMENTED in datasets:
        learned = f"train,{AUGMENTED}"
        description[AUGMENTED] = len(datasets[AUGMENTED].sentences())
    return TrainingDatasets(
        load_dataset(folder / MANIFEST, learned), len(sentences), datasets["dev"], datasets["test"],
        choose_words(sentences), encoder, description,
    )  # fmt: skip


def of_manifest(
    manifest: Path,
    run: Path,
    vocabulary: Vocabulary,
    *,
    train: str = "train",
    extra: str | None = None,
    dev: str = "dev",
    test: str = "test",
    dev_manifest: Path | None = None,
    text: str | None = None,
    embedding_pair: tuple[str, str] | None = None,
    sim_threshold: float | None = None,
    alpha: float = 0.5,
) -> TrainingDatasets:
    """Return the datasets that a manifest names.

    Args:
        manifest: `datasets.yaml`.
        run: folder of the model to be written; config.json names the manifest relative to it.
        vocabulary: the words to learn.
        train, extra, dev, test: names of datasets, several with commas; extra is for learning too, but does not affect
            the whitening. A test that the manifest does not have is left out.
        dev_manifest: manifest of dev, if it is another one.
        text: id of the text, if a dataset has several.
        embedding_pair, sim_threshold: see `load_dataset`.
        alpha: weight of the first of two embeddings; one without weight is not read.

    Raises:
        InputError: a dataset is missing, or has no embeddings.
    """

    def load(manifest: Path, name: str) -> Dataset:
        data = load_dataset(manifest, name, embeddings=embedding_pair, sim_threshold=sim_threshold)
        if not data.embeddings:
            raise InputError(f"dataset {name!r} has no embeddings", "add them with `flip embed`")
        return data.with_embeddings(_used([embedding.id for embedding in data.embeddings], alpha))

    learned = train if extra is None else f"{train},{extra}"
    whole, learn, check = load(manifest, train), load(manifest, learned), load(dev_manifest or manifest, dev)
    datasets = load_manifest(manifest)
    tested = datasets[test].with_embeddings([learn.embeddings[0].id]) if test in datasets else None
    # Embeddings of unknown origin are taken at the user's word.
    files = [file for data in (learn, check, tested) if data for file in data.embeddings]
    found = common_encoder((source.encoder for file in files for source in file.sources), str(manifest))
    about = _known(found, learn.embeddings[0].open().shape[1])
    description: Fields = {
        "manifest": _manifest_name(manifest, run),
        "train": learned,
        "dev": dev,
        "test": test if tested else None,
    }
    return TrainingDatasets(learn, len(whole.embeddings[0].open()), check, tested, vocabulary, about, description, text)


def _known(encoder: EncoderIdentity, dimension: int) -> EncoderIdentity:
    return replace(encoder, name=encoder.name or UNKNOWN, dimension=dimension)


def views_of(data: Dataset) -> tuple[Floats, ...]:
    """Return the embeddings of a dataset, checked.

    Raises:
        InputError: they differ in dimension, or one is not finite.
    """
    views = [(file.file, file.open()) for file in data.embeddings]
    require_same_dimension(views)
    for path, view in views:
        require_finite(view, str(path))
    return tuple(view for _, view in views)


def _used(ids: list[str], alpha: float) -> list[str]:
    """Return the ids of the embeddings to learn from: the first two, or one of them if the other has no weight."""
    first, second = ids[:1], ids[1:2]
    return first if alpha == 1 else second or first if alpha == 0 else first + second


def _manifest_name(manifest: Path, run: Path) -> str:
    """Return the path of a manifest relative to the run; only its name if one is outside the working directory.

    The folder of a run may be published, and must not name the folders of this machine.
    """
    here = Path.cwd()
    if manifest.resolve().is_relative_to(here) and run.resolve().is_relative_to(here):
        return os.path.relpath(manifest, run)
    return manifest.name
