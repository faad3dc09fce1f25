import math

import numpy as np
import pandas as pd
import pytest

from dfdlib import machine
from dfdlib.errors import DataError
from dfdlib.evaluation import bootstrap, metrics


def plain(labels, scores, threshold):
    far, frr = metrics.error_rates(labels, scores, threshold=threshold)
    return {
        "eer": metrics.eer(labels, scores).value,
        "eer_interpolated": metrics.eer_interpolated(labels, scores),
        "eer_convex_hull": metrics.eer_convex_hull(labels, scores),
        "auc": metrics.auc(labels, scores),
        "min_dcf": metrics.min_dcf(labels, scores),
        "act_dcf": metrics.act_dcf(labels, scores),
        "cllr": metrics.cllr(labels, scores),
        "min_cllr": metrics.min_cllr(labels, scores),
        "far": far,
        "frr": frr,
        "hter": (far + frr) / 2,
    }


def trials(rng, n=150, shift=1.2, digits=None):
    labels = np.array([1] * (n // 3) + [0] * (n - n // 3), dtype=np.int8)[rng.permutation(n)]
    scores = rng.normal(size=n) + shift * labels
    return labels, scores if digits is None else scores.round(digits)


def weights_of(labels, *, groups=None, resamples=1000, seed=0):
    """Return how often each trial is drawn in each resample, (resamples, n)."""
    strata = bootstrap.Strata(labels, groups)
    return strata.resample(lambda drawn: drawn[:, strata.member], resamples=resamples, seed=seed)


def loop(labels, scores, *, threshold=0.3, **options):
    """Return every metric of every resample, by writing each trial down as often as it was drawn."""
    return np.array(
        [
            list(plain(np.repeat(labels, weights), np.repeat(scores, weights), threshold).values())
            for weights in weights_of(labels, **options)
        ]
    )


@pytest.mark.parametrize("digits", [None, 1, 0], ids=["no ties", "some ties", "many ties"])
@pytest.mark.parametrize("grouped", [False, True], ids=["by clip", "by group"])
@pytest.mark.parametrize("shift", [1.2, 8.0, -1.0], ids=["usual", "perfect", "upside down"])
def test_every_metric_is_that_of_a_plain_loop(rng, digits, grouped, shift):
    labels, scores = trials(rng, digits=digits, shift=shift)
    groups = rng.integers(0, 15, labels.size) if grouped else None
    boot = bootstrap.Bootstrap(
        labels, [scores, -scores], names=bootstrap.NAMES, threshold=0.3, groups=groups, resamples=60, seed=3
    )
    assert list(plain(labels, scores, 0.3)) == list(bootstrap.NAMES)
    for number, system in enumerate((scores, -scores)):
        expected = loop(labels, system, groups=groups, resamples=60, seed=3)
        np.testing.assert_allclose(boot.draws[:, number], expected, atol=1e-11)
        np.testing.assert_allclose(boot.observed[number], list(plain(labels, system, 0.3).values()), atol=1e-11)


def test_the_order_of_names_is_kept(rng):
    labels, scores = trials(rng)
    every = bootstrap.Bootstrap(labels, [scores], names=bootstrap.NAMES, threshold=0.0, resamples=100)
    for name in bootstrap.NAMES:
        one = bootstrap.Bootstrap(labels, [scores], names=[name], threshold=0.0, resamples=100)
        np.testing.assert_array_equal(one.draws[:, 0, 0], every.draws[:, 0, bootstrap.NAMES.index(name)])


def test_the_miss_rate_at_a_false_acceptance_rate(rng):
    labels, scores = trials(rng, digits=1)
    strata = bootstrap.Strata(labels, None)
    drawn = strata.draw(20, rng)
    far = np.array([0.0, 0.05, 0.5, 1.0])
    found = bootstrap.SortedScores(strata, scores).frr_at_far(drawn, far)
    for row, weights in zip(found, drawn[:, strata.member], strict=True):
        curve = metrics.det_curve(np.repeat(labels, weights), np.repeat(scores, weights))
        np.testing.assert_allclose(row, [curve.frr[curve.far <= limit + 1e-12].min() for limit in far])


def test_the_number_of_cores_changes_nothing(rng, monkeypatch):
    labels, scores = trials(rng, n=3000)
    many = {"names": ("eer", "auc", "min_cllr"), "resamples": 6000, "seed": 4}  # enough for threads to be used
    cores = []
    for count in (1, 3):
        monkeypatch.setattr(machine, "cores", lambda count=count: count)
        cores.append(bootstrap.Bootstrap(labels, [scores], **many).draws)
    np.testing.assert_array_equal(*cores)


def test_several_blocks_are_as_good_as_one(rng):
    labels, scores = trials(rng, n=6000)  # 43 resamples make a block
    strata = bootstrap.Strata(labels, None)
    sizes = []
    strata.resample(lambda drawn: sizes.append(len(drawn)) or drawn, resamples=100, seed=0)
    assert sizes == [43, 43, 14]
    boot = bootstrap.Bootstrap(labels, [scores], names=bootstrap.NAMES, threshold=0.3, resamples=100)
    np.testing.assert_allclose(boot.draws[:, 0], loop(labels, scores, resamples=100), atol=1e-11)


def test_classes_keep_their_size(rng):
    labels, _ = trials(rng)
    weights = weights_of(labels, resamples=100)
    assert (weights[:, labels == 1].sum(axis=1) == 50).all()
    assert (weights[:, labels == 0].sum(axis=1) == 100).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.5)


def test_groups_are_drawn_whole_and_within_their_kind():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0])
    groups = np.array(list("aabccddeeff"))  # a, b bona fide; c, d spoof; e, f both
    weights = weights_of(labels, groups=groups, resamples=200)
    for name in "abcdef":
        assert (np.ptp(weights[:, groups == name], axis=1) == 0).all()
    drawn = {name: weights[:, np.argmax(groups == name)] for name in "abcdef"}
    for pair in ("ab", "cd", "ef"):
        assert (drawn[pair[0]] + drawn[pair[1]] == 2).all()
        assert set(drawn[pair[0]]) == {0, 1, 2}


