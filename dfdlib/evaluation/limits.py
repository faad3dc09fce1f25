"""The ends of an interval, from the draws of a bootstrap.

A normal interval on a scale on which the metric's spread is steady: the arcsine root for error rates, log-odds
for the AUC, ``log(cost + 2 / trials of the smaller class)`` for costs, the logarithm for Cllr. Its centre is the
metric less the bias that the resamples show; its reach is Student's t times their standard deviation, widened by
the root of n / (n - 1), where n is the effective number of units of each kind. Of two kinds, as speakers and sentences,
the variance is V(speakers) + V(sentences) - V(both at once), with Satterthwaite's degrees of freedom, since the first
two both hold the noise of single clips (Cameron, Gelbach and Miller, 2011); never less than the larger of the two.
`min_dcf` and `min_cllr` are fitted to the test set. Their optimism grows with the 4/3rd power of the noise, as the
maximum of a random walk with parabolic drift does; a resample, whose noise is the root of two times as strong,
shows 2^(2/3) - 1 = 59 % of it, and the correction is enlarged accordingly. How far that correction may itself be
wrong is added to the variance of `min_dcf`, as 0.15 of its square, a share found by simulation.

The interval holds the metric itself, and a detector without an error on the test set gets an interval
that is as wide as its units allow: no failure among n has an upper limit of ``1 - ((1 - level) / 2)**(1 / n)``
(Clopper and Pearson, 1934; about 3.7 / n at 95 %).
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD
from dfdlib.evaluation.drawing import Strata, less_cells

_RATES = ("eer", "macro_eer", *AT_THRESHOLD)
# Metrics fitted to the test set, and the share of the squared correction that is added to their variance.
_FITTED = {"min_dcf": 0.15, "min_cllr": 0.0}
_OPTIMISM = 1 / (2 ** (2 / 3) - 1)
# Bits below which a Cllr counts as this, since 0 has no logarithm.
_LEAST = 1e-6


class Spread(NamedTuple):
    """A source of spread, as clips or seeds: a variance, on the scale of the interval, and its degrees of freedom."""

    variance: float
    freedom: float


def of_metric(
    name: str,
    value: float,
    draws: np.ndarray,
    strata: Strata,
    scores: np.ndarray,
    level: float,
    *,
    others: Callable[[Callable], Sequence[Spread]] = lambda there: (),
) -> tuple[float, float]:
    """Return the interval of a metric with the observed value on scores (n,), from its draws (sets, resamples).

    ``others`` gives further sources of spread on a scale, whose map it is called with.
    """
    there, back = scale(name, strata)
    centre, found = float(there(value)), list(others(there))
    if np.ptp(draws) < 1e-12:
        low, high = without_spread(name, value, strata, scores, level)
        far = reach(found, level)
        return min(low, float(back(centre - far)), value), max(high, float(back(centre + far)), value)
    scaled = there(draws)
    correction = _bias(scaled, centre) * (_OPTIMISM if name in _FITTED else 1.0)
    far = reach([own(scaled, strata, more=_FITTED.get(name, 0.0) * correction**2), *found], level)
    low, high = float(back(centre - correction - far)), float(back(centre - correction + far))
    return min(low, value), max(high, value)


def of_change(
    name: str, delta: float, draws: np.ndarray, strata: Strata, level: float, *, others: Sequence[Spread] = ()
) -> tuple[float, float, float]:
    """Return the interval of a change from its draws (sets, resamples), on the plain scale, and p for no change.

    The bias is removed from equal error rates alone: ties among the trials of a resample shift them, while other
    biases are alike in both systems and cancel. p is never below 1 in the number of resamples and 1.
    """
    from scipy.special import stdtr

    centre = delta - _bias(draws, delta) if name.startswith(("eer", "macro")) else delta
    sources = [own(draws, strata), *others]
    error, freedom = _combined(sources)
    far = reach(sources, level)
    centre = float(np.clip(centre, delta - far, delta + far))  # the interval holds the change itself
    p = float(2 * stdtr(freedom, -abs(centre / error))) if error > 1e-12 else float(abs(delta) < 1e-12)
    return centre - far, centre + far, max(p, 1 / (draws.shape[1] + 1))


def own(draws: np.ndarray, strata: Strata, *, more: float = 0.0) -> Spread:
    """Return what other units than those of strata would change, from draws (sets, resamples) of `Strata.resample`.

    `more` is added to the variance of each set.
    """
    variances = np.var(draws, axis=1, ddof=1) + more
    kinds = [Spread(float(variance) * widening**2, freedom)
             for variance, (widening, freedom) in zip(variances, student(strata), strict=False)]  # fmt: skip
    if len(kinds) == 1:
        return kinds[0]
    _, freedom = _combined(kinds)
    return Spread(float(less_cells([kind.variance for kind in kinds], variances[-1])), freedom)


def _bias(draws: np.ndarray, observed: float) -> float:
    """Return how far draws (sets, resamples) lie above what was observed; of three sets, of the first two less both."""
    above = np.mean(draws, axis=1) - observed
    return float(above[0] if above.size == 1 else above[0] + above[1] - above[2])


def _combined(sources: Sequence[Spread]) -> tuple[float, float]:
    """Return the standard error of several sources of spread together, and its degrees of freedom (Satterthwaite)."""
    total = sum(source.variance for source in sources)
    if total <= 0:
        return 0.0, 1.0
    return math.sqrt(total), total**2 / sum(source.variance**2 / source.freedom for source in sources)


def reach(sources: Sequence[Spread], level: float) -> float:
    """Return how far an interval of a level reaches from its centre, given all sources of spread."""
    from scipy.special import stdtrit

    error, freedom = _combined(sources)
    return float(stdtrit(freedom, 0.5 + level / 2)) * error


def of_few_errors(
    delta: float,
    draws: np.ndarray,
    exchanged: np.ndarray,
    strata: Strata,
    level: float,
    *,
    least: float,
    others: Sequence[Spread] = (),
) -> tuple[float, float, float]:
    """Return the interval of a change and p, from its draws (sets, resamples) and its exchanges (resamples,).

    Both procedures have to rule out no change, so the interval reaches as far as the farther one and p is the larger.
    ``least`` is how far it reaches where nothing moves.
    """
    low, high, p = of_change("", delta, draws, strata, level, others=others)
    size = np.sort(np.abs(exchanged))[::-1]
    p = max(p, (1 + int(np.sum(size >= abs(delta) - 1e-12))) / (size.size + 1))
    beyond = math.ceil((1 - level) * (size.size + 1) - 1e-9) - 2
    far = max((high - low) / 2, float(size[beyond]) if beyond >= 0 else 1.0)
    return (delta - far, delta + far, p) if far > 1e-12 else (delta - least, delta + least, 1.0)


def scale(name: str, strata: Strata):
    """Return the map onto the scale that a metric's interval is made on, and the way back."""
    from scipy.special import ndtr, ndtri

    bonafide = int(np.sum(strata.labels == metrics.BONAFIDE))
    spoof = strata.labels.size - bonafide
    if name in _RATES:
        half = 0.5 / min(bonafide, spoof)  # half a trial, so that no errors have a place on the scale
        return (lambda x: ndtri((np.clip(x, 0, 1) + half) / (1 + 2 * half))), (
            lambda y: np.clip((1 + 2 * half) * ndtr(y) - half, 0, 1)
        )
    if name == "auc":
        half = 0.5 / (bonafide * spoof)  # half a pair, so that a perfect order has a place on the scale
        return (lambda x: np.log((x + half) / (1 - x + half))), (
            lambda y: np.clip((1 + 2 * half) / (1 + np.exp(-y)) - half, 0, 1)
        )
    if name == "cllr":
        return (lambda x: np.log(np.maximum(x, _LEAST))), np.exp
    least, most = 2 / min(bonafide, spoof), math.inf if name == "act_dcf" else 1
    return (lambda x: np.log(np.maximum(x, 0) + least)), (lambda y: np.clip(np.exp(y) - least, 0, most))


