"""Measure models on datasets for `flip eval` and `flip compare`: records, tables, files and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flip import __version__
from flip.cli import comparison_view, options, output
from flip.cli.call import Call, require_outputs
from flip.device import torch_device
from flip.errors import UsageError
from flip.evaluation.registry import CHOICES, DRAWN, named, of_several_models
from flip.files import Fields, replacing
from flip.text.tokenize import TokenSource

if TYPE_CHECKING:
    from flip.evaluation.entities import EntityRow
    from flip.evaluation.evaluate import EvaluationData, Measured, Ranker
    from flip.evaluation.results import EvalRecord, Record
    from flip.model.checkpoint import Checkpoint

METRICS = "accuracy,content,pr"

# Options of both commands.
Dataset = Annotated[str, typer.Option(help="Dataset to measure on.", rich_help_panel=options.DATA)]
MinTokens = Annotated[
    int | None, typer.Option(min=0, help="Only sentences of so many words or more.", rich_help_panel=options.INPUT)
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Only sentences of so many words or fewer.", rich_help_panel=options.INPUT)
]
Metrics = Annotated[str, typer.Option(help=f"Separated by commas: {CHOICES}; or all.", rich_help_panel=options.OUTPUT)]
Tokens = Annotated[
    TokenSource,
    typer.Option(help="Words of the sentences: by the vocabulary's tokenizer, or split on white space.",
                 rich_help_panel=options.INPUT),
]  # fmt: skip
MeasuredTopn = Annotated[
    int, typer.Option("--topn", "-n", min=1, help="N of precision, recall and F1.", rich_help_panel=options.OUTPUT)
]
EntityFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="JSONL of text (or line_number) and entity_names.", rich_help_panel=options.INPUT
    ),
]


@dataclass(frozen=True)
class Case:
    """A model and what it is measured on.

    about: further fields of its records, by embedding; under "" those of all.
    cost: of its training and embedding, as far as it is known.
    splice: ranks the words in its place.
    """

    checkpoint: Checkpoint
    data: EvaluationData
    about: Mapping[str, Fields] = field(default_factory=dict)
    cost: Fields = field(default_factory=dict)
    splice: Ranker | None = None


@dataclass(frozen=True)
class Request:
    """What is measured, and where it is written; the fields are options of the commands.

    results: folder of result files for a leaderboard.
    """

    metrics: str
    tokens: TokenSource
    topn: int
    entities: Path | None
    details: Path | None
    plot: Path | None
    report: Path | None
    baseline: Path | None
    fail_below: float | None
    results: Path | None = None

    @property
    def names(self) -> list[str]:
        """Return the names of the metrics that the user lists."""
        return [name.strip() for name in self.metrics.split(",") if name.strip()]

    def check(self, call: Call, inputs: Sequence[str | Path | None]) -> None:
        """Check outputs and names before anything is measured.

        Raises:
            UsageError: an output is an input or cannot be drawn, an unknown metric, or one half of the gate.
            UnavailableError: matplotlib is not installed.
        """
        from flip.evaluation.plots import require_drawable, require_matplotlib

        outputs = {"details": self.details, "plot": self.plot, "report": self.report, "results": self.results}
        require_outputs(call, outputs, [*inputs, self.entities, self.baseline])
        if self.plot:
            require_drawable(self.plot)
        if self.plot or self.report:
            require_matplotlib()
        if (self.baseline is None) != (self.fail_below is None):
            raise UsageError("--baseline and --fail-below belong together", "--baseline results.json --fail-below 0.02")
        named(self.names)
        self.read_entities()
        self.read_baseline()

    def read_entities(self) -> list[EntityRow] | None:
        """Return the rows of the entity file; None if there is none."""
        from flip.evaluation.entities import read_entities

        return read_entities(self.entities) if self.entities else None

    def read_baseline(self) -> list[Record]:
        """Return the records of the baseline."""
        from flip.evaluation.results import read_results

        return list(read_results(self.baseline)) if self.baseline else []


def measure(cases: Sequence[Case], request: Request, call: Call, *, compared: bool) -> None:
    """Measure every case; print and write what the request asks for.

    Args:
        cases: models with their data; the same sentences if they are compared.
        request: see `Request`.
        call: of the command.
        compared: whether the first is compared with the others.

    Raises:
        Exit: with the gate's code, if a figure is worse than the baseline.
    """
    from flip.evaluation import paired, plots
    from flip.evaluation.results import write_results

    out = call.out
    by_case = _measured(cases, request.read_entities(), request, call, compared)
    views = list(zip(*by_case, strict=True))  # of each view of the sentences, what every model makes of it
    wanted = compared or request.results or request.report
    sides = [paired.side_by_side(view, call.runtime.seed) for view in views] if wanted else []
    if sides:
        by_case = [list(of_case) for of_case in zip(*(side.measured for side in sides), strict=True)]
    measured = [one for of_case in by_case for one in of_case]
    results = [one.result.to_dict() for one in measured]
    for one in measured:
        if one.unfamiliar:
            usual = one.checkpoint.config.usually_known
            out.note(
                f"{one.checkpoint.name} knows {one.known_words:.0%} of the words of {one.result.dataset}, and "
                f"{usual:.0%} of those of its own tests: another language or subject?"
                + (" it is not compared" if compared else "")
            )
    for record in results:
        if not out.human:
            out.record(record)
        elif not compared or call.given("metrics"):
            _draw(out, record, request.topn)
    for side in sides:
        if out.human and compared:
            comparison_view.draw_comparison([one.result.to_dict() for one in side.measured], side, request.topn, out)
        elif not out.human and len(side.measured) > 1:
            out.record(side.to_dict())
    _explain_gaps(results, out)
    if request.details:
        _write_details(request.details, measured, request.topn, out)
    if request.plot:
        plots.draw_plots(results, request.plot)
        out.status(f"wrote {request.plot}")
    if request.report:
        from flip.evaluation.report import write_report

        write_report(request.report, measured, request.topn)
        out.status(f"wrote {request.report}")
    if request.results:
        costs = [_cost(case) for case, of_case in zip(cases, by_case, strict=True) for _ in of_case]
        for path in write_results(request.results, [{**one, **cost} for one, cost in zip(results, costs, strict=True)]):
            out.status(f"wrote {path}")
    if request.baseline and request.fail_below is not None:
        _require_no_fall(request.read_baseline(), results, request.fail_below, out)


def _measured(
    cases: Sequence[Case], entities: list[EntityRow] | None, request: Request, call: Call, compared: bool
) -> list[list[Measured]]:
    """Return what each model makes of its embeddings. The first is measured last: it is compared with the others."""
    from flip.evaluation import evaluate, subject
    from flip.evaluation.entities import names_by_rule

    several = len(cases) > 1
    device = str(torch_device(call.runtime.device))
    if entities is None and compared:
        english = all(case.checkpoint.config.function_words == "english" for case in cases)
        entities = (english and names_by_rule(cases[0].data.texts.values())) or None
        if entities:
            call.out.note(
                f"names of {len(entities)} sentences are runs of capitalised words, by a rule; --entities FILE has "
                "better ones"
            )
    found: list[list[Measured]] = []
    for case in [*cases[1:], cases[0]]:
        is_first = case is cases[0]
        names = _chosen(request, case, is_first and several, compared, entities)
        asked = subject.EvaluationOptions(names, request.topn, request.tokens, entities, device)
        others = [one for of_case in found for one in of_case] if is_first else []
        with call.out.progress(f"measuring {case.checkpoint.name}") as on_embedding:
            on_embedding(0, len(case.data.embeddings))
            of_case: list[Measured] = []
            for one in evaluate.evaluate_dataset(case.checkpoint, case.data, asked, others, case.splice):
                about = _about(case, one.result.embedding)
                of_case.append(replace(one, result=replace(one.result, about=about)))
                on_embedding(len(of_case), len(case.data.embeddings))
        found.append(of_case)
    return [found[-1], *found[:-1]]


def _chosen(
    request: Request, case: Case, agreement: bool, compared: bool, entities: list[EntityRow] | None
) -> list[str]:
    """Return the metrics of a case: those that the user lists, and those that outputs and comparisons need."""
    from flip.evaluation.subject import EvaluationOptions, Setting

    chosen = request.names
    if "all" in chosen:
        return ["all"]
    added = list(DRAWN) if request.plot or request.report else []
    if entities is not None and request.entities:
        added.append("entities")
    if compared:
        setting = Setting(case.checkpoint, EvaluationOptions(entities=entities), agreement, case.splice is not None)
        added += of_several_models(setting)
    if agreement:
        added.append("jaccard")
    elif compared and len(case.data.embeddings) == 1:  # the first has it
        chosen = [name for name in chosen if name != "jaccard"]
    return list(dict.fromkeys([*chosen, *added]))


def _about(case: Case, embedding: str) -> Fields:
    """Return the fields of a record beside its figures: which encoder and words."""
    checkpoint = case.checkpoint
    about: Fields = {"encoder": checkpoint.encoder, "revision": checkpoint.trained_on.revision}
    about |= {"dimension": checkpoint.model.dimension, "words": len(checkpoint.vocabulary)}
    about |= {"vocabulary": f"sha256:{checkpoint.vocabulary.options['words']}"}
    return about | case.about.get("", {}) | case.about.get(embedding, {})


def _cost(case: Case) -> Fields:
    """Return the further fields of a result file: what was kept with an encoder's run, else those of this process."""
    from flip.evaluation.results import peak_memory, threads

    return {"threads": threads(), "peak_memory": peak_memory()} | case.cost | {"version": __version__}