def test_large_strata_are_drawn_with_the_same_chances(rng):
    size, rows = 2**14, 300
    labels = np.repeat([1, 0], [size, 2])
    counts = bootstrap.Strata(labels, None).draw(rows, rng)[:, :size]
    assert counts.dtype == np.uint8
    assert (counts.sum(axis=1) == size).all()
    # how often a unit is drawn k times: binomial (size, 1 / size), to four standard errors
    for times in range(6):
        chance = math.comb(size, times) * (1 / size) ** times * (1 - 1 / size) ** (size - times)
        error = math.sqrt(chance * (1 - chance) / counts.size)
        assert abs((counts == times).mean() - chance) < 4 * error
    # two units shut each other out a little, as draws with a fixed sum do
    left, right = counts[:, ::2].astype(float), counts[:, 1::2].astype(float)
    assert abs(np.mean((left - 1) * (right - 1)) + 1 / size) < 4 / math.sqrt(left.size)
    # no place is drawn more often than another
    halves = counts.astype(int).reshape(rows, 2, -1).sum(axis=(0, 2))
    assert abs(halves[0] - halves[1]) < 4 * math.sqrt(rows * size)


def test_the_variance_of_each_kind():
    labels = np.array([1] * 4 + [0] * 8)
    np.testing.assert_allclose(bootstrap.Strata(labels, None).variance, [1 / 4, 1 / 8])
    # two groups with half of both classes each; two more with the other half of the spoofs alone
    groups = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_allclose(bootstrap.Strata(labels, groups).variance, [(0.5**2) / 2, (1 + 0.5**2) / 2])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", "b"], r"groups have shape \(2,\) but there are 4 trials"),
        (["a", None, "b", float("nan")], "groups are missing in rows 1, 3,"),
        (["a", pd.NA, "b", "b"], "groups are missing in rows 1,"),
        (["a"] * 4, "1 group among 4 trials"),
        (["a", "b", "a", "b"], "2 groups among 4 trials, no two of a kind"),
    ],
)
def test_groups_that_cannot_be_drawn(groups, message):
    with pytest.raises(DataError, match=message):
        bootstrap.Strata(np.array([1, 0, 1, 0]), groups)
