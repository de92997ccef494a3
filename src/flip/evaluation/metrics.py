"""Metrics: how much of a sentence the ranked words recover, how many of its content words, and which words at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flip.arrays import Bools, Floats, Floats32, Floats64, Ints
from flip.evaluation.measurements import Curve, Means, Measurement, Ratio, as_record
from flip.evaluation.word_ranking import REPEATED, Ranking, rank
from flip.files import Fields
from flip.model.linear import Model
from flip.text.bow import Bags, ReferenceReader, bags_of_indices
from flip.text.languages import ENGLISH
from flip.text.tokenize import TokenSource
from flip.text.vocabulary import Vocabulary

METRICS = ("accuracy", "pr")
DEPTH = 50  # of the curves and of average precision
BANDS = (1, 2, 5, 10, 25, 100, 500)  # sentences that a word is in, at least


@dataclass(frozen=True)
class References:
    """Words that should be found. words: distinct in-vocabulary reference tokens of each of n sentences.

    tokens: (n,) number of distinct reference tokens, out-of-vocabulary ones included.
    """

    words: Bags
    tokens: Ints

    def __len__(self) -> int:
        return len(self.words)


def references(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> References:
    """Return the reference tokens of each text; `tokens` as for `flip.text.bow.ReferenceReader`."""
    reader = ReferenceReader.of(vocabulary, tokens)
    distinct = [set(reader.tokens(text)) for text in texts]
    words = bags_of_indices(reader.lookup(found) for found in distinct)
    return References(words, np.array([len(found) for found in distinct], np.int64))


def hits(top: Ints, words: Bags, vocabulary_size: int) -> Bools:
    """Return (n, k), whether the j-th word of row i is a reference word of sentence i; an index below 0 never is."""
    return _located(top, words, vocabulary_size)[0]


def hit_counts(top: Ints, words: Bags, vocabulary_size: int) -> Floats32:
    """Return (n, k), how often the j-th word of row i is among the reference words of sentence i."""
    hit, entry = _located(top, words, vocabulary_size)
    return np.where(hit, words.counts[entry], np.float32(0)) if len(words.words) else np.zeros(hit.shape, np.float32)


def _located(top: Ints, words: Bags, vocabulary_size: int) -> tuple[Bools, Ints]:
    """Return `hits`, and the position of each in `words`."""
    wanted = words.rows * vocabulary_size + words.words
    if not len(wanted):
        return np.zeros(top.shape, bool), np.zeros(top.shape, np.int64)
    ranked = np.arange(len(top))[:, None] * vocabulary_size + top
    nearest = np.searchsorted(wanted, ranked).clip(max=len(wanted) - 1)
    return np.asarray((wanted[nearest] == ranked) & (top >= 0)), nearest


def within(hit: Bools, words: Bags) -> Bools:
    """Return `hit` within the top k of each sentence, k the number of its reference words, and False beyond."""
    return np.asarray(hit & (np.arange(hit.shape[1]) < words.sizes[:, None]))


def accuracy(hit: Bools, words: Bags) -> Floats64:
    """Return the share of the k distinct in-vocabulary reference tokens of a sentence among its top k words.

    Kesiraju et al. 2026, section 4.2. k differs from sentence to sentence; sentences with k = 0 are left out.

    Args:
        hit: (n, K) from `hits`, K at least the largest k.

    Returns:
        One value for each sentence with k > 0.
    """
    k = words.sizes
    return np.asarray(within(hit, words).sum(axis=1)[k > 0] / k[k > 0])


@dataclass(frozen=True)
class PrecisionRecall:
    """Figures of the top N words against all m distinct reference tokens of a sentence, unknown ones included.

    With h hits: precision h / N, recall h / m, F1 = 2 h / (N + m). Sentences with m = 0 are left out. N counts
    words once that are the same to the references.
    """

    precision: Floats64
    recall: Floats64
    f1: Floats64


def precision_recall(hit: Bools, tokens: Ints, topn: int, repeated: Bools | None = None) -> PrecisionRecall:
    """Return the figures of each sentence with a reference token.

    Args:
        hit: (n, K) with K at least `topn`, or |V| if that is less.
        tokens: (n,) how many reference tokens each has.
        topn: N.
        repeated: (n, K), whether the ranking has REPEATED; None if nowhere.
    """
    m = tokens[tokens > 0]
    h = hit[tokens > 0, :topn].sum(axis=1)
    N = topn if repeated is None else topn - repeated[tokens > 0, :topn].sum(axis=1)
    return PrecisionRecall(h / N, h / m, 2 * h / (N + m))


def precision_recall_curve(hit: Bools, tokens: Ints, depth: int = DEPTH, repeated: Bools | None = None) -> Curve:
    """Return precision, recall and F1 at N = 1..depth."""
    depths = range(1, depth + 1)
    points = [precision_recall(hit, tokens, n, repeated) for n in depths]
    names = ("precision", "recall", "f1")
    return Curve(
        "n", depths, {name: [Means.at(tokens > 0, getattr(point, name)) for point in points] for name in names}
    )


def average_precision(hit: Bools, tokens: Ints, depth: int = DEPTH) -> Floats64:
    """Return the mean, over the reference tokens, of the precision at the rank of each; 0 for those below rank 50.

    AP = sum over hits at rank j <= depth of (hits up to j) / j, divided by min(m, depth), m as in `PrecisionRecall`:
    1 exactly if the first m words are the reference. Sentences with m = 0 are left out.
    """
    h = hit[tokens > 0, :depth]
    at_rank = np.cumsum(h, axis=1) / np.arange(1, h.shape[1] + 1)
    return np.asarray((at_rank * h).sum(axis=1) / np.minimum(tokens[tokens > 0], depth))


def ranking_metrics(
    ranking: Mapping[str, Ranking],
    refs: References,
    vocabulary_size: int,
    *,
    metrics: Sequence[str] = METRICS,
    topn: int = 10,
) -> dict[str, dict[str, Measurement]]:
    """Return metrics by name and side.

    Args:
        ranking: by side, from `rank`; as deep as `depth_for` returns.
        refs: of the same n sentences.
        metrics: of accuracy, pr (precision, recall, f1, average_precision) and curve.
        topn: N of precision, recall and F1.
    """
    result: dict[str, dict[str, Measurement]] = {}
    for side, ranked in ranking.items():
        hit = hits(ranked.words, refs.words, vocabulary_size)
        repeated = again if (again := ranked.words == REPEATED).any() else None
        values: dict[str, Measurement] = {}
        if "accuracy" in metrics:
            values["accuracy"] = Means.of(within(hit, refs.words).sum(axis=1), refs.words.sizes)
        if "pr" in metrics:
            found = vars(precision_recall(hit, refs.tokens, topn, repeated))
            found["average_precision"] = average_precision(hit, refs.tokens)
            values |= {name: Means.at(refs.tokens > 0, of_sentences) for name, of_sentences in found.items()}
        if "curve" in metrics:
            values["curve"] = precision_recall_curve(hit, refs.tokens, repeated=repeated)
        for name, value in values.items():
            result.setdefault(name, {})[side] = value
    return result


def word_shares(
    ranking: Mapping[str, Ranking], refs: References, vocabulary_size: int
) -> dict[str, dict[str, Measurement]]:
    """Return `known_words`, the share of a sentence's words that the vocabulary has, and `all_words`, that found.

    Found are those among the top k, k the number of its known words: accuracy counts the same words, over k alone. A
    sentence without a word does not count.
    """
    found = {
        side: within(hits(ranked.words, refs.words, vocabulary_size), refs.words).sum(axis=1)
        for side, ranked in ranking.items()
    }
    return {
        "known_words": {"": Means.of(refs.words.sizes, refs.tokens)},
        "all_words": {side: Means.of(count, refs.tokens) for side, count in found.items()},
    }


def depth_for(refs: References, topn: int) -> int:
    """Return the number of words of a ranking that the metrics need."""
    return max(topn, DEPTH, int(refs.words.sizes.max(initial=1)))


def evaluate(
    model: Model,
    embeddings: Floats,
    refs: References,
    *,
    metrics: Sequence[str] = METRICS,
    topn: int = 10,
    device: str = "cpu",
) -> Fields:
    """Rank the words of finite embeddings (n, d), with b (eq. 5) and without, and measure them.

    Returns:
        The JSON of `ranking_metrics` and `word_shares`: `{"accuracy": {"bias": {"mean", "se", "n", ...}, ...}, ...}`.
    """
    ranking = rank(model, embeddings, depth_for(refs, topn), device=device)
    size = model.vocabulary_size
    found = ranking_metrics(ranking, refs, size, metrics=metrics, topn=topn) | word_shares(ranking, refs, size)
    return {name: as_record(sides) for name, sides in found.items()}


@dataclass(frozen=True)
class ContentWords:
    """The distinct content words of n sentences. words: those that the vocabulary has.  tokens: (n,) all of them."""

    words: Bags
    tokens: Ints


def content_words(texts: Iterable[str], vocabulary: Vocabulary, tokens: TokenSource = "vocabulary") -> ContentWords:
    """Return the words of each text other than function words (`flip.text.languages`); in other languages all words.

    Args:
        texts: n sentences.
        vocabulary, tokens: as for `flip.evaluation.metrics.references`.
    """
    reader = ReferenceReader.of(vocabulary, tokens)
    distinct = [{token for token in reader.words(text) if token.lower() not in ENGLISH} for text in texts]
    words = bags_of_indices(reader.lookup(sorted(found)) for found in distinct)
    return ContentWords(words, np.array([len(found) for found in distinct], np.int64))


def content_recall(shown: Ranking, content: ContentWords, vocabulary_size: int, topn: int) -> dict[str, Means]:
    """Return how many of the c content words of each sentence are among its best words.

    - `content_recall`, `content_recall_known`: the share of them among the `topn` best; the second counts only those
      that the vocabulary has.
    - `content_ceiling`: the largest possible `content_recall`, min(topn, c) / c: of a passage it is small.
    - `content_precision`: the share of content words in the `topn` best.
    - `content_r_precision`: their share in the c best, which is recall and precision at once.

    A sentence without such words does not count.

    Args:
        shown: as deep as `topn` and c, ranked as `flip explain` does.
        content: of the same sentences.
    """
    hit: Ints = np.cumsum(hits(shown.words, content.words, vocabulary_size), axis=1, dtype=np.int64)
    n, depth, c = np.arange(len(hit)), hit.shape[1], content.tokens
    found = hit[:, min(topn, depth) - 1]
    return {
        "content_recall": Means.of(found, c),
        "content_recall_known": Means.of(found, content.words.sizes),
        "content_ceiling": Means.of(np.minimum(topn, c), c),
        "content_precision": Means.at(c > 0, found[c > 0] / topn),
        "content_r_precision": Means.of(hit[n, np.clip(c, 1, depth) - 1], c),
    }


@dataclass(frozen=True)
class Band:
    """Words that at least so many sentences have, and fewer than the next band's.

    least: fewest sentences.  words: how many different words.  found: of each sentence, those found over those in it.
    """

    least: int
    words: int
    found: Ratio


@dataclass(frozen=True)
class Bands:
    """The bands that have a word, the rarest words first."""

    bands: Sequence[Band]

    def to_dict(self) -> Mapping[str, object]:
        """Return lists with one entry a band; n counts occurrences, of which the recall is a share."""
        estimates = [band.found.estimate() for band in self.bands]
        return {
            "least": [band.least for band in self.bands],
            "words": [band.words for band in self.bands],
            "n": [int(band.found.counts.sum()) for band in self.bands],
            "recall": [one.mean for one in estimates],
            "se": [one.se for one in estimates],
        }


def found_words(ranked: Ranking, words: Bags, vocabulary_size: int) -> Bools:
    """Return (nnz,), whether each reference word is among the top k of its sentence, as accuracy counts."""
    rows, columns = np.nonzero(within(hits(ranked.words, words, vocabulary_size), words))
    hit = rows * vocabulary_size + ranked.words[rows, columns]
    return np.asarray(np.isin(words.rows * vocabulary_size + words.words, hit))


def times_found(ranked: Ranking, words: Bags, vocabulary_size: int) -> Ints:
    """Return (|V|,), the number of sentences in which each word is found."""
    return np.bincount(words.words[found_words(ranked, words, vocabulary_size)], minlength=vocabulary_size)


def recall_by_frequency(ranking: Mapping[str, Ranking], words: Bags, vocabulary_size: int) -> dict[str, Bands]:
    """Return, by side, the share of the occurrences of known words that is found, by how many sentences have the word.

    A word counts once a sentence.
    """
    frequency = words.document_frequency(vocabulary_size)
    band_of = np.searchsorted(BANDS, frequency, side="right") - 1
    result = {}
    for side, ranked in ranking.items():
        found = found_words(ranked, words, vocabulary_size)
        bands = []
        for i, least in enumerate(BANDS):
            inside = band_of[words.words] == i
            if inside.any():
                occurring = np.bincount(words.rows[inside], minlength=len(words)).astype(np.float64)
                hit = np.bincount(words.rows[inside & found], minlength=len(words)).astype(np.float64)
                bands.append(Band(least, int((band_of == i).sum()), Ratio(hit[:, None], occurring, of_sample=False)))
        result[side] = Bands(bands)
    return result


def bands_as_text(least: list[int]) -> list[str]:
    """Return the number of sentences of each band as text: `["1", "2-4", "5-9"]`; the last one may be open."""
    after = dict(zip(BANDS, [stop - 1 for stop in BANDS[1:]], strict=False))
    return [f"{n}" if after.get(n) == n else f"{n}-{after[n]}" if n in after else f"{n}+" for n in least]
