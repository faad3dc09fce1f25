"""The controls of a run: figures that are known beforehand, and faults that have to be refused.

*Positive* controls send planted clips (`experiment.planted`) through all that makes a figure of this report and hold
what comes out against what was counted by hand or follows from the normal distribution. Controls of *alignment* and
*data* are made on the run's own clips. A *self-check* is an identity of the metrics' code and no evidence.
"""

import dataclasses
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

from dfdlib.data import corpus, keys
from dfdlib.detector.score import score
from dfdlib.detector.scores import pair
from dfdlib.evaluation import controls, intervals, metrics
from dfdlib.evaluation.controls import Control
from dfdlib.experiment import clips, evaluation
from dfdlib.experiment.clips import TARGET
from dfdlib.experiment.planted import EERS, SPEAKERS, Planted, separation
from dfdlib.experiment.run import Run
from dfdlib.report import sentences, tables

#: Clips of each class and corpus that are read again by themselves, and how far a score may be off, as a share.
_AGAIN, _OFF = 3, 1e-3


def of_run(run: Run) -> pd.DataFrame:
    """Return all controls of a run: ``kind corpus control expected found holds``."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rows += [("positive", "planted", *control) for control in positive(Planted(run.profile, Path(folder)))]
    for name in run.with_audio:
        rows += [("alignment", name, *again_alone(run, name)), ("data", name, *wrong_rate(run, name))]
        rows += [("data", name, *untrained(run, name, family=len(run.with_audio)))]
    scores = run.scores("before", TARGET)
    real = scores.labels == metrics.BONAFIDE
    alone = controls.refused("bona fide clips only", lambda: metrics.eer(scores.labels[real], scores.values[real]))
    rows += [("self-check", TARGET, *controls.equal_scores(scores.labels)), ("self-check", TARGET, *alone)]
    return pd.DataFrame(rows, columns=["kind", "corpus", "control", "expected", "found", "holds"])


def said(table: pd.DataFrame) -> str:
    """Say whether all controls passed, and what a failure means."""
    failed = table[~table["holds"].astype(bool)]
    if failed.empty:
        kinds = ", ".join(f"{count} {kind}" for kind, count in table["kind"].value_counts(sort=False).items())
        return f"All {len(table)} controls passed ({kinds})."
    named = "; ".join(f"{row.control} on {row.corpus}" for row in failed.itertuples())
    meaning = "Read figures on that data with this in mind."
    if (failed["kind"] != "data").any():
        meaning = "Trust no figure of this report before it is clear why."
    return f"{len(failed)} of {len(table)} controls failed: {named}. {meaning}"


# Planted clips


def positive(run: Planted) -> Iterable[Control]:
    """Yield the controls of planted clips, one after the other."""
    for control in (counted, carried, normal, written, interval, no_error, change, sentence, misaligned, in_two_splits):
        yield control(run)


def counted(run: Planted) -> Control:
    """Metrics of clips that were counted by hand: see `experiment.planted`."""
    found = run.evaluate("before", TARGET)
    # At 1 a fifth of bona fide clips is rejected and a tenth of spoofs accepted; at -1 none and one half.
    least = min(0.95 * 0.2 + 0.5 * 0.1, 0.5 * 0.5) / 0.5
    blocks = [(0.2, 0.4), (0.8, 0.1)]  # shares of both classes at -1 and 1; at -3 there are spoofs alone
    expected = {
        "eer": 0.15, "macro_eer": 0.1, "auc": 0.9, "min_dcf": least, "act_dcf": least,
        "cllr": (0.8 * _bits(1) + 0.2 * _bits(-1) + 0.1 * _bits(-1) + 0.4 * _bits(1) + 0.5 * _bits(3)) / 2,
        "min_cllr": sum(p * math.log2(1 + q / p) + q * math.log2(1 + p / q) for p, q in blocks) / 2,
    }  # fmt: skip
    return controls.compared("metrics of clips counted by hand", expected, found)


def carried(run: Planted) -> Control:
    """Errors at the threshold of validation clips, 1, and the cost by their calibration.

    It is ln 4 times the score, but never beyond ln (40 / 11): with one more error in each class that is the most that
    50 validation clips support (`evidence.bounds`).
    """
    found, other = run.evaluate("before", TARGET), run.evaluate("before", "custom")
    d, llr = separation(EERS[0]), math.log(40 / 11)
    cllr = 0.8 * _bits(llr) + 0.2 * _bits(-llr) + 0.1 * _bits(-llr) + 0.9 * _bits(llr)
    expected = {
        "far": 0.1, "frr": 0.2, "hter": 0.15, "cllr_calibrated": cllr / 2,
        "far, normal": float(ndtr(-(1 + d * d / 2) / d)), "frr, normal": float(ndtr((1 - d * d / 2) / d)),
    }  # fmt: skip
    found = found | {f"{name}, normal": other[name] for name in ("far", "frr")}
    # Quantiles of 50 speakers cannot be closer than half a speaker.
    return controls.compared("validation threshold and calibration", expected, found, within=0.5 / SPEAKERS)


def normal(run: Planted) -> Control:
    """Metrics of normal log-likelihood ratios before and after, in closed form; Cllr by an integral."""
    expected, found = {}, {}
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    for stage, eer in zip(("before", "after"), EERS, strict=True):
        d, bayes = separation(eer), metrics.bayes_threshold()
        rates = ndtr((bayes - d * d / 2) / d), ndtr(-(bayes + d * d / 2) / d)
        known = {
            "eer": eer, "auc": float(ndtr(d / math.sqrt(2))), "min_dcf": (0.95 * rates[0] + 0.5 * rates[1]) / 0.5,
            "cllr": float(density @ _bits(d * d / 2 + d * z)),
        }  # fmt: skip
        values = run.evaluate(stage, "custom")
        expected |= {f"{name} {stage}": value for name, value in known.items()}
        found |= {f"{name} {stage}": values[name] for name in known}
    return controls.compared("metrics of normal scores", expected, found, within=0.04)


def written(run: Planted) -> Control:
    """The written table, read and evaluated as ``dfd evaluate`` does, with an attack at a time."""
    scores = run.scores("before", TARGET)
    trials = keys.trials(run.folder / "scores" / f"before-{TARGET}.csv")
    found = evaluation.evaluate(trials, per=["attack"], resamples=100)
    values = {name: found.found[name] for name in ("eer", "auc")} | {"clips": len(trials.table)}
    attacks = found.per["attack"].set_index("attack")["eer"]
    values |= {name: attacks.get(name, math.nan) for name in ("hard", "easy")}
    expected = {"eer": 0.15, "auc": 0.9, "hard": 0.2, "easy": 0.0, "clips": len(scores.table)}
    return controls.compared("table of scores, written and read again", expected, values)


def interval(run: Planted) -> Control:
    """The width of an interval where speakers are known: that of 50 independent speakers, not of 200 clips."""
    low, high = run.evaluate("before", "custom")["eer_ci"]
    # At the threshold of equal rates the EER is the mean of two independent shares.
    width = 2 * 2.01 * math.sqrt(EERS[0] * (1 - EERS[0]) / (2 * SPEAKERS))
    name = "width of an interval by speaker"
    return controls.compared(name, {"width": width}, {"width": high - low}, within=0.25 * width)


def no_error(run: Planted) -> Control:
    """The interval of an attack without an error among 100 clips of each class (Clopper and Pearson, 1934)."""
    easy = run.errors_by("before", TARGET).set_index("attack").loc["easy"]
    expected = {"low": 0.0, "high": 1 - 0.025 ** (1 / 100)}
    found = {"low": easy["eer_low"], "high": easy["eer_high"]}
    return controls.compared("interval where there is no error", expected, found, within=1e-6)


def change(run: Planted) -> Control:
    """Changes of known size: large on custom, and of p = 0.04 twice, which does not survive three corpora."""
    found = run.verdicts().set_index("corpus")
    sizes = {TARGET: -0.045, "custom": EERS[1] - EERS[0], "source": -0.045}
    shown = {TARGET: 0, "custom": 1, "source": 0}
    expected = {f"change on {name}": size for name, size in sizes.items()}
    expected |= {f"shown on {name}": value for name, value in shown.items()}
    values = {f"change on {name}": found.loc[name, "delta"] for name in sizes}
    values |= {f"shown on {name}": int(found.loc[name, "verdict"] == "better") for name in sizes}
    return controls.compared("changes and what is said of them", expected, values)


def sentence(run: Planted) -> Control:
    """The sentence on the baseline."""
    table = tables.wide(run.evaluations(stages=["before"], corpora=[TARGET]))
    (found,) = sentences.evaluations(table)
    parts = ["(100 + 200 clips)", "the baseline has an EER of 15.0 %", "AUC of 0.900", "it is better than chance."]
    return Control("sentence of the report", " … ".join(parts), found, holds=all(part in found for part in parts))


def misaligned(run: Planted) -> Control:
    """Labels in another order than the scores: the study's own mistake."""
    scores = run.scores("before", TARGET)
    table = scores.table.assign(label=scores.table["label"].to_numpy()[::-1])
    other = dataclasses.replace(scores, table=table)
    clips_of = run.corpus(TARGET).table
    return controls.refused("labels in another order than scores", lambda: other.require_labels_of(clips_of))


