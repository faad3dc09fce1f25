import pytest
import torch

from dfdlib import files
from dfdlib.detector import network
from dfdlib.errors import ParameterError
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
