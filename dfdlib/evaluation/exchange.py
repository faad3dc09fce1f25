"""The exchange test: what a change between two detectors would be if it did not matter which one is which.

Where a detector makes a handful of errors, resamples repeat those few, and an interval made from them is too narrow.
Here the two detectors' scores are exchanged instead, for each unit by the toss of a coin (Venkatraman and Begg, 1996).
As detectors have scales of their own, ranks among all trials are exchanged. Where the detectors are equally good, the
change that was found is one of many such; p is the share of exchanges that change as much or more, itself among them,
and so never 0. The interval reaches as far to both sides as the exchanges do, so that it leaves out 0 exactly where p
is below the risk.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from dfdlib.evaluation import counts
from dfdlib.evaluation.bootstrap import of_ranks
from dfdlib.evaluation.drawing import Strata, of_attacks
from dfdlib.evaluation.trials import BONAFIDE, SPOOF

#: Metrics that ranks decide.
BY_RANK = ("eer", "auc", "min_dcf", "min_cllr", "macro_eer")
#: With fewer errors in a class, by either detector, a change is judged by exchange.
FEW = 5
# Counts held at a time.
_BLOCK = 2**20


def has_few_errors(labels: np.ndarray, systems: Sequence[np.ndarray], attacks: np.ndarray | None = None) -> bool:
    """Tell whether a system makes fewer than `FEW` errors in a class at its equal error rate, or on an attack's."""
    parts = [np.arange(labels.size)] if attacks is None else of_attacks(labels, attacks).values()
    for part, scores in itertools.product(parts, systems):
        real, values = labels[part] == BONAFIDE, scores[part]
        accepted = values >= counts.Tally.of(labels[part], values).eer.threshold
        if min(np.sum(~accepted[real]), np.sum(accepted[~real])) < FEW:
            return True
    return False


def changes(
    strata: Strata,
    before: np.ndarray,
    after: np.ndarray,
    *,
    names: Sequence[str],
    resamples: int,
    seed: int,
    attacks: np.ndarray | None = None,
) -> np.ndarray:
    """Return the change of each metric and pair of rows in each exchange, (resamples, names, rows).

    Parameters
    ----------
    strata : Strata
        Its units are exchanged; of two kinds, those with the least effective number.
    before, after : ndarray, shape (rows, n)
        Scores; several rows, as of several seeds, are exchanged together.
    names : sequence of str
        Of `BY_RANK`.
    attacks : ndarray, shape (n,), optional
        For "macro_eer".
    """
    rng = np.random.default_rng([seed, 1])
    unit = strata.coarsest
    number = int(unit.max()) + 1
    if 2 ** (number + 1) <= resamples:  # every exchange in turn, twice for the two ways with equal ranks
        swapped = (np.arange(resamples)[:, None] // 2 >> np.arange(number)) & 1 == 1
    else:
        swapped = rng.random((resamples, number)) < 0.5
    order = [name for name in names if name != "macro_eer"]
    every = np.arange(unit.size)
    found = np.zeros((resamples, len(names), len(before)))
    for row, pair in enumerate(zip(before, after, strict=True)):
        if order:
            columns = [number for number, name in enumerate(names) if name in order]
            found[:, columns, row] = _exchanged(strata.labels, pair, swapped, unit, every, order)
        if "macro_eer" in names:
            parts = of_attacks(strata.labels, attacks).values()
            each = [_exchanged(strata.labels, pair, swapped, unit, part, ["eer"])[:, 0] for part in parts]
            found[:, list(names).index("macro_eer"), row] = np.mean(each, axis=0)
    return found


def _exchanged(labels, pair, swapped, unit, part, names: Sequence[str]) -> np.ndarray:
    """Return the changes (resamples, names) of a pair of systems on the trials of a part."""
    from scipy.stats import rankdata

    labels, unit = labels[part], unit[part]
    # Twice the mean ranks are whole numbers; twice these leave a place between every two.
    ranks = [2 * np.rint(2 * rankdata(scores[part])).astype(np.int64) for scores in pair]
    found = np.zeros((len(swapped), len(names)))
    if np.array_equal(*ranks):  # detectors that rank all trials alike do not differ
        return found
    # Equal ranks of the two are told apart, by turns in favour of either.
    for turn, shift in enumerate((-1, 1)):
        grid, codes = np.unique(np.concatenate([ranks[0], ranks[1] + shift]), return_inverse=True)
        ours, theirs = codes[: unit.size], codes[unit.size :]
        rows = np.arange(turn, len(swapped), 2)
        for block in np.array_split(rows, max(1, math.ceil(rows.size * grid.size / _BLOCK))):
            swap = swapped[block][:, unit]
            new, old = (
                _values(labels, np.where(swap, *codes), grid.size, names) for codes in ((ours, theirs), (theirs, ours))
            )
            found[block] = new - old
    return found


def _values(labels: np.ndarray, codes: np.ndarray, grid: int, names: Sequence[str]) -> np.ndarray:
    """Return metrics (rows, names) of scores that are whole numbers below `grid`, (rows, n)."""
    place = codes + np.arange(len(codes))[:, None] * grid
    below = []
    for label in (BONAFIDE, SPOOF):
        found = np.bincount(place[:, labels == label].ravel(), minlength=len(codes) * grid).reshape(-1, grid)
        below.append(np.concatenate([np.zeros((len(codes), 1), np.int64), np.cumsum(found, axis=1)], axis=1))
    return of_ranks(*below, names)
