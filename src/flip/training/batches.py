"""Batches of a pass: read ahead in blocks of random chunks of rows, conditioned, shared among processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flip.training.distributed import ALONE, Group
from flip.training.objectives import Targets

if TYPE_CHECKING:
    from flip.arrays import Floats, Ints
    from flip.text.bow import Bags
    from flip.training.whitening import Whitening


# One block at a time is read and shuffled. Its chunks of contiguous rows come from all over the data: this mixes data
# that lie one after the other, such as sentences and the sentences made of them.
_BLOCK_ROWS = 65_536
_CHUNK_ROWS = 512


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
