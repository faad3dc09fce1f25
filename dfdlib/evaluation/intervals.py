"""How far a metric may move on another test set of the same kind.

Every interval comes from the bootstrap (Efron and Tibshirani, 1993): the test set is drawn again with replacement
``resamples`` times, as `bootstrap` describes, and each metric is taken each time. Clips of one speaker or sentence
resemble one another, so an interval by clip is too narrow where either is known; `units` chooses what is drawn.
`limits` says how draws become the ends of an interval, `exchange` how changes of few errors are judged.

How often intervals hold the truth
----------------------------------
Share of 300 simulated studies whose 95 % interval held the truth, at true EERs of 0.5, 6 and 30 %, by
`tests/benchmarks/bench_coverage.py`: independent clips of each class; speakers that share 30 % of the variance within
a class, sentences that share 40 %, both in the demo's three corpora and where 10 speakers say 21 sentences each. The
truth is that of new voices and sentences.

======================  ==================  ==================  ==================
percent                 EER                 AUC                 change of the EER
======================  ==================  ==================  ==================
60 clips                93.7 / 96.0 / 96.3  99.7 / 96.3 / 98.0  100 / 99.0 / 95.7
212 clips               97.3 / 95.3 / 96.3  99.7 / 96.3 / 97.3  100 / 92.7 / 94.0
544 clips               96.3 / 94.7 / 94.7  96.3 / 96.7 / 95.0  99.0 / 94.7 / 94.7
5 speakers              100 / 97.3 / 97.0   100 / 98.0 / 97.7   100 / 98.7 / 96.7
10 speakers             99.7 / 95.0 / 96.0  99.7 / 97.0 / 96.7  100 / 94.7 / 95.0
30 speakers             98.7 / 95.7 / 94.7  99.7 / 97.0 / 98.7  100 / 93.7 / 95.0
23 equal sentences      99.7 / 96.0 / 97.0  99.7 / 97.0 / 95.7  100 / 95.7 / 94.7
23 unequal sentences    100 / 100 / 98.3    100 / 100 / 97.7    100 / 99.7 / 99.0
10 by 21 sentences      98.7 / 94.0 / 96.7  99.3 / 97.3 / 96.0  100 / 94.7 / 94.7
source                  99.7 / 94.7 / 93.7  99.7 / 95.3 / 93.3  100 / 94.0 / 94.7
for-2seconds            99.0 / 94.7 / 93.0  99.3 / 97.0 / 92.3  100 / 94.3 / 92.7
custom                  100 / 97.3 / 98.3   100 / 98.7 / 99.0   100 / 98.7 / 98.0
======================  ==================  ==================  ==================

At an EER of 0.5 % most of these test sets have about one error in a class. So few cannot show a change, whatever the
test: the smallest p of the `exchange` of three clips is 0.25, and their intervals hold the truth. There, and where one
unit has nearly half of the clips (the 23 unequal sentences), intervals are wider than they need be. Plain percentiles
of the resamples, BCa and DeLong's interval held the truth of small test sets in 24 to 96 % of studies. The interval of
Cllr is a little too narrow with few trials (86 to 89 % at 50 trials and an EER of 2 %), since rare high costs dominate
it. A test set says nothing of kinds of speech that are not in it, whatever the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import ParameterError
from dfdlib.evaluation import bootstrap, exchange, limits, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap, SortedScores
from dfdlib.evaluation.drawing import Strata, less_cells
from dfdlib.evaluation.units import Units

#: Every metric that has an interval; "far", "frr" and "hter" need a threshold.
METRICS = bootstrap.NAMES
#: What `paired_differences` compares unless told otherwise.
COMPARED = ("eer", "auc", "min_dcf")


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


@dataclass(frozen=True, eq=False)
class Change:
    """A metric of two systems on the same clips, observed and resampled, before an interval is made of it.

    Attributes
    ----------
    name : str
    before, after : ndarray, shape (seeds,)
        Of each row of scores.
    draws : ndarray, shape (sets, resamples, seeds)
        Of the change of each seed, as `Strata.resample` has them.
    exchanged : ndarray, shape (resamples, seeds), or None
        The changes by `exchange`, where it is needed.
    strata : Strata
    scores : ndarray, shape (n,)
    """

    name: str
    before: np.ndarray
    after: np.ndarray
    draws: np.ndarray
    exchanged: np.ndarray | None
    strata: Strata
    scores: np.ndarray

    def by_seed(self) -> "list[Change]":
        """Return the change of each seed, from the mean before where the systems do not have as many."""
        before = self.before if len(self.before) == len(self.after) else np.full(len(self.after), self.before.mean())
        each = [slice(number, number + 1) for number in range(len(self.after))]
        return [
            replace(
                self, before=before[one], after=self.after[one], draws=self.draws[..., one],
                exchanged=None if self.exchanged is None else self.exchanged[:, one],
            )
            for one in each
        ]  # fmt: skip

    def at(self, level: float = 0.95, *, other_seeds: bool = True) -> Difference:
        """Return the change with its interval; without `other_seeds`, of these very trainings on other clips."""
        _check((self.name,), (), None, self.draws.shape[1], level)
        old, new = self.before, self.after
        delta, others = float(new.mean() - old.mean()), []
        if other_seeds:
            others = of_seeds(new - old) if len(new) == len(old) else [*of_seeds(old), *of_seeds(new)]
        draws = self.draws.mean(axis=-1)
        if self.exchanged is not None:
            _, least = limits.without_spread(self.name, 0.0, self.strata, self.scores, level)
            given = (delta, draws, self.exchanged.mean(axis=-1), self.strata, level)
            low, high, p = limits.of_few_errors(*given, least=least, others=others)
        else:
            low, high, p = limits.of_change(self.name, delta, draws, self.strata, level, others=others)
        if self.name not in ("act_dcf", "cllr"):
            low, high = max(-1.0, low), min(1.0, high)
        return Difference(float(old.mean()), float(new.mean()), delta, low, high, p)


class Band(NamedTuple):
    """Where a DET or ROC curve may run: at each FAR the interval of the FRR, all (k,)."""

    far: np.ndarray
    frr_low: np.ndarray
    frr_high: np.ndarray


def interval(labels: ArrayLike, scores: ArrayLike, *, metric: str = "eer", **options) -> Interval:
    """Return one metric with its interval: `intervals` of one name, with its options."""
    return intervals(labels, scores, names=(metric,), **options)[metric]


def intervals(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    groups: Units | ArrayLike | None = None,
    threshold: float | None = None,
    attacks: ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return metrics with their intervals, all from the same resamples.

    Parameters
    ----------
    labels : array_like, shape (n,)
        1 for bona fide, 0 for spoof.
    scores : array_like, shape (n,) or ndarray, shape (seeds, n)
        A higher score means bona fide. With several rows, as from trainings with several seeds, a metric is the mean
        over the rows, and the interval holds what other clips and what other seeds would change.
    names : sequence of str, optional
        Of `METRICS`; by default all that ``threshold`` and ``attacks`` allow.
    groups : Units or array_like, shape (n,), optional
        What is drawn together, from `units.of`, or the group of each trial. None draws by clip.
    threshold : float, optional
        A threshold that was fixed on other data, for "far", "frr" and "hter". The interval takes it as it is; `carried`
        does not.
    attacks : array_like of str, shape (n,), optional
        The attack of each spoof, for "macro_eer": the mean over the attacks of the EER of each against all bona fide
        trials. What bona fide rows say is ignored.
    resamples : int
        Number of resamples, at least 100 and 1 / (1 - level).
    level : float
        Coverage that is aimed at, strictly between 0 and 1.
    seed : int
        The same seed and trials give the same intervals, on however many cores.

    Raises
    ------
    DataError
        Trials that `metrics` refuses; ``groups`` of another length, with a missing value, or one group in a class.
    """
    without = (*(AT_THRESHOLD if threshold is None else ()), *(("macro_eer",) if attacks is None else ()))
    names = tuple(names or (name for name in METRICS if name not in without))
    _check(names, without, threshold, resamples, level)
    rows = rows_of(labels, scores)
    labels, _ = metrics.validate(labels, rows[0])
    boot = Bootstrap(
        labels, rows, names=names, groups=groups, threshold=threshold, attacks=_texts(attacks), resamples=resamples,
        seed=seed,
    )  # fmt: skip
    found = {}
    for number, name in enumerate(names):
        each, draws = boot.observed[:, number], boot.draws[..., number].mean(axis=-1)
        value, others = float(each.mean()), lambda there, each=each: of_seeds(there(each))
        ends = limits.of_metric(name, value, draws, boot.strata, rows[0], level, others=others)
        found[name] = Interval(value, *ends)
    return found


