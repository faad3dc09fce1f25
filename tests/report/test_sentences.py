import pandas as pd
import pytest

from dfdlib.evaluation.intervals import Difference
from dfdlib.report import sentences


def difference(before, after, low, high):
    return Difference(before, after, after - before, low, high)


BETTER = difference(0.30, 0.12, -0.22, -0.14)
WORSE = difference(0.31, 0.47, 0.09, 0.24)
UNCLEAR = difference(0.30, 0.28, -0.06, 0.02)


def evaluated(corpus, stage, **values):
    """Return a table of one evaluation, all in the middle but for what is said."""
    usual = {"n_bonafide": 9.0, "n_spoof": 9.0, "eer": 0.5, "eer_low": 0.4, "eer_high": 0.6}
    usual |= {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "far": 0.5, "frr": 0.5}
    usual |= {"hter": 0.5, "hter_low": 0.4, "hter_high": 0.6}
    return pd.DataFrame([{"corpus": corpus, "stage": stage} | usual | values])


def test_an_evaluation_names_its_numbers():
    numbers = {"eer": 0.307, "eer_low": 0.25, "eer_high": 0.36, "auc": 0.76, "auc_low": 0.7, "auc_high": 0.81}
    (sentence,) = sentences.evaluations(evaluated("custom", "before", n_bonafide=120.0, n_spoof=180.0, **numbers))
    for part in ("custom", "120 bona fide", "180 spoof", "baseline", "30.7 %", "25.0 to 36.0 %", "0.760"):
        assert part in sentence
    assert "guessing" not in sentence


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.45, 0.6, "no better than guessing"), (0.15, 0.3, "worse than guessing")]
)
def test_an_evaluation_says_when_it_is_guessing(low, high, verdict):
    (sentence,) = sentences.evaluations(evaluated("custom", "after", auc_low=low, auc_high=high))
    assert verdict in sentence


def test_a_threshold_that_does_not_carry_over_is_said_to_fail():
    (good,) = sentences.operating(evaluated("custom", "after"))
    (bad,) = sentences.operating(evaluated("custom", "after", eer=0.1, hter=0.3, hter_low=0.2, hter_high=0.4, far=0.6))
    assert "carry over" not in good
    assert "accepts 60.0 % of the spoofs and rejects 50.0 % of the bona fide clips of custom: 30.0 %" in bad
    assert bad.endswith("is 10.0 %. The threshold does not carry over.")


def test_calibration_says_what_it_costs_and_what_warns():
    table = pd.DataFrame(
        [
            {
                "corpus": "custom",
                "stage": "before",
                "cllr_raw": 3.0,
                "cllr": 1.2,
                "min_cllr": 0.9,
                "warnings": ["Odd."],
            },
            {"corpus": "source", "stage": "after", "cllr_raw": 0.3, "cllr": 0.2, "min_cllr": 0.1, "warnings": []},
        ]
    )
    bad, good = sentences.calibrated(table)
    assert "the baseline on custom cost 1.200 bits" in bad
    assert bad.endswith(": worse than not to listen at all, which costs 1. The scores alone warn of it: Odd.")
    assert good.endswith("0.100 is the best that any calibration could reach and 0.300 is what they cost as they are.")


def test_a_change_says_no_more_than_its_interval():
    assert "lowered" in sentences.change("for-2seconds", BETTER, trained_on=True)
    assert "became better" in sentences.change("for-2seconds", BETTER, trained_on=True)
    assert "raised" in sentences.change("custom", WORSE)
    assert "became worse" in sentences.change("custom", WORSE)
    unclear = sentences.change("custom", UNCLEAR)
    assert "includes zero" in unclear
    assert "became" not in unclear


def test_the_verdict_turns_with_the_numbers():
    good = sentences.verdict({"for-2seconds": BETTER, "custom": BETTER}, trained_on="for-2seconds")
    traded = sentences.verdict({"for-2seconds": BETTER, "custom": WORSE}, trained_on="for-2seconds")
    narrow = sentences.verdict({"for-2seconds": BETTER, "custom": UNCLEAR}, trained_on="for-2seconds")
    partly = sentences.verdict({"for-2seconds": BETTER, "custom": BETTER, "source": UNCLEAR}, trained_on="for-2seconds")
    bad = sentences.verdict({"for-2seconds": WORSE, "custom": WORSE}, trained_on="for-2seconds")
    assert "shown beyond the domain that it was trained on, but not in every one" in partly
    assert "every domain" in good
    assert "paid for in another" in traded
    assert "not shown beyond" in narrow
    assert "did not show the gain" in bad
    assert "better" not in bad


