import pytest

from dfdlib.errors import ParameterError
from dfdlib.evaluation import verdicts
from dfdlib.evaluation.intervals import Difference, Interval


@pytest.mark.parametrize(
    ("auc", "eer", "rung"),
    [
        ((0.36, 0.30, 0.45), (0.60, 0.5, 0.7), "ranks the wrong way round"),
        ((0.47, 0.41, 0.53), (0.42, 0.3, 0.5), "not shown to be better than chance"),
        ((0.60, 0.50, 0.70), (0.42, 0.3, 0.5), "not shown to be better than chance"),
        ((0.45, 0.30, 0.50), (0.55, 0.4, 0.7), "not shown to be better than chance"),
        ((0.85, 0.80, 0.90), (0.20, 0.1, 0.3), "better than chance"),
        ((0.97, 0.95, 0.99), (0.06, 0.03, 0.10), "better than chance"),
        ((0.97, 0.95, 0.99), (0.06, 0.03, 0.099), "separates"),
    ],
)
def test_the_ladder(auc, eer, rung):
    assert verdicts.rung(Interval(*auc), Interval(*eer)) == rung


def change(eer=-0.1, auc=0.1, cllr=-0.2):
    return {name: Difference(0.5, 0.5 + delta, delta, delta - 0.05, delta + 0.05)
            for name, delta in (("eer", eer), ("auc", auc), ("cllr", cllr))}  # fmt: skip


def test_what_may_be_said_of_a_change():
    later = verdicts.BETTER_THAN_CHANCE
    assert verdicts.of_change(change(), p=0.01, later=later) == "better"
    assert verdicts.of_change(change(), p=0.051, later=later) == "not shown"
    assert verdicts.of_change(change(), p=0.04, later=later, level=0.99) == "not shown"
    assert verdicts.of_change(change(eer=0.1, auc=-0.1, cllr=0.1), p=0.01, later=later) == "worse"
    assert verdicts.of_change(change(eer=0.0), p=0.01, later=later) == "not shown"
    # never better where the later detector is no better than chance
    for rung in (verdicts.CHANCE, verdicts.WRONG_WAY):
        assert verdicts.of_change(change(), p=0.001, later=rung) == "mixed"
    # nor where the measures disagree
    assert verdicts.of_change(change(cllr=1.2), p=0.001, later=later) == "mixed"
    assert verdicts.disagreeing(change(cllr=1.2)) == ["cllr"]
    assert verdicts.disagreeing(change(eer=0.1)) == ["auc", "cllr"]
    assert verdicts.disagreeing(change(cllr=0.0)) == []
    # seeds come first: one shows nothing, and several have to agree
    assert verdicts.of_change(change(), p=0.001, later=later, seeds=1) == "one seed"
    assert verdicts.of_change(change(), p=0.001, later=later, seeds=3) == "better"
    assert verdicts.of_change(change(), p=0.3, later=later, seeds=3, unsettled=True) == "seeds do not settle it"
    with pytest.raises(ParameterError, match="later='good': must be one of ranks the wrong way round"):
        verdicts.of_change(change(), p=0.01, later="good")
