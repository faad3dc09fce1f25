"""How far a metric may move when the test set had been another one of the same kind.

Method
------
Percentile bootstrap (Efron and Tibshirani, 1993). The test set is drawn again with replacement ``resamples``
times, the metric is taken each time, and the interval is the middle ``level`` of the values.

*By clip* (the default) bona fide and spoof trials are drawn apart, each class keeping its size.

*By group* (``groups`` given) whole groups are drawn: a speaker, a source recording, an attack. Clips of one
speaker resemble one another, so an interval by clip is too narrow when speakers are few. Groups are of three
kinds (bona fide only, spoof only, both) and are drawn within their kind, each kind keeping its number of groups.
So no resample ever lacks a class, and none has to be thrown away and drawn again.

What the method cannot do: a detector without an error on the test set gets an interval of no width, although
the truth is only "about 3 / n or less"; few groups (under ten or so) give intervals that are too narrow.

Speed
-----
The trials are sorted once. A resample is a row of whole-number weights, and every metric follows from their
running sums (`dfdlib.metrics.Tally`), a block of resamples at a time, so that memory stays bounded. The values
are those that a loop over repeated trials gives, to the last bit or nearly so.
"""

from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib import metrics
from dfdlib.errors import DataError, ParameterError

# Weights held at a time: 2**19 of them are 4 MB, which stays near the processor.
_BLOCK = 2**19

METRICS: dict[str, Callable[[metrics.Tally], np.ndarray]] = {
    "eer": lambda counts: metrics.tally_eer(counts)[0],
    "auc": metrics.tally_auc,
    "min_dcf": metrics.tally_min_dcf,
}


class Interval(NamedTuple):
    """A metric of the test set and the interval around it."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A metric before and after, ``delta = after - before``, and the interval of ``delta``."""

    before: float
    after: float
    delta: float
    low: float
    high: float


