"""How often each trial is drawn in a resample of a test set.

*By clip* bona fide and spoof trials are drawn apart, each class keeping its size. Units, as groups or speakers, are
drawn whole, with all clips of both classes that they have. Of two kinds of unit there are three sets of resamples:
speakers are drawn, sentences are drawn, and what one of each have in common is drawn, whose spread the first two both
hold (`limits.own`). A resample that lacks a class is drawn again.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike

from dfdlib import machine
from dfdlib.errors import DataError
from dfdlib.evaluation.trials import BONAFIDE, SPOOF
from dfdlib.evaluation.units import Units, count

# Weights held at a time: few enough to stay near the processor, enough to make small test sets cheap.
_BLOCK = 2**18
# Strata from this size on are drawn by way of Poisson counts.
_LARGE = 2**14


def of_attacks(labels: np.ndarray, attacks: np.ndarray) -> dict[str, np.ndarray]:
    """Return the trials of each attack, by name: its spoofs and all bona fide ones, as row numbers."""
    real = labels == BONAFIDE
    return {name: np.flatnonzero(real | (attacks == name)) for name in sorted(set(attacks[~real]))}


def names_of(groups: ArrayLike, size: int, name: str) -> np.ndarray:
    """Return the name of each trial's group (size,), "unknown" where it has none; `name` is what a group is called."""
    import pandas as pd

    column = pd.Series(np.asarray(groups, dtype=object))
    if len(column) != size:
        raise DataError(f"{len(column)} {name}s but {size} trials; give one {name} for each trial")
    return column.where(column.notna() & (column.astype(str) != ""), "unknown").astype(str).to_numpy()


def less_cells(kinds: Sequence[float | np.ndarray], cells: float | np.ndarray) -> float | np.ndarray:
    """Return the variance of one kind of unit; of two kinds, their sum less that of their cells, which both contain.

    It is never below the larger of the two.
    """
    if len(kinds) == 1:
        return kinds[0]
    one, other = kinds
    return np.maximum(one + other - cells, np.maximum(one, other))


