import numpy as np
import pandas as pd
import pytest

from dfdlib.evaluation import calibration, carried, units, verdicts
from dfdlib.evaluation.intervals import Difference
from dfdlib.report import sentences

BETTER = Difference(0.30, 0.12, -0.18, -0.22, -0.14)
WORSE = Difference(0.31, 0.47, 0.16, 0.09, 0.24)
UNCLEAR = Difference(0.30, 0.28, -0.02, -0.06, 0.02)


def judged(corpus, difference, verdict, *, later=verdicts.BETTER_THAN_CHANCE, disagreeing=(), **values):
    """Return a row of a table of verdicts."""
    rest = {"auc_before": 0.36, "auc_after": 0.47, "cllr_before": 1.4, "cllr_after": 2.6, "smallest": 0.057}
    rest |= {"rung_after": later, "disagreeing": list(disagreeing), "verdict": verdict}
    return {"corpus": corpus} | difference._asdict() | rest | values


def row(*arguments, **options):
    return next(pd.DataFrame([judged(*arguments, **options)]).itertuples())


def evaluated(corpus, stage, **values):
    """Return a table of one evaluation, all in the middle but for what is said."""
    usual = {"n_bonafide": 9.0, "n_spoof": 9.0, "eer": 0.5, "eer_low": 0.4, "eer_high": 0.6}
    usual |= {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "far": 0.5, "frr": 0.5}
    usual |= {"hter": 0.5, "hter_low": 0.4, "hter_high": 0.6}
    return pd.DataFrame([{"corpus": corpus, "stage": stage} | usual | values])


def test_an_evaluation_names_its_numbers():
    numbers = {"eer": 0.307, "eer_low": 0.25, "eer_high": 0.36, "auc": 0.76, "auc_low": 0.7, "auc_high": 0.81}
    (sentence,) = sentences.evaluations(evaluated("custom", "before", n_bonafide=120.0, n_spoof=180.0, **numbers))
    for part in ("custom", "(120 + 180 clips)", "baseline", "30.7 %", "25.0 to 36.0 %", "0.760"):
        assert part in sentence
    assert "guessing" not in sentence


@pytest.mark.parametrize(
    ("auc", "eer", "said"),
    [
        ((0.5, 0.45, 0.6), (0.5, 0.4, 0.6), "is not shown to be better than chance."),
        ((0.2, 0.15, 0.3), (0.7, 0.6, 0.8), "ranks the wrong way round, spoof clips above bona fide ones."),
        ((0.8, 0.7, 0.9), (0.2, 0.1, 0.3), "is better than chance."),
        ((0.99, 0.98, 1.0), (0.02, 0.01, 0.05), "separates the classes."),
    ],
)
def test_an_evaluation_says_on_which_rung_it_stands(auc, eer, said):
    columns = {f"{name}{end}": value for name, values in (("auc", auc), ("eer", eer))
               for end, value in zip(("", "_low", "_high"), values, strict=True)}  # fmt: skip
    (sentence,) = sentences.evaluations(evaluated("custom", "after", **columns))
    assert sentence.endswith(f": it {said}")


def test_the_mean_over_attacks_stands_beside_the_pooled_figure():
    macro = {"macro_eer": 0.574, "macro_eer_low": 0.2, "macro_eer_high": 0.95}
    (sentence,) = sentences.evaluations(evaluated("custom", "after", **macro))
    assert "; the mean EER over attacks is 57.4 % (20.0 to 95.0 %)" in sentence
    said = sentences.fixed_by("custom", "hibari", eer=0.419)
    assert said.startswith("On custom the pooled EER of 41.9 % is fixed by the mix of attacks")


def test_criteria_are_counted_for_each_corpus():
    cells = {"custom": ["0.4 (to 0.6): fail", "0: pass"], "source": ["0.1 (to 0.2): pass", "0: pass"]}
    matrix = pd.DataFrame({"characteristic": "", "metric": "", "criterion": ""} | cells)
    assert sentences.criteria(matrix) == "Of 2 criteria of the profile, so many are met: custom 1 and source 2."


