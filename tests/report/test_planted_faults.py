"""Controls that can fail: the table of planted faults, each of which a control or a check has to notice."""

import dataclasses
import functools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dfdlib.data import audio, audit
from dfdlib.data.audit import measure, shortcuts
from dfdlib.data.corpus import Corpus
from dfdlib.detector import preprocessing, score_cache, scores
from dfdlib.detector import score as scoring
from dfdlib.errors import DataError
from dfdlib.evaluation import (
    bootstrap,
    by_group,
    calibration,
    carried,
    counts,
    drawing,
    evidence,
    family,
    intervals,
    limits,
    metrics,
    tandem,
    units,
    verdicts,
)
from dfdlib.evaluation import controls as checks
from dfdlib.experiment import clips, planted, profile
from dfdlib.experiment import run as experiment
from dfdlib.experiment.scored import Scored
from dfdlib.report import controls, sentences
from dfdlib.training import augment

Scores, Preprocessing = scores.Scores, preprocessing.Preprocessing


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A function that opens the run of planted clips anew; their logits are kept, and their lists are read once."""
    folder = tmp_path_factory.mktemp("planted")
    once = functools.cache(planted.reader.read)

    def read(place, *, name):
        found = once(place, name=name)
        return dataclasses.replace(found, table=found.table.copy(), left_out=found.left_out.copy())

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(carried, "REFITS", 5)
        monkeypatch.setattr(planted, "reader", SimpleNamespace(read=read))
        yield lambda: planted.Planted(profile.load("demo"), folder, resamples=100)


# Checks of what planted clips do not pass through


def of_seeds(_):
    """Intervals by two seeds differ, and those by one do not."""
    labels, values = np.repeat([1, 0], 30), np.random.default_rng(1).normal(size=60)
    first, again, other = (intervals.interval(labels, values, resamples=100, seed=seed) for seed in (1, 1, 2))
    return first == again != other


def of_folds(_):
    """A nuisance that tells speakers apart tells nothing of the classes of other speakers."""
    speaker = np.repeat(np.arange(30), 8)
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"label": speaker % 2, "speaker": [f"s{number}" for number in speaker], "sentence": ""})
    features = pd.DataFrame(0.0, index=table.index, columns=list(measure.NUISANCES))
    features[next(iter(measure.NUISANCES))] = rng.permutation(30)[speaker] + 0.01 * rng.normal(size=speaker.size)
    corpus = Corpus("c", table, pd.DataFrame())
    return audit.shortcut(corpus, features=features, dealings=1, resamples=100).eer.value > 0.25


def of_ties(_):
    """The control with one score for all fails where ties are cut in favour of the first class."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(metrics, "auc", lambda labels, scores: 1.0)
        return not checks.equal_scores([0, 1, 1]).holds


def of_a_dcf(_):
    """One target in four is below all others: (0.9405 / 4) / (10 × 0.0095 + 10 × 0.05), the weights of ASVspoof 5."""
    sasv = tandem.AsvScores(np.array([2.0, 2, 2, 0]), np.ones(3), np.ones(3))
    return tandem.min_a_dcf(sasv)[0] == pytest.approx(0.9405 / 4 / 0.595)


def of_augmentation(_):
    """A clip sounds otherwise by another seed."""
    make, wave = augment.build(["rawboost=5"]), np.sin(np.arange(4000) / 20).astype(np.float32)
    first, other = (make(wave, rate=16_000, rng=augment.rng(seed, 1, "clip")) for seed in (1, 2))
    return not np.array_equal(first, other)