def in_two_splits(run: Planted) -> Control:
    """A clip that is trained on and chosen by."""
    both = run.corpus(TARGET, split="validation")
    roles = {"training": [both.head(1)], "validation": [both]}
    return controls.refused("one clip for training and validation", lambda: clips.keep_apart(roles))


# The run's own clips


def again_alone(run: Run, name: str) -> Control:
    """Read a few clips again, one at a time from its file: they must have the scores and labels of the table."""
    scores, how = run.scores("before", name), run.preprocessing()
    some = scores.table.groupby("label").sample(n=_AGAIN, replace=True, random_state=run.profile.seed)
    labels = run.corpus(name).table.drop_duplicates("sha256").set_index("sha256")["label"]
    off = []
    for row in some.itertuples():
        alone = score(corpus.find([row.path], name=name), run.scorer("before"), preprocessing=how).table.iloc[0]
        same = alone["sha256"] == row.sha256 and labels[alone["sha256"]] == row.label
        off.append(abs(alone["score"] - row.score) if same else math.inf)
    worst, allowed = max(off), _OFF * max(1.0, float(np.abs(scores.values).max()))
    found = "other clips" if math.isinf(worst) else f"scores within {worst:.1g}"
    expected = f"their labels, and scores within {allowed:.1g}"
    return Control(f"{len(off)} clips read again, each alone", expected, found, holds=worst <= allowed)


def wrong_rate(run: Run, name: str) -> Control:
    """The run's clips at the study's rate: `controls.wrong_rate`."""
    right, wrong = run.wrong_rate_scores("before", name)
    both = pair(right, wrong)
    threshold = metrics.eer(right.labels, right.values).threshold
    return controls.wrong_rate(both["score"], both["score_second"], threshold=threshold)


def untrained(run: Run, name: str, *, family: int) -> Control:
    """A detector with random weights: `controls.untrained`, at a level adjusted for so many corpora."""
    scores = run.untrained_scores(name)
    options = {"metric": "auc", "groups": run.drawn(scores.table)} | run.resampling(family=family)
    options["level"] = level = 1 - (1 - options["level"]) / family
    chance = intervals.interval(scores.labels, scores.values, **options)
    return controls.untrained(scores.labels, scores.values, auc_low=chance.low, auc_high=chance.high, level=level)


def _bits(llr):
    """Return log2(1 + exp(-llr))."""
    return np.logaddexp(0.0, -np.asarray(llr, dtype=float)) / math.log(2)
