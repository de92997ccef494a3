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
    """Fills a queue of bounded length from an iterable, until the context is left."""

    def __init__(self, items: Iterable[T], length: int) -> None:
        self._items, self._left = items, threading.Event()
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=length)

    def __enter__(self) -> queue.Queue[T | _End]:
        threading.Thread(target=self._fill, daemon=True).start()
        return self._queue

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:  # even SystemExit: a thread would swallow it, and the reader wait for ever
            self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False
