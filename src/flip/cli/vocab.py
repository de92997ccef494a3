"""`flip vocab`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import options
from flip.cli.output import Output, guarded

if TYPE_CHECKING:
    from flip.cli.settings import VocabSettings
    from flip.text.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  flip vocab train.txt -o vocab.json --max-features 20000 --min-df 2
  flip vocab train.txt -o concepts.json --concepts
  cat train.jsonl | flip vocab - -o vocab.json --tokenizer unicode
"""


@guarded
def vocab(
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Text files or JSONL with text; `-` is standard input.", show_default=False),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="datasets.yaml, instead of TEXT.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Which of its datasets; several with commas.", show_default="train")
    ] = None,
    text_id: Annotated[str | None, typer.Option(help="Id of the text, where a dataset has several.")] = None,
    sim_threshold: Annotated[
        float | None, typer.Option(help="Only lines whose sim_scores are above this.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Published vocabulary configuration (vocab_en.yaml); flags override it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.", show_default="vocab.json")
    ] = None,
    max_features: Annotated[
        int | None, typer.Option(help="Keep the most frequent words.", show_default="100000")
    ] = None,
    min_df: Annotated[
        str | None,
        typer.Option(help="Least number (2) or share (0.01) of sentences that have a word.", show_default="1"),
    ] = None,
    max_df: Annotated[
        str | None, typer.Option(help="Largest number (50) or share (0.5) of them.", show_default="1.0")
    ] = None,
    ngram: Annotated[tuple[int, int] | None, typer.Option(help="Smallest and largest n.", show_default="1 1")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="latin, unicode or whitespace.", show_default="latin")] = None,
    strip_accents: Annotated[str | None, typer.Option(help="none, ascii or unicode.", show_default="none")] = None,
    normalize: Annotated[
        bool | None,
        typer.Option("--normalize/--no-normalize", help="Lower-case, strip punctuation.", show_default="normalize"),
    ] = None,
    words: Annotated[
        Path | None, typer.Option(help="The words of this file, one a line, whole and in this order.")
    ] = None,
    teach: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also the words of this file, one a line."),
    ] = None,
    concepts: Annotated[
        bool | None,
        typer.Option("--concepts", help="SpLiCE's vocabulary: frequent words and bound pairs.", show_default=False),
    ] = None,
    unigrams: Annotated[int | None, typer.Option(help="--concepts: words at most.", show_default="6500")] = None,
    bigrams: Annotated[int | None, typer.Option(help="--concepts: pairs at most.", show_default="3500")] = None,
    min_count: Annotated[
        int | None, typer.Option(help="--concepts: least number of occurrences.", show_default="20")
    ] = None,
    min_pmi: Annotated[
        float | None,
        typer.Option(help="--concepts: least mutual information of a pair, in bits.", show_default="1.5"),
    ] = None,
    force: options.Force = None,
    device: options.NoDevice = None,
    seed: options.NoSeed = None,
    offline: options.NoOffline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Choose the words that a model is to know.

    Writes word -> index, alphabetically, and the options beside it (vocab.options.json).
    """
    from flip.cli.settings import load_settings
    from flip.errors import InputError, UsageError
    from flip.inputs.records import read_texts
    from flip.text.concepts import build_concepts
    from flip.text.tokenize import Tokenizer
    from flip.text.vocabulary import build_vocabulary

    out = Output(as_json=as_json, quiet=quiet)
    published = options.published_config(config, "vocab", out)
    own = load_settings(
        "vocab",
        {"device": device, "seed": seed, "offline": offline},
        published.under(
            {
                "text": text,
                "data": data,
                "dataset": dataset,
                "text_id": text_id,
                "sim_threshold": sim_threshold,
                "output": output,
                "max_features": max_features,
                "min_df": min_df,
                "max_df": max_df,
                "ngram": ngram,
                "tokenizer": tokenizer,
                "strip_accents": strip_accents,
                "normalize": normalize,
                "words": words,
                "teach": teach,
                "concepts": concepts,
                "unigrams": unigrams,
                "bigrams": bigrams,
                "min_count": min_count,
                "min_pmi": min_pmi,
                "force": force,
            }
        ),
    ).vocab
    if text and data:
        raise UsageError("TEXT and --data exclude each other")
    if data:
        own.text = []  # a dataset on the command line wins over files named in flip.toml
    texts = _texts(own)
    if own.concepts and own.words:
        raise UsageError("--concepts and --words exclude each other")
    if own.concepts and own.teach:
        raise UsageError("--concepts and --teach exclude each other")
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
            teach=read_texts([own.teach]) if own.teach else (),
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


def _texts(own: VocabSettings) -> Iterable[str]:
    """The sentences to choose words from: those of files, or of a dataset."""
    from flip.data.manifest import load_dataset
    from flip.errors import UsageError
    from flip.inputs.records import read_texts

    if own.text:
        return read_texts(own.text)
    if own.data is None:
        raise UsageError(
            "no text", "name text files, `-` for standard input, --data datasets.yaml, or [vocab] text in flip.toml"
        )
    return load_dataset(own.data, own.dataset, sim_threshold=own.sim_threshold).text(own.text_id).read()
