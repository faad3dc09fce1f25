import itertools

import numpy as np
import pytest

from dfdlib.evaluation import drawing, exchange, intervals, metrics


def difference(*study, metric="eer", **options):
    """Return the change of one metric."""
    return intervals.paired_differences(*study, names=(metric,), **options)[metric]


def test_exchanges_are_those_of_all_coin_tosses():
    # four units of three clips each: all 16 exchanges of ranks, written down
    rng = np.random.default_rng(3)
    labels = np.tile([1, 0, 0], 4)
    before, after = rng.normal(size=12), rng.normal(size=12)
    unit = np.arange(12) // 3
    ranks = [np.argsort(np.argsort(scores)).astype(float) for scores in (before, after)]
    expected = set()
    for tosses, shift in itertools.product(itertools.product([False, True], repeat=4), (-0.1, 0.1)):
        swap = np.array(tosses)[unit]
        pair = ranks[0], ranks[1] + shift
        new, old = np.where(swap, *pair), np.where(swap, *pair[::-1])
        expected.add(round(metrics.auc(labels, new) - metrics.auc(labels, old), 9))
    strata = drawing.Strata(labels, unit)
    found = exchange.changes(strata, before[None], after[None], names=["eer", "auc"], resamples=600, seed=1)
    assert set(found[:, 1, 0].round(9)) == expected
    assert found.mean(axis=0).ravel() == pytest.approx([0, 0], abs=0.05)


def test_a_few_errors_by_hand():
    # six errors that one detector makes and the other does not, of each class: p is 2 in 2^6 by class and more together
    labels = np.repeat([1, 0], 50)
    perfect = np.concatenate([np.arange(100.0, 50, -1), np.arange(50.0)])
    poor = perfect.copy()
    poor[:6], poor[50:56] = np.arange(-6.0, 0), np.arange(101.0, 107)
    assert exchange.has_few_errors(labels, [poor, perfect])
    found = difference(labels, poor, perfect, resamples=2000)
    assert found.before == 6 / 50
    assert found.p < 0.05
    assert found.high < 0
    # three errors are too few to tell
    poor = perfect.copy()
    poor[:3], poor[50:53] = np.arange(-3.0, 0), np.arange(101.0, 104)
    found = difference(labels, poor, perfect, resamples=2000)
    assert found.p > 0.05
    assert found.low < 0 < found.high or found.high >= 0


def test_p_is_not_too_small_where_nothing_changed():
    # two detectors that err alike and rarely: at most one study in twenty may say that one is better
    said = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = np.repeat([1, 0], 60)
        pair = 4.0 * labels + rng.normal(size=(2, 120))
        said.append(difference(labels, *pair, resamples=200).p < 0.05)
    assert np.mean(said) <= 0.1


def test_few_units_can_never_show_a_change():
    # five speakers: 32 exchanges, of which two are as extreme as any
    labels = np.tile([1, 0], 50)
    rng = np.random.default_rng(0)
    after = 6.0 * labels + rng.normal(size=100)
    before = rng.normal(size=100)
    found = difference(labels, before, after, groups=np.arange(100) // 2 % 5)
    assert found.p == pytest.approx(2 / 32, abs=0.01)
    assert found.high >= 0


def test_macro_figures_are_exchanged_attack_by_attack():
    rng = np.random.default_rng(1)
    labels = np.repeat([1, 0], 40)
    attacks = np.where(np.arange(80) % 2, "tts", "vc")
    before, after = 5.0 * labels + rng.normal(size=(2, 80))
    strata = drawing.Strata(labels, None)
    options = {"names": ["macro_eer"], "resamples": 100, "seed": 2}
    both = exchange.changes(strata, before[None], after[None], attacks=attacks, **options)
    assert both.shape == (100, 1, 1)
    assert np.abs(both).max() <= 1
    assert exchange.has_few_errors(labels, [before], attacks)
    # several rows are exchanged together
    twice = exchange.changes(strata, np.stack([before] * 2), np.stack([after] * 2), attacks=attacks, **options)
    np.testing.assert_allclose(twice, np.concatenate([both, both], axis=-1))