def of_two_ways(_):
    """What speakers, sentences and both at once move alike is noise of clips, which counts once."""
    labels, unit = np.tile([1, 0], 200), np.arange(400) // 2
    drawn = units.Units(("speaker", "sentence"), (unit % 20, unit // 10))
    draws = np.random.default_rng(3).normal(size=(3, 2000))
    return limits.own(draws, drawing.Strata(labels, drawn)).variance < 1.5


def of_one_training(_):
    """However large a change by one training is, nothing is shown."""
    labels = np.repeat([1, 0], 50)
    table = pd.DataFrame({"label": labels, "attack": "tts"})
    before = np.random.default_rng(2).normal(size=100)
    found = by_group.attack_changes(table, before, before + 5 * labels, resamples=100, trained=True)
    return not found["shown"].any()


# Faults


def fault(owner, name, made):
    """Return what plants a fault: `made` is given what was there, or is what stands there instead."""

    def plant(monkeypatch):
        true = getattr(owner, name)
        monkeypatch.setattr(owner, name, made(true) if callable(made) and not isinstance(made, property) else made)

    return plant


def after(change):
    """Return what changes the answer of a function."""
    return lambda true: lambda *args, **kwargs: change(true(*args, **kwargs))


def instead(answer):
    """Return what answers something else: a function of the same arguments."""
    return lambda true: answer


def rolled_labels(found):
    return dataclasses.replace(found, table=found.table.assign(label=np.roll(found.table["label"], 1)))


def of_the_next(found):
    return dict(zip(found, np.roll(list(found.values()), 1, axis=0).tolist(), strict=True))


def wider(ends):
    middle = (ends[0] + ends[1]) / 2
    return 2 * ends[0] - middle, 2 * ends[1] - middle


def strictly_beaten(bonafide, spoof):
    return np.einsum("ij,ij->i", np.diff(bonafide), spoof[:, :-1]) / (1.0 * bonafide[:, -1] * spoof[:, -1])


def reversed_labels(found):
    table, values = found
    return table.assign(label=table["label"].to_numpy()[::-1]), values


def exchanged(both):
    table, first, second = both
    return table, second[:1], np.repeat(first, len(second), axis=0)


def backwards(both):
    table, first, second = both
    return table, first, second[:, ::-1]


def of_test_clips(self, stage, **_):
    found = self.scores(stage, "custom")
    return carried.Validation(found.labels, found.values)


def uncached(plant):
    def both(monkeypatch):
        monkeypatch.setattr(score_cache.Cache, "get", lambda *args, **kwargs: {})
        plant(monkeypatch)

    return both


at_22050 = preprocessing.PREPROCESSING | {"corrected": Preprocessing("corrected", rate=22_050)}
zeros = instead(lambda wave, *, length: np.pad(wave, (0, max(0, length - len(wave))))[:length])
alone = instead(lambda table, labels, *, folds, name: {"clip": (np.arange(len(labels)), folds)})
equal = instead(lambda labels: checks.Control("", "", "", holds=True))
pooled = instead(lambda self, drawn: self.values(drawn, ["eer"])[:, 0])
each_once = instead(lambda size, rows, rng: np.ones((rows, size), dtype=np.uint8))


def favoured(true):
    return classmethod(lambda cls, labels, scores: true(labels, scores + 1e-9 * np.asarray(labels)))


# What is wrong, how it is planted, what notices it.
MUTATIONS = [
    ("labels reversed, as in the study", fault(Scored, "by_seed", after(reversed_labels)), controls.counted),
    ("labels rolled", fault(scoring, "_gather", after(rolled_labels)), controls.counted),
    ("labels not looked up again", fault(Scores, "require_labels_of", instead(lambda *_: None)), controls.misaligned),
    ("scores rolled", fault(Preprocessing, "of_logits", after(lambda found: np.roll(found, 1))), controls.counted),
    ("scores negated", fault(Preprocessing, "of_logits", after(np.negative)), controls.counted),
    ("one logit for the score", fault(Preprocessing, "of_logits", instead(lambda _, all: all[:, 1])), controls.counted),
    ("logits of other clips kept", fault(score_cache.Cache, "get", after(of_the_next)), controls.counted),
    ("clips read at another rate", fault(preprocessing, "PREPROCESSING", at_22050), controls.normal),
    ("windows filled with silence", uncached(fault(audio, "fit", zeros)), controls.counted),
    ("labels exchanged when written", fault(scores, "LABEL_NAMES", {0: "bonafide", 1: "spoof"}), controls.written),
    ("minDCF divided by 3", fault(metrics, "detection_cost", after(lambda cost: cost / 3)), controls.counted),
    ("Cllr without ln 2", fault(metrics, "cllr", after(lambda cost: cost * math.log(2))), controls.counted),
    ("ties count as errors", fault(counts, "area", instead(strictly_beaten)), controls.counted),
    ("ties cut for bona fide", fault(counts.Tally, "of", favoured), controls.counted),
    ("macro EER is the pooled one", fault(bootstrap.SortedScores, "_macro_eer", pooled), controls.counted),
    ("threshold of test clips", fault(Scored, "validation", instead(of_test_clips)), controls.carried),
    ("scores taken for LLRs", fault(calibration.Calibration, "llr", instead(lambda _, all: all)), controls.carried),
    ("LLRs beyond all evidence", fault(evidence, "bounds", instead(lambda *_: (-9.0, 9.0))), controls.carried),
    ("groups ignored", fault(Scored, "drawn", instead(lambda self, table: units.Units())), controls.interval),
    ("intervals doubled", fault(limits, "of_metric", after(wider)), controls.interval),
    ("nothing drawn again", fault(drawing, "_multinomial", each_once), controls.interval),
    ("no error, no interval", fault(limits, "without_spread", instead(lambda _, at, *__: (at, at))), controls.no_error),
    ("Holm removed", fault(family, "holm", instead(np.asarray)), controls.change),
    ("verdict without p", fault(verdicts, "of_change", instead(lambda *_, **__: verdicts.BETTER)), controls.change),
    ("before and after exchanged", fault(Scored, "both", after(exchanged)), controls.change),
    ("paired with other clips", fault(Scored, "both", after(backwards)), controls.change),
    ("one seed for all", fault(Scored, "_rows", instead(lambda *_: [None])), controls.change),
    ("percent of percent", fault(sentences, "percent", instead(lambda share: f"{share:.1f} %")), controls.sentence),
    ("best rung for all", fault(verdicts, "rung", instead(lambda *_: verdicts.SEPARATES)), controls.sentence),
    ("validation in training", fault(clips, "keep_apart", instead(lambda roles, **_: None)), controls.in_two_splits),
    ("seed ignored", fault(intervals, "Bootstrap", lambda true: lambda *a, **b: true(*a, **b | {"seed": 0})), of_seeds),
    ("shortcut folds ungrouped", fault(shortcuts, "_ways", alone), of_folds),
    ("equal_scores always holds", fault(checks, "equal_scores", equal), of_ties),
    ("a-DCF priors of 2024", fault(tandem, "min_a_dcf", lambda true: lambda scores: true(
        scores, priors=tandem.Priors(0.9, 0.05, 0.05, 1, 10, 20))), of_a_dcf),
    ("noise of clips counted twice", fault(limits, "own", lambda true: lambda draws, strata: true(
        np.concatenate([draws[:2], 0 * draws[2:]]), strata)), of_two_ways),
    ("one training shows a change", fault(family, "judge", lambda true: lambda changes, *, level, trained: true(
        changes, level=level)), of_one_training),
    ("augmentation seed ignored", fault(augment, "rng", instead(lambda *_: np.random.default_rng(0))), of_augmentation),
]  # fmt: skip


CHECKS = (of_seeds, of_folds, of_ties, of_a_dcf, of_augmentation, of_two_ways, of_one_training)


def passes(check, run):
    """Tell whether a control holds; a run that stops with a line about its data has noticed."""
    try:
        found = check(run)
    except DataError:
        return False
    return found.holds if isinstance(found, checks.Control) else found


def test_without_a_fault_all_controls_hold(opened):
    run = opened()
    assert [control for control in controls.positive(run) if not control.holds] == []
    assert all(passes(check, run) for check in CHECKS)


@pytest.mark.parametrize(("plant", "notices"), [row[1:] for row in MUTATIONS], ids=[row[0] for row in MUTATIONS])
def test_a_planted_fault_is_noticed(opened, monkeypatch, plant, notices):
    run = opened()
    plant(monkeypatch)
    assert not passes(notices, run)


def test_a_run_has_controls_of_every_kind(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(controls, "positive", lambda run: [])
    run = experiment.Run.open(str(toy), run_dir=tmp_path)
    table = controls.of_run(run)
    assert table["kind"].value_counts().to_dict() == {"data": 6, "alignment": 3, "self-check": 2}
    # Random weights may tell toys apart; their interval is made for three corpora.
    random = table["control"] == "detector with random weights"
    assert table.loc[~random, "holds"].all()
    assert table.loc[random, "found"].str.contains("98.3333 % interval").all()
    # A table whose scores are those of other clips.
    given = run.scores("before", "custom")
    mixed = given.table.assign(score=np.roll(given.table["score"], 1))
    monkeypatch.setattr(type(run), "scores", lambda *_: dataclasses.replace(given, table=mixed))
    assert not controls.again_alone(run, "custom").holds


def test_controls_that_fail_are_named():
    rows = [("positive", "planted", "counts", True), ("data", "custom", "random weights", False)]
    table = pd.DataFrame(rows, columns=["kind", "corpus", "control", "holds"])
    assert controls.said(table[:1]) == "All 1 controls passed (1 positive)."
    assert controls.said(table).startswith(
        "1 of 2 controls failed: random weights on custom. Read figures on that data"
    )
    assert controls.said(table.assign(holds=False)).endswith("Trust no figure of this report before it is clear why.")
