import math

import numpy as np
import pandas as pd
import pytest

from dfdlib import machine
from dfdlib.errors import DataError
from dfdlib.evaluation import bootstrap, drawing, limits, metrics, units


def plain(labels, scores, threshold, attacks):
    real = labels == 1
    each = [real | (attacks == name) for name in sorted(set(attacks[~real]))]
    far, frr = metrics.error_rates(labels, scores, threshold=threshold)
    return {
        "eer": metrics.eer(labels, scores).value,
        "auc": metrics.auc(labels, scores),
        "min_dcf": metrics.min_dcf(labels, scores),
        "act_dcf": metrics.act_dcf(labels, scores),
        "cllr": metrics.cllr(labels, scores),
        "min_cllr": metrics.min_cllr(labels, scores),
        "far": far,
        "frr": frr,
        "hter": (far + frr) / 2,
        "macro_eer": np.mean([metrics.eer(labels[own], scores[own]).value for own in each]),
    }


def attacks_of(labels):
    """Name three attacks, by turns, one of them rare."""
    return np.array(["tts", "vc", "tts", "vc", "tts", "vc", "rare"])[np.arange(labels.size) % 7]


def trials(rng, n=150, shift=1.2, digits=None):
    labels = np.array([1] * (n // 3) + [0] * (n - n // 3), dtype=np.int8)[rng.permutation(n)]
    scores = rng.normal(size=n) + shift * labels
    return labels, scores if digits is None else scores.round(digits)


def weights_of(labels, *, groups=None, resamples=1000, seed=0, place=0):
    """Return how often each trial is drawn in each resample of a set, (resamples, n)."""
    strata = drawing.Strata(labels, groups)
    return strata.resample(lambda drawn: drawn[:, strata.member], resamples=resamples, seed=seed)[place]


def loop(labels, scores, *, threshold=0.3, **options):
    """Return every metric of every resample, by writing each trial down as often as it was drawn."""
    return np.array(
        [
            list(
                plain(
                    *(np.repeat(column, weights) for column in (labels, scores)),
                    threshold,
                    np.repeat(attacks_of(labels), weights),
                ).values()
            )
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
        labels, [scores, -scores], names=bootstrap.NAMES, threshold=0.3, attacks=attacks_of(labels), groups=groups,
        resamples=60, seed=3,
    )  # fmt: skip
    assert list(plain(labels, scores, 0.3, attacks_of(labels))) == list(bootstrap.NAMES)
    for number, system in enumerate((scores, -scores)):
        expected = loop(labels, system, groups=groups, resamples=60, seed=3)
        np.testing.assert_allclose(boot.draws[0, :, number], expected, atol=1e-11)
        np.testing.assert_allclose(
            boot.observed[number], list(plain(labels, system, 0.3, attacks_of(labels)).values()), atol=1e-11
        )


def test_the_order_of_names_is_kept(rng):
    labels, scores = trials(rng)
    options = {"threshold": 0.0, "attacks": attacks_of(labels), "resamples": 100}
    every = bootstrap.Bootstrap(labels, [scores], names=bootstrap.NAMES, **options)
    for name in bootstrap.NAMES:
        one = bootstrap.Bootstrap(labels, [scores], names=[name], **options)
        np.testing.assert_array_equal(one.draws[0, :, 0, 0], every.draws[0, :, 0, bootstrap.NAMES.index(name)])


def test_the_miss_rate_at_a_false_acceptance_rate(rng):
    labels, scores = trials(rng, digits=1)
    strata = drawing.Strata(labels, None)
    drawn = strata.draw(20, rng)
    far = np.array([0.0, 0.05, 0.5, 1.0])
    found = bootstrap.SortedScores(strata, scores).frr_at_far(drawn, far)
    for row, weights in zip(found, drawn[:, strata.member], strict=True):
        curve = metrics.tally(np.repeat(labels, weights), np.repeat(scores, weights))
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
    strata = drawing.Strata(labels, None)
    sizes = []
    strata.resample(lambda drawn: sizes.append(len(drawn)) or drawn, resamples=100, seed=0)
    assert sizes == [43, 43, 14]
    boot = bootstrap.Bootstrap(
        labels, [scores], names=bootstrap.NAMES, threshold=0.3, attacks=attacks_of(labels), resamples=100
    )
    np.testing.assert_allclose(boot.draws[0, :, 0], loop(labels, scores, resamples=100), atol=1e-11)


def test_classes_keep_their_size(rng):
    labels, _ = trials(rng)
    weights = weights_of(labels, resamples=100)
    assert (weights[:, labels == 1].sum(axis=1) == 50).all()
    assert (weights[:, labels == 0].sum(axis=1) == 100).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.5)


def test_groups_are_drawn_whole_and_no_class_is_ever_empty():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0])
    groups = np.array(list("aabccddeeff"))  # a, b bona fide; c, d spoof; e, f both
    weights = weights_of(labels, groups=groups, resamples=2000)
    for name in "abcdef":
        assert (np.ptp(weights[:, groups == name], axis=1) == 0).all()
    drawn = np.stack([weights[:, np.argmax(groups == name)] for name in "abcdef"], axis=1)
    assert (drawn.sum(axis=1) == 6).all()
    assert weights[:, labels == 1].any(axis=1).all()
    assert weights[:, labels == 0].any(axis=1).all()
    # one voice among many is drawn again as the others are: not at all in one resample of three
    lone = np.array(["hibari"] * 5 + [f"speaker {number}" for number in range(40)])
    counts = weights_of(np.array([0] * 5 + [1, 0] * 20), groups=lone, resamples=2000)[:, 0]
    assert abs((counts == 0).mean() - (1 - 1 / 41) ** 41) < 0.04


