"""How far a metric may move when the test set had been another one of the same kind.

Every interval comes from the bootstrap (Efron and Tibshirani, 1993): the test set is drawn again with replacement
``resamples`` times, by clip or by group, as `bootstrap` describes, and each metric is taken each time. Clips
of one speaker or sentence resemble one another, so an interval by clip is too narrow where groups exist; `groups_of`
chooses them.

Methods
-------
"corrected", the default
    A normal interval on a scale on which the metric's spread is steady: the arcsine root for error rates, log-odds
    for the AUC, ``log(cost + 2 / trials of the smaller class)`` for costs, the logarithm for Cllr. Its centre is the
    metric less the bias that the resamples show; its reach is Student's t times their standard deviation, widened by
    the root of n / (n - 1), where n counts the units of each kind (Satterthwaite's degrees of freedom over kinds).
    `min_dcf` and `min_cllr` are fitted to the test set. Their optimism grows with the 4/3rd power of the noise, as the
    maximum of a random walk with parabolic drift does; a resample, whose noise is the root of two times as strong,
    shows 2^(2/3) - 1 = 59 % of it, and the correction is enlarged accordingly. How far that correction may itself be
    wrong is added to the variance of `min_dcf`, as 0.15 of its square, a share found by simulation.
"percentile"
    The middle ``level`` of the resampled values.
"bca"
    Bias-corrected and accelerated (Efron, 1987), the acceleration from a jackknife over at most 100 parts of each
    kind of unit.

With all three the interval holds the metric itself, and a detector without an error on the test set gets an interval
that is as wide as its units allow: no failure among n has an upper limit of ``1 - ((1 - level) / 2)**(1 / n)``
(Clopper and Pearson, 1934; about 3.7 / n at 95 %).

How often they hold the truth
-----------------------------
Share of 500 simulated studies whose 95 % interval held the truth, from the least to the most of six kinds of study:
normal scores with an EER of 27 % or 11 %; independent clips, or groups (10, 50 and 100 for 50, 250 and 1,000 trials a
class) that share 30 % of the variance, within a class or across both. `tests/benchmarks/bench_coverage.py` prints all
of it.

==================  =====================================  ============================
percent             corrected, 50 / 250 / 1,000 trials      percentile, bca, 50 trials
==================  =====================================  ============================
EER                 95 to 98 / 93 to 94 / 92 to 95          91 to 96, 88 to 94
EER of the hull     93 to 97 / 91 to 94 / 92 to 95          74 to 85, 77 to 91
AUC                 95 to 99 / 93 to 95 / 94 to 96          80 to 93, 83 to 94
minimum DCF         95 to 98 / 94 to 96 / 93 to 95          63 to 75, 73 to 86
actual DCF          94 to 96 / 94 to 97 / 94 to 96          88 to 92, 88 to 93
Cllr                93 to 94 / 93 to 95 / 94 to 96          84 to 92, 85 to 91
minimum Cllr        96 to 99 / 95 to 96 / 94 to 96          26 to 57, 41 to 71
FAR, FRR            95 to 100 / 93 to 95 / 93 to 96         84 to 93, 86 to 95
HTER                95 to 96 / 93 to 96 / 93 to 96          86 to 94, 88 to 94
change of the EER   93 to 96 / 93 to 96 / 92 to 95          97 to 99, 90 to 93
change of the AUC   88 to 98 / 94 to 97 / 93 to 96          86 to 94, 86 to 90
change of minDCF    90 to 97 / 93 to 95 / 93 to 95          90 to 96, 84 to 86
==================  =====================================  ============================

So only the default holds what it says; the other two are there to be compared with published intervals. Changes were
taken between EERs of 16 % and 16 or 10 %; where the true change was none, p fell below 0.05 in 2 to 7 % of studies.

What is left: at 50 trials and an EER of 2 %, which is one error in each class, the default holds the truth more often
than it says (97 to 100 %), but Cllr less often (86 to 89 %), since rare high costs dominate it. The change of an AUC
of 50 trials in few groups is a little too narrow (88 %). A test set says nothing of kinds of speech that are not in
it, whatever the interval.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import bootstrap, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap, resampled_weights

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Band", "Difference", "Grouping", "Interval", "curve_band", "delong_auc", "delong_test", "evaluate", "groups_of",
    "holm", "interval", "intervals", "paired_difference", "paired_differences", "resampled_weights",
]  # fmt: skip

#: Every metric that has an interval; "far", "frr" and "hter" need a threshold.
METRICS = bootstrap.NAMES
METHODS = ("corrected", "percentile", "bca")
#: What `paired_differences` compares unless told otherwise.
COMPARED = ("eer", "auc", "min_dcf")
#: What ties clips together, closest first; `groups_of` takes the first column that is complete.
TIES = ("sentence", "speaker")

_RATES = ("eer", "eer_interpolated", "eer_convex_hull", *AT_THRESHOLD)
# Metrics fitted to the test set, and the share of the squared correction that is added to their variance.
_FITTED = {"min_dcf": 0.15, "min_cllr": 0.0}
_OPTIMISM = 1 / (2 ** (2 / 3) - 1)
# With fewer groups there is too little to draw from to choose them unasked.
_FEWEST_GROUPS = 5


class Interval(NamedTuple):
    """A metric of the test set and the interval around it."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A metric before and after, ``delta = after - before``, the interval of ``delta``, and p for no difference."""

    before: float
    after: float
    delta: float
    low: float
    high: float
    p: float = math.nan


