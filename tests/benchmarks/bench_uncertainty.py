"""What intervals cost: ``python tests/benchmarks/bench_uncertainty.py [resamples]``.

Two detectors on as many trials as the ASVspoof 2021 DF evaluation set has: every metric with 1,000 paired bootstrap
resamples, and the straightforward loop that draws trials and calls scikit-learn, of which a few resamples are timed
and multiplied. ``python -m pytest tests/benchmarks/bench_uncertainty.py`` times smaller test sets.
"""

import math
import resource
import sys
import time

import numpy as np
import pytest
import sklearn.isotonic
import sklearn.metrics

from dfdlib.evaluation import intervals, metrics

BONAFIDE, SPOOF = 22_617, 589_212
NAMES = tuple(name for name in intervals.METRICS if name not in ("far", "frr", "hter", "macro_eer"))
LOOPED = 3


def trials(bonafide: int, spoof: int):
    """Return labels and log-likelihood ratios of two detectors that err alike, with EERs of 16 % and 3 %."""
    rng = np.random.default_rng(1)
    labels = np.repeat([1, 0], [bonafide, spoof])
    clip = rng.standard_normal(labels.size)
    systems = []
    for d in (2.0, 3.8):
        noise = math.sqrt(0.6) * clip + math.sqrt(0.4) * rng.standard_normal(labels.size)
        systems.append(d * noise + np.where(labels == 1, d * d / 2, -d * d / 2))
    return labels, systems


def with_scikit_learn(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the same metrics from scikit-learn's functions and the definitions."""
    far, hit, _ = sklearn.metrics.roc_curve(labels, scores)
    frr, place = 1 - hit, int(np.argmin(np.abs(far - (1 - hit))))
    weights = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    fitted = sklearn.isotonic.IsotonicRegression().fit(scores, labels, sample_weight=weights).predict(scores)
    accepted = scores >= metrics.bayes_threshold()
    return {
        "eer": (far[place] + frr[place]) / 2,
        "auc": sklearn.metrics.roc_auc_score(labels, scores),
        "min_dcf": metrics.detection_cost(far, frr).min(),
        "act_dcf": metrics.detection_cost(accepted[labels == 0].mean(), 1 - accepted[labels == 1].mean()),
        "cllr": sklearn.metrics.log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weights) / math.log(2),
        "min_cllr": sklearn.metrics.log_loss(labels, fitted, sample_weight=weights) / math.log(2),
    }


@pytest.mark.parametrize("each", [500, 50_000])
@pytest.mark.parametrize("metric", ["eer", "auc", "min_cllr"])
def bench_one_interval(benchmark, each, metric):
    labels, (scores, _) = trials(each, each)
    benchmark.pedantic(intervals.interval, (labels, scores), {"metric": metric}, rounds=3)


def bench_all_paired_differences(benchmark):
    labels, systems = trials(500, 500)
    benchmark(intervals.paired_differences, labels, *systems, names=NAMES)


def bench_curve_band(benchmark):
    labels, (scores, _) = trials(500, 500)
    benchmark(intervals.curve_band, labels, scores)


def main(resamples: int) -> None:
    """Print seconds, memory and the ratio to the loop."""
    labels, systems = trials(BONAFIDE, SPOOF)
    start, work = time.perf_counter(), time.process_time()
    found = intervals.paired_differences(labels, *systems, names=NAMES, resamples=resamples)
    ours, work = time.perf_counter() - start, time.process_time() - work
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    rng, places = np.random.default_rng(1), [np.flatnonzero(labels == value) for value in (1, 0)]
    start = time.perf_counter()
    for _ in range(LOOPED):
        drawn = np.concatenate([rng.choice(rows, rows.size) for rows in places])
        for scores in systems:
            with_scikit_learn(labels[drawn], scores[drawn])
    loop = (time.perf_counter() - start) / LOOPED * resamples

    for name, value in with_scikit_learn(labels, systems[1]).items():
        assert abs(value - found[name].after) < 1e-4, (name, value, found[name].after)
    print(f"{len(NAMES)} metrics of 2 detectors on {labels.size:,} trials, {resamples:,} paired resamples")
    print(f"dfdlib               {ours:9.1f} s ({work:.1f} s of processor time), at most {memory:.0f} MB")
    print(f"loop, scikit-learn   {loop:9.1f} s ({LOOPED} resamples timed and multiplied): {loop / ours:.0f} times")
    for name, row in found.items():
        print(f"  {name:17} {row.before:.5f} -> {row.after:.5f}   {row.delta:+.5f} ({row.low:+.5f} to {row.high:+.5f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
