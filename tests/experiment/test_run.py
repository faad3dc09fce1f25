import json
import os
import shutil

import pandas as pd
import pytest

from dfdlib.data import audio
from dfdlib.detector import network, score
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.experiment import profile
from dfdlib.experiment import run as experiment


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


def test_missing_data_says_what_to_do(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["data.custom=/nowhere/custom"])
    with pytest.raises(DataError, match=r"/nowhere/custom: there is no such folder; give its place .*--set data"):
        run.corpus("custom")


def test_a_limit_holds_for_every_split(toy, tmp_path):
    run = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["limit=4"])
    assert len(run.corpus("for-2seconds", split="training")) == 4
    assert run.corpus("custom").table["label"].tolist() == [0, 0, 1, 1]


def test_scores_are_written_and_found_again(run, toy, monkeypatch):
    scores = run.scores("before", "custom")
    written = pd.read_csv(run.folder / "scores/before-custom.csv")
    assert written["score"].tolist() == scores.values.tolist()
    assert written["label"].value_counts().to_dict() == {"bonafide": 6, "spoof": 6}
    monkeypatch.setattr(audio, "load", None)  # nothing is decoded twice
    again = experiment.Run.open(str(toy), run_dir=run.folder).scores("before", "custom")
    assert again.values.tolist() == scores.values.tolist()


def test_an_evaluation_is_plain_numbers(run):
    row = json.loads(json.dumps(run.evaluate("before", "custom")))
    assert (row["corpus"], row["when"], row["n_bonafide"], row["n_spoof"], row["left_out"]) == (
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


def test_weights_that_were_tampered_with_are_made_again(run, toy):
    first = run.finetune(progress=lambda line: None)
    shutil.copy(run.profile.checkpoint, first.checkpoint)
    again = experiment.Run.open(str(toy), run_dir=run.folder).finetune(progress=lambda line: None)
    assert network.fingerprint(network.load(again.checkpoint)) != network.fingerprint(run.detector("before"))


def test_the_recipe_follows_the_window(run, toy, tmp_path):
    assert run.recipe().window == 16_000  # one-second clips, native
    parity = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["window=parity"])
    assert parity.recipe().window == score.PARITY_WINDOW
    original = experiment.Run.open(str(toy), run_dir=tmp_path, overrides=["protocol=original"])
    assert original.recipe().rate == 22_050


@pytest.mark.parametrize(("threads", "room"), [(1, 6), (4, 1), (8, 1), (None, 1)])
def test_there_is_room_for_as_many_as_their_threads_leave_cores_for(toy, tmp_path, monkeypatch, threads, room):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    settings = profile.load(str(toy)).model_copy(update={"threads": threads, "device": "cpu"})
    assert experiment.Run(settings, tmp_path).room() == room


def test_differences_are_paired(run):
    difference = run.difference("custom")
    assert difference.delta == pytest.approx(difference.after - difference.before)
    assert difference.before == run.evaluate("before", "custom")["eer"]
    wrong_rate = run.protocol_difference("before", "custom")
    assert wrong_rate.low <= wrong_rate.delta <= wrong_rate.high


def test_a_folder_that_cannot_be_made(toy, tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        experiment.Run(profile.load(toy), tmp_path / "occupied" / "run")
