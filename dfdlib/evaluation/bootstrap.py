"""The bootstrap's engine: how often each trial is drawn, and what every metric becomes.

Drawing
-------
*By clip* bona fide and spoof trials are drawn apart, each class keeping its size. *By group* whole groups are drawn.
Groups are of three kinds (bona fide only, spoof only, both) and are drawn within their kind, each kind keeping its
number of groups. So no resample ever lacks a class, and none has to be thrown away and drawn again.

Speed
-----
The trials of a system are sorted once. A resample is a row of whole-number weights, and its running sums over the
sorted trials of each class give every metric; nothing is ever sorted or written down again.

- The two equal error rates without a hull need one threshold, which bisection finds, since FAR - FRR never rises.
- For the area, the costs and the hull only thresholds count where the class of the sorted trials changes: between
  them one rate alone moves, on a straight line. They are at most twice the trials of the smaller class.
- The hull of a whole block of resamples is one pool-adjacent-violators fit (`scipy.optimize.isotonic_regression`):
  the rows are laid end to end and lifted by two each, so that no pool reaches over an end.

No step is an approximation: the values are those of a loop over repeated trials but for the rounding of floats, about
1e-12. Blocks are spread over the processor's cores; each has its own random stream, numbered by its place, so that the
result does not depend on how many cores there are.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike

from dfdlib import machine
from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import metrics

#: Metrics that can be resampled, as `metrics.evaluate` names them.
NAMES = (
    "eer", "eer_interpolated", "eer_convex_hull", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr",
    "far", "frr", "hter",
)  # fmt: skip
#: Those that need a threshold.
AT_THRESHOLD = ("far", "frr", "hter")

# Weights held at a time: few enough to stay near the processor, enough to make small test sets cheap.
_BLOCK = 2**18
# Strata from this size on are drawn by way of Poisson counts, which is faster.
_LARGE = 2**14
# The jackknife leaves out single units up to this many of a stratum, and equal parts of it beyond.
_PARTS = 100


class Plan:
    """What is drawn together, and within what.

    Parameters
    ----------
    labels : ndarray, shape (n,), validated.
    groups : array_like, shape (n,), optional

    Attributes
    ----------
    member : ndarray of int, shape (n,)
        The unit (trial or group) of each trial. Units of one stratum have neighbouring numbers.
    sizes : ndarray of int, shape (strata,)
        How many units each stratum has.
    variance : ndarray, shape (strata,)
        What each stratum contributes to the variance of a mean over each class, relative to the others.

    Raises
    ------
    DataError
        Groups of another length, with a missing value, or fewer than two of every kind.
    """

    def __init__(self, labels: np.ndarray, groups: ArrayLike | None) -> None:
        self.labels = labels
        real = labels == metrics.BONAFIDE
        if groups is None:
            self.member, stratum = np.empty(labels.size, dtype=np.intp), np.sort(1 - real.astype(np.int8))
            self.member[np.argsort(~real, kind="stable")] = np.arange(labels.size)
        else:
            self.member, stratum = _grouped(real, groups)
        self.units = stratum.size
        self.sizes = np.bincount(stratum)
        shares = [np.bincount(stratum[self.member[which]], minlength=self.sizes.size) / which.sum()
                  for which in (real, ~real)]  # fmt: skip
        self.variance = np.square(shares).sum(axis=0) / self.sizes

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Return how often each unit is drawn in `rows` resamples, uint8 (rows, units)."""
        # A unit that is drawn 256 times would need a chance of less than 1e-500: eight bits are enough.
        drawn = np.empty((rows, self.units), dtype=np.uint8)
        for end, size in zip(np.cumsum(self.sizes), self.sizes, strict=True):
            drawn[:, end - size : end] = _multinomial(size, rows, rng)
        return drawn

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return jackknife weights, uint8 (parts, units): a unit, or a part of a stratum, absent; and their strata."""
        rows, owners = [np.empty((0, self.units), dtype=np.uint8)], [np.empty(0, dtype=np.intp)]
        for number, (end, size) in enumerate(zip(np.cumsum(self.sizes), self.sizes, strict=True)):
            parts = min(size, _PARTS)
            if parts > 1:
                weights = np.ones((parts, self.units), dtype=np.uint8)
                weights[np.arange(size) % parts, np.arange(end - size, end)] = 0
                rows.append(weights)
                owners.append(np.full(parts, number))
        return np.concatenate(rows), np.concatenate(owners)


class Ranking:
    """The order of one system's scores, ready to turn weights into metrics.

    Parameters
    ----------
    plan : Plan
    scores : ndarray, shape (n,), validated.
    threshold : float, optional
        For `AT_THRESHOLD`.
    """

    def __init__(self, plan: Plan, scores: np.ndarray, *, threshold: float | None = None) -> None:
        order = np.argsort(scores, kind="stable")
        ordered, real = scores[order], plan.labels[order] == metrics.BONAFIDE
        # The units of the trials of each class, from the lowest score up.
        self._units = plan.member[order[real]], plan.member[order[~real]]
        # How many trials of each class lie below each threshold: where to read the running sums.
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        below = np.concatenate(([0], np.cumsum(real)))[np.append(starts, real.size)]
        self._below = below, np.append(starts, real.size) - below
        alone = np.diff(self._below[0]) == 0, np.diff(self._below[1]) == 0
        # Neighbouring scores of one and the same class are one step of the curve.
        merged = (alone[0][1:] & alone[0][:-1]) | (alone[1][1:] & alone[1][:-1])
        corners = np.append(np.flatnonzero(np.append(True, ~merged)), alone[0].size)
        self._corners = self._below[0][corners], self._below[1][corners]
        bayes = metrics.bayes_threshold()
        self._bayes = self._places(ordered, real, bayes)
        self._fixed = None if threshold is None else self._places(ordered, real, threshold)
        cost = np.logaddexp(0.0, np.where(real, -ordered, ordered)) / np.log(2)
        self._cost = []
        for units, which in zip(self._units, (real, ~real), strict=True):
            summed = np.bincount(units, weights=cost[which])
            first = int(units.min())
            self._cost.append((slice(first, summed.size), summed[first:]))

    @staticmethod
    def _places(ordered: np.ndarray, real: np.ndarray, threshold: float) -> tuple[int, int]:
        lower = real[: np.searchsorted(ordered, threshold, side="left")]
        return int(lower.sum()), int((~lower).sum())

    def values(self, drawn: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return metrics, float64 (rows, names), of resamples given as weights of units, uint8 (rows, units)."""
        bonafide, spoof = (_running(drawn, units) for units in self._units)
        totals = bonafide[:, -1].astype(np.int64), spoof[:, -1].astype(np.int64)
        found = {}
        if {"eer", "eer_interpolated"} & set(names):
            found["eer"], found["eer_interpolated"] = self._crossing(bonafide, spoof, totals)
        if {"auc", "min_dcf", "min_cllr", "eer_convex_hull"} & set(names):
            corners = np.take(bonafide, self._corners[0], axis=1), np.take(spoof, self._corners[1], axis=1)
        if "auc" in names:
            found["auc"] = _area(corners, totals)
        if "min_dcf" in names:
            found["min_dcf"] = _least_cost(corners, totals)
        if {"min_cllr", "eer_convex_hull"} & set(names):
            found["min_cllr"], found["eer_convex_hull"] = _hull(corners, totals)
        if "cllr" in names:
            means = [
                drawn[:, units].astype(np.float64) @ cost / total
                for (units, cost), total in zip(self._cost, totals, strict=True)
            ]
            found["cllr"] = sum(means) / 2
        if "act_dcf" in names:
            found["act_dcf"] = metrics.detection_cost(*_rates(bonafide, spoof, totals, self._bayes))
        if set(AT_THRESHOLD) & set(names):
            far, frr = _rates(bonafide, spoof, totals, self._fixed)
            found |= {"far": far, "frr": frr, "hter": (far + frr) / 2}
        return np.stack([found[name] for name in names], axis=1)

    def misses(self, drawn: np.ndarray, far: np.ndarray) -> np.ndarray:
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

    def _crossing(self, bonafide, spoof, totals) -> tuple[np.ndarray, np.ndarray]:
        """Return `metrics.eer` and `metrics.eer_interpolated` of each row."""
        rows = np.arange(len(bonafide))

        def errors(place):  # whole numbers: trials falsely accepted and falsely rejected
            return totals[1] - spoof[rows, self._below[1][place]], bonafide[rows, self._below[0][place]]

        low = np.zeros(len(bonafide), dtype=np.intp)
        high = np.full(len(bonafide), self._below[0].size - 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            accepted, rejected = errors(middle)
            over = accepted * totals[0] <= rejected * totals[1]
            high, low = np.where(over, middle, high), np.where(over, low, middle)
        sides = []
        for place in (low, high):
            accepted, rejected = errors(place)
            gap = np.abs(accepted * totals[0] - rejected * totals[1])
            sides.append((gap, accepted / totals[1], rejected / totals[0]))
        (near, far_low, frr_low), (beyond, far_high, frr_high) = sides
        # Equally close: the lower threshold, as `metrics.eer` has it.
        closest = np.where(near <= beyond, far_low + frr_low, far_high + frr_high) / 2
        return closest, frr_low + near / (near + beyond) * (frr_high - frr_low)


class Bootstrap:
    """The values of metrics of one or more systems on the same trials, as observed and resampled.

    Parameters
    ----------
    labels : ndarray, shape (n,)
    systems : sequence of ndarray, shape (n,)
        Scores; all systems see the same resamples.
    names : sequence of str
        Of `NAMES`.
    groups : array_like, shape (n,), optional
    threshold : float, optional
    resamples, seed : int

    Attributes
    ----------
    observed : ndarray, shape (systems, names)
    draws : ndarray, shape (resamples, systems, names)

    Raises
    ------
    DataError
        As `Plan`.
    """

    def __init__(
        self,
        labels: np.ndarray,
        systems: Sequence[np.ndarray],
        *,
        names: Sequence[str],
        groups: ArrayLike | None = None,
        threshold: float | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        self.plan = Plan(labels, groups)
        self.names = tuple(names)
        self._rankings = [Ranking(self.plan, scores, threshold=threshold) for scores in systems]
        self.observed = self._values(np.ones((1, self.plan.units), dtype=np.uint8))[0]
        self.draws = np.concatenate(spread(self.plan, self._values, resamples=resamples, seed=seed))

    def jackknife(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the metrics without each part of a stratum (parts, systems, names), and the part's stratum."""
        weights, owners = self.plan.left_out()
        rows = _rows(self.plan)
        parts = [self._values(weights[start : start + rows]) for start in range(0, len(weights), rows)]
        return np.concatenate([np.empty((0, *self.observed.shape)), *parts]), owners

    def _values(self, drawn: np.ndarray) -> np.ndarray:
        return np.stack([ranking.values(drawn, self.names) for ranking in self._rankings], axis=1)


def spread(plan: Plan, function, *, resamples: int, seed: int) -> list:
    """Return `function` of the weights of every block of resamples, computed on all cores, in order."""
    rows = _rows(plan)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]

    def block(number: int):
        return function(plan.draw(sizes[number], np.random.default_rng([seed, number])))

    workers = min(machine.cores(), len(sizes))
    # Small test sets are done before a second thread has begun.
    if workers == 1 or resamples * plan.labels.size < 2**24:
        return [block(number) for number in range(len(sizes))]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(block, range(len(sizes))))


def resampled_weights(
    labels: ArrayLike, *, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield how often each trial is drawn, in blocks of resamples: those that every interval here is made of.

    Parameters
    ----------
    labels : array_like, shape (n,)
    groups : array_like, shape (n,), optional
    resamples, seed : int

    Yields
    ------
    ndarray of uint8, shape (block, n)
        Blocks add up to ``resamples`` rows. By clip, each row sums to n.

    Raises
    ------
    DataError
        As `Plan`.
    """
    plan = Plan(np.asarray(labels), groups)
    rows = _rows(plan)
    for number, start in enumerate(range(0, resamples, rows)):
        drawn = plan.draw(min(rows, resamples - start), np.random.default_rng([seed, number]))
        yield drawn[:, plan.member]


def check(names: Sequence[str], *, threshold: float | None) -> None:
    """Refuse metrics that cannot be resampled, or that miss their threshold.

    Raises
    ------
    ParameterError
        Such a metric, or a threshold that is NaN.
    """
    for name in names:
        if name not in NAMES:
            raise ParameterError(f"metric={name!r}: must be one of {', '.join(NAMES)}")
        if name in AT_THRESHOLD and threshold is None:
            raise ParameterError(f"metric={name!r}: needs a threshold")
    if threshold is not None and np.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")


def _rows(plan: Plan) -> int:
    """Return how many resamples make a block: a matter of the trials alone, so that the seed decides the rest."""
    return max(1, _BLOCK // plan.labels.size)


# Chances of drawing a unit at most k times, and the count that each 16-bit word stands for. Words within which the
# chance steps from one count to the next stand for none.
_CHANCES = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(30)])
_BORDER = 255
_COUNTS = np.searchsorted(_CHANCES, np.arange(2**16) / 2**16, side="right")
_COUNTS[np.searchsorted(_CHANCES, np.arange(1, 2**16 + 1) / 2**16, side="left") != _COUNTS] = _BORDER
_COUNTS = _COUNTS.astype(np.uint8)


def _multinomial(size: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of `size` units comes when `size` are drawn with replacement, integers (rows, size)."""
    if size >= _LARGE:
        return np.stack([_large_multinomial(size, rng) for _ in range(rows)])
    picks = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(picks.ravel(), minlength=rows * size).reshape(rows, size)


def _large_multinomial(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return one row of `_multinomial`, uint8 (size,).

    Independent Poisson counts are multinomial once their sum is known. It is off by about the root of `size`: what is
    missing is drawn, what is too much is taken away from the drawn units at random, and what remains is exactly a draw
    of `size` with replacement.
    """
    words = rng.integers(2**64 - 1, endpoint=True, size=-(-size // 4), dtype=np.uint64).view(np.uint16)[:size]
    counts = np.take(_COUNTS, words)
    border = np.flatnonzero(counts == _BORDER)
    counts[border] = np.searchsorted(_CHANCES, (words[border] + rng.random(border.size)) / 2**16, side="right")
    surplus = int(counts.sum(dtype=np.int64)) - size
    if surplus < 0:
        np.add.at(counts, rng.integers(size, size=-surplus), 1)
    most = int(counts.max())
    while surplus > 0:
        # The m-th drawing of unit i is the cell (i, m) of a grid; cells beyond a unit's count are no drawings.
        unit, drawing = np.divmod(np.unique(rng.integers(size * most, size=2 * most * surplus)), most)
        unit = rng.permutation(unit[drawing < counts[unit]])[:surplus]
        np.subtract.at(counts, unit, 1)
        surplus -= unit.size
    return counts


def _grouped(real: np.ndarray, groups: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the group number of each trial (n,), and the kind of each group (groups,), numbered along with it."""
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
    _, member = np.unique(groups.astype(str), return_inverse=True)
    trials, bonafide = np.bincount(member), np.bincount(member, weights=real)
    kinds = np.where(bonafide == trials, 0, np.where(bonafide == 0, 1, 2))
    if np.bincount(kinds).max() < 2:
        raise DataError(
            f"{trials.size} group{'s' if trials.size > 1 else ''} among {real.size} trials, no two of a kind: "
            "there is nothing to draw; use finer groups, or leave groups out to draw by clip"
        )
    order = np.argsort(kinds, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(order.size)
    _, kinds = np.unique(kinds[order], return_inverse=True)  # kinds that do not occur have no number
    return number[member], kinds


# --- metrics of running sums: bonafide and spoof are pairs in this order throughout ---


def _running(drawn: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the weights summed over a class's sorted trials, int32 (rows, trials + 1), from 0."""
    sums = np.zeros((len(drawn), units.size + 1), dtype=np.int32)
    np.cumsum(np.take(drawn, units, axis=1), axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _rates(bonafide, spoof, totals, places) -> tuple[np.ndarray, np.ndarray]:
    """Return FAR and FRR where so many trials of each class lie below the threshold."""
    return (totals[1] - spoof[:, places[1]]) / totals[1], bonafide[:, places[0]] / totals[0]


def _area(corners, totals) -> np.ndarray:
    bonafide, spoof = corners
    # Trials of a step times all that lie below its two ends: whole numbers, which floats hold exactly up to 2**53.
    beaten = (spoof[:, :-1] + spoof[:, 1:]).astype(np.float64)
    step = np.subtract(bonafide[:, 1:], bonafide[:, :-1], dtype=np.float64)
    return np.einsum("ij,ij->i", step, beaten) / (2.0 * totals[0] * totals[1])


def _least_cost(corners, totals) -> np.ndarray:
    bonafide, spoof = corners
    miss, accept = metrics.detection_cost(0.0, 1.0), metrics.detection_cost(1.0, 0.0)
    cost = bonafide * (miss / totals[0])[:, None]
    cost -= spoof * (accept / totals[1])[:, None]
    return np.maximum(cost.min(axis=1) + accept, 0.0)


def _hull(corners, totals) -> tuple[np.ndarray, np.ndarray]:
    """Return `metrics.min_cllr` and `metrics.eer_convex_hull` of each row."""
    from scipy.optimize import isotonic_regression

    bonafide, spoof = (np.diff(column, axis=1) for column in corners)
    weights = (bonafide + spoof).ravel()
    drawn = np.flatnonzero(weights)
    row = drawn // bonafide.shape[1]
    bonafide, spoof, weights = bonafide.ravel()[drawn], spoof.ravel()[drawn], weights[drawn].astype(np.float64)
    fit = isotonic_regression(bonafide / weights + 2.0 * row, weights=weights)
    starts = fit.blocks[:-1]
    row = row[starts]
    # The shares of each class in every block of the fit.
    p, q = (
        np.add.reduceat(column, starts) / total[row] for column, total in zip((bonafide, spoof), totals, strict=True)
    )
    mixed = (p > 0) & (q > 0)
    information = p[mixed] * np.log2(1 + q[mixed] / p[mixed]) + q[mixed] * np.log2(1 + p[mixed] / q[mixed])
    min_cllr = np.bincount(row[mixed], weights=information, minlength=len(totals[0])) / 2

    # Errors at the end of every block, row by row: each row's shares add up to one, so whole rows cancel.
    frr, far = np.cumsum(p) - row, 1 - (np.cumsum(q) - row)
    first = np.searchsorted(row, np.arange(len(totals[0])))
    # Rounding may leave a block at exactly FAR = FRR on either side; both give the same value.
    end = first + np.bincount(row, weights=far > frr, minlength=len(totals[0])).astype(np.intp)
    end = np.minimum(end, np.append(first[1:], row.size) - 1)
    frr_after, frr_before, far_after = frr[end], frr[end] - p[end], far[end]
    before, after = far_after + q[end] - frr_before, far_after - frr_after
    return min_cllr, frr_before + before / (before - after) * (frr_after - frr_before)
