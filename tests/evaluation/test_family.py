import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t

from dfdlib.errors import ParameterError
from dfdlib.evaluation import family, intervals, metrics


def test_levels_of_a_family_by_hand():
    # Holm holds 0.01 against 0.05 / 3, 0.02 against 0.05 / 2, and leaves 0.4 at 0.05
    assert family.holm_levels([0.4, 0.01, 0.02]) == pytest.approx([0.95, 1 - 0.05 / 3, 1 - 0.05 / 2])
    # nothing is rejected: all are held against 0.05 / 3
    assert family.holm_levels([0.4, 0.03, 0.02]) == pytest.approx([1 - 0.05 / 3] * 3)
    assert family.holm_levels([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from([0.9, 0.95]))
def test_levels_of_a_family_decide_as_holm_does(p_values, level):
    assume((np.abs(family.holm(p_values) - (1 - level)) > 1e-9).all())  # rounding decides a draw
    rejected = family.holm(p_values) < 1 - level
    assert (rejected == (np.array(p_values) < 1 - family.holm_levels(p_values, level=level))).all()


def test_the_smallest_change_by_hand():
    # normal quantiles 1.95996 and 0.84162
    found = family.smallest_change(intervals.Difference(0.2, 0.1, -0.1, -0.12, -0.08, 0.01))
    assert found == pytest.approx(0.02 * (1 + 0.84162 / 1.95996), rel=1e-4)


def test_holm_by_hand():
    # in order 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1, never falling
    assert family.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert family.holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert family.holm([]).shape == (0,)
    for wrong in ([0.1, np.nan], [1.5], 0.1):
        with pytest.raises(ParameterError, match="p_values="):
            family.holm(wrong)


# --- bands ---


def seeds(rng, gains, size=200):
    """Labels, a baseline, and a row of scores for each gain in separation."""
    labels = np.repeat([1, 0], size)
    noise = rng.normal(size=2 * size)
    before = noise + labels
    return labels, before, np.stack([noise + (1 + gain) * labels + 0.1 * rng.normal(size=2 * size) for gain in gains])


def judged(*studies, level=0.95):
    resamples = family.enough(200, family=len(studies), level=level)
    changes = [intervals.changes(*study, names=("eer",), resamples=resamples)["eer"] for study in studies]
    return family.judge(changes, level=level)


def test_a_family_is_judged_by_holm_with_intervals_to_match(rng):
    studies = [seeds(rng, gains) for gains in ([1, 1.1, 1.2], [0.02, 0.01, 0.03], [-0.9, -0.8, -0.85])]
    found = judged(*studies)
    assert [one.shown for one in found] == [True, False, True]
    assert [one.p_holm for one in found] == pytest.approx(family.holm([one.change.p for one in found]))
    for one, (labels, before, after) in zip(found, studies, strict=True):
        assert one.shown == (one.change.low > 0 or one.change.high < 0)
        eers = [metrics.eer(labels, row).value for row in after]
        assert one.change.before == metrics.eer(labels, before).value
        assert one.change.after == pytest.approx(np.mean(eers))
        row = one.row()
        assert (row["seeds_low"], row["seeds_high"], row["after"]) == (min(eers), max(eers), one.change.after)
    # The smallest p was held against a third of the risk: alone, the same change has a narrower interval.
    first = min(found, key=lambda one: one.change.p)
    (alone,) = judged(studies[found.index(first)])
    assert alone.change.high - alone.change.low < first.change.high - first.change.low


def test_seeds_that_each_show_opposite_changes_do_not_settle_one(rng):
    apart, alike, one = judged(seeds(rng, [1.5, -0.6, -0.7]), seeds(rng, [0.01, 0.0, -0.01]), seeds(rng, [1.5]))
    assert (apart.shown, apart.unsettled) == (False, True)
    # the clips alone do not show the mean: what hides it is that single trainings moved to both sides
    (mean,) = (intervals.changes(*seeds(rng, [0.9, -0.45, -0.45]), names=("eer",), resamples=200)["eer"],)
    each = [change.at(0.95) for change in mean.by_seed()]
    assert mean.at(0.95, other_seeds=False).p > 0.05
    assert each[0].high < 0 < each[1].low
    assert family.judge([mean])[0].unsettled
    assert one.shown
    assert not one.unsettled
    assert np.isnan(one.row()["seeds_low"])
    # seeds that differ in sign, none of them beyond its clips, leave nothing unsettled
    assert (alike.shown, alike.unsettled) == (False, False)


def test_of_one_training_nothing_is_shown(rng):
    change = intervals.changes(*seeds(rng, [1.5]), names=("eer",), resamples=200)["eer"]
    assert family.judge([change])[0].shown
    (found,) = family.judge([change], trained=True)
    assert (found.shown, found.unsettled) == (False, False)
    assert found.change.high < 0


def test_a_change_that_clips_alone_would_show_is_unsettled_though_all_seeds_agree_in_sign(rng):
    study = seeds(rng, [0.2, 1.0, 2.5])
    change = intervals.changes(*study, names=("eer",), resamples=200)["eer"]
    assert all(one.after < one.before for one in change.by_seed())
    assert change.at(0.95, other_seeds=False).p < 0.05 < change.at(0.95).p
    (found,) = family.judge([change])
    assert (found.shown, found.unsettled) == (False, True)


def test_the_spread_of_seeds_by_hand(rng):
    labels, before, after = seeds(rng, [0.2, 1.0, 2.5], size=20_000)
    # Of so many clips nothing is left but the seeds: Student's t with two degrees of freedom.
    change = intervals.changes(labels, before, after, names=("auc",), resamples=100)["auc"]
    each = np.array([metrics.auc(labels, row) for row in after]) - metrics.auc(labels, before)
    np.testing.assert_allclose([one.at(0.95).delta for one in change.by_seed()], each)
    low, high = t.interval(0.95, 2, loc=each.mean(), scale=each.std(ddof=1) / np.sqrt(3))
    found = change.at(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)


def test_resamples_are_enough_for_the_smallest_p():
    assert family.enough(1000, family=3, level=0.95) == 1000
    assert family.enough(100, family=9, level=0.95) == 180
