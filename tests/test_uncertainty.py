from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from dfdlib import metrics, uncertainty
from dfdlib.errors import DataError, ParameterError

PLAIN = {
    "eer": lambda labels, scores: metrics.eer(labels, scores).value,
    "auc": metrics.auc,
    "min_dcf": metrics.min_dcf,
}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def gaussian(rng, n=120, shift=1.2, digits=None):
    labels = np.array([1] * (n // 3) + [0] * (n - n // 3))[rng.permutation(n)]
    scores = rng.normal(size=n) + shift * labels
    return labels, scores if digits is None else scores.round(digits)


def looped(labels, scores, plain, **options):
    """The metric of every resample, by writing each trial down as often as it was drawn."""
    return np.array(
        [
            plain(np.repeat(labels, weights), np.repeat(scores, weights))
            for block in uncertainty.resampled_weights(labels, **options)
            for weights in block
        ]
    )


@pytest.mark.parametrize("digits", [None, 0], ids=["no ties", "many ties"])
@pytest.mark.parametrize("grouped", [False, True], ids=["by clip", "by group"])
@pytest.mark.parametrize("metric", uncertainty.METRICS)
def test_interval_is_that_of_a_plain_loop(rng, metric, grouped, digits):
    labels, scores = gaussian(rng, digits=digits)
    groups = rng.integers(0, 15, labels.size) if grouped else None
    options = {"groups": groups, "resamples": 150, "seed": 3}
    found = uncertainty.interval(labels, scores, metric=metric, level=0.9, **options)
    draws = looped(labels, scores, PLAIN[metric], **options)
    assert found.value == pytest.approx(PLAIN[metric](labels, scores))
    assert found[1:] == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])), abs=1e-12)


@pytest.mark.parametrize("metric", uncertainty.METRICS)
def test_difference_is_that_of_a_plain_loop_over_the_same_clips(rng, metric):
    labels, before = gaussian(rng)
    after = before + rng.normal(scale=0.5, size=labels.size)
    options = {"groups": np.arange(labels.size) // 4, "resamples": 150, "seed": 5}
    found = uncertainty.paired_difference(labels, before, after, metric=metric, **options)
    draws = looped(labels, after, PLAIN[metric], **options) - looped(labels, before, PLAIN[metric], **options)
    assert found.before == pytest.approx(PLAIN[metric](labels, before))
    assert found.after == pytest.approx(PLAIN[metric](labels, after))
    assert found.delta == found.after - found.before
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=1e-12)


def test_several_blocks_are_as_good_as_one(rng, monkeypatch):
    labels, scores = gaussian(rng)
    monkeypatch.setattr(uncertainty, "_BLOCK", 7 * labels.size)
    blocks = list(uncertainty.resampled_weights(labels, resamples=150))
    assert [len(block) for block in blocks] == [7] * 21 + [3]
    found = uncertainty.interval(labels, scores, metric="auc", resamples=150)
    draws = looped(labels, scores, metrics.auc, resamples=150)
    assert found[1:] == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_the_seed_decides(rng):
    labels, scores = gaussian(rng)
    first = uncertainty.interval(labels, scores, seed=1)
    assert uncertainty.interval(labels, scores, seed=1) == first
    assert uncertainty.interval(labels, scores, seed=2) != first


def test_classes_keep_their_size(rng):
    labels, _ = gaussian(rng)
    (weights,) = uncertainty.resampled_weights(labels, resamples=100)
    assert (weights[:, labels == 1].sum(axis=1) == 40).all()
    assert (weights[:, labels == 0].sum(axis=1) == 80).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.5)


def test_groups_are_drawn_whole_and_within_their_kind():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0])
    groups = np.array(list("aabccddeeff"))  # a, b bona fide; c, d spoof; e, f both
    (weights,) = uncertainty.resampled_weights(labels, groups=groups, resamples=200)
    for name in "abcdef":
        assert (np.ptp(weights[:, groups == name], axis=1) == 0).all()
    drawn = {name: weights[:, np.argmax(groups == name)] for name in "abcdef"}
    for pair in ("ab", "cd", "ef"):
        assert (drawn[pair[0]] + drawn[pair[1]] == 2).all()
    assert (weights[:, labels == 1].sum(axis=1) > 0).all()
    assert (weights[:, labels == 0].sum(axis=1) > 0).all()


