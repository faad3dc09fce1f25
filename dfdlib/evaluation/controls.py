"""Negative controls: figures whose value is known, since there is nothing to find or something is wrong on purpose.

A figure is worth something only if the same computation gives chance where there is chance. Each control returns what
was expected, what came out, and whether the two agree.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import metrics
from dfdlib.evaluation.metrics import percent


class Control(NamedTuple):
    """What was done, what was expected and found, in words and figures, and whether the two agree."""

    name: str
    expected: str
    found: str
    holds: bool


def shuffled_labels(labels: ArrayLike, scores: ArrayLike, *, shuffles: int = 200, seed: int = 0) -> Control:
    """Give the scores labels in a random order, many times: the mean EER must be one half.

    It holds when one half lies within 3.3 standard errors of the mean, which chance alone misses once in a thousand
    times. The convention is `metrics.eer_interpolated`, which has no bias at chance.
    """
    if shuffles < 2:
        raise ParameterError(f"shuffles={shuffles}: must be at least 2")
    labels, scores = metrics.validate(labels, scores)
    rng = np.random.default_rng(seed)
    eers = np.array([metrics.eer_interpolated(rng.permutation(labels), scores) for _ in range(shuffles)])
    low, high = np.quantile(eers, [0.025, 0.975])
    error = eers.std(ddof=1) / np.sqrt(shuffles)
    return Control(
        name="labels shuffled",
        expected="a mean EER of 50 %",
        found=f"{percent(eers.mean())} over {shuffles} shuffles, 95 % of them from {percent(low)} to {percent(high)}",
        holds=bool(abs(eers.mean() - 0.5) <= 3.3 * error + 1e-12),
    )


def negated_scores(labels: ArrayLike, scores: ArrayLike) -> Control:
    """Turn the direction of the scores round: EER and AUC must become one minus themselves."""
    labels, scores = metrics.validate(labels, scores)
    eer, mirrored = (metrics.eer_interpolated(labels, values) for values in (scores, -scores))
    auc, turned = (metrics.auc(labels, values) for values in (scores, -scores))
    return Control(
        name="scores negated",
        expected=f"an EER of {percent(1 - eer)} and an AUC of {1 - auc:.3f}",
        found=f"{percent(mirrored)} and {turned:.3f}",
        holds=bool(abs(1 - eer - mirrored) < 1e-9 and abs(1 - auc - turned) < 1e-9),
    )


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


def one_class(labels: ArrayLike, scores: ArrayLike) -> Control:
    """Leave only the bona fide trials: there must be an error and no figure."""
    labels, scores = metrics.validate(labels, scores)
    bonafide = labels == metrics.BONAFIDE
    try:
        found, refused = f"an EER of {percent(metrics.eer(labels[bonafide], scores[bonafide]).value)}", False
    except DataError as error:
        found, refused = f"refused: {error}", True
    return Control(name="bona fide trials only", expected="an error, no figure", found=found, holds=refused)


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
