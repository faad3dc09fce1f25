import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import calibration, evidence, metrics


def trials(n_bonafide=212, n_spoof=212, *, seed=0, scale=3.0, gap=5.0, shift=-7.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [n_bonafide, n_spoof])
    return labels, scale * rng.normal(size=labels.size) + gap * labels + shift


# Scores with ties, of any order: ten to forty trials of each class on a grid.
SCORES = st.lists(st.integers(-50, 50).map(lambda value: value / 4), min_size=10, max_size=40)


@st.composite
def any_trials(draw):
    bonafide, spoof = draw(SCORES), draw(SCORES)
    return np.repeat([1, 0], [len(bonafide), len(spoof)]), np.array(bonafide + spoof)


def separable(labels, scores):
    return scores[labels == 1].min() >= scores[labels == 0].max()


# --- logistic ---


@pytest.mark.parametrize("sizes", [(212, 212), (300, 40)])
def test_logistic_is_that_of_scikit_learn(sizes):
    labels, scores = trials(*sizes)
    fitted = calibration.fit(labels, scores)
    weights = np.where(labels == 1, 0.5 / sizes[0], 0.5 / sizes[1])
    other = LogisticRegression(C=math.inf, tol=1e-12, max_iter=10_000).fit(
        scores[:, None], labels, sample_weight=weights * labels.size
    )
    assert fitted.slope == pytest.approx(other.coef_[0, 0], rel=1e-5)
    assert fitted.intercept == pytest.approx(other.intercept_[0], rel=1e-5)


def test_logistic_of_separable_classes_has_the_targets_of_platt():
    labels, scores = trials(30, 20, gap=40.0)
    assert separable(labels, scores)
    fitted = calibration.fit(labels, scores)
    assert np.isfinite(fitted.llr(scores)).all()
    # Each trial twice, once for either class, weighed by its target: the same estimate without soft targets.
    target = np.where(labels == 1, 31 / 32, 1 / 22)
    weight = np.where(labels == 1, 0.5 / 30, 0.5 / 20)
    other = LogisticRegression(C=math.inf, tol=1e-12, max_iter=10_000).fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], 50),
        sample_weight=50 * np.concatenate((weight * target, weight * (1 - target))),
    )
    assert fitted.slope == pytest.approx(other.coef_[0, 0], rel=1e-4)
    assert fitted.intercept == pytest.approx(other.intercept_[0], rel=1e-3)


