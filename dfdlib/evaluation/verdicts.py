"""What figures allow to be said: one rule for text, table and figure."""

from collections.abc import Mapping

from dfdlib.errors import ParameterError
from dfdlib.evaluation.intervals import Difference, Interval

#: The ladder, from bad to good.
WRONG_WAY, CHANCE, BETTER_THAN_CHANCE, SEPARATES = RUNGS = (
    "ranks the wrong way round",
    "not shown to be better than chance",
    "better than chance",
    "separates",
)
#: A detector whose EER interval ends below this separates the classes.
SEPARATING = 0.10

#: What may be said of a change.
BETTER, WORSE, MIXED, NOT_SHOWN = "better", "worse", "mixed", "not shown"
#: What may be said of one by training, where the seeds do not agree, or where there is one.
UNSETTLED, ONE_SEED = "seeds do not settle it", "one seed"
#: For these a higher value is better.
_RISING = ("auc",)


def rung(auc: Interval, eer: Interval) -> str:
    """Return where a detector stands on the ladder, from the intervals of its AUC and EER on one corpus."""
    if auc.high < 0.5:
        return WRONG_WAY
    if auc.low <= 0.5:
        return CHANCE
    return SEPARATES if eer.high < SEPARATING else BETTER_THAN_CHANCE


def disagreeing(differences: Mapping[str, Difference]) -> list[str]:
    """Return the metrics that moved the other way than the first of a mapping did; those that stayed do not count."""
    ways = {name: _gain(name, found.delta) for name, found in differences.items()}
    first = next(iter(ways.values()), 0)
    return [name for name, way in ways.items() if way * first < 0]


def of_change(
    differences: Mapping[str, Difference],
    *,
    p: float,
    later: str,
    level: float = 0.95,
    seeds: int | None = None,
    unsettled: bool = False,
) -> str:
    """Return what may be said of a change.

    `ONE_SEED` of one training, whatever it shows; `UNSETTLED` where the seeds are the reason; `NOT_SHOWN` where p is
    not below the risk; `MIXED` where another metric moved the other way, or the later detector is no better than chance
    though the first metric improved; else `BETTER` or `WORSE`.

    Parameters
    ----------
    differences : mapping of str to Difference
        The metric that the claim is about comes first; others, such as "auc" and "cllr", must not contradict it.
    p, unsettled
        Of the first metric, by `family.judge`.
    later : str
        The rung that the later detector stands on.
    seeds : int, optional
        How many trainings a claim about training rests on.
    """
    if later not in RUNGS:
        raise ParameterError(f"later={later!r}: must be one of {', '.join(RUNGS)}")
    name, first = next(iter(differences.items()))
    if seeds == 1:
        return ONE_SEED
    if unsettled:
        return UNSETTLED
    if p >= 1 - level or first.delta == 0:
        return NOT_SHOWN
    if disagreeing(differences):
        return MIXED
    if _gain(name, first.delta) < 0:
        return WORSE
    return BETTER if later in (BETTER_THAN_CHANCE, SEPARATES) else MIXED


def _gain(name: str, delta: float) -> int:
    """Return 1 for a gain, -1 for a loss, 0 for neither."""
    way = (delta > 0) - (delta < 0)
    return way if name in _RISING else -way
