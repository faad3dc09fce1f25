"""How far a metric may move on another test set of the same kind.

Every interval comes from the bootstrap (Efron and Tibshirani, 1993): the test set is drawn again with replacement
``resamples`` times, by clip or by group, as `bootstrap` describes, and each metric is taken each time. Clips
of one speaker or sentence resemble one another, so an interval by clip is too narrow where groups exist; `groups_of`
chooses them. `limits` says how draws become the ends of an interval.

How often intervals hold the truth
----------------------------------
Share of 500 simulated studies whose 95 % interval held the truth, from the least to the most of six kinds of study:
normal scores with an EER of 27 % or 11 %; independent clips, or groups (10, 50 and 100 for 50, 250 and 1,000 trials a
class) that share 30 % of the variance, within a class or across both. `tests/benchmarks/bench_coverage.py` prints all
of it.

==================  =====================================
percent             50 / 250 / 1,000 trials
==================  =====================================
EER                 95 to 98 / 93 to 94 / 92 to 95
EER of the hull     93 to 97 / 91 to 94 / 92 to 95
AUC                 95 to 99 / 93 to 95 / 94 to 96
minimum DCF         95 to 98 / 94 to 96 / 93 to 95
actual DCF          94 to 96 / 94 to 97 / 94 to 96
Cllr                93 to 94 / 93 to 95 / 94 to 96
minimum Cllr        96 to 99 / 95 to 96 / 94 to 96
FAR, FRR            95 to 100 / 93 to 95 / 93 to 96
HTER                95 to 96 / 93 to 96 / 93 to 96
change of the EER   93 to 96 / 93 to 96 / 92 to 95
change of the AUC   88 to 98 / 94 to 97 / 93 to 96
change of minDCF    90 to 97 / 93 to 95 / 93 to 95
==================  =====================================

Plain percentiles of the resamples and BCa (Efron, 1987) held the truth of 50 trials in 26 to 96 % and 41 to 94 % of
studies. Changes were taken between EERs of 16 % and 16 or 10 %; where the true change was none, p fell below 0.05 in 2
to 7 % of studies.

At 50 trials and an EER of 2 %, which is one error in each class, the interval holds the truth more often
than it says (97 to 100 %), but that of Cllr less often (86 to 89 %), since rare high costs dominate it. The change of
an AUC of 50 trials in few groups is a little too narrow (88 %). A test set says nothing of kinds of speech that are not
in it, whatever the interval.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import bootstrap, limits, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap, SortedScores, Strata

if TYPE_CHECKING:
    from pandas import DataFrame

#: Every metric that has an interval; "far", "frr" and "hter" need a threshold.
METRICS = bootstrap.NAMES
#: What `paired_differences` compares unless told otherwise.
COMPARED = ("eer", "auc", "min_dcf")
#: Columns whose values tie clips together, closest first; `groups_of` takes the first that is complete.
TIES = ("sentence", "speaker")

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
    """Return one metric with its interval: `intervals` of one name, with its options."""
    return intervals(labels, scores, names=(metric,), **options)[metric]


def intervals(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    threshold: float | None = None,
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
    resamples : int
        Number of resamples, at least 100.
    level : float
        Coverage that is aimed at, strictly between 0 and 1.
    seed : int
        The same seed and trials give the same intervals, on however many cores.

    Raises
    ------
    DataError
        Trials that `metrics` refuses; ``groups`` of another length, with a missing value, or fewer than two of
        every kind.
    """
    names = tuple(names or (name for name in METRICS if threshold is not None or name not in AT_THRESHOLD))
    _check(names, threshold, resamples, level)
    labels, scores = metrics.validate(labels, scores)
    boot = Bootstrap(labels, [scores], names=names, groups=groups, threshold=threshold, resamples=resamples, seed=seed)
    found = {}
    for number, name in enumerate(names):
        value, draws = float(boot.observed[0, number]), boot.draws[:, 0, number]
        found[name] = Interval(value, *limits.of_metric(name, value, draws, boot.strata, level))
    return found


