import pandas as pd

from dfdlib.report import rivals


def test_rivals_differ_only_where_that_was_shown():
    names = ["detector", "corpus", "difference", "difference_shown", "gain", "gain_shown", "seems_inverted"]
    rows = [("mini", "a", None, None, None, None, False), ("mini", "b", None, None, None, None, False)]
    rows += [("loud", "a", 0.2, True, -0.1, True, False), ("loud", "b", -0.2, True, 0.1, True, False)]
    rows += [("soft", "a", 0.2, False, -0.1, False, True), ("soft", "b", 0.2, True, 0.0, False, True)]
    loud, soft = rivals.said(pd.DataFrame(rows, columns=names))
    assert "loud errs more than the detector on a; errs less than the detector on b; fusing both lowers" in loud
    assert "lowers the EER on a and raises the EER on b" in loud
    assert "soft errs more than the detector on b; is not shown to differ from the detector on a; no fusion of" in soft
    assert "run the other way" in soft
    assert "other way" not in loud
