"""What a threshold and a calibration are worth where they are carried to, with intervals.

Both were chosen on validation trials. Other validation trials would have chosen others, so the intervals here draw the
validation trials again as well: each of `REFITS` draws of them gives a threshold and a calibration, and how much the
test set's figures move with them is added to how much they move with the test set's own clips.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import calibration, limits, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap
from dfdlib.evaluation.drawing import Strata
from dfdlib.evaluation.intervals import Difference, Interval, of_seeds, rows_of

if TYPE_CHECKING:
    from dfdlib.evaluation.units import Units

#: Of carried log-likelihood ratios; and these with those at the carried threshold.
BY_CALIBRATION = ("cllr", "act_dcf")
METRICS = (*AT_THRESHOLD, *BY_CALIBRATION)
#: Draws of the validation trials.
REFITS = 200


@dataclass(frozen=True, eq=False)
class Validation:
    """The trials that a threshold and a calibration were chosen on: labels, scores, and what is drawn together.

    Of several seeds, scores are (seeds, n).
    """

    labels: np.ndarray
    scores: np.ndarray
    groups: "Units | ArrayLike | None" = None


def refits(validation: Validation, *, seed: int = 0) -> np.ndarray:
    """Return ``threshold slope intercept lowest highest`` of `calibration.fit` on each draw of validation trials.

    Shape (`REFITS`, 5). Of trials that were drawn before, as for another corpus, nothing is fitted again.
    """
    labels, scores = metrics.validate(validation.labels, validation.scores)
    strata = Strata(labels, validation.groups)
    weights = strata.resample(lambda drawn: drawn[:, strata.member], resamples=REFITS, seed=seed)
    return _fitted(*((part.tobytes(), part.dtype) for part in (labels, scores, weights)))


@functools.lru_cache(maxsize=16)
def _fitted(*parts: tuple[bytes, np.dtype]) -> np.ndarray:
    labels, scores, weights = (np.frombuffer(*part) for part in parts)
    fits = (
        calibration.fit(np.repeat(labels, row), np.repeat(scores, row), fewest=1)
        for row in weights.reshape(-1, labels.size)
    )
    return np.array([(one.threshold, one.slope, one.intercept, one.lowest, one.highest) for one in fits])


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

    Parameters
    ----------
    labels : array_like, shape (n,)
        Of the test set.
    scores : array_like, shape (n,) or ndarray, shape (seeds, n)
        As the detector gives them, on the scale of the validation's. With several rows, as of several seeds, a metric
        is the mean over the rows, each by a threshold and a calibration of its own.
    validation : Validation
        With as many rows of scores.
    names : sequence of str
        Of `METRICS`: "far", "frr" and "hter" at the EER threshold of the validation trials, "cllr" and "act_dcf" of the
        log-likelihood ratios by `calibration.fit`.
    groups, resamples, level, seed
        As in `intervals.intervals`.
    """
    boot = _carried(labels, scores, validation, names, groups, resamples, seed)
    first = np.atleast_2d(scores)[0]
    found = {}
    for number, name in enumerate(names):
        value, each, moved = float(boot.observed[number]), boot.by_seed[:, number], boot.moved[:, number]

        def others(there, each=each, moved=moved):
            return [limits.Spread(float(np.var(there(moved), ddof=1)), boot.freedom), *of_seeds(there(each))]

        ends = limits.of_metric(name, value, boot.draws[:, number], boot.strata, first, level, others=others)
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
        draws = new.draws[:, number] - old.draws[:, number]
        moved = float(np.var(new.moved[:, number] - old.moved[:, number], ddof=1))
        spread = [limits.Spread(moved, new.freedom), *of_seeds(new.by_seed[:, number] - old.by_seed[:, number])]
        low, high, p = limits.of_change(name, delta, draws, new.strata, level, others=spread)
        found[name] = Difference(float(old.observed[number]), float(new.observed[number]), delta, low, high, p)
    return found


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Metrics of the test set: as its own clips are drawn again (resamples, names), and validation clips."""

    by_seed: np.ndarray  #: as observed, (seeds, names)
    draws: np.ndarray
    moved: np.ndarray  #: (REFITS, names)
    freedom: float  #: of what validation clips change
    strata: Strata

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
    return _Drawn(by_seed, draws, moved, each[0].freedom, each[0].strata)


def _of_row(labels, scores, validation, names, groups, resamples, seed) -> _Drawn:
    known, given = metrics.validate(validation.labels, validation.scores)
    fitted = calibration.fit(known, given)
    options = {"groups": groups, "resamples": resamples, "seed": seed}
    kinds = [kind for kind in (AT_THRESHOLD, BY_CALIBRATION) if set(kind) & set(names)]
    parts = [
        Bootstrap(
            labels,
            [scores if kind is AT_THRESHOLD else fitted.llr(scores)],
            names=kind,
            threshold=fitted.threshold,
            **options,
        )
        for kind in kinds
    ]
    known_names = [name for kind in kinds for name in kind]
    order = [known_names.index(name) for name in names]
    observed, draws = (np.concatenate([getattr(part, kind)[..., 0, :] for part in parts], axis=-1)[..., order]
                       for kind in ("observed", "draws"))  # fmt: skip
    moved = np.zeros((REFITS, len(known_names)))
    for row, (threshold, slope, intercept, lowest, highest) in enumerate(refits(validation, seed=seed + 1)):
        if AT_THRESHOLD in kinds:
            far, frr = metrics.error_rates(labels, scores, threshold=threshold)
            moved[row, : len(AT_THRESHOLD)] = far, frr, (far + frr) / 2
        if BY_CALIBRATION in kinds:
            llr = np.clip(slope * scores + intercept, lowest, highest)
            moved[row, -len(BY_CALIBRATION) :] = metrics.cllr(labels, llr), metrics.act_dcf(labels, llr)
    widening, freedom = limits.student(Strata(known, validation.groups))
    moved = observed + widening * (moved[:, order] - observed)
    return _Drawn(observed[None], draws, moved, freedom, parts[0].strata)
