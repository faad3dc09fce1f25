import numpy as np
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import by_group, metrics

LABELS = np.array([1, 0, 1, 0, 1, 0, 1, 0, 0])
SCORES = np.array([9, 7, 8, 4, 6, 2, 3, 1, 0], dtype=float)


def test_by_codec_and_by_speaker():
    codecs = ["a", "a", "a", "a", "b", "b", "b", "c", None]
    #          9/1  7/0  8/1  4/0  6/1  2/0  3/1  1/0  0/0
    table = by_group.by(LABELS, SCORES, codecs, name="codec").set_index("codec")
    assert list(table.index) == ["a", "b", "c", "unknown", "pooled"]
    assert table["against"].tolist() == ["itself", "itself", "all bona fide", "all bona fide", "itself"]
    assert table["n_bonafide"].tolist() == [2, 2, 4, 4, 4]
    assert table["n_spoof"].tolist() == [2, 1, 1, 1, 5]
    assert table.loc["a", "auc"] == 1
    assert table.loc["pooled", "eer"] == pytest.approx(0.225)
    speakers = by_group.by(LABELS, SCORES, np.where(LABELS == 1, "ann", "bob"), pooled=False)
    assert list(speakers["against"]) == ["all spoof", "all bona fide"]
    assert list(speakers["n_spoof"]) == [5, 5]
    with pytest.raises(DataError, match="2 groups but 9 trials"):
        by_group.by(LABELS, SCORES, ["a", "b"])


def test_by_attack_sets_each_attack_against_all_bona_fide():
    attacks = ["bonafide", "b", "bonafide", "b", "bonafide", "a", "bonafide", "a", None]
    table = by_group.by_attack(LABELS, SCORES, attacks).set_index("attack")
    assert list(table.index) == ["a", "b", "unknown"]
    assert table["n_bonafide"].tolist() == [4, 4, 4]
    assert table["n_spoof"].tolist() == [2, 2, 1]
    assert table.loc["a", "eer"] == 0
    assert table.loc["b", "auc"] == pytest.approx(5 / 8)  # 7 loses to two of four, 4 to three
    assert np.average(table["auc"], weights=table["n_spoof"]) == pytest.approx(metrics.auc(LABELS, SCORES))
    with pytest.raises(DataError, match="2 attacks but 9 trials"):
        by_group.by_attack(LABELS, SCORES, ["a", "b"])
