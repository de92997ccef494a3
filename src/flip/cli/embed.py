"""`flip embed`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import loading
from flip.cli.command import command
from flip.cli.output import Output, fail, interruptible, shown

if TYPE_CHECKING:
    from flip.cli.options import EmbedSettings
    from flip.cli.settings import Settings
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
  flip embed big.txt -o big.npy --encoder openai:text-embedding-3-small --dry-run
"""


def _how_to_go_on() -> str:
    return "what is done is kept; the same command goes on where it stopped"


@command(
    "embed",
    shared=("device", "encoder", "seed", "offline", "trust"),
    encoder=(
        "language", "precision", "asr", "weights", "sonar_backend", "prompt", "dimensions", "base_url", "task_type",
        "concurrency",
    ),
)  # fmt: skip
def embed(
    settings: Settings,
    out: Output,
    list_encoders: Annotated[
        bool, typer.Option("--list-encoders", help="Show the encoders, and whether they would run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count requests and tokens of an API; ask and pay nothing.")
    ] = False,
) -> None:
    """Turn sentences and recordings into embeddings, row by row.

    Writes OUT.npy, OUT.sentences.txt (the lines that were embedded; blank ones are dropped) and OUT.json, and
    OUT.audio.txt for recordings. An interrupted run goes on where it stopped when the same command is given again.
    """
    if list_encoders:
        _print_encoders(out)
        return
    from flip.encoders.languages import require_language

    languages = (settings.encoder_options.language or "").split(",")
    for language in languages:
        require_language(language)
    settings.encoder_options = replace(settings.encoder_options, language=languages[0] or None)
    if settings.embed.dataset is not None:
        from flip.cli.embed_dataset import embed_dataset

        with interruptible(_how_to_go_on):
            embed_dataset(settings, languages, out, dry_run=dry_run)
        return
    jobs = _jobs(settings.embed, languages, out)
    _require_inputs_apart(jobs)
    model = loading.load_encoder(settings.encoder, settings, out)
    if dry_run:
        for job in jobs:
            plan_requests((record.text for record in job.records), ", ".join(job.sources), model, out)
        return
    done = []
    for job in jobs:
        done.append(_embed(job, model, settings, out))
        _report(done[-1], model, out)
    if settings.embed.pair and done[0].path == jobs[0].output:  # parts are compared when they are joined
        _compare([one.path for one in done], out)
    if any(one.about.failed for one in done):
        raise typer.Exit(3)


@dataclass(frozen=True)
class _Job:
    output: Path
    sources: list[str]
    records: Iterable[Record]
    language: str | None


def _jobs(own: EmbedSettings, languages: list[str], out: Output) -> list[_Job]:
    """What to embed into which file."""
    from flip.errors import UsageError
    from flip.inputs.sources import is_stream, require_one_stdin

    if not own.inputs:
        raise UsageError("no input", "name text files, `-` for standard input, or [embed] inputs in flip.toml")
    if own.augment or own.teach:
        raise UsageError(
            f"{'--augment' if own.augment else '--teach'} belongs to --dataset",
            "add --dataset DIR, which splits off what is not to be learned from",
        )
    require_one_stdin(own.inputs)
    streams = [name for name in own.inputs if is_stream(name)]
    if own.pair and (len(own.inputs) != 2 or own.output is not None or streams):
        raise UsageError("--pair takes two files", "each is written to INPUT.npy, so there is no -o")
    if len(languages) > 1 and len(languages) != len(own.inputs):
        raise UsageError(f"--language names {len(languages)} languages for {len(own.inputs)} inputs")
    if own.output is not None:
        if is_stream(str(own.output)):
            raise UsageError(f"{own.output} is no regular file", "embeddings are three files side by side: -o OUT.npy")
        if len(languages) > 1:
            raise UsageError("one output has one language", "leave -o out, and each input is written to INPUT.npy")
        output = own.output if own.output.suffix == ".npy" else own.output.with_name(own.output.name + ".npy")
        return [_Job(output, own.inputs, _read(own.inputs, own.clips, out), None)]
    if streams:
        what = "standard input" if streams[0] == "-" else f"{streams[0]}, a pipe,"
        raise UsageError(f"{what} needs a name for its output", "add -o OUT.npy")
    outputs = [_beside(Path(name)) for name in own.inputs]
    if len(set(outputs)) < len(outputs):  # a.txt, a.jsonl
        outputs = [Path(name).with_name(Path(name).name + ".npy") for name in own.inputs]
    jobs = []
    for i, (name, path) in enumerate(zip(own.inputs, outputs, strict=True)):
        records = _paired(own, i, out) if own.pair else _read([name], own.clips, out)
        jobs.append(_Job(path, [name], records, languages[i] if len(languages) > 1 else None))
    return jobs


