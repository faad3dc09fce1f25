"""Metrics of one attack, codec or speaker at a time, as tables."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation.counts import Tally
from dfdlib.evaluation.trials import BONAFIDE, validate

if TYPE_CHECKING:
    from pandas import DataFrame


def by(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, name: str = "group", pooled: bool = True
) -> "DataFrame":
    """Return one row for each group of trials: a codec, a speaker, a channel.

    A group with trials of both classes is measured in itself. One with spoofs alone, as an attack is, is set against
    all bona fide trials, and one with bona fide trials alone against all spoofs.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
    groups : array_like of str, shape (n,)
        A missing or empty name counts as "unknown".
    name : str
        Heading of the first column.
    pooled : bool
        Whether a last row "pooled" holds all trials.

    Returns
    -------
    DataFrame
        Columns ``<name> n_bonafide n_spoof against eer auc``, sorted by group. ``against`` is "itself", "all bona
        fide" or "all spoof"; the counts are those that the row was measured on.
    """
    import pandas as pd

    labels, scores = validate(labels, scores)
    names = _names(groups, labels.size, name)
    real = labels == BONAFIDE
    rows = []
    for group in sorted(set(names)):
        own, against = names == group, "itself"
        if not np.any(own & real):
            own, against = own | real, "all bona fide"
        elif not np.any(own & ~real):
            own, against = own | ~real, "all spoof"
        rows.append({name: group} | _measured(labels, scores, own, against=against))
    if pooled:
        rows.append({name: "pooled"} | _measured(labels, scores, np.full(labels.size, True), against="itself"))
    return pd.DataFrame(rows)


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
    names = _names(attacks, labels.size, "attack")
    real = labels == BONAFIDE
    attacks = sorted(set(names[~real]))
    return pd.DataFrame([{"attack": name} | _measured(labels, scores, real | (names == name)) for name in attacks])


def _names(groups: ArrayLike, size: int, name: str) -> np.ndarray:
    import pandas as pd

    column = pd.Series(np.asarray(groups, dtype=object))
    if len(column) != size:
        raise DataError(f"{len(column)} {name}s but {size} trials; give one {name} for each trial")
    return column.where(column.notna() & (column.astype(str) != ""), "unknown").astype(str).to_numpy()


def _measured(labels: np.ndarray, scores: np.ndarray, chosen: np.ndarray, **more: str) -> dict:
    counts = Tally.of(labels[chosen], scores[chosen])
    sizes = {"n_bonafide": int(counts.bonafide[-1]), "n_spoof": int(counts.spoof[-1])}
    return sizes | more | {"eer": counts.eer.value, "auc": counts.auc}
