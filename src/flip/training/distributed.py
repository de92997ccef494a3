"""Train one model in several processes, on one machine or many: `torchrun ... -m flip train ...` starts them.

Each takes its share of every batch, and the gradients are summed over all of them. The first process alone prepares
the data, checks on dev and writes; the others receive its results. All must see the same files.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from flip.device import torch_device
from flip.embedding.journal import torchrun_number
from flip.errors import FlipError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import ProcessGroup

T = TypeVar("T")

# Between two steps no process waits long. But while the first one embeds a corpus, all others wait.
_STEP, _PREPARATION = timedelta(minutes=30), timedelta(days=7)


@dataclass(frozen=True)
class Group:
    """This process among `size` of them; `rank` counts from 0. `waiting` is the torch process group of long waits."""

    rank: int = 0
    size: int = 1
    waiting: ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prepares, checks and writes."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """Run `make` in the first process alone, and return its result in all.

        Raises:
            FlipError: another process ended.
        """
        if self.size == 1:
            return make()
        import torch.distributed as dist

        box = [make() if self.is_first else None]
        with self._together():
            dist.broadcast_object_list(box, src=0, group=self.waiting)
        return box[0]  # type: ignore[return-value]

    def copy_from_first_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors with those of the first process."""
        if self.size == 1:
            return
        import torch.distributed as dist

        with self._together():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite each tensor with its sum over all processes, the same to the bit in each.

        Raises:
            FlipError: another process ended.
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        with self._together():
            for tensor in tensors:
                dist.all_reduce(tensor)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise FlipError(f"process {self.rank} of {self.size}: another process ended: {reason}", _AGAIN) from error


_AGAIN = "complete epochs are kept; start all processes again, with --resume"
ALONE = Group()


def process_number() -> int:
    """Return RANK as torchrun sets it; 0 if there is only one process."""
    return torchrun_number("RANK", 0) if torchrun_number("WORLD_SIZE", 1) > 1 else 0


def own_device(name: str) -> torch.device:
    """Return the device called `name`; each process of torchrun takes one GPU of its machine.

    Raises:
        UsageError: no such device, or one GPU for several processes.
        UnavailableError: this machine lacks the device, or has fewer GPUs than processes.
    """
    device = torch_device(name)
    if device.type != "cuda" or torchrun_number("LOCAL_WORLD_SIZE", 1) == 1:
        return device
    if ":" in name:
        raise UsageError(f"--device {name} for several processes", "--device cuda gives each a GPU of its own")
    return torch_device(f"cuda:{os.environ['LOCAL_RANK']}")


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """Yield the group of the processes that torchrun started, until the block ends in all; else this process alone.

    Raises:
        FlipError: another process ended, or torchrun ends this one.
    """
    if torchrun_number("WORLD_SIZE", 1) == 1:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    if device.type == "cuda":
        torch.cuda.set_device(device)
    before = _raise_when_stopped()
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_STEP)
    try:
        waiting = dist.new_group(backend="gloo", timeout=_PREPARATION)
        group = Group(dist.get_rank(), dist.get_world_size(), waiting)
        yield group
        group.from_first(lambda: None)
    except KeyboardInterrupt:
        # Ctrl-C arrives from the terminal and from torchrun: the second must not disturb the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
    finally:
        dist.destroy_process_group()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _raise_when_stopped() -> Any:
    """Turn SIGTERM into an error with a message: torchrun sends it to all other processes when one has died."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(number: int, frame: object) -> None:
        raise FlipError("stopped by torchrun: another process ended, or all were told to", _AGAIN)

    return signal.signal(signal.SIGTERM, stop)