def interval(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    metric: str = "eer",
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a metric with its bootstrap interval.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
        1 for bona fide, 0 for spoof; a higher score means bona fide.
    metric : {"eer", "auc", "min_dcf"}
        With the definitions and defaults of `dfdlib.metrics`.
    groups : array_like, shape (n,), optional
        Speaker, source or attack of each trial: trials that are drawn together.
    resamples : int
        Number of resamples, at least 100.
    level : float
        Coverage that is aimed at, strictly between 0 and 1.
    seed : int
        The same seed and trials give the same interval.

    Returns
    -------
    Interval
        ``value`` of the test set itself, ``low``, ``high``.

    Raises
    ------
    DataError
        As `dfdlib.metrics.validate`; ``groups`` of another length, with a missing value, or fewer than two of
        every kind.
    ParameterError
        An unknown metric, too few resamples, or a level outside (0, 1).
    """
    measure = _measure(metric, resamples, level)
    labels, scores = metrics.validate(labels, scores)
    ranking = _Ranking(labels, scores)
    draws = np.concatenate(
        [
            measure(ranking.tally(weights))
            for weights in resampled_weights(labels, groups=groups, resamples=resamples, seed=seed)
        ]
    )
    return Interval(float(measure(metrics.tally(labels, scores))), *_percentiles(draws, level))


def evaluate(labels: ArrayLike, scores: ArrayLike, **options) -> dict:
    """Return `metrics.evaluate`, and the interval of each of `METRICS` as ``<metric>_ci``: plain numbers for JSON.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    **options
        Of `interval`: groups, resamples, level, seed.

    Raises
    ------
    DataError, ParameterError
        As `interval`.
    """
    values = dict(metrics.evaluate(labels, scores))
    for metric in METRICS:
        found = interval(labels, scores, metric=metric, **options)
        values[f"{metric}_ci"] = [found.low, found.high]
    return values


def paired_difference(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    metric: str = "eer",
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return how much a metric changed between two systems, with the bootstrap interval of the change.

    Both systems see the same resamples of the same clips, so what makes a clip hard for both cancels out. The
    interval is much narrower than two separate ones suggest; when it leaves out 0, the change is more than
    the choice of clips explains.

    Parameters
    ----------
    labels : array_like, shape (n,)
        1 for bona fide, 0 for spoof.
    before, after : array_like, shape (n,)
        Scores of the two systems on the same clips in the same order.
    metric, groups, resamples, level, seed
        As in `interval`.

    Returns
    -------
    Difference
        ``before``, ``after``, ``delta = after - before`` and its ``low`` and ``high``. A negative delta is an
        improvement for "eer" and "min_dcf", a deterioration for "auc".

    Raises
    ------
    DataError, ParameterError
        As `interval`.
    """
    measure = _measure(metric, resamples, level)
    _, before = metrics.validate(labels, before)
    labels, after = metrics.validate(labels, after)
    rankings = _Ranking(labels, before), _Ranking(labels, after)
    draws = np.concatenate(
        [
            measure(rankings[1].tally(weights)) - measure(rankings[0].tally(weights))
            for weights in resampled_weights(labels, groups=groups, resamples=resamples, seed=seed)
        ]
    )
    first, second = (float(measure(metrics.tally(labels, scores))) for scores in (before, after))
    return Difference(first, second, second - first, *_percentiles(draws, level))


def resampled_weights(
    labels: ArrayLike, *, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield how often each trial is drawn, in blocks of resamples.

    Parameters
    ----------
    labels : array_like, shape (n,)
    groups : array_like, shape (n,), optional
    resamples, seed : int
        As in `interval`.

    Yields
    ------
    ndarray of int64, shape (block, n)
        Blocks add up to ``resamples`` rows. By clip, each row sums to n.

    Raises
    ------
    DataError
        As `interval`, for ``groups``.
    """
    labels = np.asarray(labels)
    member, strata = _strata(labels, groups)
    rng = np.random.default_rng(seed)
    units = sum(stratum.size for stratum in strata)
    rows = max(1, _BLOCK // labels.size)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = np.zeros((size, units), dtype=np.int64)
        for stratum in strata:
            picks = rng.integers(stratum.size, size=(size, stratum.size), dtype=np.int32)  # four times as fast as int64
            picks += np.arange(size, dtype=np.int32)[:, None] * np.int32(stratum.size)
            counts = np.bincount(picks.ravel(), minlength=size * stratum.size)
            drawn[:, stratum] = counts.reshape(size, stratum.size)
        yield drawn if member is None else drawn[:, member]


def delong_auc(labels: ArrayLike, scores: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the AUC with the interval of DeLong, DeLong and Clarke-Pearson (1988): no resampling.

    A normal interval from the variance of the placements (the share of the other class that each trial beats),
    found from midranks in O(n log n), and cut to [0, 1]. It takes clips as independent; for clips in groups use
    `interval`.

    Raises
    ------
    DataError
        As `dfdlib.metrics.validate`, or fewer than two trials of a class.
    ParameterError
        ``level`` outside (0, 1).
    """
    _check_level(level)
    labels, scores = metrics.validate(labels, scores)
    bonafide, spoof = np.sort(scores[labels == metrics.BONAFIDE]), np.sort(scores[labels == metrics.SPOOF])
    if min(bonafide.size, spoof.size) < 2:
        raise DataError(
            f"{bonafide.size} bona fide and {spoof.size} spoof trials: a variance needs two of each; add clips"
        )
    won, lost = _beaten(bonafide, spoof), 1 - _beaten(spoof, bonafide)
    value = float(won.mean())
    error = float(np.sqrt(won.var(ddof=1) / won.size + lost.var(ddof=1) / lost.size))
    reach = NormalDist().inv_cdf(0.5 + level / 2) * error
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


class _Ranking:
    """The order of one system's scores, ready to turn weights into tallies.

    Parameters
    ----------
    labels, scores : ndarray, shape (n,), already validated.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        ordered = np.sort(scores)
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        self._thresholds = np.append(ordered[starts], np.inf)
        self._classes = []
        for value in (metrics.BONAFIDE, metrics.SPOOF):
            rows = np.flatnonzero(labels == value)
            rows = rows[np.argsort(scores[rows], kind="stable")]
            # How many trials of this class lie below each threshold: where to read the running sum.
            below = np.searchsorted(scores[rows], self._thresholds, side="left")
            self._classes.append((rows, below))

    def tally(self, weights: np.ndarray) -> metrics.Tally:
        """Return the tally (b, k + 1) of resamples given as weights (b, n)."""
        below = []
        for rows, places in self._classes:
            running = np.zeros((weights.shape[0], rows.size + 1), dtype=np.int64)
            np.cumsum(np.take(weights, rows, axis=1), axis=1, out=running[:, 1:])
            below.append(np.take(running, places, axis=1))
        # A threshold whose trials were not drawn repeats the operating point of the next one: harmless.
        return metrics.Tally(self._thresholds, *below)


def _strata(labels: np.ndarray, groups: ArrayLike | None) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Return the group number of each trial (n,), or None by clip, and the units of each stratum."""
    if groups is None:
        return None, [np.flatnonzero(labels == value) for value in (metrics.BONAFIDE, metrics.SPOOF)]
    import pandas as pd

    groups = np.asarray(groups, dtype=object)
    if groups.shape != labels.shape:
        raise DataError(f"groups have shape {groups.shape} but there are {labels.size} trials; give one for each")
    missing = np.flatnonzero(pd.isna(groups)).tolist()
    if missing:
        raise DataError(
            f"groups are missing in rows {', '.join(map(str, missing[:5]))}"
            f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}, counted from 0; "
            "name them, or leave groups out to draw by clip"
        )
    _, member = np.unique(groups.astype(str), return_inverse=True)
    trials, bonafide = np.bincount(member), np.bincount(member, weights=labels == metrics.BONAFIDE)
    kinds = (bonafide == trials, bonafide == 0, (bonafide > 0) & (bonafide < trials))
    strata = [np.flatnonzero(kind) for kind in kinds if kind.any()]
    if all(stratum.size < 2 for stratum in strata):
        raise DataError(
            f"{trials.size} group{'s' if trials.size > 1 else ''} among {labels.size} trials, no two of a kind: "
            "there is nothing to draw; use finer groups, or leave groups out to draw by clip"
        )
    return member, strata


def _measure(metric: str, resamples: int, level: float) -> Callable[[metrics.Tally], np.ndarray]:
    if metric not in METRICS:
        raise ParameterError(f"metric={metric!r}: must be one of {', '.join(METRICS)}")
    if resamples < 100:
        raise ParameterError(f"resamples={resamples}: must be at least 100")
    _check_level(level)
    return METRICS[metric]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _beaten(trials: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of the trials (m,) the share of the sorted others (n,) below it, a tie counting half."""
    below = np.searchsorted(others, trials, side="left") + np.searchsorted(others, trials, side="right")
    return below / (2 * others.size)
