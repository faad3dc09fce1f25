import importlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from dfdlib import machine, progress
from dfdlib.data import audio
from dfdlib.detector import network
from dfdlib.detector.preprocessing import FIXED_WINDOW
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.evaluation import units, verdicts
from dfdlib.experiment import comparison, profile
from dfdlib.experiment import run as experiment
from dfdlib.report import tables


@pytest.fixture
def run(toy, tmp_path):
    return experiment.Run.open(str(toy), run_dir=tmp_path / "run")


def test_a_run_knows_its_corpora_and_their_splits(run):
    assert run.corpora == ["for-2seconds", "custom", "source"]
    assert run.splits("for-2seconds") == ["training", "validation", "testing"]
    assert run.splits("custom") == [None]
    assert len(run.corpus("for-2seconds")) == 12
    assert len(run.corpus("for-2seconds", split="training")) == 16
    assert len(run.corpus("custom")) == 12
    assert len(run.corpus("custom").left_out) == 1
    with pytest.raises(ParameterError, match="has no corpus 'in-the-wild'"):
        run.corpus("in-the-wild")


def test_a_profile_without_source_has_no_source(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["data.source=null"])
    assert run.corpora == ["for-2seconds", "custom"]


def test_missing_data_says_what_to_do(toy, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    overrides = ["data.build=demo", "data.custom=/nowhere/custom", "data.source=data/demo/source"]
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=[*overrides, "data.for_2seconds=nowhere"])
    for name, said in {
        "custom": r"^/nowhere/custom: there is no such folder; put Real/ and Fake/ with clips there, .*--set data\.cus",
        "for-2seconds": r"/nowhere: .*training/, validation/ and testing/.*--set data\.for_2seconds=FOLDER",
        "source": r"data/demo/source: there is no such folder; 'dfd data build demo' makes it$",
    }.items():
        with pytest.raises(DataError, match=said):
            run.corpus(name)


def test_a_limit_holds_for_every_split_and_hides_none(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["limit=4"])
    assert run.splits("for-2seconds") == ["training", "validation", "testing"]
    assert len(run.corpus("for-2seconds", split="training")) == 4
    assert run.corpus("for-2seconds", split=None).table["split"].value_counts().to_dict() == {
        "training": 4,
        "validation": 4,
        "testing": 4,
    }
    assert run.corpus("custom").table["label"].tolist() == [0, 0, 1, 1]
    overview = tables.overview(run)
    assert overview[["n_bonafide", "n_spoof"]].to_numpy().tolist() == [[2, 2]] * 7
    assert run.audit("for-2seconds").size == 12
    assert run.audit("custom").size == 4


def test_too_few_validation_clips_are_named(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["limit=6"])
    with pytest.raises(DataError, match="for-2seconds, validation split: 3 bona fide and 3 spoof trials are too few"):
        run.calibration_of("before")


def test_a_corpus_without_splits_is_not_trained_chosen_and_tested_on(toy, tmp_path):
    place = tmp_path / "mine"
    for folder in ("real", "fake"):
        shutil.copytree(toy.parent / "for-2seconds/training" / folder, place / folder)
    given = [f"data.for_2seconds={place}"]
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=given)
    said = r"16 sounds are for both training and validation.*put its clips into training/.*allow_shared_clips=true"
    with pytest.raises(DataError, match=said):
        run.finetune()
    # Nor is a threshold chosen by the clips that it is tested on.
    with pytest.raises(DataError, match="for both validation and testing"):
        run.evaluate("before", "custom")
    assert not list(tmp_path.glob("finetuned*"))
    allowed = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=[*given, "allow_shared_clips=true"])
    assert len(allowed.job().training) == len(allowed.job().validation) == 16
    assert allowed.evaluate("before", "custom")["n_spoof"] == 6


