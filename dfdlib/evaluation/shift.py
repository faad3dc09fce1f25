"""Whether a corpus looks like what a calibration was fitted on.

Where it does not, log-likelihood ratios and the threshold are not to be trusted.
"""

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation import metrics
from dfdlib.evaluation.calibration import Calibration, summary
from dfdlib.evaluation.trials import finite

#: `shift_warnings` warns beyond these shares.
OUTSIDE = 0.05
ONE_SIDE = 0.99
SHIFT = 0.08
_FEWEST_TO_WARN = 10  # clips that a statement about a whole corpus takes
_SIMULATED = 200  # samples that say what distance chance gives
_MANY = 2000  # clips of a simulated sample at most: beyond, chance is far below `SHIFT`


def shift_warnings(
    calibration: Calibration, scores: ArrayLike, *, labels: ArrayLike | None = None, worth: float | None = None
) -> list[str]:
    """Return a warning for each way in which a corpus looks unlike the validation trials.

    - Outside: more than `OUTSIDE` of the scores, and more than ten of as many as were calibrated on, lie below the
      lowest or above the highest validation score.
    - One side: of at least ten clips, `ONE_SIDE` or more lie on one side of the threshold.
    - Shift: the distribution of the scores is no mixture of the two classes' validation scores, in any proportion. Of
      at least ten clips, the least Anderson–Darling distance to such a mixture exceeds what chance alone gives in 1 %
      of simulated samples of as many validation and test clips, and the Kolmogorov distance to it exceeds `SHIFT`.
    - Unlike either class: of fewer than ten clips, each that lies below or above all validation scores of both classes,
      or between them where neither class has any.
    - The wrong way round, where ``labels`` (n,) are known: the bona fide clips score lower than the spoofs.

    With 130 validation trials of each class and 424 clips, a shift of one standard deviation of a class was noticed in
    82 to 100 % of simulated corpora where the classes are 1.5 of them apart, in 98 to 100 % where they are two, and of
    half a standard deviation in a quarter; independent clips of the same kind gave a warning in 1 %
    (`tests/benchmarks/bench_shift.py`). Clips of few speakers look unlike more often: ``worth`` says how many
    independent clips they are worth (`drawing.Strata.worth`). Without labels, scores the wrong way round can look as
    scores should. Silence is no proof: scores can look alike and mean something else.
    """
    scores = finite(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise DataError(f"scores have shape {scores.shape}; give one number for each clip, at least one")
    found = []
    if labels is not None and (auc := metrics.auc(labels, scores)) < 0.5:
        found.append(
            f"Bona fide clips score lower than spoofs here (AUC {auc:.3f}, where 0.5 is chance): probabilities and "
            "threshold are the wrong way round."
        )
    if scores.size < _FEWEST_TO_WARN:
        return found + [line for score in scores if (line := _unlike(calibration, float(score)))]
    below, above = int(np.sum(scores < calibration.low)), int(np.sum(scores > calibration.high))
    outside = below + above
    if outside > scores.size * max(OUTSIDE, 10 / (calibration.n_bonafide + calibration.n_spoof)):
        found.append(
            f"{outside} of {scores.size} scores ({metrics.percent(outside / scores.size, 0)}) are outside the range "
            f"that was calibrated on, {calibration.low:.3g} to {calibration.high:.3g} ({below} below, {above} above): "
            "their probabilities are extrapolated."
        )
    accepted = int(np.sum(scores >= calibration.threshold))
    for count, verdict in ((accepted, "bona fide"), (scores.size - accepted, "spoof")):
        if count >= ONE_SIDE * scores.size:
            found.append(
                f"{count} of {scores.size} clips come out as {verdict} at the threshold of "
                f"{calibration.threshold:.3g}: unless nearly all of them are, the detector does not work on this "
                "kind of recording."
            )
    weighted, distance, share = _distances(calibration.bonafide, calibration.spoof, scores)
    size = scores.size if worth is None else max(1, min(scores.size, round(worth)))
    # Simulated only where it can matter.
    if distance > SHIFT and weighted > _distance_by_chance(calibration, size, share):
        found.append(
            "No mixture of bona fide and spoof clips like those calibrated on gives such scores (Kolmogorov "
            f"distance {distance:.2f}): the recordings differ in kind, and probabilities and threshold may not hold "
            "for them."
        )
    return found


def _unlike(calibration: Calibration, score: float) -> str:
    """Say that one score is unlike those of either class, or nothing."""
    parts = (np.array(calibration.bonafide), np.array(calibration.spoof))
    if any(part[0] <= score <= part[-1] for part in parts):
        return ""
    place = "below all" if score < calibration.low else "above all" if score > calibration.high else "between the"
    return (
        f"The score {score:.3g} is unlike those of either class: it lies {place} validation scores "
        f"({calibration.low:.3g} to {calibration.high:.3g}), and its probability is extrapolated."
    )


def _distances(bonafide: ArrayLike, spoof: ArrayLike, scores: np.ndarray) -> tuple[float, float, float]:
    """Return the distances of scores to the nearest mixture of two classes, and the share of bona fide in it.

    The first distance is the mean squared difference of the two distributions, weighed as Anderson and Darling (1952)
    do so that their ends count; it chooses the mixture. The second is the largest difference.
    """
    scores = np.sort(scores)
    parts = [np.asarray(bonafide), np.asarray(spoof)]
    places = np.unique(np.concatenate((*parts, summary(scores))))
    # Both sides of every step.
    found, real, fake = (
        np.concatenate([np.searchsorted(part, places, side=side) / part.size for side in ("left", "right")])
        for part in (scores, *parts)
    )
    shares = np.linspace(0, 1, 51)
    mixed = fake + shares[:, None] * (real - fake)
    weighted = ((found - mixed) ** 2 / np.maximum(mixed * (1 - mixed), 0.01)).mean(axis=1)
    best = int(np.argmin(weighted))
    return float(weighted[best]), float(np.abs(found - mixed[best]).max()), float(shares[best])


def _distance_by_chance(calibration: Calibration, size: int, share: float) -> float:
    """Return the weighted distance that 1 % of samples of the same kind exceed: all clips drawn anew."""
    rng = np.random.default_rng(0)

    def drawn(part: tuple[float, ...], count: int) -> np.ndarray:
        return np.interp(rng.random(min(count, _MANY)), np.linspace(0, 1, len(part)), part)

    distances = []
    for _ in range(_SIMULATED):
        classes = [
            np.sort(drawn(part, count))
            for part, count in (
                (calibration.bonafide, calibration.n_bonafide),
                (calibration.spoof, calibration.n_spoof),
            )
        ]
        real = rng.binomial(min(size, _MANY), share)
        test = (drawn(calibration.bonafide, real), drawn(calibration.spoof, min(size, _MANY) - real))
        distances.append(_distances(*classes, np.concatenate(test))[0])
    return float(np.quantile(distances, 0.99))
