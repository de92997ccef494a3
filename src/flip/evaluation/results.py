"""The result of `flip eval`, files of results, and a gate that compares them with earlier ones."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from flip.errors import InputError, UsageError
from flip.evaluation.measurements import Figures, Interval, IntervalRecord, as_record
from flip.evaluation.registry import FIGURES
from flip.files import Fields, os_errors, safe_name, without_mark, write_json
from flip.text.tokenize import TokenSource

Record = Mapping[str, object]  # the JSON object of `flip eval`
_SIDES = {"": "", "bias": " with b", "no_bias": " without b"}
COLUMNS = ("metric", "with b", "without b", "most frequent words")
_MEASURED_BY = ("n", "sentences", "topn", "tokens")  # fields of a record


class AgreementRecord(TypedDict):
    """One of `comparisons`: estimates by side."""

    model: str
    rank: int | str
    embedding: str
    accuracy: Mapping[str, Mapping[str, float]]
    difference: Mapping[str, Mapping[str, float]]
    jaccard: Mapping[str, Mapping[str, float]]


class EvalRecord(TypedDict, total=False):
    """The JSON of `flip eval`. The fields of a figure differ from metric to metric."""

    dataset: str
    embedding: str
    model: str
    method: Literal["flip", "splice"]
    rank: int | str
    recipe: str
    n: int
    sentences: str
    topn: int
    tokens: TokenSource
    skipped: int
    device: str
    metrics: Mapping[str, Mapping[str, Any]]
    most_frequent_words: Mapping[str, Mapping[str, Any]]
    comparisons: Sequence[AgreementRecord]
    entity_rows: Mapping[str, int]
    not_computed: Mapping[str, str]
    intervals: Mapping[str, IntervalRecord]
    encoder: str | None
    revision: str | None
    dimension: int
    words: int


@dataclass(frozen=True, repr=False)
class EvalResult:
    """Figures of a model, and the data and settings that they were measured with.

    method: the ranker of the words.  rank: of the factors, "full" for LiP.
    recipe: the same for models that were trained alike on the same data, but for the rank.
    n: sentences.  sentences: their hash.  skipped: those without a vector or a known word.
    metrics: by name and side.  most_frequent_words: the same figures for the words of the highest b.
    further: other fields of metrics, see `flip.evaluation.registry.Metric`.
    not_computed: the reason, by metric.
    about: encoder, vocabulary and run, as far as the caller knows them.
    intervals: 95% intervals of figures, if models were compared.
    """

    dataset: str
    embedding: str
    model: str
    method: Literal["flip", "splice"]
    rank: int | str
    recipe: str
    n: int
    sentences: str
    topn: int
    tokens: TokenSource
    skipped: int
    device: str
    metrics: Figures
    most_frequent_words: Figures
    further: Mapping[str, object] = field(default_factory=dict)
    not_computed: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    intervals: Mapping[str, Interval] | None = None

    def to_dict(self) -> EvalRecord:
        """Return the record that `flip eval --json` prints."""
        nested = ("metrics", "most_frequent_words", "further", "not_computed", "about", "intervals")
        record: Fields = {name: value for name, value in vars(self).items() if name not in nested}
        printed = {name: sides for name, sides in self.metrics.items() if name not in FIGURES or FIGURES[name].printed}
        record["metrics"] = {name: as_record(sides) for name, sides in printed.items()}
        record["most_frequent_words"] = {name: as_record(sides) for name, sides in self.most_frequent_words.items()}
        record |= self.further
        if self.not_computed:
            record["not_computed"] = dict(self.not_computed)
        record |= self.about
        if self.intervals is not None:
            record["intervals"] = {name: interval.to_dict() for name, interval in self.intervals.items()}
        return cast(EvalRecord, record)

    def __repr__(self) -> str:
        metrics = self.to_dict()["metrics"]
        accuracy = metrics.get("accuracy", {}).get("bias")
        figures = f"accuracy {accuracy['mean']:.1%} with b" if accuracy else ", ".join(metrics)
        return f"<EvalResult: {figures} over {self.n} sentences>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        rows = summary_rows(self.to_dict(), self.topn)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table><tr>{head}</tr>{body}</table>"


def summary_rows(result: EvalRecord, topn: int) -> list[tuple[str, ...]]:
    """Return rows of COLUMNS as text, fractions in percent with standard error; curves are left to the plots.

    The last column is the figure of the words of the highest b, the same for every sentence.
    """
    rows = []
    for key, value in result["metrics"].items():
        if key not in FIGURES:
            continue
        figure = FIGURES[key]
        name = figure.heading.format(n=topn)
        if value.get("n") and "threshold" in value:
            name += f" ({value['threshold']:.2f})"
        frequent = estimate_as_text(result["most_frequent_words"][key]) if key in result["most_frequent_words"] else ""
        if "value" in value:
            sides = [f"{100 * value['value']:.2f}", ""]
        elif "mean" in value:
            sides = [estimate_as_text(value, figure.decimals), ""]
        else:
            sides = [estimate_as_text(value.get(side)) for side in ("bias", "no_bias")]
        rows.append((name, *sides, frequent))
    return rows


def estimate_as_text(estimate: Mapping[str, float] | None, decimals: int | None = None, signed: bool = False) -> str:
    """Return an estimate as text: in percent, or as it is with so many decimals."""
    if not estimate or not estimate["n"]:
        return "-"
    factor, decimals = (100, 2) if decimals is None else (1, decimals)
    sign = "+" if signed else ""
    return f"{factor * estimate['mean']:{sign}.{decimals}f} ± {factor * estimate['se']:.{decimals}f}"


def name_of(record: Record) -> str:
    """Return the name of a record: model, dataset and embedding."""
    return f"{record.get('model')} on {record.get('dataset')} / {record.get('embedding')}"


def threads() -> int:
    """Return the number of threads that torch computes with."""
    import torch

    return torch.get_num_threads()


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None if the system does not report it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def write_results(folder: Path, records: Sequence[Record]) -> list[Path]:
    """Write FOLDER/ENCODER/REVISION/DATASET.json for each record; earlier files are replaced.

    Raises:
        UsageError: two of them would have the same name.
    """
    files: dict[Path, Record] = {}
    for record in records:
        parts = [safe_name(str(record.get(key) or "unknown")) for key in ("encoder", "revision", "dataset")]
        path = folder.joinpath(*parts[:2], f"{parts[2]}.json")
        if path in files:
            raise UsageError(
                f"{name_of(files[path])} and {name_of(record)} would both be {path}",
                "measure them by commands of their own, each with its --results",
            )
        files[path] = record
    for path, record in files.items():
        write_json(path, record)
    return list(files)


def read_results(path: Path) -> Sequence[Record]:
    """Read the records of models that `flip eval --json` printed or `write_results` wrote.

    Raises:
        InputError: it holds none.
    """
    import orjson

    with os_errors(path, "read"):
        content = without_mark(path.read_bytes())
    try:
        found: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            found = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}: not the JSON of `flip eval --json`: {error}") from error
    rows = found if isinstance(found, list) else [found]
    records = [row for row in rows if isinstance(row, dict) and isinstance(row.get("metrics"), dict)]
    if not records:
        raise InputError(f"{path}: no record of `flip eval`", "flip eval --model run --json > baseline.json")
    return records


@dataclass(frozen=True)
class Fall:
    """A figure that is worse than it was. of: the model and its data."""

    of: str
    figure: str
    before: float
    now: float

    def __str__(self) -> str:
        went = "fell" if self.now < self.before else "rose"
        return f"{self.of}: {self.figure} {went} from {self.before:.4f} to {self.now:.4f}"


def falls(before: Sequence[Record], now: Sequence[Record], most: float) -> list[Fall]:
    """Return the shares that are worse than before by more than `most`: for accuracies and recalls, the lower ones.

    Losses and perplexity are not shares and sparsity is not a measure of quality: they are not compared.

    Args:
        before, now: records, which belong together by model, dataset and embedding.

    Raises:
        InputError: a record of now, or a figure of before, has no counterpart; they were not measured alike; or
            before is damaged.
    """
    known: dict[str, Record] = {}
    for record in before:
        if known.setdefault(name_of(record), record) is not record:
            raise InputError(f"the baseline has two records of {name_of(record)}", "leave the one that counts")
    found = []
    for record in now:
        name = name_of(record)
        if name not in known:
            raise InputError(f"the baseline has no record of {name}", f"it has: {'; '.join(known)}")
        _require_measured_alike(known[name], record)
        values, earlier = _shares(record), _shares(known[name])
        if not earlier:
            raise InputError(f"{name}: the baseline has no share to look at", "--metrics accuracy, content, or all")
        for (figure, side), value in earlier.items():
            if value is None:
                continue
            label = figure + _SIDES[side]
            measured = values.get((figure, side))
            if measured is None:
                raise InputError(
                    f"{name}: {label} is in the baseline, and was not measured", "give the --metrics of the baseline"
                )
            worse = measured - value if FIGURES[figure].lower_is_better else value - measured
            if worse > most + 1e-12:  # in numbers that are rounded as they are computed
                found.append(Fall(name, label, value, measured))
    return found


def _require_measured_alike(before: Record, now: Record) -> None:
    """Raise an InputError if both records state their sentences and settings, and these differ."""
    differing = [key for key in _MEASURED_BY if key in before and key in now and before[key] != now[key]]
    if "n" in differing or "sentences" in differing:
        said = f"the baseline is of other sentences, {before.get('n')} of them; these are {now.get('n')}"
        raise InputError(f"{name_of(now)}: {said}", "measure the baseline on these sentences, or these on its own")
    for key in differing:
        said = f"the baseline has --{key} {before[key]}, and this is with {now[key]}"
        raise InputError(f"{name_of(now)}: {said}", "measure both alike")


def _metrics(record: Record) -> Mapping[str, object]:
    found = record["metrics"]
    return found if isinstance(found, dict) else {}


def _shares(record: Record) -> dict[tuple[str, str], float | None]:
    """Return the figures that are shares, by name and side; None if no sentence counted."""
    found: dict[tuple[str, str], float | None] = {}
    for name, value in _metrics(record).items():
        if name not in FIGURES or FIGURES[name].decimals is not None or not isinstance(value, dict):
            continue
        for side, said in _SIDES.items():
            one = value if not side else value.get(side)
            if isinstance(one, dict) and "mean" in one:
                mean = one["mean"]
                if mean is not None and (isinstance(mean, bool) or not isinstance(mean, int | float)):
                    raise InputError(f"{name_of(record)}: {name}{said} is {mean!r}, not a number")
                found[name, side] = None if mean is None or mean != mean else float(mean)
    return found
