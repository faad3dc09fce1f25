"""What a threshold and a calibration are worth where they are carried to, with intervals.

Both were chosen on validation trials. Other validation trials would have chosen others, so the intervals here draw the
validation trials again as well: each of `REFITS` draws of them gives a threshold and a calibration, and how much the
test set's figures move with them is added to how much they move with the test set's own clips.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import calibration, limits, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap
from dfdlib.evaluation.drawing import Strata
from dfdlib.evaluation.intervals import Difference, Interval, of_seeds, rows_of

if TYPE_CHECKING:
    from dfdlib.evaluation.units import Units

#: Taken unless told otherwise: errors at the carried threshold, and costs of carried log-likelihood ratios (LLRs).
METRICS = (*AT_THRESHOLD, "cllr", "act_dcf")
#: What LLRs are worth as evidence: Cllr is discrimination (`min_cllr`) plus calibration (`loss`). Shares of each class
#: whose LLR speaks for the other one (Royall, 2000), and by a factor of ten or more; an LLR of 0 speaks for neither.
EVIDENCE = ("cllr", "min_cllr", "loss", "misled_bonafide", "misled_spoof", "tenfold_bonafide", "tenfold_spoof")
#: Draws of the validation trials.
REFITS = 200


@dataclass(frozen=True, eq=False)
class Validation:
    """The trials that a threshold and a calibration were chosen on, and what is drawn together."""

    labels: np.ndarray  #: (n,)
    scores: np.ndarray  #: (n,), or (seeds, n)
    groups: "Units | ArrayLike | None" = None


@dataclass(frozen=True, eq=False)
class Refits:
    """Calibrations on validation trials that were drawn again: of each the threshold and the map, (sets, `REFITS`)."""

    strata: Strata
    maps: np.ndarray  #: threshold, slope, intercept, lowest and highest LLR, (sets, REFITS, 5)

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike, groups: "Units | ArrayLike | None", *, seed: int) -> "Refits":
        """Fit them; for the same trials and seed once in a process, since it takes seconds."""
        strata = Strata(labels, groups)
        weights = strata.resample(lambda drawn: drawn[:, strata.member], resamples=REFITS, seed=seed)
        key = hashlib.sha256(b"".join(part.tobytes() for part in (labels, scores, weights))).digest()
        if key not in _FITTED:
            rows = weights.reshape(-1, labels.size)
            drawn = (calibration.fit(np.repeat(labels, row), np.repeat(scores, row), fewest=1) for row in rows)
            maps = [(one.threshold, one.slope, one.intercept, one.lowest, one.highest) for one in drawn]
            _FITTED[key] = np.reshape(maps, (*weights.shape[:2], -1))
        return cls(strata, _FITTED[key])

    @property
    def thresholds(self) -> np.ndarray:
        return self.maps[..., 0]

    def reach(self, score: float, *, level: float = 0.95) -> float:
        """Return how far other validation trials would move the log-likelihood ratio of a score.

        Each map has its bounds: where drawn trials are separable, its slope is nearly infinite.
        """
        moved = np.clip(self.maps[..., 1] * score + self.maps[..., 2], self.maps[..., 3], self.maps[..., 4])
        return limits.reach([limits.own(moved, self.strata)], level)

    def llr(self, scores: ArrayLike, place: tuple[int, int]) -> np.ndarray:
        """Return the log-likelihood ratios of scores (n,) by one of the maps."""
        _, slope, intercept, lowest, highest = self.maps[place]
        return np.clip(slope * np.asarray(scores) + intercept, lowest, highest)


# The maps of validation trials, by content.
_FITTED: dict[bytes, np.ndarray] = {}


def intervals(
    labels: ArrayLike,
    scores: ArrayLike,
    validation: Validation,
    *,
    names: Sequence[str] = METRICS,
    groups: "Units | ArrayLike | None" = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return metrics of a test set at the threshold, and by the calibration, of validation trials.

    The options are those of `intervals.intervals`.

    Parameters
    ----------
    labels : array_like, shape (n,)
    scores : array_like, shape (n,) or ndarray, shape (seeds, n)
        As the detector gives them, on the scale of the validation's. With several rows, and as many of validation
        scores, a metric is the mean over the rows, each by a threshold and a calibration of its own.
    names : sequence of str
        Of `METRICS` and `EVIDENCE`: "far", "frr" and "hter" at the EER threshold of the validation trials, the others
        of the log-likelihood ratios by `calibration.fit`.
    """
    boot = _carried(labels, scores, validation, names, groups, resamples, seed)
    first = np.atleast_2d(scores)[0]
    found = {}
    for number, name in enumerate(names):
        value, each, moved = float(boot.observed[number]), boot.by_seed[:, number], boot.moved[..., number]

        def others(there, each=each, moved=moved):
            return [limits.own(there(moved), boot.validation), *of_seeds(there(each))]

        if name == "loss":
            spread = others(lambda loss: loss)
            low, high, _ = limits.of_change("", value, boot.draws[..., number], boot.strata, level, others=spread)
            ends = max(low, 0.0), high
        else:
            given = (boot.draws[..., number], boot.strata, first, level)
            ends = limits.of_metric(_RULES[name], value, *given, others=others)
        found[name] = Interval(value, *ends)
    return found