def student(strata: Strata) -> list[tuple[float, float]]:
    """Return for each kind of unit how much wider a standard deviation ought to be, and its degrees of freedom.

    Classes that are drawn apart add to each other's freedom; units that are drawn once for both do not.
    """
    found = []
    for classes in np.array([kind.effective for kind in strata.kinds]).reshape(-1, 2):
        effective = classes.min(keepdims=True) if strata.grouped else classes[classes > 1 + 1e-9]
        variance = 1 / effective
        if not effective.size or effective[0] <= 1 + 1e-9:
            found.append((1.0, 1.0))
            continue
        freedom = float(variance.sum() ** 2 / (variance**2 / (effective - 1)).sum())
        found.append((math.sqrt(variance.sum() / (variance * (1 - variance)).sum()), freedom))
    return found


def without_spread(name: str, value: float, strata: Strata, scores: np.ndarray, level: float) -> tuple[float, float]:
    """Return the interval of a metric that no resample changes: no error, or nothing but errors."""
    # The upper Clopper–Pearson limits of rates that were 0 among so many independent trials of each class.
    miss, accept = (1 - ((1 - level) / 2) ** (1 / trials) for trials in strata.worth(scores))
    either = max(miss, accept)
    dcf = max(metrics.detection_cost(accept, 0.0), metrics.detection_cost(0.0, miss))
    # One of the two rates alone for the HTER; two blocks, each with half of the errors of the other class, for minCllr.
    entropy = -sum(part * math.log2(part) for part in (either / 2, 1 - either / 2) if part > 0)
    reaches = {"frr": miss, "far": accept, "hter": either / 2, "min_dcf": dcf, "act_dcf": dcf, "min_cllr": entropy}
    far = 0.0 if name == "cllr" else reaches.get(name, either)
    if name not in ("act_dcf", "hter", "min_dcf", "min_cllr") and value not in (0.0, 1.0):
        return value, value  # every score ties
    return max(0.0, value - far), (value + far if name == "act_dcf" else min(1.0, value + far))


def wilson(share: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's (1927) interval of shares (k,) of so many independent trials (k,): its lower and upper ends."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At 0 and 1 the limit is the share itself, but for rounding.
    return np.clip(np.minimum(centre - reach, share), 0, 1), np.clip(np.maximum(centre + reach, share), 0, 1)
