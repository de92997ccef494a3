"""Read ahead in a thread, so that a slow producer is not held back and two stages work at the same time."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """Closes a stream. error: the error that the iterable raised, to be raised again on the other side."""

    error: BaseException | None = None


def ready_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to `size` items: all that are ready, without waiting for more.

    At most two batches are read ahead. An error of `items` is raised here, after the items before it.
    """
    with _Thread(items, 2 * size) as waiting:
        while True:
            batch: list[T] = []
            item = waiting.get()
            while not isinstance(item, _End):
                batch.append(item)
                if len(batch) == size or waiting.empty():
                    break
                item = waiting.get()
            if batch:
                yield batch
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                return


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the same items; while one is used here, the next is made in a thread."""
    with _Thread(items, 1) as waiting:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error:
            raise item.error


class _Thread(Generic[T]):
    """Reads at most so many items of an iterable ahead, until the context is left."""

    def __init__(self, items: Iterable[T], ahead: int) -> None:
        self._items, self._left = items, False
        self._room = threading.Semaphore(ahead)
        self._queue: queue.SimpleQueue[T | _End] = queue.SimpleQueue()

    def __enter__(self) -> "_Thread[T]":
        threading.Thread(target=self._fill, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._room.release()

    def get(self) -> T | _End:
        """Return the next item, as soon as it is there."""
        item = self._queue.get()
        self._room.release()
        return item

    def empty(self) -> bool:
        """Return whether `get` would wait."""
        return self._queue.empty()

    def _fill(self) -> None:
        end = _End()
        try:
            for item in self._items:
                self._room.acquire()
                if self._left:
                    return
                self._queue.put(item)
        except BaseException as error:  # even SystemExit: a thread would swallow it, and the reader wait for ever
            end = _End(error)
        self._queue.put(end)
