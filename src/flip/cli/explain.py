"""`flip explain`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import explain_store, loading
from flip.cli.command import command
from flip.cli.output import Output, fail

if TYPE_CHECKING:
    from flip.cli.settings import Settings
    from flip.errors import InputError
    from flip.inputs.record import Record
    from flip.inputs.stores.columns import Asked
    from flip.model.checkpoint import Checkpoint

EPILOG = """\b
Examples:
  flip explain "The train to Boston was late."
  cat sents.txt | flip explain --topn 10 > keywords.jsonl
  flip explain speech.wav --json
  flip explain embeddings.npy --model run --bias
  flip explain u.npy --sentences u.sentences.txt --html u.html
  flip explain store.parquet -o words.parquet
  flip explain store.parquet --group-by topic
  flip explain store.parquet --find "train, late"
  flip explain old.parquet --against new.parquet --summary
"""

_WORDS_OF_A_SENTENCE = 64  # among the best at the most


@command(
    "explain",
    shared=("device", "encoder", "offline", "trust"),
    default_encoder="the checkpoint's own",
    verbose="Show tracebacks, and on a terminal the scores of words.",
    encoder=("language", "asr", "sonar_backend", "base_url"),
)
def explain(
    settings: Settings,
    out: Output,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="A sentence, or a file: text, JSON with text, audio or embedding, a TSV or CSV with text or "
            "embedding, .npy, a store of vectors (Parquet, Arrow, .npz, SQLite, DuckDB, FAISS, "
            "hf://datasets/OWNER/NAME/FILE), a recording or a folder of them. `-` or a pipe is standard input.",
            show_default=False,
        ),
    ] = None,
    bias: Annotated[bool | None, typer.Option("--bias/--no-bias", help="W = 1 or W = 0.", show_default=False)] = None,
    show_all: Annotated[bool, typer.Option("--all", help="On a terminal, list the improbable words too.")] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="Explain a pair: shared words, and those on one side only."),
    ] = None,
    sentences: Annotated[
        str | None, typer.Option(metavar="FILE", help="The texts of the rows of a .npy, one a line.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page in place of results.")
    ] = None,
    text: Annotated[
        bool,
        typer.Option("--text", help="Every INPUT, or line of standard input, is a sentence, whatever it looks like."),
    ] = False,
) -> None:
    """Show the words that an embedding carries.

    One record a line in, one a line out, in order. With the bundled model nothing is downloaded.
    """
    from dataclasses import replace

    from flip.errors import UsageError
    from flip.explain.explainer import Explainer
    from flip.inputs.sniffing import STDIN
    from flip.inputs.sources import is_store, require_one_stdin

    own = settings.explain
    # An encoder from flip.toml or the environment is that of `flip embed`; only the flag speaks for the input here.
    encoder = settings.encoder if "encoder" in settings.named else None
    if bias is not None:
        if "bias_weight" in settings.named:
            raise UsageError("--bias and --bias-weight exclude each other")
        own.bias_weight = float(bias)
    if not inputs and sys.stdin.isatty():
        raise UsageError("nothing to explain", 'give a sentence, a file, or a pipe: flip explain "Hello, world."')
    asked = explain_store.asked(own, own.id_column)
    names = [*(inputs or [STDIN]), *(name for name in (against, sentences) if name)]
    require_one_stdin(name for name in names if not text or name == STDIN)
    _require_page(html, inputs or [], against, sentences)
    single = {
        "--html": html is not None,
        "--text": text,
        "--all": show_all,
        "--language": "encoder_options" in settings.named and settings.encoder_options.language is not None,
    }
    job = explain_store.Job.of(
        own,
        settings.named,
        out,
        fits=not any(single.values()) and len(inputs or []) == 1 and all(map(is_store, inputs or [])),
        pair=against is not None,
    )
    job.require_alone(single)
    out.stream = html is None
    checkpoint = loading.load_checkpoint(own.model, own.vocab, settings.offline, out)
    if checkpoint.unsure:
        out.note(f"note: {checkpoint.name}: {checkpoint.unsure}")
    asked = replace(asked, dimension=checkpoint.model.dimension)
    least = _least(own.min_probability, checkpoint, for_people=out.human or html is not None)
    # A screen and a page show what is improbable apart, and the words of a sentence beside the topn others.
    apart = (out.human or html is not None) and against is None
    inputs = [explain_store.fetched(name, settings.offline, out) for name in inputs or [STDIN]]
    if job.wanted:
        job.run(
            inputs, asked, checkpoint, settings, out, least=least, encoder=encoder, against=against, lines=sentences
        )
        return
    explainer = Explainer(
        checkpoint,
        lambda: loading.load_encoder(
            loading.encoder_name(encoder, checkpoint, settings, out), settings, out, checkpoint.trained_on.options
        ),
        lambda: loading.load_transcriber(settings),
        topn=own.topn + _WORDS_OF_A_SENTENCE if apart else own.topn,
        bias_weight=own.bias_weight,
        min_probability=0.0 if apart or (show_all and out.human) else least,
        working=nullcontext if html else out.working,  # a page has a bar
    )
    unreadable: list[InputError] = []  # the first, whose hint is shown
    vouched = loading.vouched(encoder, checkpoint)
    sources = _records(inputs, text, checkpoint, vouched, unreadable, out, sentences, asked)
    if against is not None:
        others = _records([against], text, checkpoint, vouched, unreadable, out, asked=asked)
        results: Iterator[dict[str, Any]] = explainer.pairs(sources, others)
    else:
        results = explainer.stream(sources, own.batch_size)
    tally = _Tally()
    results = tally.counting(results, out)
    if html is not None:
        from flip.explain.page import write_page

        with out.progress("explaining") as on_rows:
            write_page(html, results, explainer, least=least, topn=own.topn, on_record=lambda n: on_rows(n, None))
        fields = {"html": str(html), "records": tally.records, "failed": tally.failed}
        out.result(fields, f"{html}: {tally.records} record{'s' * (tally.records != 1)}")
    elif out.human:
        from flip.cli.explain_view import View

        view = View(explainer, topn=own.topn, least=least, every=show_all, scores=out.verbose)
        for result in results:
            out.show(view.draw(result))
    else:
        for result in results:
            out.record(result)
    tally.report(unreadable, out)


@dataclass
class _Tally:
    """Totals that are reported after the last record."""

    records: int = 0
    blank: int = 0
    failed: int = 0
    first_error: str = ""
    warned: Counter[str] = field(default_factory=Counter)

    def counting(self, results: Iterator[dict[str, Any]], out: Output) -> Iterator[dict[str, Any]]:
        """The same results; a warning is said when it comes first."""
        for result in results:
            self.records += 1
            self.blank += result.get("text") == "" and not result.get("keywords") and "cosine" not in result
            if "error" in result:
                self.failed += 1
                self.first_error = self.first_error or result["error"]
            said = [*result.get("warnings", ()), *result.get("against", {}).get("warnings", ())]
            for warning in dict.fromkeys(said):  # of a pair, once
                self.warned[warning] += 1
                if self.warned[warning] == 1:
                    out.note(f"note: record {result['id']}: {warning}")
            yield result

    def report(self, unreadable: list[InputError], out: Output) -> None:
        """Says how often each warning came; ends the command where a record failed."""
        for warning, times in self.warned.items():
            if times > 1:
                out.note(f"note: {times} of {self.records} records: {warning}")
        if self.blank == self.records:
            out.note("note: all that was given is blank")
        if self.failed:
            hint = next((error.hint for error in unreadable if error.message == self.first_error), None)
            fail(f"{self.failed} of {self.records} records could not be explained; first: {self.first_error}", hint)
            raise typer.Exit(3)


def _require_page(html: Path | None, inputs: list[str], against: str | None, sentences: str | None) -> None:
    """Raises a UsageError where --html or --sentences does not fit the inputs."""
    from flip.errors import UsageError
    from flip.files import require_apart
    from flip.inputs.sniffing import is_input_file
    from flip.inputs.sources import holds_embeddings

    files = [name for name in inputs if is_input_file(name)]
    if sentences is not None and not (len(inputs) == len(files) == 1 and holds_embeddings(files[0])):
        raise UsageError("--sentences needs one .npy as INPUT", "flip explain u.npy --sentences u.sentences.txt")
    if html is None:
        return
    if against is not None:
        raise UsageError("--html shows single texts, and --against pairs", "leave one of them out")
    require_apart(html, (*files, *([sentences] if sentences else [])))


def _records(
    inputs: list[str],
    force_text: bool,
    checkpoint: Checkpoint,
    vouched: bool,
    unreadable: list[InputError],
    out: Output,
    sentences: str | None = None,
    asked: Asked | None = None,
) -> Iterator[Record | InputError]:
    from dataclasses import replace

    from flip.data.manifest import EmbeddingFile
    from flip.encoders.identity import require_dimension, require_same_encoder
    from flip.errors import InputError
    from flip.inputs.record import Record
    from flip.inputs.records import scan_lines, scan_records
    from flip.inputs.sniffing import STDIN, is_input_file
    from flip.inputs.sources import holds_embeddings

    empty = []
    for name in inputs:
        if name != STDIN and (force_text or not is_input_file(name)):
            try:  # in the locale C, Python takes the bytes of a word in UTF-8 for something else
                yield Record(where="sentence", text=os.fsencode(name).decode().strip())
            except UnicodeError as error:
                raise InputError(f"{name}: the sentence is not valid UTF-8", "is the terminal set to UTF-8?") from error
            continue
        if name != STDIN and not Path(name).exists():
            raise InputError(f"{name}: no such file", "check the path; --text explains it as a sentence")
        known = vouched
        rows = None
        if holds_embeddings(name):
            file = EmbeddingFile(name, Path(name))
            known = known or file.source.encoder.is_known
            require_same_encoder(file.source.encoder, checkpoint.trained_on, name)
            rows, dimension = file.open().shape
            require_dimension(dimension, checkpoint.model.dimension, name, checkpoint.encoder)
        if force_text:
            records = scan_lines(name)
        else:
            records = scan_records(name, on_note=lambda message: out.note(f"note: {message}"), asked=asked)
        found = False
        for record in records if rows is None else _with_texts(records, name, rows, sentences, out):
            found = True
            if isinstance(record, InputError):
                unreadable += [record] if not unreadable else []
            elif record.embedding is not None and not known:
                record = replace(record, origin_known=False)
            yield record
        if not found:
            empty.append("stdin" if name == STDIN else name)
    if len(empty) == len(inputs):
        raise InputError(f"{', '.join(empty)}: nothing in it", "give a line of text, a record or a row")
    for name in empty:
        out.note(f"note: {name}: nothing in it")


def _with_texts(
    records: Iterator[Record | InputError], name: str, rows: int, sentences: str | None, out: Output
) -> Iterator[Record | InputError]:
    """The rows of a `.npy` with their texts: of the file that is named, or of NAME.sentences.txt where that fits."""
    from flip.inputs.embedding_files import sentences_path
    from flip.inputs.record import require_as_many
    from flip.inputs.records import read_lines, read_texts, require_in_order, with_texts

    if sentences is not None:
        if Path(sentences).is_file():
            require_as_many(rows, sum(1 for _ in read_texts([sentences])), sentences)
            require_in_order(Path(name), read_texts([sentences]))
        return with_texts(records, read_texts([sentences]), sentences)
    beside = sentences_path(Path(name))
    if not beside.is_file():
        return records
    if (lines := sum(1 for _ in read_lines(beside))) != rows:
        out.note(f"note: {beside} is not used: it has {lines} lines, and {name} {rows} rows")
        return records
    return with_texts(records, read_lines(beside), str(beside))


def _least(setting: float | str | None, checkpoint: Checkpoint, *, for_people: bool) -> float:
    """The probability below which words are left out, or shown apart."""
    if setting == "auto" or (setting is None and for_people):
        return checkpoint.likely
    return float(setting or 0)
