"""Measure a model on a dataset: all metrics that the inputs allow, and the reasons why others cannot be computed."""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypedDict

import numpy as np

from flip.arrays import Floats
from flip.data.manifest import Dataset
from flip.errors import InputError
from flip.evaluation.comparison import Comparison, Recovered, compare_recovered
from flip.evaluation.measurements import Figures
from flip.evaluation.metrics import References, depth_for
from flip.evaluation.registry import FIGURES, Metric, computable
from flip.evaluation.results import EvalResult
from flip.evaluation.subject import EvaluationOptions, Setting, Sought, Subject
from flip.evaluation.word_ranking import BIAS_WEIGHTS, Ranking, rank, without_repetitions
from flip.files import Fields
from flip.inputs.embedding_files import finite_rows
from flip.model.calibration import sigmoid
from flip.model.checkpoint import Checkpoint
from flip.text.bow import ReferenceReader
from flip.text.tokenize import published_tokens

_SHOWN = "shown"  # the ranking of `flip explain`, made in the same pass
Ranker = Callable[[str, "Floats", int], dict[str, Ranking]]


@dataclass(frozen=True)
class EvaluationData:
    """The usable part of a dataset: sentences that are not blank and have no NaN in any of the embeddings.

    embeddings: id -> (n, d).  texts: line of the file (from 0) -> sentence, n of them, as far as the encoder read it.
    left_out: number of lines, by reason.
    """

    name: str
    embeddings: Mapping[str, Floats]
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
    ) -> Self:
        """Read a dataset; its embeddings stay memory-mapped if every row is usable.

        Args:
            dataset: see `flip.data.manifest.load_dataset`.
            text_id: of the sentences.
            min_tokens, max_tokens: bounds on the words of a sentence, as the published evaluation counts them: split
                on white space, with repetitions.

        Raises:
            InputError: no embeddings, no usable sentence, or counts that differ.
        """
        read, sentences = dataset.sentences(text_id), dataset.text(text_id).read()
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
        return cls(dataset.name, views, {text.number(i): read[i] for i in rows}, left_out)

    def without(self, sentences: Collection[str], what: str) -> Self:
        """Leave out some sentences, which are counted under `what`.

        Raises:
            InputError: nothing is left.
        """
        kept = [i for i, text in enumerate(self.texts.values()) if text not in sentences]
        left_out = len(self.texts) - len(kept)
        if not left_out:
            return self
        if not kept:
            raise InputError(f"dataset {self.name!r}: all {left_out} are {what}", "give others to measure on")
        lines = list(self.texts)
        return replace(
            self,
            embeddings={name: view[kept] for name, view in self.embeddings.items()},
            texts={lines[i]: self.texts[lines[i]] for i in kept},
            left_out={**self.left_out, what: left_out},
        )


@dataclass(frozen=True)
class Measured:
    """One embedding of a dataset. result: its figures; the other fields are their ingredients.

    ranking: by side, in the model's words.  counted: in the words that the references tell apart.
    subject: input of the metrics.
    """

    result: EvalResult
    texts: Sequence[str]
    refs: References
    ranking: Mapping[str, Ranking]
    counted: Mapping[str, Ranking]
    checkpoint: Checkpoint
    subject: Subject

    @property
    def known_words(self) -> float:
        """The share of the words of all sentences that the vocabulary has."""
        return float(self.refs.words.sizes.sum() / max(1, self.refs.tokens.sum()))

    @property
    def unfamiliar(self) -> bool:
        """Whether the model knows less than half of the share of words that it knows of its own tests.

        The sentences are of another language or subject then, and its figures are not comparable with those of others.
        """
        return self.known_words < self.checkpoint.config.usually_known / 2


