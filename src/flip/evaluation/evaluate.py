"""Every metric of a model on a dataset: what the inputs allow, and why the rest could not be computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flip.errors import InputError, UsageError
from flip.evaluation.comparison import Recovered, compare_recovered
from flip.evaluation.content import ContentWords, content_recall, content_words
from flip.evaluation.entities import EntityRow, entity_metrics, match_entities
from flip.evaluation.metrics import (
    BIAS_WEIGHTS,
    METRICS,
    Estimate,
    Ranking,
    References,
    accuracy,
    depth_for,
    hits,
    rank,
    ranking_metrics,
    references,
    without_repetitions,
    word_shares,
)
from flip.evaluation.probabilities import calibration, perplexity, sparsity, threshold_f1
from flip.inputs.embedding_files import finite_rows
from flip.model.ranking import sigmoid
from flip.text.bags import bags_of_words
from flip.text.references import ReferenceReader
from flip.text.spans import span_words
from flip.text.tokenize import published_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flip.data.manifest import Dataset
    from flip.model.checkpoint import Checkpoint
    from flip.text.tokenize import TokenSource

METRIC_NAMES = (
    "accuracy", "pr", "curve", "content", "span", "entities", "jaccard", "perplexity", "calibration", "sparsity",
)  # fmt: skip
_CHOICES = f"one or more of {', '.join(METRIC_NAMES)}, or all"
_SHOWN = "shown"  # the ranking of `flip explain`, made in the same pass
Ranker = Callable[[str, "NDArray[np.floating[Any]]", int], dict[str, Ranking]]


@dataclass(frozen=True)
class EvaluationData:
    """The usable part of a dataset: sentences that are not blank and have no NaN in any of the embeddings.

    embeddings: id -> (n, d).  texts: line of the file (from 0) -> sentence, n of them.
    left_out: how many lines, by what they are.
    """

    name: str
    embeddings: Mapping[str, NDArray[np.floating[Any]]]
    texts: Mapping[int, str]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        text_id: str | None = None,
        *,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
    ) -> EvaluationData:
        """Reads a dataset; its embeddings stay memory-mapped where every row is usable.

        Args:
            dataset: see `flip.data.manifest.load_dataset`.
            text_id: of the sentences.
            min_tokens, max_tokens: only sentences of so many words, as the published evaluation counts them: split on
                white space, repetitions too.

        Raises:
            InputError: no embeddings, no usable sentence, or counts that differ.
        """
        sentences = dataset.sentences(text_id)
        views = {file.id: file.open() for file in dataset.embeddings}
        if not views:
            raise InputError(f"dataset {dataset.name!r} has no embeddings", "add them with `flip embed`")
        usable = np.logical_and.reduce([finite_rows(view) for view in views.values()])
        rows = [i for i, text in enumerate(sentences) if text and usable[i]]
        left_out = {
            "rows whose sim_scores are too low": dataset.dissimilar,
            "blank lines or rows with NaN": len(sentences) - len(rows),
        }
        if not rows:
            raise InputError(f"dataset {dataset.name!r}: every line is blank, or has NaN in its embedding")
        if min_tokens is not None or max_tokens is not None:
            low, high = min_tokens or 0, math.inf if max_tokens is None else max_tokens
            fitting = [i for i in rows if low <= len(published_tokens(sentences[i])) <= high]
            wanted = f"{low} to {high} words" if max_tokens is not None else f"at least {low} words"
            left_out[f"sentences that have not {wanted}"] = len(rows) - len(fitting)
            if not fitting:
                raise InputError(f"dataset {dataset.name!r}: no sentence has {wanted}", "--min-tokens, --max-tokens")
            rows = fitting
        if len(rows) < len(sentences):
            views = {name: view[rows] for name, view in views.items()}
        text = dataset.text(text_id)
        return cls(dataset.name, views, {text.number(i): sentences[i] for i in rows}, left_out)


@dataclass(frozen=True)
class EvaluationOptions:
    """metrics: of METRIC_NAMES, or `("all",)`.  topn: N.  tokens: see `flip.evaluation.metrics.references`.

    entities: rows of the entity file.  device: name of a torch device.
    """

    metrics: Sequence[str] = ("accuracy", "pr")
    topn: int = 10
    tokens: TokenSource = "vocabulary"
    entities: Sequence[EntityRow] | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Measured:
    """One embedding of a dataset. result: the JSON object of `flip eval`; the rest is what it was computed from.

    ranking: by side, in the model's words.  counted: in those that the references tell apart.
    """

    result: dict[str, Any]
    texts: Sequence[str]
    refs: References
    ranking: Mapping[str, Ranking]
    counted: Mapping[str, Ranking]
    checkpoint: Checkpoint


def evaluate_dataset(
    checkpoint: Checkpoint,
    data: EvaluationData,
    options: EvaluationOptions,
    others: Iterable[Checkpoint] = (),
    splice: Ranker | None = None,
) -> Iterator[Measured]:
    """Measures each embedding of a dataset.

    Args:
        checkpoint: the model; its vocabulary holds the concepts of SpLiCE.
        data: sentences and embeddings.
        options: what to measure.
        others: models to compare with, on the same embeddings.
        splice: ranks words instead of the model: (embedding id, embeddings, depth) -> {"no_bias": Ranking}.

    Raises:
        UsageError: a metric was named that cannot be computed; under `all` it is listed in `not_computed` instead.
    """
    others = list(others)
    chosen, missing = _computable(checkpoint, data, options, others, splice is not None)
    texts, vocabulary, size = list(data.texts.values()), checkpoint.vocabulary, len(checkpoint.vocabulary)
    refs = references(texts, vocabulary, options.tokens)
    if not refs.words.sizes.any():
        missing["accuracy"] = "no sentence has a word of the vocabulary"
    spans = span_words(texts, vocabulary, options.tokens) if "span" in chosen else None
    content = content_words(texts, vocabulary, options.tokens) if "content" in chosen else None
    entities = None
    if "entities" in chosen and options.entities is not None:
        entities = match_entities(options.entities, data.texts, vocabulary, options.tokens)
    depth = max(depth_for(refs, options.topn), int(spans.sizes.max(initial=1)) if spans else 1)
    weights = {**BIAS_WEIGHTS} | ({_SHOWN: checkpoint.bias_weight} if {"calibration", "content"} & {*chosen} else {})
    ranker = splice or _model_ranker(checkpoint, weights, options.device)
    same = ReferenceReader.of(vocabulary, options.tokens).same
    ranked = {name: ranker(name, view, depth) for name, view in data.embeddings.items()}
    shown = {name: ranking.pop(_SHOWN) for name, ranking in ranked.items() if _SHOWN in ranking}
    rankings = {
        name: {side: without_repetitions(one, same) for side, one in ranking.items()}
        for name, ranking in ranked.items()
    }
    compared = _compare(checkpoint, data, options, others, rankings, refs) if "jaccard" in chosen else {}
    for name, view in data.embeddings.items():
        ranking = rankings[name]
        metrics = ranking_metrics(ranking, refs, size, metrics=chosen, topn=options.topn)
        if "accuracy" in chosen:
            metrics |= word_shares(ranking, refs, size)
        if content is not None:
            best = without_repetitions(shown[name], same) if name in shown else _last(ranking["no_bias"], checkpoint)
            metrics |= content_recall(best, content, size, options.topn)
        if spans is not None:
            metrics["span_accuracy"] = {
                side: Estimate.of(accuracy(hits(ranked.words, spans, size), spans)).to_dict()
                for side, ranked in ranking.items()
            }
        if entities is not None:
            metrics |= entity_metrics(ranking, entities, size, topn=options.topn)
        if "perplexity" in chosen:
            bags = bags_of_words(texts, vocabulary)
            metrics["perplexity"] = perplexity(checkpoint.model, view, bags, options.device).to_dict()
        if "calibration" in chosen:
            probable = without_repetitions(_with_full_bias(shown[name], checkpoint, options.topn), same)
            metrics |= calibration(probable, refs, size)
            metrics["threshold_f1"] = threshold_f1(ranking["bias"], refs, size, checkpoint.threshold)
        if "sparsity" in chosen:
            metrics["sparsity"] = {"value": sparsity(checkpoint.model)}
        result: dict[str, Any] = {
            "dataset": data.name,
            "embedding": name,
            "model": checkpoint.name,
            "method": "splice" if splice else "flip",
            "rank": checkpoint.model.rank,
            "n": len(texts),
            "skipped": sum(data.left_out.values()) + int((refs.words.sizes == 0).sum()),
            "device": options.device,
            "metrics": metrics,
            "most_frequent_words": _most_frequent(checkpoint, refs, content, chosen, options),
        }
        if entities is not None:
            result["entity_rows"] = {
                "rows": entities.rows,
                "unmatched": entities.unmatched,
                "nameless": entities.nameless,
            }
        if "jaccard" in chosen:
            result["comparisons"] = compared[name]
        if missing:
            result["not_computed"] = missing
        yield Measured(result, texts, refs, ranked[name], ranking, checkpoint)


def sentence_details(measured: Measured, topn: int = 10) -> Iterator[dict[str, Any]]:
    """One record a sentence: its reference words, and by side the keywords with scores, the hits and the misses.

    Hits and misses are those of accuracy: reference words that are, or are not, among the top k.
    """
    words, bags = measured.checkpoint.vocabulary.words, measured.refs.words
    calibrated = measured.checkpoint.calibrated and measured.result["method"] == "flip"
    b = measured.checkpoint.model.b
    for i, text in enumerate(measured.texts):
        reference = bags.words[bags.indptr[i] : bags.indptr[i + 1]].tolist()
        record: dict[str, Any] = {
            "dataset": measured.result["dataset"],
            "embedding": measured.result["embedding"],
            "text": text,
            "reference": [words[w] for w in reference],
            "out_of_vocabulary": int(measured.refs.tokens[i]) - len(reference),
        }
        for side, ranked in measured.ranking.items():
            full_bias = ranked.scores[i] + np.float32(1 - BIAS_WEIGHTS[side]) * b[ranked.words[i]]
            probabilities = sigmoid(full_bias).tolist()
            shown = [w for w in ranked.words[i].tolist() if w >= 0]
            counted = measured.counted[side].words[i].tolist()
            top = set(counted[: len(reference)])
            found = [words[w] for w in reference if w in top]
            keywords = []
            for j, w in enumerate(shown[:topn]):
                score = round(float(ranked.scores[i, j]), 4)
                probability = {"probability": round(probabilities[j], 4)} if calibrated else {}
                keywords.append({"word": words[w], "score": score} | probability | {"hit": counted[j] in reference})
            record[side] = {
                "accuracy": len(found) / len(reference) if reference else None,
                "keywords": keywords,
                "hits": found,
                "misses": [words[w] for w in reference if w not in top],
            }
        yield record


def _most_frequent(
    checkpoint: Checkpoint,
    refs: References,
    content: ContentWords | None,
    chosen: Sequence[str],
    options: EvaluationOptions,
) -> dict[str, Any]:
    """The metrics of the words of the highest b, the same for every sentence: what can be had without its embedding."""
    topn = options.topn
    depth = depth_for(refs, topn) + len(checkpoint.function_words)  # so many may be behind the content words
    best = np.argsort(-checkpoint.model.b, kind="stable")[None, :depth]
    same = ReferenceReader.of(checkpoint.vocabulary, options.tokens).same
    best = without_repetitions(Ranking(best, np.empty((0, 0), np.float32)), same).words
    ranked = Ranking(np.broadcast_to(best, (len(refs), best.shape[1])), np.empty((0, 0), np.float32))
    ranking, size = {"": ranked}, len(checkpoint.vocabulary)
    sides = ranking_metrics(ranking, refs, size, metrics=[name for name in METRICS if name in chosen], topn=topn)
    if "accuracy" in chosen:
        sides["all_words"] = word_shares(ranking, refs, size)["all_words"]
    found = {name: value[""] for name, value in sides.items()}
    return found if content is None else found | content_recall(_last(ranked, checkpoint), content, size, topn)


def _last(ranking: Ranking, checkpoint: Checkpoint) -> Ranking:
    """The same words, with the function words of the checkpoint's language behind all others."""
    behind = np.argsort(np.isin(ranking.words, checkpoint.function_words), axis=1, kind="stable")
    return Ranking(np.take_along_axis(ranking.words, behind, axis=1), np.empty((0, 0), np.float32))


