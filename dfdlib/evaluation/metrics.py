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
  `DataError` that names the rows. They never give a number.

Metrics
-------
===================  ==========================================================================================
`eer`                mean of FAR and FRR at the distinct score where they are closest: what the ASVspoof
                     challenges publish
`eer_interpolated`   where straight lines between the operating points cross FAR = FRR
`eer_convex_hull`    where the convex hull of the ROC crosses FAR = FRR (Brümmer and de Villiers, BOSARIS, 2011)
`auc`                chance that a bona fide trial scores above a spoof trial, a tie counting one half
                     (Mann–Whitney; Hanley and McNeil, 1982)
`roc_curve`          FAR and 1 - FRR at every threshold (Fawcett, 2006)
`det_curve`          FAR and FRR at every threshold (Martin et al., 1997)
`error_rates`        FAR and FRR at one threshold that was chosen elsewhere
`hter`               half of their sum
`min_dcf`            detection cost at the best threshold for this test set (ASVspoof 5: Wang et al., 2024)
`act_dcf`            detection cost at the Bayes threshold, the scores read as log-likelihood ratios
`cllr`               cost of log-likelihood ratios over all operating points (Brümmer and du Preez, 2006)
`min_cllr`           the same after the best monotone calibration on the test set itself
`auc_bounds`         the AUCs that are possible beside an EER; `check_figures` applies it to a printed pair
===================  ==========================================================================================

`evaluate` gives all of them by name, `eer_conventions` the three equal error rates side by side, `by_attack` one row
per attack, and `by` one row per codec, speaker or whatever a column says.

`eer`, `auc`, the two curves and `min_dcf` depend on the order of the scores alone. `act_dcf` and `cllr` need
calibrated natural-log likelihood ratios; on raw scores they measure the lack of calibration.
"""

import dataclasses
import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError

if TYPE_CHECKING:
    from pandas import DataFrame

BONAFIDE = 1
SPOOF = 0

# The costs of the ASVspoof 5 challenge, track 1.
P_SPOOF = 0.05
C_MISS = 1.0
C_FA = 10.0


class Roc(NamedTuple):
    """Receiver operating characteristic; all three (k + 1,), thresholds falling from +inf."""

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray


class Det(NamedTuple):
    """Detection error trade-off; all three (k + 1,), thresholds rising to +inf."""

    far: np.ndarray
    frr: np.ndarray
    thresholds: np.ndarray


class EqualErrorRate(NamedTuple):
    """An equal error rate and the threshold that it was read at."""

    value: float
    threshold: float


class ErrorRates(NamedTuple):
    """The two error rates at one threshold."""

    far: float
    frr: float


class Tally(NamedTuple):
    """Trials of each class below every threshold: all that a ranking metric needs to know.

    ``thresholds`` is (k + 1,): the k distinct scores, rising, then +inf. ``bonafide`` and ``spoof`` are integer
    counts (..., k + 1) of trials with score < threshold, so the last column holds the class totals. Leading
    axes are resamples, which is how `intervals` evaluates many at once.
    """

    thresholds: np.ndarray
    bonafide: np.ndarray
    spoof: np.ndarray

    @property
    def far(self) -> np.ndarray:
        """Share of spoof trials at or above each threshold."""
        total = self.spoof[..., -1:]
        return (total - self.spoof) / total

    @property
    def frr(self) -> np.ndarray:
        """Share of bona fide trials below each threshold."""
        return self.bonafide / self.bonafide[..., -1:]


def validate(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check a list of trials and return it as arrays.

    Parameters
    ----------
    labels : array_like, shape (n,)
        1 for bona fide, 0 for spoof.
    scores : array_like, shape (n,)
        Higher means bona fide.

    Returns
    -------
    labels : ndarray of int8, shape (n,)
    scores : ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        Not one-dimensional, lengths that differ, pandas indexes that differ, no trials, a label other than 0 and
        1, a score that is not a finite number, or a class without a trial.
    """
    left, right = getattr(labels, "index", None), getattr(scores, "index", None)
    if hasattr(left, "equals") and hasattr(right, "equals") and len(left) == len(right) and not left.equals(right):
        raise DataError(
            "labels and scores are pandas columns with different indexes, so their rows may not belong together; "
            "take both from one table, or pass .to_numpy() if the order is right"
        )
    labels, scores = _column(labels, "labels"), _column(scores, "scores")
    if labels.size != scores.size:
        raise DataError(f"{labels.size} labels but {scores.size} scores; give one label and one score for each trial")
    if labels.size == 0:
        raise DataError("no trials: labels and scores are empty; check that the corpus or the table has rows")

    numbers, readable = _numbers(labels)
    _refuse(
        labels,
        ~(readable & ((numbers == BONAFIDE) | (numbers == SPOOF))),
        "labels",
        "neither 0 nor 1",
        "use 1 for bona fide and 0 for spoof",
    )
    classes = numbers.astype(np.int8)
    numbers, readable = _numbers(scores)
    _refuse(
        scores,
        ~(readable & np.isfinite(numbers)),
        "scores",
        "not finite numbers",
        "score these clips again or leave them out",
    )
    for value, name in ((BONAFIDE, "bona fide"), (SPOOF, "spoof")):
        if not np.any(classes == value):
            raise DataError(
                f"no {name} trial among {classes.size}: every label is {1 - value}; "
                "error rates need both classes, so add clips of the other one or correct the labels"
            )
    return classes, numbers


