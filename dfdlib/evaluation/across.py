"""Several corpora at once: mean and pooled error, and thresholds carried from each corpus to every other one.

An EER takes its threshold from the test set itself. A detector in use has one threshold for all that it hears, which
was fixed elsewhere: `carried` shows what becomes of it.

A corpus is a table with the columns ``label``, ``score`` and whatever ties its clips together (`units.of`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dfdlib.evaluation import intervals, limits, metrics, units
from dfdlib.evaluation.intervals import Interval

if TYPE_CHECKING:
    from pandas import DataFrame


def carried(
    tables: Mapping[str, "DataFrame"],
    *,
    by: str = "auto",
    target: str = units.NEW,
    level: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
    **options,
) -> "DataFrame":
    """Return the errors of every corpus at the EER threshold of each of them.

    Intervals, by the options of `units.of` and `intervals.intervals`, say what other clips of the measured corpus would
    change; the threshold stays. Of clips on their own, no resamples are needed: FAR and FRR are shares with Wilson's
    intervals, which `mean` joins. ``progress`` takes how many corpora are done, and of how many.

    A row for each pair, columns ``threshold_of on threshold far frr hter low high``; ``low`` and ``high`` bound the
    half total error rate. Where both are one corpus, the threshold was chosen on it.
    """
    import pandas as pd

    trials = {name: metrics.validate(*_columns(table)) for name, table in tables.items()}
    thresholds = {name: metrics.eer(*pair).threshold for name, pair in trials.items()}
    rows = []
    for done, (on, (labels, scores)) in enumerate(trials.items(), 1):
        drawn = units.of(tables[on], by=by, target=target)
        for of, threshold in thresholds.items():
            far, frr = metrics.error_rates(labels, scores, threshold=threshold)
            if drawn.by == "clip":
                sizes = (int((labels == value).sum()) for value in (metrics.SPOOF, metrics.BONAFIDE))
                hter = mean(Interval(rate, *map(float, limits.wilson(rate, size, level=level)))
                            for rate, size in zip((far, frr), sizes, strict=True))  # fmt: skip
            else:
                more = {"groups": drawn, "threshold": threshold, "level": level, **options}
                hter = intervals.interval(labels, scores, metric="hter", **more)
            row = {"threshold_of": of, "on": on, "threshold": threshold, "far": far, "frr": frr, "hter": hter.value}
            rows.append(row | {"low": hter.low, "high": hter.high})
        if progress is not None:
            progress(done, len(trials))
    count = len(trials)
    # Those of one threshold stand together.
    return pd.DataFrame([rows[on * count + of] for of in range(count) for on in range(count)])


def mean(values: Iterable[Interval]) -> Interval:
    """Return the mean of independent metrics, as of several corpora, with its interval.

    The distances of the ends from the values add up as squares do, on either side (Zou and Donner, 2008).
    """
    value, low, high = np.array(list(values)).T
    centre, count = float(value.mean()), value.size
    return Interval(
        centre,
        centre - math.sqrt(float(((value - low) ** 2).sum())) / count,
        centre + math.sqrt(float(((high - value) ** 2).sum())) / count,
    )


def pooled(tables: Mapping[str, "DataFrame"]) -> "DataFrame":
    """Return all trials of all corpora as one table: what ties trials of different corpora is not the same."""
    import pandas as pd

    parts = []
    for name, table in tables.items():
        kept = table[["label", "score", *(tie for tie in (*units.TIES, "attack") if tie in table)]]
        named = {
            tie: kept[tie].where(kept[tie] == "", name + "\x1f" + kept[tie].astype(str)) for tie in kept.columns[2:]
        }
        parts.append(kept.assign(corpus=name, **named))
    return pd.concat(parts, ignore_index=True)


def _columns(table: "DataFrame") -> tuple[np.ndarray, np.ndarray]:
    return table["label"].to_numpy(dtype=np.int8), table["score"].to_numpy(dtype=np.float64)