def _beside(path: Path) -> Path:
    """INPUT.npy: in the place of an ending that is known, after one that is part of the name, as in europarl.en."""
    from flip.inputs.sniffing import FILE_SUFFIXES, unpacked_name

    bare = Path(unpacked_name(str(path)))
    known = bare.suffix.lower() in FILE_SUFFIXES and not path.is_dir()
    return bare.with_suffix(".npy") if known else bare.with_name(bare.name + ".npy")


def _require_inputs_apart(jobs: list[_Job]) -> None:
    """Raises a UsageError where an output would be written over an input."""
    from flip.errors import UsageError
    from flip.inputs.embedding_files import audio_path, embeddings_json, sentences_path

    inputs = {Path(source).resolve(): source for job in jobs for source in job.sources}
    for job in jobs:
        for written in (job.output, embeddings_json(job.output), sentences_path(job.output), audio_path(job.output)):
            if written.resolve() in inputs:
                raise UsageError(
                    f"{inputs[written.resolve()]} is an input, and {job.output} would write over it",
                    "name another output with -o",
                )


def _read(sources: list[str], clips: Path | None, out: Output) -> Iterator[Record]:
    from flip.inputs.records import read_records

    for source in sources:
        yield from read_records(source, clips, lambda message: out.note(f"note: {message}"))


def _paired(own: EmbedSettings, side: int, out: Output) -> Iterator[Record]:
    """One side of two aligned inputs, blank where either side is, so that both keep the same lines."""
    from itertools import zip_longest

    from flip.errors import InputError
    from flip.inputs.record import Record

    for pair in zip_longest(*(_read([name], own.clips, out) for name in own.inputs)):
        if None in pair:
            short = own.inputs[pair.index(None)]
            raise InputError(f"{short} has fewer lines than the other of the pair", "line i belongs to line i")
        whole = all(record.text or record.audio for record in pair)
        yield pair[side] if whole else Record(where=pair[side].where, text="")


def _embed(job: _Job, model: Encoder, settings: Settings, out: Output) -> Embedded:
    import numpy as np

    from flip.embedding.job import embed as write
    from flip.embedding.shards import Shard
    from flip.encoders.base import in_language

    own = settings.embed
    model = in_language(model, job.language)
    with interruptible(_how_to_go_on), out.progress(f"embedding {job.output.name}") as on_rows:
        return write(
            job.records,
            job.output,
            model,
            transcriber=lambda: loading.load_transcriber(settings, job.language),
            batch_size=own.batch_size,
            dtype=np.float16 if own.dtype == "float16" else np.float32,
            shard=Shard.parse(own.shard),
            force=own.force,
            on_rows=on_rows,
            on_resume=lambda row: out.note(f"note: {job.output}: goes on at row {row}"),
        )


def _report(done: Embedded, model: Encoder, out: Output) -> None:
    path, about = done.path, done.about
    if not done.fresh:
        out.note(f"note: {path} is up to date")
    if not about.rows:
        out.note(f"note: {path} is empty: there are more parts than inputs")
    if about.blank:
        out.note(f"note: {path}: {about.blank} blank lines dropped")
    if about.truncated:
        out.note(f"note: {path}: {about.truncated} sentences were longer than {model.name} reads, and were cut")
    if about.warnings:
        shown = "; ".join(about.warnings[:3])
        out.note(f"note: {path}: {len(about.warnings)} recordings were decoded only in part: {shown}")
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
    from flip.data.pairs import keep_common_rows, write_similarities

    first, second = paths
    if dropped := keep_common_rows(paths):
        out.note(f"note: {dropped} inputs have a row in neither of the pair, as one of the two failed")
    path = first.with_name(f"{first.stem}--{second.stem}.similarity.npy")
    mean = write_similarities(first, second, path)
    result = {"similarity": str(path), "pair": [str(first), str(second)], "mean": round(mean, 4)}
    out.result(result, f"{path}: mean cosine {mean:.4f}")


def plan_requests(texts: Iterable[str | None], name: str, model: Encoder, out: Output) -> None:
    """Says what an API would be asked for these texts, called `name`."""
    from flip.errors import UsageError

    plan: Any = getattr(model, "plan", None)
    if plan is None:
        raise UsageError(f"--dry-run: {model.name} is no API and costs nothing", "leave it out")
    sentences = [text for text in texts if text]
    requests, tokens = plan(sentences)
    fields = {"input": name, "sentences": len(sentences), "requests": requests, "tokens": tokens}
    out.result(fields, f"{name}: {len(sentences)} sentences in {requests} requests, about {tokens} tokens")


def _print_encoders(out: Output) -> None:
    from flip.encoders.catalog import table as rows

    if not out.human:
        for row in rows():
            out.record(row)
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2))
    for column in ("encoder", "modalities", "dimension", "licence", "runs now"):
        table.add_column(column, justify="right" if column == "dimension" else "left")
    for row in rows():
        cells = (row["encoder"], row["modalities"], row["dimension"] or "its own", row["licence"])
        table.add_row(*(shown(str(cell)) for cell in cells), shown(row["missing"] or "yes"))
    table.add_row(shown("module:factory, FILE.py:factory"), shown("your own"))
    out.show(table)
