import numpy as np
import pandas as pd
import pytest

from dfdlib.report import columns, tables


def test_numbers_of_known_columns_are_titled_and_written():
    frame = pd.DataFrame({"corpus": ["custom"], "stage": ["after"], "eer": [0.12345], "auc": [0.9], "n_spoof": [180.0]})
    shown = columns.formatted(frame)
    assert shown.to_dict("records") == [
        {"corpus": "custom", "fine-tuning": "after", "EER": "12.3\u00a0%", "AUC": "0.900", "spoof": "180"}
    ]
    assert frame["eer"].tolist() == [0.12345]  # the table itself keeps its numbers


def test_an_interval_is_one_column_where_its_first_end_stands():
    frame = pd.DataFrame({"eer_low": [0.1, np.nan], "corpus": ["a", "b"], "eer_high": [0.25, np.nan]})
    shown = columns.formatted(frame)
    assert list(shown.columns) == ["EER interval", "corpus"]
    assert shown["EER interval"].tolist() == ["10.0 to 25.0", "–"]
    other = columns.formatted(frame, {("eer_low", "eer_high"): "{:.2f} … {:.2f}"})
    assert other["EER interval"].tolist() == ["0.10 … 0.25", "–"]
    assert list(columns.formatted(frame[["eer_low"]]).columns) == ["EER low"]


def test_a_format_that_is_given_comes_before_the_known_one():
    frame = pd.DataFrame({"eer": [0.25], "eer_low": [0.125], "eer_high": [0.5]})
    shown = columns.formatted(frame, {"eer": ("the EER", "{:.0%}"), "eer_low": "{:.1%}"})
    assert shown.to_dict("records") == [{"the EER": "25\u00a0%", "EER low": "12.5\u00a0%", "EER high": "0.5"}]


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (3, 3), ("a", "a"), (True, "yes"), (None, "–"), (np.nan, "–")]
)
def test_other_columns_keep_what_they_hold(value, text):
    assert columns.formatted(pd.DataFrame({"other_name": [value]})).to_dict("records") == [{"other name": text}]


def test_a_change_has_its_sign_and_a_small_p_value_its_bound():
    frame = pd.DataFrame({"change": [0.012, -0.3], "p_holm": [0.04, 1e-9]})
    assert columns.formatted(frame).to_numpy().tolist() == [["+1.2", "0.040"], ["−30.0", "below 0.001"]]


def test_changes_of_rates_are_points_and_others_are_not():
    frame = pd.DataFrame({"metric": ["eer"], "before": [0.1], "delta": [-0.05], "low": [-0.1], "high": [np.nan]})
    assert columns.formatted(frame).to_numpy().tolist() == [["EER", "10.0\u00a0%", "−5.0"]]
    (row,) = columns.formatted(frame.assign(high=0.2), tables.UNITLESS).to_numpy().tolist()
    assert row == ["EER", "0.100", "−0.050", "−0.100 to +0.200"]


def test_titles_leave_numbers_alone():
    assert columns.titled(pd.DataFrame({"auc_mirrored": [0.5], "x": [1]})).to_dict("list") == {
        "1 − AUC": [0.5],
        "x": [1],
    }
