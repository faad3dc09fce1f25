"""The same command in several processes, on one machine or on more: who does what, and what all of them found.

``torchrun`` starts the processes, says by environment variables who is who, and stops the others on its machine when
one dies. What they say to each other goes through torch.distributed (gloo). A process that no longer shows a sign of
life, on a machine that lost its power for one, is an error in the others after `PATIENCE` seconds; a slow one is not.

Code that may run in several processes takes a `Processes`, and `ALONE` is the one process of a usual run.
"""

import contextlib
import datetime
import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from dfdlib.errors import DfdError, RunError

#: Seconds without a sign of life after which a process counts as gone, and between two signs.
PATIENCE, BEAT = 60.0, 5.0

T = TypeVar("T")


class Processes:
    """The processes of one run, as one of them sees it.

    Attributes
    ----------
    rank : int
        The number of this process; 0 is the first, which prints and writes.
    count : int
    """

    def __init__(self, rank: int = 0, count: int = 1, *, store: Any = None) -> None:
        self.rank, self.count = rank, count
        self._store = store
        self._meetings = 0
        self._given: dict[str, int] = {}

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, costs: Sequence[float]) -> list[int]:
        """Return the numbers of the jobs that this process does: the longest first, each to the least busy process."""
        if self.count == 1:
            return list(range(len(costs)))
        loads = [(0.0, rank) for rank in range(self.count)]
        mine = []
        for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
            load, rank = heapq.heappop(loads)
            if rank == self.rank:
                mine.append(number)
            heapq.heappush(loads, (load + costs[number], rank))
        return mine

    def from_first(self, make: Callable[[], T]) -> T:
        """Return in every process what `make` returns in the first one; the others do not call it.

        Raises
        ------
        DfdError
            `make` raised it in the first process; the others end without a word and with status 1.
        RunError
            A process has gone.
        """
        if self.count == 1:
            return make()
        import torch.distributed as dist

        answer: list = [None]
        if self.first:
            try:
                answer = [make()]
            except DfdError as error:
                answer = [error]
        self.meet()
        with _losses():
            dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[0], DfdError):
            raise answer[0] if self.first else SystemExit(1)
        return answer[0]

    def of_all(self, value: T) -> list[T]:
        """Return, in every process, the values that all of them gave, by rank.

        Raises
        ------
        RunError
            A process has gone.
        """
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        self.meet()
        values: list = [None] * self.count
        with _losses():
            dist.all_gather_object(values, value)
        return values

    def total(self, name: str, done: int) -> int:
        """Return the sum over all processes of what each last gave under this name."""
        if self.count == 1:
            return done
        more, self._given[name] = done - self._given.get(name, 0), done
        with _losses():
            return self._store.add(f"total {name}", more)

    def meet(self) -> None:
        """Wait until every process has come this far, however long its work takes.

        Raises
        ------
        RunError
            A process shows no sign of life.
        """
        if self.count == 1:
            return
        self._meetings += 1
        place = f"meeting {self._meetings}"
        with _losses():
            self._store.add(f"{place} of {self.rank}", 1)
            heard: dict[int, tuple[int, float]] = {}
            missing = set(range(self.count))
            while missing := {rank for rank in missing if not self._store.add(f"{place} of {rank}", 0)}:
                for rank in missing:
                    beat, since = self._store.add(f"beat of {rank}", 0), time.monotonic()
                    if heard.setdefault(rank, (beat, since))[0] != beat:
                        heard[rank] = (beat, since)
                    elif since - heard[rank][1] > PATIENCE:
                        raise RunError(_gone(f"no sign of life from process {rank} for {PATIENCE:.0f} s"))
                time.sleep(0.05)

    def beat(self) -> None:
        """Show a sign of life."""
        self._store.add(f"beat of {self.rank}", 1)


ALONE = Processes()


def rank() -> int:
    """Return the number of this process among those that a launcher started, 0 for the first or only one."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """Return how many processes a launcher started, 1 without one; torch is not needed to know."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tell whether this process is the one that writes and speaks, of however many."""
    return rank() == 0


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and count() > 1


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun started, for the length of the block; without torchrun, be `ALONE`.

    The block ends when every process has come to its end, so that none leaves, and is taken for dead, while another
    still writes.

    Raises
    ------
    RunError
        The processes cannot reach each other, or one has gone.
    """
    if not launched():
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    limit = datetime.timedelta(seconds=10 * PATIENCE)
    with _losses():
        store, rank, count = next(dist.rendezvous("env://", timeout=limit))
        store = dist.PrefixStore("dfdlib", store)
        # Collectives only begin when all have met, so they are over in no time or never.
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=limit)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    among = Processes(rank, count, store=dist.PrefixStore("processes", store))
    ended = threading.Event()

    def live() -> None:
        with contextlib.suppress(RuntimeError):  # the store has gone: whoever waits for it next says so
            among.beat()
            while not ended.wait(BEAT):
                among.beat()

    threading.Thread(target=live, daemon=True).start()
    try:
        yield among
        among.meet()
    finally:
        ended.set()
        dist.destroy_process_group()


@contextlib.contextmanager
def _losses() -> Iterator[None]:
    """Turn what torch raises when a process has gone into one line."""
    try:
        yield
    except (RuntimeError, ConnectionError) as error:
        raise RunError(_gone((str(error).strip() or type(error).__name__).splitlines()[0])) from error


def _gone(reason: str) -> str:
    return (
        f"a process of this run has gone ({reason}); what was finished is kept where it ran, run the same command again"
    )
