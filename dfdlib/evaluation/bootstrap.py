"""The bootstrap's engine: how often each trial is drawn, and what every metric becomes.

Drawing
-------
*By clip* bona fide and spoof trials are drawn apart, each class keeping its size. *By group* whole groups are drawn.
Groups are of three kinds (bona fide only, spoof only, both) and are drawn within their kind, each kind keeping its
number of groups. So no resample ever lacks a class, and none has to be thrown away and drawn again.

Speed
-----
The trials of a system are sorted once. A resample is a row of whole-number weights, and its running sums over the
sorted trials of each class give every metric, as `counts` has them; nothing is ever sorted or written down again.

- The two equal error rates without a hull need one threshold, which bisection finds.
- For the area, the costs and the hull only thresholds count where the class of the sorted trials changes: between
  them one rate alone moves, on a straight line. They are at most twice the trials of the smaller class.

No step is an approximation: the values are those of a loop over repeated trials but for the rounding of floats, about
1e-12. Blocks are spread over the processor's cores; each has its own random stream, numbered by its place, so that the
result does not depend on how many cores there are.
"""

import functools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike

from dfdlib import machine
from dfdlib.errors import DataError
from dfdlib.evaluation import counts, metrics
from dfdlib.evaluation.units import Units, count

#: Metrics that can be resampled, as `metrics.evaluate` names them.
NAMES = (
    "eer", "eer_interpolated", "eer_convex_hull", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr",
    "far", "frr", "hter", "macro_eer",
)  # fmt: skip
#: Those that need a threshold.
AT_THRESHOLD = ("far", "frr", "hter")

# Weights held at a time: few enough to stay near the processor, enough to make small test sets cheap.
_BLOCK = 2**18
# Strata from this size on are drawn by way of Poisson counts.
_LARGE = 2**14


def of_attacks(labels: np.ndarray, attacks: np.ndarray) -> dict[str, np.ndarray]:
    """Return the trials of each attack, by name: its spoofs and all bona fide ones, as row numbers."""
    real = labels == metrics.BONAFIDE
    return {name: np.flatnonzero(real | (attacks == name)) for name in sorted(set(attacks[~real]))}


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
        is what one of each have in common, and its weight is the product of theirs.
    cells : int
    kinds : list of Count
        How many units of each kind each class has, bona fide first, and how evenly they share its trials.
    grouped : bool
        Whether units of both classes are drawn together, not each class by itself.
    """

    def __init__(self, labels: np.ndarray, groups: "Units | ArrayLike | None") -> None:
        self.labels = labels
        real = labels == metrics.BONAFIDE
        members = groups.members if isinstance(groups, Units) else () if groups is None else (_checked(groups, real),)
        self.grouped = bool(members)
        if members:
            units = [np.unique(member, return_inverse=True)[1] for member in members]
            self._sizes = [member.max() + 1 for member in units]
            cells, self.member = np.unique(np.stack(units), axis=1, return_inverse=True)
            self.member = self.member.ravel()
            self._units = list(cells)
        else:
            self.member = np.empty(labels.size, dtype=np.intp)
            self.member[np.argsort(~real, kind="stable")] = np.arange(labels.size)
            units, self._sizes, self._units = [self.member], [int(real.sum()), int((~real).sum())], None
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
        for number, part in enumerate((self.labels == metrics.BONAFIDE, self.labels == metrics.SPOOF)):
            kinds, size = self.kinds[number::2], int(part.sum())
            if not self.grouped:
                found.append(float(size))
                continue
            normal = ndtri((rankdata(scores[part]) - 0.5) / size)
            normal -= normal.mean()
            variance = sum(
                np.square(np.bincount(member[part], weights=normal)).sum() / size**2 / (1 - 1 / kind.effective)
                for member, kind in zip(self._members, kinds, strict=True)
            )
            least = min(kind.effective for kind in kinds)
            found.append(float(np.clip(normal.var() / variance, least, size)) if variance > 0 else least)
        return found[0], found[1]

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Return the weight of each cell in `rows` resamples, uint8 or uint16 (rows, cells); no class is ever empty."""
        # A unit that is drawn 256 times would need a chance of less than 1e-500: eight bits are enough.
        if self._units is None:
            return np.concatenate([_multinomial(size, rows, rng).astype(np.uint8) for size in self._sizes], axis=1)
        drawn = self._draw(rows, rng)
        while (empty := np.flatnonzero((drawn @ self._trials.astype(np.float64) == 0).any(axis=1))).size:
            drawn[empty] = self._draw(empty.size, rng)
        return drawn

    def _draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        kinds = (
            np.take(_multinomial(size, rows, rng).astype(np.uint8), cells, axis=1)
            for size, cells in zip(self._sizes, self._units, strict=True)
        )
        return functools.reduce(lambda one, other: one.astype(np.uint16) * other, kinds)

    def resample(self, function, *, resamples: int, seed: int) -> np.ndarray:
        """Return `function` of the weights of all resamples, (resamples, ...): computed by blocks, on all cores.

        The trials alone decide how many resamples make a block, so that the seed decides the result.
        """
        rows = max(1, _BLOCK // self.labels.size)
        sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]

        def block(number: int) -> np.ndarray:
            return function(self.draw(sizes[number], np.random.default_rng([seed, number])))

        workers = min(machine.cores(), len(sizes))
        # Small test sets are done before a second thread has begun.
        if workers == 1 or resamples * self.labels.size < 2**24:
            return np.concatenate([block(number) for number in range(len(sizes))])
        with ThreadPoolExecutor(workers) as pool:
            return np.concatenate(list(pool.map(block, range(len(sizes)))))


