"""How often 95 % intervals hold the truth: ``python tests/benchmarks/bench_coverage.py [studies] [cell …]``.

The cell "seeds" is of another kind: three trainings of 212 clips a class whose separations differ from seed to seed;
the truth is the change of the mean over all seeds and clips.

Each study is a test set of normal scores with a known truth: independent clips, speakers or sentences that share part
of the variance within each class, and the speakers and sentences of the demo's three corpora; the 23 unequal sentences
are those of an earlier corpus, of which one holds nearly half of the clips. `units.of` chooses what
is drawn again, as everywhere. The truth is that of other speakers and sentences of the same kind; where `units.of` says
that new voices cannot be judged, it is that of these voices with other sentences. Detectors that are compared have the
same EER, and 70 % of what makes a clip, a speaker and a sentence hard in common.
"""

import itertools
import math
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from dfdlib.evaluation import intervals, units

EERS = (0.005, 0.06, 0.30)
COMMON = 0.7
RESAMPLES = 300
#: Structure: speaker ICC, sentence ICC, and a function that gives labels, speakers and sentences.
FIXTURE = Path(__file__).parent.parent / "fixtures" / "speakers_and_sentences.csv"


def clips(each):
    return pd.DataFrame({"label": np.repeat([1, 0], each)})


def speakers(number, each=212):
    return clips(each).assign(speaker=np.tile(np.arange(each) % number, 2))


def sentences(number, each=120):
    return clips(each).assign(sentence=np.tile(np.arange(each) % number, 2))


def crossed(speakers, sentences):
    rows = itertools.product((1, 0), range(speakers), range(sentences))
    return pd.DataFrame(rows, columns=["label", "speaker", "sentence"])


@cache
def corpus(name):
    counts = pd.read_csv(FIXTURE)
    counts = counts[counts["corpus"] == name]
    return counts.loc[counts.index.repeat(counts["clips"]), ["label", "speaker", "sentence"]].reset_index(drop=True)


CELLS = {
    "60 clips": (0, 0, lambda: clips(60)),
    "212 clips": (0, 0, lambda: clips(212)),
    "544 clips": (0, 0, lambda: clips(544)),
    "5 speakers": (0.3, 0, lambda: speakers(5)),
    "10 speakers": (0.3, 0, lambda: speakers(10)),
    "30 speakers": (0.3, 0, lambda: speakers(30)),
    "23 sentences": (0, 0.4, lambda: sentences(23)),
    "23 unequal sentences": (0, 0.4, lambda: corpus("unequal")[["label", "sentence"]]),
    "10 x 21": (0.3, 0.4, lambda: crossed(10, 21)),
    "source": (0.3, 0.4, lambda: corpus("source")),
    "for-2seconds": (0.3, 0.4, lambda: corpus("for-2seconds")),
    "custom": (0.3, 0.4, lambda: corpus("custom")),
}


def effects(rng, table, column, share):
    """Return what the units of a column add to two systems' scores, each class by itself, (2, n)."""
    if not share:
        return np.zeros((2, len(table)))
    codes = table[column].to_numpy() * 2 + table["label"].to_numpy()
    common, own = rng.standard_normal(codes.max() + 1), rng.standard_normal((2, codes.max() + 1))
    return math.sqrt(share) * (math.sqrt(COMMON) * common + math.sqrt(1 - COMMON) * own)[:, codes]


def mixture(table, speaker, rest, d):
    """Return EER and AUC of these voices: normal scores about each speaker's own mean."""
    parts = []
    for label in (1, 0):
        means, share = np.unique(speaker[table["label"] == label], return_counts=True)
        parts.append((means + d * label, share / share.sum()))
    (real, real_share), (fake, fake_share) = parts
    s = math.sqrt(rest)
    frr = lambda t: real_share @ ndtr((t - real) / s)  # noqa: E731
    far = lambda t: fake_share @ ndtr((fake - t) / s)  # noqa: E731
    place = brentq(lambda t: frr(t) - far(t), -20, 30)
    auc = real_share @ ndtr((real[:, None] - fake[None]) / (s * math.sqrt(2))) @ fake_share
    return {"eer": frr(place), "auc": auc}


