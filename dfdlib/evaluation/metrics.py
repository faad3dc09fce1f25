"""Measures of how well a score tells bona fide speech from spoofed speech.

Conventions
-----------
- A *trial* is one clip with a label and a score. Label 1 is bona fide, label 0 is spoof; a **higher score
  means bona fide**. Every function takes ``labels`` of shape (n,) and ``scores`` of shape (n,), in that order.
- At a threshold a trial is accepted as bona fide when its score is **at or above** it:
  ``FAR`` (false acceptance) is the share of spoof trials with score >= threshold, ``FRR`` (false rejection, or
  miss) the share of bona fide trials with score < threshold.
- Trials of one score cannot be told apart, so they are accepted or rejected together: the only thresholds are
  the distinct scores, and +inf, which rejects everything.
- Rates are shares from 0 to 1, never percentages. Results are Python floats or float64 arrays.
- One class only, a score that is not finite, a label other than 0 and 1, or lengths that differ are a
  `DataError` that names the rows, from every function here. They never give a number. A threshold that is NaN, a
  prior or a cost out of its range is a `ParameterError`.

`eer`, `auc` and `min_dcf` depend on the order of the scores alone. `act_dcf` and `cllr` need
calibrated natural-log likelihood ratios; on raw scores they measure the lack of calibration.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import ParameterError
from dfdlib.evaluation.counts import EqualErrorRate, Tally
from dfdlib.evaluation.trials import BONAFIDE, SPOOF, validate

if TYPE_CHECKING:
    from pandas import DataFrame

#: The prior and the costs of the ASVspoof 5 challenge, track 1.
P_SPOOF = 0.05
C_MISS = 1.0
C_FA = 10.0


class ErrorRates(NamedTuple):
    """The two error rates at one threshold."""

    far: float
    frr: float


def tally(labels: ArrayLike, scores: ArrayLike) -> Tally:
    """Sort the trials once and count each class below every distinct score."""
    return Tally.of(*validate(labels, scores))


def contradicted(labels: ArrayLike, scores: ArrayLike) -> bool:
    """Whether trials show, beyond chance, that a higher score goes with spoof.

    The test is that of Mann and Whitney (1947), one-sided, at what three standard errors of a normal variable leave.
    """
    labels, scores = validate(labels, scores)
    if auc(labels, scores) >= 0.5:
        return False
    from scipy import stats

    bonafide, spoof = scores[labels == BONAFIDE], scores[labels == SPOOF]
    return bool(stats.mannwhitneyu(bonafide, spoof, alternative="less").pvalue < stats.norm.sf(3))


# --- rates ---


def error_rates(labels: ArrayLike, scores: ArrayLike, *, threshold: float) -> ErrorRates:
    """Return FAR and FRR at a threshold that was fixed beforehand, such as one from validation data."""
    labels, scores = validate(labels, scores)
    if math.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")
    accepted = scores >= threshold
    return ErrorRates(far=float(np.mean(accepted[labels == SPOOF])), frr=float(np.mean(~accepted[labels == BONAFIDE])))


# --- equal error rate, three conventions ---


def eer(labels: ArrayLike, scores: ArrayLike) -> EqualErrorRate:
    """Return the equal error rate as the field publishes it, and its threshold.

    Among the distinct scores, take the threshold where ``|FAR - FRR|`` is smallest; the value is the mean of the
    two rates there. FAR - FRR falls at every step, so at most two thresholds can be equally close, one on
    either side of zero: then the **lower** one is taken, the one that accepts more, as a search from the lowest
    score upwards does. The comparison is made in whole numbers and is exact.

    Ties in score are one threshold, so the value does not depend on the order of the trials. The published
    ASVspoof code cuts inside a tie, in favour of the class that is listed first; without ties both agree.
    """
    return tally(labels, scores).eer


def eer_interpolated(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the equal error rate where the ROC, drawn with straight lines, crosses FAR = FRR.

    A classifier on such a line accepts at random between two neighbouring thresholds. This value lies on the
    curve whose area is `auc`, so `published_figures.auc_bounds` holds for it without a gap.
    """
    return tally(labels, scores).eer_interpolated


