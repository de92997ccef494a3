"""`flip vocab`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flip.cli.command import command
from flip.cli.output import Output

if TYPE_CHECKING:
    from flip.cli.options import VocabSettings
    from flip.cli.settings import Settings
    from flip.text.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  flip vocab train.txt -o vocab.json --max-features 20000 --min-df 2
  flip vocab train.txt -o concepts.json --concepts
  cat train.jsonl | flip vocab - -o vocab.json --tokenizer unicode
"""


@command("vocab", published=True)
def vocab(settings: Settings, out: Output) -> None:
    """Choose the words that a model is to know.

    Writes word -> index, alphabetically, and the options beside it (vocab.options.json).
    """
    from flip.errors import InputError, UsageError
    from flip.files import require_apart
    from flip.inputs.records import read_taught, read_texts
    from flip.text.concepts import build_concepts
    from flip.text.tokenize import Tokenizer
    from flip.text.vocabulary import build_vocabulary, options_path

    own = settings.vocab
    if {"text", "data"} <= settings.named:
        raise UsageError("TEXT and --data exclude each other")
    if "data" in settings.named:
        own.text = []  # a dataset on the command line wins over files named in flip.toml
    texts = _texts(own, out)
    if own.concepts and own.words:
        raise UsageError("--concepts and --words exclude each other")
    if own.concepts and own.teach:
        raise UsageError("--concepts and --teach exclude each other")
    sources: list[str | Path] = [*own.text, *filter(None, (own.data, own.words, own.teach))]
    for written in (own.output, options_path(own.output)):
        require_apart(written, sources)
    cutter = Tokenizer(own.tokenizer, own.strip_accents, own.ngram, own.normalize, own.lowercase)
    if own.concepts:
        vocabulary = build_concepts(
            texts,
            cutter,
            unigrams=own.unigrams,
            bigrams=own.bigrams,
            min_count=own.min_count,
            min_pmi=own.min_pmi,
        )
        cutter = vocabulary.tokenizer
    else:
        vocabulary = build_vocabulary(
            texts,
            cutter,
            max_features=own.max_features,
            min_df=own.min_df,
            max_df=own.max_df,
            words=read_texts([own.words]) if own.words else None,
            teach=read_taught(own.teach),
        )
    if own.output.is_file() and not own.force and not _may_write(own.output, vocabulary):
        raise InputError(f"{own.output} exists and differs", "--force replaces it, -o names another")
    vocabulary.save(own.output)
    if advice := vocabulary.unsegmented:
        out.note(f"note: {advice}")
    result = {"vocab": str(own.output), "words": len(vocabulary), "tokenizer": cutter.name}
    out.result(result, f"{own.output}: {len(vocabulary)} words")


def _may_write(path: Path, vocabulary: Vocabulary) -> bool:
    """Whether a vocabulary is this one, or was to become this one when its run was killed."""
    from flip.files import read_json
    from flip.text.vocabulary import options_path

    stored = read_json(options_path(path)) if options_path(path).is_file() else None
    if not isinstance(stored, dict):
        return False
    same: bool = stored.get("tokenizer") == vocabulary.options["tokenizer"] and read_json(path) == vocabulary.index
    return same or stored == vocabulary.options


def _texts(own: VocabSettings, out: Output) -> Iterable[str]:
    """The sentences to choose words from: those of files, or of a dataset."""
    from flip.data.manifest import load_dataset
    from flip.errors import UsageError
    from flip.inputs.records import read_texts

    if own.text:
        return read_texts(own.text, lambda message: out.note(f"note: {message}"))
    if own.data is None:
        raise UsageError(
            "no text", "name text files, `-` for standard input, --data datasets.yaml, or [vocab] text in flip.toml"
        )
    return load_dataset(own.data, own.dataset, sim_threshold=own.sim_threshold).text(own.text_id).read()
