import numpy as np
import pandas as pd
import pytest

from dfdlib.errors import DataError
from dfdlib.evaluation import by_group, family, intervals, metrics

LABELS = np.array([1, 0, 1, 0, 1, 0, 1, 0, 0])
SCORES = np.array([9, 7, 8, 4, 6, 2, 3, 1, 0], dtype=float)


def test_by_codec_and_by_speaker():
    table = pd.DataFrame({"label": LABELS, "codec": ["a", "a", "a", "a", "b", "b", "b", "c", None]})
    #                                                 9/1  7/0  8/1  4/0  6/1  2/0  3/1  1/0  0/0
    found = by_group.errors(table, SCORES, column="codec", resamples=100).set_index("codec")
    assert list(found.index) == ["a", "b", "c", "unknown"]
    assert found["against"].tolist() == ["itself", "itself", "all bona fide", "all bona fide"]
    assert found["n_bonafide"].tolist() == [2, 2, 4, 4]
    assert found["n_spoof"].tolist() == [2, 1, 1, 1]
    assert found.loc["a", "auc"] == 1
    assert (found["eer_low"] <= found["eer"]).all()
    assert (found["eer"] <= found["eer_high"]).all()
    table["speaker"] = np.where(LABELS == 1, "ann", "bob")
    speakers = by_group.errors(table, SCORES, column="speaker", by="clip", resamples=100)
    assert list(speakers["against"]) == ["all spoof", "all bona fide"]
    assert list(speakers["n_spoof"]) == [5, 5]
    # of both rows the interval is that of all trials
    whole = intervals.interval(LABELS, SCORES, resamples=100)
    assert speakers[["eer", "eer_low", "eer_high"]].to_numpy() == pytest.approx(np.array([[*whole[:3]]] * 2))


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


def changes_table(rng):
    """Three attacks: one that the second system detects, one where it does worse, one where nothing changes."""
    rows = np.arange(400)
    labels = np.where(rows < 200, 1, 0)
    attacks = np.where(labels == 1, "bonafide", np.array(["helped", "harmed", "same"])[rows % 3])
    table = pd.DataFrame({"label": labels, "attack": attacks, "speaker": [f"s{row % 20}" for row in rows]})
    before = 1.5 * labels + rng.normal(size=400)
    after = before - 2.5 * (attacks == "helped") + 2 * (attacks == "harmed") + 0.01 * rng.normal(size=400)
    return table, before, after


def test_changes_of_each_attack_are_one_family(rng):
    table, before, after = changes_table(rng)
    found = by_group.attack_changes(table, before, after, resamples=300).set_index("attack")
    assert found.index.tolist() == ["harmed", "helped", "same"]
    assert found["shown"].tolist() == [True, True, False]
    assert found.loc["helped", "delta"] < 0 < found.loc["harmed", "delta"]
    assert (found["n_bonafide"] == 200).all()
    assert found["n_spoof"].sum() == 200
    assert (found["shown"] == ((found["low"] > 0) | (found["high"] < 0))).all()
    np.testing.assert_allclose(found["p_holm"], family.holm(found["p"]))
    for attack, row in found.iterrows():
        own = (table["label"] == 1) | (table["attack"] == attack)
        assert row["before"] == metrics.eer(table["label"][own], before[own]).value
        assert row["after"] == metrics.eer(table["label"][own], after[own]).value
    assert found["resampled_by"].unique().tolist() == ["speaker"]
    assert (found["smallest"] > 0).all()


def test_an_attack_of_one_voice_says_nothing_of_other_voices(rng):
    table, before, after = changes_table(rng)
    table.loc[table["attack"] == "same", "speaker"] = "hibari"
    found = by_group.attack_changes(table, before, after, resamples=300).set_index("attack")
    assert found["target"].to_dict() == {"harmed": "new-voices", "helped": "new-voices", "same": "these-voices"}
    assert found.loc["same", "warning"].startswith("New voices cannot be judged from this corpus: 1 speaker of spoof")


def test_an_attack_that_fixes_the_pooled_figure():
    labels = np.repeat([1, 0], [50, 50])
    attacks = np.repeat(["bonafide", "tts", "vc"], [50, 20, 30])
    scores = np.concatenate([np.arange(50.0), np.full(20, 90.0), np.full(30, -90.0)])
    assert metrics.eer(labels, scores).value == 0.4  # the share of tts
    assert by_group.fixing_attack(labels, scores, attacks) == "tts"
    assert by_group.fixing_attack(labels, np.where(labels == 1, 1.0, 0.0), attacks) is None
    assert by_group.fixing_attack(labels, scores, np.repeat(["", "tts"], 50)) is None
