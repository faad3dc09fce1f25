import json

import numpy as np
import pandas as pd
import pytest
import yaml
from makers import Here

from dfdlib import machine, processes
from dfdlib.errors import ParameterError
from dfdlib.evaluation import family, metrics, verdicts
from dfdlib.experiment import comparison
from dfdlib.experiment import run as experiment


@pytest.fixture(scope="module")
def compared(toy, tmp_path_factory):
    """The toy with three recipes, two seeds, and a custom set whose speakers are known."""
    root = tmp_path_factory.mktemp("compared")
    settings = yaml.safe_load(toy.read_text())
    custom = toy.parent / "custom"
    rows = [
        {"path": str(custom / folder / f"{number}.wav"), "label": label, "speaker": f"s{number}"}
        for folder, label in (("Real", "bonafide"), ("Fake", "spoof"))
        for number in range(6)
    ]
    pd.DataFrame(rows).to_csv(root / "custom.csv", index=False)
    settings["data"]["custom"] = str(root / "custom.csv")
    settings |= {
        "recipes": {
            "shuffled": {},
            "slow": {"settings": {"learning_rate": 1e-7}},
            "joint": {"also": ["custom"]},
            "replay": {"also": ["source"]},
        },
        "seeds": 2,
        "threads": 1,
    }
    (root / "compared.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return root / "compared.yaml"


@pytest.fixture(scope="module")
def run(compared, tmp_path_factory):
    return experiment.Run.open(str(compared), run_dir=tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def trainings(run):
    # As for two processes, in this one: another imports torch and Lightning, which takes longer than to train.
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(machine, "cores", lambda: 2)
        monkeypatch.setattr(processes, "pool", Here)
        return comparison.train(run)


def test_every_recipe_is_trained_with_every_seed_and_once(run, trainings, monkeypatch):
    assert [(training.recipe, training.seed) for training in trainings] == [
        (name, seed) for seed in (1, 2) for name in ("shuffled", "slow", "joint", "replay")
    ]
    clips = {training.recipe: training.clips for training in trainings}
    assert clips["shuffled"] == clips["slow"] == 16
    assert clips["replay"] == 16 + 12
    assert clips["joint"] == 16 + len(run.extra_clips("custom"))
    from dfdlib.training import loop

    monkeypatch.setattr(loop, "fit", None)
    assert comparison.train(run) == trainings


def test_recipes_differ_in_what_they_say(run, trainings):
    assert run.recipe("slow").learning_rate == 1e-7
    assert run.recipe("shuffled").learning_rate == run.recipe().learning_rate == 1e-3
    weights = {training.checkpoint.read_bytes() for training in trainings}
    assert len(weights) == len(trainings)


def test_no_recipe_is_tested_on_what_one_was_trained_on(run):
    trained_on, tested_on = run.extra_clips("custom").table, comparison.testing_clips(run, "custom").table
    assert not set(trained_on["speaker"]) & set(tested_on["speaker"])
    assert not set(trained_on["sha256"]) & set(tested_on["sha256"])
    assert len(comparison.testing_clips(run, "source")) == len(run.corpus("source"))


def test_the_best_is_the_best_on_validation_clips_over_all_seeds(trainings):
    losses = {}
    for training in trainings:
        losses.setdefault(training.recipe, []).append(training.validation_loss)
    assert comparison.best(trainings) == min(losses, key=lambda name: sum(losses[name]))


@pytest.fixture(scope="module")
def tested(run, trainings):
    return comparison.tested(run, trainings)


def test_comparisons_are_of_the_mean_over_attacks_and_seeds_as_one_family(run, tested):
    table = comparison.compare(run, tested)
    cells = [(corpus, recipe) for corpus in run.corpora for recipe in ("slow", "joint", "replay")]
    assert list(zip(table["corpus"], table["recipe"], strict=True)) == cells
    assert table["p_holm"].tolist() == pytest.approx(family.holm(table["p"]).tolist())
    assert (table["shown"] == ((table["low"] > 0) | (table["high"] < 0))).all()
    for row in table.itertuples():
        clips, systems = tested[row.corpus]
        macro, pooled = ([value(clips, scores) for scores in systems[row.recipe]] for value in (macro_eer, pooled_eer))
        assert len(macro) == 2
        assert (row.after, row.eer) == pytest.approx((np.mean(macro), np.mean(pooled)))
        assert (row.seeds_low, row.seeds_high) == pytest.approx((min(macro), max(macro)))


def pooled_eer(clips, scores):
    return metrics.eer(clips["label"], scores).value


def macro_eer(clips, scores):
    attacks = sorted(set(clips["attack"][clips["label"] == 0]))
    parts = [(clips["label"] == 1) | (clips["attack"] == attack) for attack in attacks]
    return np.mean([pooled_eer(clips[part], scores[part]) for part in parts])


def test_comparisons_attack_by_attack_are_a_family_of_each_corpus(run, tested):
    table = comparison.by_attack(run, tested)
    assert table.columns[:3].tolist() == ["corpus", "recipe", "attack"]
    for corpus, rows in table.groupby("corpus"):
        attacks = set(run.corpus(corpus).table.query("label == 0")["attack"])
        assert len(rows) == 3 * len(attacks)
        assert rows["p_holm"].tolist() == pytest.approx(family.holm(rows["p"]).tolist())


def test_there_may_be_nothing_to_compare(run):
    assert comparison.compare(run, comparison.tested(run, [])).empty
    assert comparison.by_attack(run, {}).empty


def test_a_recipe_that_the_data_does_not_allow_says_why(toy, compared, tmp_path):
    places = ["data.source=null", f"data.custom={toy.parent / 'custom'}"]
    run = experiment.Run.open(str(compared), run_dir=tmp_path, overrides=places)
    assert comparison.names(run) == ["shuffled", "slow"]
    reasons = comparison.impossible(run)
    assert "speakers are not all known" in reasons["joint"]
    assert "no clips of source" in reasons["replay"]
    assert len(comparison.testing_clips(run, "custom")) == 12


def test_the_report_fine_tunes_by_the_recipe_that_the_profile_names(compared, tmp_path):
    run = experiment.Run.open(str(compared), run_dir=tmp_path, overrides=["recipe=joint", "seeds=1"])
    result = run.finetune(progress=lambda line: None)
    assert result.checkpoint == tmp_path / "finetuned.safetensors"
    assert json.loads((tmp_path / "finetuned.json").read_text())["inputs_digest"]["threads"] == 1
    # What it was trained on is no longer tested on, anywhere in the report.
    assert set(run.corpus("custom").table["speaker"]).isdisjoint(run.extra_clips("custom").table["speaker"])
    # The comparison takes this training for its own.
    same = run.trained(run.job("joint", seed=run.seeds[0]))
    assert same is not None
    assert same.checkpoint == result.checkpoint


def test_an_unknown_recipe_is_refused(compared, tmp_path):
    with pytest.raises(ParameterError, match="recipe = 'other' is none of shuffled, slow, joint, replay"):
        experiment.Run.open(str(compared), run_dir=tmp_path, overrides=["recipe=other"])


def test_headline_figures_are_the_mean_over_the_seeds(run, trainings):
    assert run.seeds == [1, 2]
    clips, scores = run.by_seed("after", "source")
    eers = [metrics.eer(clips["label"], row).value for row in scores]
    assert len(eers) == 2
    found = run.evaluate("after", "source")
    assert found["eer"] == pytest.approx(np.mean(eers))
    assert (found["seeds_low"], found["seeds_high"]) == (min(eers), max(eers))
    assert "seeds_low" not in run.evaluate("before", "source")
    verdict = run.verdicts().set_index("corpus").loc["source"]
    assert verdict["after"] == found["eer"]
    assert verdict["seeds"] == 2
    assert verdict["verdict"] != verdicts.ONE_SEED
    # Both are the trainings of the recipe, which are not made again.
    own = [training.checkpoint for training in trainings if training.recipe == "shuffled"]
    assert [run.finetune(seed=seed).checkpoint.read_bytes() for seed in run.seeds] == [
        path.read_bytes() for path in own
    ]
