"""The ends of an interval, from the draws of a bootstrap.

A normal interval on a scale on which the metric's spread is steady: the arcsine root for error rates, log-odds
for the AUC, ``log(cost + 2 / trials of the smaller class)`` for costs, the logarithm for Cllr. Its centre is the
metric less the bias that the resamples show; its reach is Student's t times their standard deviation, widened by
the root of n / (n - 1), where n counts the units of each kind (Satterthwaite's degrees of freedom over kinds).
`min_dcf` and `min_cllr` are fitted to the test set. Their optimism grows with the 4/3rd power of the noise, as the
maximum of a random walk with parabolic drift does; a resample, whose noise is the root of two times as strong,
shows 2^(2/3) - 1 = 59 % of it, and the correction is enlarged accordingly. How far that correction may itself be
wrong is added to the variance of `min_dcf`, as 0.15 of its square, a share found by simulation.

The interval holds the metric itself, and a detector without an error on the test set gets an interval
that is as wide as its units allow: no failure among n has an upper limit of ``1 - ((1 - level) / 2)**(1 / n)``
(Clopper and Pearson, 1934; about 3.7 / n at 95 %).
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Strata

_RATES = ("eer", "eer_interpolated", "eer_convex_hull", *AT_THRESHOLD)
# Metrics fitted to the test set, and the share of the squared correction that is added to their variance.
_FITTED = {"min_dcf": 0.15, "min_cllr": 0.0}
_OPTIMISM = 1 / (2 ** (2 / 3) - 1)


def of_metric(name: str, value: float, draws: np.ndarray, strata: Strata, level: float) -> tuple[float, float]:
    """Return the interval of a metric with the observed value, from its draws (resamples,)."""
    if np.ptp(draws) < 1e-12:
        return without_spread(name, value, strata, level)
    there, back = _scale(name, strata)
    scaled, centre = there(draws), float(there(value))
    correction = (float(np.mean(scaled)) - centre) * (_OPTIMISM if name in _FITTED else 1.0)
    spread = math.sqrt(float(np.var(scaled, ddof=1)) + _FITTED.get(name, 0.0) * correction**2)
    times, widening, _ = student(strata, level)
    reach = times * widening * spread
    low, high = float(back(centre - correction - reach)), float(back(centre - correction + reach))
    return min(low, value), max(high, value)


def of_change(name: str, delta: float, draws: np.ndarray, strata: Strata, level: float) -> tuple[float, float, float]:
    """Return the interval of a change from its draws (resamples,), on the plain scale, and p for no change.

    The bias is removed from equal error rates alone: ties among the trials of a resample shift them, while other
    biases are alike in both systems and cancel.
    """
    from scipy.special import stdtr

    centre = delta - (float(np.mean(draws)) - delta) if name.startswith("eer") else delta
    times, widening, freedom = student(strata, level)
    error = float(np.std(draws, ddof=1)) * widening
    p = float(2 * stdtr(freedom, -abs(centre / error))) if error > 1e-12 else float(abs(delta) < 1e-12)
    return centre - error * times, centre + error * times, p


def _scale(name: str, strata: Strata):
    """Return the map onto the scale that a metric's interval is made on, and the way back."""
    bonafide = int(np.sum(strata.labels == metrics.BONAFIDE))
    spoof = strata.labels.size - bonafide
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


def student(strata: Strata, level: float) -> tuple[float, float, float]:
    """Return Student's t, how much wider a bootstrap's standard deviation ought to be, and its degrees of freedom."""
    from scipy.special import stdtrit

    several = strata.sizes > 1
    freedom, widening = 1.0, 1.0
    if several.any():
        size, variance = strata.sizes[several], strata.variance[several]
        freedom = float(variance.sum() ** 2 / (variance**2 / (size - 1)).sum())
        widening = math.sqrt((variance * size / (size - 1)).sum() / variance.sum())
    return float(stdtrit(freedom, 0.5 + level / 2)), widening, freedom


def without_spread(name: str, value: float, strata: Strata, level: float) -> tuple[float, float]:
    """Return the interval of a metric that no resample changes: no error, or nothing but errors."""
    real = strata.labels == metrics.BONAFIDE
    # The upper Clopper–Pearson limits of rates that were 0 among so many units.
    miss, accept = (1 - ((1 - level) / 2) ** (1 / np.unique(strata.member[which]).size) for which in (real, ~real))
    either = max(miss, accept)
    dcf = max(metrics.detection_cost(accept, 0.0), metrics.detection_cost(0.0, miss))
    # One of the two rates alone for the HTER; two blocks, each with half of the errors of the other class, for minCllr.
    entropy = -sum(part * math.log2(part) for part in (either / 2, 1 - either / 2) if part > 0)
    own = {"frr": miss, "far": accept, "hter": either / 2, "min_dcf": dcf, "act_dcf": dcf, "min_cllr": entropy}
    reach = 0.0 if name == "cllr" else own.get(name, either)
    if name not in ("act_dcf", "hter", "min_dcf", "min_cllr") and value not in (0.0, 1.0):
        return value, value  # every score ties
    return max(0.0, value - reach), (value + reach if name == "act_dcf" else min(1.0, value + reach))


def wilson(share: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's (1927) interval of shares (k,) of so many independent trials (k,): its lower and upper ends."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At 0 and 1 the limit is the share itself, but for rounding.
    return np.clip(np.minimum(centre - reach, share), 0, 1), np.clip(np.maximum(centre + reach, share), 0, 1)
