"""The bootstrap's engine: what every metric becomes where `drawing` says how often each trial is drawn.

Speed
-----
The trials of a system are sorted once. A resample is a row of whole-number weights, and its running sums over the
sorted trials of each class give every metric, as `counts` has them; nothing is ever sorted or written down again.

- The equal error rate needs one threshold, which bisection finds.
- For the area, the costs and the hull only thresholds count where the class of the sorted trials changes: between
  them one rate alone moves, on a straight line. They are at most twice the trials of the smaller class.

No step is an approximation: the values are those of a loop over repeated trials but for the rounding of floats, about
1e-12. Blocks are spread over the processor's cores; each has its own random stream, numbered by its place, so that the
result does not depend on how many cores there are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import counts, metrics
from dfdlib.evaluation.drawing import Strata, of_attacks

#: Metrics that can be resampled, as `metrics.evaluate` names them.
NAMES = (
    "eer", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr", "far", "frr", "hter", "macro_eer",
)  # fmt: skip
#: Those that need a threshold.
AT_THRESHOLD = ("far", "frr", "hter")


class SortedScores:
    """The order of one system's scores, ready to turn weights into metrics.

    Parameters
    ----------
    strata : Strata
    scores : ndarray, shape (n,), validated.
    threshold : float, optional
        For `AT_THRESHOLD`.
    attacks : ndarray, shape (n,), optional
        For "macro_eer": the attack of each spoof.
    rows : ndarray of int, optional
        The trials that count; by default all.
    """

    def __init__(
        self,
        strata: Strata,
        scores: np.ndarray,
        *,
        threshold: float | None = None,
        attacks: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self._attacks = [] if attacks is None else [
            SortedScores(strata, scores, rows=own) for own in of_attacks(strata.labels, attacks).values()
        ]  # fmt: skip
        rows = np.arange(scores.size) if rows is None else rows
        order = rows[np.argsort(scores[rows], kind="stable")]
        ordered, real = scores[order], strata.labels[order] == metrics.BONAFIDE
        # The units of the trials of each class, from the lowest score up.
        self._units = strata.member[order[real]], strata.member[order[~real]]
        # How many trials of each class lie below each threshold: where to read the running sums.
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        below = np.concatenate(([0], np.cumsum(real)))[np.append(starts, real.size)]
        self._below = below, np.append(starts, real.size) - below
        alone = np.diff(self._below[0]) == 0, np.diff(self._below[1]) == 0
        # Neighbouring scores of one and the same class are one step of the curve.
        merged = (alone[0][1:] & alone[0][:-1]) | (alone[1][1:] & alone[1][:-1])
        corners = np.append(np.flatnonzero(np.append(True, ~merged)), alone[0].size)
        self._corners = self._below[0][corners], self._below[1][corners]
        self._bayes = _places(ordered, real, metrics.bayes_threshold())
        self._fixed = None if threshold is None else _places(ordered, real, threshold)
        cost = np.logaddexp(0.0, np.where(real, -ordered, ordered)) / np.log(2)
        self._cost = []
        for units, which in zip(self._units, (real, ~real), strict=True):
            summed = np.bincount(units, weights=cost[which])
            first = int(units.min())
            self._cost.append((slice(first, summed.size), summed[first:]))

    def values(self, drawn: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return metrics, float64 (rows, names), of resamples given as weights of cells (rows, cells)."""
        bonafide, spoof = (_running(drawn, units) for units in self._units)
        totals = bonafide[:, -1].astype(np.int64), spoof[:, -1].astype(np.int64)
        found = _of_order(bonafide, spoof, names, below=self._below, corners=self._corners)
        if "cllr" in names:
            means = [
                drawn[:, units].astype(np.float64) @ cost / total
                for (units, cost), total in zip(self._cost, totals, strict=True)
            ]
            found["cllr"] = sum(means) / 2
        if "act_dcf" in names:
            found["act_dcf"] = metrics.detection_cost(*_rates(bonafide, spoof, totals, self._bayes))
        if "macro_eer" in names:
            found["macro_eer"] = self._macro_eer(drawn)
        if set(AT_THRESHOLD) & set(names):
            far, frr = _rates(bonafide, spoof, totals, self._fixed)
            found |= {"far": far, "frr": frr, "hter": (far + frr) / 2}
        return np.stack([found[name] for name in names], axis=1)

    def _macro_eer(self, drawn: np.ndarray) -> np.ndarray:
        """Return the mean EER over the attacks of which any trial was drawn, (rows,)."""
        found = np.full((len(self._attacks), len(drawn)), np.nan)
        for place, attack in enumerate(self._attacks):
            some = np.flatnonzero(drawn[:, attack._units[1]].any(axis=1))
            if some.size:
                found[place, some] = attack.values(drawn[some], ["eer"])[:, 0]
        return np.nanmean(found, axis=0)

    def frr_at_far(self, drawn: np.ndarray, far: np.ndarray) -> np.ndarray:
        """Return the lowest FRR (rows, k) at which FAR is at most each of `far`, falling or rising, (k,)."""
        bonafide, spoof = (_running(drawn, units) for units in self._units)
        rows, last = np.arange(len(drawn))[:, None], len(self._below[0]) - 1
        allowed = far * spoof[:, -1:] + 1e-9
        low, high = np.full((len(drawn), far.size), -1), np.full((len(drawn), far.size), last)
        while (high - low > 1).any():
            middle = np.maximum((low + high) // 2, 0)
            enough = spoof[:, -1:] - spoof[rows, self._below[1][middle]] <= allowed
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return bonafide[rows, self._below[0][high]] / bonafide[:, -1:]


class Bootstrap:
    """The values of metrics (of `NAMES`) of one or more systems on the same trials, as observed and resampled.

    Parameters
    ----------
    labels : ndarray, shape (n,)
    systems : sequence of ndarray, shape (n,)
        Scores; all systems see the same resamples.

    Attributes
    ----------
    observed : ndarray, shape (systems, names)
    draws : ndarray, shape (sets, resamples, systems, names)
        The sets of `Strata.resample`.
    """

    def __init__(
        self,
        labels: np.ndarray,
        systems: Sequence[np.ndarray],
        *,
        names: Sequence[str],
        groups: ArrayLike | None = None,
        threshold: float | None = None,
        attacks: np.ndarray | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        self.strata = Strata(labels, groups)
        ranked = [SortedScores(self.strata, scores, threshold=threshold, attacks=attacks) for scores in systems]

        def values(drawn: np.ndarray) -> np.ndarray:
            return np.stack([scores.values(drawn, names) for scores in ranked], axis=1)

        self.observed = values(np.ones((1, self.strata.cells), dtype=np.uint8))[0]
        self.draws = self.strata.resample(values, resamples=resamples, seed=seed)


def of_ranks(bonafide: np.ndarray, spoof: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return metrics of order (rows, names), of the trials of each class below every threshold, both (rows, k + 1)."""
    every = np.arange(bonafide.shape[1])
    found = _of_order(bonafide, spoof, names, below=(every, every), corners=(every, every))
    return np.stack([found[name] for name in names], axis=1)


# --- metrics of running sums: pairs are of bona fide and spoof, in this order ---


def _places(ordered: np.ndarray, real: np.ndarray, threshold: float) -> tuple[int, int]:
    """Return how many trials of each class lie below a threshold."""
    lower = real[: np.searchsorted(ordered, threshold, side="left")]
    return int(lower.sum()), int((~lower).sum())


def _running(drawn: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the weights summed over a class's sorted trials, int32 (rows, trials + 1), from 0."""
    sums = np.zeros((len(drawn), units.size + 1), dtype=np.int32)
    np.cumsum(np.take(drawn, units, axis=1), axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _of_order(bonafide, spoof, names, *, below, corners) -> dict[str, np.ndarray]:
    """Return the metrics that the order of the scores decides, by name."""
    found = {}
    if "eer" in names:
        found["eer"], *_ = counts.equal_errors(bonafide, spoof, below)
    if not {"auc", "min_dcf", "min_cllr"} & set(names):
        return found
    corners = np.take(bonafide, corners[0], axis=1), np.take(spoof, corners[1], axis=1)
    if "auc" in names:
        found["auc"] = counts.area(*corners)
    if "min_dcf" in names:
        found["min_dcf"] = _least_cost(corners, (bonafide[:, -1], spoof[:, -1]))
    if "min_cllr" in names:
        found["min_cllr"] = counts.min_cllr(*corners)
    return found


def _rates(bonafide, spoof, totals, places) -> tuple[np.ndarray, np.ndarray]:
    """Return FAR and FRR where so many trials of each class lie below the threshold."""
    return (totals[1] - spoof[:, places[1]]) / totals[1], bonafide[:, places[0]] / totals[0]


def _least_cost(corners, totals) -> np.ndarray:
    """Return `metrics.min_dcf` of each row; without arrays of the rates, which would take longer."""
    bonafide, spoof = corners
    miss, accept = metrics.detection_cost(0.0, 1.0), metrics.detection_cost(1.0, 0.0)
    cost = bonafide * (miss / totals[0])[:, None]
    cost -= spoof * (accept / totals[1])[:, None]
    return np.maximum(cost.min(axis=1) + accept, 0.0)