def evaluate(labels: ArrayLike, scores: ArrayLike, *, threshold: float | None = None, **options) -> dict:
    """Return `metrics.evaluate`, and the interval of each metric as ``<metric>_ci``: plain numbers for JSON.

    Options are those of `intervals`: groups, resamples, level, seed.
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
    threshold: float | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    **options,
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
    names, threshold, level, resamples, **options
        Of `intervals`, with ``groups`` and ``seed``.

    Returns
    -------
    dict of Difference
        ``before``, ``after``, ``delta = after - before``, its ``low`` and ``high``, and ``p``, two-sided: Student's t
        of the interval's centre over its standard error, so that p is below 0.05 where the 95 % interval leaves out 0.
        A negative delta is an improvement for everything but "auc".
    """
    names = tuple(names)
    _check(names, threshold, resamples, level)
    before, after = _rows(labels, before), _rows(labels, after)
    labels, _ = metrics.validate(labels, before[0])
    boot = Bootstrap(labels, [*before, *after], names=names, threshold=threshold, resamples=resamples, **options)
    same = len(before) == len(after) and all(_same_order(*pair) for pair in zip(before, after, strict=True))
    split = len(before)
    found = {}
    for number, name in enumerate(names):
        observed, draws = boot.observed[:, number], boot.draws[:, :, number]
        old, new = float(observed[:split].mean()), float(observed[split:].mean())
        changes = draws[:, split:].mean(axis=1) - draws[:, :split].mean(axis=1)
        low, high, p = limits.of_change(name, new - old, changes, boot.strata, level)
        if np.ptp(draws, axis=0).max() < 1e-12 and not same:
            ends = [limits.without_spread(name, value, boot.strata, level) for value in (old, new)]
            low, high = ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]
        found[name] = Difference(old, new, new - old, min(low, new - old), max(high, new - old), p)
    return found


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p-values (k,) adjusted for their number by Holm's method (1979), in their order.

    Each is compared as if it were the smallest of those that are left; rejecting where the adjusted value is below
    0.05 keeps the chance of any false rejection in the family below 0.05, however the tests depend on each other.
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
    the resamples, moved outwards as far as Student's t and n / (n - 1) move those of a metric (Hesterberg, 2015). As
    a ROC, plot ``far`` against ``1 - frr_high`` and ``1 - frr_low``.

    The band is pointwise: at one FAR chosen beforehand a 95 % band held the true FRR in 91 to 98 % of simulated
    studies, the whole curve less often. Where the FAR allows one spoof trial at most it held it in 85 %.

    Parameters
    ----------
    labels, scores, groups, resamples, level, seed
        As in `intervals`.
    far : array_like, shape (k,), optional
        Shares; by default 121 points from 0.0005 to 0.9995, evenly spaced as normal deviates, as a DET plot's axis is.
    """
    from scipy.special import ndtr, ndtri

    _check((), None, resamples, level)
    labels, scores = metrics.validate(labels, scores)
    far = ndtr(np.linspace(ndtri(0.0005), ndtri(0.9995), 121)) if far is None else np.asarray(far, dtype=np.float64)
    if far.ndim != 1 or not np.all((far >= 0) & (far <= 1)):
        raise ParameterError(f"far={far}: must be a row of shares from 0 to 1")
    strata = Strata(labels, groups)
    ranked = SortedScores(strata, scores)
    draws = strata.resample(lambda drawn: ranked.frr_at_far(drawn, far), resamples=resamples, seed=seed)
    observed = ranked.frr_at_far(np.ones((1, strata.units), dtype=np.uint8), far)[0]
    times, widening, _ = limits.student(strata, level)
    outer = float(ndtr(-times * widening))
    low, high = np.quantile(draws, [outer, 1 - outer], axis=0)
    for place in np.flatnonzero(np.ptp(draws, axis=0) == 0):
        low[place], high[place] = limits.without_spread("frr", float(observed[place]), strata, level)
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
        - the name of any other column. A `DataError` where there is none, or a row has no value in it.
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


def _rows(labels: ArrayLike, scores: ArrayLike) -> list[np.ndarray]:
    """Return the scores of each seed, checked; one row for a single system."""
    several = isinstance(scores, np.ndarray) and scores.ndim == 2 and len(scores)
    return [metrics.validate(labels, row)[1] for row in (scores if several else [scores])]


def _same_order(first: np.ndarray, second: np.ndarray) -> bool:
    places = (np.unique(scores, return_inverse=True)[1] for scores in (first, second))
    return np.array_equal(*places)


def _complete(table: "DataFrame", name: str) -> bool:
    return name in table and bool((table[name].notna() & (table[name].astype(str) != "")).all())


def _check(names: Sequence[str], threshold: float | None, resamples: int, level: float) -> None:
    for name in names:
        if name not in METRICS:
            raise ParameterError(f"metric={name!r}: must be one of {', '.join(METRICS)}")
        if name in AT_THRESHOLD and threshold is None:
            raise ParameterError(f"metric={name!r}: needs a threshold")
    if threshold is not None and np.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")
    if resamples < 100:
        raise ParameterError(f"resamples={resamples}: must be at least 100")
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")