def _require_no_fall(baseline: Sequence[Record], results: Sequence[Record], most: float, out: output.Output) -> None:
    """End with the gate's exit code if a figure is worse than the baseline by more than `most`."""
    from flip.evaluation.results import falls, name_of

    found = falls(baseline, results, most)
    measured = [name_of(one) for one in results]
    for name in map(name_of, baseline):
        if name not in measured:
            out.note(f"{name} is in the baseline, and is not measured here")
    for one in found:
        output.fail(f"{one}, by more than {most:g}")
    if found:
        raise typer.Exit(options.WORSE)


def _explain_gaps(results: Sequence[EvalRecord], out: output.Output) -> None:
    for name, why in dict.fromkeys(gap for one in results for gap in one.get("not_computed", {}).items()):
        out.note(f"{name} not computed: {why}")
    rows = results[0].get("entity_rows", {})
    if rows.get("unmatched"):
        out.note(f"{rows['unmatched']} of {rows['rows']} entity rows belong to no sentence")
    if rows.get("nameless"):
        out.note(f"{rows['nameless']} of {rows['rows']} entity rows have no entity_names")


def _write_details(path: Path, measured: list[Measured], topn: int, out: output.Output) -> None:
    import orjson

    from flip.evaluation.evaluate import sentence_details

    with replacing(path) as temporary, temporary.open("wb") as file:
        for one in measured:
            for record in sentence_details(one, topn):
                file.write(orjson.dumps(record.to_dict(), option=orjson.OPT_APPEND_NEWLINE))
    out.status(f"wrote {path}")


def _draw(out: output.Output, result: EvalRecord, topn: int) -> None:
    from rich.table import Table

    from flip.evaluation.report import IN_PERCENT, comparison_rows
    from flip.evaluation.results import COLUMNS, summary_rows

    title = f"{result['model']} on {result['dataset']} / {result['embedding']}"
    out.show(output.shown(f"{title}: {result['n']} sentences, {result['skipped']} skipped", style="bold"))
    out.show(output.shown(IN_PERCENT, style="dim"))
    for heading, rows in (
        (COLUMNS, summary_rows(result, topn)),
        (("compared with", "accuracy", "difference", "Jaccard"), comparison_rows(result)),
    ):
        if not rows:
            continue
        table = Table(box=None, padding=(0, 2))
        for i, column in enumerate(heading):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*(output.shown(cell) for cell in row))
        out.show(table)