def evaluate_dataset(
    checkpoint: Checkpoint,
    data: EvaluationData,
    options: EvaluationOptions,
    others: Sequence[Measured] = (),
    splice: Ranker | None = None,
) -> Iterator[Measured]:
    """Measure each embedding of a dataset.

    Args:
        checkpoint: the model; its vocabulary holds the concepts of SpLiCE.
        data: sentences and embeddings.
        options: metrics and their settings.
        others: other models on the same sentences, to compare with: on the embedding of the same name, or on any if
            the dataset has only one.
        splice: ranks words instead of the model: (embedding id, embeddings, depth) -> {"no_bias": Ranking}.

    Raises:
        UsageError: a metric was named that cannot be computed; under `all` it is listed in `not_computed` instead.
    """
    compared = bool(others) or len(data.embeddings) > 1
    chosen, missing = computable(Setting(checkpoint, options, compared, splice is not None))
    names = [metric.name for metric in chosen]
    sought = Sought(data.texts, checkpoint.vocabulary, options)
    refs = sought.references
    if not refs.words.sizes.any():
        missing["accuracy"] = "no sentence has a word of the vocabulary"
    depth = max(depth_for(refs, options.topn), int(sought.spans.sizes.max(initial=1)) if "span" in names else 1)
    needs_shown = any(metric.needs_shown for metric in chosen)
    weights = {**BIAS_WEIGHTS} | ({_SHOWN: checkpoint.bias_weight} if needs_shown else {})
    ranker = splice or _model_ranker(checkpoint, weights, options.device)
    same = ReferenceReader.of(checkpoint.vocabulary, options.tokens).same
    ranked = {name: ranker(name, view, depth) for name, view in data.embeddings.items()}
    shown = {name: ranking.pop(_SHOWN) for name, ranking in ranked.items() if _SHOWN in ranking}
    rankings = {
        name: {side: without_repetitions(one, same) for side, one in ranking.items()}
        for name, ranking in ranked.items()
    }
    comparisons = _compare(checkpoint, others, rankings, refs) if "jaccard" in names else {}
    for name, view in data.embeddings.items():
        ranking = rankings[name]
        if name in shown:
            best = without_repetitions(_with_log_odds(shown[name], checkpoint, view, refs), same)
        else:
            best = _last(ranking["no_bias"], checkpoint)
        subject = Subject(checkpoint, options, sought, ranking, best, view, comparisons.get(name, ()))
        result = EvalResult(
            dataset=data.name,
            embedding=name,
            model=checkpoint.name,
            method="splice" if splice else "flip",
            rank=checkpoint.model.rank,
            recipe=_recipe(checkpoint),
            n=len(refs),
            sentences=_sentences_of(data),
            topn=options.topn,
            tokens=options.tokens,
            skipped=sum(data.left_out.values()) + int((refs.words.sizes == 0).sum()),
            device=options.device,
            metrics=_figures(chosen, subject),
            most_frequent_words=_most_frequent(chosen, subject),
            further={key: value for metric in chosen for key, value in metric.beside(subject).items()},
            not_computed=missing,
        )
        yield Measured(result, list(data.texts.values()), refs, ranked[name], ranking, checkpoint, subject)


def _figures(chosen: Iterable[Metric], subject: Subject) -> Figures:
    return {key: sides for metric in chosen for key, sides in metric.measure(subject).items()}


def _most_frequent(chosen: Sequence[Metric], subject: Subject) -> Figures:
    """Return the figures of the words of the highest b, the same for every sentence and without an embedding."""
    checkpoint, options, refs = subject.checkpoint, subject.options, subject.sought.references
    depth = depth_for(refs, options.topn) + len(checkpoint.function_words)  # so many may be behind the content words
    best = np.argsort(-checkpoint.model.b, kind="stable")[None, :depth]
    same = ReferenceReader.of(checkpoint.vocabulary, options.tokens).same
    best = without_repetitions(Ranking(best, np.empty((0, 0), np.float32)), same).words
    ranked = Ranking(np.broadcast_to(best, (len(refs), best.shape[1])), np.empty((0, 0), np.float32))
    frequent = replace(subject, ranking={"": ranked}, shown=_last(ranked, checkpoint))
    found = _figures([metric for metric in chosen if metric.of_ranking], frequent)
    return {key: sides for key, sides in found.items() if key not in FIGURES or not FIGURES[key].of_sentences}


class KeywordDetails(TypedDict, total=False):
    """A keyword in a record of `--details`. hit: whether it is a reference word. Its probability only if calibrated."""

    word: str
    score: float
    probability: float
    hit: bool


class SideDetails(TypedDict):
    """The words of one side in a record of `--details`."""

    accuracy: float | None
    keywords: list[KeywordDetails]
    hits: list[str]
    misses: list[str]


@dataclass(frozen=True)
class SentenceDetails:
    """A sentence and the words found in it. unknown: how many of its words the vocabulary lacks.  sides: by name."""

    result: EvalResult
    text: str
    reference: list[str]
    unknown: int
    sides: Mapping[str, SideDetails]

    def to_dict(self) -> Fields:
        """Return the record of `flip eval --details`."""
        return {
            "dataset": self.result.dataset,
            "embedding": self.result.embedding,
            "model": self.result.model,
            "text": self.text,
            "reference": self.reference,
            "out_of_vocabulary": self.unknown,
            **self.sides,
        }


