"""The detector as an ONNX file: the same numbers for any batch and length, and scoring from it."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from deterministic_weights import fill, waveform
from typer.testing import CliRunner

from dfdlib import files
from dfdlib.cli import app
from dfdlib.detector import network
from dfdlib.detector import onnx as export
from dfdlib.detector.backends import resnet
from dfdlib.detector.onnx import OnnxScorer
from dfdlib.errors import CheckpointError, ParameterError, RunError

MINI = network.CONFIGURATIONS["mini"]
# Exported in a few seconds. A front end and AASIST take half a minute: the slow tests export them.
SMALL = network.DetectorConfiguration(
    name="small", frontend=None, backend=resnet.ResNetConfiguration(channels=(4, 8), frame=256)
)
LEAST = SMALL.least_samples


@pytest.fixture(scope="module")
def small():
    """The demo's detector with fewer layers."""
    return fill(network.build(SMALL, seed=0))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, small):
    """A file of weights, what `dfd export` made of it, and what it printed: once, as it takes seconds."""
    root = tmp_path_factory.mktemp("exported")
    weights, onnx = root / "small.safetensors", root / "new folder/small.onnx"
    network.save(weights, small, metadata={})
    return weights, onnx, CliRunner().invoke(app.app, ["export", "--onnx", str(onnx), "--checkpoint", str(weights)])


@pytest.fixture
def file(exported) -> Path:
    return exported[1]


@pytest.fixture
def scorer(file: Path) -> OnnxScorer:
    return OnnxScorer(file)


def windows(count: int, samples: int) -> np.ndarray:
    return np.stack([waveform(samples, salt=str(index)) for index in range(count)])


