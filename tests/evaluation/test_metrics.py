import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import by_group, metrics

# Worked by hand. FAR and FRR at the thresholds 0, 1, 2, 3, 4, 6, 7, 8, 9 and above all:
#   FAR 1 .8 .6 .4 .4  .2  .2 0  0   0
#   FRR 0  0  0  0 .25 .25 .5 .5 .75 1
LABELS = np.array([1, 0, 1, 0, 1, 0, 1, 0, 0])
SCORES = np.array([9, 7, 8, 4, 6, 2, 3, 1, 0], dtype=float)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@st.composite
def trials(draw, least=1, most=25):
    """Labels and small whole scores, so that ties within and between classes are common."""
    sizes = st.integers(least, most)
    labels = [1] * draw(sizes) + [0] * draw(sizes)
    scores = draw(st.lists(st.integers(-8, 8), min_size=len(labels), max_size=len(labels)))
    order = draw(st.permutations(range(len(labels))))
    return np.array(labels)[order], np.array(scores, dtype=float)[order]


def gaussian(rng, n=600, shift=1.5, digits=None):
    labels = rng.integers(0, 2, n)
    scores = rng.normal(size=n) + shift * labels
    return labels, scores if digits is None else scores.round(digits)


# --- golden values ---


def test_rates_at_every_threshold_by_hand():
    curve = metrics.tally(LABELS, SCORES)
    np.testing.assert_allclose(curve.far, [1, 0.8, 0.6, 0.4, 0.4, 0.2, 0.2, 0, 0, 0])
    np.testing.assert_allclose(curve.frr, [0, 0, 0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 1])
    np.testing.assert_array_equal(curve.thresholds, [0, 1, 2, 3, 4, 6, 7, 8, 9, np.inf])


def test_equal_error_rates_by_hand():
    assert metrics.eer(LABELS, SCORES) == pytest.approx((0.225, 6.0))
    assert metrics.eer_interpolated(LABELS, SCORES) == pytest.approx(0.25)
    assert metrics.eer_convex_hull(LABELS, SCORES) == pytest.approx(2 / 9)


def test_area_cost_and_information_by_hand():
    assert metrics.auc(LABELS, SCORES) == pytest.approx(17 / 20)
    assert metrics.min_dcf(LABELS, SCORES) == pytest.approx(0.4)  # at threshold 3: no miss, FAR 0.4
    # equal priors and costs: (FRR + FAR) / 1 is least at threshold 3
    assert metrics.min_dcf(LABELS, SCORES, p_spoof=0.5, c_miss=1, c_fa=1) == pytest.approx(0.4)
    # one block of two trials of each class is mixed, the rest is pure
    expected = (0.5 * math.log2(1.8) + 0.4 * math.log2(2.25)) / 2
    assert metrics.min_cllr(LABELS, SCORES) == pytest.approx(expected)


def test_actual_cost_uses_the_bayes_threshold():
    assert metrics.bayes_threshold() == pytest.approx(math.log(0.5 / 0.95))
    assert metrics.act_dcf(LABELS, SCORES) == pytest.approx(1.0)  # accepts everything
    assert metrics.act_dcf(LABELS, SCORES - 5) == pytest.approx(1.9 * 0.25 + 0.2)
    assert metrics.act_dcf(LABELS, SCORES - 100) == pytest.approx(1.9)  # rejects everything


def test_cllr_by_hand():
    assert metrics.cllr([1, 0], [math.log(3), -math.log(3)]) == pytest.approx(math.log2(4 / 3))
    assert metrics.cllr([1, 1, 0], [0, 0, 0]) == pytest.approx(1.0)
    assert metrics.cllr([1, 0], [1000, -1000]) == pytest.approx(0.0)
    assert metrics.cllr([1, 0], [-1000, 1000]) == pytest.approx(1000 / math.log(2))


def test_rates_at_a_fixed_threshold():
    assert metrics.error_rates(LABELS, SCORES, threshold=4) == pytest.approx((0.4, 0.25))
    assert metrics.error_rates(LABELS, SCORES, threshold=4.001) == pytest.approx((0.2, 0.25))
    with pytest.raises(ParameterError, match="threshold=nan"):
        metrics.error_rates(LABELS, SCORES, threshold=math.nan)


