"""What a log-likelihood ratio is worth as evidence: the figures that forensic science asks of a method.

All LLRs are natural logarithms, above 0 for bona fide, of trials that they were not fitted on (Meuwly, Ramos and
Haraksim, 2017; Morrison et al., 2021).
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import metrics
from dfdlib.evaluation.counts import Tally
from dfdlib.evaluation.drawing import names_of, of_attacks
from dfdlib.evaluation.intervals import Interval
from dfdlib.evaluation.trials import BONAFIDE

if TYPE_CHECKING:
    from pandas import DataFrame


class Tippett(NamedTuple):
    """A Tippett plot: at each LLR the share of each class with that LLR or a higher one; all (k,)."""

    llr: np.ndarray
    bonafide: np.ndarray
    spoof: np.ndarray


class Entropy(NamedTuple):
    """An empirical cross-entropy plot (Ramos and Gonzalez-Rodriguez, 2013), in bits; all (k,).

    ``actual`` is of the LLRs as they are, ``least`` after the best rising map of them, ``prior`` of no LLR at all. At
    even odds the first two are Cllr and its minimum. Where ``actual`` exceeds ``prior``, the LLRs mislead.
    """

    log10_odds: np.ndarray
    actual: np.ndarray
    least: np.ndarray
    prior: np.ndarray


def tippett(labels: ArrayLike, llr: ArrayLike) -> Tippett:
    """Return the curves of a Tippett plot, at every distinct LLR, rising."""
    counts = metrics.tally(labels, llr)
    return Tippett(counts.thresholds[:-1], 1 - counts.frr[:-1], counts.far[:-1])


def entropy(labels: ArrayLike, llr: ArrayLike) -> Entropy:
    """Return an empirical cross-entropy plot of labels and LLRs (n,), at 101 prior odds of bona fide."""
    labels, llr = metrics.validate(labels, llr)
    places = np.linspace(-2.5, 2.5, 101)
    real = labels == BONAFIDE
    best = _best_llr(labels, llr)
    odds = places * math.log(10)

    def bits(values: np.ndarray) -> np.ndarray:
        share = 1 / (1 + np.exp(-odds))
        # A likelihood ratio of 0 or infinity costs nothing where it is right.
        miss = np.array([np.logaddexp(0.0, -(values[real] + prior)).mean() for prior in odds])
        accept = np.array([np.logaddexp(0.0, values[~real] + prior).mean() for prior in odds])
        return (share * miss + (1 - share) * accept) / math.log(2)

    return Entropy(places, bits(llr), bits(best), bits(np.zeros_like(llr)))


def split_by_attack(labels: ArrayLike, llr: ArrayLike, attacks: ArrayLike) -> "DataFrame":
    """Return Cllr, its minimum and the rest for each attack: columns ``attack n_spoof cllr min_cllr loss``."""
    import pandas as pd

    labels, llr = metrics.validate(labels, llr)
    rows = []
    for name, part in of_attacks(labels, names_of(attacks, labels.size, "attack")).items():
        whole, least = metrics.cllr(labels[part], llr[part]), metrics.min_cllr(labels[part], llr[part])
        spoof = int(np.sum(labels[part] != BONAFIDE))
        rows.append({"attack": name, "n_spoof": spoof, "cllr": whole, "min_cllr": least, "loss": whole - least})
    return pd.DataFrame(rows)


def bounds(labels: ArrayLike, llr: ArrayLike) -> tuple[float, float]:
    """Return the empirical lower and upper bound of the LLRs (ELUB: Vergeer et al., 2016).

    One more misleading trial is assumed in each class, beyond all others. The bounds are the prior odds up to which
    deciding by the LLRs still costs less than deciding by the prior alone: with N spoofs and perfect LLRs the upper
    one is ``log(N + 1)``. The LLRs must be those of the trials that the calibration was fitted on, or of others as
    numerous; where they help at no prior, both bounds are 0.
    """
    labels, llr = metrics.validate(labels, llr)
    counts = Tally.of(labels, llr)
    miss = (counts.bonafide + 1) / (counts.bonafide[-1] + 1)
    accept = (counts.spoof[-1] - counts.spoof + 1) / (counts.spoof[-1] + 1)
    # At prior odds of exp(-t) the best threshold is t. The cost relative to the prior's rises with t between two steps.
    start, end = np.concatenate(([-np.inf], counts.thresholds[:-1])), counts.thresholds
    with np.errstate(divide="ignore"):
        highest = np.log1p(-miss) - np.log(accept)  # below it the LLRs help, for t above 0
        lowest = np.log(miss) - np.log1p(-accept)
    return 0.0 - _reach(-end[::-1], -start[::-1], -lowest[::-1]), _reach(start, end, highest)


def precision(far: Interval, frr: Interval, *, p_spoof: float) -> dict[str, Interval]:
    """Return what an accepted and a rejected clip are worth where a share of the clips is spoofed.

    "accepted" is the share of bona fide clips among those accepted, "rejected" that of spoofs among those rejected, at
    a threshold that was fixed beforehand. The limits of the result hold where both of FAR and FRR do: for a level of
    95 % give intervals of 97.5 %. ``p_spoof`` is the prevalence of spoofs, strictly between 0 and 1.
    """
    metrics.check_costs(p_spoof)

    def share(right: float, wrong: float) -> float:
        return right / (right + wrong) if right + wrong > 0 else math.nan

    def accepted(fa: float, fr: float) -> float:
        return share((1 - p_spoof) * (1 - fr), p_spoof * fa)

    def rejected(fa: float, fr: float) -> float:
        return share(p_spoof * (1 - fa), (1 - p_spoof) * fr)

    corners = ((far.value, frr.value), (far.high, frr.high), (far.low, frr.low))
    return {name: Interval(*(rule(*corner) for corner in corners))
            for name, rule in (("accepted", accepted), ("rejected", rejected))}  # fmt: skip


def _best_llr(labels: np.ndarray, llr: np.ndarray) -> np.ndarray:
    """Return the LLRs (n,) of the best rising map: pool-adjacent-violators, without smoothing."""
    from scipy.optimize import isotonic_regression

    places, place = np.unique(llr, return_inverse=True)
    real = np.bincount(place, weights=labels == BONAFIDE)
    trials = np.bincount(place, minlength=places.size)
    share = isotonic_regression(real / trials, weights=trials).x
    with np.errstate(divide="ignore"):
        odds = np.log(share) - np.log1p(-share)
    return odds[place] - math.log(real.sum() / (trials.sum() - real.sum()))


def _reach(start: np.ndarray, end: np.ndarray, highest: np.ndarray) -> float:
    """Return how far above 0 a row of steps (k,) goes on helping: up to the first where t reaches `highest`."""
    ahead = end > 0
    start, highest = np.maximum(start[ahead], 0.0), highest[ahead]
    first = np.argmax(highest < end[ahead])  # the last step ends at infinity
    return float(max(start[first], highest[first]))