def tally(labels: ArrayLike, scores: ArrayLike) -> Tally:
    """Sort the trials once and count each class below every distinct score. O(n log n).

    Raises
    ------
    DataError
        As `validate`.
    """
    return _tally(*validate(labels, scores))


# --- metrics of a tally: on the last axis, so that they serve one test set and a thousand resamples alike ---


def tally_eer(counts: Tally) -> tuple[np.ndarray, np.ndarray]:
    """Equal error rate of a tally: values (...) and the places (...) of their thresholds. See `eer`."""
    bonafide, spoof = counts.bonafide[..., -1:], counts.spoof[..., -1:]
    # Both rates times both totals: whole numbers, so that "equally close" is exact and argmin takes the lowest.
    gap = (spoof - counts.spoof) * bonafide - counts.bonafide * spoof
    place = np.argmin(np.abs(gap, out=gap), axis=-1)
    here = place[..., None]
    far = (spoof - np.take_along_axis(counts.spoof, here, -1)) / spoof
    frr = np.take_along_axis(counts.bonafide, here, -1) / bonafide
    return ((far + frr) / 2)[..., 0], place


def tally_roc(counts: Tally) -> Roc:
    """Receiver operating characteristic of the tally of one test set. See `roc_curve`."""
    accepted = (counts.bonafide[-1] - counts.bonafide) / counts.bonafide[-1]
    return Roc(counts.far[::-1], accepted[::-1], counts.thresholds[::-1])


def tally_auc(counts: Tally) -> np.ndarray:
    """Area under the ROC curve of a tally, shape (...). See `auc`."""
    at_score = np.diff(counts.bonafide, axis=-1)
    # Twice the spoof trials below a score, plus those that tie with it: whole numbers until the division.
    beaten = counts.spoof[..., :-1] + counts.spoof[..., 1:]
    pairs = counts.bonafide[..., -1] * counts.spoof[..., -1]
    return np.einsum("...k,...k->...", at_score, beaten) / (2 * pairs)


