"""What a score means: from scores to log-likelihood ratios, probabilities, and a threshold that stays.

A detector's score only ranks clips. A calibration is a rising map from scores to natural-log likelihood ratios (LLRs),
fitted on validation trials alone and then carried, unchanged, to every other corpus. An LLR of 2 says that bona fide
clips get such a score e^2 = 7.4 times as often as spoofs do; with a prior it becomes a `probability`. The threshold is
the EER threshold of the validation trials, and is carried with it.

Method
------
``llr = slope * score + intercept`` by logistic regression in which both classes weigh one half, however many trials
they have (Brümmer and du Preez, 2006; BOSARIS, 2011): the quantity that is minimised is Cllr itself. No
regularisation where the classes overlap. Where a threshold separates them the best slope would be infinite; then the
targets are those of Platt (1999), (n + 1) / (n + 2) instead of 1 and 1 / (n + 2) instead of 0 for a class of n
trials, which gives the same map however the scores are scaled. The slope is never negative: where the scores do not
rank bona fide clips above spoofs, every LLR is 0.

No LLR is beyond what so many validation trials can support (`evidence.bounds`): a map that was fitted to a few
hundred clips cannot know that some score is a million times as frequent in one class.

`shift.shift_warnings` says when a corpus does not look like what the calibration was fitted on; then LLRs are not to be
trusted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import evidence, limits, metrics
from dfdlib.evaluation.trials import finite
from dfdlib.text import thousands

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: Trials of each class that a calibration needs at least.
FEWEST = 5
_QUANTILES = 201  # kept of each class, to compare other corpora with


@dataclass(frozen=True)
class Calibration:
    """A rising map from scores to natural-log likelihood ratios, and the validation trials that it was fitted on."""

    n_bonafide: int
    n_spoof: int
    threshold: float  #: the EER threshold, on the scale of the scores
    slope: float
    intercept: float
    lowest: float  #: bounds of its LLRs: `evidence.bounds`
    highest: float
    bonafide: tuple[float, ...]  #: scores, rising: all of them, or 201 evenly spaced quantiles of more
    spoof: tuple[float, ...]

    def llr(self, scores: ArrayLike) -> np.ndarray:
        """Return natural-log likelihood ratios of finite scores, both of any one shape, from `lowest` to `highest`.

        Above 0 a score supports bona fide, below 0 spoof.
        """
        return np.clip(self.slope * finite(scores) + self.intercept, self.lowest, self.highest)

    @property
    def low(self) -> float:
        """The lowest validation score."""
        return min(self.bonafide[0], self.spoof[0])

    @property
    def high(self) -> float:
        """The highest validation score."""
        return max(self.bonafide[-1], self.spoof[-1])


def logistic() -> "Pipeline":
    """Return a logistic regression on standardised columns, both classes of one weight, not fitted yet."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))


def fit(labels: ArrayLike, scores: ArrayLike, *, fewest: int = FEWEST) -> Calibration:
    """Fit a calibration to validation trials (n,): never those that the result is evaluated on.

    Trials that `metrics` refuses, or fewer than ``fewest`` of a class, are a `DataError`.
    """
    labels, scores = metrics.validate(labels, scores)
    real = labels == metrics.BONAFIDE
    bonafide, spoof = np.sort(scores[real]), np.sort(scores[~real])
    if min(bonafide.size, spoof.size) < fewest:
        raise DataError(
            f"{bonafide.size} bona fide and {spoof.size} spoof trials are too few to calibrate on; "
            f"give at least {fewest} of each"
        )
    slope, intercept = _logistic(bonafide, spoof)
    lowest, highest = evidence.bounds(labels, slope * scores + intercept)
    return Calibration(
        n_bonafide=bonafide.size,
        n_spoof=spoof.size,
        threshold=metrics.eer(labels, scores).threshold,
        slope=slope,
        intercept=intercept,
        lowest=lowest,
        highest=highest,
        bonafide=summary(bonafide),
        spoof=summary(spoof),
    )


def probability(llr: ArrayLike, *, p_spoof: float) -> np.ndarray:
    """Return the probability that a clip is bona fide, of finite natural-log likelihood ratios and a prior.

    ``1 / (1 + exp(-(llr + log((1 - p_spoof) / p_spoof))))``. The prior is the share of spoofs where the detector is
    used, strictly between 0 and 1; the score cannot know it.
    """
    from scipy.special import expit

    metrics.check_costs(p_spoof)
    return expit(finite(llr) + math.log1p(-p_spoof) - math.log(p_spoof))


def meaning(calibration: Calibration, score: float, *, priors: Sequence[float] = (0.05, 0.5)) -> str:
    """Say in plain words what one score means: the likelihood ratio, and the probability at stated priors."""
    llr = float(calibration.llr(score))
    times = math.exp(abs(llr))
    said = "bona fide clips and spoofs get such a score equally often"
    if times >= 1.05:
        more, fewer = ("bona fide clips", "spoofs") if llr > 0 else ("spoofs", "bona fide clips")
        often = f"{times:.2g}" if times < 10 else thousands(times)
        said = f"{more} get such a score {often} times as often as {fewer}"
    chances = " and ".join(
        f"{_chance(float(probability(llr, p_spoof=p)))} if {100 * p:g} % of clips are spoofed" for p in priors
    )
    most = ""
    if llr in (calibration.lowest, calibration.highest):
        clips = f"{thousands(calibration.n_bonafide)} + {thousands(calibration.n_spoof)} validation clips"
        most = f", the most that {clips} can support"
    side = "at or above" if score >= calibration.threshold else "below"
    return (
        f"A score of {score:.3g} is a log-likelihood ratio of {llr:+.2f}{most}: {said}. Such a clip is bona fide with "
        f"a probability of {chances}. It is {side} the threshold of {calibration.threshold:.3g}."
    )


