import json

import pytest

from dfdlib.evaluation import metrics
from dfdlib.experiment import profile
from dfdlib.report import methods

EVALUATION = {"corpus": "custom", "eer": 0.25, "eer_ci": [0.2, 0.3], "auc": 0.8, "auc_ci": [0.7, 0.9]}


def test_methods_say_what_the_run_knows(summary):
    summary["notebooks"] = {
        "01": {"corpora": [{"corpus": "custom", "splits": {"all": [12, 15]}, "attacks": ["lpc", "mine"]}]},
        "03": {"detector": {"name": "mini", "parameters": 386818}},
    }
    said = {entry.term: entry.text for entry in methods.methods(summary)}
    assert "386\u202f818 parameters" in said["Detector"]
    assert "all" in said["Corpora"]
    assert said["Attacks"].startswith("copy synthesis: lpc (linear prediction); other: mine")
    assert f"{metrics.C_FA:g}·{metrics.P_SPOOF:g}·FAR" in said["Metrics"]
    assert (
        f"{summary['provenance']['settings']['uncertainty']['resamples']:,} bootstrap resamples" in said["Uncertainty"]
    )


def test_preprocessing_is_told_as_the_detector_had_it(summary):
    def said(**scoring):
        summary["notebooks"] = {"01": {"scoring": scoring}} if scoring else {}
        return {entry.term: entry.text for entry in methods.methods(summary)}["Preprocessing"]

    summary["provenance"]["settings"] |= {"preprocessing": "corrected", "window": "full"}
    plain = said()
    assert "16\u202f000 Hz, one channel; windows as long as the clip" in plain
    assert said(rate=16_000, window=None, precision="float32") == plain
    assert said(rate=16_000, window=None, precision="bfloat16") == f"{plain} The front end was computed in bfloat16."
    own = said(rate=8_000, window=4_000)
    assert "resampled to 8\u202f000 Hz, one channel; the first 4\u202f000 samples, repeated where" in own
    summary["provenance"]["settings"]["window"] = "fixed"
    assert "the first 64\u202f600 samples" in said()


def test_warnings_of_notebooks_are_told_once(summary):
    summary["notebooks"] = {"01": {"warnings": ["turned"]}, "02": {"warnings": ["turned", "other"]}, "03": {}}
    assert methods.warnings(summary) == ["turned", "other"]


def test_training_is_told_as_the_recipe_of_the_report_does_it(summary):
    settings = summary["provenance"]["settings"] | {"detector": "mini", "recipe": "mine"}
    settings["recipes"] = {"mine": {"settings": {"epochs": 17, "freeze": 3}, "also": ["custom"]}}
    summary["provenance"]["settings"] = settings
    said = {entry.term: entry.text for entry in methods.methods(summary)}["Fine-tuning"]
    assert said.startswith(
        "All weights but the front end's convolutions and 3 lower layers, on the training split of for-2seconds and a "
        "part of custom: 17 epochs"
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [("better", "Better"), ("worse", "Worse"), ("mixed", "Changed, but not clearly better"),
     ("not shown", "No change shown"), ("one seed", "One seed, nothing concluded")],
)  # fmt: skip
def test_a_verdict_is_that_of_the_run(kind, words):
    row = {"corpus": "custom", "before": EVALUATION, "after": EVALUATION | {"auc_ci": [0.4, 0.6]}}
    text = methods.verdict(row, {"verdict": kind, "delta": -0.05, "low": -0.1, "high": 0.01})
    assert text.startswith(f"{words}: EER from 25.0\u00a0% to 25.0\u00a0%, −5.0 points (−10.0 to +1.0 points).")
    assert text.endswith("Not shown to be better than chance.")
    assert methods.verdict(row) == "EER 25.0\u00a0%. Not shown to be better than chance."


def test_a_small_sample_is_warned_of(summary):
    assert methods.small_samples(summary) == []
    summary["evaluations"][0] |= {"n_bonafide": 12, "n_spoof": 12}
    (banner,) = methods.small_samples(summary)
    assert banner.endswith("12 + 12 clips (bona fide + spoof): one clip moves an error rate by 8.3 points.")
    summary["evaluations"][0] |= {"n_bonafide": 400, "n_spoof": 400}
    assert methods.small_samples(summary) == []


def test_the_citation_is_that_of_the_files_for_machines():
    cited = methods.citation()
    known = json.loads((profile.root() / "codemeta.json").read_text("utf-8"))
    assert cited["version"] == known["version"]
    assert known["license"].endswith(f"/{cited['licence']}")
    pyproject = (profile.root() / "pyproject.toml").read_text("utf-8")
    assert f'version = "{cited["version"]}"' in pyproject


def test_only_settings_that_differ_are_listed(toy):
    settings = profile.load(toy)
    found = profile.as_used(settings, changed=True)
    assert found["name"] == settings.name
    assert "limit" not in found
    assert "precision" not in found.get("finetune", {})
    seeded = profile.as_used(profile.load(toy, overrides=["finetune.patience=3"]), changed=True)
    assert seeded["finetune"]["patience"] == 3