@pytest.mark.parametrize(
    ("source", "copy", "said"),
    [
        ("for-2seconds/training", "for-2seconds/validation", "both training and validation"),
        ("for-2seconds/training", "for-2seconds/testing", "both training and testing"),
        ("for-2seconds/validation", "for-2seconds/testing", "both validation and testing"),
        ("for-2seconds/training", "custom", "both training and testing"),
        ("for-2seconds/validation", "source/testing", "both validation and testing"),
    ],
)
def test_a_sound_in_two_splits_is_refused_by_name(toy, tmp_path, source, copy, said):
    for name in ("for-2seconds", "custom", "source"):
        shutil.copytree(toy.parent / name, tmp_path / name)
    overrides = [f"data.{name.replace('-', '_')}={tmp_path / name}" for name in ("for-2seconds", "custom", "source")]
    experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides).job()
    target = tmp_path / copy / ("Real" if copy == "custom" else "real") / "another name.wav"
    shutil.copy(tmp_path / source / "real/0.wav", target)
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
    with pytest.raises(DataError, match=f"1 sound is for {said}.*real/0.wav and .*another name.wav"):
        run.job()


def test_what_a_recipe_is_trained_on_besides_is_kept_apart_too(toy, tmp_path):
    shutil.copytree(toy.parent / "source", tmp_path / "source")
    recipes = "recipes={replay: {also: [source]}, plain: {}}"
    overrides = [f"data.source={tmp_path / 'source'}", recipes]
    experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides).job("replay")
    shutil.copy(tmp_path / "source/validation/fake/1.wav", tmp_path / "source/testing/fake/again.wav")
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
    with pytest.raises(DataError, match=r"both training and testing.*validation/fake/1\.wav and .*again\.wav"):
        run.job("replay")
    run.job("plain")
    # Without splits all of it is tested on, so that recipe is left out and the others are compared.
    unsplit = [f"data.source={toy.parent / 'custom'}", recipes]
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=unsplit)
    assert comparison.impossible(run) == {"replay": "source has no splits: all of it is tested on"}


def test_scores_are_written_and_found_again(run, toy, monkeypatch):
    scores = run.scores("before", "custom")
    written = pd.read_csv(run.folder / "scores/before-custom.csv")
    assert written["score"].tolist() == scores.values.tolist()
    assert written["label"].value_counts().to_dict() == {"bonafide": 6, "spoof": 6}
    assert sorted(written["path"])[0] == "Fake/0.wav"
    assert str(toy.parent) not in tables.left_out(run).to_csv()

    def decode(*_, **__):
        raise AssertionError("a clip is decoded again")

    monkeypatch.setattr(audio, "stream", decode)
    again = experiment.Run.open(str(toy), run_dir=run.folder).scores("before", "custom")
    assert again.values.tolist() == scores.values.tolist()
    (run.folder / "cache.sqlite").unlink()
    with pytest.raises(AssertionError, match="decoded again"):  # or this test could not fail
        experiment.Run.open(str(toy), run_dir=run.folder).scores("before", "custom")


def test_an_evaluation_is_plain_numbers(run):
    row = json.loads(json.dumps(run.evaluate("before", "custom")))
    assert (row["corpus"], row["stage"], row["n_bonafide"], row["n_spoof"], row["left_out"]) == (
        "custom",
        "before",
        6,
        6,
        1,
    )
    assert row["eer_ci"][0] <= row["eer"] <= row["eer_ci"][1]
    assert row["auc_ci"][0] <= row["auc"] <= row["auc_ci"][1]


