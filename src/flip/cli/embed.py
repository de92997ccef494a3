"""`flip embed`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flip.cli import loading, options
from flip.cli.call import Call, begin, require_outputs
from flip.cli.options import CORPUS, DEVICE, INPUT, OUTPUT, SPLIT
from flip.cli.output import Output, fail, guarded, interruptible, shown
from flip.encoders.base import DEFAULT_ENCODER, SonarBackend, with_options
from flip.encoders.catalog import table as rows
from flip.encoders.languages import require_language
from flip.errors import InputError, UsageError

if TYPE_CHECKING:
    from flip.cli.corpus import Request
    from flip.embedding.job import Embedded
    from flip.encoders import Encoder
    from flip.inputs.record import Record

EPILOG = """\b
Examples:
  flip embed test.txt -o test.npy
  flip embed europarl.en europarl.de --pair --dataset data
  flip embed cv-corpus/en --clips cv-corpus/en/clips --pair --dataset data --encoder sonar
  cat train.jsonl | flip embed - -o train.npy --dtype float16
  flip embed cv/train.tsv --clips cv/clips -o speech.npy --encoder sonar --language deu_Latn
  flip embed europarl.en europarl.de --pair --encoder sonar --language eng_Latn,deu_Latn
  flip embed articles.jsonl -o articles.npy --chunk 200
  flip embed big.txt -o big.npy --encoder openai:text-embedding-3-small --dry-run
