"""Measure the EER of a classifier that never hears a clip.

It sees `measure.NUISANCES` alone. Whatever it reaches, a detector can reach as well without hearing how a clip was
made, and a result on the corpus is worth what lies beyond.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dfdlib.data.audit.measure import NUISANCES, nuisance_table
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, intervals, metrics, units
from dfdlib.evaluation.intervals import Interval
from dfdlib.evaluation.metrics import percent, percent_range

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: An EER whose interval ends below one half shows that the format gives part of the label away; one whose interval
#: ends below this, that it gives much of it away: two clips in three are told right without listening.
FLOOR = 0.35

#: How often clips are dealt out to folds.
DEALINGS = 3

#: The verdicts, from bad to good.
MUCH, PART, NOTHING = "much", "part", "nothing shown"


@dataclass(frozen=True)
class Shortcut:
    """What the nuisances of a corpus give away."""

    # Of the best of up to four: two classifiers, two ways of dealing clips out. Chance is 0.5; above it is chance too:
    # nothing that holds in some folds holds in the next.
    eer: Interval
    classifier: str  # which one that was: "logistic regression" or "boosted trees"
    # A row for each nuisance, the most telling first: ``feature``, ``unit``, ``bonafide`` and ``spoof`` (medians),
    # ``auc`` with ``auc_low`` and ``auc_high`` (0.5 tells nothing; below it, spoof clips have the larger values),
    # ``eer`` (of that feature alone, in the better direction).
    features: pd.DataFrame
    finding: str  # `MUCH`, `PART` or `NOTHING`
    verdict: str  # the same in a sentence
    # A row for each way of dealing clips out to folds: ``folds_by`` ("sentence", "speaker" or "clip"), ``classifier``
    # (the better one), ``eer low high``.
    ways: pd.DataFrame


def shortcut(
    corpus: Corpus,
    *,
    features: pd.DataFrame | None = None,
    seed: int = 0,
    folds: int = 5,
    dealings: int | None = None,
    target: str = units.NEW,
    resamples: int = 1000,
    level: float = 0.95,
) -> Shortcut:
    """Measure how well nuisances alone tell the classes of a corpus apart.

    A logistic regression and gradient-boosted trees score clips that they were not fitted on. Clips of one sentence
    share a fold, and in a second measurement clips of one speaker, where these are known; else every clip stands alone.
    Each is dealt out to folds by several seeds: the EER is the mean, and its interval holds what other dealings and
    other clips would change (`units.of`). As the best of up to four is taken, they share the risk (Bonferroni).

    Parameters
    ----------
    corpus : Corpus
        Of both classes.
    features : DataFrame, optional
        What `measure.nuisance_table` has measured of it, if that was done before.
    seed : int
        Of the first dealing, of the trees and of the bootstrap.
    folds : int
        With fewer sentences or speakers in a class, as many folds as those.
    dealings : int, optional
        `DEALINGS` by default.
    target : str
        Of `units.of`.

    Raises
    ------
    DataError
        One class only, fewer clips of a class than folds, or a class with too few sentences or speakers.
    """
    corpus.require_both_classes()
    if features is None:
        features, _ = nuisance_table(corpus)
    features = features[list(NUISANCES)]
    table = corpus.table.loc[features.index]
    labels, drawn = table["label"].to_numpy(dtype=int), units.of(table, target=target)
    ways = _ways(table, labels, folds=folds, name=corpus.name)
    options = {"groups": drawn, "resamples": resamples, "seed": seed}
    tried = {}
    for way, (groups, parts) in ways.items():
        dealt = [_cross_validated_scores(features, labels, groups, seed=seed + number, folds=parts)
                 for number in range(dealings or DEALINGS)]  # fmt: skip
        tried |= {(way, name): np.stack([scores[name] for scores in dealt]) for name in dealt[0]}
    risk = (1 - level) / len(tried)
    found = {key: intervals.interval(labels, scores, level=1 - risk, **options) for key, scores in tried.items()}
    best = min(found, key=lambda key: found[key].value)
    ranked = _rank(features, labels, options | {"level": level})
    finding = MUCH if found[best].high < FLOOR else PART if found[best].high < 0.5 else NOTHING
    by_way = _best_of_each_way(found)
    verdict = _verdict(corpus.name, found[best], ranked, finding, level, by_way)
    return Shortcut(found[best], best[1], ranked, finding, verdict, by_way)


def detector(corpus: Corpus) -> "Pipeline":
    """Return the logistic regression on `NUISANCES`, fitted to a corpus: values (n, 9) to scores, as its decisions."""
    features, _ = nuisance_table(corpus.require_both_classes())
    return calibration.logistic().fit(features.to_numpy(float), corpus.table.loc[features.index, "label"].to_numpy(int))


def _best_of_each_way(found: dict[tuple[str, str], Interval]) -> pd.DataFrame:
    rows = {}
    for (way, name), eer in sorted(found.items(), key=lambda item: item[1].value):
        row = {"folds_by": way, "classifier": name, "eer": eer.value, "low": eer.low, "high": eer.high}
        rows.setdefault(way, row)
    return pd.DataFrame([rows[way] for way in dict.fromkeys(way for way, _ in found)])


def _ways(table: pd.DataFrame, labels: np.ndarray, *, folds: int, name: str) -> dict[str, tuple[np.ndarray, int]]:
    """Return what shares a fold, by name: the number of each clip's group (n_clips,), and how many folds there are."""
    found, fewest = {}, 0
    for way in ("sentence", "speaker"):
        if not units.is_known(table, way):
            continue
        (groups,) = units.of(table, by=way).members
        fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
        if fewest > 1:
            found[way] = groups, min(folds, fewest)
    if found:
        return found
    if fewest:
        raise DataError(
            f"{name}: one class has a single sentence or speaker, so none can be held out; two of each are needed"
        )
    fewest = min(int((labels == label).sum()) for label in (0, 1))
    if fewest < folds:
        raise DataError(
            f"{name}: {fewest} independent clips in its smaller class; a cross-validation in {folds} parts "
            f"needs {folds} at least"
        )
    return {"clip": (np.arange(len(labels)), folds)}