def evaluate(labels: ArrayLike, scores: ArrayLike, *, threshold: float | None = None, **options) -> dict:
    """Return `metrics.evaluate`, and the interval of each metric as ``<metric>_ci``: plain numbers for JSON.

    Options are those of `intervals`: groups, attacks, resamples, level, seed. With attacks there is ``macro_eer`` too.
    """
    each = [metrics.evaluate(labels, row, threshold=threshold) for row in rows_of(labels, scores)]
    values = {
        name: value if isinstance(value, int) else float(np.mean([one[name] for one in each]))
        for name, value in each[0].items()
    }
    names = [name for name in METRICS if name in values]
    if options.get("attacks") is not None:
        names.append("macro_eer")
    for name, found in intervals(labels, scores, names=names, threshold=threshold, **options).items():
        values.setdefault(name, found.value)
        values[f"{name}_ci"] = [found.low, found.high]
    return values


def paired_differences(
    labels: ArrayLike, before: ArrayLike, after: ArrayLike, *, level: float = 0.95, **options
) -> dict[str, Difference]:
    """Return how much metrics changed between two systems on the same clips, with intervals and p-values.

    Options are those of `changes`; ``level`` is that of `intervals`.

    Returns
    -------
    dict of Difference
        ``before``, ``after``, ``delta = after - before``, its ``low`` and ``high``, and ``p``, two-sided and never 0:
        below 0.05 where the 95 % interval leaves out 0, and only there. Where a system makes fewer than five errors in
        a class, what ranks decide has to pass the `exchange` test as well. Less is better for all but "auc".
    """
    _check((), (), None, options.get("resamples", 1000), level)
    return {name: change.at(level) for name, change in changes(labels, before, after, **options).items()}