def test_a_likelihood_ratio_by_hand():
    # Normal classes of one variance have an affine LLR: slope (m1 - m0) / s^2, zero halfway between the means.
    labels, scores = trials(40_000, 40_000)
    fitted = calibration.fit(labels, scores)
    assert fitted.slope == pytest.approx(5 / 9, rel=0.03)
    assert -fitted.intercept / fitted.slope == pytest.approx(-7 + 2.5, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(any_trials())
def test_logistic_never_costs_more_and_keeps_the_order(data):
    labels, scores = data
    fitted = calibration.fit(labels, scores)
    bounded, llr = fitted.llr(scores), fitted.slope * scores + fitted.intercept
    assert bounded.tolist() == np.clip(llr, *evidence.bounds(labels, llr)).tolist()
    assert fitted.slope >= 0
    if not separable(labels, scores):
        assert metrics.cllr(labels, llr) <= min(1.0, metrics.cllr(labels, scores)) + 1e-9
    if fitted.slope > 0:
        assert metrics.eer(labels, llr).value == metrics.eer(labels, scores).value
        assert metrics.auc(labels, llr) == metrics.auc(labels, scores)
    else:
        assert (llr == 0).all()
    again = calibration.fit(labels, llr)
    assert again.llr(llr) == pytest.approx(bounded, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(any_trials(), st.sampled_from([1e-6, 0.3, 1e6]), st.sampled_from([-1000.0, 5.0]))
def test_logistic_does_not_depend_on_the_scale(data, factor, shift):
    labels, scores = data
    first = calibration.fit(labels, scores).llr(scores)
    second = calibration.fit(labels, factor * (scores + shift)).llr(factor * (scores + shift))
    assert second == pytest.approx(first, abs=1e-4)


def test_scores_that_rank_the_wrong_way_say_nothing():
    labels, scores = trials()
    assert (calibration.fit(labels, -scores).llr(-scores) == 0).all()
    assert calibration.fit(labels, np.ones(labels.size)).slope == 0


# --- use ---


def test_a_calibration_keeps_scores_of_each_class():
    labels, scores = trials(300, 40)
    again = calibration.fit(labels, scores)
    assert json.loads(json.dumps(dataclasses.asdict(again)))["threshold"] == again.threshold
    assert len(again.bonafide) == 201
    assert len(again.spoof) == 40
    assert (again.low, again.high) == (scores.min(), scores.max())
    assert (again.spoof[0], again.spoof[-1]) == (scores[labels == 0].min(), scores[labels == 0].max())


def test_a_carried_threshold_costs_more_in_another_domain():
    fitted = calibration.fit(*trials())
    labels, scores = trials(100, 60, seed=1, shift=-4.0)  # another domain: everything scores three higher
    found = calibration.carried_costs(fitted, labels, scores)
    assert found["threshold"] == metrics.eer(*trials()).threshold == fitted.threshold
    assert (found["far"], found["frr"]) == metrics.error_rates(labels, scores, threshold=fitted.threshold)
    assert found["hter"] == (found["far"] + found["frr"]) / 2 > found["eer"]
    assert found["cllr_raw"] == metrics.cllr(labels, scores)
    assert found["cllr"] == metrics.cllr(labels, fitted.llr(scores)) > found["min_cllr"]
    assert found["act_dcf_raw"] == metrics.act_dcf(labels, scores)
    assert found["act_dcf"] == metrics.act_dcf(labels, fitted.llr(scores)) > found["min_dcf"]
    same = calibration.carried_costs(fitted, *trials(100, 60, seed=1))
    assert same["cllr"] < same["cllr_raw"]
    assert same["act_dcf"] < same["act_dcf_raw"]
    assert (found["n_bonafide"], found["n_spoof"]) == (100, 60)
    assert json.dumps(found)


def test_probabilities_by_hand():
    # odds of bona fide: 1 to 1, times e^0; 19 to 1; and 1 to 1 times 3
    assert calibration.probability([0.0], p_spoof=0.5) == pytest.approx([0.5])
    assert calibration.probability(0.0, p_spoof=0.05) == pytest.approx(0.95)
    assert calibration.probability(math.log(3), p_spoof=0.5) == pytest.approx(0.75)
    assert calibration.probability([1e9, -1e9], p_spoof=0.5).tolist() == [1.0, 0.0]


def test_likelihood_ratios_are_bounded_by_the_number_of_validation_trials():
    # perfect scores: one misleading trial more in each class of 30 leaves odds of 30 (1 - 1/31 of 1/31)
    labels = np.repeat([1, 0], 30)
    fitted = calibration.fit(labels, np.repeat([50.0, -50.0], 30))
    assert fitted.llr([1e6, -1e6, 0.0]) == pytest.approx([math.log(30), -math.log(30), 0], abs=1e-6)


def test_the_meaning_of_a_score():
    fitted = calibration.Calibration(10, 10, 3.0, 1.0, -3.4 - math.log(3), -8.0, 8.0, (0.0, 6.0), (-6.0, 0.0))
    assert calibration.meaning(fitted, 3.4 + math.log(9)) == (
        "A score of 5.6 is a log-likelihood ratio of +1.10: bona fide clips get such a score 3 times as often as "
        "spoofs. Such a clip is bona fide with a probability of 98.3 % if 5 % of clips are spoofed and 75.0 % if 50 % "
        "of clips are spoofed. It is at or above the threshold of 3."
    )
    low = calibration.meaning(fitted, -2000.0, priors=(0.5,))
    assert "log-likelihood ratio of -8.00, the most that 10 + 10 validation clips can support: spoofs get" in low
    assert "probability of under 0.1 % if 50 %" in low
    assert "below the threshold" in low
    assert "equally often" in calibration.meaning(fitted, 3.4 + math.log(3))


@pytest.mark.parametrize("scale", [5e-324, 1e-320, 1e-310, 1e-300, 1e300])
def test_calibrations_of_tiny_and_huge_scores_are_finite(scale):
    labels = np.repeat([1, 0], 10)
    scores = (np.arange(20.0)[::-1] + np.tile([0.0, 11], 10)) * scale
    fitted = calibration.fit(labels, scores)
    llr = fitted.llr(scores)
    assert np.isfinite([fitted.slope, fitted.intercept]).all()
    assert np.isfinite(llr).all()
    assert (np.diff(llr[np.argsort(scores)]) >= 0).all()
    json.dumps(dataclasses.asdict(fitted), allow_nan=False)


# --- reliability ---


def test_reliability_by_hand():
    # Two bins of five: 1 of 5 and 4 of 5 are bona fide; Wilson's limits of 1 in 5 are 0.0362 and 0.6245.
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]
    llr = [-1.0] * 5 + [1.0] * 5
    found = calibration.reliability(labels, llr, bins=2)
    assert found.counts.tolist() == [5, 5]
    assert found.observed == pytest.approx([0.2, 0.8])
    assert found.predicted == pytest.approx([expit(-1), expit(1)])
    assert found.low == pytest.approx([0.0362, 0.3755], abs=1e-4)
    assert found.high == pytest.approx([0.6245, 0.9638], abs=1e-4)
    # Ten more spoofs in the lower bin: at even odds a bona fide clip weighs three of them.
    rare = calibration.reliability([*labels, *[0] * 10], [*llr, *[-1.0] * 10], bins=4)
    assert rare.counts.tolist() == [15, 5]
    assert rare.observed == pytest.approx([3 / 17, 12 / 13])


def test_reliability_at_an_even_prior_ignores_the_balance_of_the_test_set():
    labels, scores = trials(20_000, 1000)
    fitted = calibration.fit(*trials(5000, 5000, seed=1))
    found = calibration.reliability(labels, fitted.llr(scores))
    assert ((found.low <= found.predicted) & (found.predicted <= found.high)).sum() >= 8
    assert found.counts.sum() == 21_000


@settings(max_examples=40, deadline=None)
@given(any_trials(), st.integers(1, 30))
def test_reliability_holds_every_trial_and_orders_its_columns(data, bins):
    labels, scores = data
    found = calibration.reliability(labels, scores, bins=bins)
    assert found.counts.sum() == labels.size
    assert 1 <= found.counts.size <= bins
    assert (np.diff(found.predicted) > -1e-12).all()
    assert ((found.low >= 0) & (found.low <= found.observed) & (found.observed <= found.high)).all()
    assert (found.high <= 1).all()


# --- refusals ---


def test_refusals():
    labels, scores = trials()
    with pytest.raises(DataError, match="4 bona fide and 212 spoof trials are too few"):
        calibration.fit(labels[208:], scores[208:])
    with pytest.raises(DataError, match="no spoof trial"):
        calibration.fit(labels[:212], scores[:212])
    with pytest.raises(DataError, match="not finite"):
        calibration.fit(labels, np.where(labels == 1, scores, np.nan))
    with pytest.raises(ParameterError, match="p_spoof"):
        calibration.probability(0.0, p_spoof=0.0)
    with pytest.raises(ParameterError, match="bins=0"):
        calibration.reliability(labels, scores, bins=0)
    fitted = calibration.fit(labels, scores)
    with pytest.raises(DataError, match=r"rows 1 \(inf\), counted from 0"):
        fitted.llr([1.0, np.inf])
    with pytest.raises(DataError, match="must be numbers"):
        calibration.probability(["much"], p_spoof=0.5)
