import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfdlib.errors import ParameterError
from dfdlib.evaluation import metrics, published_figures


@st.composite
def trials(draw, least=1, most=25):
    """Labels and small whole scores, so that ties within and between classes are common."""
    sizes = st.integers(least, most)
    labels = [1] * draw(sizes) + [0] * draw(sizes)
    scores = draw(st.lists(st.integers(-8, 8), min_size=len(labels), max_size=len(labels)))
    order = draw(st.permutations(range(len(labels))))
    return np.array(labels)[order], np.array(scores, dtype=float)[order]


@given(trials())
def test_every_list_of_trials_is_within_the_bounds(data):
    labels, scores = data
    area = metrics.auc(labels, scores)
    low, high = published_figures.auc_bounds(metrics.eer_interpolated(labels, scores))
    assert low - 1e-12 <= area <= high + 1e-12
    value, threshold = metrics.eer(labels, scores)
    far, frr = metrics.error_rates(labels, scores, threshold=threshold)
    assert published_figures.possible(value, area, gap=abs(far - frr))


@given(st.floats(0, 1))
def test_both_bounds_are_reached_by_a_step(share):
    low, high = published_figures.auc_bounds(share)
    assert low == pytest.approx((1 - share) ** 2)
    assert high == pytest.approx(1 - share**2)
    assert published_figures.possible(share, low)
    assert published_figures.possible(share, high)


def test_bounds_are_reached_by_trials():
    # a tenth of the spoof trials above all, a tenth of the bona fide ones below all
    labels = np.array([1] * 10 + [0] * 10)
    worst = np.array([5.0] * 9 + [0] + [9] + [5 - 1e-9] * 9)
    assert metrics.eer_interpolated(labels, worst) == pytest.approx(0.1)
    assert metrics.auc(labels, worst) == pytest.approx(0.81)
    best = np.array([9.0] * 9 + [4] + [5] + [0] * 9)
    assert metrics.auc(labels, best) == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("eer", "auc", "possible"),
    [(0.3069, 0.2387, False), (0.3327, 0.2456, False), (0.1176, 0.0437, False), (0.4736, 0.4322, True)],
)
def test_the_pairs_that_the_original_study_printed(eer, auc, possible):
    found = published_figures.check_figures(eer=eer, auc=auc)
    assert found.possible is possible
    assert found.misaligned_possible is True
    assert found.auc_if_misaligned == pytest.approx(1 - auc)
    assert found.auc_bounds == published_figures.auc_bounds(eer)
    assert found.counts_possible is None
    json.dumps(dataclasses.asdict(found))


@pytest.mark.parametrize(
    ("eer", "counts", "possible"),
    [
        (0.3327, (544, 544), True),  # 181 of 544
        (0.1176, (544, 544), True),  # 64 of 544
        (0.3069, (120, 180), True),  # 55 of 180 and 37 of 120
        (0.3069, (150, 150), False),  # 46 of 150 is 0.3067
        (0.1180, (544, 544), False),
    ],
)
def test_an_error_rate_must_fit_the_number_of_clips(eer, counts, possible):
    found = published_figures.check_figures(eer=eer, auc=0.8, n_bonafide=counts[0], n_spoof=counts[1], decimals=4)
    assert found.counts_possible is possible


@given(trials(least=3))
def test_what_was_measured_is_never_called_impossible(data):
    labels, scores = data
    scores = scores + np.linspace(0, 0.5, scores.size)  # no ties
    area = round(metrics.auc(labels, scores), 4)
    found = published_figures.check_figures(
        eer=round(metrics.eer(labels, scores).value, 4),
        auc=area,
        n_bonafide=int(labels.sum()),
        n_spoof=int((1 - labels).sum()),
        decimals=4,
    )
    assert found.possible
    assert found.counts_possible


