"""Trials of each class below every threshold, and the metrics that follow from such counts.

The functions take counts of many test sets at once: ``bonafide`` and ``spoof`` have a row for each test set, or each
bootstrap resample of one, and rise along it from 0 to the size of the class.
"""

from typing import NamedTuple

import numpy as np

from dfdlib.evaluation.trials import BONAFIDE, SPOOF


class EqualErrorRate(NamedTuple):
    """An equal error rate and the threshold that it was read at."""

    value: float
    threshold: float


class Tally(NamedTuple):
    """Trials of each class below every threshold: all that a ranking metric needs to know.

    ``thresholds`` is (k + 1,): the k distinct scores, rising, then +inf. ``bonafide`` and ``spoof``, (k + 1,), count
    the trials with score < threshold, so the last entry is the size of the class.
    """

    thresholds: np.ndarray
    bonafide: np.ndarray
    spoof: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray) -> "Tally":
        """Sort validated labels and scores (n,) once and count. O(n log n)."""
        thresholds, place = np.unique(scores, return_inverse=True)
        below = [
            np.concatenate(([0], np.cumsum(np.bincount(place[labels == value], minlength=thresholds.size))))
            for value in (BONAFIDE, SPOOF)
        ]
        return cls(np.append(thresholds, np.inf), *below)

    @property
    def far(self) -> np.ndarray:
        """Share of spoof trials at or above each threshold, (k + 1,)."""
        return (self.spoof[-1] - self.spoof) / self.spoof[-1]

    @property
    def frr(self) -> np.ndarray:
        """Share of bona fide trials below each threshold, (k + 1,)."""
        return self.bonafide / self.bonafide[-1]

    @property
    def eer(self) -> EqualErrorRate:
        """`metrics.eer`."""
        value, _, place = self._equal_errors()
        return EqualErrorRate(float(value[0]), float(self.thresholds[place[0]]))

    @property
    def eer_interpolated(self) -> float:
        """`metrics.eer_interpolated`."""
        return float(self._equal_errors()[1][0])

    @property
    def eer_convex_hull(self) -> float:
        """`metrics.eer_convex_hull`."""
        _, p, q = _blocks(self.bonafide[None], self.spoof[None])
        frr, far = np.cumsum(p), 1 - np.cumsum(q)
        # Rounding may leave a block at exactly FAR = FRR on either side; both give the same value.
        end = min(int(np.sum(far > frr)), p.size - 1)
        before, after = far[end] + q[end] - (frr[end] - p[end]), far[end] - frr[end]
        return float(frr[end] - p[end] + before / (before - after) * p[end])

    @property
    def auc(self) -> float:
        """`metrics.auc`."""
        return float(area(self.bonafide[None], self.spoof[None])[0])

    @property
    def min_cllr(self) -> float:
        """`metrics.min_cllr`."""
        return float(min_cllr(self.bonafide[None], self.spoof[None])[0])

    def _equal_errors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        every = np.arange(self.thresholds.size)
        return equal_errors(self.bonafide[None], self.spoof[None], (every, every))


def equal_errors(
    bonafide: np.ndarray, spoof: np.ndarray, places: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `metrics.eer`, `metrics.eer_interpolated` and the number of the EER's threshold, each (rows,).

    FAR - FRR never rises, so bisection finds where it crosses 0.

    Parameters
    ----------
    bonafide, spoof : ndarray of int, shape (rows, any)
    places : two ndarrays of int, shape (k + 1,)
        The columns of ``bonafide`` and of ``spoof`` that belong to each threshold.
    """
    rows = np.arange(len(bonafide))
    totals = bonafide[:, -1].astype(np.int64), spoof[:, -1].astype(np.int64)

    def errors(threshold):  # whole numbers: trials falsely accepted and falsely rejected
        return totals[1] - spoof[rows, places[1][threshold]], bonafide[rows, places[0][threshold]]

    low = np.zeros(len(bonafide), dtype=np.intp)
    high = np.full(len(bonafide), places[0].size - 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        accepted, rejected = errors(middle)
        over = accepted * totals[0] <= rejected * totals[1]
        high, low = np.where(over, middle, high), np.where(over, low, middle)
    sides = []
    for threshold in (low, high):
        accepted, rejected = errors(threshold)
        gap = np.abs(accepted * totals[0] - rejected * totals[1])
        sides.append((gap, accepted / totals[1], rejected / totals[0]))
    (near, far_low, frr_low), (beyond, far_high, frr_high) = sides
    # Equally close: the lower threshold.
    lower = near <= beyond
    closest = np.where(lower, far_low + frr_low, far_high + frr_high) / 2
    return closest, frr_low + near / (near + beyond) * (frr_high - frr_low), np.where(lower, low, high)


def area(bonafide: np.ndarray, spoof: np.ndarray) -> np.ndarray:
    """Return `metrics.auc` of each row, (rows,)."""
    # Trials of a step times all that lie below its two ends: whole numbers, which floats hold exactly up to 2**53.
    beaten = (spoof[:, :-1] + spoof[:, 1:]).astype(np.float64)
    step = np.subtract(bonafide[:, 1:], bonafide[:, :-1], dtype=np.float64)
    return np.einsum("ij,ij->i", step, beaten) / (2.0 * bonafide[:, -1] * spoof[:, -1])


def min_cllr(bonafide: np.ndarray, spoof: np.ndarray) -> np.ndarray:
    """Return `metrics.min_cllr` of each row, (rows,)."""
    row, p, q = _blocks(bonafide, spoof)
    # A block of one class has an infinite likelihood ratio, which costs nothing.
    mixed = (p > 0) & (q > 0)
    row, p, q = row[mixed], p[mixed], q[mixed]
    bits = p * np.log2(1 + q / p) + q * np.log2(1 + p / q)
    return np.bincount(row, weights=bits, minlength=len(bonafide)) / 2


def _blocks(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row of each edge of the ROCs' convex hulls, and the shares of both classes on it, all (edges,).

    The edges are the blocks of one pool-adjacent-violators fit: the rows are laid end to end, each lifted by two, so
    that no block reaches over the end of a row.
    """
    from scipy.optimize import isotonic_regression

    totals = bonafide[:, -1].astype(np.int64), spoof[:, -1].astype(np.int64)
    bonafide, spoof = np.diff(bonafide, axis=1), np.diff(spoof, axis=1)
    weights = (bonafide + spoof).ravel()
    drawn = np.flatnonzero(weights)
    row = drawn // bonafide.shape[1]
    bonafide, spoof, weights = bonafide.ravel()[drawn], spoof.ravel()[drawn], weights[drawn].astype(np.float64)
    starts = isotonic_regression(bonafide / weights + 2.0 * row, weights=weights).blocks[:-1]
    row = row[starts]
    p, q = (
        np.add.reduceat(column, starts) / total[row] for column, total in zip((bonafide, spoof), totals, strict=True)
    )
    return row, p, q