def test_few_voices_and_a_mix_of_attacks_are_warned_of():
    columns = ["corpus", "target", "warning", "fixed_by", "eer"]
    rows = [("a", "new-voices", "", "", 0.1), ("b", "new-voices", "Rough.", "", 0.1)]
    rows += [("c", "these-voices", "New voices cannot be judged.", "hibari", 0.2)]
    assert [said[:46] for said in sentences.basis(pd.DataFrame(rows, columns=columns))] == [
        "Intervals on c speak for these voices alone.",
        "Intervals on b are rough: they rest on few uni",
        "On c the pooled EER of 20.0 % is fixed by the ",
    ]
    assert sentences.basis(pd.DataFrame(rows[:1], columns=columns)) == []


def test_the_format_is_accused_only_of_what_was_shown():
    table = pd.DataFrame({"corpus": ["a", "b", "c"], "finding": ["nothing shown", "much", "nothing shown"]})
    assert sentences.shortcuts(table) == [
        "It is not shown that the format gives anything away on a and c.",
        "The format gives much of the label away on b: no result there is of speech alone.",
    ]


def test_a_threshold_that_does_not_transfer_is_said_to_fail():
    (good,) = sentences.operating(evaluated("custom", "after"))
    (bad,) = sentences.operating(evaluated("custom", "after", eer=0.1, hter=0.3, hter_low=0.2, hter_high=0.4, far=0.6))
    assert "transfer" not in good
    assert "the fine-tuned detector on custom: FAR 60.0 %, FRR 50.0 %, HTER 30.0 % (20.0 to 40.0 %)" in bad
    assert bad.endswith("EER 10.0 %. The threshold does not transfer.")
    kept = evaluated("custom", "after")
    lost = evaluated("source", "before", eer=0.1, hter=0.3, hter_low=0.2, hter_high=0.4)
    both = sentences.transfer(pd.concat([kept, lost]))
    assert both == "The validation threshold does not transfer: of the baseline to source (HTER 30.0 %)."
    assert sentences.transfer(kept) == "The validation threshold is not shown to fail on any corpus."


def test_evidence_says_what_is_supported_what_misleads_and_what_warns():
    fitted = calibration.fit([1] * 5 + [0] * 6, [9.0] * 5 + [1.0] * 6)
    table = pd.DataFrame({"corpus": ["custom", "source", "phone"], "warnings": [["Odd."], [], []]})
    table = table.assign(cllr_low=[1.1, 0.1, 0.9], cllr_high=[1.3, 0.3, 1.5])
    bounds, bad, unclear, warned = sentences.evidence(table, fitted=fitted)
    # perfect ratios, with one misleading trial more in each class: ln(5/6 of 7) and ln(6/7 of 6)
    assert bounds.startswith("5 + 6 validation clips support LLRs from -1.64 to 1.76 (ELUB")
    assert bad == "On custom they cost more than no evidence at all (Cllr above 1)."
    assert unclear == "On phone they are not shown to be worth more than none (the interval holds 1)."
    assert warned == "The scores alone warn of other conditions on custom."
    assert sentences.evidence(table[1:2], fitted=fitted) == [bounds]


def test_the_verdict_turns_with_the_numbers():
    def verdict(**kinds):
        table = pd.DataFrame([judged(name.replace("_", "-"), BETTER, kind) for name, kind in kinds.items()])
        return sentences.verdict(table, trained_on="for-2seconds")

    better, worse, mixed, unclear = verdicts.BETTER, verdicts.WORSE, verdicts.MIXED, verdicts.NOT_SHOWN
    partly = verdict(for_2seconds=better, custom=better, source=unclear)
    assert partly == (
        "Fine-tuning on for-2seconds: better on for-2seconds and custom; no change shown on source. A gain is shown "
        "beyond the domain that it was trained on, but not on every corpus."
    )
    assert "on every corpus measured" in verdict(for_2seconds=better, custom=better)
    assert "gained in one domain and lost in another" in verdict(for_2seconds=better, custom=worse)
    assert "No gain is shown beyond" in verdict(for_2seconds=better, custom=unclear)
    neither = verdict(for_2seconds=better, custom=mixed)
    assert "changed on custom, neither better nor worse as a whole. No gain is shown beyond" in neither
    bad = verdict(for_2seconds=worse, custom=worse)
    assert "The gain that it was meant to bring is not shown" in bad
    assert "better" not in bad


