"""Metrics of one attack, codec or speaker at a time, as tables."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation import family, intervals, units
from dfdlib.evaluation.counts import Tally
from dfdlib.evaluation.drawing import names_of, of_attacks
from dfdlib.evaluation.trials import BONAFIDE, validate

if TYPE_CHECKING:
    from pandas import DataFrame


def by_attack(labels: ArrayLike, scores: ArrayLike, attacks: ArrayLike) -> "DataFrame":
    """Return one row for each attack: its spoof trials against all bona fide trials.

    A pooled EER hides an attack that always succeeds; this table shows it. Labels, scores and names of attacks are
    (n,); what bona fide rows say of an attack is ignored, and a missing name counts as "unknown". Columns
    ``attack n_bonafide n_spoof eer auc``, sorted by attack.
    """
    import pandas as pd

    labels, scores = validate(labels, scores)
    parts = of_attacks(labels, names_of(attacks, labels.size, "attack"))
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

    Table, target and ``by`` are as in `attack_changes`, scores (n,) or (seeds, n), and ``options`` (resamples, level,
    seed) of `intervals.intervals`. A missing or empty name in the column counts as "unknown"; what bona fide rows say
    of an attack is ignored.

    Columns ``<column> n_bonafide n_spoof against eer eer_low eer_high auc auc_low auc_high resampled_by target
    effective_units warning``, sorted by group. ``against`` is "itself", "all bona fide" or "all spoof"; the counts are
    those that the row was measured on.
    """
    import pandas as pd

    labels, scores = table["label"].to_numpy(dtype=int), np.asarray(scores, dtype=float)
    rows = []
    for name, (part, against) in _parts(labels, names_of(table[column], labels.size, column), column).items():
        drawn = units.of(table.iloc[part], target=target, by=by)
        own, one_unit = (labels[part], scores[..., part]), {}
        try:
            found = intervals.intervals(*own, names=("eer", "auc"), groups=drawn, **options)
        except DataError as error:
            # A group with one unit has figures, but nothing tells what another unit would change.
            each = pd.DataFrame([_measured(*validate(own[0], row), slice(None)) for row in np.atleast_2d(own[1])])
            found = {key: intervals.Interval(float(each[key].mean()), np.nan, np.nan) for key in ("eer", "auc")}
            one_unit = {"warning": error.reason}
        n_bonafide = int(np.sum(labels[part] == BONAFIDE))
        sizes = {"n_bonafide": n_bonafide, "n_spoof": len(part) - n_bonafide, "against": against}
        eer, auc, said = found["eer"], found["auc"], drawn.describe(labels[part]) | one_unit
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
    after: ArrayLike | Mapping[str, ArrayLike],
    *,
    target: str = units.NEW,
    by: str = "auto",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    trained: bool = False,
) -> "DataFrame":
    """Return how much the EER of each attack changed between two systems or more, tested as one family.

    Each attack is measured against all bona fide trials. What is drawn again is chosen for each attack by itself, as an
    attack may have one voice. `family.judge` says what is shown; the options are its own, and those of `units.of` and
    `intervals.intervals`.

    Columns ``attack n_bonafide n_spoof``, those of `family.Judged.row`, and ``resampled_by target effective_units
    warning``, sorted by attack; first ``system`` where there are several.

    Parameters
    ----------
    table : DataFrame
        A row a trial, for `units.of`: ``label``, ``attack``, and where known ``speaker`` and ``sentence``.
    before, after : array_like, shape (n,) or ndarray, shape (seeds, n)
        Scores, as in `intervals.changes`; ``after`` may be several systems by name, each set against ``before``.
    """
    import pandas as pd

    labels, before = table["label"].to_numpy(dtype=int), np.asarray(before, dtype=float)
    systems = after if isinstance(after, Mapping) else {"": after}
    parts = of_attacks(labels, names_of(table["attack"], labels.size, "attack"))
    drawn = {name: units.of(table.iloc[rows], target=target, by=by) for name, rows in parts.items()}
    options = {"resamples": family.enough(resamples, family=len(systems) * len(parts), level=level), "seed": seed}
    cells, changes = list(itertools.product(systems, parts)), []
    for system, attack in cells:
        rows, scores = parts[attack], np.asarray(systems[system], dtype=float)
        more = {"names": ("eer",), "groups": drawn[attack]} | options
        changes.append(intervals.changes(labels[rows], before[..., rows], scores[..., rows], **more)["eer"])
    found = []
    for (system, attack), judged in zip(cells, family.judge(changes, level=level, trained=trained), strict=True):
        own = labels[parts[attack]]
        said = drawn[attack].describe(own)
        sizes = {"n_bonafide": int(np.sum(own == BONAFIDE)), "n_spoof": int(np.sum(own != BONAFIDE))}
        named = {"system": system} if isinstance(after, Mapping) else {}
        said = {key: said[key] for key in ("resampled_by", "target", "effective_units", "warning")}
        found.append(named | {"attack": attack} | sizes | judged.row() | said)
    return pd.DataFrame(found)


def fixing_attack(labels: ArrayLike, scores: ArrayLike, attacks: ArrayLike) -> str | None:
    """Return the attack whose share fixes the pooled EER, if there is one; of several rows of scores, that of each.

    At the threshold of the pooled EER 95 % of that attack's clips or more are accepted, and 5 % of all other spoofs or
    fewer: the pooled figure then is about the share that the attack has, and says little about the detector.
    """
    if np.ndim(scores) == 2:
        fixing = {fixing_attack(labels, row, attacks) for row in scores}
        return fixing.pop() if len(fixing) == 1 else None
    labels, scores = validate(labels, scores)
    names, spoof = names_of(attacks, labels.size, "attack"), labels != BONAFIDE
    accepted = scores >= Tally.of(labels, scores).eer.threshold
    for name in sorted(set(names[spoof])):
        own, others = spoof & (names == name), spoof & (names != name)
        if others.any() and accepted[own].mean() >= 0.95 and accepted[others].mean() <= 0.05:
            return str(name)
    return None


def _measured(labels: np.ndarray, scores: np.ndarray, chosen: np.ndarray) -> dict:
    counts = Tally.of(labels[chosen], scores[chosen])
    sizes = {"n_bonafide": int(counts.bonafide[-1]), "n_spoof": int(counts.spoof[-1])}
    return sizes | {"eer": counts.eer.value, "auc": counts.auc}
