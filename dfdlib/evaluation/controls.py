"""Controls: what must come out is known beforehand, or something is wrong on purpose and must be refused.

A figure is worth something only if the same computation gives what is right where that is known. Each control returns
what was expected, what came out, and whether the two agree.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation import metrics
from dfdlib.evaluation.metrics import percent


class Control(NamedTuple):
    """What was done, what was expected and found, in words and figures, and whether the two agree."""

    name: str
    expected: str
    found: str
    holds: bool


def compared(name: str, expected: Mapping[str, float], found: Mapping[str, float], *, within: float = 1e-9) -> Control:
    """Hold figures against those that are known, each within so much."""
    said = (", ".join(f"{key} {figures[key]:.4g}" for key in expected) for figures in (expected, found))
    return Control(name, *said, holds=all(abs(found[key] - value) <= within for key, value in expected.items()))


def refused(name: str, work: Callable[[], object]) -> Control:
    """Do what has to be refused as wrong data."""
    try:
        work()
    except DataError:
        return Control(name, "refused", "refused", holds=True)
    return Control(name, "refused", "taken", holds=False)


def equal_scores(labels: ArrayLike) -> Control:
    """Give every trial one score: EER and AUC must be exactly one half, whatever the order of the trials."""
    labels, scores = metrics.validate(labels, np.zeros(np.size(labels)))
    eer, auc = metrics.eer(labels, scores).value, metrics.auc(labels, scores)
    return Control(
        name="one score for all",
        expected="an EER of 50 % and an AUC of 0.5",
        found=f"{percent(eer)} and {auc:.3f}",
        holds=eer == auc == 0.5,
    )


def untrained(labels: ArrayLike, scores: ArrayLike, *, auc_low: float, auc_high: float, level: float = 0.95) -> Control:
    """Measure a detector with random weights: the interval of its AUC must reach one half.

    A network that was never trained still reacts to loudness and spectrum. When this control fails, such plain
    features tell the classes apart, and the corpus is at fault, not the detector.
    ``auc_low`` and ``auc_high`` are the bootstrap interval of the AUC, ``level`` its level.
    """
    auc, eer = metrics.auc(labels, scores), metrics.eer(labels, scores).value
    return Control(
        name="detector with random weights",
        expected="an AUC of 0.5 within its interval",
        found=f"{auc:.3f} ({100 * level:g} % interval {auc_low:.3f} to {auc_high:.3f}), an EER of {percent(eer)}",
        holds=bool(auc_low <= 0.5 <= auc_high),
    )


def wrong_rate(right: ArrayLike, wrong: ArrayLike, *, threshold: float) -> Control:
    """Compare the scores of the same clips read at the right and at a wrong sample rate: they must differ.

    ``right`` and ``wrong``, (n,), are scores of the same clips in the same order.
    """
    right, wrong = np.asarray(right, float), np.asarray(wrong, float)
    moved = np.abs(wrong - right)
    turned = np.mean((right >= threshold) != (wrong >= threshold))
    return Control(
        name="clips read at 22,050 Hz, taken for 16,000 Hz",
        expected="other scores",
        found=f"a score moves by {np.median(moved):.2f} in the median (their standard deviation is "
        f"{right.std():.2f}), and {percent(turned)} of the clips change sides",
        holds=bool(moved.max() > 0),
    )
