"""`flip eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flip.cli import eval_audit
from flip.cli.command import command
from flip.cli.eval_compare import draw_comparison
from flip.cli.eval_encoders import encoders_on_sentences
from flip.cli.eval_models import Case, trained_models
from flip.cli.options import WORSE
from flip.cli.output import Output, fail, shown

if TYPE_CHECKING:
    from flip.cli.options import EvalSettings
    from flip.cli.settings import Settings
    from flip.evaluation.entities import EntityRow
    from flip.evaluation.evaluate import Measured
    from flip.evaluation.results import Record

EPILOG = """\b
Examples:
  flip eval --model run
  flip eval --model run --data datasets.yaml --dataset test --metrics all --json
  flip eval --model run --model smaller --metrics all --report report.html
  flip eval sents.txt --encoder minilm --encoder my_encoder.py:FastUSE
  flip eval store.parquet --audit terms.txt --limit 0.5
"""


@command("eval", shared=("device", "seed", "offline", "trust"))
def evaluate(
    settings: Settings,
    out: Output,
) -> None:
    """Measure how much of its sentences a model recovers, with the bias (eq. 5) and without.

    With SENTENCES and --encoder it compares encoders: a model of each is trained alike, and measured on the same
    sentences.
    """
    own, named = settings.eval, settings.named
    _require_outputs(own)
    if eval_audit.is_asked(own, named):
        eval_audit.audit_store(settings, out)
    elif own.sentences and ("sentences" in named or not named & {"model", "compare", "data", "dataset"}):
        _evaluate(settings, out, of_encoders=True)
    else:
        _evaluate(settings, out, of_encoders=False)


def _evaluate(settings: Settings, out: Output, of_encoders: bool) -> None:
    from flip.errors import UsageError
    from flip.evaluation.entities import read_entities
    from flip.evaluation.paired import side_by_side
    from flip.evaluation.plots import draw_plots
    from flip.evaluation.registry import named
    from flip.evaluation.results import read_results, write_results

    own = settings.eval
    if (own.baseline is None) != (own.fail_below is None):
        raise UsageError("--baseline and --fail-below belong together", "--baseline results.json --fail-below 0.02")
    baseline = read_results(own.baseline) if own.baseline else []
    named(_asked(own))
    entities = read_entities(own.entities) if own.entities else None
    cases = encoders_on_sentences(settings, out) if of_encoders else trained_models(settings, out)
    by_case = _measured(cases, entities, settings, of_encoders, out)
    together = of_encoders or len(cases) > 1
    views = list(zip(*by_case, strict=True))  # of each view of the sentences, what every model makes of it
    compared = [side_by_side(view, settings.seed) for view in views] if together or own.results or own.report else []
    if compared:
        by_case = [list(of_case) for of_case in zip(*(one.measured for one in compared), strict=True)]
    measured = [one for of_case in by_case for one in of_case]
    results = [one.result.to_dict() for one in measured]
    for record in results:
        if not out.human:
            out.record(record)
        elif not together or "metrics" in settings.named:
            _draw(out, record, own)
    for one in compared:
        if out.human and together:
            draw_comparison([model.result.to_dict() for model in one.measured], one.to_dict(), own.topn, out)
        elif not out.human and len(one.measured) > 1:
            out.record(one.to_dict())
    _explain_gaps(results, out)
    if own.details:
        _write_details(own.details, measured, own.topn, out)
    if own.plot:
        draw_plots(results, own.plot)
        out.note(f"wrote {own.plot}")
    if own.report:
        from flip.evaluation.report import write_report

        write_report(own.report, measured, own.topn)
        out.note(f"wrote {own.report}")
    if own.results:
        costs = [_cost(case) for case, of_case in zip(cases, by_case, strict=True) for _ in of_case]
        for path in write_results(own.results, [one | cost for one, cost in zip(results, costs, strict=True)]):
            out.note(f"wrote {path}")
    if own.baseline and own.fail_below is not None:
        _require_no_fall(baseline, results, own.fail_below, out)


def _require_outputs(own: EvalSettings) -> None:
    """Before anything is made: no output is an input, and a plot can be drawn."""
    from flip.errors import UsageError
    from flip.evaluation.plots import require_drawable, require_matplotlib
    from flip.files import require_apart

    read = [own.entities, own.baseline, own.data, own.vocab, own.audit]
    code = [name.rpartition(":")[0] for name in own.encoder]  # FILE.py:factory
    outputs = [output for output in (own.details, own.plot, own.report) if output is not None]
    for output in outputs:
        require_apart(output, [*own.sentences, *code, *(path for path in read if path is not None)])
        if [other.resolve() for other in outputs].count(output.resolve()) > 1:
            raise UsageError(f"{output} is more than one output", "name a file for each")
    if own.plot:
        require_drawable(own.plot)
    if own.plot or (own.report and own.audit is None):
        require_matplotlib()


def _measured(
    cases: Sequence[Case], entities: list[EntityRow] | None, settings: Settings, of_encoders: bool, out: Output
) -> list[list[Measured]]:
    """What each model makes of its embeddings. The first one is measured last, since it is compared with the others."""
    from flip.device import torch_device
    from flip.evaluation.entities import names_by_rule
    from flip.evaluation.evaluate import evaluate_dataset
    from flip.evaluation.subject import EvaluationOptions

    own, several = settings.eval, len(cases) > 1
    device = str(torch_device(settings.device))
    if entities is None and (several or of_encoders):
        english = all(case.checkpoint.config.function_words == "english" for case in cases)
        entities = (english and names_by_rule(cases[0].data.texts.values())) or None
        if entities:
            rule = f"note: names of {len(entities)} sentences are runs of capitalised words, by a rule"
            out.note(f"{rule}; --entities FILE says them better")
    found: list[list[Measured]] = []
    for case in [*cases[1:], cases[0]]:
        is_first = case is cases[0]
        options = EvaluationOptions(
            _chosen(own, case, is_first and several, several or of_encoders, entities),
            own.topn, own.tokens, entities, device,
        )  # fmt: skip
        others = [one for of_case in found for one in of_case] if is_first else []
        measured = evaluate_dataset(case.checkpoint, case.data, options, others, case.splice)
        found.append(
            [replace(one, result=replace(one.result, about=_about(case, one.result.embedding))) for one in measured]
        )
    return [found[-1], *found[:-1]]


def _asked(own: EvalSettings) -> list[str]:
    return [name.strip() for name in own.metrics.split(",") if name.strip()]


def _chosen(
    own: EvalSettings, case: Case, agreement: bool, together: bool, entities: list[EntityRow] | None
) -> list[str]:
    from flip.evaluation.registry import DRAWN, of_several_models
    from flip.evaluation.subject import EvaluationOptions, Setting

    chosen = _asked(own)
    if "all" in chosen:
        return ["all"]
    added = list(DRAWN) if own.plot or own.report else []
    if entities is not None and own.entities:
        added.append("entities")
    if together:
        options = EvaluationOptions(entities=entities)
        added += of_several_models(Setting(case.checkpoint, options, agreement, case.splice is not None))
    if agreement:
        added.append("jaccard")
    elif together and len(case.data.embeddings) == 1:  # of the first with it
        chosen = [name for name in chosen if name != "jaccard"]
    return list(dict.fromkeys([*chosen, *added]))


def _about(case: Case, embedding: str) -> dict[str, Any]:
    """What a record says beside the figures: which encoder and words."""
    checkpoint = case.checkpoint
    about: dict[str, Any] = {"encoder": checkpoint.encoder, "revision": checkpoint.trained_on.revision}
    about |= {"dimension": checkpoint.model.dimension, "words": len(checkpoint.vocabulary)}
    about |= {"vocabulary": f"sha256:{checkpoint.vocabulary.options['words']}"}
    return about | case.about.get("", {}) | case.about.get(embedding, {})


def _cost(case: Case) -> dict[str, Any]:
    """What a result file says beside: of an encoder's run what was kept with it, else of this process."""
    from flip import __version__
    from flip.evaluation.results import peak_memory, threads

    return {"threads": threads(), "peak_memory": peak_memory()} | case.cost | {"version": __version__}


def _require_no_fall(baseline: Sequence[Record], results: Sequence[Record], most: float, out: Output) -> None:
    """The gate of --fail-below: ends with its exit code where a figure is worse than the baseline by more."""
    from flip.evaluation.results import falls, name_of

    found = falls(baseline, results, most)
    measured = [name_of(one) for one in results]
    for name in map(name_of, baseline):
        if name not in measured:
            out.note(f"note: {name} is in the baseline, and is not measured here")
    for one in found:
        fail(f"{one}, by more than {most:g}")
    if found:
        raise typer.Exit(WORSE)


def _explain_gaps(results: Sequence[dict[str, Any]], out: Output) -> None:
    for name, why in dict.fromkeys(gap for one in results for gap in one.get("not_computed", {}).items()):
        out.note(f"note: {name} not computed: {why}")
    rows = results[0].get("entity_rows", {})
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