def test_groups_that_resemble_themselves_widen_the_interval(rng):
    speakers = np.repeat(np.arange(30), 20)
    labels = np.tile([0, 1], 300)
    scores = rng.normal(size=600) * 0.3 + labels + rng.normal(size=30)[speakers]
    by_clip = uncertainty.interval(labels, scores, metric="eer")
    by_group = uncertainty.interval(labels, scores, metric="eer", groups=speakers)
    assert by_group.high - by_group.low > 1.5 * (by_clip.high - by_clip.low)


def test_a_pair_is_narrower_than_two_of_a_kind(rng):
    labels, before = gaussian(rng, n=400)
    after = before + 0.1 * rng.normal(size=400)
    pair = uncertainty.paired_difference(labels, before, after, metric="auc")
    single = uncertainty.interval(labels, before, metric="auc")
    assert pair.high - pair.low < 0.5 * (single.high - single.low)


def test_nothing_changed_and_everything_changed(rng):
    labels, scores = gaussian(rng)
    same = uncertainty.paired_difference(labels, scores, scores)
    assert (same.delta, same.low, same.high) == (0, 0, 0)
    better = uncertainty.paired_difference(labels, scores, labels.astype(float))
    assert better.delta == -metrics.eer(labels, scores).value
    assert better.high < 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says(rng):
    truth = NormalDist().cdf(1.2 / np.sqrt(2))
    hits = {"bootstrap": 0, "delong": 0}
    rounds = 150
    for seed in range(rounds):
        labels, scores = gaussian(rng, n=150)
        found = uncertainty.interval(labels, scores, metric="auc", resamples=200, level=0.9, seed=seed)
        hits["bootstrap"] += found.low <= truth <= found.high
        found = uncertainty.delong_auc(labels, scores, level=0.9)
        hits["delong"] += found.low <= truth <= found.high
    for count in hits.values():
        assert 0.82 < count / rounds < 0.97


def test_delong_by_hand_and_against_the_bootstrap(rng):
    # bona fide 3, 1 and spoof 2, 0: each bona fide trial beats 1 and 1/2 of the others, each spoof loses 1/2 and 1
    found = uncertainty.delong_auc([1, 1, 0, 0], [3, 1, 2, 0])
    reach = NormalDist().inv_cdf(0.975) * np.sqrt(0.125 / 2 + 0.125 / 2)
    assert found == pytest.approx((0.75, 0.75 - reach, 1.0))
    labels, scores = gaussian(rng, n=600, digits=1)
    found = uncertainty.delong_auc(labels, scores)
    assert found.value == pytest.approx(metrics.auc(labels, scores))
    assert found == pytest.approx(uncertainty.interval(labels, scores, metric="auc", resamples=4000), abs=0.006)


def test_a_wider_level_is_a_wider_interval(rng):
    labels, scores = gaussian(rng)
    narrow, wide = (uncertainty.interval(labels, scores, level=level) for level in (0.5, 0.99))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_one_trial_of_each_class():
    assert uncertainty.interval([1, 0], [2, 1], metric="auc") == (1, 1, 1)
    with pytest.raises(DataError, match="two of each"):
        uncertainty.delong_auc([1, 0], [2, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "accuracy"}, "metric='accuracy': must be one of eer, auc, min_dcf"),
        ({"resamples": 10}, "resamples=10"),
        ({"level": 95}, "level=95"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError, match=message):
        uncertainty.interval([1, 0, 1], [3, 1, 2], **options)
    with pytest.raises(ParameterError, match=message):
        uncertainty.paired_difference([1, 0, 1], [3, 1, 2], [3, 1, 2], **options)


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
        uncertainty.interval([1, 0, 1, 0], [3, 1, 2, 0], groups=groups)


def test_trials_are_validated():
    with pytest.raises(DataError, match="no spoof"):
        uncertainty.interval([1, 1], [1, 2])
    with pytest.raises(DataError, match="2 labels but 3 scores"):
        uncertainty.paired_difference([1, 0], [1, 2], [1, 2, 3])