def carried_costs(calibration: Calibration, labels: ArrayLike, scores: ArrayLike) -> dict[str, int | float]:
    """Return the costs of a carried calibration on a test set, beside what a choice on that set could reach.

    ``n_bonafide n_spoof``; chosen on the test set: ``eer eer_threshold min_cllr min_dcf``; at the carried threshold:
    ``threshold far frr hter``; of the LLRs ``cllr act_dcf``, and of raw scores read as LLRs ``cllr_raw act_dcf_raw``.
    """
    llr = calibration.llr(scores)
    raw = metrics.evaluate(labels, scores, threshold=calibration.threshold)
    kept = ("n_bonafide", "n_spoof", "eer", "eer_threshold", "threshold", "far", "frr", "hter")
    return {name: raw[name] for name in kept} | {
        "cllr_raw": raw["cllr"],
        "cllr": metrics.cllr(labels, llr),
        "min_cllr": raw["min_cllr"],
        "act_dcf_raw": raw["act_dcf"],
        "act_dcf": metrics.act_dcf(labels, llr),
        "min_dcf": raw["min_dcf"],
    }


class Reliability(NamedTuple):
    """Stated probabilities of bona fide and how often they came true; all (k,), one entry a bin.

    ``predicted`` is the mean probability in the bin, ``observed`` the share of bona fide, ``low`` and ``high`` its
    95 % interval, ``counts`` the trials. The first four hold where half of the clips are spoofs.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray


def reliability(labels: ArrayLike, llr: ArrayLike, *, bins: int = 10) -> Reliability:
    """Compare probabilities of bona fide, stated at even odds, with how often they came true.

    Trials are sorted by LLR (n,) and cut into ``bins`` of as many trials each, equal LLRs staying together, so that
    there may be fewer bins. The interval of a share is Wilson's (1927) for independent trials; from the shares of the
    test set to even odds, odds are multiplied by the ratio of the two.
    """
    if bins < 1:
        raise ParameterError(f"bins={bins}: must be at least 1")
    labels, llr = metrics.validate(labels, llr)
    stated = probability(llr, p_spoof=0.5)
    order = np.argsort(llr, kind="stable")
    ranks = np.arange(llr.size)
    first = np.concatenate(([True], np.diff(llr[order]) > 0))
    # Trials of one LLR go where the first of them belongs.
    start = np.maximum.accumulate(np.where(first, ranks, 0))
    bin_of = np.unique(start * bins // llr.size, return_inverse=True)[1]
    real = labels[order] == metrics.BONAFIDE
    counts, bonafide = np.bincount(bin_of), np.bincount(bin_of, weights=real)
    # What a bona fide trial weighs against a spoof, so that both classes weigh one half.
    ratio = (llr.size - bonafide.sum()) / bonafide.sum()
    weight = np.where(real, ratio, 1.0)
    predicted = np.bincount(bin_of, weights=weight * stated[order]) / np.bincount(bin_of, weights=weight)
    share = bonafide / counts
    observed, low, high = (
        ratio * part / (ratio * part + (1 - part)) for part in (share, *limits.wilson(share, counts))
    )
    return Reliability(predicted, observed, low, high, counts)


# --- fits, on the sorted scores of the two classes ---


def _logistic(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[float, float]:
    scores = np.concatenate((bonafide, spoof))
    sizes = [bonafide.size, spoof.size]
    # Scale to -1 … 1, so that neither tiny nor huge scores lose digits.
    middle = scores.min() / 2 + scores.max() / 2
    reach = float(np.abs(scores - middle).max())
    scaled = (scores - middle) / (reach or 1.0)
    # The best slope has the sign of this difference, which is the gradient where the slope is 0.
    if scaled[: sizes[0]].mean() - scaled[sizes[0] :].mean() <= 1e-12:
        return 0.0, 0.0
    target = [1.0, 0.0]
    if bonafide[0] >= spoof[-1]:
        target = [(sizes[0] + 1) / (sizes[0] + 2), 1 / (sizes[1] + 2)]
    weight = [0.5 / sizes[0], 0.5 / sizes[1]]
    slope, intercept = _least_entropy(scaled, np.repeat(target, sizes), np.repeat(weight, sizes))
    # A reach among the denormal numbers would make the slope infinite.
    slope /= max(reach, 1e6 * np.finfo(float).tiny)
    return float(slope), float(intercept - slope * middle)


def _least_entropy(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return slope and intercept (2,): those of the least weighted cross-entropy of slope * x + intercept."""
    from scipy.optimize import minimize
    from scipy.special import expit

    design = np.stack([x, np.ones_like(x)])

    def cost(place: np.ndarray) -> tuple[float, np.ndarray]:
        logit = place @ design
        gradient = design @ (weight * (expit(logit) - target))
        return float(weight @ (np.logaddexp(0.0, logit) - target * logit)), gradient

    def curvature(place: np.ndarray) -> np.ndarray:
        share = expit(place @ design)
        return (design * (weight * share * (1 - share))) @ design.T

    place = minimize(cost, np.zeros(2), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-7}).x
    # Near the minimum the cost has no digits left to descend by; the gradient still has.
    return place - np.linalg.lstsq(curvature(place), cost(place)[1])[0]


def summary(scores: np.ndarray) -> tuple[float, ...]:
    """Return rising scores (n,), or 201 evenly spaced quantiles of more."""
    kept = scores if scores.size <= _QUANTILES else np.quantile(scores, np.linspace(0, 1, _QUANTILES))
    return tuple(kept.tolist())


def _chance(value: float) -> str:
    if value < 0.001:
        return "under 0.1 %"
    return "over 99.9 %" if value > 0.999 else metrics.percent(value)