def tally_min_dcf(counts: Tally, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> np.ndarray:
    """Minimum normalised detection cost of a tally, shape (...). See `min_dcf`."""
    return detection_cost(counts.far, counts.frr, p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa).min(axis=-1)


# --- curves and rates ---


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Roc:
    """Return the false and true positive rates at every threshold, from reject-all to accept-all.

    The positive class is bona fide, so ``fpr`` is FAR and ``tpr`` is 1 - FRR. Trials of one score are one step,
    and no point is dropped.

    Returns
    -------
    Roc
        ``fpr``, ``tpr`` and ``thresholds``, each (k + 1,) for k distinct scores; the first threshold is +inf.

    Raises
    ------
    DataError
        As `validate`.
    """
    return tally_roc(tally(labels, scores))


def det_curve(labels: ArrayLike, scores: ArrayLike) -> Det:
    """Return FAR and FRR at every threshold, from accept-all to reject-all.

    Returns
    -------
    Det
        ``far`` (falling from 1 to 0), ``frr`` (rising from 0 to 1) and ``thresholds``, each (k + 1,) for k
        distinct scores; the last threshold is +inf.

    Raises
    ------
    DataError
        As `validate`.
    """
    counts = tally(labels, scores)
    return Det(counts.far, counts.frr, counts.thresholds)


def error_rates(labels: ArrayLike, scores: ArrayLike, *, threshold: float) -> ErrorRates:
    """Return FAR and FRR at a threshold that was fixed beforehand, such as one from validation data.

    Raises
    ------
    DataError
        As `validate`.
    ParameterError
        ``threshold`` is NaN.
    """
    labels, scores = validate(labels, scores)
    if math.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")
    accepted = scores >= threshold
    return ErrorRates(far=float(np.mean(accepted[labels == SPOOF])), frr=float(np.mean(~accepted[labels == BONAFIDE])))


def hter(labels: ArrayLike, scores: ArrayLike, *, threshold: float) -> float:
    """Return the half total error rate, (FAR + FRR) / 2, at a threshold that was fixed beforehand.

    It is what an equal error rate turns into when the threshold may not be chosen on the test set.

    Raises
    ------
    DataError, ParameterError
        As `error_rates`.
    """
    far, frr = error_rates(labels, scores, threshold=threshold)
    return (far + frr) / 2


# --- equal error rate, three conventions ---


def eer(labels: ArrayLike, scores: ArrayLike) -> EqualErrorRate:
    """Return the equal error rate as the field publishes it, and its threshold.

    Among the distinct scores, take the threshold where ``|FAR - FRR|`` is smallest; the value is the mean of the
    two rates there. FAR - FRR falls at every step, so at most two thresholds can be equally close, one on
    either side of zero: then the **lower** one is taken, the one that accepts more, as a search from the lowest
    score upwards does. The comparison is made in whole numbers and is exact.

    Ties in score are one threshold, so the value does not depend on the order of the trials. The published
    ASVspoof code cuts inside a tie, in favour of the class that is listed first; without ties both agree.

    Returns
    -------
    EqualErrorRate
        ``value`` from 0 to 1 and ``threshold``, always one of the scores.

    Raises
    ------
    DataError
        As `validate`.

    See Also
    --------
    eer_interpolated, eer_convex_hull : the other two conventions in use.
    """
    return _eer(tally(labels, scores))


def eer_interpolated(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the equal error rate where the ROC, drawn with straight lines, crosses FAR = FRR.

    A classifier on such a line accepts at random between two neighbouring thresholds. This value lies on the
    curve whose area is `auc`, so `auc_bounds` holds for it without a gap.

    Raises
    ------
    DataError
        As `validate`.
    """
    counts = tally(labels, scores)
    return _crossing(counts.far, counts.frr)


def eer_convex_hull(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the equal error rate of the ROC's convex hull (ROCCH-EER). Never above `eer_interpolated`.

    The hull is the best that any monotone or randomised choice among the thresholds can reach; its corners are
    the blocks of the pool-adjacent-violators algorithm (Brümmer and de Villiers, BOSARIS toolkit, 2011).

    Raises
    ------
    DataError
        As `validate`.
    """
    return _hull_crossing(tally(labels, scores))


# --- area, cost, information ---


def detection_cost(far, frr, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA):
    """Return the normalised detection cost of a FAR and a FRR, numbers or arrays: the DCF of `min_dcf`.

    Raises
    ------
    ParameterError
        A prior or a cost out of its range.
    """
    _check_costs(p_spoof, c_miss, c_fa)
    miss, false_alarm = c_miss * (1 - p_spoof), c_fa * p_spoof
    return (miss * frr + false_alarm * far) / min(miss, false_alarm)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: P(bona fide score > spoof score) + P(equal) / 2.

    0.5 is chance. Below 0.5 the order is worse than chance: scores upside down, or labels and scores that are
    not in the same order.

    Raises
    ------
    DataError
        As `validate`.
    """
    return float(tally_auc(tally(labels, scores)))


def min_dcf(
    labels: ArrayLike, scores: ArrayLike, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA
) -> float:
    """Return the lowest normalised detection cost over all thresholds.

    ``DCF(t) = c_miss (1 - p_spoof) FRR(t) + c_fa p_spoof FAR(t)``, divided by the cost of the better of the two
    systems that do not listen, ``min(c_miss (1 - p_spoof), c_fa p_spoof)``. It lies between 0 and 1.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    p_spoof : float
        Share of spoofs in use, strictly between 0 and 1.
    c_miss, c_fa : float
        Costs of rejecting a bona fide clip and of accepting a spoof; above 0.

    Raises
    ------
    DataError
        As `validate`.
    ParameterError
        A prior or a cost out of its range.

    Notes
    -----
    The defaults are those of ASVspoof 5, track 1 (Wang et al., 2024).
    """
    return float(tally_min_dcf(tally(labels, scores), p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa))


def bayes_threshold(*, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> float:
    """Return the log-likelihood ratio above which accepting costs less than rejecting, on average.

    ``log(c_fa p_spoof) - log(c_miss (1 - p_spoof))``, natural logarithms: -0.642 at the defaults.

    Raises
    ------
    ParameterError
        A prior or a cost out of its range.
    """
    _check_costs(p_spoof, c_miss, c_fa)
    return math.log(c_fa * p_spoof) - math.log(c_miss * (1 - p_spoof))


def act_dcf(
    labels: ArrayLike, scores: ArrayLike, *, p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA
) -> float:
    """Return the normalised detection cost at `bayes_threshold`, the scores read as log-likelihood ratios.

    Nothing is chosen on the test set. `act_dcf` less `min_dcf` is the price of poor calibration; unlike
    `min_dcf` it can exceed 1, which is worse than not listening.

    Raises
    ------
    DataError, ParameterError
        As `min_dcf`.
    """
    threshold = bayes_threshold(p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa)
    far, frr = error_rates(labels, scores, threshold=threshold)
    return float(detection_cost(far, frr, p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa))


def cllr(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the cost of the scores as natural-log likelihood ratios, in bits.

    The mean over bona fide trials of ``log2(1 + exp(-s))`` and over spoof trials of ``log2(1 + exp(s))``, each
    class weighing one half (Brümmer and du Preez, 2006). 0 is perfect, 1 is what a constant score of 0 costs;
    there is no upper limit.

    Raises
    ------
    DataError
        As `validate`.
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

    Raises
    ------
    DataError
        As `validate`.
    """
    return _min_cllr(tally(labels, scores))


# --- what figures can be true together ---


def auc_bounds(eer: float, *, gap: float = 0.0) -> tuple[float, float]:
    """Return the least and the greatest AUC that are possible beside an equal error rate.

    ``(1 - e)**2 <= AUC <= 1 - e**2``.

    Parameters
    ----------
    eer : float
        Equal error rate e as a share, 0 to 1.
    gap : float
        ``|FAR - FRR|`` at the threshold of the EER, when that is known. It is 0 where the ROC is read with
        straight lines and at most half of 1 / (trials of the smaller class) when no scores tie.

    Returns
    -------
    tuple of float
        Lower and upper bound, within [0, 1].

    Raises
    ------
    ParameterError
        A figure outside [0, 1].

    Notes
    -----
    Proof. An EER of e says that the ROC passes through (FAR, 1 - FRR) = (e, 1 - e). The ROC rises from (0, 0)
    to (1, 1) and never falls. *Lower bound:* to the right of e it is at least 1 - e, over a width of 1 - e,
    which alone is an area of (1 - e)(1 - e). *Upper bound:* to the left of e it is at most 1 - e, over a width
    of e; to the right it is at most 1, over a width of 1 - e; together e(1 - e) + (1 - e) = 1 - e**2. Both are
    reached, by a step. When the point is (a, 1 - b) and e is only the mean of a and b, the same argument gives
    (1 - a)(1 - b) and 1 - ab, which are the bounds above widened by (a - b)**2 / 4.
    """
    _check_share(eer, "eer")
    _check_share(gap, "gap")
    slack = gap**2 / 4
    return max(0.0, (1 - eer) ** 2 - slack), min(1.0, 1 - eer**2 + slack)


def possible(eer: float, auc: float, *, gap: float = 0.0, rounding: float = 0.0) -> bool:
    """Tell whether an EER and an AUC can come from one list of trials: `auc_bounds`.

    Parameters
    ----------
    eer, auc : float
        Shares, 0 to 1.
    gap : float
        As in `auc_bounds`.
    rounding : float
        How far each printed figure may be from its true value: 0.00005 for four decimals.

    Raises
    ------
    ParameterError
        A figure outside [0, 1].
    """
    _check_share(eer, "eer")
    _check_share(auc, "auc")
    low, _ = auc_bounds(min(1.0, eer + rounding), gap=gap)
    _, high = auc_bounds(max(0.0, eer - rounding), gap=gap)
    tolerance = rounding + 1e-12  # the bounds themselves carry floating-point noise
    return low - tolerance <= auc <= high + tolerance


@dataclasses.dataclass(frozen=True)
class FiguresCheck:
    """What `check_figures` found out about a printed pair.

    Attributes
    ----------
    eer, auc : float
        As printed.
    possible : bool
        Whether both can be true: allows for rounding, and for the gap between FAR and FRR when counts are given.
    auc_bounds : tuple of float
        Of the EER as printed.
    auc_if_misaligned : float
        1 - AUC.
    misaligned_possible : bool
        Whether that can be true beside the EER.
    counts_possible : bool or None
        Whether so many trials can give the EER without ties; None without counts.
    eers_nearest : tuple of float
        The EERs nearest to the printed one, from below and from above, that so many trials can give; empty without
        counts.
    eer_interval : tuple of float or None
        The 95 % interval that so many independent trials leave the EER; None without counts.
    class_sizes : tuple of int
        The five smallest numbers of trials a class with which a balanced test set can give the EER.
    """

    eer: float
    auc: float
    possible: bool
    auc_bounds: tuple[float, float]
    auc_if_misaligned: float
    misaligned_possible: bool
    counts_possible: bool | None = None
    eers_nearest: tuple[float, ...] = ()
    eer_interval: tuple[float, float] | None = None
    class_sizes: tuple[int, ...] = ()


def check_figures(
    *,
    eer: float,
    auc: float,
    n_bonafide: int | None = None,
    n_spoof: int | None = None,
    decimals: int | None = None,
) -> FiguresCheck:
    """Check whether a published EER and AUC can both be true, and what they say of the test set.

    Two slips turn an AUC into 1 - AUC: scores of the wrong sign, and labels listed class by class in one order
    while scores are listed in the other, with as many clips in both. So the mirrored figure is checked as well.

    Parameters
    ----------
    eer, auc : float
        As published, as shares from 0 to 1 (30.69 % is 0.3069).
    n_bonafide, n_spoof : int, optional
        Trials of each class. With both, it is also checked that the EER is the mean of a FAR of so many spoof
        trials and a FRR of so many bona fide ones at their closest, no two scores being equal.
    decimals : int, optional
        Decimals that the shares are printed with. Default: the most that either figure shows, at least two and
        at most six.

    Returns
    -------
    FiguresCheck

    Raises
    ------
    ParameterError
        A figure outside [0, 1], one count without the other, or a count below 1.
    """
    _check_share(eer, "eer")
    _check_share(auc, "auc")
    if (n_bonafide is None) != (n_spoof is None):
        raise ParameterError("give both n_bonafide and n_spoof, or neither")
    if decimals is None:
        decimals = max(2, _decimals(eer), _decimals(auc))
    rounding = 0.5 * 10.0**-decimals

    gap, counts_possible, nearest, interval = 0.0, None, (), None
    if n_bonafide is not None and n_spoof is not None:
        for name, count in (("n_bonafide", n_bonafide), ("n_spoof", n_spoof)):
            if count < 1:
                raise ParameterError(f"{name}={count}: must be at least 1")
        # FAR - FRR moves by one trial at a time, so at its closest to zero it is within half a step.
        gap = 0.5 / min(n_bonafide, n_spoof)
        reachable = _reachable_eers(eer, n_bonafide, n_spoof)
        counts_possible = bool(np.any(np.abs(reachable - eer) <= rounding + 1e-12))
        below, above = reachable[reachable <= eer + 1e-12], reachable[reachable >= eer - 1e-12]
        nearest = tuple(sorted({float(end) for end in (*below[-1:], *above[:1])}))
        interval = eer_interval(eer, n_bonafide=n_bonafide, n_spoof=n_spoof)

    return FiguresCheck(
        eer=eer,
        auc=auc,
        possible=possible(eer, auc, gap=gap, rounding=rounding),
        auc_bounds=auc_bounds(eer),
        # the mirror image without the floating-point noise of the subtraction
        auc_if_misaligned=round(1 - auc, max(decimals, 6)),
        misaligned_possible=possible(eer, 1 - auc, gap=gap, rounding=rounding),
        counts_possible=counts_possible,
        eers_nearest=nearest,
        eer_interval=interval,
        class_sizes=_balanced_sizes(eer, rounding, count=5),
    )


def eer_interval(eer: float, *, n_bonafide: int, n_spoof: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval that a test set of so many trials leaves an EER, when nothing else is known of it.

    At a fixed threshold the mean of FAR and FRR, both about e, has the variance e (1 - e) (1 / n_bonafide +
    1 / n_spoof) / 4, as one share of 4 / (1 / n_bonafide + 1 / n_spoof) trials has: all of them in a balanced set. A
    threshold that moves to keep both rates equal changes that little where both change alike around it. The interval
    is Wilson's (1927) for that share. It takes trials as independent: with scores at hand, use `intervals`.

    Raises
    ------
    ParameterError
        ``eer`` outside [0, 1], a count below 1, or a level outside (0, 1).
    """
    _check_share(eer, "eer")
    for name, count in (("n_bonafide", n_bonafide), ("n_spoof", n_spoof)):
        if count < 1:
            raise ParameterError(f"{name}={count}: must be at least 1")
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")
    trials = 4 / (1 / n_bonafide + 1 / n_spoof)
    low, high = wilson(eer, trials, level=level)
    return float(low), float(high)


def wilson(share: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's (1927) interval of shares (k,) of so many independent trials (k,): its lower and upper ends."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At 0 and 1 the limit is the share itself, but for rounding.
    return np.clip(np.minimum(centre - reach, share), 0, 1), np.clip(np.maximum(centre + reach, share), 0, 1)


def _reachable_eers(eer: float, n_bonafide: int, n_spoof: int) -> np.ndarray:
    """Return the EERs around a printed one that so many trials can give without ties, rising."""
    gap = 0.5 / min(n_bonafide, n_spoof)
    # Two steps of the smaller class to each side hold the next value above and below.
    reach = 5 * gap
    far, frr = (
        np.arange(max(0, math.floor((eer - reach) * n)), min(n, math.ceil((eer + reach) * n)) + 1) / n
        for n in (n_spoof, n_bonafide)
    )
    near = np.abs(far[:, None] - frr) <= gap + 1e-12
    return np.unique(((far[:, None] + frr) / 2)[near])


def _balanced_sizes(eer: float, rounding: float, *, count: int) -> tuple[int, ...]:
    """Return the smallest class sizes n with which a whole number of errors of each class gives the EER.

    With as many trials in both classes and no ties FAR and FRR meet exactly, so that the EER is k / n.
    """
    sizes, n = [], 0
    while len(sizes) < count:
        n += 1
        if abs(round(eer * n) / n - eer) <= rounding + 1e-12:
            sizes.append(n)
    return tuple(sizes)


# --- everything at once ---


def evaluate(labels: ArrayLike, scores: ArrayLike, *, threshold: float | None = None) -> dict[str, int | float]:
    """Return every metric by name, ready for JSON.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    threshold : float, optional
        A threshold that was fixed on other data; adds ``threshold``, ``far``, ``frr`` and ``hter``.

    Returns
    -------
    dict
        ``n_bonafide n_spoof eer eer_threshold auc min_dcf act_dcf cllr min_cllr``.

    Raises
    ------
    DataError
        As `validate`.
    ParameterError
        ``threshold`` is NaN.
    """
    labels, scores = validate(labels, scores)
    counts = _tally(labels, scores)
    equal = _eer(counts)
    values: dict[str, int | float] = {
        "n_bonafide": int(counts.bonafide[-1]),
        "n_spoof": int(counts.spoof[-1]),
        "eer": equal.value,
        "eer_threshold": equal.threshold,
        "auc": float(tally_auc(counts)),
        "min_dcf": float(tally_min_dcf(counts)),
        "act_dcf": act_dcf(labels, scores),
        "cllr": cllr(labels, scores),
        "min_cllr": _min_cllr(counts),
    }
    if threshold is not None:
        far, frr = error_rates(labels, scores, threshold=threshold)
        values |= {"threshold": float(threshold), "far": far, "frr": frr, "hter": (far + frr) / 2}
    return values


def eer_conventions(labels: ArrayLike, scores: ArrayLike) -> "DataFrame":
    """Return the equal error rate by each convention in use, and how far it is from the declared one.

    Returns
    -------
    DataFrame
        Columns ``convention eer difference``: "ASVspoof" (`eer`, what this project reports), "interpolated"
        (`eer_interpolated`) and "convex hull" (`eer_convex_hull`).

    Raises
    ------
    DataError
        As `validate`.
    """
    import pandas as pd

    counts = tally(labels, scores)
    values = {
        "ASVspoof": _eer(counts).value,
        "interpolated": _crossing(counts.far, counts.frr),
        "convex hull": _hull_crossing(counts),
    }
    return pd.DataFrame(
        {
            "convention": list(values),
            "eer": list(values.values()),
            "difference": [value - values["ASVspoof"] for value in values.values()],
        }
    )


def by(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, name: str = "group", pooled: bool = True
) -> "DataFrame":
    """Return one row for each group of trials: a codec, a speaker, a channel.

    A group with trials of both classes is measured in itself. One with spoofs alone, as an attack is, is set against
    all bona fide trials, and one with bona fide trials alone against all spoofs.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    groups : array_like of str, shape (n,)
        A missing or empty name counts as "unknown".
    name : str
        What the first column is called.
    pooled : bool
        Whether a last row "pooled" holds all trials.

    Returns
    -------
    DataFrame
        Columns ``<name> n_bonafide n_spoof against eer auc``, sorted by group. ``against`` is "itself", "all bona
        fide" or "all spoof"; the counts are those that the row was measured on.

    Raises
    ------
    DataError
        As `validate`, or ``groups`` is not as long as the scores.
    """
    labels, scores = validate(labels, scores)
    names = _names(groups, labels.size, name)
    real = labels == BONAFIDE
    rows = []
    for group in sorted(set(names)):
        own = names == group
        if not np.any(own & real):
            rows.append(_row(name, group, labels, scores, own | real, against="all bona fide"))
        elif not np.any(own & ~real):
            rows.append(_row(name, group, labels, scores, own | ~real, against="all spoof"))
        else:
            rows.append(_row(name, group, labels, scores, own, against="itself"))
    if pooled:
        rows.append(_row(name, "pooled", labels, scores, np.ones(labels.size, dtype=bool), against="itself"))
    return _table(rows)


def by_attack(labels: ArrayLike, scores: ArrayLike, attacks: ArrayLike) -> "DataFrame":
    """Return one row for each attack: its spoof trials against all bona fide trials.

    A pooled EER hides an attack that always succeeds; this table shows it.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    attacks : array_like of str, shape (n,)
        Name of the attack of each spoof trial; what bona fide rows say is ignored. A missing name counts as
        "unknown".

    Returns
    -------
    DataFrame
        Columns ``attack n_bonafide n_spoof eer auc``, sorted by attack.

    Raises
    ------
    DataError
        As `validate`, or ``attacks`` is not as long as the scores.
    """
    labels, scores = validate(labels, scores)
    names = _names(attacks, labels.size, "attack")
    real = labels == BONAFIDE
    return _table(
        [_row("attack", attack, labels, scores, real | (names == attack)) for attack in sorted(set(names[~real]))]
    )


# --- inner workings ---


def _names(groups: ArrayLike, size: int, name: str) -> np.ndarray:
    import pandas as pd

    column = pd.Series(np.asarray(groups, dtype=object))
    if len(column) != size:
        raise DataError(f"{len(column)} {name}s but {size} trials; give one {name} for each trial")
    return column.where(column.notna() & (column.astype(str) != ""), "unknown").astype(str).to_numpy()


def _row(name: str, group: str, labels: np.ndarray, scores: np.ndarray, chosen: np.ndarray, **more: str) -> dict:
    counts = _tally(labels[chosen], scores[chosen])
    return {
        name: group,
        "n_bonafide": int(counts.bonafide[-1]),
        "n_spoof": int(counts.spoof[-1]),
        **more,
        "eer": _eer(counts).value,
        "auc": float(tally_auc(counts)),
    }


def _table(rows: list[dict]) -> "DataFrame":
    import pandas as pd

    return pd.DataFrame(rows)


def _tally(labels: np.ndarray, scores: np.ndarray) -> Tally:
    thresholds, place = np.unique(scores, return_inverse=True)
    size = thresholds.size
    bonafide = np.bincount(place[labels == BONAFIDE], minlength=size)
    spoof = np.bincount(place[labels == SPOOF], minlength=size)
    return Tally(
        np.append(thresholds, np.inf),
        np.concatenate(([0], np.cumsum(bonafide))),
        np.concatenate(([0], np.cumsum(spoof))),
    )


def _eer(counts: Tally) -> EqualErrorRate:
    value, place = tally_eer(counts)
    return EqualErrorRate(float(value), float(counts.thresholds[place]))


def _crossing(far: np.ndarray, frr: np.ndarray) -> float:
    """Return the common value of FAR and FRR where the line through the points (k,) crosses the diagonal."""
    gap = far - frr  # from 1 at the lowest threshold to -1 at +inf
    after = int(np.argmax(gap <= 0))
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(frr[before] + share * (frr[after] - frr[before]))


def _hull_crossing(counts: Tally) -> float:
    """Return the common value of FAR and FRR on the ROC's convex hull."""
    corners = _hull(counts)
    return _crossing(counts.far[corners], counts.frr[corners])


def _hull(counts: Tally) -> np.ndarray:
    """Return the places (c,) of the thresholds that are corners of the ROC's convex hull.

    Between two corners lies one block of the pool-adjacent-violators fit: shares of bona fide trials must rise
    from block to block, and neighbours that do not are pooled. Whole numbers throughout, so nothing is rounded.
    """
    bonafide, spoof = counts.bonafide.tolist(), counts.spoof.tolist()
    corners = [0]
    for end in range(1, len(bonafide)):
        while len(corners) > 1:
            start, middle = corners[-2], corners[-1]
            left = (bonafide[middle] - bonafide[start]) * (spoof[end] - spoof[middle])
            right = (bonafide[end] - bonafide[middle]) * (spoof[middle] - spoof[start])
            if left < right:
                break
            corners.pop()
        corners.append(end)
    return np.array(corners)


def _min_cllr(counts: Tally) -> float:
    corners = _hull(counts)
    bonafide, spoof = np.diff(counts.bonafide[corners]), np.diff(counts.spoof[corners])
    total_bonafide, total_spoof = counts.bonafide[-1], counts.spoof[-1]
    # A block of b and s trials has the likelihood ratio (b / B) / (s / S). A block of one class has an infinite
    # one, which costs nothing; the rest is written so that no infinity appears.
    p, q = bonafide / total_bonafide, spoof / total_spoof
    mixed = (bonafide > 0) & (spoof > 0)
    p, q = p[mixed], q[mixed]
    return float(np.sum(p * np.log2(1 + q / p) + q * np.log2(1 + p / q)) / 2)


def _check_costs(p_spoof: float, c_miss: float, c_fa: float) -> None:
    if not 0 < p_spoof < 1:
        raise ParameterError(f"p_spoof={p_spoof}: must lie between 0 and 1, both excluded")
    for name, cost in (("c_miss", c_miss), ("c_fa", c_fa)):
        if not (0 < cost < math.inf):
            raise ParameterError(f"{name}={cost}: must be above 0 and finite")


def _check_share(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        hint = f"; {value} % is {value / 100:g}" if 1 < value <= 100 else ""
        raise ParameterError(f"{name}={value}: must be a share from 0 to 1{hint}")


def _decimals(value: float) -> int:
    """Count the decimals of a figure as it is written, at most six (0.3069 has four)."""
    return len(f"{value:.6f}".rstrip("0").partition(".")[2])


def _column(values: ArrayLike, name: str) -> np.ndarray:
    try:
        column = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} are a ragged list; give one number for each trial") from error
    if column.ndim != 1:
        raise DataError(f"{name} have shape {column.shape}; give one number for each trial, shape (n,)")
    return column


def _numbers(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as float64 (n,) and which of its rows are numbers at all, bool (n,)."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64), np.ones(column.size, dtype=bool)
    numbers, readable = np.zeros(column.size), np.zeros(column.size, dtype=bool)
    for row, value in enumerate(column.tolist()):
        # Text is refused even when it looks like a number: it means that a column was read wrongly.
        if isinstance(value, int | float | np.number):
            numbers[row], readable[row] = float(value), True
    return numbers, readable


def _refuse(column: np.ndarray, bad: np.ndarray, name: str, fault: str, remedy: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        shown = ", ".join(f"{row} ({column[row]!s})" for row in rows[:5])
        more = f" and {rows.size - 5} more" if rows.size > 5 else ""
        raise DataError(f"{name} in rows {shown}{more}, counted from 0, are {fault}; {remedy}")
