import numpy as np
import pytest

from dfdlib.evaluation import controls, metrics


@pytest.fixture
def trials(rng):
    labels = np.repeat([0, 1], [60, 80])
    return labels, rng.standard_normal(140) + 2 * labels


def test_figures_are_held_against_known_ones():
    near = controls.compared("x", {"eer": 0.15, "auc": 0.9}, {"eer": 0.15, "auc": 0.91, "other": 1.0}, within=0.02)
    assert near == ("x", "eer 0.15, auc 0.9", "eer 0.15, auc 0.91", True)
    assert not controls.compared("x", {"eer": 0.15}, {"eer": 0.1501}).holds
    assert not controls.compared("x", {"eer": 0.15}, {"eer": float("nan")}).holds


def test_what_is_not_refused_is_found():
    assert controls.refused("x", lambda: metrics.eer([1, 1], [0, 1])).holds
    assert not controls.refused("x", lambda: metrics.eer([1, 0], [0, 1])).holds


def test_equal_scores_are_chance_in_any_order(trials):
    assert controls.equal_scores(trials[0]).holds
    assert controls.equal_scores(trials[0][::-1]).found == "50.0 % and 0.500"


def test_an_untrained_detector_must_be_at_chance(trials):
    labels, scores = trials
    assert controls.untrained(labels, scores, auc_low=0.45, auc_high=0.55).holds
    assert not controls.untrained(labels, scores, auc_low=0.51, auc_high=0.7).holds
    assert "80 % interval 0.510" in controls.untrained(labels, scores, auc_low=0.51, auc_high=0.7, level=0.8).found


def test_a_wrong_rate_that_changes_nothing_is_found():
    right = np.array([-1.0, 1.0, 3.0, 5.0])
    assert not controls.wrong_rate(right, right, threshold=0.0).holds
    control = controls.wrong_rate(right, right - 2.0, threshold=0.0)
    assert control.holds
    assert "moves by 2.00 in the median" in control.found
    assert "25.0 % of the clips change sides" in control.found