def test_fine_tuning_is_done_once(run, toy, monkeypatch):
    first = run.finetune(progress=lambda line: None)
    assert first.checkpoint == run.folder / "finetuned.safetensors"
    assert network.fingerprint(run.detector("after")) != network.fingerprint(run.detector("before"))
    from dfdlib.training import loop

    def refuse(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(loop, "fit", refuse)
    again = experiment.Run.open(str(toy), run_dir=run.folder).finetune()
    assert again.history.to_dict() == first.history.to_dict()
    other = experiment.Run.open(str(toy), run_dir=run.folder, overrides=["finetune.epochs=2"])
    with pytest.raises(AssertionError, match="trained again"):
        other.finetune()


@pytest.mark.parametrize("name", ["data.audio", "detector.network", "training.loop"])
def test_weights_that_other_code_has_trained_are_trained_again(toy, tmp_path, monkeypatch, name):
    run = experiment.Run.open(str(toy), run_dir=tmp_path)
    job = run.job()
    run.train(job, progress=lambda line: None)
    assert run.trained(job) is not None
    module = importlib.import_module(f"dfdlib.{name}")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert run.trained(job) is None


def test_a_run_says_what_it_is_at(run, monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "tell", lambda folder, line: lines.append(line))
    run.evaluate("before", "custom")
    assert lines[-1] == "resampling custom, before fine-tuning"
    assert "scoring before-custom, 12 of 12 clips" in lines
    lines.clear()
    run.train(run.job(), title="training 2 of 6 (codec, seed 7)", progress=lambda line: None)
    assert lines[0] == "training 2 of 6 (codec, seed 7), reading clips"
    assert lines[1].startswith("training 2 of 6 (codec, seed 7), epoch 1 of 1, step 1 of 2, loss ")


def test_weights_that_were_tampered_with_are_made_again(run, toy):
    first = run.finetune(progress=lambda line: None)
    shutil.copy(run.profile.checkpoint, first.checkpoint)
    again = experiment.Run.open(str(toy), run_dir=run.folder).finetune(progress=lambda line: None)
    assert network.fingerprint(network.load(again.checkpoint)) != network.fingerprint(run.detector("before"))


def test_a_training_of_another_detector_is_not_taken(run, toy, tmp_path):
    assert "detector" not in run.inputs_digest(run.job())  # mini: what was kept of it stays valid
    one, other = (
        experiment.Run.open(str(toy), run_dir=tmp_path, overrides=[f"detector={name}"])
        for name in ("rawnet2", "rawnet2-asvspoof5")
    )
    assert one.inputs_digest(one.job()) != other.inputs_digest(other.job())


def test_fine_tuning_begins_with_a_pre_trained_front_end(toy, tmp_path):
    donor = network.build("mini", seed=8)
    torch.save({"args": None, "model": donor.ssl_model.model.state_dict()}, tmp_path / "front.pt")
    overrides = [f"checkpoint={{frontend: {tmp_path / 'front.pt'}}}"]
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
    assert profile.as_used(run.profile)["checkpoint_holds"] == "frontend"
    found, drawn = run.detector("before"), network.build("mini", seed=run.profile.seed)
    assert not found.training
    for name, tensor in found.state_dict().items():
        origin = donor if name.startswith("ssl_model.") else drawn
        assert torch.equal(tensor, origin.state_dict()[name]), name
    trained = network.load(run.finetune(progress=lambda line: None).checkpoint)
    assert not torch.equal(
        trained.ssl_model.model.post_extract_proj.weight, donor.ssl_model.model.post_extract_proj.weight
    )
    other = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=[*overrides, "seed=5"])
    assert run.trained(run.job()) is not None
    assert other.trained(other.job(seed=1)) is None  # another back end to begin with


def test_a_detector_of_ones_own_is_reported_as_it_is(toy, tmp_path, monkeypatch):
    (tmp_path / "loudest.py").write_text(
        "class make:\n    rate, fingerprint = 8_000, '1'\n    def score(self, windows): return windows.std(axis=1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=["detector=loudest:make"])
    assert run.profile.checkpoint == profile.root() / "loudest.py"
    scores = run.scores("before", "custom")
    assert len(scores.table) == 12
    assert scores.values[scores.labels == 0].min() > scores.values[scores.labels == 1].max()  # louder spoof clips
    assert run.evaluate("before", "custom")["eer"] == 1
    with pytest.raises(RunError, match="loudest:make: cannot be fine-tuned"):
        run.scores("after", "custom")


def test_the_recipe_follows_the_window(run, toy, tmp_path):
    assert run.recipe().window == 16_000  # one-second clips, full
    fixed = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["window=fixed"])
    assert fixed.recipe().window == FIXED_WINDOW
    original = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["preprocessing=original"])
    assert original.recipe().rate == 22_050


