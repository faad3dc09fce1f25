import numpy as np
import pytest

from dfdlib.errors import ParameterError
from dfdlib.evaluation import claims, intervals, metrics


@pytest.fixture
def trials(rng):
    labels = np.repeat([1, 0], [300, 500])
    return labels, rng.standard_normal(800) + 2 * labels


@pytest.fixture
def found(trials):
    return intervals.evaluate(*trials, resamples=200)


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("eer=0.01278", ("eer", 0.01278, 0.5e-5)),
        ("eer = 1.278%", ("eer", 0.01278, 0.5e-5)),
        ("eer=1.278 %", ("eer", 0.01278, 0.5e-5)),
        ("auc=.98", ("auc", 0.98, 0.005)),
        ("auc=1", ("auc", 1.0, 0.5)),
        ("min_dcf=0.2", ("min_dcf", 0.2, 0.05)),
        ("act_dcf=1.25", ("act_dcf", 1.25, 0.005)),
        ("n_spoof=533928", ("n_spoof", 533928, 0)),
    ],
)
def test_claims_are_read_with_what_they_were_rounded_to(text, claim):
    assert claims.parse(text) == pytest.approx(claim)


@pytest.mark.parametrize(
    "text", ["eer", "eer=", "eer=x", "eer=-0.1", "eer=1e-3", "eer=.", "hter=0.1", "=0.1", "eer=nan"]
)
def test_other_claims_are_refused(text):
    with pytest.raises(ParameterError, match=r"write one as eer=0\.01278"):
        claims.parse(text)


def test_a_percentage_that_looks_like_a_share_is_refused():
    with pytest.raises(ParameterError, match=r"is no share; write eer=0\.0128 or eer=1\.28%"):
        claims.parse("eer=1.28")
    with pytest.raises(ParameterError, match=r"write eer=0\.013 or eer=1\.3%$"):
        claims.parse("eer=130%")


def check(text, trials, found):
    return claims.check(claims.parse(text), *trials, found)


def test_a_figure_holds_where_it_rounds_to_the_claimed_one(trials, found):
    for decimals in (2, 3, 5):
        verdict = check(f"eer={found['eer']:.{decimals}f}", trials, found)
        assert verdict.holds
        assert verdict.sentence.endswith(": as claimed")
    off = check(f"eer={found['eer'] + 0.0002:.4f}", trials, found)
    assert not off.holds
    assert "within the interval" in off.sentence
    far = check("eer=0.4", trials, found)
    assert not far.holds
    assert far.sentence.endswith("not as claimed")
    assert f"{found['eer']:.4f} found" in far.sentence


def test_another_convention_is_named(trials, found):
    hull = metrics.eer_convex_hull(*trials)
    assert abs(hull - found["eer"]) > 1e-4
    verdict = check(f"eer={hull:.5f}", trials, found)
    assert verdict.holds
    assert "as claimed, by the convex-hull convention" in verdict.sentence


def test_scores_that_were_turned_round_are_named(trials, found):
    verdict = check(f"auc={1 - found['auc']:.4f}", trials, found)
    assert not verdict.holds
    assert "turned round?" in verdict.sentence


def test_counts_are_exact(trials, found):
    assert check("n_spoof=500", trials, found).holds
    verdict = check("n_spoof=501", trials, found)
    assert not verdict.holds
    assert "n_spoof: 501 claimed, 500 found" in verdict.sentence