def test_two_thresholds_equally_close_take_the_lower():
    labels, scores = [0, 1, 0], [1, 2, 3]  # FAR - FRR is 1, +1/2, -1/2
    assert metrics.eer(labels, scores) == (0.25, 2.0)
    # mirrored, the other of the two has the lower threshold: the one case where the mirror image differs
    assert metrics.eer([1, 0, 1], [-1, -2, -3]) == (0.75, -2.0)
    assert metrics.eer_interpolated(labels, scores) == metrics.eer_interpolated([1, 0, 1], [-1, -2, -3]) == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "eer", "auc"),
    [([1, 0], [2, 1], 0, 1), ([1, 0], [1, 2], 1, 0), ([1, 0], [1, 1], 0.5, 0.5), ([0, 1, 1, 0], [3] * 4, 0.5, 0.5)],
    ids=["perfect", "upside down", "one tie", "all tied"],
)
def test_extremes(labels, scores, eer, auc):
    value, threshold = metrics.eer(labels, scores)
    assert value == eer
    assert threshold in scores
    assert metrics.auc(labels, scores) == auc
    assert metrics.eer_interpolated(labels, scores) == eer
    assert metrics.eer_convex_hull(labels, scores) == min(eer, 0.5)
    assert metrics.min_cllr(labels, scores) == pytest.approx(1 - abs(auc - 0.5) * 2 if auc >= 0.5 else 1)


# --- against an independent implementation ---


@pytest.mark.parametrize("digits", [None, 1, 0], ids=["no ties", "some ties", "many ties"])
class TestAgainstScikitLearn:
    def test_curves_and_area(self, rng, digits):
        labels, scores = gaussian(rng, digits=digits)
        assert metrics.auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12)
        far, frr, thresholds = sklearn.metrics.det_curve(labels, scores)
        curve = metrics.tally(labels, scores)
        places = np.searchsorted(curve.thresholds, thresholds)
        np.testing.assert_allclose(curve.far[places], far, atol=1e-12)
        np.testing.assert_allclose(curve.frr[places], frr, atol=1e-12)

    def test_information(self, rng, digits):
        labels, scores = gaussian(rng, digits=digits)
        share = labels.mean()
        weights = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))
        loss = sklearn.metrics.log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weights)
        assert metrics.cllr(labels, scores) == pytest.approx(loss / math.log(2))
        fitted = IsotonicRegression().fit(scores, labels, sample_weight=weights).predict(scores)
        loss = sklearn.metrics.log_loss(labels, np.clip(fitted, 1e-15, 1 - 1e-15), sample_weight=weights)
        assert metrics.min_cllr(labels, scores) == pytest.approx(loss / math.log(2))

    def test_costs(self, rng, digits):
        labels, scores = gaussian(rng, digits=digits)
        far, tpr, _ = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
        assert metrics.min_dcf(labels, scores) == pytest.approx(np.min(0.95 * (1 - tpr) + 0.5 * far) / 0.5)


@given(trials())
def test_eer_is_what_a_plain_search_finds(data):
    labels, scores = data
    best = None
    for threshold in sorted(set(scores)):
        far, frr = metrics.error_rates(labels, scores, threshold=threshold)
        if best is None or abs(far - frr) < best[0] - 1e-12:
            best = abs(far - frr), (far + frr) / 2, threshold
    assert metrics.eer(labels, scores) == pytest.approx(best[1:])


# --- properties ---


@given(trials(), st.sampled_from([lambda x: 3 * x - 7, np.exp, lambda x: x**3]))
def test_a_rising_map_of_the_scores_changes_nothing(data, rising):
    labels, scores = data
    mapped = rising(scores)
    for metric in (metrics.auc, metrics.min_dcf, metrics.min_cllr, metrics.eer_interpolated, metrics.eer_convex_hull):
        assert metric(labels, mapped) == metric(labels, scores)
    assert metrics.eer(labels, mapped).value == metrics.eer(labels, scores).value


@given(trials(), st.randoms(use_true_random=False))
def test_the_order_of_trials_changes_nothing(data, random):
    labels, scores = data
    order = random.sample(range(len(labels)), len(labels))
    assert metrics.evaluate(labels[order], scores[order]) == pytest.approx(metrics.evaluate(labels, scores))


@given(trials())
def test_swapped_classes_with_negated_scores_are_the_same_task(data):
    labels, scores = data
    mirrored = 1 - labels, -scores
    for metric in (metrics.auc, metrics.cllr, metrics.min_cllr, metrics.eer_interpolated, metrics.eer_convex_hull):
        assert metric(*mirrored) == pytest.approx(metric(labels, scores))
    curve = metrics.tally(labels, scores)
    closest = np.sort(np.abs(curve.far - curve.frr))
    assume(closest[1] - closest[0] > 1e-9)  # the mirror image of an exact draw is tested by hand above
    assert metrics.eer(*mirrored).value == pytest.approx(metrics.eer(labels, scores).value)


@given(trials())
def test_negated_scores_mirror_the_area(data):
    labels, scores = data
    assert metrics.auc(labels, -scores) == pytest.approx(1 - metrics.auc(labels, scores))


