import numpy as np
import pytest

from dfdlib.evaluation import metrics
from dfdlib.report import sentences, study


def test_three_of_the_four_published_pairs_are_impossible():
    examined = study.examine_figures().set_index(["corpus", "stage"])
    assert examined["possible"].to_dict() == {
        ("custom", "before"): False,
        ("for-2seconds", "before"): False,
        ("for-2seconds", "after"): False,
        ("custom", "after"): True,
    }
    # (1 - 0.3069)^2 and 1 - 0.3069^2, to the half unit of the last digit printed
    assert examined.loc[("custom", "before"), "auc_low"] == pytest.approx(0.6931**2, abs=2e-4)
    assert examined.loc[("custom", "before"), "auc_high"] == pytest.approx(1 - 0.3069**2, abs=2e-4)


def test_only_balanced_sets_can_be_realigned():
    examined = study.examine_figures().set_index(["corpus", "stage"])["auc_realigned"]
    assert examined["for-2seconds", "before"] == pytest.approx(0.7544)
    assert examined["for-2seconds", "after"] == pytest.approx(0.9563)
    assert examined[["custom"]].isna().all()


def test_claims_are_held_against_the_printed_figures():
    claims = study.examine_claims().set_index(["corpus", "metric"])
    assert claims["holds"].to_dict() == {
        ("for-2seconds", "eer"): True,
        ("for-2seconds", "auc"): False,
        ("custom", "eer"): False,
    }
    said = sentences.published_claims(study.examine_claims())
    assert "disagree: the EER rose from 30.69 % to 47.36 %" in said[2]


def test_misaligned_auc_mirrors_the_true_one_when_balanced(rng):
    labels = rng.permutation(np.repeat([0, 1], 50))
    scores = rng.standard_normal(100) + labels
    assert study.misaligned_auc(labels, scores) == pytest.approx(1 - metrics.auc(labels, scores))


def test_misaligned_auc_is_no_mirror_image_when_not_balanced(rng):
    labels = np.repeat([0, 1], [180, 120])
    scores = rng.standard_normal(300) + 2 * labels
    assert abs(study.misaligned_auc(labels, scores) - (1 - metrics.auc(labels, scores))) > 0.01


def test_the_class_sizes_that_fit_were_found_by_hand_too():
    # 30.69 % of 120 and 180: FAR 55/180 and FRR 37/120 have the mean 0.30694; 47.36 %: 85/180 and 57/120, 0.47361.
    assert pytest.approx(0.3069, abs=5e-5) == (55 / 180 + 37 / 120) / 2
    assert pytest.approx(0.4736, abs=5e-5) == (85 / 180 + 57 / 120) / 2
    assert study.class_sizes("custom") == [(120, 180), (180, 120)]
    assert (544, 544) in study.class_sizes("for-2seconds")
    sentence = sentences.published_class_sizes("custom", study.class_sizes("custom"), clips=300)
    assert "120 bona fide with 180 spoof clips and 180 bona fide with 120 spoof clips" in sentence
    assert "unless scores tie" in sentences.published_class_sizes("custom", [], clips=300)