def eer_convex_hull(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the equal error rate of the ROC's convex hull (ROCCH-EER). Never above `eer_interpolated`.

    The hull is the best that any monotone or randomised choice among the thresholds can reach; its corners are
    the blocks of the pool-adjacent-violators algorithm (Brümmer and de Villiers, BOSARIS toolkit, 2011).
    """
    return tally(labels, scores).eer_convex_hull


def eer_conventions(labels: ArrayLike, scores: ArrayLike) -> "DataFrame":
    """Return `eer`, which this project reports, and the two others: columns ``convention eer difference``."""
    import pandas as pd

    counts = tally(labels, scores)
    values = [counts.eer.value, counts.eer_interpolated, counts.eer_convex_hull]
    table = pd.DataFrame({"convention": ["ASVspoof", "interpolated", "convex hull"], "eer": values})
    return table.assign(difference=table["eer"] - values[0])


# --- area, cost, information ---


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: P(bona fide score > spoof score) + P(equal) / 2.

    This is the Mann–Whitney statistic (Hanley and McNeil, 1982). 0.5 is chance. Below 0.5 the order is worse than
    chance: scores upside down, or labels and scores that are not in the same order.
    """
    return tally(labels, scores).auc


def detection_cost(far, frr, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA):
    """Return the normalised detection cost of a FAR and a FRR, numbers or arrays: the DCF of `min_dcf`."""
    check_costs(p_spoof, c_miss, c_fa)
    miss, false_alarm = c_miss * (1 - p_spoof), c_fa * p_spoof
    return (miss * frr + false_alarm * far) / min(miss, false_alarm)


def min_dcf(
    labels: ArrayLike, scores: ArrayLike, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA
) -> float:
    """Return the lowest normalised detection cost over all thresholds.

    ``DCF(t) = c_miss (1 - p_spoof) FRR(t) + c_fa p_spoof FAR(t)``, divided by the cost of the better of the two
    systems that do not listen, ``min(c_miss (1 - p_spoof), c_fa p_spoof)``. It lies between 0 and 1.

    ``p_spoof`` is the share of spoofs in use, strictly between 0 and 1; ``c_miss`` and ``c_fa``, above 0, are the costs
    of rejecting a bona fide clip and of accepting a spoof. The defaults are those of ASVspoof 5, track 1 (Wang et al.,
    2024).
    """
    counts = tally(labels, scores)
    return float(detection_cost(counts.far, counts.frr, p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa).min())


def bayes_threshold(*, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> float:
    """Return the log-likelihood ratio above which accepting costs less than rejecting, on average.

    ``log(c_fa p_spoof) - log(c_miss (1 - p_spoof))``, natural logarithms: -0.642 at the defaults.
    """
    check_costs(p_spoof, c_miss, c_fa)
    return math.log(c_fa * p_spoof) - math.log(c_miss * (1 - p_spoof))


def act_dcf(
    labels: ArrayLike, scores: ArrayLike, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA
) -> float:
    """Return the normalised detection cost at `bayes_threshold`, the scores read as log-likelihood ratios.

    Nothing is chosen on the test set. `act_dcf` less `min_dcf` is the price of poor calibration; unlike
    `min_dcf` it can exceed 1, which is worse than not listening. Parameters as in `min_dcf`.
    """
    costs = {"p_spoof": p_spoof, "c_miss": c_miss, "c_fa": c_fa}
    return float(detection_cost(*error_rates(labels, scores, threshold=bayes_threshold(**costs)), **costs))


def cllr(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the cost of the scores as natural-log likelihood ratios, in bits.

    The mean over bona fide trials of ``log2(1 + exp(-s))`` and over spoof trials of ``log2(1 + exp(s))``, each
    class weighing one half (Brümmer and du Preez, 2006). 0 is perfect, 1 is what a constant score of 0 costs;
    there is no upper limit.
    """
    labels, scores = validate(labels, scores)
    # log(1 + exp(x)) that neither overflows nor loses small values
    bonafide = np.logaddexp(0.0, -scores[labels == BONAFIDE]).mean()
    spoof = np.logaddexp(0.0, scores[labels == SPOOF]).mean()
    return float((bonafide + spoof) / (2 * math.log(2)))


def min_cllr(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return `cllr` after the best monotone map of the scores to log-likelihood ratios.

    The map is fitted on these same trials by pool-adjacent-violators, without smoothing, so that this is what
    perfect calibration could reach: a bound, not a promise. It lies between 0 and 1.
    """
    return tally(labels, scores).min_cllr


# --- everything at once ---


def evaluate(labels: ArrayLike, scores: ArrayLike, *, threshold: float | None = None) -> dict[str, int | float]:
    """Return every metric by name, ready for JSON: ``n_bonafide n_spoof eer eer_threshold auc min_dcf act_dcf cllr
    min_cllr``, and ``threshold far frr hter`` at a threshold that was fixed on other data.
    """
    labels, scores = validate(labels, scores)
    counts = Tally.of(labels, scores)
    equal = counts.eer
    values: dict[str, int | float] = {
        "n_bonafide": int(counts.bonafide[-1]),
        "n_spoof": int(counts.spoof[-1]),
        "eer": equal.value,
        "eer_threshold": equal.threshold,
        "auc": counts.auc,
        "min_dcf": float(detection_cost(counts.far, counts.frr).min()),
        "act_dcf": act_dcf(labels, scores),
        "cllr": cllr(labels, scores),
        "min_cllr": counts.min_cllr,
    }
    if threshold is not None:
        far, frr = error_rates(labels, scores, threshold=threshold)
        values |= {"threshold": float(threshold), "far": far, "frr": frr, "hter": (far + frr) / 2}
    return values


def percent(share: float, places: int = 1) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.{places}f} %"


def percent_range(low: float, high: float, places: int = 1) -> str:
    """Return two shares as the ends of a range in percent."""
    return f"{100 * low:.{places}f} to {percent(high, places)}"


def points_range(low: float, high: float) -> str:
    """Return an interval of differences in percentage points, with signs."""
    return f"{100 * low:+.1f} to {100 * high:+.1f} points"


def points_signed(change: float) -> str:
    """Return a difference of two shares in percentage points, with its sign."""
    return f"{100 * change:+.1f} points"


# --- checks ---


def check_costs(p_spoof: float, c_miss: float = C_MISS, c_fa: float = C_FA) -> None:
    """Refuse a share of spoofs that is none or all, and costs that are not above 0."""
    if not 0 < p_spoof < 1:
        raise ParameterError(f"p_spoof={p_spoof}: must lie between 0 and 1, both excluded")
    for name, cost in (("c_miss", c_miss), ("c_fa", c_fa)):
        if not (0 < cost < math.inf):
            raise ParameterError(f"{name}={cost}: must be above 0 and finite")
