"""Which published figures can be true together, and what they say of the test set.

A figure outside [0, 1] or a count below 1 is a `ParameterError`, from every function here.
"""

import dataclasses
import itertools
import math

import numpy as np

from dfdlib.errors import ParameterError
from dfdlib.evaluation.limits import wilson


def auc_bounds(eer: float, *, gap: float = 0.0) -> tuple[float, float]:
    """Return the least and the greatest AUC that are possible beside an equal error rate.

    ``(1 - e)**2 <= AUC <= 1 - e**2`` for an EER e, a share. ``gap`` is ``|FAR - FRR|`` at its threshold, when that is
    known: 0 where the ROC is read with straight lines, and at most half of 1 / (trials of the smaller class) when no
    scores tie.

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

    ``rounding`` is how far each printed figure may be from its true value: 0.00005 for four decimals.
    """
    _check_share(eer, "eer")
    _check_share(auc, "auc")
    low, _ = auc_bounds(min(1.0, eer + rounding), gap=gap)
    _, high = auc_bounds(max(0.0, eer - rounding), gap=gap)
    tolerance = rounding + 1e-12  # the bounds themselves carry floating-point noise
    return low - tolerance <= auc <= high + tolerance


@dataclasses.dataclass(frozen=True)
class FiguresCheck:
    """What `check_figures` found out about a printed pair."""

    eer: float
    auc: float
    #: Whether both can be true: allows for rounding, and for the gap between FAR and FRR when counts are given.
    possible: bool
    #: Of the EER as printed.
    auc_bounds: tuple[float, float]
    #: 1 - AUC, and whether that can be true beside the EER.
    auc_if_misaligned: float
    misaligned_possible: bool
    #: Whether so many trials can give the EER without ties; None without counts.
    counts_possible: bool | None = None
    #: The EERs nearest to the printed one, from below and from above, that so many trials can give.
    eers_nearest: tuple[float, ...] = ()
    #: The 95 % interval that so many independent trials leave the EER; None without counts.
    eer_interval: tuple[float, float] | None = None
    #: The five smallest numbers of trials a class with which a balanced test set can give the EER.
    class_sizes: tuple[int, ...] = ()


def check_figures(
    *, eer: float, auc: float, n_bonafide: int | None = None, n_spoof: int | None = None, decimals: int | None = None
) -> FiguresCheck:
    """Check whether a published EER and AUC can both be true, and what they say of the test set.

    Two slips turn an AUC into 1 - AUC: scores of the wrong sign, and labels listed class by class in one order
    while scores are listed in the other, with as many clips in both. So the mirrored figure is checked as well.

    Parameters
    ----------
    eer, auc : float
        As published, as shares (30.69 % is 0.3069).
    n_bonafide, n_spoof : int, optional
        Trials of each class. With both, it is also checked that the EER is the mean of a FAR of so many spoof
        trials and a FRR of so many bona fide ones at their closest, no two scores being equal.
    decimals : int, optional
        Decimals that the shares are printed with. Default: the most that either figure shows, at least two and
        at most six.
    """
    _check_share(eer, "eer")
    _check_share(auc, "auc")
    if (n_bonafide is None) != (n_spoof is None):
        raise ParameterError("give both n_bonafide and n_spoof, or neither")
    if decimals is None:
        decimals = max(2, _decimals(eer), _decimals(auc))
    rounding = 0.5 * 10.0**-decimals
    gap, of_counts = 0.0, {}
    if n_bonafide is not None and n_spoof is not None:
        _check_sizes(n_bonafide, n_spoof)
        # FAR - FRR moves by one trial at a time, so at its closest to zero it is within half a step.
        gap = 0.5 / min(n_bonafide, n_spoof)
        reachable = _reachable_eers(eer, n_bonafide, n_spoof)
        below, above = reachable[reachable <= eer + 1e-12], reachable[reachable >= eer - 1e-12]
        of_counts = {
            "counts_possible": bool(np.any(np.abs(reachable - eer) <= rounding + 1e-12)),
            "eers_nearest": tuple(sorted({float(end) for end in (*below[-1:], *above[:1])})),
            "eer_interval": eer_interval(eer, n_bonafide=n_bonafide, n_spoof=n_spoof),
        }
    return FiguresCheck(
        eer=eer,
        auc=auc,
        possible=possible(eer, auc, gap=gap, rounding=rounding),
        auc_bounds=auc_bounds(eer),
        # the mirror image without the floating-point noise of the subtraction
        auc_if_misaligned=round(1 - auc, max(decimals, 6)),
        misaligned_possible=possible(eer, 1 - auc, gap=gap, rounding=rounding),
        class_sizes=_balanced_sizes(eer, rounding, count=5),
        **of_counts,
    )


def eer_interval(eer: float, *, n_bonafide: int, n_spoof: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval that a test set of so many trials leaves an EER, when nothing else is known of it.

    At a fixed threshold the mean of FAR and FRR, both about e, has the variance e (1 - e) (1 / n_bonafide +
    1 / n_spoof) / 4, as one share of 4 / (1 / n_bonafide + 1 / n_spoof) trials has: all of them in a balanced set. A
    threshold that moves to keep both rates equal changes that little where both change alike around it. The interval
    is Wilson's (1927) for that share. It takes trials as independent: with scores at hand, use `intervals`.
    """
    _check_share(eer, "eer")
    _check_sizes(n_bonafide, n_spoof)
    if not 0 < level < 1:
        raise ParameterError(f"level={level}: must lie between 0 and 1, both excluded (0.95 for 95 %)")
    low, high = wilson(eer, 4 / (1 / n_bonafide + 1 / n_spoof), level=level)
    return float(low), float(high)


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
    fitting = (n for n in itertools.count(1) if abs(round(eer * n) / n - eer) <= rounding + 1e-12)
    return tuple(itertools.islice(fitting, count))


def _check_share(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        hint = f"; {value} % is {value / 100:g}" if 1 < value <= 100 else ""
        raise ParameterError(f"{name}={value}: must be a share from 0 to 1{hint}")


def _check_sizes(n_bonafide: int, n_spoof: int) -> None:
    for name, size in (("n_bonafide", n_bonafide), ("n_spoof", n_spoof)):
        if size < 1:
            raise ParameterError(f"{name}={size}: must be at least 1")


def _decimals(value: float) -> int:
    """Count the decimals of a figure as it is written, at most six (0.3069 has four)."""
    return len(f"{value:.6f}".rstrip("0").partition(".")[2])