def logits(model: network.Detector, clips: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.from_numpy(clips)).double().numpy()


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        OnnxScorer(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def changed(path: Path, target: Path, change) -> Path:
    """Write to `target` what `change` makes of the model at `path`."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, target)
    return target


def set_metadata(model: onnx.ModelProto, **values: str) -> None:
    kept = {entry.key: entry.value for entry in model.metadata_props} | values
    onnx.helper.set_model_props(model, kept)


# The same numbers


def lengths(configuration):
    front, least = configuration.frontend, configuration.least_samples
    step = configuration.backend.hop if front is None else front.stride
    nodes = () if front is None else (front.samples(6) - 1, front.samples(6), front.samples(9), front.samples(12) + 7)
    return [
        *(least, least + 1, least + step - 1, least + step, *nodes),
        *(4001, 7777, 16_000, 16_001, 32_000, 64_599, 64_600),
    ]


def agree(scorer, model, samples):
    for count in (1, 2, 3, 5) if samples < 20_000 else (2,):
        clips = windows(count, samples)
        found = scorer.logits(clips)
        assert found.dtype == np.float64
        assert found.shape == (count, 2)
        np.testing.assert_allclose(found, logits(model, clips), rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", lengths(SMALL))
def test_logits_are_those_of_torch_at_any_length(samples: int, scorer: OnnxScorer, small: network.Detector):
    agree(scorer, small, samples)


@pytest.mark.slow
def test_mini_itself(tmp_path: Path, mini: network.Detector):
    export.write(tmp_path / "mini.onnx", mini)
    for samples in lengths(MINI):
        agree(OnnxScorer(tmp_path / "mini.onnx"), mini, samples)
    names = {tensor.name for tensor in onnx.load(tmp_path / "mini.onnx").graph.initializer}
    assert not any("quantizer" in name or "final_proj" in name or "mask_emb" in name for name in names)


def test_a_clip_scores_the_same_alone_and_in_a_batch(scorer: OnnxScorer):
    clips = windows(7, 16_001)
    alone = np.concatenate([scorer.logits(clip[None]) for clip in clips])
    np.testing.assert_allclose(scorer.logits(clips), alone, rtol=0, atol=1e-5)
    assert np.ptp(alone, axis=0).min() > 1e-3  # clips that score alike would prove nothing


@pytest.mark.slow
@pytest.mark.alone
def test_the_published_sizes(tmp_path: Path):
    model = fill(network.build("xlsr-300m", seed=0))
    written = export.write(tmp_path / "xlsr.onnx", model)
    assert written.difference < 1e-4
    assert written.bytes == (tmp_path / "xlsr.onnx").stat().st_size < 2**31
    scorer = OnnxScorer(tmp_path / "xlsr.onnx")
    for count, samples in [(2, 32_001), (3, model.configuration.least_samples + 1)]:  # 64,600 was compared above
        clips = windows(count, samples)
        np.testing.assert_allclose(scorer.logits(clips), logits(model, clips), rtol=0, atol=1e-4)
    (tmp_path / "xlsr.onnx").unlink()


# The file


def test_the_command_says_what_it_wrote(exported):
    _, path, done = exported
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{path}  0.3 MB, logits within ")
    assert "score    logit of bona fide minus logit of spoof; a higher score means bona fide" in lines
    assert lines[-1] == f"rate     16000 Hz, at least {LEAST} samples ({LEAST / 16:.0f} ms)"
    assert len(lines) == 6, "what torch says while it exports is not for the user"
    assert done.stderr.splitlines() == ["exporting small, which takes a minute or two"]


def test_the_command_that_scores_takes_the_file(exported, clips, tmp_path, monkeypatch):
    (tmp_path / "root/notebooks").mkdir(parents=True)
    monkeypatch.setenv("DFD_ROOT", str(tmp_path / "root"))
    weights, file, _ = exported

    def score(*given):
        return CliRunner().invoke(app.app, ["score", *map(str, (clips, *given))])

    for place, given in (("torch.csv", ["--checkpoint", weights]), ("onnx.csv", ["--onnx", file])):
        done = score(*given, "--out", tmp_path / place)
        assert done.exit_code == 0, done.output
    by_torch, by_onnx = (pd.read_csv(tmp_path / name) for name in ("torch.csv", "onnx.csv"))
    np.testing.assert_allclose(by_onnx["score"], by_torch["score"], atol=1e-4)
    assert (by_onnx["checkpoint"] != by_torch["checkpoint"]).all()
    assert score("--onnx", file, "--checkpoint", weights).exit_code == 2


def test_the_file_says_how_to_use_it(exported, small: network.Detector):
    weights, file, _ = exported
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata.items() >= export.CONVENTIONS.items()
    assert network.DetectorConfiguration.from_dict(json.loads(metadata["configuration"])) == SMALL
    assert metadata["fingerprint"] == network.fingerprint(small)
    assert metadata["checkpoint_sha256"] == files.sha256(weights)
    assert (metadata["rate"], metadata["least_samples"]) == ("16000", str(LEAST))
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, [size.dim_param for size in given.type.tensor_type.shape.dim]) == (
        "waveforms",
        ["clips", "samples"],
    )
    assert (made.name, made.type.tensor_type.shape.dim[1].dim_value) == ("logits", 2)


def test_the_file_holds_nothing_of_this_machine(file: Path):
    content = file.read_bytes()
    assert str(Path(network.__file__).parent).encode() not in content
    assert b"site-packages" not in content


def test_scorer_says_what_it_takes(scorer: OnnxScorer, file: Path):
    assert (scorer.least_samples, scorer.rate) == (LEAST, 16_000)
    assert scorer.fingerprint == files.sha256(file)
    with pytest.raises(ParameterError, match=rf"windows of {LEAST - 1} samples: the detector needs at least {LEAST}"):
        scorer.logits(windows(2, LEAST - 1))
    with pytest.raises(ParameterError, match=r"shape \(16000,\)"):
        scorer.logits(waveform(16_000))


# What goes wrong


@pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html>", b"PK\x03\x04"], ids=repr)
def test_a_file_that_is_not_onnx(content: bytes, tmp_path: Path):
    (tmp_path / "file.onnx").write_bytes(content)
    assert "not an ONNX file" in refusal(tmp_path / "file.onnx") or not content


def test_a_missing_file_and_a_folder(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "missing.onnx")
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_short(share: float, file: Path, tmp_path: Path):
    content = file.read_bytes()
    (tmp_path / "file.onnx").write_bytes(content[: int(share * len(content))])
    assert "damaged or cut short" in refusal(tmp_path / "file.onnx")


def test_a_network_of_someone_else(tmp_path: Path):
    sizes = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", sizes[:1], sizes[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=10), tmp_path / "file.onnx")
    assert "not a detector of this version of dfdlib" in refusal(tmp_path / "file.onnx")


@pytest.mark.parametrize("values", [{"rate": "8000"}, {"least_samples": "many"}, {"format": "dfdlib detector 9"}])
def test_a_file_made_for_something_else(values: dict, file: Path, tmp_path: Path):
    path = changed(file, tmp_path / "file.onnx", lambda model: set_metadata(model, **values))
    assert "made for other inputs" in refusal(path) or "format" in values
    assert "dfd export" in refusal(path)


def test_other_inputs(file: Path, tmp_path: Path):
    def rename(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "samples"
        for node in model.graph.node:
            node.input[:] = ["samples" if name == "waveforms" else name for name in node.input]

    assert "made for other inputs" in refusal(changed(file, tmp_path / "file.onnx", rename))


def test_weights_in_a_file_beside_it(file: Path, tmp_path: Path):
    def move(model: onnx.ModelProto) -> None:
        onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=1024)

    path = changed(file, tmp_path / "file.onnx", move)
    assert (tmp_path / "weights.bin").exists()
    assert "moved to another file" in refusal(path)


@pytest.mark.parametrize(("offset", "shown"), [(0.01, r"0\.01"), (float("nan"), "nan")])
def test_an_export_that_differs_from_torch_is_not_written(
    offset: float, shown: str, small: network.Detector, file: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(export, "_graph", lambda model, metadata: file.read_bytes())
    other = copy.deepcopy(small)
    assert export.write(tmp_path / "same.onnx", other).sha256 == files.sha256(file)
    with torch.no_grad():
        other.fc.bias += offset
    (tmp_path / "file.onnx").write_text("before")
    with pytest.raises(RunError, match=rf"not written, its logits differ from torch's by {shown}"):
        export.write(tmp_path / "file.onnx", other)
    assert (tmp_path / "file.onnx").read_text() == "before"


def test_a_failed_export_is_one_line(small: network.Detector, tmp_path: Path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("first line\nand more")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RunError, match=r"the export failed \(ValueError: first line\); install") as caught:
        export.write(tmp_path / "file.onnx", small)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_more_weights_than_a_file_holds(small: network.Detector, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(ParameterError, match="one ONNX file holds at most"):
        export.write(tmp_path / "file.onnx", small)