class Band(NamedTuple):
    """Where a DET or ROC curve may run: at each FAR the interval of the FRR, all (k,)."""

    far: np.ndarray
    frr_low: np.ndarray
    frr_high: np.ndarray


class Grouping(NamedTuple):
    """What is drawn together: the name of the column ("clip" for none), and the group of each row or None."""

    by: str
    groups: np.ndarray | None


def interval(labels: ArrayLike, scores: ArrayLike, *, metric: str = "eer", **options) -> Interval:
    """Return a metric with its interval.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
        1 for bona fide, 0 for spoof; a higher score means bona fide.
    metric : str
        Of `METRICS`, with the definitions and defaults of `metrics`.
    **options
        Of `intervals`.

    Returns
    -------
    Interval
        ``value`` of the test set itself, ``low``, ``high``.

    Raises
    ------
    DataError, ParameterError
        As `intervals`.
    """
    return intervals(labels, scores, names=(metric,), **options)[metric]


def intervals(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    threshold: float | None = None,
    method: str = "corrected",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return metrics with their intervals, all from the same resamples.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
        1 for bona fide, 0 for spoof; a higher score means bona fide.
    names : sequence of str, optional
        Of `METRICS`; by default all that ``threshold`` allows.
    groups : array_like, shape (n,), optional
        Speaker, source or sentence of each trial: trials that are drawn together. None draws by clip.
    threshold : float, optional
        A threshold that was fixed on other data, for "far", "frr" and "hter".
    method : {"corrected", "percentile", "bca"}
    resamples : int
        Number of resamples, at least 100.
    level : float
        Coverage that is aimed at, strictly between 0 and 1.
    seed : int
        The same seed and trials give the same intervals, on however many cores.

    Raises
    ------
    DataError
        As `metrics.validate`; ``groups`` of another length, with a missing value, or fewer than two of
        every kind.
    ParameterError
        An unknown metric or method, a metric without its threshold, too few resamples, or a level outside (0, 1).
    """
    names = tuple(names or (name for name in METRICS if threshold is not None or name not in AT_THRESHOLD))
    _check(names, threshold, method, resamples, level)
    labels, scores = metrics.validate(labels, scores)
    boot = Bootstrap(labels, [scores], names=names, groups=groups, threshold=threshold, resamples=resamples, seed=seed)
    lost, owners = boot.jackknife() if method == "bca" else (None, None)
    found = {}
    for number, name in enumerate(names):
        value, draws = float(boot.observed[0, number]), boot.draws[:, 0, number]
        if method == "corrected":
            low, high = _corrected(name, value, draws, boot.plan, level)
        elif method == "bca":
            low, high = _bca(value, draws, lost[:, 0, number], owners, level)
        else:
            low, high = _percentiles(draws, level)
        if np.ptp(draws) < 1e-12:
            low, high = _without_spread(name, value, boot.plan, level)
        found[name] = Interval(value, min(low, value), max(high, value))
    return found


def evaluate(labels: ArrayLike, scores: ArrayLike, *, threshold: float | None = None, **options) -> dict:
    """Return `metrics.evaluate`, and the interval of each metric as ``<metric>_ci``: plain numbers for JSON.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    threshold : float, optional
        A threshold that was fixed on other data; adds ``threshold``, ``far``, ``frr`` and ``hter``.
    **options
        Of `intervals`: groups, method, resamples, level, seed.

    Raises
    ------
    DataError, ParameterError
        As `intervals`.
    """
    values = dict(metrics.evaluate(labels, scores, threshold=threshold))
    names = [name for name in METRICS if name in values]
    for name, found in intervals(labels, scores, names=names, threshold=threshold, **options).items():
        values[f"{name}_ci"] = [found.low, found.high]
    return values


def paired_difference(
    labels: ArrayLike, before: ArrayLike, after: ArrayLike, *, metric: str = "eer", **options
) -> Difference:
    """Return how much one metric changed between two systems: `paired_differences` of one name."""
    return paired_differences(labels, before, after, names=(metric,), **options)[metric]


def paired_differences(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    names: Sequence[str] = COMPARED,
    groups: ArrayLike | None = None,
    threshold: float | None = None,
    method: str = "corrected",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return how much metrics changed between two systems on the same clips, with intervals and p-values.

    Both systems see the same resamples of the same clips, so what makes a clip hard for both cancels out. The
    interval is much narrower than two separate ones suggest; when it leaves out 0, the change is more than
    the choice of clips explains.

    Parameters
    ----------
    labels : array_like, shape (n,)
        1 for bona fide, 0 for spoof.
    before, after : array_like, shape (n,) or (seeds, n)
        Scores of the two systems on the same clips in the same order. With several rows, as from trainings with
        several seeds, a metric is the mean over the rows; the interval says what other clips would change, not what
        other seeds would.
    names, groups, threshold, method, resamples, level, seed
        As in `intervals`. "corrected" works on the plain scale here. It removes the bias of equal error rates alone:
        ties among the trials of a resample shift them, while other biases are alike in both systems and cancel.

    Returns
    -------
    dict of Difference
        ``before``, ``after``, ``delta = after - before``, its ``low`` and ``high``, and ``p``, two-sided: Student's t
        of the "corrected" centre over its standard error, with the degrees of freedom of the interval, so that p is
        below 0.05 where the 95 % interval "corrected" leaves out 0. A negative delta is an improvement for
        everything but "auc".

    Raises
    ------
    DataError, ParameterError
        As `intervals`.
    """
    names = tuple(names)
    _check(names, threshold, method, resamples, level)
    before, after = _rows(labels, before), _rows(labels, after)
    labels, _ = metrics.validate(labels, before[0])
    boot = Bootstrap(
        labels, [*before, *after], names=names, groups=groups, threshold=threshold, resamples=resamples, seed=seed
    )

    def change(values: np.ndarray) -> np.ndarray:  # (..., systems, names) to (..., names)
        return values[..., len(before) :, :].mean(axis=-2) - values[..., : len(before), :].mean(axis=-2)

    first, second = boot.observed[: len(before)].mean(axis=0), boot.observed[len(before) :].mean(axis=0)
    changes = change(boot.draws)
    lost, owners = boot.jackknife() if method == "bca" else (None, None)
    freedom, widening = _freedom(boot.plan)
    same = len(before) == len(after) and all(_same_order(*pair) for pair in zip(before, after, strict=True))
    found = {}
    for number, name in enumerate(names):
        old, new = float(first[number]), float(second[number])
        delta, draws = new - old, changes[:, number]
        centre, error = delta, float(np.std(draws, ddof=1))
        if name.startswith("eer"):
            centre -= float(np.mean(draws)) - delta
        error *= widening
        if method == "corrected":
            reach = error * _student(0.5 + level / 2, freedom)
            low, high = centre - reach, centre + reach
        elif method == "bca":
            low, high = _bca(delta, draws, change(lost)[:, number], owners, level)
        else:
            low, high = _percentiles(draws, level)
        if np.ptp(boot.draws[:, :, number], axis=0).max() < 1e-12 and not same:
            ends = [_without_spread(name, value, boot.plan, level) for value in (old, new)]
            low, high = ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]
        p = _two_sided(centre / error, freedom) if error > 1e-12 else float(abs(delta) < 1e-12)
        found[name] = Difference(old, new, delta, min(low, delta), max(high, delta), p)
    return found


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's method (1979), in their order.

    Each is compared as if it were the smallest of those that are left; rejecting where the adjusted value is below
    0.05 keeps the chance of any false rejection in the family below 0.05, however the tests depend on each other.

    Parameters
    ----------
    p_values : array_like, shape (k,)

    Raises
    ------
    ParameterError
        A value outside [0, 1], or not one row of them.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not np.all((p_values >= 0) & (p_values <= 1)):
        raise ParameterError(f"p_values={p_values.tolist()}: must be a row of shares from 0 to 1")
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty_like(p_values)
    left = np.arange(p_values.size, 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(left * p_values[order]))
    return adjusted