class Strata:
    """Units (trials, groups, or speakers and sentences) that are drawn with replacement.

    Parameters
    ----------
    labels : ndarray, shape (n,), validated.
    groups : Units or array_like, shape (n,), optional
        What is drawn together; None draws trials, each class apart.

    Attributes
    ----------
    member : ndarray of int, shape (n,)
        The cell of each trial: trials that always have one weight. With one kind of unit a cell is a unit; with two it
        is what one of each have in common.
    cells : int
    kinds : list of Count
        How many units of each kind each class has, bona fide first, and how evenly they share its trials.
    grouped : bool
        Whether units of both classes are drawn together, not each class by itself.
    """

    def __init__(self, labels: np.ndarray, groups: "Units | ArrayLike | None") -> None:
        self.labels = labels
        real = labels == BONAFIDE
        members = groups.members if isinstance(groups, Units) else () if groups is None else (_checked(groups, real),)
        self.grouped = bool(members)
        if members:
            units = [np.unique(member, return_inverse=True)[1] for member in members]
            cells, self.member = np.unique(np.stack(units), axis=1, return_inverse=True)
            self.member = self.member.ravel()
            # The unit of each cell, for each set of resamples.
            self._units = list(cells) if len(cells) == 1 else [*cells, np.arange(cells.shape[1])]
        else:
            self.member = np.empty(labels.size, dtype=np.intp)
            self.member[np.argsort(~real, kind="stable")] = np.arange(labels.size)
            units, self._units = [self.member], [None]
            self._sizes = int(real.sum()), int((~real).sum())
        self.cells = int(self.member.max()) + 1
        self._trials = np.stack(
            [np.bincount(self.member[part], minlength=self.cells) for part in (real, ~real)], axis=1
        )
        self._members = units
        self.kinds = [
            count("group", member[part], label) for member in units for label, part in ((1, real), (0, ~real))
        ]
        if self.grouped and min(kind.units for kind in self.kinds) < 2:
            fewest = min(self.kinds, key=lambda kind: kind.units)
            raise DataError(
                f"{fewest.units} group among the {'bona fide' if fewest.label else 'spoof'} trials: what others would "
                "change cannot be told from it; use finer groups, or leave groups out to draw by clip"
            )

    @property
    def coarsest(self) -> np.ndarray:
        """The unit of each trial (n,), of the kind with the least effective number in a class."""
        least = min(range(len(self.kinds)), key=lambda number: self.kinds[number].effective)
        return self._members[least // 2]

    def worth(self, scores: np.ndarray) -> tuple[float, float]:
        """Return how many independent trials those of each class are worth, as their scores (n,) resemble each other.

        The variance of the scores, as normal deviates of their ranks, over that of their mean, which the means of the
        units show; at least the effective number of units, and at most the trials.
        """
        from scipy.special import ndtri
        from scipy.stats import rankdata

        found = []
        for number, part in enumerate((self.labels == BONAFIDE, self.labels == SPOOF)):
            kinds, size = self.kinds[number::2], int(part.sum())
            if not self.grouped:
                found.append(float(size))
                continue
            normal = ndtri((rankdata(scores[part]) - 0.5) / size)
            normal -= normal.mean()
            squares = [
                float(np.square(np.bincount(member[part], weights=normal)).sum()) / size**2
                for member in (*self._members, self.member)
            ]
            own = [one / (1 - 1 / kind.effective) for one, kind in zip(squares, kinds, strict=False)]
            variance = less_cells(own, squares[-1])
            least = min(kind.effective for kind in kinds)
            found.append(float(np.clip(normal.var() / variance, least, size)) if variance > 0 else least)
        return found[0], found[1]

    def draw(self, rows: int, rng: np.random.Generator, *, place: int = 0) -> np.ndarray:
        """Return the weight of each cell in `rows` resamples of a set, uint8 (rows, cells); no class is ever empty."""
        # A unit that is drawn 256 times would need a chance of less than 1e-500: eight bits are enough.
        if not self.grouped:
            return np.concatenate([_multinomial(size, rows, rng).astype(np.uint8) for size in self._sizes], axis=1)
        drawn = self._draw(rows, rng, place)
        while (empty := np.flatnonzero((drawn @ self._trials.astype(np.float64) == 0).any(axis=1))).size:
            drawn[empty] = self._draw(empty.size, rng, place)
        return drawn

    def _draw(self, rows: int, rng: np.random.Generator, place: int) -> np.ndarray:
        units = self._units[place]
        return np.take(_multinomial(int(units.max()) + 1, rows, rng).astype(np.uint8), units, axis=1)

    def resample(self, function, *, resamples: int, seed: int) -> np.ndarray:
        """Return `function` of the weights of all resamples, (sets, resamples, ...): by blocks, on all cores.

        There is one set, or three of two kinds of unit. The trials alone decide how many resamples make a block, so
        that the seed decides the result.
        """
        rows = max(1, _BLOCK // self.labels.size)
        sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
        blocks = list(itertools.product(range(len(self._units)), range(len(sizes))))

        def block(which: tuple[int, int]) -> np.ndarray:
            place, number = which
            rng = np.random.default_rng([seed, number + place * len(sizes)])
            return function(self.draw(sizes[number], rng, place=place))

        workers = min(machine.cores(), len(blocks))
        # Small test sets are done before a second thread has begun.
        if workers == 1 or resamples * self.labels.size < 2**24:
            found = np.concatenate(list(map(block, blocks)))
        else:
            with ThreadPoolExecutor(workers) as pool:
                found = np.concatenate(list(pool.map(block, blocks)))
        return found.reshape(len(self._units), resamples, *found.shape[1:])


def _multinomial(size: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of `size` units comes when `size` are drawn with replacement, integers (rows, size)."""
    if size >= _LARGE:
        return np.stack([_large_multinomial(size, rng) for _ in range(rows)])
    picks = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(picks.ravel(), minlength=rows * size).reshape(rows, size)


@functools.cache
def _poisson_counts() -> tuple[np.ndarray, np.ndarray, int]:
    """Return the chances of drawing a unit at most k times, the count of each 16-bit word, and the count "unclear".

    A word is unclear when the chance steps from one count to the next within it.
    """
    chances, unclear = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(30)]), 255
    found = np.searchsorted(chances, np.arange(2**16) / 2**16, side="right")
    found[np.searchsorted(chances, np.arange(1, 2**16 + 1) / 2**16, side="left") != found] = unclear
    return chances, found.astype(np.uint8), unclear


def _large_multinomial(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return one row of `_multinomial`, uint8 (size,).

    Independent Poisson counts are multinomial once their sum is known. It is off by about the root of `size`: what is
    missing is drawn, what is too much is taken away from the drawn units at random, and what remains is exactly a draw
    of `size` with replacement. numpy's own `integers` and `bincount` take 4.6 times as long for 589,212 trials, and all
    of `bench_uncertainty` 1.5 times.
    """
    chances, of_word, unclear = _poisson_counts()
    words = rng.integers(2**64 - 1, endpoint=True, size=-(-size // 4), dtype=np.uint64).view(np.uint16)[:size]
    drawn = np.take(of_word, words)
    border = np.flatnonzero(drawn == unclear)
    drawn[border] = np.searchsorted(chances, (words[border] + rng.random(border.size)) / 2**16, side="right")
    surplus = int(drawn.sum(dtype=np.int64)) - size
    if surplus < 0:
        np.add.at(drawn, rng.integers(size, size=-surplus), 1)
    most = int(drawn.max())
    while surplus > 0:
        # The m-th drawing of unit i is the cell (i, m) of a grid; cells beyond a unit's count are no drawings.
        unit, drawing = np.divmod(np.unique(rng.integers(size * most, size=2 * most * surplus)), most)
        unit = rng.permutation(unit[drawing < drawn[unit]])[:surplus]
        np.subtract.at(drawn, unit, 1)
        surplus -= unit.size
    return drawn


def _checked(groups: ArrayLike, real: np.ndarray) -> np.ndarray:
    """Return the group of each trial (n,) as text."""
    import pandas as pd

    groups = np.asarray(groups, dtype=object)
    if groups.shape != real.shape:
        raise DataError(f"groups have shape {groups.shape} but there are {real.size} trials; give one for each")
    missing = np.flatnonzero(pd.isna(groups)).tolist()
    if missing:
        raise DataError(
            f"groups are missing in rows {', '.join(map(str, missing[:5]))}"
            f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}, counted from 0; "
            "name them, or leave groups out to draw by clip"
        )
    return groups.astype(str)