@given(trials())
def test_orders_between_metrics(data):
    labels, scores = data
    assert metrics.eer_convex_hull(labels, scores) <= metrics.eer_interpolated(labels, scores) + 1e-12
    assert metrics.eer_convex_hull(labels, scores) <= 0.5 + 1e-12
    assert 0 <= metrics.min_dcf(labels, scores) <= min(1, metrics.act_dcf(labels, scores)) + 1e-12
    assert -1e-12 <= metrics.min_cllr(labels, scores) <= min(1, metrics.cllr(labels, scores)) + 1e-12


# --- tables ---


def test_the_three_conventions_side_by_side():
    table = metrics.eer_conventions(LABELS, SCORES).set_index("convention")
    assert list(table.index) == ["ASVspoof", "interpolated", "convex hull"]
    assert table["eer"].tolist() == pytest.approx([0.225, 0.25, 2 / 9])
    assert table["difference"].tolist() == pytest.approx([0, 0.025, 2 / 9 - 0.225])


def test_a_million_trials(rng):
    labels, scores = gaussian(rng, n=10**6)
    values = metrics.evaluate(labels, scores)
    assert values["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-9)
    assert values["eer"] == pytest.approx(
        metrics.error_rates(labels, scores, threshold=values["eer_threshold"])[0], abs=1e-5
    )
    assert values["eer"] == pytest.approx(0.5 * math.erfc(0.75 / math.sqrt(2)), abs=0.002)
    assert values["min_cllr"] <= values["cllr"]


def test_evaluate_has_every_metric_and_is_ready_for_json():
    values = metrics.evaluate(LABELS.tolist(), SCORES.tolist())
    assert list(values) == "n_bonafide n_spoof eer eer_threshold auc min_dcf act_dcf cllr min_cllr".split()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert (values["n_bonafide"], values["n_spoof"]) == (4, 5)
    for name in ("auc", "min_dcf", "act_dcf", "cllr", "min_cllr"):
        assert values[name] == getattr(metrics, name)(LABELS, SCORES)
    carried = metrics.evaluate(LABELS, SCORES, threshold=4)
    assert {key: carried[key] for key in ("threshold", "far", "frr", "hter")} == pytest.approx(
        {"threshold": 4, "far": 0.4, "frr": 0.25, "hter": 0.325}
    )


# --- refusals ---


@pytest.mark.parametrize(
    "metric",
    [
        metrics.eer,
        metrics.eer_interpolated,
        metrics.eer_convex_hull,
        metrics.auc,
        metrics.tally,
        metrics.min_dcf,
        metrics.act_dcf,
        metrics.cllr,
        metrics.min_cllr,
        metrics.evaluate,
        lambda labels, scores: metrics.error_rates(labels, scores, threshold=0),
        metrics.eer_conventions,
        lambda labels, scores: by_group.by_attack(labels, scores, ["a"] * len(labels)),
        lambda labels, scores: by_group.errors(pd.DataFrame({"label": labels, "codec": "a"}), scores, column="codec"),
    ],
)
def test_every_metric_refuses_one_class_and_scores_that_are_no_numbers(metric):
    with pytest.raises(DataError, match="no spoof trial"):
        metric([1, 1, 1], [1, 2, 3])
    with pytest.raises(DataError, match="rows 2"):
        metric([1, 0, 1], [1, 2, np.nan])


@pytest.mark.parametrize("costs", [{"p_spoof": 0}, {"p_spoof": 1.5}, {"c_miss": 0}, {"c_fa": math.inf}])
def test_costs_out_of_range(costs):
    (name,) = costs
    for metric in (metrics.min_dcf, metrics.act_dcf):
        with pytest.raises(ParameterError, match=f"{name}="):
            metric(LABELS, SCORES, **costs)


def test_inputs_are_left_as_they_were():
    labels, scores = LABELS.copy(), SCORES.copy()
    metrics.evaluate(labels, scores)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(scores, SCORES)


def test_importing_it_is_light():
    heavy = "{'pandas', 'scipy', 'sklearn', 'matplotlib', 'torch'}"
    code = f"import sys, dfdlib.evaluation.metrics, dfdlib.evaluation.intervals; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("bonafide", "spoof", "shown"),
    [
        (range(6), range(6, 12), True),  # one order of 924: less than three standard errors leave, 0.00135
        (range(5), range(5, 10), False),  # one of 252
        (range(6, 12), range(6), False),
        ([1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], False),
        (range(200), range(30, 230), True),
        (range(200), range(200), False),
    ],
)
def test_scores_that_run_the_other_way_beyond_chance(bonafide, spoof, shown):
    labels = [1] * len(bonafide) + [0] * len(spoof)
    assert metrics.contradicted(labels, [*bonafide, *spoof]) is shown
