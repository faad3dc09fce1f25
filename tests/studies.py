"""Simulated studies with a known truth: how often do intervals hold it?"""

import math
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from statistics import NormalDist

import numpy as np

from dfdlib.evaluation import intervals, metrics

#: Trials of each class, and how many groups share them where there are groups.
GROUPS = {50: 10, 250: 50, 1000: 100}
#: Independent clips; groups with clips of both classes, as sentences have; groups of one class, as attacks have.
KINDS = ("clips", "shared groups", "separate groups")

NORMAL = NormalDist()


def study(rng, *, trials, separations, kind, shared=0.3, common=0.6):
    """Return labels, the scores of one system for each separation, and groups.

    Scores are log-likelihood ratios: bona fide N(d²/2, d²), spoof N(-d²/2, d²). Groups share `shared` of the variance;
    the systems share `common` of what is the clip's own.
    """
    labels = np.repeat([1, 0], trials)
    groups, ours = None, 0.0
    if kind != "clips":
        groups = np.tile(np.repeat(np.arange(GROUPS[trials]), trials // GROUPS[trials]), 2)
        if kind == "separate groups":
            groups += GROUPS[trials] * (labels == 0)
        ours = math.sqrt(shared) * rng.standard_normal(groups.max() + 1)[groups]
    clip, rest = rng.standard_normal(2 * trials), math.sqrt(1 - shared) if groups is not None else 1.0
    systems = []
    for d in separations:
        own = math.sqrt(common) * clip + math.sqrt(1 - common) * rng.standard_normal(2 * trials)
        systems.append(d * (ours + rest * own) + np.where(labels == 1, d * d / 2, -d * d / 2))
    return labels, systems, groups


@cache
def truth(d):
    """Return what every metric is in an endless test set of separation d; the threshold of the rates is 0."""
    bayes = metrics.bayes_threshold()
    dcf = float(metrics.detection_cost(1 - NORMAL.cdf((bayes + d * d / 2) / d), NORMAL.cdf((bayes - d * d / 2) / d)))
    grid = np.linspace(-10, 10, 20_001)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    cllr = float(np.sum(density * np.logaddexp(0, -d * d / 2 - d * grid)) * (grid[1] - grid[0]) / math.log(2))
    error = NORMAL.cdf(-d / 2)
    return {
        "eer": error, "auc": NORMAL.cdf(d / math.sqrt(2)),
        "min_dcf": dcf, "act_dcf": dcf, "cllr": cllr, "min_cllr": cllr, "far": error, "frr": error, "hter": error,
    }  # fmt: skip


def _single(arguments):
    seed, trials, kind, d, resamples = arguments
    labels, (scores,), groups = study(
        np.random.default_rng([seed, trials, KINDS.index(kind)]), trials=trials, separations=[d], kind=kind
    )
    found = intervals.intervals(labels, scores, groups=groups, threshold=0.0, resamples=resamples, seed=seed)
    return {name: low <= truth(d)[name] <= high for name, (_, low, high) in found.items()}


def _pair(arguments):
    seed, trials, kind, separations, resamples = arguments
    labels, systems, groups = study(
        np.random.default_rng([seed, trials, KINDS.index(kind)]), trials=trials, separations=separations, kind=kind
    )
    names = ("eer", "auc", "min_dcf", "act_dcf", "cllr")
    found = intervals.paired_differences(labels, *systems, groups=groups, names=names, resamples=resamples, seed=seed)
    hits = {}
    for name, difference in found.items():
        change = truth(separations[1])[name] - truth(separations[0])[name]
        hits[name] = difference.low <= change <= difference.high
        hits[f"{name}, p >= 0.05"] = difference.p >= 0.05
    return hits


def coverage(*, trials, kind, separation, studies=500, resamples=200):
    """Return the share of studies whose 95 % interval holds the truth, by metric.

    With a pair of separations: of the paired differences, and the share of p-values of at least 0.05.
    """
    one = _pair if isinstance(separation, tuple) else _single
    work = [(seed, trials, kind, separation, resamples) for seed in range(studies)]
    with ProcessPoolExecutor() as pool:
        hits = list(pool.map(one, work, chunksize=studies // 20))
    return {name: sum(hit[name] for hit in hits) / studies for name in hits[0]}