def test_rounding_is_granted_to_the_printed_digits_only():
    assert published_figures.check_figures(eer=0.1, auc=0.8099, decimals=3).possible
    assert not published_figures.check_figures(eer=0.1, auc=0.8049, decimals=4).possible
    assert published_figures.check_figures(eer=0.1, auc=0.81).possible


def test_figures_must_be_shares():
    with pytest.raises(ParameterError, match=r"eer=30\.69: .* 30\.69 % is 0\.3069"):
        published_figures.check_figures(eer=30.69, auc=0.2387)
    with pytest.raises(ParameterError, match=r"auc=-0\.1"):
        published_figures.possible(0.1, -0.1)
    with pytest.raises(ParameterError, match="eer=nan"):
        published_figures.auc_bounds(math.nan)
    with pytest.raises(ParameterError, match="both n_bonafide and n_spoof"):
        published_figures.check_figures(eer=0.1, auc=0.9, n_spoof=3)
    with pytest.raises(ParameterError, match="n_spoof=0"):
        published_figures.check_figures(eer=0.1, auc=0.9, n_bonafide=3, n_spoof=0)


def test_class_sizes_that_fit():
    # 46 of 150 is 0.30667: printed as 0.3067, not as 0.3069; 31 of 101 is the first to give that
    assert published_figures.check_figures(eer=0.3069, auc=0.8).class_sizes[0] == 101
    for eer, decimals in ((0.3327, 4), (0.1176, 4), (0.25, 2), (0.0, 2)):
        sizes = published_figures.check_figures(eer=eer, auc=0.9, decimals=decimals).class_sizes
        fitting = [n for n in range(1, sizes[-1] + 1) if any(round(k / n, decimals) == eer for k in range(n + 1))]
        assert list(sizes) == fitting
        assert published_figures.check_figures(
            eer=eer, auc=0.9, n_bonafide=sizes[0], n_spoof=sizes[0], decimals=decimals
        ).counts_possible


def test_the_nearest_error_rates():
    found = published_figures.check_figures(eer=0.3069, auc=0.8, n_bonafide=150, n_spoof=150)
    assert found.eers_nearest == pytest.approx((46 / 150, 47 / 150))
    assert published_figures.check_figures(eer=0.2, auc=0.9, n_bonafide=10, n_spoof=10).eers_nearest == (0.2,)
    # 3 and 4 trials: at their closest FAR - FRR is 0 or within 1/6: means of 1/3 with 1/4 or 2/4, and so on
    found = published_figures.check_figures(eer=0.3, auc=0.9, n_bonafide=3, n_spoof=4)
    assert found.eers_nearest == pytest.approx(((1 / 3 + 1 / 4) / 2, (1 / 3 + 2 / 4) / 2))


@given(trials(least=2))
def test_what_was_measured_is_among_what_can_be(data):
    labels, scores = data
    scores = scores + np.linspace(0, 0.5, scores.size)  # no ties
    value = metrics.eer(labels, scores).value
    counts = {"n_bonafide": int(labels.sum()), "n_spoof": int((1 - labels).sum())}
    assert published_figures.check_figures(eer=value, auc=0.5, **counts, decimals=6).eers_nearest == pytest.approx(
        (value,)
    )


def test_the_interval_that_counts_imply():
    # Wilson's interval of 10 of 100: (0.1 + z2 / 200 -+ z sqrt(0.09 / 100 + z2 / 40000)) / (1 + z2 / 100)
    assert published_figures.eer_interval(0.1, n_bonafide=50, n_spoof=50) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert published_figures.eer_interval(0.0, n_bonafide=50, n_spoof=50)[0] == 0
    # 20 bona fide trials decide, however many spoofs there are
    narrow, wide = (published_figures.eer_interval(0.1, n_bonafide=n, n_spoof=10**6) for n in (2000, 20))
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])
    for wrong in ({"eer": 2}, {"n_bonafide": 0}, {"level": 95}):
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))}="):
            published_figures.eer_interval(**({"eer": 0.1, "n_bonafide": 5, "n_spoof": 5} | wrong))