def curve_band(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    far: ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Band:
    """Return the pointwise band of a DET curve: the interval of the FRR at every FAR on a grid.

    At each FAR the FRR is the lowest that any threshold reaches without exceeding it. The limits are percentiles of
    the resamples, moved outwards as far as Student's t and n / (n - 1) move those of "corrected" (Hesterberg, 2015). As
    a ROC, plot ``far`` against ``1 - frr_high`` and ``1 - frr_low``.

    The band is pointwise: at one FAR chosen beforehand a 95 % band held the true FRR in 91 to 98 % of simulated
    studies, the whole curve less often. Where the FAR allows one spoof trial at most it held it in 85 %.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    groups : array_like, shape (n,), optional
    far : array_like, shape (k,), optional
        By default 121 points from 0.0005 to 0.9995, evenly spaced as normal deviates, as a DET plot's axis is.
    resamples, level, seed
        As in `intervals`.

    Raises
    ------
    DataError, ParameterError
        As `intervals`, or ``far`` outside [0, 1].
    """
    from scipy.special import ndtr, ndtri

    _check((), None, "corrected", resamples, level)
    labels, scores = metrics.validate(labels, scores)
    far = ndtr(np.linspace(ndtri(0.0005), ndtri(0.9995), 121)) if far is None else np.asarray(far, dtype=np.float64)
    if far.ndim != 1 or not np.all((far >= 0) & (far <= 1)):
        raise ParameterError(f"far={far}: must be a row of shares from 0 to 1")
    plan = bootstrap.Plan(labels, groups)
    ranking = bootstrap.Ranking(plan, scores)
    draws = np.concatenate(
        bootstrap.spread(plan, lambda drawn: ranking.misses(drawn, far), resamples=resamples, seed=seed)
    )
    observed = ranking.misses(np.ones((1, plan.units), dtype=np.uint8), far)[0]
    freedom, widening = _freedom(plan)
    outer = float(ndtr(-_student(0.5 + level / 2, freedom) * widening))
    low, high = np.quantile(draws, [outer, 1 - outer], axis=0)
    for place in np.flatnonzero(np.ptp(draws, axis=0) == 0):
        low[place], high[place] = _without_spread("frr", float(observed[place]), plan, level)
    low, high = np.minimum(low, observed), np.maximum(high, observed)
    # A curve never rises with the FAR, so neither do its limits.
    order = np.argsort(far)
    low[order], high[order] = np.minimum.accumulate(low[order]), np.maximum.accumulate(high[order][::-1])[::-1]
    return Band(far, low, high)


def groups_of(table: "DataFrame", *, by: str = "auto") -> Grouping:
    """Choose what is drawn together: the one place where that is decided.

    Parameters
    ----------
    table : DataFrame
        A row a trial, with the columns of a corpus or of a table of scores.
    by : str
        - "auto": the sentence, which ties a real clip to the fakes that were made of it, or else the speaker: the
          first that every row has and that takes at least five values; else by clip;
        - "clip": every clip on its own;
        - "attack": spoof clips by attack, bona fide ones each on their own;
        - the name of any other column.

    Returns
    -------
    Grouping
        ``by``, the column that was taken, and ``groups`` for `intervals`, shape (n,), or None.

    Raises
    ------
    DataError
        No such column, or a row without a value in it.
    """
    if by == "auto":
        by = next((name for name in TIES if _complete(table, name) and table[name].nunique() >= _FEWEST_GROUPS), "clip")
    if by == "clip":
        return Grouping("clip", None)
    if by not in table:
        raise DataError(f"by={by!r}: the table has no such column; choose auto, clip or one of {', '.join(table)}")
    values = table[by].astype(object).to_numpy(copy=True)
    if by == "attack":
        real = table["label"].to_numpy() == metrics.BONAFIDE
        values[real] = [f"bona fide {row}" for row in np.flatnonzero(real)]
    empty = np.flatnonzero([value is None or value != value or str(value) == "" for value in values])
    if empty.size:
        raise DataError(f"by={by!r}: row {empty[0]}, counted from 0, has no value in that column; choose another one")
    return Grouping(by, values)


def delong_auc(labels: ArrayLike, scores: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the AUC with the interval of DeLong, DeLong and Clarke-Pearson (1988): no resampling.

    A normal interval from the variance of the placements (the share of the other class that each trial beats),
    found from midranks in O(n log n), and cut to [0, 1]. It takes clips as independent; for clips in groups, and near
    1, where it is too narrow, use `interval`.

    Raises
    ------
    DataError
        As `metrics.validate`, or fewer than two trials of a class.
    ParameterError
        ``level`` outside (0, 1).
    """
    _check_level(level)
    labels, scores = metrics.validate(labels, scores)
    won, lost = _placements(labels, scores)
    value = float(won.mean())
    reach = NormalDist().inv_cdf(0.5 + level / 2) * _placement_error(won, lost)
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


def delong_test(labels: ArrayLike, before: ArrayLike, after: ArrayLike, *, level: float = 0.95) -> Difference:
    """Return the change of the AUC on the same clips with the paired test of DeLong et al. (1988): no resampling.

    The variance is that of the differences of each trial's placements under the two systems. It takes clips as
    independent; for clips in groups use `paired_difference`.

    Raises
    ------
    DataError, ParameterError
        As `delong_auc`.
    """
    _check_level(level)
    _, before = metrics.validate(labels, before)
    labels, after = metrics.validate(labels, after)
    first, second = _placements(labels, before), _placements(labels, after)
    error = _placement_error(second[0] - first[0], second[1] - first[1])
    values = float(first[0].mean()), float(second[0].mean())
    delta = values[1] - values[0]
    reach = NormalDist().inv_cdf(0.5 + level / 2) * error
    p = 2 * NormalDist().cdf(-abs(delta) / error) if error > 0 else float(delta == 0)
    return Difference(*values, delta, delta - reach, delta + reach, p)


# --- intervals from draws ---


def _corrected(name: str, value: float, draws: np.ndarray, plan, level: float) -> tuple[float, float]:
    there, back = _scale(name, plan)
    scaled, centre = there(draws), float(there(value))
    correction = (float(np.mean(scaled)) - centre) * (_OPTIMISM if name in _FITTED else 1.0)
    spread = math.sqrt(float(np.var(scaled, ddof=1)) + _FITTED.get(name, 0.0) * correction**2)
    freedom, widening = _freedom(plan)
    reach = _student(0.5 + level / 2, freedom) * widening * spread
    return float(back(centre - correction - reach)), float(back(centre - correction + reach))


def _scale(name: str, plan):
    """Return the map onto the scale that a metric's interval is made on, and the way back."""
    bonafide = int(np.sum(plan.labels == metrics.BONAFIDE))
    spoof = plan.labels.size - bonafide
    if name in _RATES:
        return (lambda x: np.arcsin(np.sqrt(np.clip(x, 0, 1)))), (lambda y: np.sin(np.clip(y, 0, np.pi / 2)) ** 2)
    if name == "auc":
        half = 0.5 / (bonafide * spoof)  # half a pair, so that a perfect order has a place on the scale
        return (lambda x: np.log((x + half) / (1 - x + half))), (
            lambda y: np.clip((1 + 2 * half) / (1 + np.exp(-y)) - half, 0, 1)
        )
    if name == "cllr":
        return (lambda x: np.log(np.maximum(x, np.finfo(float).tiny))), np.exp
    least, most = 2 / min(bonafide, spoof), math.inf if name == "act_dcf" else 1
    return (lambda x: np.log(x + least)), (lambda y: np.clip(np.exp(y) - least, 0, most))


def _freedom(plan) -> tuple[float, float]:
    """Return the degrees of freedom of a bootstrap's standard deviation, and how much wider it ought to be."""
    several = plan.sizes > 1
    if not several.any():
        return 1.0, 1.0
    size, variance = plan.sizes[several], plan.variance[several]
    freedom = variance.sum() ** 2 / (variance**2 / (size - 1)).sum()
    return float(freedom), math.sqrt((variance * size / (size - 1)).sum() / variance.sum())


def _between(draws: np.ndarray, sides: tuple[slice, slice]) -> np.ndarray:
    """Return the difference (b,) of the means of two sides of the systems in (b, systems)."""
    return draws[:, sides[1]].mean(axis=1) - draws[:, sides[0]].mean(axis=1)


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _bca(value: float, draws: np.ndarray, lost: np.ndarray, owners: np.ndarray, level: float) -> tuple[float, float]:
    normal = NormalDist()
    below, equal = np.mean(draws < value - 1e-12), np.mean(np.abs(draws - value) <= 1e-12)
    half = 0.5 / draws.size
    bias = normal.inv_cdf(float(np.clip(below + equal / 2, half, 1 - half)))
    cubes = squares = 0.0
    for owner in np.unique(owners):
        part = lost[owners == owner]
        influence = (part.mean() - part) * (part.size - 1) / part.size
        cubes, squares = cubes + (influence**3).sum(), squares + (influence**2).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    ends = []
    for z in (normal.inv_cdf((1 - level) / 2), normal.inv_cdf((1 + level) / 2)):
        stretch = 1 - acceleration * (bias + z)
        # Beyond the pole the adjusted share is that of the end itself.
        ends.append(normal.cdf(bias + (bias + z) / stretch) if stretch > 0 else float(z > 0))
    low, high = np.quantile(draws, ends)
    return float(low), float(high)


def _without_spread(name: str, value: float, plan, level: float) -> tuple[float, float]:
    """Return the interval of a metric that no resample changes: no error, or nothing but errors."""
    real = plan.labels == metrics.BONAFIDE
    miss, accept = (_no_failure(np.unique(plan.member[which]).size, level) for which in (real, ~real))
    either = max(miss, accept)
    reach = {
        "frr": miss,
        "far": accept,
        # One of the two rates alone, whichever weighs more.
        "hter": either / 2,
        "min_dcf": max(metrics.detection_cost(accept, 0.0), metrics.detection_cost(0.0, miss)),
        # Two blocks, each with half of the errors of the other class.
        "min_cllr": _entropy(either / 2),
        "cllr": 0.0,
    }
    reach["act_dcf"] = reach["min_dcf"]
    reach = reach.get(name, either)
    if name not in ("act_dcf", "hter", "min_dcf", "min_cllr") and value not in (0.0, 1.0):
        return value, value  # every score ties
    return max(0.0, value - reach), (value + reach if name == "act_dcf" else min(1.0, value + reach))


def _no_failure(units: int, level: float) -> float:
    """Return the upper Clopper–Pearson limit of a rate that was 0 among so many units."""
    return 1 - ((1 - level) / 2) ** (1 / units)


def _entropy(share: float) -> float:
    return -sum(part * math.log2(part) for part in (share, 1 - share) if part > 0)


def _student(share: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _two_sided(ratio: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(ratio)))


# --- placements ---


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of spoofs below each bona fide trial, and of bona fide trials above each spoof."""
    real = labels == metrics.BONAFIDE
    bonafide, spoof = np.sort(scores[real]), np.sort(scores[~real])
    if min(bonafide.size, spoof.size) < 2:
        raise DataError(
            f"{bonafide.size} bona fide and {spoof.size} spoof trials: a variance needs two of each; add clips"
        )
    return _beaten(scores[real], spoof), 1 - _beaten(scores[~real], bonafide)


def _placement_error(won: np.ndarray, lost: np.ndarray) -> float:
    return float(np.sqrt(won.var(ddof=1) / won.size + lost.var(ddof=1) / lost.size))


def _beaten(trials: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of the trials (m,) the share of the sorted others (n,) below it, a tie counting half."""
    below = np.searchsorted(others, trials, side="left") + np.searchsorted(others, trials, side="right")
    return below / (2 * others.size)


def _rows(labels: ArrayLike, scores: ArrayLike) -> list[np.ndarray]:
    """Return the scores of each seed, checked; one row for a single system."""
    several = isinstance(scores, np.ndarray) and scores.ndim == 2 and len(scores)
    return [metrics.validate(labels, row)[1] for row in (scores if several else [scores])]


def _same_order(first: np.ndarray, second: np.ndarray) -> bool:
    places = (np.unique(scores, return_inverse=True)[1] for scores in (first, second))
    return np.array_equal(*places)


def _complete(table: "DataFrame", name: str) -> bool:
    return name in table and bool((table[name].notna() & (table[name].astype(str) != "")).all())


# --- checks ---


def _check(names: Sequence[str], threshold: float | None, method: str, resamples: int, level: float) -> None:
    bootstrap.check(names, threshold=threshold)
    if method not in METHODS:
        raise ParameterError(f"method={method!r}: must be one of {', '.join(METHODS)}")
    if resamples < 100:
        raise ParameterError(f"resamples={resamples}: must be at least 100")
    _check_level(level)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")
