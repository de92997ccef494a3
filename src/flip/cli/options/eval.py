"""`flip eval`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from flip.cli.flag import argument, flag
from flip.cli.options.section import AUGMENT, MODELS, SPLIT_FLAG, TEXT_ID, WORSE, Count, Crops, Natural, Share
from flip.cli.options.store import StoreSettings, of_store
from flip.evaluation.registry import CHOICES
from flip.text.tokenize import TokenSource


@dataclass
class EvalSettings(StoreSettings):
    """`flip eval`."""

    sentences: Annotated[
        list[str],
        argument("Sentences to compare encoders on; with --audit, a store of vectors.", metavar="SENTENCES|STORE"),
    ] = field(default_factory=list)
    encoder: Annotated[
        list[str],
        flag("Encoder to train and measure a model of on SENTENCES; may be repeated.", metavar="NAME"),
    ] = field(default_factory=list)
    split: Annotated[str | None, SPLIT_FLAG] = None
    augment: Annotated[Crops | None, AUGMENT] = None
    runs: Annotated[
        Path, flag("Folder in which the runs of --encoder are kept, and found by the next command.", metavar="DIR")
    ] = Path("runs")
    model: Annotated[list[str] | str | None, MODELS] = None
    vocab: Annotated[
        Path | None,
        flag("Vocabulary of a --model that has none beside it; or of SENTENCES, not made of them.", metavar="FILE"),
    ] = None
    data: Annotated[Path | None, flag("datasets.yaml.", default="the one the model was trained with")] = None
    dataset: Annotated[str, flag("Dataset to measure on.")] = "test"
    text: Annotated[str | None, TEXT_ID] = None
    sim_threshold: Annotated[float | None, flag("Only rows whose sim_scores, if any, are above this.", default="0")] = (
        None
    )
    min_tokens: Annotated[Count | None, flag("Only sentences of so many words or more.")] = None
    max_tokens: Annotated[Natural | None, flag("Only sentences of so many words or fewer.")] = None
    metrics: Annotated[str, flag(f"Separated by commas: {CHOICES}; or all.")] = "accuracy,content,pr"
    tokens: Annotated[
        TokenSource,
        flag("Words of the sentences: vocabulary (by its tokenizer) or published (split on white space)."),
    ] = "vocabulary"
    topn: Annotated[Natural, flag("N of precision, recall and F1.", "--topn", "-n")] = 10
    method: Annotated[Literal["flip", "splice"], flag("flip, or splice: the model's words as concepts.")] = "flip"
    train: Annotated[str | None, flag("Dataset to centre SpLiCE's sentences by.", default="train")] = None
    dev: Annotated[str | None, flag("Dataset to tune SpLiCE on.", default="dev")] = None
    compare: Annotated[
        list[str], flag("Another --model, to compare with the first; may be repeated.", metavar="RUN")
    ] = field(default_factory=list)
    entities: Annotated[Path | None, flag("JSONL of text (or line_number) and entity_names.", metavar="FILE")] = None
    details: Annotated[
        Path | None, flag("Write hits, misses and scores of each sentence as JSONL.", metavar="FILE")
    ] = None
    plot: Annotated[Path | None, flag("Draw figures and curves: SVG, PNG or PDF by the ending.", metavar="FILE")] = None
    report: Annotated[Path | None, flag("Write one HTML page: tables, plots, sentences.", metavar="FILE")] = None
    results: Annotated[
        Path | None, flag("Write DIR/ENCODER/REVISION/DATASET.json for each model, for a leaderboard.", metavar="DIR")
    ] = None
    baseline: Annotated[
        Path | None, flag("What an earlier `flip eval --json` printed; with --fail-below.", metavar="FILE")
    ] = None
    fail_below: Annotated[
        Share | None,
        flag(f"Exit code {WORSE} where a share is worse than in --baseline by more than this, say 0.02.", metavar="X"),
    ] = None
    audit: Annotated[
        Path | None,
        of_store("Words, names or numbers, one a line: how well can they be read from the vectors?", metavar="FILE"),
    ] = None
    limit: Annotated[
        Share | None,
        of_store(f"--audit: exit code {WORSE} where the recall of a term is above this for certain.", metavar="X"),
    ] = None

    @property
    def models(self) -> list[str | None]:
        """All that are to be measured, the first first; None is the default one."""
        named = self.model if isinstance(self.model, list) else [self.model]
        return [*(named or [None]), *self.compare]
