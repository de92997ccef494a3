"""The material of `flip train`: datasets, vocabulary, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli import loading
from flip.cli.embed_dataset import progress_of_parts

if TYPE_CHECKING:
    from flip.cli.options import TrainSettings
    from flip.cli.output import Output
    from flip.cli.settings import Settings
    from flip.data.corpora import Part
    from flip.encoders.base import Encoder
    from flip.text.tokenize import TokenizerName
    from flip.text.vocabulary import Vocabulary
    from flip.training.datasets import TrainingDatasets
    from flip.training.recipes import TrainConfig


_OF_DATA = ("train", "extra", "dev", "text", "embedding_pair", "sim_threshold")
_OF_CORPUS = ("embeddings", "tokenizer", "split", "augment", "teach", "encoder", "encoder_batch_size")
_INSTEAD = {
    "extra": "--augment N makes further sentences of a CORPUS",
    "augment": "flip embed CORPUS --dataset DIR --augment N embeds more; then --data DIR/datasets.yaml "
    "--extra augmented",
}


def require_source(settings: Settings, *also: str) -> None:
    """Raises a UsageError unless exactly one source is named, without options of the other.

    What the command line names wins over the other in flip.toml.

    Args:
        settings: with `corpus` or `data`.
        also: options that the command line names beside those of `flip train`'s own settings.

    Raises:
        UsageError: both or none, or an option of the other.
    """
    from flip.errors import UsageError

    own, named = settings.train, settings.named | set(also)
    if "corpus" in named:
        own.data = own.data if "data" in named else None
        own.extra = own.extra if "extra" in named else None
    elif "data" in named:
        own.corpus, own.augment = [], own.augment if "augment" in named else None
    if bool(own.corpus) == bool(own.data):
        raise UsageError(
            "give either a CORPUS or --data",
            "flip train sents.txt -o RUN, or flip train --data datasets.yaml -o RUN",
        )
    in_file = {name for name in ("extra", "augment") if getattr(own, name) is not None}
    for name in _OF_DATA if own.corpus else _OF_CORPUS:
        if name in named | in_file:
            hint = _INSTEAD.get(name, "flip train --help says what each is of")
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} is of {'--data' if own.corpus else 'a CORPUS'}", hint)
    if {"tokenizer", "vocab"} <= named:
        raise UsageError("--tokenizer makes a vocabulary, and --vocab is one", "leave one of them out")


def prepare(settings: Settings, out: Output) -> TrainingDatasets:
    """Reads the datasets that a manifest names, or makes them of a CORPUS in the folder of the run."""
    return _from_corpus(settings, out) if settings.train.corpus else _from_manifest(settings)


def _from_corpus(settings: Settings, out: Output) -> TrainingDatasets:
    from flip.training.run_folder import DATA

    own = settings.train
    assert own.output is not None
    if own.embeddings is not None:
        return _of_given_vectors(own.embeddings, settings, word_chooser(settings), out)
    encoder = loading.load_encoder(settings.encoder, settings, out)
    parts = read_corpus(settings, augmentation(own, encoder), out)
    material = embedded(parts, own.output / DATA, encoder, word_chooser(settings), settings, out)
    note_blank_lines(parts, out)
    if not own.vocab and (advice := material.vocabulary.unsegmented):
        out.note(f"note: {advice}")
    return material


def word_chooser(settings: Settings, tokenizer: TokenizerName | None = None) -> Callable[[list[str]], Vocabulary]:
    """What makes a vocabulary of training sentences, or takes the one that was named; `tokenizer` overrides."""
    from flip.data.published_configs import load_vocabulary
    from flip.inputs.records import read_taught, read_texts
    from flip.text.tokenize import Tokenizer
    from flip.text.vocabulary import build_vocabulary

    own, v = settings.train, settings.vocab

    def choose_words(sentences: list[str]) -> Vocabulary:
        if own.vocab:
            return load_vocabulary(own.vocab)
        return build_vocabulary(
            sentences,
            Tokenizer(tokenizer or own.tokenizer or v.tokenizer, v.strip_accents, v.ngram, v.normalize, v.lowercase),
            max_features=v.max_features,
            min_df=v.min_df,
            max_df=v.max_df,
            words=read_texts([v.words]) if v.words else None,
            teach=read_taught(own.teach),
        )

    return choose_words


def read_corpus(settings: Settings, times: int, out: Output) -> dict[str, Part]:
    """The CORPUS of the settings of `flip train`, split; and of its training sentences further ones, see `augment`."""
    from flip.data.corpora import augmented, read_plain
    from flip.errors import UsageError
    from flip.inputs.records import read_taught
    from flip.training.datasets import AUGMENTED

    own = settings.train
    parts = read_plain(own.corpus, own.split, settings.seed, lambda message: out.note(f"note: {message}"))
    teach = read_taught(own.teach)
    if teach and not times:
        raise UsageError("--teach makes sentences to learn from, which --augment 0 leaves out", "add --augment 2")
    if times:
        parts[AUGMENTED] = augmented(parts["train"], times, settings.seed, teach)
    return parts


def embedded(
    parts: dict[str, Part],
    folder: Path,
    encoder: Encoder,
    choose_words: Callable[[list[str]], Vocabulary],
    settings: Settings,
    out: Output,
) -> TrainingDatasets:
    """Embeds the parts into `folder`, with a bar."""
    from flip.training.datasets import of_corpus

    own = settings.train
    with progress_of_parts(parts, False, out) as on_rows:
        return of_corpus(
            parts, folder, encoder, choose_words, sources=own.corpus, split=own.split,
            batch_size=settings.embed.batch_size, on_rows=on_rows,
        )  # fmt: skip


def note_blank_lines(parts: dict[str, Part], out: Output) -> None:
    """Says how many lines of the corpus were left out."""
    if blank := sum(part.dropped for part in parts.values()):
        out.note(f"note: {blank} blank lines dropped")


def _of_given_vectors(
    vectors: Path, settings: Settings, choose_words: Callable[[list[str]], Vocabulary], out: Output
) -> TrainingDatasets:
    from itertools import chain

    from flip.errors import UsageError
    from flip.inputs.records import read_records
    from flip.training.datasets import of_vectors
    from flip.training.run_folder import DATA

    own = settings.train
    assert own.output is not None
    if given := [name for name in ("augment", "teach") if getattr(own, name)]:
        raise UsageError(f"--{given[0]} makes sentences that would have to be embedded", "leave --embeddings out")
    if "encoder" in settings.named:
        raise UsageError("--encoder embeds, and --embeddings are there", "leave one of them out")
    records = (read_records(name, on_note=lambda message: out.note(f"note: {message}")) for name in own.corpus)
    sentences = [record.text or "" for record in chain.from_iterable(records)]
    material, left_out = of_vectors(
        vectors, sentences, own.output / DATA, choose_words, sources=own.corpus, split=own.split, seed=settings.seed
    )
    if left_out:
        out.note(f"note: {left_out} rows left out, which are blank or hold NaN")
    if not material.encoder.is_known:
        out.note(f"note: nothing says which encoder made {vectors}; the model takes vectors only")
    return material


def augmentation(own: TrainSettings, encoder: Encoder) -> int:
    """How many crops of each sentence are learned from: as asked for, else what an encoder can afford."""
    if own.augment is not None:
        return own.augment
    # Nobody should pay for five times the corpus without having asked for it.
    return 0 if own.recipe == "paper" or encoder.device == "api" else 2


def _from_manifest(settings: Settings) -> TrainingDatasets:
    from flip.data.published_configs import load_vocabulary
    from flip.errors import UsageError
    from flip.training.datasets import of_manifest

    own = settings.train
    assert own.data is not None
    assert own.output is not None
    if own.vocab is None:
        raise UsageError("no vocabulary", "make one with `flip vocab` and name it with --vocab")
    return of_manifest(
        own.data, own.output, load_vocabulary(own.vocab), train=own.train, extra=own.extra, dev=own.dev,
        test=settings.eval.dataset, dev_manifest=own.dev_data, text=own.text, embedding_pair=own.embedding_pair,
        sim_threshold=own.sim_threshold, alpha=own.alpha,
    )  # fmt: skip


def ingredients(own: TrainSettings, seed: int, out: Output, d: int | None) -> TrainConfig:
    """The recipe of the settings for embeddings of d dimensions, where that is known."""
    from flip.training.recipes import choose

    config = choose(own.recipe, own.rank, vars(own) | {"seed": seed}, d)
    if d is not None and config.rank is not None and config.rank > d:
        out.note(f"note: rank {config.rank} is more than the {d} dimensions of the embeddings: it adds no power")
    return config
