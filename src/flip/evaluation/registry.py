"""The metrics of `flip eval`: name, requirements, measurement and headings of each.

Nothing heavy is imported until something is measured: the command line reads the names for its help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flip.errors import UsageError

if TYPE_CHECKING:
    from flip.evaluation.measurements import Figures
    from flip.evaluation.subject import Setting, Subject


@dataclass(frozen=True)
class Figure:
    """How a figure is shown.

    heading: in the table of a model; `{n}` in it is the N of --topn.
    beside: in the table of several models, with its interval; None leaves it out there.
    decimals: of a number that is not a fraction; None is in percent, and lets the gate compare it.
    printed: whether the record has it.
    lower_is_better: for the gate.
    of_sentences: whether it is the same for every ranking of their words.
    marker: its sign in the plot of figures; None leaves it out there.
    """

    heading: str
    beside: str | None = None
    decimals: int | None = None
    printed: bool = True
    lower_is_better: bool = False
    of_sentences: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class Metric:
    """One metric, or several that are measured together.

    figures: how each is shown. Curves have no figure: they are drawn.
    measure: values of the sentences, by figure and side; the side "" is that of a figure without sides.
    beside: further fields of the record.
    lacks: the reason why it cannot be computed, or None.
    of_ranking: whether it needs only a ranking, so that the most frequent words can be measured too.
    needs_shown: whether it uses `Subject.shown`.
    drawn: whether a plot shows it.
    """

    name: str
    figures: Mapping[str, Figure]
    measure: Callable[[Subject], Figures] = lambda subject: {}
    beside: Callable[[Subject], Mapping[str, object]] = lambda subject: {}
    lacks: Callable[[Setting], str | None] = field(default=lambda setting: None)
    of_ranking: bool = False
    needs_shown: bool = False
    drawn: bool = False


def _ranked(subject: Subject, metric: str) -> Figures:
    from flip.evaluation.metrics import ranking_metrics

    refs, topn = subject.sought.references, subject.options.topn
    return ranking_metrics(subject.ranking, refs, subject.size, metrics=(metric,), topn=topn)


def _accuracy(subject: Subject) -> Figures:
    from flip.evaluation.metrics import word_shares

    shares = word_shares(subject.ranking, subject.sought.references, subject.size)
    return {**_ranked(subject, "accuracy"), **shares}


def _frequency(subject: Subject) -> Figures:
    from flip.evaluation.metrics import recall_by_frequency

    words = subject.sought.references.words
    return {"recall_by_frequency": recall_by_frequency(subject.ranking, words, subject.size)}


def _content(subject: Subject) -> Figures:
    from flip.evaluation.metrics import content_recall

    found = content_recall(subject.shown, subject.sought.content, subject.size, subject.options.topn)
    return {name: {"": means} for name, means in found.items()}


def _span(subject: Subject) -> Figures:
    from flip.evaluation import measurements, metrics

    spans = subject.sought.spans
    found = {
        side: metrics.within(metrics.hits(one.words, spans, subject.size), spans)
        for side, one in subject.ranking.items()
    }
    return {"span_accuracy": {side: measurements.Means.of(hit.sum(axis=1), spans.sizes) for side, hit in found.items()}}


def _entities(subject: Subject) -> Figures:
    from flip.evaluation.entities import entity_metrics, names_shown

    entities, topn = subject.sought.entities, subject.options.topn
    found = entity_metrics(subject.ranking, entities, subject.size, topn=topn)
    return found | {"names": {"": names_shown(subject.shown, entities, subject.size, topn)}}


def _entity_rows(subject: Subject) -> Mapping[str, object]:
    entities = subject.sought.entities
    return {"entity_rows": {"rows": entities.rows, "unmatched": entities.unmatched, "nameless": entities.nameless}}


def _perplexity(subject: Subject) -> Figures:
    from flip.evaluation.probabilities import perplexity
    from flip.text.bow import bags_of_words

    bags = bags_of_words(subject.sought.texts.values(), subject.checkpoint.vocabulary)
    found = perplexity(subject.checkpoint.model, subject.embeddings, bags, subject.options.device)
    return {"perplexity": {"": found}}


def _calibration(subject: Subject) -> Figures:
    import numpy as np

    from flip.evaluation import metrics, probabilities, word_ranking
    from flip.text.bow import ReferenceReader

    refs, options, checkpoint = subject.sought.references, subject.options, subject.checkpoint
    shown = word_ranking.Ranking(subject.shown.words[:, : options.topn], subject.shown.scores[:, : options.topn])
    found = {**probabilities.calibration(shown, refs, subject.size)}
    if checkpoint.calibration.length is not None:
        u, is_function = subject.embeddings, checkpoint.is_function[np.maximum(shown.words, 0)]
        untold = checkpoint.length_offsets(u) - checkpoint.length_offsets(u, refs.words.sizes.tolist())
        odds = shown.scores + np.take_along_axis(untold, is_function.astype(np.int64), axis=1)
        blind = word_ranking.Ranking(shown.words, np.asarray(odds, np.float32))
        found["calibration_error_of_vectors"] = probabilities.calibration(blind, refs, subject.size)[
            "calibration_error"
        ]
    ranked = word_ranking.rank_by_probability(
        checkpoint, subject.embeddings, metrics.DEPTH, refs.words.sizes, options.device
    )
    ranked = word_ranking.without_repetitions(ranked, ReferenceReader.of(checkpoint.vocabulary, options.tokens).same)
    found["threshold_f1"] = probabilities.threshold_f1(ranked, refs, subject.size, checkpoint.threshold)
    return {name: {"": values} for name, values in found.items()}


def _sparsity(subject: Subject) -> Figures:
    from flip.evaluation.probabilities import sparsity

    return {"sparsity": {"": sparsity(subject.checkpoint.model)}}


def _unscored(setting: Setting) -> str | None:
    return "SpLiCE gives weights, not probabilities" if setting.splice else None


def _no_perplexity(setting: Setting) -> str | None:
    bernoulli = "the model is Bernoulli: see log_loss" if setting.checkpoint.calibrated else None
    return _unscored(setting) or bernoulli


def _no_calibration(setting: Setting) -> str | None:
    calibrated = setting.checkpoint.calibrated
    return _unscored(setting) or (
        None if calibrated else "the model is multinomial: its scores are no word probabilities"
    )


ACCURACY = Metric(
    "accuracy",
    {
        "accuracy": Figure("accuracy over known words", beside="accuracy", marker="o"),
        "known_words": Figure("words known", of_sentences=True),
        "all_words": Figure("share of all words", beside="all words"),
    },
    _accuracy,
    of_ranking=True,
    drawn=True,
)
METRICS = (
    ACCURACY,
    Metric(
        "pr",
        {
            "precision": Figure("precision at {n}"),
            "recall": Figure("recall at {n}"),
            "f1": Figure("F1 at {n}"),
            "average_precision": Figure("average precision at 50"),
        },
        lambda subject: _ranked(subject, "pr"),
        of_ranking=True,
    ),
    Metric("curve", {}, lambda subject: _ranked(subject, "curve"), of_ranking=True, drawn=True),
    Metric("frequency", {}, _frequency, drawn=True),
    Metric(
        "content",
        {
            "content_recall": Figure("content-word recall at {n}", beside="content", marker="D"),
            "content_recall_known": Figure("content-word recall, known words, at {n}"),
            "content_ceiling": Figure("its ceiling: content words beyond {n} cannot be found", of_sentences=True),
            "content_precision": Figure("content-word precision at {n}"),
            "content_r_precision": Figure("content-word recall at their number"),
        },
        _content,
        of_ranking=True,
        needs_shown=True,
    ),
    Metric("span", {"span_accuracy": Figure("span-aware accuracy")}, _span),
    Metric(
        "entities",
        {
            "entity_recall_strict": Figure("entity recall, strict, at {n}"),
            "entity_recall_partial": Figure("entity recall, partial, at {n}"),
            "entity_precision": Figure("entity precision at {n}"),
            "entity_f1": Figure("entity F1, all words, at {n}"),
            "entity_f1_strict": Figure("entity F1, strict, at {n}"),
            "entity_f1_partial": Figure("entity F1, partial, at {n}"),
            # Of the words shown: ranked without b, as encoders are not centred alike.
            "names": Figure("entity recall, strict, of the words shown", beside="names", printed=False),
        },
        _entities,
        _entity_rows,
        lambda setting: None if setting.options.entities is not None else "needs --entities FILE.jsonl",
    ),
    Metric(
        "jaccard",
        {},
        beside=lambda subject: {"comparisons": [one.to_dict() for one in subject.comparisons]},
        lacks=lambda setting: None if setting.compared else "needs a second embedding, or flip compare with two models",
    ),
    Metric("perplexity", {"perplexity": Figure("perplexity", decimals=2)}, _perplexity, lacks=_no_perplexity),
    Metric(
        "calibration",
        {
            "log_loss": Figure("log loss of the words shown", decimals=4),
            "calibration_error": Figure("expected calibration error", beside="calibration", lower_is_better=True),
            "calibration_error_of_vectors": Figure("the same for vectors without their texts", lower_is_better=True),
            "threshold_f1": Figure("F1 of the words above a probability"),
        },
        _calibration,
        lacks=_no_calibration,
        needs_shown=True,
    ),
    Metric(
        "sparsity",
        {"sparsity": Figure("sparsity of A")},
        _sparsity,
        lacks=lambda setting: "SpLiCE has no A" if setting.splice else None,
    ),
)
FIGURES: Mapping[str, Figure] = {key: figure for metric in METRICS for key, figure in metric.figures.items()}
CHOICES = ", ".join(metric.name for metric in METRICS)
DRAWN = [metric.name for metric in METRICS if metric.drawn]


def named(asked: Sequence[str]) -> Sequence[str]:
    """Return the names of the metrics that were asked for.

    Raises:
        UsageError: there is none, or one is unknown.
    """
    known = [metric.name for metric in METRICS]
    wanted = known if "all" in asked else asked
    choices = f"one or more of {CHOICES}, or all"
    if not wanted:
        raise UsageError("no metric to compute", choices)
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"unknown metric {unknown[0]!r}", choices)
    return wanted


def of_several_models(setting: Setting) -> list[str]:
    """Return the names of the metrics by which several models are compared, without those that cannot be computed."""
    compared = [metric for metric in METRICS if any(figure.beside is not None for figure in metric.figures.values())]
    return [metric.name for metric in compared if metric.lacks(setting) is None]


def computable(setting: Setting) -> tuple[list[Metric], dict[str, str]]:
    """Return the metrics that were asked for, and the reasons why some of them cannot be computed.

    Raises:
        UsageError: one that was named is unknown, or cannot be computed; under `all` it is left out.
    """
    known = {metric.name: metric for metric in METRICS}
    asked = setting.options.metrics
    wanted = named(asked)
    missing = {name: why for name in wanted if (why := known[name].lacks(setting))}
    if missing and "all" not in asked:
        name, why = next(iter(missing.items()))
        raise UsageError(f"cannot compute {name}: {why}")
    return [metric for metric in METRICS if metric.name in wanted and metric.name not in missing], missing