def test_speakers_sentences_and_both_at_once_are_drawn_in_three_sets():
    labels = np.tile([1, 0], 200)
    speaker, sentence = np.arange(400) // 2 % 10, np.arange(400) // 20
    both = units.Units(("speaker", "sentence"), (speaker, sentence))
    for place, member in enumerate((speaker, sentence, 20 * speaker + sentence)):
        weights = weights_of(labels, groups=both, resamples=500, place=place)
        units_drawn = np.unique(member)
        counts = np.stack([weights[:, np.argmax(member == one)] for one in units_drawn], axis=1)
        assert all((np.ptp(weights[:, member == one], axis=1) == 0).all() for one in units_drawn)
        assert (counts.sum(axis=1) == units_drawn.size).all()
    assert drawing.Strata(labels, both).resample(lambda drawn: drawn, resamples=2, seed=0).shape[:2] == (3, 2)


def test_the_variance_of_a_mean_is_that_of_the_two_way_formula(rng):
    # Cameron, Gelbach and Miller (2011): speakers and sentences, less what both count twice
    speaker, sentence = np.repeat(np.arange(12), 15), np.tile(np.arange(15), 12)
    values = 0.5 * rng.normal(size=12)[speaker] + 0.3 * rng.normal(size=15)[sentence] + rng.normal(size=180)
    labels = np.ones(182, dtype=np.int8)
    labels[180:] = 0
    both = units.Units(("speaker", "sentence"), (np.append(speaker, [0, 1]), np.append(sentence, [0, 1])))
    means = np.stack([
        weights @ values / weights.sum(axis=1)
        for weights in (weights_of(labels, groups=both, resamples=4000, place=place)[:, :180] for place in range(3))
    ])  # fmt: skip
    known = [np.var([values[member == one].mean() for one in range(size)]) / size
             for member, size in ((speaker, 12), (sentence, 15), (np.arange(180), 180))]  # fmt: skip
    np.testing.assert_allclose(np.var(means, axis=1), known, rtol=0.15)
    strata = drawing.Strata(labels, both)
    found = limits.own(means, strata)
    # the spoofs have two speakers and two sentences: a variance of two is half of what it ought to be
    assert found.variance == pytest.approx(2 * known[0] + 2 * known[1] - known[2], rel=0.15)
    assert 1 <= found.freedom <= 2


def test_two_ways_are_no_less_than_one(rng):
    labels = np.tile([1, 0], 100)
    speaker, sentence = np.arange(200) // 2 % 10, np.arange(200) // 2 // 10
    strata = drawing.Strata(labels, units.Units(("speaker", "sentence"), (speaker, sentence)))
    noise = rng.normal(size=(3, 500)) * [[1.0], [0.5], [2.0]]
    assert limits.own(noise, strata).variance == pytest.approx(10 / 9, rel=0.2)


def test_how_much_trials_are_worth(rng):
    labels = np.repeat([1, 0], 2000)
    groups = np.tile(np.arange(2000) % 40, 2)
    assert drawing.Strata(labels, None).worth(rng.normal(size=4000)) == (2000, 2000)
    # speakers that say nothing of the score, and speakers that say all of it
    alone = drawing.Strata(labels, groups).worth(rng.normal(size=4000))
    assert min(alone) > 1000
    tied = drawing.Strata(labels, groups).worth(rng.normal(size=80)[groups + 40 * labels])
    assert tied == pytest.approx((40, 40), rel=0.1)
    # an intraclass correlation of 0.3: a design effect of 1 + 49 * 0.3
    half = math.sqrt(0.3) * rng.normal(size=80)[groups + 40 * labels] + math.sqrt(0.7) * rng.normal(size=4000)
    assert drawing.Strata(labels, groups).worth(half) == pytest.approx((2000 / 15.7, 2000 / 15.7), rel=0.5)


def test_large_strata_are_drawn_with_the_same_chances(rng):
    size, rows = 2**14, 300
    labels = np.repeat([1, 0], [size, 2])
    counts = drawing.Strata(labels, None).draw(rows, rng)[:, :size]
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


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", "b"], r"groups have shape \(2,\) but there are 4 trials"),
        (["a", None, "b", float("nan")], "groups are missing in rows 1, 3,"),
        (["a", pd.NA, "b", "b"], "groups are missing in rows 1,"),
        (["a"] * 4, "1 group among the bona fide trials: what others would change cannot be told from it"),
        (["a", "b", "c", "b"], "1 group among the spoof trials"),
    ],
)
def test_groups_that_cannot_be_drawn(groups, message):
    with pytest.raises(DataError, match=message):
        drawing.Strata(np.array([1, 0, 1, 0]), groups)


def test_what_two_kinds_of_unit_share_counts_once():
    one, other, cells = (np.array(row, float) for row in ([1, 4, 0], [2, 1, 0], [5, 1, 0]))
    assert drawing.less_cells([one, other], cells).tolist() == [2, 4, 0]
    assert drawing.less_cells([one], cells) is one