@pytest.mark.parametrize(("threads", "jobs"), [(1, 6), (4, 1), (8, 1), (None, 1)])
def test_as_many_jobs_run_at_once_as_their_threads_leave_cores_for(toy, tmp_path, monkeypatch, threads, jobs):
    monkeypatch.setattr(machine, "cores", lambda: 6)
    settings = profile.load(str(toy)).model_copy(update={"threads": threads, "device": "cpu"})
    assert experiment.Run(settings, tmp_path).parallel_jobs() == jobs


def test_differences_are_paired(run):
    difference = run.difference("custom")
    assert difference.delta == pytest.approx(difference.after - difference.before)
    assert difference.before == run.evaluate("before", "custom")["eer"]
    wrong_rate = run.preprocessing_differences("before")["custom"]
    assert wrong_rate.low <= wrong_rate.delta <= wrong_rate.high


def test_evaluations_are_one_tidy_table_of_numbers(run):
    table = run.evaluations(stages=["before"], corpora=["custom", "source"])
    assert list(table.columns) == ["corpus", "stage", "metric", "value", "low", "high", "unit"]
    assert table[["value", "low", "high"]].dtypes.eq(float).all()
    found = run.evaluate("before", "source")
    row = table.query("corpus == 'source' and metric == 'hter'").iloc[0]
    assert row[["stage", "value", "low", "high"]].tolist() == ["before", found["hter"], *found["hter_ci"]]
    assert row["unit"] == "error rate"
    count = table.query("corpus == 'custom' and metric == 'n_spoof'").iloc[0]
    assert (count["value"], count["unit"]) == (6, "clips")
    assert pd.isna(count["low"])
    assert not table.duplicated(["corpus", "stage", "metric"]).any()
    assert (table["unit"] != "").all()


def test_a_run_keeps_what_it_computes_under_its_chapter(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, chapter="01_mine")
    run.evaluations(stages=["before"], corpora=["custom"])
    run.evaluations(stages=["before"])
    kept = json.loads((tmp_path / "results/01_mine.json").read_text())
    assert [(row["corpus"], row["when"]) for row in kept["evaluations"]] == [
        ("custom", "before"),
        ("for-2seconds", "before"),
        ("source", "before"),
    ]
    run.keep(findings=["one"], number=1)
    run.keep(findings=["two", "one"], number=2)
    kept = json.loads((tmp_path / "results/01_mine.json").read_text())
    assert (kept["findings"], kept["number"]) == (["one", "two"], 2)


def test_a_run_without_a_chapter_keeps_no_results(run):
    run.keep(findings=["one"])
    assert not list(run.folder.glob("results/*"))


def test_changes_of_any_metric_leave_those_that_are_kept_as_they_are(run):
    first = run.changes()
    assert first["metric"].tolist() == ["eer", "auc", "cllr_calibrated"] * 3
    assert first["delta"].tolist() == pytest.approx((first["after"] - first["before"]).tolist())
    kept = [row["corpus"] for row in run.results["differences"]]
    other = run.changes(metrics=["min_dcf"])
    assert other["metric"].unique().tolist() == ["min_dcf"]
    assert [row["corpus"] for row in run.results["differences"]] == kept == run.corpora
    assert all({"delta_eer", "delta_auc_ci"} <= set(row) for row in run.results["differences"])


