from statistics import NormalDist

import numpy as np
import pytest
import studies
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import bootstrap, intervals, metrics, units


def difference(*study, metric="eer", **options):
    """Return the change of one metric."""
    return intervals.paired_differences(*study, names=(metric,), **options)[metric]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def gaussian(rng, n=120, shift=1.2, digits=None):
    labels = np.array([1] * (n // 3) + [0] * (n - n // 3))[rng.permutation(n)]
    scores = rng.normal(size=n) + shift * labels
    return labels, scores if digits is None else scores.round(digits)


def draws(labels, *systems, name, **options):
    boot = bootstrap.Bootstrap(labels, systems, names=[name], threshold=0.5, **options)
    return boot.draws[0, :, :, 0].T


# --- intervals ---


@pytest.mark.parametrize("name", intervals.METRICS)
def test_every_metric_has_its_value_within_an_interval(rng, name):
    labels, scores = gaussian(rng)
    attacks = np.array(["tts", "vc"])[np.arange(labels.size) % 2]
    parts = [(labels == 1) | (attacks == name) for name in ("tts", "vc")]
    value = (metrics.evaluate(labels, scores, threshold=0.5) | {
        "macro_eer": np.mean([metrics.eer(labels[part], scores[part]).value for part in parts]),
    })[name]  # fmt: skip
    for groups in (None, rng.integers(0, 15, labels.size)):
        options = {"threshold": 0.5, "attacks": attacks, "groups": groups, "resamples": 200}
        found = intervals.interval(labels, scores, metric=name, **options)
        assert found.value == pytest.approx(value)
        assert found.low < found.value < found.high


def test_an_interval_by_hand(rng):
    # by clip, 40 and 80 trials: variances of the classes as 1/40 to 1/80
    labels, scores = gaussian(rng)
    (drawn,) = draws(labels, scores, name="auc", resamples=300, seed=1)
    found = intervals.interval(labels, scores, metric="auc", resamples=300, seed=1)
    half = 0.5 / (40 * 80)
    logit = lambda x: np.log((x + half) / (1 - x + half))  # noqa: E731
    parts = np.array([1 / 40, 1 / 80])
    freedom = parts.sum() ** 2 / (parts**2 / [39, 79]).sum()
    widening = np.sqrt((parts * [40 / 39, 80 / 79]).sum() / parts.sum())
    centre = 2 * logit(found.value) - logit(drawn).mean()
    student = 1.9908  # of 78.1 degrees of freedom
    assert freedom == pytest.approx(78.1, abs=0.1)
    reach = student * widening * logit(drawn).std(ddof=1)
    assert logit(np.array(found[1:])) == pytest.approx([centre - reach, centre + reach], rel=1e-3)


def test_the_seed_decides(rng):
    labels, scores = gaussian(rng)
    first = intervals.interval(labels, scores, seed=1)
    assert intervals.interval(labels, scores, seed=1) == first
    assert intervals.interval(labels, scores, seed=2) != first


def test_several_metrics_share_their_resamples(rng):
    labels, scores = gaussian(rng)
    options = {"threshold": 0.5, "attacks": np.where(np.arange(labels.size) % 3, "tts", "vc"), "resamples": 100}
    together = intervals.intervals(labels, scores, **options)
    assert list(together) == list(intervals.METRICS)
    for name, found in together.items():
        assert found == intervals.interval(labels, scores, metric=name, **options)
    without = intervals.intervals(labels, scores, resamples=100)
    assert set(together) - set(without) == {"far", "frr", "hter", "macro_eer"}


def test_groups_that_resemble_themselves_widen_the_interval(rng):
    speakers = np.repeat(np.arange(30), 20)
    labels = np.tile([0, 1], 300)
    scores = rng.normal(size=600) * 0.3 + labels + rng.normal(size=30)[speakers]
    by_clip = intervals.interval(labels, scores, metric="eer")
    by_group = intervals.interval(labels, scores, metric="eer", groups=speakers)
    assert by_group.high - by_group.low > 1.5 * (by_clip.high - by_clip.low)


def test_a_wider_level_is_a_wider_interval(rng):
    labels, scores = gaussian(rng)
    narrow, wide = (intervals.interval(labels, scores, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=12),
    st.lists(st.integers(-5, 5), min_size=2, max_size=12),
)
@settings(max_examples=50)
def test_intervals_stay_within_what_is_possible(bonafide, spoof):
    labels, scores = np.repeat([1, 0], [len(bonafide), len(spoof)]), np.array(bonafide + spoof, dtype=float)
    for name, (value, low, high) in intervals.intervals(labels, scores, threshold=0.5, resamples=100).items():
        assert np.isfinite([value, low, high]).all()
        assert 0 <= low <= value <= high
        if name not in ("act_dcf", "cllr"):
            assert high <= 1 + 1e-12


# --- no error on the test set ---


def test_a_detector_without_errors_gets_an_interval_of_some_width():
    labels, scores = np.repeat([1, 0], [20, 30]), np.arange(50.0, 0, -1)
    found = intervals.intervals(labels, scores, threshold=30.5)
    none_of_20, none_of_30 = 1 - 0.025 ** (1 / 20), 1 - 0.025 ** (1 / 30)
    for name in ("eer", "frr"):
        assert found[name] == pytest.approx((0, 0, none_of_20))
    assert found["far"] == pytest.approx((0, 0, none_of_30))
    assert found["hter"] == pytest.approx((0, 0, none_of_20 / 2))
    assert found["auc"] == pytest.approx((1, 1 - none_of_20, 1))
    assert found["min_dcf"] == pytest.approx((0, 0, 1.9 * none_of_20))
    assert found["min_cllr"].high > none_of_20
    # upside down: nothing but errors
    reverse = intervals.intervals(labels, -scores, threshold=-20)
    assert reverse["eer"] == pytest.approx((1, 1 - none_of_20, 1))
    assert reverse["auc"] == pytest.approx((0, 0, none_of_20))


def test_without_errors_groups_count_not_clips():
    labels, scores = np.repeat([1, 0], 20), np.repeat([20.0, 19, 18, 17, 16, 10, 9, 8, 7, 6], 4)
    groups = np.tile(np.repeat(np.arange(5), 4), 2)  # all clips of a group are alike
    assert intervals.interval(labels, scores, groups=groups).high == pytest.approx(1 - 0.025 ** (1 / 5))
    # clips that have nothing in common count as so many
    mixed = intervals.interval(labels, np.arange(40.0, 0, -1), groups=np.tile(np.arange(5), 8))
    assert mixed.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_one_large_group_widens_the_interval(rng):
    labels = np.tile([1, 0], 150)
    even, uneven = np.arange(300) // 20, np.maximum(np.arange(300) // 20 - 7, 0)
    assert units.count("group", even, 1).effective == pytest.approx(15)
    assert units.count("group", uneven, 1).effective == pytest.approx(300**2 / (160**2 + 7 * 20**2))
    scores = rng.normal(size=300) + 1.5 * labels
    widths = [np.ptp(intervals.interval(labels, scores, groups=groups)[1:]) for groups in (even, uneven)]
    assert widths[1] > 1.3 * widths[0]


def test_one_trial_of_each_class():
    assert intervals.interval([1, 0], [2, 1], metric="auc") == pytest.approx((1, 0.025, 1))


def test_scores_that_all_tie_have_no_spread():
    assert intervals.interval([1, 0, 1, 0], [1, 1, 1, 1]) == (0.5, 0.5, 0.5)


# --- differences ---


def test_a_difference_is_that_of_the_same_clips(rng):
    labels = np.tile([1, 0, 0, 0], 30)
    before = rng.normal(size=120) + labels
    after = before + rng.normal(scale=0.5, size=120)
    options = {"groups": np.arange(120) // 4, "resamples": 150, "seed": 5}
    for name, found in intervals.paired_differences(labels, before, after, **options).items():
        assert found.before == pytest.approx(intervals.interval(labels, before, metric=name).value)
        assert found.after == pytest.approx(intervals.interval(labels, after, metric=name).value)
        assert found.delta == found.after - found.before
        assert found == difference(labels, before, after, metric=name, **options)
        first, second = draws(labels, before, after, name=name, **options)
        # the bias is taken from equal error rates alone
        centre = 2 * found.delta - np.mean(second - first) if name == "eer" else found.delta
        # 30 groups with both classes: Student's t of 29 degrees of freedom
        reach = 2.04523 * np.std(second - first, ddof=1) * np.sqrt(30 / 29)
        assert found[3:5] == pytest.approx((centre - reach, centre + reach), rel=1e-4)


def test_a_pair_is_narrower_than_two_of_a_kind(rng):
    labels, before = gaussian(rng, n=400)
    after = before + 0.1 * rng.normal(size=400)
    pair = difference(labels, before, after, metric="auc")
    single = intervals.interval(labels, before, metric="auc")
    assert pair.high - pair.low < 0.5 * (single.high - single.low)


def test_nothing_changed_and_everything_changed(rng):
    labels, scores = gaussian(rng)
    for same in (scores, 2 * scores + 1):
        unchanged = difference(labels, scores, same)
        assert unchanged[2:] == (0, 0, 0, 1)
    better = difference(labels, scores, labels.astype(float))
    assert better.delta == -metrics.eer(labels, scores).value
    assert better.high < 0
    assert better.p < 0.001


def test_two_detectors_without_errors_may_still_differ():
    labels = np.repeat([1, 0], 20)
    first, second = np.arange(40.0, 0, -1), labels.astype(float)
    found = difference(labels, first, second)
    limit = 1 - 0.025 ** (1 / 20)
    assert found == pytest.approx((0, 0, 0, -limit, limit, 1))
    worst = difference(labels, first, -second)
    assert worst[:3] == (0, 1, 1)
    assert worst.low > 0
    assert worst.p == 1 / 1001


def test_several_seeds_are_averaged_and_their_spread_counts(rng):
    labels, before = gaussian(rng)
    after = before + rng.normal(scale=0.5, size=(3, labels.size))
    options = {"resamples": 150, "seed": 5}
    found = difference(labels, before, after, metric="auc", **options)
    each = [metrics.auc(labels, row) for row in after]
    assert found.after == pytest.approx(np.mean(each))
    first, *others = draws(labels, before, *after, name="auc", resamples=150, seed=5)
    parts = np.array([1 / 40, 1 / 80])
    clips = np.var(np.mean(others, axis=0) - first, ddof=1) * parts.sum() / (parts * (1 - parts)).sum()
    seeds = np.var(each, ddof=1) / 3
    freedom = (clips + seeds) ** 2 / (clips**2 / 78.1 + seeds**2 / 2)
    assert found.high - found.low == pytest.approx(2 * stdtrit(freedom, 0.975) * np.sqrt(clips + seeds), rel=1e-3)
    one = difference(labels, before, after[:1], metric="auc", **options)
    assert one == difference(labels, before, after[0], metric="auc", **options)
    assert found.low < found.delta < found.high
    # seeds that differ widen the interval of one stage as well
    alike, unlike = np.stack([before] * 3), np.stack([before, before + 3 * labels, before - labels])
    widths = [np.ptp(intervals.interval(labels, rows, metric="auc", **options)[1:]) for rows in (alike, unlike)]
    assert widths[1] > 2 * widths[0]
    assert intervals.interval(labels, alike, metric="auc", **options).value == metrics.auc(labels, before)


def test_p_and_the_interval_agree(rng):
    for _ in range(20):
        labels, before = gaussian(rng)
        after = before + rng.normal(scale=0.7, size=labels.size) + 0.3 * labels
        for found in intervals.paired_differences(labels, before, after, resamples=100).values():
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@given(st.integers(0, 10_000), st.sampled_from([0.3, 1.5, 3.0, 6.0]), st.sampled_from([0.9, 0.95, 0.99]))
@settings(max_examples=60)
def test_p_and_the_interval_never_disagree(seed, shift, level):
    rng = np.random.default_rng(seed)
    labels = np.tile([1, 0, 0], 16)
    before = rng.normal(size=48) + shift * labels
    after = rng.normal(size=48) * rng.choice([0.01, 1.0]) + before + rng.choice([0, shift]) * labels
    groups = rng.choice([None, 1]) and np.arange(48) // 3
    options = {"groups": groups, "threshold": 0.5, "attacks": np.where(np.arange(48) % 4, "a", "b"), "level": level}
    for found in intervals.paired_differences(
        labels, before, after, names=intervals.METRICS, resamples=120, **options
    ).values():
        assert found.p >= 1 / 121
        assert (found.p < 1 - level) == (found.low > 0 or found.high < 0)


def test_a_band_holds_the_curve_and_never_rises(rng):
    labels, scores = gaussian(rng, n=300)
    band = intervals.curve_band(labels, scores, groups=np.arange(300) // 3, resamples=200)
    curve = metrics.tally(labels, scores)
    observed = [curve.frr[curve.far <= far].min() for far in band.far]
    assert (band.frr_low <= observed).all()
    assert (observed <= band.frr_high).all()
    assert (np.diff(band.far) > 0).all()
    assert (np.diff(band.frr_low) <= 0).all()
    assert (np.diff(band.frr_high) <= 0).all()
    assert ((band.frr_low >= 0) & (band.frr_high <= 1)).all()
    steps = np.diff([NormalDist().inv_cdf(far) for far in band.far])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_a_band_where_nothing_is_missed():
    labels, scores = np.repeat([1, 0], 20), np.arange(40.0, 0, -1)
    band = intervals.curve_band(labels, scores, far=[0.5, 0.1])
    assert band.far.tolist() == [0.5, 0.1]
    assert band.frr_low.tolist() == [0, 0]
    assert band.frr_high == pytest.approx([1 - 0.025 ** (1 / 20)] * 2)
    with pytest.raises(ParameterError, match="far="):
        intervals.curve_band(labels, scores, far=[2])


# --- everything by name ---


def test_evaluate_adds_an_interval_to_every_metric(rng):
    labels, scores = gaussian(rng)
    values = intervals.evaluate(labels, scores, threshold=0.5, resamples=100)
    expected = metrics.evaluate(labels, scores, threshold=0.5)
    assert {name: values[name] for name in expected} == expected
    counts_and_places = {"n_bonafide", "n_spoof", "eer_threshold", "threshold"}
    assert {name for name in values if name.endswith("_ci")} == {
        f"{name}_ci" for name in set(expected) - counts_and_places
    }
    attacks = np.where(np.arange(labels.size) % 2, "tts", "vc")
    more = intervals.evaluate(labels, scores, attacks=attacks, resamples=100)
    assert set(more) - set(values) == {"macro_eer", "macro_eer_ci"}
    assert more["macro_eer"] == intervals.interval(labels, scores, metric="macro_eer", attacks=attacks).value
    assert all(low <= values[name.removesuffix("_ci")] <= high for name, (low, high) in (
        item for item in values.items() if item[0].endswith("_ci")))  # fmt: skip


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "accuracy"}, "metric='accuracy': must be one of eer, "),
        ({"metric": "hter"}, "metric='hter': needs a threshold"),
        ({"metric": "hter", "threshold": np.nan}, "threshold=nan"),
        ({"resamples": 10}, "resamples=10"),
        ({"level": 95}, "level=95"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError, match=message):
        intervals.interval([1, 0, 1], [3, 1, 2], **options)
    with pytest.raises(ParameterError, match=message):
        difference([1, 0, 1], [3, 1, 2], [3, 1, 2], **options)


def test_trials_are_validated():
    with pytest.raises(DataError, match="no spoof"):
        intervals.interval([1, 1], [1, 2])
    with pytest.raises(DataError, match="2 labels but 3 scores"):
        difference([1, 0], [1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="rows 2"):
        intervals.curve_band([1, 0, 1], [1, 2, np.nan])
    with pytest.raises(DataError, match="rows 2"):
        intervals.paired_differences([1, 0, 1], [1, 2, 3], [1, 2, np.nan])
    with pytest.raises(DataError, match="1 group among the bona fide trials"):
        intervals.interval([1, 0, 1, 0], [3, 1, 2, 0], groups=["a"] * 4)


# --- do they hold the truth? ---


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    found = studies.coverage(trials=50, kind="clips", separation=1.2, studies=200)
    assert all(0.89 <= share <= 0.995 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("kind", studies.KINDS)
@pytest.mark.parametrize("trials", studies.GROUPS)
def test_coverage_of_single_systems(trials, kind):
    found = studies.coverage(trials=trials, kind=kind, separation=1.2)
    assert all(0.92 <= share <= 0.997 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("kind", studies.KINDS)
@pytest.mark.parametrize("trials", studies.GROUPS)
def test_coverage_of_paired_differences(trials, kind):
    found = studies.coverage(trials=trials, kind=kind, separation=(2.0, 2.0))
    assert all(0.92 <= share <= 0.997 for share in found.values()), found