def sentence_details(measured: Measured, topn: int = 10) -> Iterator[SentenceDetails]:
    """Yield each sentence with its reference words, and by side the keywords with scores, the hits and the misses.

    Hits and misses are those of accuracy: reference words that are, or are not, among the top k.
    """
    words, bags = measured.checkpoint.vocabulary.words, measured.refs.words
    calibrated = measured.checkpoint.calibrated and measured.result.method == "flip"
    offsets = measured.checkpoint.length_offsets(measured.subject.embeddings, bags.sizes.tolist())
    for i, text in enumerate(measured.texts):
        reference = bags.words[bags.indptr[i] : bags.indptr[i + 1]].tolist()
        sides: dict[str, SideDetails] = {}
        for side, ranked in measured.ranking.items():
            scored = ranked.words[i : i + 1], ranked.scores[i : i + 1], BIAS_WEIGHTS[side], offsets[i : i + 1]
            probabilities = sigmoid(measured.checkpoint.log_odds_of(*scored))[0].tolist()
            shown = [w for w in ranked.words[i].tolist() if w >= 0]
            counted = measured.counted[side].words[i].tolist()
            top = set(counted[: len(reference)])
            found = [words[w] for w in reference if w in top]
            keywords: list[KeywordDetails] = []
            for j, w in enumerate(shown[:topn]):
                score = round(float(ranked.scores[i, j]), 4)
                keyword: KeywordDetails = {"word": words[w], "score": score}
                if calibrated:
                    keyword["probability"] = round(probabilities[j], 4)
                keyword["hit"] = counted[j] in reference
                keywords.append(keyword)
            sides[side] = {
                "accuracy": len(found) / len(reference) if reference else None,
                "keywords": keywords,
                "hits": found,
                "misses": [words[w] for w in reference if w not in top],
            }
        unknown = int(measured.refs.tokens[i]) - len(reference)
        yield SentenceDetails(measured.result, text, [words[w] for w in reference], unknown, sides)


def _sentences_of(data: EvaluationData) -> str:
    """Return a hash of the sentences in their order."""
    return "sha256:" + hashlib.sha256("\n".join(data.texts.values()).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _recipe(checkpoint: Checkpoint) -> str:
    """Return a hash that models share if they were trained alike on the same data, whatever their rank."""
    config = checkpoint.config
    training = {key: value for key, value in config.training.items() if key != "rank"}
    data = {key: value for key, value in config.data.items() if key != "manifest"}
    encoder = [checkpoint.encoder, config.encoder.revision]
    told = [training, data, encoder, config.objective, checkpoint.vocabulary.options["words"]]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _last(ranking: Ranking, checkpoint: Checkpoint) -> Ranking:
    """Return the same words, with the function words of the checkpoint's language behind all others."""
    behind = np.argsort(np.isin(ranking.words, checkpoint.function_words), axis=1, kind="stable")
    return Ranking(np.take_along_axis(ranking.words, behind, axis=1), np.empty((0, 0), np.float32))


def _model_ranker(checkpoint: Checkpoint, weights: Mapping[str, float], device: str) -> Ranker:
    return lambda name, view, depth: rank(
        checkpoint.model, view, depth, bias_weights=weights, last={_SHOWN: checkpoint.function_words}, device=device
    )


def _with_log_odds(shown: Ranking, checkpoint: Checkpoint, u: Floats, refs: References) -> Ranking:
    """Return the words that `flip explain` shows, in its order, with the log-odds of their probabilities."""
    offsets = checkpoint.length_offsets(u, refs.words.sizes.tolist())
    return Ranking(shown.words, checkpoint.log_odds_of(shown.words, shown.scores, checkpoint.bias_weight, offsets))


def _compare(
    checkpoint: Checkpoint,
    others: Sequence[Measured],
    rankings: Mapping[str, Mapping[str, Ranking]],
    refs: References,
) -> dict[str, list[Comparison]]:
    """Compare each embedding with the others by the same model, then with the other models on the same embedding."""
    own = {name: Recovered(ranking, refs.words, checkpoint.vocabulary) for name, ranking in rankings.items()}
    found: dict[str, list[Comparison]] = {name: [] for name in own}
    for name, recovered in own.items():
        for second, other in own.items():
            if second != name:
                agreement = compare_recovered(recovered, other)
                found[name].append(Comparison(checkpoint.name, checkpoint.model.rank, second, agreement))
        for one in others:
            if len(own) == 1 or one.result.embedding == name:
                theirs = Recovered(one.counted, one.refs.words, one.checkpoint.vocabulary)
                agreement = compare_recovered(recovered, theirs)
                found[name].append(Comparison(one.result.model, one.result.rank, one.result.embedding, agreement))
    return found
