"""Real `flip` processes, in a session of their own, so that what a terminal sends reaches all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FLIP = [sys.executable, "-m", "flip"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # the same sums in the same order, and no threads that wait


def torchrun(processes: int) -> list[str]:
    """`torchrun --nproc-per-node N -m flip`."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*launcher, "-m", "flip"]


@contextmanager
def started(*command: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A running command; nothing of it is left after the block."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in [*children(process.pid), process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()


def finished(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    with started(*command, cwd=cwd) as process:
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], timeout: float = 120) -> None:
    """Waits for something that a running process does."""
    deadline = time.monotonic() + timeout
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
