"""`flip explain`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import options
from flip.cli.output import Output, fail, guarded

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flip.checkpoint import Checkpoint
    from flip.errors import InputError
    from flip.explain import Explainer
    from flip.records import Record

EPILOG = """\b
Examples:
  flip explain "The train to Boston was late."
  cat sents.txt | flip explain --topn 10 > keywords.jsonl
  flip explain speech.wav --json
  flip explain embeddings.npy --model run --bias
"""

_WORDS_OF_A_SENTENCE = 64  # among the best at the most


@guarded
def explain(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="A sentence, or a file: text, JSON with text, audio or embedding, a TSV or CSV with text, .npy, "
            "a recording or a folder of them. `-` or a pipe is standard input.",
            show_default=False,
        ),
    ] = None,
    model: options.Model = None,
    vocab: options.ModelVocab = None,
    topn: Annotated[int | None, typer.Option("--topn", "-n", help="Keywords at most.", show_default="10")] = None,
    bias_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight W of the bias in the ranking score A(Bu) + W b.", show_default="the checkpoint's own"
        ),
    ] = None,
    bias: Annotated[bool | None, typer.Option("--bias/--no-bias", help="W = 1 or W = 0.", show_default=False)] = None,
    min_probability: Annotated[
        str | None,
        typer.Option(
            metavar="P|auto",
            help="Leave out words less probable than this; auto is the threshold of the checkpoint.",
            show_default="auto on a terminal, 0 in JSON",
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="On a terminal, list the improbable words too.")] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="Explain a pair: shared words, and those on one side only."),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Every INPUT is a sentence, whatever it looks like.")] = False,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Encoder of the input.", show_default="the checkpoint's own")
    ] = None,
    language: options.Language = None,
    asr: options.Asr = None,
    sonar_backend: options.SonarBackend = None,
    base_url: options.BaseUrl = None,
    trust: options.Trust = False,
    device: options.Device = None,
    seed: options.NoSeed = None,
    offline: options.Offline = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show tracebacks, and on a terminal the scores of words.")
    ] = False,
) -> None:
    """Show the words that an embedding carries.

    One record a line in, one a line out, in order. With the bundled model nothing is downloaded.
    """
    from collections import Counter

    from flip.config import load_settings
    from flip.errors import UsageError
    from flip.explain import Explainer
    from flip.sources import require_one_stdin

    if bias is not None and bias_weight is not None:
        raise UsageError("--bias and --bias-weight exclude each other")
    if not inputs and sys.stdin.isatty():
        raise UsageError("nothing to explain", 'give a sentence, a file, or a pipe: flip explain "Hello, world."')
    if not text:
        require_one_stdin([*(inputs or ["-"]), *([against] if against else [])])
    settings = load_settings(
        "explain",
        {
            "device": device,
            "seed": seed,
            "offline": offline,
            "encoder": encoder,
            "encoder_options": options.encoder_options(
                language=language, asr=asr, sonar_backend=sonar_backend, base_url=base_url
            ),
        },
        {
            "model": model,
            "vocab": vocab,
            "topn": topn,
            "bias_weight": float(bias) if bias is not None else bias_weight,
            "min_probability": min_probability,
        },
        trust=trust,
    )
    own = settings.explain
    out = Output(as_json=as_json, quiet=quiet, stream=True)
    checkpoint = options.load_checkpoint(own.model, own.vocab, settings.offline, out)
    about = checkpoint.trained_on
    least = _least(own.min_probability, checkpoint, for_people=out.human)
    # A screen shows what is improbable apart, and the words of a sentence beside the topn others.
    apart = out.human and against is None
    explainer = Explainer(
        checkpoint,
        # An encoder from flip.toml or the environment is that of `flip embed`; only the flag speaks for the input here.
        lambda: options.load_encoder(
            options.encoder_name(encoder, checkpoint, out), settings, out, about.get("options")
        ),
        lambda: options.load_transcriber(settings),
        topn=own.topn + _WORDS_OF_A_SENTENCE if apart else own.topn,
        bias_weight=own.bias_weight,
        min_probability=0.0 if apart or show_all else least,
    )
    draw = _drawing(explainer, topn=own.topn, least=least, every=show_all, scores=verbose) if out.human else None
    unreadable: list[InputError] = []  # the first, whose hint is shown
    vouched = options.vouched(encoder, checkpoint)
    sources = _records(inputs or ["-"], text, checkpoint, vouched, unreadable, out)
    if against is not None:
        others = _records([against], text, checkpoint, vouched, unreadable, out)
        results: Iterator[dict[str, Any]] = explainer.pairs(sources, others)
    else:
        results = explainer.stream(sources, own.batch_size)
    total, failed, first_error = 0, 0, ""
    warned: Counter[str] = Counter()
    for result in results:
        total += 1
        if "error" in result:
            failed += 1
            first_error = first_error or result["error"]
        for warning in [*result.get("warnings", ()), *result.get("against", {}).get("warnings", ())]:
            warned[warning] += 1
            if warned[warning] == 1:
                out.note(f"note: record {result['id']}: {warning}")
        if draw:
            out.show(draw(result))
        else:
            out.record(result)
    for warning, times in warned.items():
        if times > 1:
            out.note(f"note: {times} of {total} records: {warning}")
    if failed:
        hint = next((error.hint for error in unreadable if error.message == first_error), None)
        fail(f"{failed} of {total} records could not be explained; first: {first_error}", hint)
        raise typer.Exit(3)


def _records(
    inputs: list[str],
    force_text: bool,
    checkpoint: Checkpoint,
    vouched: bool,
    unreadable: list[InputError],
    out: Output,
) -> Iterator[Record | InputError]:
    from dataclasses import replace

    from flip.dataset import EmbeddingFile
    from flip.encoders.identity import require_dimension, require_same_encoder
    from flip.errors import InputError
    from flip.records import Record, scan_records
    from flip.sniffing import STDIN, is_input_file
    from flip.sources import holds_embeddings

    for name in inputs:
        if force_text or not is_input_file(name):
            try:  # in the locale C, Python takes the bytes of a word in UTF-8 for something else
                yield Record(where="sentence", text=os.fsencode(name).decode().strip())
            except UnicodeError as error:
                raise InputError(f"{name}: the sentence is not valid UTF-8", "is the terminal set to UTF-8?") from error
            continue
        if name != STDIN and not Path(name).exists():
            raise InputError(f"{name}: no such file", "check the path; --text explains it as a sentence")
        known = vouched
        if holds_embeddings(name):
            file = EmbeddingFile(name, Path(name))
            known = known or bool(file.source)
            require_same_encoder(file.source, checkpoint.trained_on, name)
            require_dimension(file.open().shape[1], checkpoint.model.dimension, name, checkpoint.encoder)
        for record in scan_records(name, on_note=lambda message: out.note(f"note: {message}")):
            if isinstance(record, InputError):
                unreadable += [record] if not unreadable else []
            elif record.embedding is not None and not known:
                record = replace(record, origin_known=False)
            yield record


def _drawing(explainer: Explainer, **options: Any) -> Callable[[dict[str, Any]], RenderableType]:
    from flip.cli.explain_view import View

    return View(explainer, **options).draw


def _least(setting: float | str | None, checkpoint: Checkpoint, *, for_people: bool) -> float:
    """The probability below which words are left out, or shown apart."""
    if setting == "auto" or (setting is None and for_people):
        return checkpoint.likely
    return float(setting or 0)
