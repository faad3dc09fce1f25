import dataclasses
import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from dfdlib.data import audio, corpus
from dfdlib.detector import network, registry
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


def test_fewer_voices_leave_their_twins_alone_as_spoofs(toy):
    training = corpus.read(toy.parent / "source", name="source").split("training")
    table = training.table.assign(
        speaker=[
            f"{'voice' if label else 'system'}{number % 4}" for number, label in enumerate(training.table["label"])
        ],
        sentence=[f"s{number % 8}" for number in range(len(training))],
    )
    few = baseline.Variant("few", voices=2).clips(dataclasses.replace(training, table=table)).table
    bonafide, spoof = few[few["label"] == 1], few[few["label"] == 0]
    assert bonafide["speaker"].nunique() == 2
    assert len(bonafide) == 4
    assert set(spoof["sentence"]) == set(bonafide["sentence"])


def test_the_spread_is_over_the_seeds_of_a_variant():
    rows = [
        baseline.Trained("a", seed, 10, 20, 1, 0.1, {"source": eer}, {"source": 0.9})
        for seed, eer in ((1, 0.1), (2, 0.3), (3, 0.2))
    ]
    spread = baseline.spread([*rows, dataclasses.replace(rows[0], variant="b")])
    expected = pd.DataFrame(
        {"variant": ["a", "b"], "parameters": 10, "clips": 20, "source": [0.2, 0.1],
         "source low": 0.1, "source high": [0.3, 0.1]}
    )  # fmt: skip
    pd.testing.assert_frame_equal(spread, expected)


def test_what_was_trained_is_kept_until_samples_or_the_way_of_testing_are_others(toy, tmp_path, monkeypatch):
    fits = []

    def fit(model, *, checkpoint, **_):
        checkpoint.touch()
        fits.append(checkpoint)
        return SimpleNamespace(history=pd.DataFrame({"epoch": [1], "validation_eer": [0.1]}), best_epoch=1)

    def train(*overrides):
        baseline._trained(profile.load(toy, overrides=overrides), tmp_path, baseline.variants("mini")[0], 1)
        return len(fits)

    monkeypatch.setattr(baseline.loop, "fit", fit)
    monkeypatch.setattr(baseline, "_tested", lambda *_: ({}, {}))
    monkeypatch.setattr(baseline.torch, "set_num_threads", lambda _: None)
    assert (train(), train()) == (1, 1)
    assert (train("preprocessing=original"), train("preprocessing=original")) == (2, 2)
    monkeypatch.setattr(audio, "VERSION", audio.VERSION + 1)
    assert train("preprocessing=original") == 3
    (result,) = tmp_path.glob("*.json")
    kept = json.loads(result.read_text("utf-8"))
    result.write_text(json.dumps(kept | {"another": 1}), "utf-8")
    assert train("preprocessing=original") == 4


def test_the_narrower_network_has_less_than_a_third_of_the_parameters():
    sizes = [
        sum(one.numel() for one in network.build(which, seed=0).parameters())
        for which in (baseline.NARROW, baseline.DETECTOR)
    ]
    assert sizes[0] < sizes[1] / 3


SIBLINGS = [name for name, entry in registry.ENTRIES.items() if entry.steps.startswith("train it: dfd train-baseline")]


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
