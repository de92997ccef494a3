"""Data of a Trainer, to learn from and to check on, in batches; and the metrics of the checks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from flip.arrays import Bools, Floats, Ints
from flip.errors import InputError
from flip.evaluation.metrics import References, accuracy, hits, references
from flip.evaluation.word_ranking import rank, top_words
from flip.model.linear import Model
from flip.text.bow import Bags, bags_of_words
from flip.text.vocabulary import Vocabulary
from flip.training.distributed import ALONE, Group
from flip.training.initialization import Whitening
from flip.training.objectives import Targets
from flip.training.recipes import Recipe

_DEEPEST = 100  # words in the published check
_SCALES = np.arange(10, 31) / 20  # of b: 0.5 to 1.5
_SHARES = (0.0, 0.5, 1.0)
_FEW = 100  # sentences: fewer tell nothing about the scale of b
_POOL = 50

_SEEN = 1000  # rows

# One block at a time is read and shuffled. Its chunks of contiguous rows come from all over the data: this mixes data
# that lie one after the other, such as sentences and the sentences made of them.
_BLOCK_ROWS = 65_536
_CHUNK_ROWS = 512


def training_bags(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> Bags:
    """Return bags of the words that a recipe learns; the published one keeps punctuation, see `Tokenizer.unstripped`.

    Its vocabulary still comes from stripped text: from "don't" it learns "don", if that is a word.
    """
    return bags_of_words(texts, vocabulary, vocabulary.tokenizer.unstripped if recipe == "paper" else None)


def dev_references(texts: Iterable[str], vocabulary: Vocabulary, recipe: Recipe) -> References:
    """Return the reference words in the checks of a recipe: the words that it learns."""
    if recipe != "paper":
        return references(texts, vocabulary)
    bags = training_bags(texts, vocabulary, recipe)
    return References(bags, bags.sizes)


def dev_accuracy(model: Model, views: Sequence[Floats], words: Bags, device: str = "cpu") -> float:
    """Return the mean accuracy with b (Kesiraju et al. 2026, section 4.2) over sentences and views, as a share.

    Args:
        model: of the raw embedding.
        views: one or two embedding matrices (n, d) of the same n sentences.
        words: of the sentences; at least one has a word.
        device: computes the scores.
    """
    return float(np.mean([accuracy(_hits(model, u, words, 1, 1.0, device), words).mean() for u in views]))


def dev_recall(model: Model, views: Sequence[Floats], words: Bags, device: str = "cpu") -> float:
    """Return the mean recall at the top 2k words of each sentence of k words, at most 100, without b.

    The published training chooses by it, and rounds it to four digits: a smaller gain does not count. Arguments as for
    `dev_accuracy`.
    """
    k = words.sizes
    counted = np.flatnonzero(k)

    def of_view(u: Floats) -> float:
        hit = _hits(model, u, words, 2, 0.0, device)
        reach = np.minimum(2 * k[counted], min(_DEEPEST, hit.shape[1]))
        return round(float((np.cumsum(hit, axis=1)[counted, reach - 1] / k[counted]).mean()), 4)

    return round(sum(of_view(u) for u in views) / len(views), 4)


def fitted_bias(
    model: Model, views: Sequence[Floats], words: Bags, shift: Floats | None = None, device: str = "cpu"
) -> Floats:
    """Return scale * (b + share * shift), (|V|,), with the best accuracy; b itself for fewer than 100 sentences.

    Training on few occurrences leaves A(Bu) of a rare word too small beside its b, so that dev prefers a smaller b: the
    scale is from 0.5 to 1.5. And sentences that are made to learn from have other frequencies than the language: 0, a
    half or all of the shift of `shift_of_prior` is added. Each candidate ranks the 50 words that are best without a
    scale, or more if a sentence is long. Other arguments as for `dev_accuracy`.
    """
    if len(words) < _FEW:
        return model.b
    depth = max(_POOL, 2 * int(words.sizes.max()))
    found: list[tuple[float, float, float, Floats]] = []
    for share in _SHARES if shift is not None else (0.0,):
        b = model.b if shift is None else (model.b + share * shift).astype(np.float32)
        shifted = model.rescaled(1.0, b)
        pools = [rank(shifted, u, depth, bias_weights={"bias": 1.0}, device=device)["bias"] for u in views]
        for scale in _SCALES:
            recovered = 0.0
            for pool in pools:
                order = np.argsort((1 - scale) * b[pool.words] - pool.scores, axis=1, kind="stable")
                hit = hits(np.take_along_axis(pool.words, order, axis=1), words, len(b))
                recovered += float(accuracy(hit, words).mean())
            found.append((round(recovered, 6), -abs(scale - 1), -share, (scale * b).astype(np.float32)))
    return max(found, key=lambda one: one[:3])[3]


def shift_of_prior(bags: Bags, natural: int, size: int) -> Floats | None:
    """Return the log-odds of each word in the first `natural` bags less those in all of them; None if these are all."""
    if natural >= len(bags):
        return None
    end = bags.indptr[natural]
    first = Bags(bags.indptr[: natural + 1], bags.words[:end], bags.counts[:end])
    counts = [(one.document_frequency(size) + 0.5, len(one) + 1) for one in (first, bags)]
    own, every = (np.log(count / (n - count)) for count, n in counts)
    return np.asarray(own - every, np.float32)


def _hits(model: Model, u: Floats, words: Bags, times: int, bias_weight: float, device: str) -> Bools:
    """Return the hits among the first `times` k words, for the largest k of a sentence."""
    top = top_words(model, u, times * int(words.sizes.max()), bias_weight=bias_weight, device=device)
    return hits(top, words, model.vocabulary_size)


@dataclass(frozen=True)
class TrainingData:
    """Sentences to learn from: one or two embedding matrices (n, d), and their bags of words.

    whole: number of whole sentences, which come first. The whitening uses only these, because the sentences that
        `flip.data.corpora` makes of them vary in another way. None is all.
    parts: number of sentences of each dataset, if there are several.
    natural: number of the first sentences whose words are as frequent as in the language; None is all whole ones.
    """

    views: tuple[Floats, ...]
    bags: Bags
    whole: int | None = None
    parts: tuple[int, ...] | None = None
    natural: int | None = None

    def __post_init__(self) -> None:
        if not len(self.bags):
            raise InputError("no sentence to train on")
        _require_rows(self.views, len(self.bags))
        of_different_words = len(np.unique(self.bags.words)) > self.bags.sizes[0]
        for view in self.views if of_different_words else ():
            seen = np.asarray(view[:: max(1, len(view) // _SEEN)])
            if len(seen) > 1 and (seen == seen[0]).all():
                raise InputError(
                    f"the {len(view)} embeddings are all the same vector, although their sentences differ",
                    "check that the encoder reads its input, and embed the sentences again",
                )


@dataclass(frozen=True)
class DevData:
    """Sentences to check on: as many embedding matrices as the training data have, and their references.

    function_words: indices of words that are shown behind all others, and are not calibrated.
    """

    views: tuple[Floats, ...]
    references: References
    function_words: Ints | None = None

    def __post_init__(self) -> None:
        _require_rows(self.views, len(self.references))
        if not len(self.references.words.words):
            raise InputError(
                "no sentence of dev has a word of the vocabulary",
                "the sentences are too few, or their words too rare: give more, a larger dev (--split rest,DEV,TEST), "
                "another --tokenizer or a smaller min_df; with --data, a --vocab of their language",
            )


def _require_rows(views: tuple[Floats, ...], n: int) -> None:
    if any(len(u) != n for u in views):
        raise InputError(f"{[len(u) for u in views]} embeddings for {n} sentences")


@dataclass(frozen=True)
class Batch:
    """The m sentences of this process in a batch of n.

    views: conditioned embeddings (m, d), each with its weight in the loss.
    """

    views: list[tuple[Tensor, float]]
    targets: Targets
    n: int


def batch_edges(n: int, size: int) -> list[int]:
    """Return the edges of batches of `size` among n sentences; the last batch may be smaller."""
    return [*range(0, n, size), n]


def published_edges(parts: Sequence[int], size: int) -> list[int]:
    """Return the edges of the published batches: max(1, n // size) equal ones a dataset, none across two datasets."""
    edges = [0]
    for n in filter(None, parts):
        equal = math.ceil(n / max(1, n // size))
        edges += [edges[-1] + last for last in batch_edges(n, equal)[1:]]
    return edges


class Batches:
    """Batches of every pass over some sentences. Their order depends on seed and pass alone."""

    def __init__(
        self,
        views: Sequence[tuple[Floats, float]],
        bags: Bags,
        whitening: Whitening,
        *,
        edges: Sequence[int],
        shuffle: bool,
        seed: int,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        """Take views (n, d) with their weights, in memory or memory-mapped; `bags` are their targets.

        edges: the start of each batch in the order of a pass, and n.
        """
        self.weights = [weight for _, weight in views]
        self.shuffle, self.seed, self.device, self.group = shuffle, seed, device, group
        self._edges = _in_blocks(list(edges))
        self._m, self._C = (torch.from_numpy(x).to(device) for x in (whitening.m, whitening.C))
        self._sizes = bags.sizes
        self._indptr, self._words, self._values = (
            torch.from_numpy(x).to(device) for x in (bags.indptr, bags.words.astype(np.int64), bags.counts)
        )
        self._rows = len(bags)
        self._views = [view for view, _ in views]
        self._resident = self._to_device() if self._fits_device() else None

    @property
    def is_resident(self) -> bool:
        """Whether all rows are kept on the device."""
        return self._resident is not None

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return sum(len(edges) - 1 for edges in self._edges)

    def of_pass(self, number: int) -> Iterator[Batch]:
        """Yield the batches of pass `number`, from 0."""
        order = np.random.default_rng((self.seed, number))
        rows = self._shuffled(order)
        blocks = [rows[edges[0] : edges[-1]] for edges in self._edges]
        for edges, block, held in zip(self._edges, blocks, self._read_ahead(blocks), strict=True):
            inner = order.permutation(len(block)) if self.shuffle else np.arange(len(block))
            rows = block[inner]
            on_device = torch.from_numpy(rows).to(self.device)
            # The position of each row in `held`.
            places = on_device if self.is_resident else torch.from_numpy(inner).to(self.device)
            for first, last in pairwise(edge - edges[0] for edge in edges):
                n = last - first
                own = slice(first + self.group.rank * n // self.group.size,
                            first + (self.group.rank + 1) * n // self.group.size)  # fmt: skip
                views = [(u[places[own]], w) for u, w in zip(held, self.weights, strict=True)]
                if not self.is_resident:
                    views = [(self._conditioned(u), w) for u, w in views]
                # The host sums the number of entries, so it need not wait for the device.
                entries = int(self._sizes[rows[own]].sum())
                yield Batch(views, self._targets(on_device[own], entries), n)

    def _shuffled(self, order: np.random.Generator) -> Ints:
        """Return all rows in the order of reading."""
        rows = np.arange(self._rows)
        if not self.shuffle:
            return rows
        chunks = np.array_split(rows, range(_CHUNK_ROWS, self._rows, _CHUNK_ROWS))
        return np.concatenate([chunks[i] for i in order.permutation(len(chunks))])

    def _conditioned(self, u: Tensor) -> Tensor:
        return (u.float() - self._m) @ self._C

    def _targets(self, rows: Tensor, entries: int) -> Targets:
        sizes = self._indptr[rows + 1] - self._indptr[rows]
        ends = sizes.cumsum(0)
        row = torch.repeat_interleave(torch.arange(len(rows), device=self.device), sizes, output_size=entries)
        entry = torch.arange(entries, device=self.device) + (self._indptr[rows] - ends + sizes)[row]
        return Targets.of(self._words[entry], row, self._values[entry], len(rows))

    def _read_ahead(self, blocks: list[Ints]) -> Iterator[list[Tensor]]:
        """Yield the views of each block, on the device; a thread reads the next, unless all rows are resident."""
        if self._resident is not None:
            yield from [self._resident] * len(blocks)
            return
        with ThreadPoolExecutor(1, "flip-reader") as reader:
            reading = reader.submit(self._read, blocks[0])
            for following in [*blocks[1:], None]:
                block = reading.result()
                if following is not None:
                    reading = reader.submit(self._read, following)
                yield [u.to(self.device, non_blocking=True) for u in block]

    def _read(self, rows: Ints) -> list[Tensor]:
        """Copy the rows from the files into memory that a GPU can read by itself."""
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        slices = [slice(int(run[0]), int(run[-1]) + 1) for run in runs]
        read = [torch.from_numpy(np.concatenate([view[part] for part in slices])) for view in self._views]
        return [u.pin_memory() for u in read] if self.device.type == "cuda" else read

    def _fits_device(self) -> bool:
        """Return whether all rows fit into half of a GPU's free memory; the parameters and a step need the rest."""
        if self.device.type != "cuda":
            return False
        needed = sum(4 * math.prod(view.shape) for view in self._views)
        return needed < torch.cuda.mem_get_info(self.device)[0] / 2

    def _to_device(self) -> list[Tensor]:
        """Return all rows, conditioned, in float32."""
        resident = [torch.empty(view.shape, device=self.device) for view in self._views]
        for start in range(0, self._rows, _BLOCK_ROWS):
            rows = np.arange(start, min(start + _BLOCK_ROWS, self._rows))
            for u, block in zip(resident, self._read(rows), strict=True):
                u[rows[0] : rows[-1] + 1] = self._conditioned(block.to(self.device))
        return resident


def _in_blocks(edges: list[int]) -> list[list[int]]:
    """Return the same edges in blocks of whole batches that are read together; blocks share their outer edges."""
    blocks = [[edges[0]]]
    for edge in edges[1:]:
        if len(blocks[-1]) > 1 and edge - blocks[-1][0] > _BLOCK_ROWS:
            blocks.append([blocks[-1][-1]])
        blocks[-1].append(edge)
    return blocks
