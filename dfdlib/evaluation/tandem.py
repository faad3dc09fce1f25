"""A detector in front of speaker verification: what both together cost.

Speaker verification (ASV) has three kinds of trial: ``target`` (the speaker herself), ``nontarget`` (another person)
and ``spoof`` (a forged clip of the speaker). A higher ASV score means the speaker that was claimed.

`min_t_dcf` is the tandem detection cost of ASVspoof 2019 ("legacy": Kinnunen et al., Odyssey 2018) and 2021 ("revised":
Kinnunen et al., IEEE/ACM TASLP 28, 2020): the detector lets clips pass to an ASV system whose threshold is fixed
beforehand. `min_a_dcf` is the architecture-agnostic cost of ASVspoof 5 (Shim et al., Odyssey 2024), for systems that
give one score for both tasks. `t_eer` needs neither priors nor costs. `read_scores` reads the files of the challenges.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import metrics
from dfdlib.evaluation.trials import refuse

if TYPE_CHECKING:
    from pandas import DataFrame

KINDS = ("target", "nontarget", "spoof")
_TRIAL = ["spk", "filename"]


class AsvScores(NamedTuple):
    """Scores of a speaker verification system by kind of trial, each of shape (n_kind,)."""

    target: np.ndarray
    nontarget: np.ndarray
    spoof: np.ndarray


class AsvRates(NamedTuple):
    """Error rates of speaker verification at one threshold, as shares."""

    miss: float  #: targets rejected
    false_acceptance: float  #: nontargets accepted
    spoof_acceptance: float  #: spoofs accepted


class Priors(NamedTuple):
    """How often each kind of trial comes, and what the three errors cost."""

    target: float
    nontarget: float
    spoof: float
    c_miss: float
    c_fa: float
    c_fa_spoof: float


#: ASVspoof 2019, 2021 and 5: one trial in twenty is a spoof, and of the others one in a hundred is another speaker.
TANDEM = Priors(target=0.9405, nontarget=0.0095, spoof=0.05, c_miss=1, c_fa=10, c_fa_spoof=10)


def rates(scores: AsvScores, *, threshold: float | None = None) -> AsvRates:
    """Return the error rates of speaker verification.

    The threshold is by default that of the EER between targets and nontargets, as the challenges fix it.
    """
    target, nontarget, spoof = _checked(scores)
    if threshold is None:
        labels = np.repeat([1, 0], [target.size, nontarget.size])
        threshold = metrics.eer(labels, np.concatenate([target, nontarget])).threshold
    elif np.isnan(threshold):
        raise ParameterError(f"threshold={threshold}: must be a number on the scale of the scores")
    return AsvRates(
        miss=float(np.mean(target < threshold)),
        false_acceptance=float(np.mean(nontarget >= threshold)),
        spoof_acceptance=float(np.mean(spoof >= threshold)),
    )


def min_t_dcf(
    labels: ArrayLike, scores: ArrayLike, asv: AsvRates, *, formulation: str = "revised", priors: Priors = TANDEM
) -> float:
    """Return the minimum normalised tandem detection cost of a detector in front of an ASV system.

    With the detector's FRR and FAR at threshold t, the ASV's rates, and prior times cost written as one weight w,

    - "revised": ``C0 + C1 FRR(t) + C2 FAR(t)``, divided by ``C0 + min(C1, C2)``, where ``C0 = w_miss miss + w_fa fa``,
      ``C1 = w_miss - C0``, ``C2 = w_spoof spoof``. With a detector that makes no errors, ``C0 / (C0 + min(C1, C2))``
      remains: the ASV's own errors.
    - "legacy": ``C1 FRR(t) + C2 FAR(t)``, divided by ``min(C1, C2)``. It is 0 for a detector without errors.

    Both are 1 for a detector that rejects or accepts everything, whichever costs less.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
        The detector's: 1 for bona fide, 0 for spoof; a higher score means bona fide.
    asv : AsvRates
        From `rates`, or as published.

    Raises
    ------
    ParameterError
        Rates or priors out of range, or an ASV system so poor that a weight is not positive.
    """
    if formulation not in ("revised", "legacy"):
        raise ParameterError(f"formulation={formulation!r}: choose revised or legacy")
    w_miss, w_fa, w_spoof = _weights(priors)
    for name, rate in zip(asv._fields, asv, strict=True):
        if not 0 <= rate <= 1:
            raise ParameterError(f"asv.{name}={rate}: must be a share from 0 to 1")
    through = w_miss * asv.miss + w_fa * asv.false_acceptance
    miss, accept = w_miss - through, w_spoof * asv.spoof_acceptance
    if miss <= 0 or accept <= 0:
        raise ParameterError(
            f"asv={tuple(asv)}: speaker verification with these rates leaves a detector nothing to gain "
            f"(C1 = {miss:.4g}, C2 = {accept:.4g}, both must be above 0); check the ASV scores"
        )
    counts = metrics.tally(labels, scores)
    cost = float((miss * counts.frr + accept * counts.far).min())
    if formulation == "legacy":
        return cost / min(miss, accept)
    return (through + cost) / (through + min(miss, accept))


def min_a_dcf(scores: AsvScores, *, priors: Priors = TANDEM) -> tuple[float, float]:
    """Return the minimum normalised architecture-agnostic detection cost, and its threshold.

    ``(w_miss miss(t) + w_fa fa(t) + w_spoof spoof(t)) / min(w_miss, w_fa + w_spoof)`` at its lowest, where the rates
    are those of one score for both tasks and a weight is prior times cost. It lies between 0 and 1.
    """
    weights = _weights(priors)
    target, nontarget, spoof = (np.sort(column) for column in _checked(scores))
    thresholds = np.append(np.unique(np.concatenate([target, nontarget, spoof])), np.inf)
    miss = np.searchsorted(target, thresholds, side="left") / target.size
    fa, accept = (1 - np.searchsorted(column, thresholds, side="left") / column.size for column in (nontarget, spoof))
    cost = weights[0] * miss + weights[1] * fa + weights[2] * accept
    best = int(np.argmin(cost))
    return float(cost[best] / min(weights[0], weights[1] + weights[2])), float(thresholds[best])


def t_eer(labels: ArrayLike, scores: ArrayLike, asv: AsvScores) -> float:
    """Return the concurrent tandem equal error rate of a detector and an ASV system (Kinnunen et al., 2023).

    A clip is accepted when both accept it, and their errors are independent. Of all pairs of thresholds the one is
    taken where targets are rejected as often as nontargets and as spoofs are accepted; it needs no priors and no costs.
    Where no pair gives three equal rates, the mean of the three is returned where they differ least, among the pairs
    where the first of them crosses another.

    Parameters
    ----------
    labels, scores : array_like, shape (n,)
        The detector's: 1 for bona fide, 0 for spoof; a higher score means bona fide.
    asv : AsvScores
    """
    counts = metrics.tally(labels, scores)
    kinds = [np.sort(column) for column in _checked(asv)]
    thresholds = np.append(np.unique(np.concatenate(kinds)), np.inf)
    below = [np.searchsorted(column, thresholds, side="left") / column.size for column in kinds]
    miss, other, spoof = below[0], 1 - below[1], 1 - below[2]

    def rates(place: np.ndarray) -> np.ndarray:
        frr, far = counts.frr[place], counts.far[place]
        return np.stack([frr + (1 - frr) * miss, (1 - frr) * other, far * spoof])

    # At each ASV threshold the first rate rises with the detector's threshold and the others fall: bisection finds
    # where it crosses the lower and the higher one.
    candidates = []
    for reached in (np.minimum, np.maximum):
        low, high = np.full(thresholds.size, -1), np.full(thresholds.size, counts.frr.size - 1)
        while (high - low > 1).any():
            middle = np.maximum((low + high) // 2, 0)
            first, *others = rates(middle)
            beyond = first >= reached(*others)
            high, low = np.where(beyond, middle, high), np.where(beyond, low, middle)
        candidates += [rates(np.maximum(low, 0)), rates(high)]
    found = np.concatenate(candidates, axis=1)
    return float(found[:, np.argmin(np.ptp(found, axis=0))].mean())


def read_scores(path: str | Path, *, keys: str | Path | None = None, column: str = "asv-score") -> AsvScores:
    """Read the scores of a speaker verification system from a file of an ASVspoof challenge.

    The form is recognised by itself:

    - ASVspoof 2019: ``bonafide|attack target|nontarget|spoof score``;
    - ASVspoof 2021: ``speaker trial score``, with the challenge's ``trial_metadata.txt`` as ``keys``;
    - ASVspoof 5: a table with the headings ``spk filename … asv-score …``, and ``asv-label`` in it or in ``keys``;
    - SASV 2022: ``speaker trial score target|nontarget|spoof``.

    ``keys`` says the kinds of the trials where the scores do not. ``column`` is what is read of an ASVspoof 5 table:
    "sasv-score" for `min_a_dcf`. What cannot be read, and a trial without a key, is a `DataError` that names it.
    """
    table = _words(path)
    first = list(table.iloc[0])
    if "filename" in first:
        table = _headed(table, path, column).rename(columns={column: "score"})
    elif len(first) == 4 and first[3] in KINDS:
        table = table.set_axis([*_TRIAL, "score", "asv-label"], axis=1)
    elif len(first) == 3:
        table = table.set_axis(["", "asv-label", "score"] if first[1] in KINDS else [*_TRIAL, "score"], axis=1)
    else:
        raise DataError(
            f"{path}, line 1: {' '.join(first)!r} is not of an ASV score file: 'attack target|nontarget|spoof score', "
            "'speaker trial score', 'speaker trial score target|nontarget|spoof' or a table with headings"
        )
    if set(_TRIAL) <= set(table):
        _require_once(table, path)
    if "asv-label" not in table:
        if keys is None:
            raise DataError(
                "does not say which trials are target, nontarget and spoof; give the file of keys", path=path
            )
        table = _with_keys(table, keys, path)
    return _by_kind(table["asv-label"], table["score"], path)


def _words(path: str | Path) -> "DataFrame":
    """Return the words of every line as a table of text, without headings."""
    import pandas as pd

    if not Path(path).is_file():
        raise DataError("there is no such file; check the path", path=path)
    try:
        return pd.read_csv(path, sep=r"\s+", header=None, dtype=str, keep_default_na=False, comment="#")
    except (ValueError, UnicodeError) as error:  # pandas' parser errors are ValueErrors
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"cannot be read as lines of as many words each ({reason})", path=path) from error


def _headed(words: "DataFrame", path: str | Path, column: str) -> "DataFrame":
    """Take the first line as headings, among which must be those of a trial and another one."""
    table = words.iloc[1:].set_axis(list(words.iloc[0]), axis=1).reset_index(drop=True)
    missing = [name for name in (*_TRIAL, column) if name not in table]
    if missing:
        raise DataError(f"has no column {missing[0]!r}; it has {', '.join(table.columns)}", path=path)
    return table


def _require_once(table: "DataFrame", path: str | Path) -> None:
    twice = table.duplicated(_TRIAL)
    if twice.any():
        trial = " ".join(table.loc[twice, _TRIAL].iloc[0])
        raise DataError(f"lists {trial} twice; keep one line for each trial", path=path)


def _with_keys(scores: "DataFrame", keys: str | Path, path: str | Path) -> "DataFrame":
    """Add the kind of each trial from a file of keys."""
    known = _words(keys)
    if "filename" in list(known.iloc[0]):
        known = _headed(known, keys, "asv-label")
    else:
        place = next((name for name in known.columns if known[name].isin(KINDS).all()), None)
        if place is None:
            raise DataError(f"no column says {', '.join(KINDS)} in every line; give the ASV trial metadata", path=keys)
        known = known[[0, 1, place]].set_axis([*_TRIAL, "asv-label"], axis=1)
    _require_once(known, keys)
    table = scores.merge(known[[*_TRIAL, "asv-label"]], on=_TRIAL, how="left")
    without = table["asv-label"].isna()
    if without.any():
        trial = " ".join(table.loc[without, _TRIAL].iloc[0])
        raise DataError(f"has no key for {trial}, which {path} scores ({int(without.sum())} without)", path=keys)
    return table


def _by_kind(kinds, values, path: str | Path) -> AsvScores:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce")
    for bad, column, fault in (
        (~kinds.isin(KINDS), kinds, f"is none of {', '.join(KINDS)}"),
        (~np.isfinite(numbers), values, "is not a finite number"),
    ):
        if bad.any():
            row = int(np.argmax(bad.to_numpy()))
            raise DataError(f"{path}, trial {row + 1}: {str(column.iloc[row])!r} {fault}; correct it")
    return _checked(AsvScores(*(numbers[kinds == kind].to_numpy(float) for kind in KINDS)), name=f"{path}")


def _checked(scores: AsvScores, *, name: str = "ASV scores") -> AsvScores:
    columns = AsvScores(*(np.asarray(column, dtype=np.float64) for column in scores))
    for kind, column in zip(KINDS, columns, strict=True):
        if column.ndim != 1 or column.size == 0:
            raise DataError(f"{name}: no {kind} trial; all of {', '.join(KINDS)} are needed")
        refuse(column, ~np.isfinite(column), f"{name}: {kind} scores", "not finite", "score them again")
    return columns


def _weights(priors: Priors) -> tuple[float, float, float]:
    """Return prior times cost of a miss, of a false acceptance and of an accepted spoof, once they are in range."""
    for name in KINDS:
        if not 0 < getattr(priors, name) < 1:
            raise ParameterError(f"priors.{name}={getattr(priors, name)}: must lie between 0 and 1, both excluded")
    if abs(priors.target + priors.nontarget + priors.spoof - 1) > 1e-9:
        raise ParameterError(f"priors={tuple(priors[:3])}: must add up to 1")
    for name in ("c_miss", "c_fa", "c_fa_spoof"):
        if not 0 < getattr(priors, name) < np.inf:
            raise ParameterError(f"priors.{name}={getattr(priors, name)}: must be above 0 and finite")
    return priors.c_miss * priors.target, priors.c_fa * priors.nontarget, priors.c_fa_spoof * priors.spoof
