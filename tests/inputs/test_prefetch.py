from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from flip.inputs.prefetch import one_ahead, ready_batches


def test_batches_keep_the_order_and_lose_nothing() -> None:
    batches = list(ready_batches(range(1000), 64))
    assert [item for batch in batches for item in batch] == list(range(1000))
    assert max(map(len, batches)) <= 64


def test_ready_items_are_given_without_waiting_for_more() -> None:
    more = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        assert more.wait(10)
        yield 2

    batches = ready_batches(slow(), 64)
    assert next(batches) == [1]
    more.set()
    assert list(batches) == [[2]]


@pytest.mark.parametrize("read", [one_ahead, lambda items: ready_batches(items, 1)])
def test_errors_come_after_the_items_before_them(read) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("line 2")

    items = read(broken())
    assert next(items) in (1, [1])
    with pytest.raises(ValueError, match="line 2"):
        next(items)


def test_one_ahead_makes_the_next_item_while_one_is_used_and_no_more() -> None:
    made = []

    def count() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    items = one_ahead(count())
    assert next(items) == 0
    time.sleep(0.2)
    assert 1 in made
    assert len(made) <= 3  # one in use, one waiting, one at the door
    assert list(items) == list(range(1, 10))


def test_a_reader_that_leaves_ends_the_thread() -> None:
    before = threading.active_count()
    items = one_ahead(iter(range(10**9)))
    next(items)
    items.close()
    for _ in range(50):
        if threading.active_count() == before:
            break
        time.sleep(0.05)
    assert threading.active_count() == before
