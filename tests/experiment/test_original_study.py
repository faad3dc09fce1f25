"""The profile of the real study, from end to end, on deterministic weights and a handful of clips."""

import json

import pytest
import torch
from deterministic_weights import fill

from dfdlib.detector import network as detector
from dfdlib.errors import RunError
from dfdlib.experiment import profile
from dfdlib.experiment import run as experiment
from dfdlib.report import build

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file of the published form: a bare state dict, every name with the prefix that DataParallel puts before it."""
    network = fill(detector.build("xlsr-300m", seed=1))
    path = tmp_path_factory.mktemp("published") / "Best_LA_model_for_DF.pth"
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def overrides(toy, checkpoint):
    return [
        f"checkpoint={checkpoint}",
        f"data.for_2seconds={toy.parent / 'for-2seconds'}",
        f"data.custom={toy.parent / 'custom'}",
        "device=cpu",
        "window=full",  # of clips of one second
        "finetune.epochs=1",
        "finetune.batch_size=8",  # two steps
        "finetune.checkpointing=true",
        "finetune.workers=0",
        "finetune.save_every=0",
        "uncertainty.resamples=100",
    ]


def test_the_study_is_trained_killed_gone_on_with_scored_and_reported(overrides, tmp_path, monkeypatch):
    run = experiment.Run.open("original-study", run_dir=tmp_path, overrides=overrides)
    forward, calls = detector.Detector.forward, []

    def stop(model, waves):
        calls.append(model.training)
        if sum(calls) == 2:
            raise KeyboardInterrupt
        return forward(model, waves)

    monkeypatch.setattr(detector.Detector, "forward", stop)
    with pytest.raises(KeyboardInterrupt):
        run.finetune(progress=lambda line: None)
    monkeypatch.undo()
    lines = []
    done = experiment.Run.open("original-study", run_dir=tmp_path, overrides=overrides).finetune(progress=lines.append)
    assert lines[0] == "going on after step 1, in epoch 1"
    assert len(done.history) == 1
    assert detector.describe(done.checkpoint).configuration == "xlsr-300m"

    settings = profile.load("original-study", overrides=overrides)
    result = build.build(settings, run_folder=tmp_path, overrides=overrides, echo=lines.append)
    assert result.ok, lines
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["status"].values()) == {"done"}
    assert [(row["corpus"], row["when"]) for row in summary["evaluations"]] == [
        ("custom", "before"),
        ("for-2seconds", "before"),
        ("for-2seconds", "after"),
        ("custom", "after"),
    ]
    assert summary["notebooks"]["03_finetuning"]["recipe"]["learning_rate"] == 1e-6


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_trained(overrides, tmp_path):
    detector.save(tmp_path / "mini.safetensors", detector.build("mini", seed=1), metadata={})
    run = experiment.Run.open(
        "original-study", run_dir=tmp_path, overrides=[*overrides, f"checkpoint={tmp_path / 'mini.safetensors'}"]
    )
    with pytest.raises((RunError, detector.CheckpointError), match="mini"):
        run.finetune(progress=lambda line: None)