def test_guessing_is_called_guessing():
    def rows(*found):
        return pd.DataFrame(found, columns=["corpus", "stage", "auc_low"])

    assert sentences.guessing(
        rows(("custom", "before", 0.45), ("custom", "after", 0.5), ("source", "before", 0.8))
    ) == ["On custom neither the baseline nor the fine-tuned detector is measurably better than guessing."]
    assert sentences.guessing(rows(("source", "after", 0.1))) == [
        "On source the fine-tuned detector is not measurably better than guessing."
    ]
    assert sentences.guessing(rows(("source", "after", 0.51))) == []


def test_training_says_whether_it_stopped_early():
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [1.0, 0.5], "validation_loss": [0.9, 0.6], "validation_eer": [0.3, 0.2]}
    )
    assert "still improving" in sentences.training(history, best_epoch=2, select="validation_loss")
    assert "no better" in sentences.training(history, best_epoch=1, select="validation_eer")


def test_hardest_attack_is_the_one_with_the_highest_eer():
    table = pd.DataFrame({"attack": ["a", "b"], "eer": [0.1, 0.4]})
    assert "b is the hardest" in sentences.hardest_attack(table, corpus="custom", stage="before")
    fooled = sentences.hardest_attack(table.assign(eer=[0.1, 0.7]), corpus="custom", stage="after")
    assert "most clips of b score higher than most bona fide ones" in fooled
    assert "one kind of attack, a" in sentences.hardest_attack(table[:1], corpus="custom", stage="before")


def test_preprocessing_effect():
    assert "look worse" in sentences.preprocessing("custom", WORSE)
    assert "look better" in sentences.preprocessing("custom", BETTER)
    assert "no clear effect" in sentences.preprocessing("custom", UNCLEAR)


def test_a_recipe_is_said_to_differ_only_where_that_was_shown():
    sentence = sentences.recipe(
        "with noise", {"custom": BETTER, "source": WORSE}, reference="the study's recipe", shown={"custom"}
    )
    assert sentence.startswith("With noise, against the study's recipe: a lower EER on custom: -18.0 points")
    assert "no difference that these clips can show on source" in sentence


def test_recipes_that_did_nothing_are_said_to_have_done_nothing():
    nothing = {"noise": [], "replay": []}
    assert "Nothing helped and nothing did harm" in sentences.recipes(nothing, nothing, reference="the study's recipe")
    harm = sentences.recipes(nothing, nothing | {"noise": ["source"]}, reference="the study's recipe")
    assert harm.startswith("Nothing helped.")
    assert "noise raised it on source" in harm
    assert "Not measurably different: replay." in harm
    help_ = sentences.recipes(nothing | {"replay": ["source", "custom"]}, nothing, reference="the study's recipe")
    assert "replay lowered the EER on custom and source" in help_
    assert "Nothing helped" not in help_
    assert sentences.recipes({}, {}, reference="x") == "There is no other way of fine-tuning to compare."


def test_the_choice_of_a_recipe_says_whose_it_was():
    assert "the one that this report fine-tunes by" in sentences.chosen_recipe("replay", "replay", seeds=1)
    assert "as its profile says: the study's" in sentences.chosen_recipe("replay", "the study's", seeds=3)
    assert "mean of 3 trainings" in sentences.chosen_recipe("replay", "the study's", seeds=3)


def test_controls_that_fail_are_named():
    rows = [("custom", "labels shuffled", True), ("custom", "scores negated", False)]
    table = pd.DataFrame(rows, columns=["corpus", "control", "holds"])
    assert sentences.controls(table[:1]) == "All 1 negative controls came out as they must."
    assert "1 of 2 negative controls did not come out as they must: scores negated on custom" in sentences.controls(
        table
    )


def test_misaligned_labels_are_counted():
    table = pd.DataFrame(
        {"auc_original": [0.7, 0.8, 0.4], "auc_misaligned": [0.3, 0.25, 0.6], "auc_mirrored": [0.3, 0.2, 0.6]}
    )
    said = sentences.misaligned(table)
    assert "the AUC of 2 of our 3 evaluations" in said
    assert "in 2 of them it is exactly" in said
