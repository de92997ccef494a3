"""Hold values that cannot follow an object into a copy, a pickle or a forked process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

_left_behind: list[object] = []  # of the parent: freeing them would wait for threads that a forked process lacks


class _Made(Generic[T]):
    """A value and the process that made it. Its copy and its pickle are empty."""

    def __init__(self, value: T | None = None, process: int | None = None) -> None:
        self.value, self.process = value, process

    def __reduce__(self) -> tuple[type[_Made[T]], tuple[()]]:
        return type(self), ()


class made_again(Generic[T]):
    """A cached property whose value is made again in a deep copy and in an unpickled object.

    It suits large or unpicklable values that can be loaded again. A shallow copy and a forked process share the value.
    """

    survives_fork = True

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"made {name}"

    @overload
    def __get__(self, instance: None, owner: type) -> made_again[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> T | made_again[T]:
        if instance is None:
            return self
        made: _Made[T] = vars(instance).get(self._key, _Made())
        if made.value is None or not (self.survives_fork or made.process == os.getpid()):
            if made.value is not None:
                _left_behind.append(made.value)
            made = vars(instance)[self._key] = _Made(self._make(instance), os.getpid())
        assert made.value is not None
        return made.value

    def __delete__(self, instance: object) -> None:
        vars(instance).pop(self._key, None)


class made_in_each_process(made_again[T]):
    """A cached property that a forked process makes again too, since its value holds threads or connections."""

    survives_fork = False


def _use_one_thread() -> None:
    """Keep torch to one thread in a forked process: it would wait for ever for the OpenMP threads of its parent."""
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "set_num_threads"):  # it may be half imported
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