def test_corpora_are_judged_as_one_family(run):
    table = run.verdicts()
    assert table["corpus"].tolist() == run.corpora
    for row in table.itertuples():
        assert row.before == run.evaluate("before", row.corpus)["eer"]
        assert row.after == run.evaluate("after", row.corpus)["eer"]
        assert (row.p_holm < 0.05) == (row.low > 0 or row.high < 0)
        assert (row.seeds, row.verdict) == (1, verdicts.ONE_SEED)
        assert row.rung_after in verdicts.RUNGS
    assert (table["p_holm"] >= table["p"]).all()
    assert {name: change.low for name, change in run.headline().items()} == dict(
        zip(table["corpus"], table["low"], strict=True)
    )
    assert [row["verdict"] for row in run.results["verdicts"]] == table["verdict"].tolist()


def test_attacks_are_judged_corpus_by_corpus(run):
    found = run.attack_changes("source")
    attacks = run.scores("before", "source").table.query("label == 0")["attack"]
    assert sorted(found["attack"]) == sorted(set(attacks))
    assert (found["corpus"] == "source").all()
    errors = run.errors_by("before", "source").set_index("attack")
    assert errors["eer"].to_dict() == dict(zip(found["attack"], found["before"], strict=True))
    assert ((errors["eer_low"] <= errors["eer"]) & (errors["eer"] <= errors["eer_high"])).all()


def test_the_target_of_inference_is_the_profiles(toy, tmp_path):
    table = pd.DataFrame({"label": [1, 0] * 40, "speaker": [f"s{number // 2 % 8}" for number in range(80)],
                          "sentence": [f"t{number // 20}" for number in range(80)]})  # fmt: skip
    new, these = (
        experiment.Run(profile.load(toy, overrides=[f"uncertainty.target={target}"]), tmp_path)
        for target in units.TARGETS
    )
    assert new.drawn(table).by == "speaker and sentence"
    assert these.drawn(table).by == "sentence"


def test_a_folder_that_cannot_be_made(toy, tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        experiment.Run(profile.load(toy), tmp_path / "occupied" / "run")


def test_scores_are_computed_in_the_precision_of_the_profile(run, toy, tmp_path):
    half = experiment.Run.open(str(toy), run_dir=tmp_path / "half", overrides=["scoring.precision=bfloat16"])
    quick = experiment.Run.open(str(toy), run_dir=tmp_path / "auto", overrides=["scoring.precision=auto"])
    scores = [one.scores("before", "custom") for one in (run, half, quick)]
    assert [one.scorer("before").precision for one in (run, half, quick)] == ["float32", "bfloat16", "float32"]
    assert scores[0].table.equals(scores[2].table)  # too small a front end to gain by it
    moved = np.abs(scores[0].values - scores[1].values).max()
    assert 0 < moved < 0.5
    assert scores[0].table["checkpoint"].iloc[0] != scores[1].table["checkpoint"].iloc[0]
    half.evaluate("before", "custom")
    assert half.results["scoring"] == {"rate": 16_000, "window": None, "precision": "bfloat16"}


def test_what_a_detector_of_ones_own_got_is_kept(toy, tmp_path, monkeypatch):
    module = (
        "class make:\n    rate, window, fingerprint = 8_000, 4_000, '1'\n    def score(self, w): return w.std(axis=1)\n"
    )
    (tmp_path / "keeping.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=["detector=keeping:make"])
    run.evaluate("before", "custom")
    assert run.results["scoring"] == {"rate": 8_000, "window": 4_000}
    with pytest.raises(ParameterError, match=r"scoring\.precision: keeping:make computes in one of its own"):
        profile.load(toy, overrides=["detector=keeping:make", "scoring.precision=auto"])
    waveforms = "detector=mini-rawnet2"
    with pytest.raises(ParameterError, match=r"scoring\.precision: mini-rawnet2 has no front end to compute so"):
        profile.load(toy, overrides=[waveforms, "scoring.precision=bfloat16"])
    assert profile.load(toy, overrides=[waveforms, "scoring.precision=auto"]).scoring.precision == "auto"