class SortedScores:
    """The order of one system's scores, ready to turn weights into metrics.

    Parameters
    ----------
    strata : Strata
    scores : ndarray, shape (n,), validated.
    threshold : float, optional
        For `AT_THRESHOLD`.
    attacks : ndarray, shape (n,), optional
        For "macro_eer": the attack of each spoof.
    rows : ndarray of int, optional
        The trials that count; by default all.
    """

    def __init__(
        self,
        strata: Strata,
        scores: np.ndarray,
        *,
        threshold: float | None = None,
        attacks: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self._attacks = [] if attacks is None else [
            SortedScores(strata, scores, rows=own) for own in of_attacks(strata.labels, attacks).values()
        ]  # fmt: skip
        rows = np.arange(scores.size) if rows is None else rows
        order = rows[np.argsort(scores[rows], kind="stable")]
        ordered, real = scores[order], strata.labels[order] == metrics.BONAFIDE
        # The units of the trials of each class, from the lowest score up.
        self._units = strata.member[order[real]], strata.member[order[~real]]
        # How many trials of each class lie below each threshold: where to read the running sums.
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        below = np.concatenate(([0], np.cumsum(real)))[np.append(starts, real.size)]
        self._below = below, np.append(starts, real.size) - below
        alone = np.diff(self._below[0]) == 0, np.diff(self._below[1]) == 0
        # Neighbouring scores of one and the same class are one step of the curve.
        merged = (alone[0][1:] & alone[0][:-1]) | (alone[1][1:] & alone[1][:-1])
        corners = np.append(np.flatnonzero(np.append(True, ~merged)), alone[0].size)
        self._corners = self._below[0][corners], self._below[1][corners]
        self._bayes = _places(ordered, real, metrics.bayes_threshold())
        self._fixed = None if threshold is None else _places(ordered, real, threshold)
        cost = np.logaddexp(0.0, np.where(real, -ordered, ordered)) / np.log(2)
        self._cost = []
        for units, which in zip(self._units, (real, ~real), strict=True):
            summed = np.bincount(units, weights=cost[which])
            first = int(units.min())
            self._cost.append((slice(first, summed.size), summed[first:]))

    def values(self, drawn: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return metrics, float64 (rows, names), of resamples given as weights of units, uint8 (rows, units)."""
        bonafide, spoof = (_running(drawn, units) for units in self._units)
        totals = bonafide[:, -1].astype(np.int64), spoof[:, -1].astype(np.int64)
        found = _of_order(bonafide, spoof, names, below=self._below, corners=self._corners)
        if "cllr" in names:
            means = [
                drawn[:, units].astype(np.float64) @ cost / total
                for (units, cost), total in zip(self._cost, totals, strict=True)
            ]
            found["cllr"] = sum(means) / 2
        if "act_dcf" in names:
            found["act_dcf"] = metrics.detection_cost(*_rates(bonafide, spoof, totals, self._bayes))
        if "macro_eer" in names:
            found["macro_eer"] = self._macro_eer(drawn)
        if set(AT_THRESHOLD) & set(names):
            far, frr = _rates(bonafide, spoof, totals, self._fixed)
            found |= {"far": far, "frr": frr, "hter": (far + frr) / 2}
        return np.stack([found[name] for name in names], axis=1)

    def _macro_eer(self, drawn: np.ndarray) -> np.ndarray:
        """Return the mean EER over the attacks of which any trial was drawn, (rows,)."""
        found = np.full((len(self._attacks), len(drawn)), np.nan)
        for place, attack in enumerate(self._attacks):
            some = np.flatnonzero(drawn[:, attack._units[1]].any(axis=1))
            if some.size:
                found[place, some] = attack.values(drawn[some], ["eer"])[:, 0]
        return np.nanmean(found, axis=0)

    def frr_at_far(self, drawn: np.ndarray, far: np.ndarray) -> np.ndarray:
        """Return the lowest FRR (rows, k) at which FAR is at most each of `far`, falling or rising, (k,)."""
        bonafide, spoof = (_running(drawn, units) for units in self._units)
        rows, last = np.arange(len(drawn))[:, None], len(self._below[0]) - 1
        allowed = far * spoof[:, -1:] + 1e-9
        low, high = np.full((len(drawn), far.size), -1), np.full((len(drawn), far.size), last)
        while (high - low > 1).any():
            middle = np.maximum((low + high) // 2, 0)
            enough = spoof[:, -1:] - spoof[rows, self._below[1][middle]] <= allowed
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return bonafide[rows, self._below[0][high]] / bonafide[:, -1:]


class Bootstrap:
    """The values of metrics (of `NAMES`) of one or more systems on the same trials, as observed and resampled.

    Parameters
    ----------
    labels : ndarray, shape (n,)
    systems : sequence of ndarray, shape (n,)
        Scores; all systems see the same resamples.

    Attributes
    ----------
    observed : ndarray, shape (systems, names)
    draws : ndarray, shape (resamples, systems, names)
    """

    def __init__(
        self,
        labels: np.ndarray,
        systems: Sequence[np.ndarray],
        *,
        names: Sequence[str],
        groups: ArrayLike | None = None,
        threshold: float | None = None,
        attacks: np.ndarray | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        self.strata = Strata(labels, groups)
        ranked = [SortedScores(self.strata, scores, threshold=threshold, attacks=attacks) for scores in systems]

        def values(drawn: np.ndarray) -> np.ndarray:
            return np.stack([scores.values(drawn, names) for scores in ranked], axis=1)

        self.observed = values(np.ones((1, self.strata.cells), dtype=np.uint8))[0]
        self.draws = self.strata.resample(values, resamples=resamples, seed=seed)


# --- drawing ---


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


def of_ranks(bonafide: np.ndarray, spoof: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return metrics of order (rows, names), of the trials of each class below every threshold, both (rows, k + 1)."""
    every = np.arange(bonafide.shape[1])
    found = _of_order(bonafide, spoof, names, below=(every, every), corners=(every, every))
    return np.stack([found[name] for name in names], axis=1)


# --- metrics of running sums: pairs are of bona fide and spoof, in this order ---


def _places(ordered: np.ndarray, real: np.ndarray, threshold: float) -> tuple[int, int]:
    """Return how many trials of each class lie below a threshold."""
    lower = real[: np.searchsorted(ordered, threshold, side="left")]
    return int(lower.sum()), int((~lower).sum())


def _running(drawn: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the weights summed over a class's sorted trials, int32 (rows, trials + 1), from 0."""
    sums = np.zeros((len(drawn), units.size + 1), dtype=np.int32)
    np.cumsum(np.take(drawn, units, axis=1), axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _of_order(bonafide, spoof, names, *, below, corners) -> dict[str, np.ndarray]:
    """Return the metrics that the order of the scores decides, by name."""
    found = {}
    if {"eer", "eer_interpolated"} & set(names):
        found["eer"], found["eer_interpolated"], _ = counts.equal_errors(bonafide, spoof, below)
    if not {"auc", "min_dcf", "min_cllr", "eer_convex_hull"} & set(names):
        return found
    corners = np.take(bonafide, corners[0], axis=1), np.take(spoof, corners[1], axis=1)
    if "auc" in names:
        found["auc"] = counts.area(*corners)
    if "min_dcf" in names:
        found["min_dcf"] = _least_cost(corners, (bonafide[:, -1], spoof[:, -1]))
    if {"min_cllr", "eer_convex_hull"} & set(names):
        found["min_cllr"], found["eer_convex_hull"] = counts.hull(*corners)
    return found


def _rates(bonafide, spoof, totals, places) -> tuple[np.ndarray, np.ndarray]:
    """Return FAR and FRR where so many trials of each class lie below the threshold."""
    return (totals[1] - spoof[:, places[1]]) / totals[1], bonafide[:, places[0]] / totals[0]


def _least_cost(corners, totals) -> np.ndarray:
    """Return `metrics.min_dcf` of each row; without arrays of the rates, which would take longer."""
    bonafide, spoof = corners
    miss, accept = metrics.detection_cost(0.0, 1.0), metrics.detection_cost(1.0, 0.0)
    cost = bonafide * (miss / totals[0])[:, None]
    cost -= spoof * (accept / totals[1])[:, None]
    return np.maximum(cost.min(axis=1) + accept, 0.0)