def changes(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    names: Sequence[str] = COMPARED,
    threshold: float | None = None,
    attacks: ArrayLike | None = None,
    resamples: int = 1000,
    **options,
) -> dict[str, Change]:
    """Return how much metrics changed between two systems on the same clips, for intervals of any level.

    Both systems see the same resamples of the same clips, so what makes a clip hard for both cancels out.

    Parameters
    ----------
    labels : array_like, shape (n,)
        1 for bona fide, 0 for spoof.
    before, after : array_like, shape (n,) or ndarray, shape (seeds, n)
        Scores of the two systems on the same clips in the same order. With several rows, as from several seeds, a
        metric is the mean over the rows, and the interval holds what other clips and other seeds would change. As many
        rows of both are pairs of the same seed.
    names, threshold, attacks, resamples, **options
        Of `intervals`, with ``groups`` and ``seed``.
    """
    names = tuple(names)
    without = (*(AT_THRESHOLD if threshold is None else ()), *(("macro_eer",) if attacks is None else ()))
    _check(names, without, threshold, resamples, 0.95)
    before, after = rows_of(labels, before), rows_of(labels, after)
    labels, _ = metrics.validate(labels, before[0])
    attacks, split = _texts(attacks), len(before)
    boot = Bootstrap(
        labels, [*before, *after], names=names, threshold=threshold, attacks=attacks, resamples=resamples, **options
    )
    exchanged = _exchanged(boot.strata, before, after, names, attacks, resamples, options.get("seed", 0))
    found = {}
    for number, name in enumerate(names):
        draws, observed = boot.draws[..., number], boot.observed[:, number]
        old = draws[..., :split]
        moved = draws[..., split:] - (old if len(before) == len(after) else old.mean(axis=-1, keepdims=True))
        given = (observed[:split], observed[split:], moved, exchanged.get(name), boot.strata, before[0])
        found[name] = Change(name, *given)
    return found


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
    from scipy.special import ndtr, ndtri, stdtrit

    _check((), (), None, resamples, level)
    labels, scores = metrics.validate(labels, scores)
    far = ndtr(np.linspace(ndtri(0.0005), ndtri(0.9995), 121)) if far is None else np.asarray(far, dtype=np.float64)
    if far.ndim != 1 or not np.all((far >= 0) & (far <= 1)):
        raise ParameterError(f"far={far}: must be a row of shares from 0 to 1")
    strata = Strata(labels, groups)
    ranked = SortedScores(strata, scores)
    draws = strata.resample(lambda drawn: ranked.frr_at_far(drawn, far), resamples=resamples, seed=seed)
    observed = ranked.frr_at_far(np.ones((1, strata.cells), dtype=np.uint8), far)[0]
    # How far each set moves the ends, squared: combined as variances are.
    below, above = [], []
    for one, (widening, freedom) in zip(draws, [*limits.student(strata), (1.0, np.inf)], strict=False):
        outer = float(ndtr(-stdtrit(freedom, 0.5 + level / 2) * widening))
        ends = np.quantile(one, [outer, 1 - outer], axis=0)
        below.append(np.maximum(observed - ends[0], 0) ** 2)
        above.append(np.maximum(ends[1] - observed, 0) ** 2)
    low = observed - np.sqrt(less_cells(below[:2], below[-1]))
    high = observed + np.sqrt(less_cells(above[:2], above[-1]))
    for place in np.flatnonzero(np.ptp(draws, axis=(0, 1)) == 0):
        low[place], high[place] = limits.without_spread("frr", float(observed[place]), strata, scores, level)
    low, high = np.clip(low, 0, observed), np.clip(high, observed, 1)
    # A curve never rises with the FAR, so neither do its limits.
    order = np.argsort(far)
    low[order], high[order] = np.minimum.accumulate(low[order]), np.maximum.accumulate(high[order][::-1])[::-1]
    return Band(far, low, high)