def test_harm_by_an_attack_is_told_beside_gain():
    columns = ["corpus", "attack", "before", "after", "delta", "low", "high", "shown", "smallest", "unsettled"]
    table = pd.DataFrame(
        [
            ("custom", "lpc", 0.485, 0.295, -0.19, -0.28, -0.1, True, 0.1, False),
            ("custom", "hibari", 0.819, 0.852, 0.033, -0.1, 0.2, False, 0.25, True),
            ("source", "griffin-lim", 0.017, 0.109, 0.092, 0.035, 0.139, True, 0.08, False),
            ("rest", "world", 0.2, 0.2, 0.0, -0.1, 0.1, False, 0.15, False),
            ("few", "world", 0.2, 0.2, 0.0, -0.9, 0.9, False, 1.5, False),
        ],
        columns=columns,
    )
    assert sentences.attack_changes(table) == (
        "By attack: on custom better against lpc (48.5 % to 29.5 %); on source worse against griffin-lim (1.7 % to "
        "10.9 %); no change is shown for the other 3 pairs of corpus and attack. The seeds do not settle 1 of them."
    )
    none = sentences.attack_changes(table[3:])
    assert none == "By attack: no change is shown for 2 pairs of corpus and attack."
    assert sentences.attack_changes(table[:1]) == "By attack: on custom better against lpc (48.5 % to 29.5 %)."


def test_guessing_is_called_guessing():
    rows = [("custom", "before", 0.45), ("custom", "after", 0.5), ("source", "before", 0.4), ("source", "after", 0.51)]
    table = pd.DataFrame(rows, columns=["corpus", "stage", "auc_low"])
    assert sentences.guessing(table) == [
        "Not shown to be better than guessing: the baseline on custom and source; the fine-tuned detector on custom."
    ]
    assert sentences.guessing(table[3:]) == []


def test_training_says_whether_it_stopped_early():
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [1.0, 0.5], "validation_loss": [0.9, 0.6], "validation_eer": [0.3, 0.2]}
    )
    assert "more epochs might do better" in sentences.training(history, best_epoch=2, select="validation_loss")
    history["validation_loss"] = [0.6, 0.9]
    said = sentences.training(history, best_epoch=1, select="validation_loss")
    assert said.endswith("; epoch 2 had a lower validation EER (20.0 %), which is not what the recipe chooses by.")
    history["validation_eer"] = [0.2, 0.2]
    assert "no better" in sentences.training(history, best_epoch=1, select="validation_eer")


def test_no_attack_is_the_hardest_while_intervals_overlap():
    table = pd.DataFrame({"attack": ["a", "b"], "eer": [0.1, 0.3], "eer_low": [0.05, 0.25], "eer_high": [0.2, 0.4]})
    assert "b is the hardest attack for the baseline (EER 30.0 %, 25.0 to 40.0 %)." in sentences.hardest_attack(
        table, corpus="custom", stage="before"
    )
    unclear = sentences.hardest_attack(table.assign(eer_low=[0.05, 0.15]), corpus="custom", stage="before")
    assert "the intervals of the attacks overlap, so that none is shown to be the hardest" in unclear
    fooled = sentences.hardest_attack(table.assign(eer=[0.1, 0.7], eer_low=[0, 0.6]), corpus="custom", stage="after")
    assert fooled.endswith("most of its clips score higher than most bona fide ones.")
    assert "one kind of attack, a" in sentences.hardest_attack(table[:1], corpus="custom", stage="before")


def test_preprocessing_effect():
    table = pd.DataFrame({"corpus": ["a", "b", "c"], "change_low": [0.1, -0.2, -0.1], "change_high": [0.2, -0.1, 0.1]})
    said = sentences.preprocessing(table)
    assert said == (
        "What the study's rate and score make of the baseline's EER: worse on a; better on b; no change shown on c."
    )


