"""Changes that are judged together: with many claims, chance has no more room than with one.

`judge` is the one procedure for all families of the report (corpora, attacks, recipes): p-values adjusted by Holm's
method, and each interval at the level that its p was held against, so that an interval leaves out 0 just where a
change is shown.

Other seeds
-----------
A change that was trained several times is the mean over the seeds. The variance of that mean from seed to seed is added
to that of the test set, with Student's t at Satterthwaite's (1946) degrees of freedom, of which three seeds have two.
Drawing three seeds again with replacement would halve their variance and know nothing of its uncertainty.

In 200 simulated studies of three trainings (``tests/benchmarks/bench_coverage.py 200 seeds``: EERs of 6 and 30 %, with
and without a gain, from no spread of the seeds to five times that of the test set), 90 to 97 % of the 95 % intervals
held the mean change over all seeds and clips. Intervals for these trainings alone held it in 46 to 95 %.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import ParameterError
from dfdlib.evaluation.intervals import Change, Difference


class Judged(NamedTuple):
    """A change as one of a family."""

    change: Difference  #: its interval at the level of its place in the family
    p_holm: float
    shown: bool
    unsettled: bool  #: not shown, and the seeds are why
    smallest: float  #: `smallest_change`
    after: tuple[float, ...]  #: of each seed

    def row(self) -> dict:
        """Return it as columns: ``before after delta low high p p_holm shown unsettled smallest seeds_low seeds_high``.

        The last two are the lowest and the highest ``after`` of several seeds, missing for one.
        """
        values = self._asdict() | self.change._asdict()
        ends = (min(self.after), max(self.after)) if len(self.after) > 1 else (math.nan, math.nan)
        names = (*Difference._fields, "p_holm", "shown", "unsettled", "smallest")
        return {name: values[name] for name in names} | {"seeds_low": ends[0], "seeds_high": ends[1]}


def enough(resamples: int, *, family: int, level: float) -> int:
    """Return as many resamples as a family of so many needs at least, since p is never below 1 in their number."""
    return max(resamples, math.ceil(family / (1 - level)))


def judge(changes: Sequence[Change], *, level: float = 0.95, trained: bool = False) -> list[Judged]:
    """Judge changes as one family: a `Judged` for each, in their order.

    A change is shown or it is not. The seeds are why it is not, where the clips alone would have shown the mean over
    these very trainings, or where single trainings changed to both sides, each beyond its own interval; that they
    differ in sign says nothing by itself. Where the changes are by training (``trained``), nothing is shown of one.
    The resamples of the changes have to be `enough`.
    """
    p_values = [change.at(level).p for change in changes]
    adjusted, levels = holm(p_values), holm_levels(p_values, level=level)
    by_clips = holm([change.at(level, other_seeds=False).p for change in changes])
    found = []
    for change, p, own, of_clips in zip(changes, adjusted, map(float, levels), by_clips, strict=True):
        alone, moved = change.by_seed(), change.at(own)
        shown = bool(p < 1 - level) and not (trained and len(change.after) == 1)
        hidden = False
        if len(alone) > 1 and not shown:
            each = [one.at(own) for one in alone]
            opposite = any(one.high < 0 for one in each) and any(one.low > 0 for one in each)
            hidden = bool(of_clips < 1 - level or opposite)
        smallest = smallest_change(moved, level=own)
        found.append(Judged(moved, float(p), shown, hidden, smallest, tuple(map(float, change.after))))
    return found


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p-values (k,) adjusted for their number by Holm's method (1979), in their order.

    Each is compared as if it were the smallest of those that are left; rejecting where the adjusted value is below
    0.05 keeps the chance of any false rejection in the family below 0.05, however the tests depend on each other.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not np.all((p_values >= 0) & (p_values <= 1)):
        raise ParameterError(f"p_values={p_values.tolist()}: must be a row of shares from 0 to 1")
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty_like(p_values)
    left = np.arange(p_values.size, 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(left * p_values[order]))
    return adjusted


def holm_levels(p_values: ArrayLike, *, level: float = 0.95) -> np.ndarray:
    """Return the level (k,) at which each interval of a family leaves out 0 just where `holm` rejects.

    With j of k hypotheses rejected, the i-th smallest p was held against (1 - level) / (k - i + 1), and those that
    stay were held against (1 - level) / (k - j): each interval is made at the risk that its p was held against. They
    hold together at least as often as Holm's procedure errs at most.
    """
    adjusted = holm(p_values)
    order = np.argsort(np.asarray(p_values, dtype=np.float64), kind="stable")
    rejected = int(np.sum(adjusted < 1 - level))
    risks = np.empty(adjusted.size)
    risks[order] = [(1 - level) / (adjusted.size - min(place, rejected)) for place in range(adjusted.size)]
    return 1 - risks


def smallest_change(difference: Difference, *, level: float = 0.95) -> float:
    """Return the smallest true change that a test set of this kind would have shown in four studies of five.

    Half the width of the interval, times ``1 + z(0.8) / z((1 + level) / 2)``: 1.43 at a level of 95 %. Where nothing
    was shown, smaller changes than this are not ruled out.
    """
    normal = NormalDist()
    reach = max(difference.high - difference.delta, difference.delta - difference.low)
    return reach * (1 + normal.inv_cdf(0.8) / normal.inv_cdf((1 + level) / 2))
