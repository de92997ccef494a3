"""`flip eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flip.cli import eval_audit, loading
from flip.cli.command import command
from flip.cli.output import Output, shown

if TYPE_CHECKING:
    from flip.cli.options import EvalSettings
    from flip.cli.settings import Settings
    from flip.data.manifest import Dataset, EmbeddingFile
    from flip.evaluation.evaluate import EvaluationData, Measured, Ranker
    from flip.model.checkpoint import Checkpoint

EPILOG = """\b
Examples:
  flip eval --model run
  flip eval --model run --data datasets.yaml --dataset test --metrics all --json
  flip eval --model run --compare smaller --metrics all --report report.html
  flip eval store.parquet --audit terms.txt --limit 0.5
"""
_PLOTTED = ("accuracy", "curve")


@command("eval", shared=("device", "offline", "trust"))
def evaluate(
    settings: Settings,
    out: Output,
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE", help="--audit: vectors with their texts, as flip explain takes.", show_default=False
        ),
    ] = None,
) -> None:
    """Measure how much of its sentences a model recovers, with the bias (eq. 5) and without."""
    if store is not None or settings.eval.audit is not None or settings.eval.limit is not None:
        eval_audit.audit_store(store, settings, out)
    else:
        _evaluate(settings, out)


def _evaluate(settings: Settings, out: Output) -> None:
    from flip.data.manifest import load_dataset
    from flip.device import torch_device
    from flip.errors import UsageError
    from flip.evaluation.entities import read_entities
    from flip.evaluation.evaluate import EvaluationData, evaluate_dataset
    from flip.evaluation.plots import draw_plots, require_matplotlib
    from flip.evaluation.registry import EvaluationOptions
    from flip.model.checkpoint import find_checkpoint

    own = settings.eval
    if own.method == "flip" and (own.train or own.dev):
        raise UsageError("--train and --dev are of --method splice", "--dataset NAME is what is measured")
    if own.method == "splice" and own.compare:
        raise UsageError("--compare needs --method flip", "evaluate both, one after the other")
    if own.plot or own.report:
        require_matplotlib()
    checkpoint = loading.load_checkpoint(own.model, own.vocab, settings.offline, out)
    manifest = own.data or _own_manifest(find_checkpoint(own.model), checkpoint.config)
    found = load_dataset(manifest, own.dataset, sim_threshold=own.sim_threshold, similar=True)
    others = [loading.load_checkpoint(name, None, settings.offline, out) for name in own.compare]
    for file in found.embeddings:
        for candidate in (checkpoint, *others):
            _require_fit(file, candidate)
        if checkpoint.encoder and not all(file.sources):
            out.note(f"note: {file.file} does not say which encoder made it; {checkpoint.encoder} is taken on trust")
    evaluated = EvaluationData.of(found, own.text, min_tokens=own.min_tokens, max_tokens=own.max_tokens)
    for what, count in evaluated.left_out.items():
        if count:
            out.note(f"note: dataset {found.name}: {count} {what} left out")
    measuring = EvaluationOptions(
        metrics=_chosen(own),
        topn=own.topn,
        tokens=own.tokens,
        entities=read_entities(own.entities) if own.entities else None,
        device=str(torch_device(settings.device)),
    )
    splice: Ranker | None = None
    about: dict[str, dict[str, Any]] = {}
    if own.method == "splice":
        splice, about = _splice(checkpoint, manifest, evaluated, settings, out)
    measured = []
    for one in evaluate_dataset(checkpoint, evaluated, measuring, others, splice):
        one.result.update(about.get(one.result["embedding"], {}))
        measured.append(one)
        if out.human:
            _draw(out, one.result, own)
        else:
            out.record(one.result)
    _explain_gaps(measured[0].result, out)
    results = [one.result for one in measured]
    if own.details:
        _write_details(own.details, measured, own.topn, out)
    if own.plot:
        draw_plots(results, own.plot)
        out.note(f"wrote {own.plot}")
    if own.report:
        from flip.evaluation.report import write_report

        write_report(own.report, measured, own.topn)
        out.note(f"wrote {own.report}")


def _chosen(own: EvalSettings) -> list[str]:
    chosen = [name.strip() for name in own.metrics.split(",") if name.strip()]
    if "all" in chosen:
        return ["all"]
    if own.plot or own.report:
        chosen += [name for name in _PLOTTED if name not in chosen]
    if own.entities and "entities" not in chosen:
        chosen.append("entities")
    if own.compare and "jaccard" not in chosen:
        chosen.append("jaccard")
    return chosen


def _own_manifest(folder: Path, config: dict[str, Any]) -> Path:
    from flip.errors import UsageError

    named = (config.get("data") or {}).get("manifest")
    if named is None or not (folder / str(named)).is_file():
        raise UsageError(f"{folder} names no data to evaluate on", "add --data datasets.yaml --dataset NAME")
    return folder / str(named)


def _require_fit(file: EmbeddingFile, checkpoint: Checkpoint) -> None:
    from flip.encoders.identity import require_dimension, require_same_encoder

    require_dimension(file.open().shape[1], checkpoint.model.dimension, str(file.file), checkpoint.encoder)
    for source in file.sources:
        require_same_encoder(source, checkpoint.config.get("encoder") or {}, str(file.file))


def _splice(
    checkpoint: Checkpoint, manifest: Path, evaluated: EvaluationData, settings: Settings, out: Output
) -> tuple[Ranker, dict[str, dict[str, Any]]]:
    """Builds the dictionary and tunes the penalty on dev, for each embedding; says what was chosen."""
    from flip.data.manifest import load_dataset
    from flip.device import torch_device
    from flip.encoders.identity import require_encoder_of
    from flip.evaluation.splice import embed_concepts, tune_splice

    own, learned = settings.eval, settings.train
    names = (own.train or learned.train, own.dev or learned.dev)
    train, dev = (load_dataset(manifest, name, sim_threshold=own.sim_threshold, similar=True) for name in names)
    device = str(torch_device(settings.device))
    stored = (checkpoint.config.get("encoder") or {}).get("options")
    named = settings.encoder if "encoder" in settings.model_fields_set else None
    encoder = loading.load_encoder(loading.encoder_name(named, checkpoint, out), settings, out, stored)
    require_encoder_of(encoder, checkpoint.trained_on, {"text"})
    with out.progress("embedding concepts") as on_rows:
        concepts = embed_concepts(encoder, checkpoint.vocabulary.words, on_rows)
    rankers, about = {}, {}
    for name in evaluated.embeddings:
        with out.progress(f"choosing the penalty for {name}") as on_penalty:
            tuned = tune_splice(
                concepts,
                _view(train, name),
                _view(dev, name),
                dev.sentences(settings.eval.text),
                checkpoint.vocabulary,
                tokens=settings.eval.tokens,
                device=device,
                on_penalty=on_penalty,
            )
        rankers[name] = tuned.rank
        about[name] = {"splice": {"penalty": tuned.penalty, "dev_accuracy": tuned.dev_accuracy}}
        out.note(f"{name}: penalty {tuned.penalty:g}, dev accuracy {100 * tuned.dev_accuracy:.2f}")
    return lambda name, view, depth: rankers[name](view, depth), about


def _view(data: Dataset, embedding: str) -> Any:
    """The embedding of that id, or the first; its rows must be finite."""
    from flip.inputs.embedding_files import require_finite

    file = next((file for file in data.embeddings if file.id == embedding), data.embeddings[0])
    view = file.open()
    require_finite(view, str(file.file))
    return view


def _explain_gaps(result: dict[str, Any], out: Output) -> None:
    for name, why in result.get("not_computed", {}).items():
        out.note(f"note: {name} not computed: {why}")
    rows = result.get("entity_rows", {})
    if rows.get("unmatched"):
        out.note(f"note: {rows['unmatched']} of {rows['rows']} entity rows belong to no sentence")
    if rows.get("nameless"):
        out.note(f"note: {rows['nameless']} of {rows['rows']} entity rows have no entity_names")


def _write_details(path: Path, measured: list[Measured], topn: int, out: Output) -> None:
    import orjson

    from flip.evaluation.evaluate import sentence_details
    from flip.files import replacing

    with replacing(path) as temporary, temporary.open("wb") as file:
        for one in measured:
            for record in sentence_details(one, topn):
                file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    out.note(f"wrote {path}")


def _draw(out: Output, result: dict[str, Any], own: EvalSettings) -> None:
    from rich.table import Table

    from flip.evaluation.report import COLUMNS, IN_PERCENT, comparison_rows, summary_rows

    title = f"{result['model']} on {result['dataset']} / {result['embedding']}"
    out.show(shown(f"{title}: {result['n']} sentences, {result['skipped']} skipped", style="bold"))
    out.show(shown(IN_PERCENT, style="dim"))
    for heading, rows in (
        (COLUMNS, summary_rows(result, own.topn)),
        (("compared with", "accuracy", "difference", "Jaccard"), comparison_rows(result)),
    ):
        if not rows:
            continue
        table = Table(box=None, padding=(0, 2))
        for i, column in enumerate(heading):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*(shown(cell) for cell in row))
        out.show(table)
