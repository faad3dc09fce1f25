import shutil

import pytest
import torch

from dfdlib import files
from dfdlib.detector import network
from dfdlib.errors import DataError, ParameterError
from dfdlib.experiment import profile
from dfdlib.report import baseline


def test_the_baseline_comes_with_its_card(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "RECIPE", baseline.RECIPE.model_copy(update={"epochs": 1, "window": 16_000}))
    path = tmp_path / "weights.safetensors"
    threads = torch.get_num_threads()
    card = baseline.train(profile.load(toy), checkpoint=path)
    torch.set_num_threads(threads)
    assert path.with_suffix(".md").read_text() == card
    assert files.sha256(path) in card
    for part in ("training: 16 clips", "testing: 12 clips", "EER", "'seed': 1", "| 1 |"):
        assert part in card
    assert network.load(path).configuration.name == "mini"


def test_a_profile_without_source_has_nothing_to_train_on(toy, tmp_path):
    settings = profile.load(toy, overrides=["data.source=null"])
    with pytest.raises(ParameterError, match="has no source corpus"):
        baseline.train(settings, checkpoint=tmp_path / "weights.safetensors")


def test_the_baseline_is_not_tested_on_what_it_was_trained_on(toy, tmp_path):
    source = shutil.copytree(toy.parent / "source", tmp_path / "source")
    shutil.copy(source / "training/real/0.wav", source / "testing/real/again.wav")
    with pytest.raises(DataError, match="1 sound is for both training and testing"):
        baseline.train(profile.load(toy, overrides=[f"data.source={source}"]), checkpoint=tmp_path / "w.safetensors")
