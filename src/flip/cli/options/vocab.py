"""`flip vocab`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from flip.cli.flag import Checked, argument, flag
from flip.cli.options.section import FORCE, SIM_THRESHOLD, TEXT_ID, Count, Natural, Section, listed
from flip.errors import UsageError
from flip.text.tokenize import LONGEST_NGRAM, Accents, TokenizerName, is_ngram
from flip.text.vocabulary import frequency_bound


def _bounds_frequency(value: Any) -> int | float:
    try:
        return frequency_bound(value)
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


def _is_ngram(ngram: tuple[int, int]) -> tuple[int, int]:
    if not is_ngram(ngram):
        raise ValueError(f"needs 1 <= smallest <= largest <= {LONGEST_NGRAM}, not {ngram[0]} {ngram[1]}")
    return ngram


# Not by its type first, which would take 1 for 1.0.
FrequencyBound = Annotated[int | float, Checked(_bounds_frequency, alone=True)]


@dataclass
class VocabSettings(Section):
    """`flip vocab`."""

    text: Annotated[list[str], argument("Text files or JSONL with text; `-` is standard input.", metavar="TEXT")] = (
        field(default_factory=list)
    )
    data: Annotated[Path | None, flag("datasets.yaml, instead of TEXT.")] = None
    dataset: Annotated[str, flag("Dataset of --data; several with commas.")] = "train"
    text_id: Annotated[str | None, TEXT_ID] = None
    sim_threshold: Annotated[float | None, SIM_THRESHOLD] = None
    output: Annotated[Path, flag("File to write.", "--output", "-o")] = Path("vocab.json")
    max_features: Annotated[Natural, flag("Keep so many of the most frequent words.")] = 100_000
    min_df: Annotated[FrequencyBound, flag("Least number (2) or share (0.01) of sentences that have a word.")] = 1
    max_df: Annotated[FrequencyBound, flag("Largest number (50) or share (0.5) of them.")] = 1.0
    ngram: Annotated[tuple[int, int], Checked(_is_ngram), flag("Smallest and largest n.")] = (1, 1)
    tokenizer: Annotated[TokenizerName, flag(f"What cuts words: {listed(TokenizerName)}.")] = "latin"
    strip_accents: Annotated[Accents, flag(f"Accents to take off: {listed(Accents)}.")] = "none"
    normalize: Annotated[bool, flag("Lower-case, and strip punctuation.", "--normalize/--no-normalize")] = True
    lowercase: bool = True  # of the normalisation
    words: Annotated[Path | None, flag("The words of this file, one a line, whole and in this order.")] = None
    teach: Annotated[Path | None, flag("Also the words of this file, one a line.", metavar="FILE")] = None
    concepts: Annotated[bool, flag("SpLiCE's vocabulary: frequent words and bound pairs.", "--concepts")] = False
    unigrams: Annotated[Count, flag("Words at most, with --concepts.")] = 6500
    bigrams: Annotated[Count, flag("Pairs at most, with --concepts.")] = 3500
    min_count: Annotated[Natural, flag("Least number of occurrences, with --concepts.")] = 20
    min_pmi: Annotated[float, flag("Least mutual information of a pair in bits, with --concepts.")] = 1.5
    force: Annotated[bool, FORCE] = False
