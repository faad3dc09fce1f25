"""How often `shift_warnings` warns, in percent of corpora: ``python tests/benchmarks/bench_shift.py [studies]``.

130 validation and 212 test clips of each class, or 40 bona fide ones and 200 spoofs, all normal; the classes are so
many of their standard deviations apart. Where nothing differs, a warning is a false alarm.
"""

import sys
import time

import numpy as np

from dfdlib.evaluation import calibration
from dfdlib.evaluation.shift import shift_warnings

GAPS = (1.5, 2.0, 3.0)
#: Bona fide clips, spoofs, and what is done to their scores, in standard deviations of a class.
CASES = {
    "nothing": (212, 212, lambda scores: scores),
    "nothing, 40 and 200 clips": (40, 200, lambda scores: scores),
    "half up": (212, 212, lambda scores: scores + 0.5),
    "one up": (212, 212, lambda scores: scores + 1),
    "one down": (212, 212, lambda scores: scores - 1),
    "one down, 40 and 200 clips": (40, 200, lambda scores: scores - 1),
    "half as wide again": (212, 212, lambda scores: 1.5 * scores),
}


def trials(bonafide, spoof, *, gap, seed):
    """Return labels and scores, the classes at both sides of 0."""
    labels = np.repeat([1, 0], [bonafide, spoof])
    return labels, np.random.default_rng(seed).normal(size=labels.size) + gap * (labels - 0.5)


def main(studies):
    """Print a row for each case and gap."""
    for gap in GAPS:
        fitted = [calibration.fit(*trials(130, 130, gap=gap, seed=seed)) for seed in range(studies)]
        for name, (bonafide, spoof, change) in CASES.items():
            start = time.perf_counter()
            drawn = (trials(bonafide, spoof, gap=gap, seed=10_000 + seed)[1] for seed in range(studies))
            found = [bool(shift_warnings(one, change(scores))) for one, scores in zip(fitted, drawn, strict=True)]
            print(f"{gap:3} apart, {name:27} {100 * np.mean(found):5.1f} %  ({time.perf_counter() - start:.0f} s)")
        single = []
        for seed, one in enumerate(fitted):
            single += [bool(shift_warnings(one, [score])) for score in trials(10, 10, gap=gap, seed=20_000 + seed)[1]]
        print(f"{gap:3} apart, {'nothing, clips one by one':27} {100 * np.mean(single):5.1f} %")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
