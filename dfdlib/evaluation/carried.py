"""What a threshold and a calibration are worth where they are carried to, with intervals.

Both were chosen on validation trials. Other validation trials would have chosen others, so the intervals here draw the
validation trials again as well: each of `REFITS` draws of them gives a threshold and a calibration, and how much the
test set's figures move with them is added to how much they move with the test set's own clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.evaluation import calibration, limits, metrics
from dfdlib.evaluation.bootstrap import AT_THRESHOLD, Bootstrap
from dfdlib.evaluation.drawing import Strata
from dfdlib.evaluation.intervals import Difference, Interval

if TYPE_CHECKING:
    from dfdlib.evaluation.units import Units

#: Of carried log-likelihood ratios; and these with those at the carried threshold.
BY_CALIBRATION = ("cllr", "act_dcf")
METRICS = (*AT_THRESHOLD, *BY_CALIBRATION)
#: Draws of the validation trials.
REFITS = 200


@dataclass(frozen=True, eq=False)
class Validation:
    """The trials that a threshold and a calibration were chosen on: labels, scores, and what is drawn together."""

    labels: np.ndarray
    scores: np.ndarray
    groups: "Units | ArrayLike | None" = None


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
    labels, scores : array_like, shape (n,)
        Of the test set; scores as the detector gives them, on the scale of the validation's.
    validation : Validation
    names : sequence of str
        Of `METRICS`: "far", "frr" and "hter" at the EER threshold of the validation trials, "cllr" and "act_dcf" of the
        log-likelihood ratios by `calibration.fit`.
    groups, resamples, level, seed
        As in `intervals.intervals`.
    """
    labels, scores = metrics.validate(labels, scores)
    boot, moved, freedom = _carried(labels, scores, validation, names, groups, resamples, seed)
    found = {}
    for number, name in enumerate(names):
        value = float(boot.observed[number])

        def others(there, number=number):
            return [limits.Spread(float(np.var(there(moved[:, number]), ddof=1)), freedom)]

        ends = limits.of_metric(name, value, boot.draws[:, number], boot.strata, scores, level, others=others)
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
    where the interval leaves out 0, and only there.
    """
    labels, _ = metrics.validate(labels, before)
    pair = [
        _carried(labels, metrics.validate(labels, scores)[1], validation, names, groups, resamples, seed)
        for scores, validation in zip((before, after), validations, strict=True)
    ]
    (old, old_moved, freedom), (new, new_moved, _) = pair
    found = {}
    for number, name in enumerate(names):
        delta = float(new.observed[number] - old.observed[number])
        draws = new.draws[:, number] - old.draws[:, number]
        spread = limits.Spread(float(np.var(new_moved[:, number] - old_moved[:, number], ddof=1)), freedom)
        low, high, p = limits.of_change(name, delta, draws, new.strata, level, others=[spread])
        found[name] = Difference(float(old.observed[number]), float(new.observed[number]), delta, low, high, p)
    return found


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Metrics of the test set: as observed (names,), and as its own clips are drawn again (resamples, names)."""

    observed: np.ndarray
    draws: np.ndarray
    strata: Strata


def _carried(labels, scores, validation, names, groups, resamples, seed) -> tuple[_Drawn, np.ndarray, float]:
    """Return the test set's draws, its metrics (REFITS, names) by redrawn validation, and their degrees of freedom."""
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
    strata = Strata(known, validation.groups)
    weights = strata.resample(lambda drawn: drawn[:, strata.member], resamples=REFITS, seed=seed + 1)
    moved = np.zeros((REFITS, len(known_names)))
    for row, weight in enumerate(weights):
        drawn = np.repeat(known, weight), np.repeat(given, weight)
        if AT_THRESHOLD in kinds:
            far, frr = metrics.error_rates(labels, scores, threshold=metrics.eer(*drawn).threshold)
            moved[row, : len(AT_THRESHOLD)] = far, frr, (far + frr) / 2
        if BY_CALIBRATION in kinds:
            llr = calibration.fit(*drawn, fewest=1).llr(scores)
            moved[row, -len(BY_CALIBRATION) :] = metrics.cllr(labels, llr), metrics.act_dcf(labels, llr)
    widening, freedom = limits.student(strata)
    moved = observed + widening * (moved[:, order] - observed)
    return _Drawn(observed, draws, parts[0].strata), moved, freedom
