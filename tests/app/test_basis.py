import numpy as np
import pandas as pd
import pytest
from app_validation import HOW, validation
from makers import Loudness

from dfdlib.app import basis as module
from dfdlib.app.basis import Basis, Known, Scale
from dfdlib.detector.scores import read_scores
from dfdlib.evaluation import calibration
from dfdlib.experiment import profile
from dfdlib.experiment.clips import Clips

pytestmark = pytest.mark.usefixtures("all_refits")


def test_a_scale_of_a_run_is_that_of_its_validation_scores(run_folder, basis):
    scores = read_scores(run_folder / "scores/before-for-2seconds-validation.csv")
    assert basis.scales["studio"].calibration == calibration.fit(scores.labels, scores.values)
    assert set(basis.scales) == {"studio"}


def test_scores_of_other_weights_or_another_preprocessing_do_not_count(run_folder):
    other = Loudness()
    other.fingerprint = "another"
    assert Basis.of_run("other", other, preprocessing=HOW, folder=run_folder).scales == {}
    fixed = module.Preprocessing.named("corrected", window="fixed")
    assert Basis.of_run("other", Loudness(), preprocessing=fixed, folder=run_folder).scales == {}


def test_what_was_tested_on_is_said_of_the_detectors_of_a_run_alone(run_folder):
    options = {"preprocessing": HOW, "folder": run_folder, "tested": pd.DataFrame({"level": [-30.0]})}
    assert Basis.of_run("ours", Loudness(), **options).tested is not None
    other = Loudness()
    other.fingerprint = "0" * 64
    assert Basis.of_run("other", other, **options).tested is None


def test_a_damaged_or_missing_table_is_no_scale(tmp_path):
    assert Basis.of_run("none", Loudness(), preprocessing=HOW, folder=tmp_path).scales == {}
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/after-for-2seconds-validation.csv").write_text("path,label\n1.wav,spoof\n")
    assert Basis.of_run("none", Loudness(), preprocessing=HOW, folder=tmp_path).scales == {}


def test_a_channel_has_the_scores_of_validation_clips_that_came_through_it(tmp_path, rng):
    (tmp_path / "scores").mkdir()
    for channel, distance in (("", 1.0), ("-phone", 0.2)):
        scores = np.concatenate([rng.normal(distance, 0.4, 60), rng.normal(-distance, 0.4, 60)])
        validation(scores).to_csv(tmp_path / f"scores/before-for-2seconds-validation{channel}.csv", index=False)
    scales = Basis.of_run("both", Loudness(), preprocessing=HOW, folder=tmp_path).scales
    assert scales["phone"].llr(1.0).value < scales["studio"].llr(1.0).value


def test_steep_draws_do_not_turn_a_score_that_is_far_from_the_other_class(tmp_path, rng):
    # One of four voices sounds like the spoofs: a draw without it separates the classes.
    bonafide = np.where(np.arange(120) % 4, rng.normal(1, 0.3, 120), rng.normal(-1, 0.3, 120))
    scores = np.concatenate([bonafide, rng.normal(-1, 0.3, 120)])
    validation(scores).to_csv(tmp_path / "scores.csv", index=False)
    scale = Scale.of(read_scores(tmp_path / "scores.csv"))
    assert scale.refits.maps[..., 1].max() > 2 * scale.calibration.slope
    assert 0 < scale.llr(10.0).low < scale.llr(10.0).value


def test_few_voices_widen_the_range(tmp_path, rng):
    table = validation(np.concatenate([rng.normal(0.6, 1, 60), rng.normal(-0.6, 1, 60)]))
    widths = []
    for speakers in (table["speaker"], [f"voice{number}" for number in range(120)]):
        table.assign(speaker=speakers, score=table["score"] + table["speaker"].str[-1].astype(int)).to_csv(
            tmp_path / "scores.csv", index=False
        )
        _, low, high = Scale.of(read_scores(tmp_path / "scores.csv")).llr(0.0)
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1]


def test_what_a_profile_was_tested_on_and_examples_of_it(toy):
    clips = Clips(profile.load(toy))
    assert len(module.tested_on(clips)) == 36
    found = module.examples(clips)
    assert list(found) == ["bona fide", "unknown"]
    assert found["bona fide"].endswith("testing/real/0.wav")


def test_no_data_is_no_reason_to_stop(toy, tmp_path):
    places = [f"data.{name}={tmp_path / 'none'}" for name in ("for_2seconds", "custom", "source")]
    clips = Clips(profile.load(toy, overrides=places))
    assert module.tested_on(clips) is None
    assert module.examples(clips) == {}


def test_a_cache_is_opened_where_one_is_named(tmp_path):
    assert Known([]).opened() is None
    assert Known([], cache=tmp_path / "scores.sqlite").opened().usable