def _exchanged(strata: Strata, before, after, names, attacks, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Return the changes (resamples, seeds) by exchange of each metric for which a system makes few errors."""
    ranked = [name for name in names if name in exchange.BY_RANK]
    few = {
        macro: exchange.has_few_errors(strata.labels, [*before, *after], attacks if macro else None)
        for macro in {name == "macro_eer" for name in ranked}
    }
    ranked = [name for name in ranked if few[name == "macro_eer"]]
    if not ranked:
        return {}
    several = math.lcm(len(before), len(after))
    pair = (np.repeat(rows, several // len(rows), axis=0) for rows in (before, after))
    draws = exchange.changes(strata, *pair, names=ranked, attacks=attacks, resamples=resamples, seed=seed)
    each = draws.reshape(resamples, len(ranked), len(after), -1).mean(axis=-1)
    return {name: each[:, number] for number, name in enumerate(ranked)}


def rows_of(labels: ArrayLike, scores: ArrayLike) -> list[np.ndarray]:
    """Return the scores of each seed, checked; one row for a single system."""
    several = isinstance(scores, np.ndarray) and scores.ndim == 2 and len(scores)
    return [metrics.validate(labels, row)[1] for row in (scores if several else [scores])]


def _texts(attacks: ArrayLike | None) -> np.ndarray | None:
    return None if attacks is None else np.asarray(attacks, dtype=object).astype(str)


def of_seeds(values: np.ndarray) -> list[limits.Spread]:
    """Return what other seeds would change in the mean of values (seeds,); nothing is known from one."""
    return [limits.Spread(float(np.var(values, ddof=1)) / values.size, values.size - 1)] if values.size > 1 else []


def _check(names: Sequence[str], without: Sequence[str], threshold: float | None, resamples: int, level: float) -> None:
    for name in names:
        if name not in METRICS:
            raise ParameterError(f"metric={name!r}: must be one of {', '.join(METRICS)}")
        if name in without:
            raise ParameterError(f"metric={name!r}: needs {'attacks' if name == 'macro_eer' else 'a threshold'}")
    if threshold is not None and np.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")
    # p is never below 1 / (resamples + 1), which must be able to fall below the risk.
    fewest = max(100, math.ceil(1 / (1 - level) - 1e-9))
    if resamples < fewest:
        raise ParameterError(f"resamples={resamples}: must be at least {fewest} for intervals of {100 * level:g} %")
