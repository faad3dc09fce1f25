import pytest

from dfdlib.evaluation.intervals import Difference
from dfdlib.experiment import run as experiment
from dfdlib.report import tables


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    run = experiment.Run.open(str(toy), run_dir=tmp_path_factory.mktemp("run"))
    run.finetune(progress=lambda line: None)
    return run


def test_overview_has_every_corpus_split_and_class(run):
    table = tables.overview(run)
    assert len(table) == 2 * (3 + 1 + 3)
    assert table.loc[(table["corpus"] == "for-2seconds") & (table["split"] == "training"), "clips"].tolist() == [8, 8]
    assert set(table["label"]) == {"bona fide", "spoof"}


def test_left_out_names_the_clip_and_the_reason(run):
    table = tables.left_out(run)
    assert table["path"].str.endswith("broken.wav").all()
    assert len(table) == 1


def test_examples_come_from_both_classes_and_repeat_with_the_seed(run):
    first, second = (tables.examples(run, "custom", each=2) for _ in range(2))
    assert first["label"].tolist() == [1, 1, 0, 0]
    assert first["path"].tolist() == second["path"].tolist()


def test_evaluations_stand_beside_the_published_ones(run):
    rows = [run.evaluate(stage, name) for name in run.corpora for stage in experiment.STAGES]
    table = tables.evaluations_table(rows).set_index(["corpus", "fine-tuning"])
    assert len(table) == 6
    assert table.loc[("custom", "after"), "study's EER %"] == "47.36"
    assert table.loc[("source", "after"), "study's EER %"] == "–"
    assert table.loc[("custom", "before"), "EER %"] == f"{100 * run.evaluate('before', 'custom')['eer']:.2f}"


def test_attacks_before_and_after(run):
    table = tables.attacks_table(run)
    assert table["corpus"].tolist() == run.corpora
    assert (table["change, points"] == 100 * (table["after"] - table["before"])).all()


def test_sentences_name_every_corpus(run):
    differences = {name: run.difference(name) for name in run.corpora}
    sentences = tables.change_sentences(run, differences)
    assert all(name in sentence for name, sentence in zip(run.corpora, sentences, strict=True))
    assert "custom" in tables.evaluation_sentence(run, run.evaluate("before", "custom"))
    assert len(tables.preprocessing_sentences(run)) == 3
    assert all("one kind of attack" in sentence for sentence in tables.attack_sentences(run, "after"))


def test_a_run_in_which_fine_tuning_ruins_everything_says_so(run):
    worse = dict.fromkeys(run.corpora, Difference(0.1, 0.4, 0.3, 0.2, 0.4))
    sentences = tables.change_sentences(run, worse)
    assert all("raised" in sentence and "became worse" in sentence for sentence in sentences)


def test_misaligned_labels_mirror_the_auc_of_balanced_corpora(run):
    for row in tables.preprocessing_rows(run):
        assert row["AUC, original and misaligned"] == pytest.approx(row["1 − AUC"])


def test_negative_controls_are_made_on_every_corpus(run):
    rows = tables.negative_controls(run)
    assert list(rows) == run.corpora
    for found in rows.values():
        assert [control.name for control in found][:2] == ["labels shuffled", "scores negated"]
        assert all(control.holds for control in found if control.name != "detector with random weights")
