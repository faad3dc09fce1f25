import numpy as np
import pytest

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import controls


@pytest.fixture
def trials(rng):
    labels = np.repeat([0, 1], [60, 80])
    return labels, rng.standard_normal(140) + 2 * labels


def test_shuffled_labels_give_chance_where_scores_are_good(trials):
    control = controls.shuffled_labels(*trials, shuffles=200, seed=1)
    assert control.holds
    assert "over 200 shuffles" in control.found
    assert controls.shuffled_labels(*trials, seed=1) == controls.shuffled_labels(*trials, seed=1)
    with pytest.raises(ParameterError, match="shuffles=1"):
        controls.shuffled_labels(*trials, shuffles=1)


def test_shuffled_labels_find_a_shuffle_that_does_not_shuffle(trials, monkeypatch):
    class Stuck:
        def permutation(self, labels):
            return labels

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Stuck())
    assert not controls.shuffled_labels(*trials).holds


def test_negated_scores_are_the_mirror_image(trials):
    control = controls.negated_scores(*trials)
    assert control.holds
    assert control.expected.split("EER of ")[1].split(" %")[0] == control.found.split(" %")[0]


def test_a_metric_that_ignores_the_direction_is_found(trials, monkeypatch):
    from dfdlib.evaluation import metrics

    true = metrics.auc
    monkeypatch.setattr(metrics, "auc", lambda labels, scores: max(true(labels, scores), 1 - true(labels, scores)))
    assert not controls.negated_scores(*trials).holds


def test_equal_scores_are_chance_in_any_order(trials):
    assert controls.equal_scores(trials[0]).holds
    assert controls.equal_scores(trials[0][::-1]).found == "50.0 % and 0.500"


def test_one_class_is_refused(trials, monkeypatch):
    control = controls.one_class(*trials)
    assert control.holds
    assert control.found.startswith("refused: no spoof trial among 80")
    with pytest.raises(DataError):
        controls.one_class(np.ones(4), np.zeros(4))


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
