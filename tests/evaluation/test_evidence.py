import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib.errors import ParameterError
from dfdlib.evaluation import evidence, metrics
from dfdlib.evaluation.intervals import Interval

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
LLR = np.array([3.0, 2.0, 1.0, -1.0, 1.0, -1.0, -2.0, -4.0])


def test_a_tippett_plot_by_hand():
    found = evidence.tippett(LABELS, LLR)
    assert found.llr.tolist() == [-4, -2, -1, 1, 2, 3]
    assert found.bonafide.tolist() == [1, 1, 1, 0.75, 0.5, 0.25]
    assert found.spoof.tolist() == [1, 0.75, 0.5, 0.25, 0, 0]


def test_cross_entropy_by_hand():
    # at prior odds of o every bona fide clip costs log2(1 + 1 / (o LR)), every spoof log2(1 + o LR)
    found, odds = evidence.entropy([1, 0], np.log([2.0, 0.5])), 10**0.5
    place, share = np.argmin(np.abs(found.log10_odds - 0.5)), odds / (1 + odds)
    actual = share * math.log2(1 + 1 / (2 * odds)) + (1 - share) * math.log2(1 + odds / 2)
    assert found.actual[place] == pytest.approx(actual)
    assert found.least[place] == pytest.approx(0)
    assert found.prior[place] == pytest.approx(share * math.log2(1 + 1 / odds) + (1 - share) * math.log2(1 + odds))


@given(st.integers(0, 1000), st.sampled_from([0.5, 2.0, 6.0]))
@settings(max_examples=30)
def test_cross_entropy_at_even_odds_is_cllr(seed, gap):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([1, 0], [12, 20]))
    llr = (rng.normal(size=32) + gap * (labels - 0.5)).round(1)
    found = evidence.entropy(labels, llr)
    middle = found.log10_odds.size // 2
    assert found.actual[middle] == pytest.approx(metrics.cllr(labels, llr))
    assert found.least[middle] == pytest.approx(metrics.min_cllr(labels, llr))
    assert found.prior[middle] == pytest.approx(1)
    assert (found.least <= found.actual + 1e-9).all()
    assert (found.least <= found.prior + 1e-9).all()


def test_cllr_of_each_attack_is_split_into_order_and_size():
    labels = np.tile([1, 1, 1, 0, 0, 0, 0, 1], 10)
    llr = np.tile(np.log(9) * np.array([1, 1, 1, 1, -1, -1, -1, -1]), 10)
    table = evidence.split_by_attack(labels, llr, np.tile(["", "", "", "tts", "vc", "vc", "vc", ""], 10))
    assert table["attack"].tolist() == ["tts", "vc"]
    assert table["n_spoof"].tolist() == [10, 30]
    assert table["min_cllr"].tolist()[0] == pytest.approx(1)  # every LLR of tts is as high as a bona fide clip's
    np.testing.assert_allclose(table["min_cllr"] + table["loss"], table["cllr"])


def test_bounds_of_perfect_likelihood_ratios_are_the_numbers_of_trials():
    labels = np.repeat([1, 0], [30, 80])
    found = evidence.bounds(labels, np.where(labels == 1, 50.0, -50.0))
    # one more misleading trial: miss 1/31 and false acceptance 1/81
    assert found[1] == pytest.approx(math.log((1 - 1 / 31) * 81))
    assert found[0] == pytest.approx(-math.log((1 - 1 / 81) * 31))


def test_bounds_by_a_search_over_prior_odds():
    rng = np.random.default_rng(4)
    labels = np.repeat([1, 0], [60, 90])
    llr = 2 * rng.normal(size=150) + np.where(labels == 1, 2.0, -2.0)
    found = evidence.bounds(labels, llr)

    def helps(t):
        miss = (np.sum(llr[labels == 1] < t) + 1) / 61
        accept = (np.sum(llr[labels == 0] >= t) + 1) / 91
        share = 1 / (1 + math.exp(t))  # prior odds of exp(-t)
        return share * miss + (1 - share) * accept < min(share, 1 - share)

    grid = np.arange(0, 8, 0.001)
    assert found[1] == pytest.approx(next(t for t in grid if not helps(t)), abs=0.002)
    assert found[0] == pytest.approx(-next(t for t in grid if not helps(-t)), abs=0.002)


def test_bounds_of_four_trials_by_hand():
    # With one more misleading trial in each class of two, a threshold between -1 and 1 misses 1/3 and accepts 1/3. At
    # prior odds of 1 to e^t that costs less than the prior while 1/3 + e^t / 3 < 1: up to t = ln 2.
    found = evidence.bounds([1, 1, 0, 0], [1.0, 1.0, -1.0, -1.0])
    assert found == pytest.approx((-math.log(2), math.log(2)))
    # With a misleading spoof already there, 1/3 + 2/3 e^t < 1 at no t above 0.
    assert evidence.bounds([1, 1, 0, 0], [1.0, 1.0, 1.0, -1.0])[1] == pytest.approx(0, abs=1e-12)


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=30), st.lists(st.integers(-20, 20), min_size=2, max_size=30))
@settings(max_examples=60)
def test_bounds_never_exceed_what_the_trials_allow(bonafide, spoof):
    labels = np.repeat([1, 0], [len(bonafide), len(spoof)])
    found = evidence.bounds(labels, np.array(bonafide + spoof) / 4)
    assert -math.log(len(bonafide) + 1) <= found[0] <= 0 <= found[1] <= math.log(len(spoof) + 1)


def test_precision_by_hand():
    far, frr = Interval(0.1, 0.05, 0.2), Interval(0.2, 0.1, 0.3)
    found = evidence.precision(far, frr, p_spoof=0.05)
    assert found["accepted"].value == pytest.approx(0.95 * 0.8 / (0.95 * 0.8 + 0.05 * 0.1))
    assert found["rejected"].value == pytest.approx(0.05 * 0.9 / (0.05 * 0.9 + 0.95 * 0.2))
    assert found["accepted"].low == pytest.approx(0.95 * 0.7 / (0.95 * 0.7 + 0.05 * 0.2))
    assert found["rejected"].high == pytest.approx(0.05 * 0.95 / (0.05 * 0.95 + 0.95 * 0.1))
    for row in found.values():
        assert row.low < row.value < row.high
    with pytest.raises(ParameterError, match="p_spoof=1"):
        evidence.precision(far, frr, p_spoof=1)


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.001, 0.999))
def test_precision_is_ordered(far, frr, p_spoof):
    rates = Interval(far, 0.9 * far, min(0.95, far + 0.05)), Interval(frr, 0.9 * frr, min(0.95, frr + 0.05))
    for row in evidence.precision(*rates, p_spoof=p_spoof).values():
        assert row.low - 1e-12 <= row.value <= row.high + 1e-12
