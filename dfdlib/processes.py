"""Several processes: those that run one command, each a part of the work, and those that one process starts.

torchrun starts the former, says by environment variables who is who, and stops or restarts all of them when one dies.
Without a launcher each is told its part by ``--shard``. `pool` starts the latter.
"""

import contextlib
import datetime
import heapq
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from dfdlib.errors import DfdError, ParameterError, RunError, first_line

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

# How long processes try to reach each other, and how long one waits for the work of another.
_REACH, _WAIT = datetime.timedelta(minutes=10), datetime.timedelta(days=30)

T = TypeVar("T")


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """Return how many processes run the command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tell whether this process is the one that writes and prints."""
    return rank() == 0


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the work, by its `number` from 0."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text such as ``2/8`` names, which counts from 1."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ParameterError(f"{text!r} is no shard; write 1/8 for the first of eight, up to 8/8")
        return cls(int(found[1]) - 1, int(found[2]))

    def of(self, costs: Sequence[float]) -> list[int]:
        """Return the numbers of this shard's jobs, given the cost of each: the longest first, to the least busy."""
        if self.count == 1:
            return list(range(len(costs)))
        loads = [(0.0, number) for number in range(self.count)]
        mine = []
        for job in sorted(range(len(costs)), key=lambda job: -costs[job]):
            load, number = heapq.heappop(loads)
            if number == self.number:
                mine.append(job)
            heapq.heappush(loads, (load + costs[job], number))
        return sorted(mine)


WHOLE = Shard()


def shard() -> Shard:
    """Return the part of the work that this process does under torchrun; all of it without."""
    return Shard(rank(), count())


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Connect the processes for the length of the block, so that they can wait for each other."""
    if count() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=_REACH))
        # A name of its own: training connects the processes again later, and processes that were started again find
        # addresses of those before them, all in the same store.
        store = dist.PrefixStore(f"dfdlib {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        dist.init_process_group("gloo", store=store, rank=rank(), world_size=count(), timeout=_WAIT)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"WORLD_SIZE says that {count()} processes run this command, but they cannot reach each other "
            f"({first_line(error)}); start them with torchrun, or unset WORLD_SIZE"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        yield
    finally:
        dist.destroy_process_group()


def from_first(make: Callable[[], T]) -> T:
    """Return in every process what `make` returns in the first one; the others wait, and do not call it.

    Where it raises a DfdError, so does this in the first process; the others end with status 1 and print nothing.
    """
    if count() == 1:
        return make()
    import torch.distributed as dist

    answer: list = [None]
    if is_first():
        try:
            answer = [make()]
        except DfdError as error:
            answer = [error]
    try:
        dist.broadcast_object_list(answer, src=0)
        dist.barrier()
    except RuntimeError as error:
        raise RunError(
            f"a process of this run has gone ({first_line(error)}); what was finished is kept, run the same command "
            "again"
        ) from error
    if isinstance(answer[0], DfdError):
        raise answer[0] if is_first() else SystemExit(1)
    return answer[0]


def wait() -> None:
    """Wait until every process has come this far."""
    from_first(lambda: None)


def pool(workers: int, *, prepare: Callable[[], None] | None = None) -> "ProcessPoolExecutor":
    """Return a pool of processes that end with this one, even when it is killed; each calls `prepare` at its start."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Spawned, not forked: a process that has used torch or a thread pool may not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(prepare,))


def _begin(prepare: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed: it would work on, or wait for ever."""
    import multiprocessing

    multiprocessing.parent_process().join()
    os._exit(1)