"""


def _how_to_go_on() -> str:
    return "what is done is kept; the same command goes on where it stopped"


@guarded
def embed(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT", show_default=False,
            help="Text, JSON with text or audio, a TSV or CSV with text, recordings, or folders of either; "
            "`-` is standard input.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write, OUT.npy.", show_default="INPUT.npy of each input",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    encoder: options.EncoderName = DEFAULT_ENCODER,
    language: options.Language = None,
    asr: options.Asr = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder with SONAR's weights.", rich_help_panel=INPUT)
    ] = None,
    sonar_backend: Annotated[
        SonarBackend | None,
        typer.Option(help="sonar-space (official), or our port (torch).", show_default="auto", rich_help_panel=INPUT),
    ] = None,
    prompt: options.Prompt = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Keep the first so many dimensions.", show_default="all; gemini 768", rich_help_panel=INPUT
        ),
    ] = None,
    base_url: options.BaseUrl = None,
    task_type: Annotated[
        str | None,
        typer.Option(help="Gemini's task type, such as SEMANTIC_SIMILARITY.", rich_help_panel=INPUT),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Requests at the same time.", show_default="4", rich_help_panel=DEVICE),
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Field of the texts in JSON, a table or a store.", rich_help_panel=INPUT),
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", rich_help_panel=INPUT,
            help="Cut texts at ends of sentences into rows of at most N words; OUT.ids.txt names them ID#1, ID#2, ...",
        ),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Folder of the recordings that a TSV names.", rich_help_panel=INPUT)
    ] = None,
    pair: Annotated[
        bool,
        typer.Option(
            "--pair", rich_help_panel=INPUT,
            help="Two aligned inputs (with --dataset also one TSV); also writes how near row i is to row i.",
        ),
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write train, dev and test of a corpus there, with a datasets.yaml.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Fractions, or rest,DEV,TEST counts, with --dataset.", rich_help_panel=CORPUS)
    ] = SPLIT,
    augment: Annotated[
        int,
        typer.Option(
            min=0, max=options.MOST_CROPS, rich_help_panel=CORPUS,
            help="Also embed, as `augmented`, N random crops of each training sentence, and words; with --dataset.",
        ),
    ] = 0,
    teach: options.Teach = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="PART/PARTS", help="Only this part, such as 3/16.", show_default="torchrun's",
            rich_help_panel=INPUT,
        ),
    ] = None,
    batch_size: options.BatchSize = None,
    precision: options.EncoderPrecision = None,
    dtype: Annotated[
        Literal["auto", "float32", "float16"],
        typer.Option(help="Numbers of the file; auto is float32.", rich_help_panel=OUTPUT),
    ] = "auto",
    force: options.Force = False,
    list_encoders: Annotated[
        bool,
        typer.Option(
            "--list-encoders", help="Show the encoders, and whether they would run.", rich_help_panel=INPUT
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Count requests and tokens of an API; ask and pay nothing.", rich_help_panel=OUTPUT
        ),
    ] = False,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    offline: options.Offline = False,
    trust: options.Trust = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:  # fmt: skip
    """Turn sentences and recordings into embeddings, row by row.

    Writes OUT.npy, OUT.sentences.txt (the lines that were embedded; blank ones are dropped) and OUT.json, and
    OUT.audio.txt for recordings. An interrupted run goes on where it stopped when the same command is given again.
    """
    from flip.cli.corpus import Request, embed_dataset, plan_requests

    call = begin(ctx)
    if list_encoders:
        _print_encoders(call.out)
        return
    languages = (call.encoder_options.language or "").split(",")
    for one in languages:
        require_language(one)
    request = Request(
        inputs or [], languages, clips, pair, text_column, batch_size, "float16" if dtype == "float16" else "float32",
        shard, force, chunk,
    )  # fmt: skip
    if chunk and (pair or dataset):
        raise UsageError(
            f"--chunk cuts texts, and --{'pair' if pair else 'dataset'} keeps them", "leave one of them out"
        )
    model_options = replace(call.encoder_options, language=languages[0] or None)
    if dataset is not None:
        require_outputs(call, {"dataset": dataset}, request.inputs)
        with interruptible(_how_to_go_on):
            embed_dataset(request, dataset, encoder, model_options, call)
        return
    if augment or teach:
        raise UsageError(
            f"{'--augment' if augment else '--teach'} requires --dataset",
            "add --dataset DIR, which splits off what is not to be learned from",
        )
    jobs = _jobs(request, output, call)
    for job in jobs:
        require_outputs(call, job.outputs(), [source for other in jobs for source in other.sources])
    model = loading.load_encoder(encoder, call, options=model_options)
    if dry_run:
        for job in jobs:
            plan_requests((record.text for record in job.records), ", ".join(job.sources), model, call.out)
        return
    done = []
    for job in jobs:
        done.append(_embed(job, model, request, call))
        _report(done[-1], model, call.out)
    if pair and done[0].path == jobs[0].output:  # parts are compared when they are joined
        _compare([one.path for one in done], call.out)
    if any(one.about.failed for one in done):
        raise typer.Exit(3)


@dataclass(frozen=True)
class _Job:
    output: Path
    sources: list[str]
    records: Iterable[Record]
    language: str | None

    def outputs(self) -> dict[str, Path | None]:
        """Return the files that it writes, by what they are; `output` is the one that the user may name."""
        from flip.inputs.embedding_files import audio_path, embeddings_json, ids_path, read_path, sentences_path

        return {
            "output": self.output,
            "description": embeddings_json(self.output),
            "sentences": sentences_path(self.output),
            "recordings": audio_path(self.output),
            "lengths": read_path(self.output),
            "ids": ids_path(self.output),
        }


def _jobs(request: Request, output: Path | None, call: Call) -> list[_Job]:
    """Return what to embed into which file."""
    from flip.inputs.sources import is_stream, require_one_stdin

    inputs, languages = request.inputs, request.languages
    if not inputs:
        raise UsageError("no input", "name text files, `-` for standard input, or [embed] inputs in flip.toml")
    require_one_stdin(inputs)
    streams = [name for name in inputs if is_stream(name)]
    if request.pair and (len(inputs) != 2 or output is not None or streams):
        raise UsageError("--pair takes two files", "each is written to INPUT.npy, so there is no -o")
    if len(languages) > 1 and len(languages) != len(inputs):
        raise UsageError(f"--language names {len(languages)} languages for {len(inputs)} inputs")
    if output is not None:
        if is_stream(str(output)):
            raise UsageError(f"{output} is not a regular file", "embeddings are three files side by side: -o OUT.npy")
        if len(languages) > 1:
            raise UsageError("one output has one language", "leave -o out, and each input is written to INPUT.npy")
        output = output if output.suffix == ".npy" else output.with_name(output.name + ".npy")
        return [_Job(output, inputs, request.read(call), None)]
    if streams:
        what = "standard input" if streams[0] == "-" else f"{streams[0]}, a pipe,"
        raise UsageError(f"{what} needs a name for its output", "add -o OUT.npy")
    outputs = [_beside(Path(name)) for name in inputs]
    if len(set(outputs)) < len(outputs):  # a.txt, a.jsonl
        outputs = [Path(name).with_name(Path(name).name + ".npy") for name in inputs]
    jobs = []
    for i, (name, path) in enumerate(zip(inputs, outputs, strict=True)):
        records = _paired(request, i, call) if request.pair else request.read(call, [name])
        jobs.append(_Job(path, [name], records, languages[i] if len(languages) > 1 else None))
    return jobs


def _beside(path: Path) -> Path:
    """Return INPUT.npy: in the place of a known ending, after one that is part of the name, as in europarl.en."""
    from flip.inputs.sniffing import FILE_SUFFIXES, unpacked_name

    bare = Path(unpacked_name(str(path)))
    known = bare.suffix.lower() in FILE_SUFFIXES and not path.is_dir()
    return bare.with_suffix(".npy") if known else bare.with_name(bare.name + ".npy")


def _paired(request: Request, side: int, call: Call) -> Iterator[Record]:
    """Yield one side of two aligned inputs, blank if either side is, so that both keep the same lines."""
    from flip.inputs.record import Record

    for pair in zip_longest(*(request.read(call, [name], noted=i == side) for i, name in enumerate(request.inputs))):
        if None in pair:
            short = request.inputs[pair.index(None)]
            raise InputError(f"{short} has fewer lines than the other of the pair", "line i belongs to line i")
        whole = all(record.text or record.audio for record in pair)
        yield pair[side] if whole else Record(where=pair[side].where, text="")


def _embed(job: _Job, model: Encoder, request: Request, call: Call) -> Embedded:
    import numpy as np

    from flip.embedding.job import embed as write
    from flip.embedding.journal import Shard

    model = with_options(model, language=job.language)
    with interruptible(_how_to_go_on), call.out.progress(f"embedding {job.output.name}") as on_rows:
        return write(
            job.records,
            job.output,
            model,
            transcriber=lambda: loading.load_transcriber(call, job.language),
            batch_size=request.batch_size,
            dtype=np.float16 if request.dtype == "float16" else np.float32,
            shard=Shard.parse(request.shard),
            force=request.force,
            on_rows=on_rows,
            on_resume=lambda row: call.out.note(f"{job.output}: goes on at row {row}"),
        )


def _report(done: Embedded, model: Encoder, out: Output) -> None:
    path, about = done.path, done.about
    if not done.fresh:
        out.note(f"{path} is up to date")
    if not about.rows:
        out.note(f"{path} is empty: there are more parts than inputs")
    if about.blank:
        out.note(f"{path}: {about.blank} blank lines dropped")
    if about.truncated:
        out.note(f"{path}: {about.truncated} sentences were longer than {model.name} reads, and were cut")
    if about.warnings:
        shown = "; ".join(about.warnings[:3])
        out.note(f"{path}: {len(about.warnings)} recordings were decoded only in part: {shown}")
    if about.failed:
        shown = "; ".join(item.error for item in about.failed[:3])
        fail(f"{path}: {len(about.failed)} inputs have no row: {shown}", "all are listed in the .json beside it")
    result = {
        "embeddings": str(path),
        "rows": about.rows,
        "dimension": about.encoder.dimension,
        "blank": about.blank,
        "truncated": about.truncated,
        "failed": len(about.failed),
        "encoder": model.name,
        "device": model.device,
    }
    out.result(result, f"{path}: {about.rows} rows of {about.encoder.dimension}, {model.name} on {model.device}")


def _compare(paths: list[Path], out: Output) -> None:
    from flip.data.precomputed import keep_common_rows, write_similarities

    first, second = paths
    if dropped := keep_common_rows(paths):
        out.note(f"{dropped} inputs have a row in neither of the pair, as one of the two failed")
    path = first.with_name(f"{first.stem}--{second.stem}.similarity.npy")
    mean = write_similarities(first, second, path)
    result = {"similarity": str(path), "pair": [str(first), str(second)], "mean": round(mean, 4)}
    out.result(result, f"{path}: mean cosine {mean:.4f}")


def _print_encoders(out: Output) -> None:
    if not out.human:
        for row in rows():
            out.record(row)
        return
    from rich.padding import Padding

    for row in rows():
        dimensions = f"{row['dimension'] or 'its own'} dimensions"
        out.show(shown(row["encoder"], "bold"))
        out.show(Padding(shown(f"{row['modalities']}; {dimensions}; {row['licence']}"), (0, 0, 0, 2)))
        out.show(Padding(shown(row["missing"] or "runs now", "dim"), (0, 0, 0, 2)))
    out.show(shown("module:factory, FILE.py:factory", "bold"))
    out.show(Padding(shown("your own"), (0, 0, 0, 2)))