def paired_differences(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    validations: tuple[Validation, Validation],
    *,
    names: Sequence[str] = METRICS,
    groups: "Units | ArrayLike | None" = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return the changes of `intervals` from one system to another, on the same clips.

    ``validations`` are the same validation clips in the same order, scored by the two systems. p is below 1 - level
    where the interval leaves out 0, and only there. Several rows are of several seeds, of ``after`` or of both.
    """
    old, new = (
        _carried(labels, scores, validation, names, groups, resamples, seed)
        for scores, validation in zip((before, after), validations, strict=True)
    )
    found = {}
    for number, name in enumerate(names):
        delta = float(new.observed[number] - old.observed[number])
        draws = new.draws[..., number] - old.draws[..., number]
        moved = limits.own(new.moved[..., number] - old.moved[..., number], new.validation)
        spread = [moved, *of_seeds(new.by_seed[:, number] - old.by_seed[:, number])]
        low, high, p = limits.of_change(name, delta, draws, new.strata, level, others=spread)
        found[name] = Difference(float(old.observed[number]), float(new.observed[number]), delta, low, high, p)
    return found


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Metrics of the test set: as its own clips are drawn again, and as validation clips are."""

    by_seed: np.ndarray  #: as observed, (seeds, names)
    draws: np.ndarray  #: (sets, resamples, names)
    moved: np.ndarray  #: (sets, REFITS, names)
    strata: Strata
    validation: Strata

    @property
    def observed(self) -> np.ndarray:
        return self.by_seed.mean(axis=0)


def _carried(labels, scores, validation, *options) -> _Drawn:
    """Return the metrics of a test set, the mean over the rows of scores; all rows see the same draws."""
    pairs = zip(rows_of(labels, scores), rows_of(validation.labels, validation.scores), strict=True)
    labels, _ = metrics.validate(labels, np.atleast_2d(scores)[0])
    each = [
        _of_row(labels, row, Validation(validation.labels, given, validation.groups), *options) for row, given in pairs
    ]
    draws, moved = (np.mean([getattr(one, kind) for one in each], axis=0) for kind in ("draws", "moved"))
    by_seed = np.concatenate([one.by_seed for one in each])
    return _Drawn(by_seed, draws, moved, each[0].strata, each[0].validation)


class _Part(NamedTuple):
    """Metrics that one bootstrap gives: their names here, and those of `bootstrap`."""

    names: tuple[str, ...]
    metrics: tuple[str, ...]
    threshold: float | None = None  #: of LLRs; None for metrics without one
    of_llr: bool = True  #: else of scores, at the carried threshold


def _misled(kind: str, factor: float) -> list[_Part]:
    least = max(math.log(factor) * (1 - 1e-12), np.finfo(float).tiny)
    below = float(np.nextafter(-least, 0.0))
    return [_Part((f"{kind}_bonafide",), ("frr",), below), _Part((f"{kind}_spoof",), ("far",), least)]


_COSTS = ("cllr", "act_dcf", "min_cllr")
_PARTS = (
    _Part(AT_THRESHOLD, AT_THRESHOLD, of_llr=False), _Part(_COSTS, _COSTS), *_misled("misled", 1),
    *_misled("tenfold", 10),
)  # fmt: skip
# By which of the rules of `limits` an interval is made; a loss of calibration has none.
_RULES = {name: metric for part in _PARTS for name, metric in zip(part.names, part.metrics, strict=True)}


def _measured(labels: np.ndarray, scores: np.ndarray, names: Sequence[str], threshold: float | None) -> list[float]:
    """Return metrics in the order of their names; rates at a threshold are counted once for all that need them."""
    if threshold is None:
        return [getattr(metrics, name)(labels, scores) for name in names]
    far, frr = metrics.error_rates(labels, scores, threshold=threshold)
    rates = {"far": far, "frr": frr, "hter": (far + frr) / 2}
    return [rates[name] for name in names]


def _of_row(labels, scores, validation, names, groups, resamples, seed) -> _Drawn:
    known, given = metrics.validate(validation.labels, validation.scores)
    fitted, refits = calibration.fit(known, given), Refits.of(known, given, validation.groups, seed=seed + 1)
    needed = {*names, *(("cllr", "min_cllr") if "loss" in names else ())}
    found: dict[str, tuple] = {}  # observed, draws, moved
    for part in _PARTS:
        own = [name for name in part.names if name in needed]
        if not own:
            continue
        wanted = [_RULES[name] for name in own]
        values = fitted.llr(scores) if part.of_llr else scores
        threshold = part.threshold if part.of_llr else fitted.threshold
        options = {"groups": groups, "resamples": resamples, "seed": seed, "threshold": threshold}
        boot = Bootstrap(labels, [values], names=wanted, **options)
        moved = np.empty((*refits.thresholds.shape, len(own)))
        for place in np.ndindex(refits.thresholds.shape):
            again, at = (refits.llr(scores, place), threshold) if part.of_llr else (scores, refits.thresholds[place])
            moved[place] = _measured(labels, again, wanted, at)
        for number, name in enumerate(own):
            found[name] = boot.observed[0, number], boot.draws[..., 0, number], moved[..., number]
    if "loss" in names:
        found["loss"] = tuple(one - other for one, other in zip(found["cllr"], found["min_cllr"], strict=True))
    observed, draws, moved = (np.stack([found[name][kind] for name in names], axis=-1) for kind in range(3))
    return _Drawn(observed[None], draws, moved, boot.strata, refits.strata)
