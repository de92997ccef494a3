"""`flip vocab`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import options
from flip.cli.call import Call, begin, require_outputs
from flip.cli.options import CONCEPTS, DATA, OUTPUT, WORDS, VocabPublished
from flip.cli.output import guarded
from flip.errors import InputError, UsageError
from flip.files import read_json
from flip.text.languages import SAMPLE, unspaced_language
from flip.text.tokenize import LONGEST_NGRAM, Accents, Tokenizer, TokenizerName, is_ngram

if TYPE_CHECKING:
    from flip.text.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  flip vocab train.txt -o vocab.json --max-features 20000 --min-df 2
  flip vocab train.txt -o concepts.json --concepts
  cat train.jsonl | flip vocab - -o vocab.json --tokenizer unicode
"""


def _bound(text: str | float) -> int | float:
    """Return a number or a share of sentences; 1 is one sentence and 1.0 all of them."""
    from flip.text.vocabulary import frequency_bound

    try:
        return frequency_bound(text)
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


def _ngram(ngram: tuple[int, int]) -> tuple[int, int]:
    if not is_ngram(ngram):
        raise typer.BadParameter(f"needs 1 <= smallest <= largest <= {LONGEST_NGRAM}, not {ngram[0]} {ngram[1]}")
    return ngram


@guarded
def vocab(
    ctx: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Text files or JSONL with text; `-` is standard input.", show_default=False
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="datasets.yaml, instead of TEXT.", rich_help_panel=DATA)] = None,
    dataset: Annotated[
        str, typer.Option(help="Dataset of --data; several with commas.", rich_help_panel=DATA)
    ] = "train",
    text_id: options.TextId = None,
    sim_threshold: options.SimThreshold = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", rich_help_panel=OUTPUT)] = Path(
        "vocab.json"
    ),
    max_features: Annotated[
        int, typer.Option(min=1, help="Keep so many of the most frequent words.", rich_help_panel=WORDS)
    ] = 100_000,
    min_df: Annotated[
        float,
        typer.Option(
            parser=_bound, metavar="N|SHARE", rich_help_panel=WORDS,
            help="Least number (2) or share (0.01) of sentences that have a word.",
        ),
    ] = 1,
    max_df: Annotated[
        float,
        typer.Option(
            parser=_bound, metavar="N|SHARE", help="Largest number (50) or share (0.5) of them.", rich_help_panel=WORDS
        ),
    ] = 1.0,
    ngram: Annotated[
        tuple[int, int], typer.Option(callback=_ngram, help="Smallest and largest n.", rich_help_panel=WORDS)
    ] = (1, 1),
    tokenizer: Annotated[
        TokenizerName | None,
        typer.Option(help="What cuts words.", show_default=options.TOKENIZER_OF_SCRIPT, rich_help_panel=WORDS),
    ] = None,
    strip_accents: Annotated[Accents, typer.Option(help="Accents to take off.", rich_help_panel=WORDS)] = "none",
    normalize: Annotated[
        bool,
        typer.Option("--normalize/--no-normalize", help="Lower-case, and strip punctuation.", rich_help_panel=WORDS),
    ] = True,
    lowercase: Annotated[
        bool, typer.Option("--lowercase/--no-lowercase", help="Lower-case, with --normalize.", rich_help_panel=WORDS)
    ] = True,
    words: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The words of this file, one a line, whole and in this order.", rich_help_panel=WORDS
        ),
    ] = None,
    teach: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also the words of this file, one a line.", rich_help_panel=WORDS),
    ] = None,
    concepts: Annotated[
        bool,
        typer.Option("--concepts", help="SpLiCE's vocabulary: frequent words and bound pairs.", rich_help_panel=WORDS),
    ] = False,
    unigrams: Annotated[int, typer.Option(min=0, help="Words at most.", rich_help_panel=CONCEPTS)] = 6500,
    bigrams: Annotated[int, typer.Option(min=0, help="Pairs at most.", rich_help_panel=CONCEPTS)] = 3500,
    min_count: Annotated[
        int, typer.Option(min=1, help="Least number of occurrences.", rich_help_panel=CONCEPTS)
    ] = 20,
    min_pmi: Annotated[
        float,
        typer.Option(
            callback=options.finite, help="Least mutual information of a pair in bits.", rich_help_panel=CONCEPTS
        ),
    ] = 1.5,
    config: VocabPublished = None,
    force: options.Force = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Choose the words that a model is to know.

    Writes word -> index, alphabetically, and the options beside it (vocab.options.json).
    """
    from flip.inputs.records import read_taught, read_texts
    from flip.text.concepts import build_concepts
    from flip.text.vocabulary import build_vocabulary, options_path

    call = begin(ctx)
    if call.given("text") and call.given("data"):
        raise UsageError("TEXT and --data exclude each other")
    text = [] if call.given("data") else text or []  # a dataset of the call wins over files of flip.toml
    written = {"output": output, "options": options_path(output)}
    require_outputs(call, written, [*text, data, words, teach])
    texts = _texts(text, data, dataset, text_id, sim_threshold, call)
    rest = iter(texts)
    head = list(islice(rest, SAMPLE))
    texts = chain(head, rest)
    name = tokenizer or unspaced_language(head) or "latin"
    cutter = Tokenizer(name, strip_accents, ngram, normalize, lowercase)
    if concepts:
        if words or teach:
            raise UsageError(f"--concepts and --{'words' if words else 'teach'} exclude each other")
        vocabulary = build_concepts(
            texts, cutter, unigrams=unigrams, bigrams=bigrams, min_count=min_count, min_pmi=min_pmi
        )
    else:
        call.refuse(CONCEPTS, "requires --concepts", "add --concepts")
        vocabulary = build_vocabulary(
            texts, cutter, max_features=max_features, min_df=min_df, max_df=max_df,
            words=read_texts([words]) if words else None, teach=read_taught(teach),
        )  # fmt: skip
    if output.is_file() and not force and not _may_write(output, vocabulary):
        raise InputError(f"{output} exists and differs", "--force replaces it, -o names another")
    vocabulary.save(output)
    if advice := vocabulary.unsegmented:
        call.out.note(advice)
    result = {"vocab": str(output), "words": len(vocabulary), "tokenizer": vocabulary.tokenizer.name}
    call.out.result(result, f"{output}: {len(vocabulary)} words")


def _may_write(path: Path, vocabulary: Vocabulary) -> bool:
    """Return whether a vocabulary is this one, or was to become this one when its run was killed."""
    from flip.text.vocabulary import options_path

    stored = read_json(options_path(path)) if options_path(path).is_file() else None
    if not isinstance(stored, dict):
        return False
    same: bool = stored.get("tokenizer") == vocabulary.options["tokenizer"] and read_json(path) == vocabulary.index
    return same or stored == vocabulary.options


def _texts(
    text: list[str], data: Path | None, dataset: str, text_id: str | None, sim_threshold: float | None, call: Call
) -> Iterable[str]:
    """Return the sentences to choose words from: those of files, or of a dataset."""
    from flip.data.manifest import load_dataset
    from flip.inputs.records import read_texts

    if text:
        return read_texts(text, call.out.note)
    if data is None:
        raise UsageError(
            "no text", "name text files, `-` for standard input, --data datasets.yaml, or [vocab] text in flip.toml"
        )
    return load_dataset(data, dataset, sim_threshold=sim_threshold).text(text_id).read()
