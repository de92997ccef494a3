"""`flip explain`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip.cli import loading, options, output
from flip.cli.call import Call, begin, require_outputs
from flip.cli.explain_input import Reader
from flip.errors import InputError, UsageError

if TYPE_CHECKING:
    from flip.explain.explainer import Explainer
    from flip.explain.results import Result
    from flip.model.checkpoint import Checkpoint

EPILOG = """\b
Examples:
  flip explain "The train to Boston was late."
  cat sents.txt | flip explain --topn 10 > keywords.jsonl
  flip explain speech.wav --json
  flip explain embeddings.npy --model run --bias-weight 1
  flip explain u.npy --sentences u.sentences.txt --html u.html
  flip explain old.txt --against new.txt
  flip explain "a boat in the harbour" --against hits.jsonl --by-sentence --html hits.html
  flip explain "a boat in the harbour" --against chunks.parquet
  flip explain "a boat in the harbour" --against chunks.parquet#c17,c4
"""

_HITS = 10  # rows of a store
_WORDS_OF_A_SENTENCE = 64  # among the best at the most


@output.guarded
def explain(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="A sentence, or a file: text, JSON with text, audio or embedding, a TSV or CSV with text or "
            "embedding, .npy, a recording or a folder of them. `-` or a pipe is standard input.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT", rich_help_panel=options.INPUT,
            help="Explain pairs, line by line, or a query and its hits: of a STORE the ten nearest rows, or STORE#ID.",
        ),
    ] = None,
    by_sentence: Annotated[
        bool,
        typer.Option(
            "--by-sentence", rich_help_panel=options.INPUT,
            help="Find the sentence of a text that makes it match; embeds each by itself, and the text without it.",
        ),
    ] = False,
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Every INPUT, or line of standard input, is a sentence, whatever it looks like.",
            rich_help_panel=options.INPUT,
        ),
    ] = False,
    sentences: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The texts of the rows of a .npy, one a line.", rich_help_panel=options.INPUT
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Field of the vectors in JSON or a table.", rich_help_panel=options.INPUT)
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Field of the texts in JSON, a table or a store.", rich_help_panel=options.INPUT),
    ] = None,
    query_prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", rich_help_panel=options.INPUT,
            help="Put before a query, or the first of a pair; by default the encoder's own, if the model knows it.",
        ),
    ] = None,
    text_prompt: Annotated[
        str | None,
        typer.Option("--prompt",metavar="TEXT", help="Put before all other texts; by default likewise.",
                     rich_help_panel=options.INPUT),
    ] = None,
    recentre: Annotated[
        bool,
        typer.Option(
            "--recentre", rich_help_panel=options.MODEL,
            help="Move each vector from the mean of its language to that of the training; with --language, or by the "
            "text.",
        ),
    ] = False,
    encoder: options.OfModel = None,
    language: options.Language = None,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    bias_weight: options.BiasWeight = None,
    topn: options.Topn = 10,
    min_probability: options.MinProbability = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write one HTML page in place of results.", rich_help_panel=options.OUTPUT
        ),
    ] = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show tracebacks, and on a terminal the scores of words.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
) -> None:  # fmt: skip
    """Show the words that an embedding carries.

    One record a line in, one a line out, in order. With the bundled model nothing is downloaded.

    A word's share of the cosine of a pair is what it adds when both vectors are rebuilt, by ridge regression, from the
    words that either says.
    """
    from flip.explain.explainer import Explainer
    from flip.explain.languages import LanguageShifts
    from flip.explain.pairs import Prompts, for_reading
    from flip.inputs import sniffing, sources
    from flip.inputs.stores.columns import ColumnChoice

    call = begin(ctx, stream=html is None)
    out = call.out
    if not inputs and sys.stdin.isatty():
        raise UsageError("nothing to explain", 'give a sentence, a file, or a pipe: flip explain "Hello, world."')
    inputs = inputs or [sniffing.STDIN]
    inputs = [loading.fetched(name, call) if name.startswith("hf://") and "#" not in name else name for name in inputs]
    names = [sniffing.rows_named(name)[0] for name in (*inputs, against, sentences) if name]
    sources.require_one_stdin(name for name in names if not text or name == sniffing.STDIN)
    _require_sentences_fit(inputs, sentences)
    _require_pairs(by_sentence, recentre, query_prompt, against)
    if html is not None:
        require_outputs(call, {"html": html}, [*([] if text else names), model])
    checkpoint = loading.load_checkpoint(model, call)
    columns = ColumnChoice(column, None, text_column, dimension=checkpoint.model.dimension)
    for_people = out.human or html is not None
    least = _least(min_probability, checkpoint, for_people)
    apart = for_people and against is None  # improbable words, and those of a sentence, stand beside the topn others
    prompts = Prompts(query_prompt, text_prompt)
    explainer = Explainer(
        checkpoint,
        lambda: loading.encoder_of(checkpoint, encoder, call, prompts),
        lambda: loading.load_transcriber(call),
        topn=topn,
        extra=_WORDS_OF_A_SENTENCE if apart else 0,
        bias_weight=bias_weight,
        min_probability=0.0 if apart else least,
        by_sentence=by_sentence,
        languages=LanguageShifts(checkpoint, language) if recentre else None,
        prompts=prompts,
        working=nullcontext if html else out.working,  # a page has a bar
    )
    reader = Reader(
        checkpoint, loading.vouched(encoder, checkpoint), columns, text, against is not None, sentences, call
    )
    tally = _Tally(out)
    results: Iterator[Result]
    if against is not None:
        others = replace(reader, sentences=None, stores=True)
        is_whole = not text and not sniffing.rows_named(against)[1] and not sources.holds_embeddings(against)
        nearest = _HITS if is_whole and sources.is_store(against) else None
        pairs = explainer.pairs(reader.records(inputs), others.records([against]), nearest=nearest)
        results = iter(for_reading(pairs)) if for_people else pairs
    else:
        results = explainer.stream(reader.records(inputs))
    _show(tally.counted(results), checkpoint, html, least, call)
    _note_pairs(explainer, tally, against, by_sentence, out)
    if html is not None:
        fields = {"html": str(html), "records": tally.records, "failed": tally.failed}
        out.result(fields, f"{html}: {tally.records} record{'s' * (tally.records != 1)}")
    tally.report(reader.unreadable)


def _require_pairs(by_sentence: bool, recentre: bool, query_prompt: str | None, against: str | None) -> None:
    for option, given in (("--by-sentence", by_sentence), ("--query-prompt", query_prompt is not None)):
        if given and against is None:
            raise UsageError(f"{option} is for pairs", "add --against INPUT")
    if recentre and against is not None:
        raise UsageError("--recentre is for single texts", "leave --against out")


def _note_pairs(
    explainer: Explainer, tally: _Tally, against: str | None, by_sentence: bool, out: output.Output
) -> None:
    """Note how many rows of a store were ranked, and how many texts were embedded for their sentences."""
    if (ranked := explainer.pairing.ranked) > tally.records:
        shown = tally.records - tally.failed
        out.note(f"{against}: the {shown} nearest of {ranked:,} rows; {against}#ID,ID chooses others by ids")
    if by_sentence:
        out.note(f"{explainer.pairing.embedded:,} texts embedded to compare sentences")


def _show(results: Iterator[Result], checkpoint: Checkpoint, html: Path | None, least: float, call: Call) -> None:
    """Write the page, or show each result as soon as it is there."""
    out = call.out
    if html is not None:
        from flip.explain.page import write_page
        from flip.explain.pair_page import write_pairs

        with out.progress("explaining") as on_rows:

            def on_record(n: int) -> None:
                on_rows(n, None)

            if call.ctx.params["against"] is None:
                write_page(html, results, checkpoint, least=least, on_record=on_record)  # type: ignore[arg-type]
            else:
                write_pairs(html, results, checkpoint, on_record=on_record)  # type: ignore[arg-type]
    elif out.human:
        from flip.cli.explain_view import View

        view = View(checkpoint, least=least, scores=out.verbose)
        for result in results:
            out.show(view.draw(result))
    else:
        for result in results:
            out.record(result.to_dict())


@dataclass
class _Tally:
    """Totals that are reported after the last record."""

    out: output.Output
    records: int = 0
    blank: int = 0
    failed: int = 0
    first_error: str = ""
    warned: Counter[str] = field(default_factory=Counter)

    def counted(self, results: Iterator[Result]) -> Iterator[Result]:
        """Yield the same results; note each warning when it comes first."""
        from flip.explain.results import CUT, ESTIMATED_CUT, Explanation, Failure

        for result in results:
            self.records += 1
            if isinstance(result, Failure):
                self.failed += 1
                self.first_error = self.first_error or result.error
            self.blank += isinstance(result, Explanation) and result.input.text == "" and not result.words
            for warning in dict.fromkeys(result.warnings):  # of a pair, once
                if warning in (CUT, ESTIMATED_CUT):
                    continue
                self.warned[warning] += 1
                if self.warned[warning] == 1:
                    self.out.note(f"record {result.id}: {warning}")
            yield result

    def report(self, unreadable: list[InputError]) -> None:
        """Note how often each warning came; end the command if a record failed."""
        for warning, times in self.warned.items():
            if times > 1:
                self.out.note(f"{times} of {self.records} records: {warning}")
        if self.blank == self.records:
            self.out.note("all that was given is blank")
        if self.failed:
            hint = next((error.hint for error in unreadable if error.message == self.first_error), None)
            output.fail(
                f"{self.failed} of {self.records} records could not be explained; first: {self.first_error}", hint
            )
            raise typer.Exit(3)


def _require_sentences_fit(inputs: list[str], sentences: str | None) -> None:
    from flip.inputs import sniffing, sources

    files = [name for name in inputs if sniffing.is_input_file(name)]
    if sentences is not None and not (len(inputs) == len(files) == 1 and sources.holds_embeddings(files[0])):
        raise UsageError("--sentences needs one .npy as INPUT", "flip explain u.npy --sentences u.sentences.txt")


def _least(setting: str | None, checkpoint: Checkpoint, for_people: bool) -> float:
    """Return the probability below which words are left out, or shown apart."""
    if setting == "auto" or (setting is None and for_people):
        return checkpoint.likely
    return float(setting or 0)
