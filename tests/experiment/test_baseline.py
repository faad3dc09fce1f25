import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from dfdlib.data import audio
from dfdlib.detector import registry
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.experiment import baseline, profile
from dfdlib.experiment import run as experiment


def test_a_profile_without_source_has_nothing_to_train_on(toy, tmp_path):
    settings = profile.load(toy, overrides=["data.source=null"])
    with pytest.raises(ParameterError, match="has no source corpus"):
        baseline.train(settings, checkpoint=tmp_path / "weights.safetensors")


def test_the_baseline_is_not_tested_on_what_it_was_trained_on(toy, tmp_path):
    source = shutil.copytree(toy.parent / "source", tmp_path / "source")
    shutil.copy(source / "training/real/0.wav", source / "testing/real/again.wav")
    with pytest.raises(DataError, match="1 sound is for both training and testing"):
        baseline.train(profile.load(toy, overrides=[f"data.source={source}"]), checkpoint=tmp_path / "w.safetensors")


def test_what_was_trained_is_kept_until_samples_or_the_way_of_testing_are_others(toy, tmp_path, monkeypatch):
    fits = []

    def fit(model, *, checkpoint, **_):
        checkpoint.touch()
        fits.append(checkpoint)
        return SimpleNamespace(history=pd.DataFrame({"epoch": [1], "validation_eer": [0.1]}), best_epoch=1)

    def train(*overrides):
        baseline._trained(profile.load(toy, overrides=overrides), tmp_path, 1)
        return len(fits)

    monkeypatch.setattr(baseline.loop, "fit", fit)
    monkeypatch.setattr(baseline, "_tested", lambda *_: ({}, {}))
    monkeypatch.setattr(baseline.torch, "set_num_threads", lambda _: None)
    assert (train(), train()) == (1, 1)
    assert (train("preprocessing=original"), train("preprocessing=original")) == (2, 2)
    monkeypatch.setattr(audio, "VERSION", audio.VERSION + 1)
    assert train("preprocessing=original") == 3


SIBLINGS = [name for name in registry.ENTRIES if name.startswith("mini-")]


@pytest.mark.parametrize("detector", SIBLINGS)
def test_what_to_do_is_said_where_a_sibling_is_not_trained_yet(toy, tmp_path, detector):
    place = tmp_path / "weights.safetensors"
    run = experiment.Run.open(
        str(toy), run_dir=tmp_path / "run", overrides=[f"detector={detector}", f"checkpoint={place}"]
    )
    with pytest.raises(RunError, match=f"is not here; train it: dfd train-baseline --set detector={detector}"):
        run.detector("before")


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["mini-nes2net", "mini-sls"])
def test_a_sibling_is_trained_by_one_command_and_evaluated_by_its_name(toy, tmp_path, detector):
    place, window = tmp_path / "weights.safetensors", "fixed" if detector == "mini-sls" else "full"
    overrides = [f"detector={detector}", f"checkpoint={place}", f"window={window}"]
    kept, found = baseline.train(profile.load(toy, overrides=overrides), checkpoint=place)
    assert [one.seed for one in found] == list(baseline.SEEDS)
    assert kept.validation_eer == sorted(one.validation_eer for one in found)[1]
    run = experiment.Run.open(str(toy), run_dir=tmp_path / "run", overrides=overrides)
    assert run.detector("before").configuration.name == detector
    assert run.scores("before", "for-2seconds").table["score"].nunique() > 1