def recipe_rows(*rows):
    table = pd.DataFrame(rows, columns=["recipe", "corpus", "delta", "shown", "unsettled"])
    return table.assign(attack="lpc", before=0.2, after=0.2 + table["delta"], low=0.01, high=0.1)


def test_recipes_are_said_to_differ_only_where_that_was_shown():
    options = {"reference": "the study's recipe", "seeds": 3}
    nothing = recipe_rows(("noise", "custom", -0.1, False, False), ("noise", "source", 0.1, False, True))
    assert sentences.recipes(nothing, **options) == (
        "No recipe was shown to change the macro EER against the study's recipe, on any corpus (Holm-adjusted). "
        "The seeds do not settle 1 of 2 comparisons."
    )
    both = recipe_rows(
        ("the study's order, sorted by class", "source", 0.1, True, False),
        ("noise", "custom", -0.1, True, False),
        ("noise", "source", -0.1, True, False),
        ("replay", "source", -0.3, False, False),
    )
    assert sentences.recipes(both, **options) == (
        "Against the study's recipe, noise lowered the macro EER on custom and source; the study's order, sorted by "
        "class, raised the macro EER on source."
    )
    assert sentences.recipes(both[:0], **options) == "There is no other way of fine-tuning to compare."
    once = sentences.recipes(both, reference="the study's recipe", seeds=1)
    assert once == "Each recipe was trained once: nothing about recipes is concluded from one seed."


def test_recipes_attack_by_attack():
    rows = recipe_rows(("noise", "custom", -0.1, True, False), ("noise", "custom", 0.1, False, False),
                       ("replay", "source", 0.1, True, False))  # fmt: skip
    assert sentences.recipes_by_attack(rows) == (
        "Recipes by attack: noise on custom better against lpc (20.0 % to 10.0 %); replay on source worse against lpc "
        "(20.0 % to 30.0 %)."
    )
    assert sentences.recipes_by_attack(rows[1:2]) == "Recipes by attack: none was shown to differ."


def test_the_seeds_have_their_say_in_a_verdict():
    kinds = {"for-2seconds": verdicts.BETTER, "custom": verdicts.UNSETTLED}
    table = pd.DataFrame([judged(name, BETTER, kind) for name, kind in kinds.items()])
    assert "not settled by the seeds on custom" in sentences.verdict(table, trained_on="for-2seconds")
    alone = sentences.verdict(table.assign(verdict=verdicts.ONE_SEED), trained_on="for-2seconds")
    assert alone == "Nothing about fine-tuning on for-2seconds or about recipes is concluded from one seed."


def test_the_choice_of_a_recipe_says_whose_it_was():
    assert "the one that this report uses" in sentences.chosen_recipe("replay", "replay", seeds=1)
    assert "as its profile says: the study's" in sentences.chosen_recipe("replay", "the study's", seeds=3)
    assert "mean of 3 trainings" in sentences.chosen_recipe("replay", "the study's", seeds=3)


def test_misaligned_labels_are_counted():
    table = pd.DataFrame(
        {"auc_original": [0.7, 0.8, 0.4], "auc_misaligned": [0.3, 0.25, 0.6], "auc_mirrored": [0.3, 0.2, 0.6]}
    )
    said = sentences.misaligned(table)
    assert "2 of our 3 AUCs fall from one half or more to below it" in said
    assert "2 are exactly one minus the true AUC" in said


def test_validation_clips_that_contradict_the_scores_are_said():
    labels = np.repeat([1, 0], 6)
    drawn = units.of(pd.DataFrame({"path": list("abcdefghijkl"), "label": labels}), by="clip")
    against, by = (carried.Validation(labels, sign * labels + np.arange(12) / 100, drawn) for sign in (-1.0, 1.0))
    (line,) = sentences.contradicted(against, stage="before")
    assert line.startswith("The validation clips of for-2seconds contradict the scores of the baseline: AUC 0.000, so")
    assert sentences.contradicted(by, stage="before") == []
