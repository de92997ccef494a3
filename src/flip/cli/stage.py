"""Report a stage of long work to a log, in plain lines: once it has proved to be long, at intervals, and at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FIRST, EVERY = 5.0, 30.0  # seconds to the first line, and between the others


@dataclass
class Stage:
    """The progress of a stage.

    began: the time of its start, in seconds.  reports: the first and the last report, each (time, done); work that goes
    on does not start at 0, and its rate counts from the first.  total: None if unknown.
    """

    label: str
    began: float
    reports: tuple[tuple[float, int], tuple[float, int]] | None = None
    total: int | None = None

    def report(self, now: float, done: int, total: int | None) -> None:
        """Record how much is done."""
        self.reports, self.total = (self.reports[0] if self.reports else (now, done), (now, done)), total

    def line(self, now: float, *, ended: bool = False) -> str:
        """Return the line of a time: the time that the stage has taken, and done, rate and time left if they are known.

        >>> stage = Stage("training", 0)
        >>> stage.report(1, 100, 5000)
        >>> stage.report(31, 700, 5000)
        >>> stage.line(31)
        'training: 31 s, 700 of 5,000, 20/s, 3 min 35 s left'
        """
        said = [f"{'done in ' if ended else ''}{duration(now - self.began)}"]
        if self.reports:
            (start, before), (_, done) = self.reports
            said.append(f"{done:,}" if self.total is None or ended else f"{done:,} of {self.total:,}")
            rate = (done - before) / (now - start) if now > start else 0
            if rate > 0:
                said.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
            if rate > 0 and self.total is not None and not ended:
                said.append(f"{duration((self.total - done) / rate)} left")
        return f"{self.label}: {', '.join(said)}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> duration(42), duration(150), duration(7260)
    ('42 s', '2 min 30 s', '2 h 1 min')
    """
    minutes, left = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


@contextmanager
def logged(
    label: str, write: Callable[[str], None], first: float = FIRST, every: float = EVERY
) -> Iterator[Callable[[int, int | None], None]]:
    """Yield update(done, total), total None if unknown, of a stage; write lines while it lasts, and one at its end.

    A stage that ends before its first line writes none; one that fails writes no end, as an error follows.

    Args:
        label: name of the stage.
        write: takes a line, from another thread.
        first: seconds to the first line.
        every: seconds between the others.
    """
    stage, over, lines = Stage(label, time.monotonic()), threading.Event(), 0

    def run() -> None:
        nonlocal lines
        while not over.wait(every if lines else first):
            write(stage.line(time.monotonic()))
            lines += 1

    writer = threading.Thread(target=run, daemon=True)
    writer.start()
    try:
        yield lambda done, total: stage.report(time.monotonic(), done, total)
    finally:
        over.set()
        writer.join()
    if lines:
        write(stage.line(time.monotonic(), ended=True))