def _model_ranker(checkpoint: Checkpoint, weights: Mapping[str, float], device: str) -> Ranker:
    return lambda name, view, depth: rank(
        checkpoint.model, view, depth, bias_weights=weights, last={_SHOWN: checkpoint.function_words}, device=device
    )


def _with_full_bias(shown: Ranking, checkpoint: Checkpoint, topn: int) -> Ranking:
    """The words that `flip explain` shows, in its order, with scores that have the full bias."""
    words = shown.words[:, :topn]
    missing = np.float32(1 - checkpoint.bias_weight)
    return Ranking(words, shown.scores[:, :topn] + missing * checkpoint.model.b[words])


def _compare(
    checkpoint: Checkpoint,
    data: EvaluationData,
    options: EvaluationOptions,
    others: Sequence[Checkpoint],
    rankings: Mapping[str, Mapping[str, Ranking]],
    refs: References,
) -> dict[str, list[dict[str, Any]]]:
    """By embedding: the same model on the other embeddings, then the other models on the same embedding."""
    own = {name: Recovered(ranking, refs.words, checkpoint.vocabulary) for name, ranking in rankings.items()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in own}
    for name, recovered in own.items():
        for second, other in own.items():
            if second != name:
                about = {"model": checkpoint.name, "rank": checkpoint.model.rank, "embedding": second}
                found[name].append(about | compare_recovered(recovered, other))
    for model in others:
        words = references(data.texts.values(), model.vocabulary, options.tokens)
        for name, view in data.embeddings.items():
            ranking = rank(model.model, view, depth_for(words, 1), device=options.device)
            same = ReferenceReader.of(model.vocabulary, options.tokens).same
            ranking = {side: without_repetitions(one, same) for side, one in ranking.items()}
            about = {"model": model.name, "rank": model.model.rank, "embedding": name}
            other = Recovered(ranking, words.words, model.vocabulary)
            found[name].append(about | compare_recovered(own[name], other))
    return found


