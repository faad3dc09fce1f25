"""Measure the EER of a classifier that never hears a clip.

It sees `measure.NUISANCES` alone. Whatever it reaches, a detector can reach as well without hearing how a clip was
made, and a result on the corpus is worth what lies beyond.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfdlib.data.audit.measure import NUISANCES, nuisance_table
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError
from dfdlib.evaluation import intervals, metrics
from dfdlib.evaluation.intervals import Interval
from dfdlib.evaluation.metrics import percent, percent_range

#: An EER whose interval ends below one half shows that the format gives part of the label away; one whose interval
#: ends below this, that it gives much of it away: two clips in three are told right without listening.
FLOOR = 0.35

#: The verdicts, from bad to good.
MUCH, PART, NOTHING = "much", "part", "nothing shown"


@dataclass(frozen=True)
class Shortcut:
    """What the nuisances of a corpus give away.

    Attributes
    ----------
    eer : Interval
        Of the better one of the two classifiers. Chance is 0.5; above it is chance too: nothing that holds in some
        folds holds in the next.
    classifier : str
        Which one that was: "logistic regression" or "boosted trees".
    features : DataFrame
        A row for each nuisance, the most telling first: ``feature``, ``unit``, ``bonafide`` and ``spoof`` (medians),
        ``auc`` with ``auc_low`` and ``auc_high`` (0.5 tells nothing; below it, spoof clips have the larger values),
        ``eer`` (of that feature alone, in the better direction).
    finding : str
        `MUCH`, `PART` or `NOTHING`.
    verdict : str
        The same in a sentence.
    """

    eer: Interval
    classifier: str
    features: pd.DataFrame
    finding: str
    verdict: str


def shortcut(
    corpus: Corpus,
    *,
    features: pd.DataFrame | None = None,
    seed: int = 0,
    folds: int = 5,
    resamples: int = 1000,
    level: float = 0.95,
) -> Shortcut:
    """Measure how well nuisances alone tell the classes of a corpus apart.

    A logistic regression and gradient-boosted trees score clips that they were not fitted on; clips that
    `intervals.groups_of` ties together share a fold. The interval is a bootstrap over the same groups. As
    the better of two is taken, each has an interval at half the risk (Bonferroni). On features that mean nothing, the
    verdict at 95 % was other than `NOTHING` for 7 % of 100 simulated corpora of 20 clips a class, and for 6 % of 220 of
    60: an interval does not know how else the classifiers might have been fitted.

    Parameters
    ----------
    corpus : Corpus
        Of both classes.
    features : DataFrame, optional
        What `measure.nuisance_table` has measured of it, if that was done before.
    seed : int
        Of the order in which groups are dealt out to folds, of the trees and of the bootstrap.
    folds : int
    resamples : int
    level : float

    Raises
    ------
    DataError
        One class only, or fewer groups of a class than folds.
    """
    corpus.require_both_classes()
    if features is None:
        features, _ = nuisance_table(corpus)
    features = features[list(NUISANCES)]
    table = corpus.table.loc[features.index]
    labels, groups = table["label"].to_numpy(dtype=int), _groups(table)
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if fewest < folds:
        raise DataError(
            f"{corpus.name}: {fewest} independent clips in its smaller class; a cross-validation in {folds} parts "
            f"needs {folds} at least"
        )
    options = {"groups": groups, "resamples": resamples, "level": 1 - (1 - level) / 2, "seed": seed}
    tried = {
        name: intervals.interval(labels, scores, **options)
        for name, scores in _cross_validated_scores(features, labels, groups, seed=seed, folds=folds).items()
    }
    best = min(tried, key=lambda name: tried[name].value)
    ranked = _rank(features, labels, options | {"level": level})
    finding = MUCH if tried[best].high < FLOOR else PART if tried[best].high < 0.5 else NOTHING
    return Shortcut(tried[best], best, ranked, finding, _verdict(corpus.name, tried[best], ranked, finding, level))


def shortcut_eer(corpus: Corpus, *, features: pd.DataFrame | None = None, seed: int = 0, folds: int = 5) -> float:
    """Return the equal error rate of `shortcut` alone, between 0 and 1."""
    return shortcut(corpus, features=features, seed=seed, folds=folds, resamples=100).eer.value


def _groups(table: pd.DataFrame) -> np.ndarray:
    """Return the number of each clip's group, shape (n_clips,), by the rule of all intervals."""
    together = intervals.groups_of(table).groups
    return np.arange(len(table)) if together is None else pd.factorize(together)[0]


def _cross_validated_scores(
    features: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, *, seed: int, folds: int
) -> dict[str, np.ndarray]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifiers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")),
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
        for name, classifier in classifiers.items():
            scores[name][test] = classifier.fit(values[train], labels[train]).decision_function(values[test])
    return scores


def _rank(features: pd.DataFrame, labels: np.ndarray, options: dict) -> pd.DataFrame:
    rows = []
    for name, unit in NUISANCES.items():
        values = features[name].to_numpy(float)
        auc = intervals.interval(labels, values, metric="auc", **options)
        eer = metrics.eer(labels, values if auc.value >= 0.5 else -values).value
        rows.append(
            {
                "feature": name,
                "unit": unit,
                "bonafide": float(np.median(values[labels == 1])),
                "spoof": float(np.median(values[labels == 0])),
                "auc": auc.value,
                "auc_low": auc.low,
                "auc_high": auc.high,
                "eer": eer,
            }
        )
    table = pd.DataFrame(rows)
    return table.loc[(table["auc"] - 0.5).abs().sort_values(ascending=False, kind="stable").index].reset_index(
        drop=True
    )


def _verdict(corpus: str, eer: Interval, ranked: pd.DataFrame, finding: str, level: float) -> str:
    sentence = (
        f"A classifier that knows only the length, level, silences and coarse spectrum of clips reaches an EER of "
        f"{percent(eer.value)} on {corpus} ({100 * level:g} % interval {percent_range(eer.low, eer.high)}), "
        "where guessing gives 50 %"
    )
    if finding == NOTHING:
        return f"{sentence}: it is not shown that the format gives anything away."
    telling = ranked[(ranked["auc_low"] > 0.5) | (ranked["auc_high"] < 0.5)]["feature"].head(2)
    by = f", first of all by {' and '.join(telling).replace('_', ' ')}" if len(telling) else ""
    return (
        f"{sentence}: the format gives {'much' if finding == MUCH else 'part'} of the label away{by}, and no result on "
        "it is about speech alone."
    )
