"""Metrics of one attack, codec or speaker at a time, as tables."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation import intervals, units
from dfdlib.evaluation.counts import Tally
from dfdlib.evaluation.drawing import of_attacks
from dfdlib.evaluation.trials import BONAFIDE, validate

if TYPE_CHECKING:
    from pandas import DataFrame


def by_attack(labels: ArrayLike, scores: ArrayLike, attacks: ArrayLike) -> "DataFrame":
    """Return one row for each attack: its spoof trials against all bona fide trials.

    A pooled EER hides an attack that always succeeds; this table shows it.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    attacks : array_like of str, shape (n,)
        Name of the attack of each spoof trial; what bona fide rows say is ignored. A missing name counts as
        "unknown".

    Returns
    -------
    DataFrame
        Columns ``attack n_bonafide n_spoof eer auc``, sorted by attack.
    """
    import pandas as pd

    labels, scores = validate(labels, scores)
    parts = of_attacks(labels, _names(attacks, labels.size, "attack"))
    return pd.DataFrame([{"attack": name} | _measured(labels, scores, part) for name, part in parts.items()])


def errors(
    table: "DataFrame",
    scores: ArrayLike,
    *,
    column: str = "attack",
    target: str = units.NEW,
    by: str = "auto",
    **options,
) -> "DataFrame":
    """Return EER and AUC of each attack, codec, speaker …, with intervals.

    A group with trials of both classes is measured in itself. One with spoofs alone, as an attack is, is set against
    all bona fide trials, and one with bona fide trials alone against all spoofs.

    Parameters
    ----------
    table, target, by
        As in `attack_changes`.
    scores : array_like, shape (n,)
    column : str
        Of the table; a missing or empty name in it counts as "unknown". What bona fide rows say of an attack is
        ignored.
    **options
        Of `intervals.intervals`: resamples, level, seed.

    Returns
    -------
    DataFrame
        Columns ``<column> n_bonafide n_spoof against eer eer_low eer_high auc auc_low auc_high resampled_by target
        effective_units warning``, sorted by group. ``against`` is "itself", "all bona fide" or "all spoof"; the counts
        are those that the row was measured on.
    """
    import pandas as pd

    labels, scores = validate(table["label"].to_numpy(), np.asarray(scores, dtype=float))
    rows = []
    for name, (part, against) in _parts(labels, _names(table[column], labels.size, column), column).items():
        drawn = units.of(table.iloc[part], target=target, by=by)
        found = intervals.intervals(labels[part], scores[part], names=("eer", "auc"), groups=drawn, **options)
        n_bonafide = int(np.sum(labels[part] == BONAFIDE))
        sizes = {"n_bonafide": n_bonafide, "n_spoof": len(part) - n_bonafide, "against": against}
        eer, auc, said = found["eer"], found["auc"], drawn.describe(labels[part])
        rows.append(
            {column: name} | sizes | {"eer": eer.value, "eer_low": eer.low, "eer_high": eer.high}
            | {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high}
            | {key: said[key] for key in ("resampled_by", "target", "effective_units", "warning")}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _parts(labels: np.ndarray, names: np.ndarray, column: str) -> dict[str, tuple[np.ndarray, str]]:
    """Return the row numbers that each group is measured on, and what it is set against."""
    if column == "attack":
        return {name: (rows, "all bona fide") for name, rows in of_attacks(labels, names).items()}
    real, found = labels == BONAFIDE, {}
    for group in sorted(set(names)):
        own, against = names == group, "itself"
        if not np.any(own & real):
            own, against = own | real, "all bona fide"
        elif np.all(real[own]):
            own, against = own | ~real, "all spoof"
        found[group] = (np.flatnonzero(own), against)
    return found


def attack_changes(
    table: "DataFrame",
    before: ArrayLike,
    after: ArrayLike,
    *,
    target: str = units.NEW,
    by: str = "auto",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> "DataFrame":
    """Return how much the EER of each attack changed between two systems, tested as one family.

    Each attack is measured against all bona fide trials. What is drawn again is chosen for each attack by itself, as an
    attack may have one voice. p-values are adjusted by Holm's method over the attacks, and the intervals are made at
    `intervals.holm_levels`, so that an interval leaves out 0 just where the change is shown.

    Parameters
    ----------
    table : DataFrame
        A row a trial, for `units.of`: ``label``, ``attack``, and where known ``speaker`` and ``sentence``.
    before, after : array_like, shape (n,) or ndarray, shape (seeds, n)
        Scores, as in `intervals.paired_differences`.
    target, by, resamples, level, seed
        Of `units.of` and `intervals.intervals`.

    Returns
    -------
    DataFrame
        Columns ``attack n_bonafide n_spoof before after delta low high p p_holm shown smallest resampled_by target
        effective_units warning``, sorted by attack. ``smallest`` is `intervals.smallest_change`.
    """
    import pandas as pd

    labels = table["label"].to_numpy(dtype=int)
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    parts = of_attacks(labels, _names(table["attack"], labels.size, "attack"))
    drawn = [units.of(table.iloc[rows], target=target, by=by) for rows in parts.values()]
    # p at the sharpest level that may be asked for, so that both passes see the same resamples.
    least = (1 - level) / max(1, len(parts))
    resamples = max(resamples, math.ceil(2 / least))

    def change(rows: np.ndarray, groups: units.Units, risk: float) -> intervals.Difference:
        options = {"groups": groups, "resamples": resamples, "level": 1 - risk, "seed": seed}
        return intervals.paired_difference(labels[rows], before[..., rows], after[..., rows], **options)

    p_values = [change(rows, own, least).p for rows, own in zip(parts.values(), drawn, strict=True)]
    levels, adjusted = intervals.holm_levels(p_values, level=level), intervals.holm(p_values)
    found = []
    for (name, rows), own, p_holm, risk in zip(parts.items(), drawn, adjusted, 1 - levels, strict=True):
        row, said = change(rows, own, risk), own.describe(labels[rows])
        found.append(
            {"attack": name, "n_bonafide": int(np.sum(labels[rows] == BONAFIDE)),
             "n_spoof": int(np.sum(labels[rows] != BONAFIDE))}
            | row._asdict()
            | {"p_holm": float(p_holm), "shown": bool(p_holm < 1 - level),
               "smallest": intervals.smallest_change(row, level=1 - risk)}
            | {key: said[key] for key in ("resampled_by", "target", "effective_units", "warning")}
        )  # fmt: skip
    return pd.DataFrame(found)


def fixing_attack(labels: ArrayLike, scores: ArrayLike, attacks: ArrayLike) -> str | None:
    """Return the attack whose share fixes the pooled EER, if there is one.

    At the threshold of the pooled EER 95 % of that attack's clips or more are accepted, and 5 % of all other spoofs or
    fewer: the pooled figure then is about the share that the attack has, and says little about the detector.
    """
    labels, scores = validate(labels, scores)
    names, spoof = _names(attacks, labels.size, "attack"), labels != BONAFIDE
    accepted = scores >= Tally.of(labels, scores).eer.threshold
    for name in sorted(set(names[spoof])):
        own, others = spoof & (names == name), spoof & (names != name)
        if others.any() and accepted[own].mean() >= 0.95 and accepted[others].mean() <= 0.05:
            return str(name)
    return None


def _names(groups: ArrayLike, size: int, name: str) -> np.ndarray:
    import pandas as pd

    column = pd.Series(np.asarray(groups, dtype=object))
    if len(column) != size:
        raise DataError(f"{len(column)} {name}s but {size} trials; give one {name} for each trial")
    return column.where(column.notna() & (column.astype(str) != ""), "unknown").astype(str).to_numpy()


def _measured(labels: np.ndarray, scores: np.ndarray, chosen: np.ndarray) -> dict:
    counts = Tally.of(labels[chosen], scores[chosen])
    sizes = {"n_bonafide": int(counts.bonafide[-1]), "n_spoof": int(counts.spoof[-1])}
    return sizes | {"eer": counts.eer.value, "auc": counts.auc}