def _computable(
    checkpoint: Checkpoint,
    data: EvaluationData,
    options: EvaluationOptions,
    others: Sequence[Checkpoint],
    splice: bool,
) -> tuple[list[str], dict[str, str]]:
    """The metrics that can be computed, and why the others cannot."""
    unscored = "SpLiCE gives weights, not probabilities" if splice else None
    reasons = {
        "entities": None if options.entities is not None else "needs --entities FILE.jsonl",
        "jaccard": None if others or len(data.embeddings) > 1 else "needs a second embedding, or --compare RUN",
        "perplexity": unscored or ("the model is Bernoulli: see log_loss" if checkpoint.calibrated else None),
        "calibration": unscored
        or (None if checkpoint.calibrated else "the model is multinomial: its scores are no word probabilities"),
        "sparsity": "SpLiCE has no A" if splice else None,
    }
    wanted = METRIC_NAMES if "all" in options.metrics else options.metrics
    if not wanted:
        raise UsageError("no metric to compute", _CHOICES)
    if unknown := [name for name in wanted if name not in METRIC_NAMES]:
        raise UsageError(f"unknown metric {unknown[0]!r}", _CHOICES)
    missing = {name: why for name in wanted if (why := reasons.get(name))}
    if missing and "all" not in options.metrics:
        name, why = next(iter(missing.items()))
        raise UsageError(f"cannot compute {name}: {why}")
    return [name for name in wanted if name not in missing], missing