def _cross_validated_scores(
    features: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, *, seed: int, folds: int
) -> dict[str, np.ndarray]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    classifiers = {
        "logistic regression": calibration.logistic(),
        # Small trees, many clips to a leaf: corpora of a hundred clips are common.
        "boosted trees": HistGradientBoostingClassifier(
            max_iter=40,
            learning_rate=0.15,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            class_weight="balanced",
            random_state=seed,
        ),
    }
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    values = features.to_numpy(float)
    scores = {name: np.zeros(len(labels)) for name in classifiers}
    for train, test in splitter.split(values, labels, groups):
        if len(set(labels[train])) < 2:
            raise DataError(
                "a part of the cross-validation holds a whole class; more sentences or speakers of it are needed"
            )
        for name, classifier in classifiers.items():
            scores[name][test] = classifier.fit(values[train], labels[train]).decision_function(values[test])
    return scores


def _rank(features: pd.DataFrame, labels: np.ndarray, options: dict) -> pd.DataFrame:
    rows = []
    for name, unit in NUISANCES.items():
        values = features[name].to_numpy(float)
        auc = intervals.interval(labels, values, metric="auc", **options)
        eer = metrics.eer(labels, values if auc.value >= 0.5 else -values).value
        bonafide, spoof = (float(np.median(values[labels == label])) for label in (1, 0))
        row = {"feature": name, "unit": unit, "bonafide": bonafide, "spoof": spoof}
        rows.append(row | {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high, "eer": eer})
    tells_most = {"key": lambda auc: -(auc - 0.5).abs(), "kind": "stable"}
    return pd.DataFrame(rows).sort_values("auc", ignore_index=True, **tells_most)


def _verdict(corpus: str, eer: Interval, ranked: pd.DataFrame, finding: str, level: float, ways: pd.DataFrame) -> str:
    sentence = (
        f"A classifier that knows only the length, level, silences and coarse spectrum of clips reaches an EER of "
        f"{percent(eer.value)} on {corpus} ({100 * level:g} % interval {percent_range(eer.low, eer.high)}), "
        "where guessing gives 50 %"
    )
    if len(ways) > 1:
        both = [f"{row.folds_by}s {percent(row.eer)} ({percent_range(row.low, row.high)})" for row in ways.itertuples()]
        sentence += f"; on unheard {' and on unheard '.join(both)}"
    if finding == NOTHING:
        return f"{sentence}: it is not shown that the format gives anything away."
    telling = ranked[(ranked["auc_low"] > 0.5) | (ranked["auc_high"] < 0.5)]["feature"].head(2)
    by = f", first of all by {' and '.join(telling).replace('_', ' ')}" if len(telling) else ""
    return (
        f"{sentence}: the format gives {'much' if finding == MUCH else 'part'} of the label away{by}, and no result on "
        "it is about speech alone."
    )
