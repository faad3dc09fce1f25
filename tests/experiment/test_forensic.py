import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dfdlib.evaluation import calibration, carried, metrics, units
from dfdlib.experiment import forensic, profile


def scored(seed, *, count=150, flipped=False):
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], count)
    scores = rng.normal(size=2 * count) + np.where(labels == 1, 2.5, -2.5) * (-1 if flipped else 1)
    table = pd.DataFrame(
        {"label": labels, "attack": np.where(labels == 1, "bonafide", np.resize(["tts", "vc"], 2 * count))}
    )
    return SimpleNamespace(labels=labels, values=scores, table=table)


@pytest.fixture(scope="module")
def run():
    """A run whose detector is good on one corpus and the wrong way round on the other."""
    corpora, kept, known = {"good": scored(1), "flipped": scored(2, flipped=True)}, {}, scored(3)
    validation = carried.Validation(known.labels, known.values[None])
    return SimpleNamespace(
        corpora=list(corpora),
        kept=kept,
        profile=SimpleNamespace(criteria=profile.Criteria(tenfold=0.1)),
        scores=lambda stage, name: corpora[name],
        by_seed=lambda stage, name: (corpora[name].table, corpora[name].values[None]),
        validations=lambda stage, name: validation,
        calibration_of=lambda stage: calibration.fit(known.labels, known.values),
        drawn=lambda table: units.of(table, by="clip"),
        resampling=lambda: {"resamples": 200, "level": 0.95, "seed": 0},
        keep=lambda **facts: kept.update(facts),
    )


@pytest.fixture(scope="module")
def found(run):
    return forensic.corpora(run)


def test_figures_are_those_of_bounded_ratios(run, found):
    fitted, scores = run.calibration_of("after"), run.scores("after", "good")
    llr, row = fitted.llr(scores.values), found.iloc[0]
    assert row["cllr"] == pytest.approx(metrics.cllr(scores.labels, llr))
    assert row["min_cllr"] + row["loss"] == pytest.approx(row["cllr"])
    assert row["misled_spoof"] == pytest.approx(np.mean(llr[scores.labels == 0] > 0))
    for name in ("cllr", "min_cllr", "loss", "misled_bonafide", "tenfold_spoof"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert run.kept["llr_bounds"] == [fitted.lowest, fitted.highest]
    assert found["tenfold_spoof"].iloc[1] > 0.9


def test_the_matrix_passes_what_meets_its_criterion_with_its_whole_interval(run, found):
    table = forensic.matrix(run, found).set_index("characteristic")
    assert table["good"].str.endswith("pass").all()
    assert table.loc["accuracy", "flipped"].endswith("fail")
    assert table.loc["strongly misleading evidence", "flipped"].endswith("fail")
    kept = {(row["corpus"], row["metric"]): row for row in run.kept["validation_matrix"]}
    assert len(kept) == 2 * len(forensic.MATRIX)
    assert kept["good", "misleading"]["value"] == found.iloc[0][["misled_bonafide", "misled_spoof"]].max()
    tight = found.assign(cllr_high=0.51)  # the value meets the criterion, its interval does not
    assert forensic.matrix(run, tight)["good"].iloc[0].endswith("(to 0.51): fail")


def test_attacks_and_precision_are_told_for_every_corpus(run):
    table = forensic.by_attack(run)
    assert list(zip(table["corpus"], table["attack"], strict=True)) == [
        (corpus, attack) for corpus in run.corpora for attack in ("tts", "vc")
    ]
    worth = forensic.precision(run)
    assert worth["p_spoof"].tolist() == [0.01, 0.1, 0.5] * 2
    scores, threshold = run.scores("after", "good"), run.calibration_of("after").threshold
    far, frr = metrics.error_rates(scores.labels, scores.values, threshold=threshold)
    assert worth["accepted"].iloc[1] == pytest.approx(0.9 * (1 - frr) / (0.9 * (1 - frr) + 0.1 * far))
    assert (worth["accepted_low"] <= worth["accepted"]).all()
    json.dumps(run.kept["precision"], allow_nan=False)


def test_criteria_are_settings(toy):
    assert profile.load(toy, overrides=["criteria.cllr=0.2"]).criteria.cllr == 0.2
    with pytest.raises(profile.ParameterError, match=r"criteria.prevalences"):
        profile.load(toy, overrides=["criteria.prevalences=[1.5]"])