def study(cell, eer, seed, resamples=RESAMPLES):
    """Return which intervals of one study hold the truth, and the widths of those of one system."""
    by_speaker, by_sentence, make = CELLS[cell]
    table = make()
    rng = np.random.default_rng([seed, round(1000 * eer)])
    d = -2 * ndtri(eer)
    speaker = effects(rng, table, "speaker", by_speaker)
    rest = 1 - by_speaker - by_sentence
    common, own = rng.standard_normal(len(table)), rng.standard_normal((2, len(table)))
    noise = math.sqrt(rest) * (math.sqrt(COMMON) * common + math.sqrt(1 - COMMON) * own)
    labels = table["label"].to_numpy()
    systems = d * labels + speaker + effects(rng, table, "sentence", by_sentence) + noise
    drawn = units.of(table)
    if drawn.target == units.THESE:
        truths = [mixture(table, values, 1 - by_speaker, d) for values in speaker]
    else:
        truths = [{"eer": eer, "auc": ndtr(d / math.sqrt(2))}] * 2
    options = {"groups": drawn, "resamples": resamples, "seed": seed}
    found = intervals.intervals(labels, systems[0], names=("eer", "auc"), **options)
    hits = {name: row.low <= truths[0][name] <= row.high for name, row in found.items()}
    pair = intervals.paired_differences(labels, *systems, names=("eer", "auc"), **options)
    for name, row in pair.items():
        hits[f"change of {name}"] = row.low <= truths[1][name] - truths[0][name] <= row.high
    widths = {f"width {name}": row.high - row.low for name, row in found.items()}
    return hits | widths | {f"width change {name}": row.high - row.low for name, row in pair.items()}


def seeds_study(spread, eer, gain, seed, resamples=RESAMPLES):
    """Return whether the intervals of a change by training hold it, of other seeds and of these alone.

    Separations of three trainings are normal about that of the baseline and a gain, with a standard deviation `spread`;
    the trainings have 90 % of a clip's noise in common, and 70 % with the baseline.
    """
    rng = np.random.default_rng([seed, round(1000 * eer), round(100 * spread), round(100 * gain)])
    labels, d = np.repeat([1, 0], 212), -2 * ndtri(eer)
    common, tuned, old, new = (rng.standard_normal((rows, labels.size)) for rows in (1, 1, 1, 3))
    separations = d + gain + spread * rng.standard_normal((3, 1))
    before = d * labels + math.sqrt(0.7) * common[0] + math.sqrt(0.3) * old[0]
    after = separations * labels + math.sqrt(0.7) * common + math.sqrt(0.2) * tuned + math.sqrt(0.1) * new
    # The mean of ndtr(-x / 2) over normal x.
    truth = ndtr(-(d + gain) / math.sqrt(4 + spread**2)) - eer
    change = intervals.changes(labels, before, after, names=("eer",), resamples=resamples, seed=seed)["eer"]
    found = {"other seeds": change.at(0.95), "these seeds": change.at(0.95, other_seeds=False)}
    hits = {name: one.low <= truth <= one.high for name, one in found.items()}
    return hits | {f"width, {name}": one.high - one.low for name, one in found.items()}


def seeds(count):
    """Print a row for each spread of the seeds."""
    for spread, eer, gain in itertools.product((0.0, 0.1, 0.3, 0.6), (0.06, 0.30), (0.0, 0.8)):
        found = pd.DataFrame([seeds_study(spread, eer, gain, seed) for seed in range(count)]).mean() * 100
        shown = "  ".join(f"{name} {value:5.1f}" for name, value in found.items())
        print(f"3 seeds, spread {spread:.1f}, EER {100 * eer:4.1f} %, gain {gain:.1f}: {shown}", flush=True)


def main(count, cells):
    """Print a row for each cell: coverage in %, and the mean width in points."""
    if cells == ["seeds"]:
        seeds(count)
        return
    for cell in cells or CELLS:
        for eer in EERS:
            start = time.perf_counter()
            found = pd.DataFrame([study(cell, eer, seed) for seed in range(count)]).mean() * 100
            shown = "  ".join(f"{name} {value:5.1f}" for name, value in found.items())
            print(f"{cell:22} EER {100 * eer:4.1f} %: {shown}  ({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2:])
