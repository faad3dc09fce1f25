import numpy as np
import pandas as pd
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import metrics, trials


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 0, 1], [1, 2], "3 labels but 2 scores"),
        ([], [], "no trials"),
        ([1, 1], [1, 2], "no spoof trial among 2: every label is 1"),
        ([0, 0], [1, 2], "no bona fide trial"),
        ([1, 0, 2, 0.5], [1, 2, 3, 4], r"labels in rows 2 \(2\.0\), 3 \(0\.5\)"),
        (["bonafide", "spoof"], [1, 2], r"labels in rows 0 \(bonafide\), 1 \(spoof\).* use 1 for bona fide"),
        ([1, 0, 1], [1, np.nan, -np.inf], r"scores in rows 1 \(nan\), 2 \(-inf\).* leave them out"),
        ([1, 0, 1], [1, "x", None], r"scores in rows 1 \(x\), 2 \(None\)"),
        ([1, 0], ["1", "2"], r"scores in rows 0 \(1\)"),
        ([1, 0] * 9, [np.nan] * 18, "and 13 more"),
        ([[1, 0]], [[1, 2]], r"labels have shape \(1, 2\)"),
        (1, 2, r"labels have shape \(\)"),
        ([1, [0]], [1, 2], "ragged"),
    ],
)
def test_what_is_not_a_list_of_trials_is_refused(labels, scores, message):
    with pytest.raises(DataError, match=message) as caught:
        trials.validate(labels, scores)
    assert "\n" not in str(caught.value)


def test_columns_of_different_tables_are_refused():
    table = pd.DataFrame({"label": [1, 0, 1], "score": [3.0, 1.0, 2.0]})
    assert metrics.auc(table["label"], table["score"]) == 1
    with pytest.raises(DataError, match="different indexes"):
        metrics.auc(table["label"], table["score"].sort_values())


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32, "Int64", object])
def test_kinds_of_numbers(kind):
    labels = pd.Series([1, 0, 1, 0]).astype(kind)
    assert metrics.auc(labels, np.array([3, 1, 2, 2], dtype=np.float16)) == pytest.approx(0.875)


def test_scores_of_any_shape_are_checked():
    assert trials.finite(3).shape == ()
    assert trials.finite([[1, 2], [3, 4]]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(DataError, match=r"scores in rows 3 \(nan\), counted from 0, are not finite"):
        trials.finite([[1, 2], [3, np.nan]])
    with pytest.raises(DataError, match="scores must be numbers"):
        trials.finite(["much"])
