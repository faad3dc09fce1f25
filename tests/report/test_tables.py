import pandas as pd
import pytest

from dfdlib.experiment import run as experiment
from dfdlib.report import tables


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    run = experiment.Run.open(str(toy), run_dir=tmp_path_factory.mktemp("run"))
    run.finetune(progress=lambda line: None)
    return run


def test_overview_has_every_corpus_and_split_with_both_classes(run):
    table = tables.overview(run)
    assert len(table) == 3 + 1 + 3
    row = table[(table["corpus"] == "for-2seconds") & (table["split"] == "training")].iloc[0]
    assert row[["n_bonafide", "n_spoof"]].tolist() == [8, 8]


def test_left_out_names_the_clip_and_the_reason(run):
    table = tables.left_out(run)
    assert table["path"].str.endswith("broken.wav").all()
    assert len(table) == 1


def test_examples_come_from_both_classes_and_repeat_with_the_seed(run):
    first, second = (tables.examples(run, "custom", each=2) for _ in range(2))
    assert first["label"].tolist() == [1, 1, 0, 0]
    assert first["path"].tolist() == second["path"].tolist()


def test_evaluations_stand_beside_the_published_ones(run):
    evaluated = tables.wide(run.evaluations())
    # The study's figures are of other data than anybody else's.
    assert "study_eer" not in tables.beside_published(evaluated, run)
    table = tables.beside_published(evaluated, study_too=True).set_index(["corpus", "stage"])
    assert len(table) == 6
    assert table.loc[("custom", "after"), "study_eer"] == 0.4736
    assert pd.isna(table.loc[("source", "after"), "study_eer"])
    assert table.loc[("custom", "before"), "eer"] == run.evaluate("before", "custom")["eer"]


def test_a_wide_table_holds_every_metric_with_its_interval(run):
    row = tables.wide(run.evaluations(stages=["before"], corpora=["custom"])).iloc[0]
    found = run.evaluate("before", "custom")
    assert [row["hter"], row["hter_low"], row["hter_high"]] == [found["hter"], *found["hter_ci"]]
    assert row["n_spoof"] == 6
    assert set(tables.OPERATING) <= set(row.index)


def test_attacks_before_and_after(run):
    table = tables.attack_changes(run)
    assert table["corpus"].tolist() == run.corpora
    assert (table["delta"] == table["after"] - table["before"]).all()


def test_verdicts_are_shown_with_what_they_rest_on(run):
    table = tables.verdicts(run)
    assert table["corpus"].tolist() == run.corpora
    assert {"smallest", "contrary", "rung_after", "verdict"} <= set(table)
    assert tables.attack_change_sentences(run) == []  # nothing is said of the change by one training


def test_misaligned_labels_mirror_the_auc_of_balanced_corpora(run):
    table = tables.preprocessing(run)
    assert table["auc_misaligned"].tolist() == pytest.approx(table["auc_mirrored"].tolist())


def test_only_settings_that_were_changed_are_listed(run):
    table = tables.changed_settings(run.recipe()).set_index("setting")
    assert table.loc["epochs", ["value", "default"]].tolist() == ["1", "10"]
    assert "optimizer" not in table.index
