import numpy as np
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import calibration
from dfdlib.evaluation.calibration import Calibration
from dfdlib.evaluation.shift import shift_warnings


def trials(n_bonafide=212, n_spoof=212, *, seed=0, scale=3.0, gap=5.0, shift=-7.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [n_bonafide, n_spoof])
    return labels, scale * rng.normal(size=labels.size) + gap * labels + shift


def test_nothing_is_said_of_clips_of_the_same_kind():
    fitted = calibration.fit(*trials(130, 130))
    said = [shift_warnings(fitted, trials(*sizes, seed=seed)[1])
            for seed in range(1, 21) for sizes in ((40, 20), (10, 300), (212, 212))]  # fmt: skip
    assert sum(map(bool, said)) <= 3


def test_a_shift_of_one_standard_deviation_is_noticed():
    # classes two of them apart, 130 validation clips a class
    found = [
        shift_warnings(
            calibration.fit(*trials(130, 130, gap=6.0, seed=seed)), 3 + trials(212, 212, gap=6.0, seed=100 + seed)[1]
        )
        for seed in range(5)
    ]
    assert all(found)


def test_clips_that_resemble_each_other_are_worth_fewer():
    fitted = calibration.fit(*trials(130, 130, gap=9.0))
    scores = trials(300, 300, gap=9.0, seed=3)[1] + 3
    many, few = shift_warnings(fitted, scores), shift_warnings(fitted, scores, worth=4)
    assert many[-1].startswith("No mixture of bona fide and spoof clips")
    assert few == many[:-1]


def test_scores_the_wrong_way_round_are_noticed_where_labels_are_known():
    fitted = calibration.fit(*trials())
    labels, scores = trials(40, 20, seed=1)
    assert shift_warnings(fitted, scores, labels=labels) == []
    turned = shift_warnings(fitted, -9 - scores, labels=labels)
    assert turned[0].startswith("Bona fide clips score lower than spoofs here (AUC 0.")


def test_single_clips_unlike_either_class():
    fitted = Calibration(10, 10, 3.0, 1.0, -3.0, -2.0, 2.0, (4.0, 6.0), (-6.0, 0.0))
    for score in (-6.0, -3.0, 0.0, 4.0, 6.0):
        assert shift_warnings(fitted, [score]) == []
    for score, place in ((-6.1, "below all"), (6.1, "above all"), (2.0, "between the")):
        (line,) = shift_warnings(fitted, [5.0, score])
        assert f"The score {score:.3g} is unlike those of either class: it lies {place} validation scores" in line


def test_each_way_of_being_unlike_is_named():
    fitted = calibration.fit(*trials())
    _, scores = trials(40, 20, seed=1)
    (shifted,) = shift_warnings(fitted, trials(40, 200, seed=1)[1] - 3)
    assert shifted.startswith("No mixture of bona fide and spoof clips like those calibrated on gives such scores")
    outside = shift_warnings(fitted, scores + 10)
    assert "are outside the range that was calibrated on" in outside[0]
    assert any("60 of 60 clips come out as bona fide" in line for line in shift_warnings(fitted, scores + 40))
    assert any("60 of 60 clips come out as spoof" in line for line in shift_warnings(fitted, scores - 40))
    # between the classes, where few clips of either class lie
    narrow = shift_warnings(fitted, -4.5 + 0.1 * scores / np.abs(scores).max())[-1]
    assert "Kolmogorov" in narrow
    assert shift_warnings(fitted, [scores.max()]) == []
    (one,) = shift_warnings(fitted, [1000.0])
    assert one.startswith("The score 1e+03 is unlike those of either class: it lies above all validation scores")
    for line in outside:
        assert line.endswith(".")
        assert "\n" not in line


def test_scores_that_are_no_row_are_refused():
    fitted = calibration.fit(*trials())
    for empty in ([], 3.4):
        with pytest.raises(DataError, match="scores have shape"):
            shift_warnings(fitted, empty)
