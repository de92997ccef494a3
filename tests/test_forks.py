"""Values that are made again where they cannot follow."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import pytest

from flip.forks import made_again, made_in_each_process


class Holder:
    def __init__(self) -> None:
        self.made: list[str] = []

    @made_again
    def large(self) -> list[int]:
        self.made.append("large")
        return [1]

    @made_in_each_process
    def lock(self) -> Any:
        self.made.append("lock")
        return threading.Lock()


HOLDER = Holder()


def test_a_value_is_made_once() -> None:
    holder = Holder()
    assert holder.large is holder.large and holder.lock is holder.lock
    assert holder.made == ["large", "lock"]
    del holder.large
    assert holder.large == [1] and holder.made == ["large", "lock", "large"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda holder: pickle.loads(pickle.dumps(holder))])
def test_it_is_made_again_in_a_copy(copied: Callable[[Holder], Holder]) -> None:
    holder = Holder()
    _ = holder.large, holder.lock
    other = copied(holder)
    assert other.lock is not holder.lock and other.large is not holder.large
    assert sorted(other.made) == ["large", "large", "lock", "lock"]


def test_a_shallow_copy_shares_it() -> None:
    holder = Holder()
    assert copy.copy(holder).made == []
    _ = holder.large, holder.lock
    other = copy.copy(holder)
    assert other.lock is holder.lock and other.large is holder.large


def made_in_a_child(_: int) -> list[str]:
    _large, _lock = HOLDER.large, HOLDER.lock
    return HOLDER.made


def test_after_a_fork_only_what_holds_threads_is_made_again() -> None:
    _ = HOLDER.large, HOLDER.lock
    with get_context("fork").Pool(1) as pool:
        assert pool.map(made_in_a_child, [0]) == [["large", "lock", "lock"]]
    assert HOLDER.made == ["large", "lock"]
