"""The detector: names, numbers and checkpoints."""

import argparse
import copy
import csv
import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import fill, waveform
from safetensors.torch import save_file

from dfdlib import files
from dfdlib.detector import checkpoints as weights
from dfdlib.detector import network
from dfdlib.detector.network import CONFIGURATIONS, Detector, DetectorConfiguration
from dfdlib.errors import CheckpointError, ParameterError

FIXTURES = Path(__file__).parents[1] / "fixtures"
XLSR, MINI = CONFIGURATIONS["xlsr-300m"], CONFIGURATIONS["mini"]


def clips(samples: int, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.stack([waveform(samples, salt=str(index)) for index in range(count)]))


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(scope="module")
def published_form(mini: Detector) -> dict[str, torch.Tensor]:
    return {f"module.{name}": tensor for name, tensor in mini.state_dict().items()}


@pytest.fixture(scope="module")
def study_form(published_form: dict) -> dict:
    return {
        "model": published_form,
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-6, "params": [0]}]},
        "epoch": 3,
        "args": argparse.Namespace(lr=1e-6, batch_size=14, comment=None),
        "train_loss": 0.25,
        "val_loss": [0.5, 0.375],
    }


class Trap:
    """Pickles as a call of `function`, which a careless reader makes."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


# What it is made of


def test_names_and_shapes_are_the_published_ones():
    with open(FIXTURES / "ssl_aasist_state_dict.tsv", encoding="utf-8", newline="") as file:
        published = {row["key"]: (row["shape"], row["dtype"]) for row in csv.DictReader(file, delimiter="\t")}
    entries = network.skeleton(XLSR).state_dict()
    ours = {
        name: ("x".join(map(str, tensor.shape)) or "scalar", str(tensor.dtype).removeprefix("torch."))
        for name, tensor in entries.items()
    }
    assert len(published) == 674
    assert ours == published


def test_numbers_of_parameters():
    assert parameters(network.skeleton(XLSR)) == 317_837_834
    assert 300_000 <= parameters(network.skeleton(MINI)) <= 400_000


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("samples", [64_600, 48_000])
def test_golden_logits_of_the_whole_network(samples: int, published_network: Detector):
    waveforms = clips(samples)
    with np.load(FIXTURES / "ssl_aasist_golden.npz") as golden, torch.inference_mode():
        features = published_network.ssl_model(waveforms).numpy()
        assert features.shape == tuple(golden[f"ssl_{samples}_shape"])
        np.testing.assert_allclose(features[:, ::20, ::64], golden[f"ssl_{samples}_slice"], rtol=0, atol=1e-4)
        logits = published_network(waveforms).numpy()
        np.testing.assert_allclose(logits, golden[f"logits_{samples}"], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.alone
def test_a_published_file_is_recognised_by_its_shapes(published_network: Detector, tmp_path: Path):
    path = tmp_path / "published.pth"
    torch.save({f"module.{name}": tensor for name, tensor in published_network.state_dict().items()}, path)
    assert network.describe(path).configuration == "xlsr-300m"
    loaded = network.load(path)
    path.unlink()
    assert network.fingerprint(loaded) == network.fingerprint(published_network)


@pytest.fixture(scope="module")
def published_network() -> Detector:
    return fill(network.skeleton(XLSR))


# What it computes


def test_a_clip_scores_the_same_alone_and_in_any_batch(mini: Detector):
    waveforms = clips(16_000, count=7)
    with torch.inference_mode():
        alone = torch.cat([mini(clip[None]) for clip in waveforms])
        together = mini(waveforms)
        turned = mini(waveforms.flip(0)).flip(0)
    assert alone.std(dim=0).min() > 1e-3, "the clips must differ for this test to mean anything"
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(turned, alone, rtol=0, atol=1e-5)


def test_double_precision_and_copies_after_training(mini: Detector):
    model = copy.deepcopy(mini)
    waveforms = clips(8_000)
    model(waveforms).sum().backward()
    with torch.inference_mode():
        expected = mini(waveforms)
        torch.testing.assert_close(copy.deepcopy(model)(waveforms), expected, rtol=0, atol=1e-5)
        precise = copy.deepcopy(model).double()(waveforms.double())
    assert precise.dtype == torch.float64
    torch.testing.assert_close(precise.float(), expected, rtol=0, atol=1e-4)


def test_a_few_steps_tell_tone_from_noise():
    model = network.build("mini", seed=0)
    random = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(4, 8_000, generator=random)
    waveforms, labels = torch.cat([clips(8_000, count=4), noise]), torch.tensor([1] * 4 + [0] * 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        losses = []
        for _ in range(20):
            loss = torch.nn.functional.cross_entropy(model(waveforms), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_the_shortest_clip(mini: Detector):
    least = MINI.least_samples
    with torch.inference_mode():
        assert mini(clips(least)).isfinite().all()
        with pytest.raises(ParameterError, match=f"{least - 1} samples: the detector mini needs at least {least}"):
            mini(clips(least - 1))
        with pytest.raises(ParameterError, match="expected \\(clips, samples\\)"):
            mini(clips(least)[0])
    assert XLSR.least_samples == 1_040


PRECISIONS = {torch.float64: 1e-4, torch.float32: 0.0, torch.bfloat16: 0.1}
"""How far a logit may be from that in single precision. bfloat16 keeps eight bits of each value between layers."""


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("made", ["loaded", "copied", "trained"])
def test_dropout_batch_norm_and_masking_are_off_when_scoring(made: str, dtype: torch.dtype, mini: Detector, tmp_path):
    network.save(tmp_path / "file", mini, metadata={})
    model = network.load(tmp_path / "file").to(dtype)
    if made == "copied":
        model = copy.deepcopy(model.train()).eval()
    elif made == "trained":
        state = copy.deepcopy(model.state_dict())
        model.train()(clips(8_000).to(dtype)).sum().backward()
        assert not torch.equal(model.first_bn.running_mean, state["first_bn.running_mean"])
        model.load_state_dict(state)
        model.eval()
    before = network.fingerprint(model)
    waveforms = clips(16_000, count=3)
    with torch.inference_mode():
        first, second = model(waveforms.to(dtype)), model(waveforms.to(dtype))
        alone = torch.cat([model(clip[None].to(dtype)) for clip in waveforms])
        loud = model(torch.stack([waveforms[0], 100 * waveforms[1]]).to(dtype))[:1]
        single = mini(waveforms)
    assert torch.equal(first, second)
    neighbours = PRECISIONS[dtype] if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(alone, first, rtol=0, atol=neighbours)
    torch.testing.assert_close(loud, first[:1], rtol=0, atol=neighbours)
    torch.testing.assert_close(first.float(), single, rtol=0, atol=PRECISIONS[dtype])
    assert network.fingerprint(model) == before, "scoring changed running statistics"


def test_training_is_not_scoring(mini: Detector):
    model = copy.deepcopy(mini).train()
    with torch.no_grad():
        assert not torch.equal(model(clips(8_000)), model(clips(8_000)))


# Building


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (network.fingerprint(network.build("mini", seed=seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_the_global_generator_decides():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        assert network.fingerprint(network.build("mini")) == network.fingerprint(network.build("mini", seed=3))
        assert network.fingerprint(network.build("mini")) != network.fingerprint(network.build("mini", seed=3))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match="'maxi'; there are mini-resnet, mini, "):
        network.build("maxi")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_skeleton_is_the_network_without_values(name: str):
    model = network.skeleton(name)
    # fairseq makes two parameters of pre-training with a constructor that knows no device.
    there = {name for name, tensor in model.state_dict().items() if tensor.device.type != "meta"}
    assert there <= {"ssl_model.model.mask_emb", "ssl_model.model.quantizer.vars", "conformer.positional_emb"}
    # Recognised by them; of networks with the same names and shapes, the first.
    shapes = weights.shapes(model.state_dict())
    assert network.shapes_of(network._recognised(shapes)) == shapes


def test_a_skeleton_has_what_the_network_has():
    built, bare = network.build("mini", seed=0), network.skeleton("mini")
    assert weights.shapes(bare.state_dict()) == weights.shapes(built.state_dict())
    assert [(name, p.requires_grad) for name, p in bare.named_parameters()] == [
        (name, p.requires_grad) for name, p in built.named_parameters()
    ]
    assert [name for name, _ in bare.named_buffers()] == [name for name, _ in built.named_buffers()]


def test_loading_and_describing_import_no_compiler(mini: Detector, tmp_path: Path):
    network.save(tmp_path / "file", mini, metadata={})
    torch.save(mini.state_dict(), tmp_path / "file.pth")
    code = f"""
import sys
from dfdlib.detector import network as detector
assert detector.describe({str(tmp_path / "file.pth")!r}).configuration == "mini"
for name in ("file", "file.pth"):
    detector.load({str(tmp_path)!r} + "/" + name)
slow = {{"torch._dynamo", "torch._inductor", "sympy", "pandas", "fairseq.tasks"}} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_survives_json(name: str):
    known = CONFIGURATIONS[name]
    assert DetectorConfiguration.from_dict(json.loads(json.dumps(known.to_dict()))) == known


def test_the_fingerprint_sees_every_kind_of_change(mini: Detector):
    before = network.fingerprint(mini)
    assert network.fingerprint(copy.deepcopy(mini)) == before
    for change in (
        lambda model: model.first_bn.running_mean.add_(1),
        lambda model: model.first_bn.num_batches_tracked.add_(1),
        lambda model: model.double(),
        lambda model: model.master1.data.copy_(model.master1.data.flip(2)),
    ):
        changed = copy.deepcopy(mini)
        change(changed)
        assert network.fingerprint(changed) != before


# Checkpoints in and out


def test_save_and_load_keep_every_bit(mini: Detector, tmp_path: Path):
    path = tmp_path / "folder" / "model.safetensors"
    metadata = {"corpus": "demo", "epoch": "3", "note": "später – ja"}
    network.save(path, mini, metadata=metadata)
    before = torch.get_rng_state()
    loaded = network.load(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert network.fingerprint(loaded) == network.fingerprint(mini)
    assert loaded.configuration == mini.configuration
    assert not loaded.training
    assert {name for name, p in loaded.named_parameters() if p.requires_grad} == {
        name for name, p in mini.named_parameters() if p.requires_grad
    }
    with torch.inference_mode():
        torch.testing.assert_close(loaded(clips(8_000)), mini(clips(8_000)), rtol=0, atol=1e-5)
    assert network.describe(path) == network.Description(
        path=str(path),
        kind="dfdlib",
        configuration="mini",
        tensors=len(mini.state_dict()),
        parameters=parameters(mini),
        seems="",
        dtype="float32",
        metadata=metadata,
        bytes=path.stat().st_size,
        sha256=files.sha256(path),
    )


def test_equal_content_gives_equal_bytes(mini: Detector, tmp_path: Path):
    metadata = {key: key for key in "abcdefgh"}
    network.save(tmp_path / "one", mini, metadata=metadata)
    network.save(tmp_path / "two", network.load(tmp_path / "one"), metadata=dict(reversed(metadata.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_configuration_of_ones_own_comes_back(tmp_path: Path):
    backend = dataclasses.replace(MINI.backend, features=30, readout_dropout=0.1)
    model = network.build(dataclasses.replace(MINI, name="mine", backend=backend), seed=1)
    network.save(tmp_path / "mine", model, metadata={})
    assert network.load(tmp_path / "mine").configuration == model.configuration
    with pytest.raises(CheckpointError, match=r"mine: holds the detector mine .* not those of mini"):
        network.load(tmp_path / "mine", configuration="mini")
    # A bare state dict says nothing about itself: its shapes are compared with those that are known, or told.
    torch.save(model.state_dict(), tmp_path / "bare")
    assert network.describe(tmp_path / "bare").configuration == ""
    with pytest.raises(CheckpointError, match=r"does not fit the detector mini"):
        network.load(tmp_path / "bare")
    loaded = network.load(tmp_path / "bare", configuration=model.configuration)
    assert network.fingerprint(loaded) == network.fingerprint(model)


@pytest.mark.parametrize("form", ["bare", "published", "published before 2020", "study", "safetensors"])
def test_every_readable_form(form: str, mini: Detector, published_form: dict, study_form: dict, tmp_path: Path):
    path, kind = tmp_path / "file", "state dict"
    if form == "bare":
        torch.save(mini.state_dict(), path)
    elif form == "published":
        torch.save(published_form, path)
    elif form == "published before 2020":
        torch.save(published_form, path, _use_new_zipfile_serialization=False)
    elif form == "study":
        torch.save(study_form, path)
        kind = "training checkpoint"
    else:
        save_file(dict(mini.state_dict()), path)
    loaded = network.load(path)
    assert network.fingerprint(loaded) == network.fingerprint(mini)
    assert not loaded.training
    description = network.describe(path)
    assert (description.kind, description.configuration) == (kind, "mini")
    assert description.parameters == parameters(mini)


def test_no_name_begins_as_what_programs_put_before_names():
    for configuration in CONFIGURATIONS.values():
        names = list(network.skeleton(configuration).state_dict())
        names += [name.removeprefix(weights.FRONTEND) for name in names]
        assert not [name for name in names if name.startswith(weights.PREFIXES)]


@pytest.mark.parametrize(
    "before",
    [
        lambda name, place: f"_orig_mod.{name}",
        lambda name, place: f"module.module.{name}",
        lambda name, place: f"model.{name}",
        lambda name, place: f"detector.net._orig_mod.{name}",
        lambda name, place: ("", "model.", "module._orig_mod.")[place % 3] + name,
    ],
    ids=["compiled", "twice", "Lightning", "nested", "mixed"],
)
def test_a_detector_loads_whatever_stands_before_its_names(before, mini: Detector, tmp_path: Path):
    entries = mini.state_dict().items()
    tensors = {before(name, place): tensor for place, (name, tensor) in enumerate(entries)}
    torch.save({"state_dict": tensors, "epoch": 1}, tmp_path / "file.ckpt")
    assert network.describe(tmp_path / "file.ckpt").configuration == "mini"
    assert network.fingerprint(network.load(tmp_path / "file.ckpt")) == network.fingerprint(mini)


def test_loaded_weights_do_not_follow_the_file(published_form: dict, tmp_path: Path):
    path = tmp_path / "file.pth"
    torch.save(published_form, path)
    loaded = network.load(path)
    before = network.fingerprint(loaded)
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert network.fingerprint(loaded) == before


@pytest.mark.parametrize(("stored", "used"), [("float16", "float32"), ("bfloat16", "float32"), ("float64", "float64")])
def test_precision(stored: str, used: str, mini: Detector, tmp_path: Path):
    model = copy.deepcopy(mini).to(getattr(torch, stored))
    network.save(tmp_path / "file", model, metadata={})
    loaded = network.load(tmp_path / "file")
    assert network.describe(tmp_path / "file").dtype == stored
    assert loaded.LL.weight.dtype == getattr(torch, used)
    assert loaded.first_bn.num_batches_tracked.dtype == torch.int64
    assert torch.equal(loaded.LL.weight, model.LL.weight.to(loaded.LL.weight.dtype))


def test_metadata_is_text(mini: Detector, tmp_path: Path):
    with pytest.raises(ParameterError, match="'epoch'=3"):
        network.save(tmp_path / "file", mini, metadata={"epoch": 3})
    assert not list(tmp_path.iterdir())


def test_frontend_weights_of_a_pretraining_checkpoint(mini: Detector, tmp_path: Path):
    path = tmp_path / "xlsr.pt"
    weights = {name: tensor + 1 for name, tensor in mini.ssl_model.model.state_dict().items()}
    torch.save({"args": None, "cfg": {"model": {"_name": "wav2vec2"}}, "model": weights}, path)
    model = copy.deepcopy(mini)
    assert network.load_frontend_weights(model, path) is model
    assert torch.equal(model.ssl_model.model.mask_emb, mini.ssl_model.model.mask_emb + 1)
    assert torch.equal(model.LL.weight, mini.LL.weight)
    torch.save({"model": dict(list(weights.items())[1:])}, path)
    with pytest.raises(CheckpointError, match=r"the front end of the detector mini, .*; 1 missing: mask_emb; 0 unexp"):
        network.load_frontend_weights(model, path)
    with pytest.raises(
        CheckpointError, match=r"to be a pre-training checkpoint of fairseq, .* sizes of mini: 3 layers"
    ):
        network.load(path)
    torch.save(mini.state_dict(), path)
    with pytest.raises(CheckpointError, match=r"It seems to be the whole detector mini"):
        network.load_frontend_weights(model, path)


def test_frontend_weights_without_a_front_end(tmp_path: Path):
    with pytest.raises(ParameterError, match=r"xlsr\.pt: the detector aasist-l has no front end to put weights into"):
        network.load_frontend_weights(network.build("aasist-l", seed=0), tmp_path / "xlsr.pt")


# Files that are refused


def refusal(path: Path) -> str:
    """Return why `path` is refused: the same words from `load` and from `describe`, on one line, naming the file."""
    with pytest.raises(CheckpointError) as loading:
        network.load(path)
    with pytest.raises(CheckpointError) as describing:
        network.describe(path)
    message = str(loading.value)
    assert message == str(describing.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 2020"])
@pytest.mark.parametrize("place", ["whole", "beside the weights", "in args"])
def test_a_program_in_a_pickle_is_not_run(place: str, old: bool, study_form: dict, tmp_path: Path):
    mark = tmp_path / "mark"
    trap = Trap(os.system, f"touch '{mark}'")
    content = {
        "whole": trap,
        "beside the weights": study_form | {"val_loss": trap},
        "in args": study_form | {"args": argparse.Namespace(lr=trap)},
    }[place]
    torch.save(content, tmp_path / "trap.pth", _use_new_zipfile_serialization=not old)
    message = refusal(tmp_path / "trap.pth")
    assert f"{os.system.__module__}.system" in message
    assert "torch.save(model.state_dict()" in message
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_program_in_a_plain_pickle_is_not_run(protocol: int, tmp_path: Path):
    mark = tmp_path / "mark"
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(os.system, f"touch '{mark}'"), protocol=protocol))
    refusal(tmp_path / "trap.pkl")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Trap(eval, "1"), "eval"),
        (lambda: Trap(getattr, "text", "upper"), "getattr"),
        (lambda: np.float64(0.5), "numpy"),
        (lambda: Path("somewhere"), "pathlib"),
        (lambda: network.build("mini", seed=0), "dfdlib.detector.network.AasistDetector"),
    ],
    ids=["eval", "getattr", "numpy scalar", "path", "whole model"],
)
def test_other_classes_are_refused_by_name(make, named: str, study_form: dict, tmp_path: Path):
    torch.save(study_form | {"train_loss": make()}, tmp_path / "file.pth")
    assert named in refusal(tmp_path / "file.pth")


def test_a_program_in_a_header_is_not_run(mini: Detector, tmp_path: Path):
    mark = tmp_path / "mark"
    header = {"configuration": MINI.to_dict(), "metadata": {}}
    header["configuration"]["frontend"]["convolutions"] = f"[open({str(mark)!r}, 'w')]"
    save_file(dict(mini.state_dict()), tmp_path / "file", metadata={"dfdlib": json.dumps(header)})
    assert "its header is not one" in refusal(tmp_path / "file")
    assert not mark.exists()


@pytest.mark.parametrize(
    "header",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"configuration": MINI.to_dict() | {"surplus": 1}, "metadata": {}}),
        json.dumps({"configuration": MINI.to_dict() | {"backend": 3}, "metadata": {}}),
        json.dumps({"configuration": MINI.to_dict() | {"rate": 8000}, "metadata": {}}),
    ],
)
def test_a_damaged_header(header: str, mini: Detector, tmp_path: Path):
    save_file(dict(mini.state_dict()), tmp_path / "file", metadata={"dfdlib": header})
    assert "its header is not one" in refusal(tmp_path / "file")


@pytest.mark.parametrize("size", [3, 100, 0.5, 0.999])
@pytest.mark.parametrize("form", ["safetensors", "zip", "before 2020"])
def test_a_file_cut_short(form: str, size: float, mini: Detector, tmp_path: Path):
    path = tmp_path / "file"
    if form == "safetensors":
        network.save(path, mini, metadata={})
    else:
        torch.save(mini.state_dict(), path, _use_new_zipfile_serialization=form == "zip")
    os.truncate(path, size if size >= 1 else int(size * path.stat().st_size))
    message = refusal(path)
    assert "damaged or cut short" in message or "not a checkpoint" in message


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"version https://git-lfs.github.com/spec/v1\n", b"<!DOCTYPE html>", b"RIFF\0\0\0\0WAVEfmt "],
    ids=["empty", "short text", "lfs pointer", "web page", "sound"],
)
def test_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path):
    (tmp_path / "file").write_bytes(content)
    assert "not a checkpoint" in refusal(tmp_path / "file")


def test_a_missing_file_and_a_folder(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "missing.pth")
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"epoch": 3}, {"model": {}}, {"model": {"a": "b"}}, {1: torch.zeros(2)}], ids=repr
)
def test_a_pickle_without_a_state_dict(content: object, tmp_path: Path):
    torch.save(content, tmp_path / "file")
    assert "state dict" in refusal(tmp_path / "file")


def test_a_misfit_lists_names_with_counts(published_form: dict, tmp_path: Path):
    names = list(published_form)
    content = published_form.copy()
    content["module.LL.weight"] = torch.zeros(3, 4)
    content["module.first_bn.weight"] = torch.zeros(1, dtype=torch.int64)
    moved = [name for name in names if name.startswith("module.GAT_layer_S.")]
    for name in moved:
        content[name.replace("GAT_layer_S", "renamed")] = content.pop(name)
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(CheckpointError) as caught:
        network.load(tmp_path / "file.pth")
    message = str(caught.value)
    assert "\n" not in message
    matching = len(names) - len(moved) - 2
    assert f"does not fit the detector mini, the likest that is known, which has {len(names)} tensors: " in message
    assert f": {matching} matching: pos_S, master1, master2 … and {matching - 3} more; " in message
    assert len(moved) == 12
    assert "; 12 missing: GAT_layer_S.att_weight, GAT_layer_S." in message
    assert "; 12 unexpected: renamed.att_weight, renamed." in message
    assert message.count("GAT_layer_S.") == message.count("renamed.") == 3
    assert "; 2 of the wrong shape or type: LL.weight is 3×4, needed 60×96, first_bn.weight is int64, needed" in message
    assert "(without module. before names)" in message
    assert len(message) < 10 * 120
    assert message.endswith("It seems to be a detector whose front end has the sizes of mini: 3 layers of width 96")


def test_a_misfit_of_a_kind_that_was_named(mini: Detector, tmp_path: Path):
    torch.save(mini.state_dict(), tmp_path / "file.pth")
    with pytest.raises(
        CheckpointError, match=r"does not fit the detector xlsr-300m, which .* the whole detector mini; lo"
    ):
        network.load(tmp_path / "file.pth", configuration="xlsr-300m")
    back = {name: tensor for name, tensor in mini.state_dict().items() if not name.startswith("ssl_model.")}
    torch.save(back, tmp_path / "file.pth")
    with pytest.raises(
        CheckpointError, match=r"the detector mini, .* It seems to be an AASIST back end without a front e"
    ):
        network.load(tmp_path / "file.pth")
    assert network.describe(tmp_path / "file.pth").seems.startswith("an AASIST back end")


def test_weights_of_something_else(tmp_path: Path):
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "file.pth")
    with pytest.raises(
        CheckpointError, match=r": 0 matching; 674 missing: .* … and 671 more; 1 unexpected: layer.weight; .* Use ano"
    ):
        network.load(tmp_path / "file.pth")


def test_weights_after_a_diverged_training(mini: Detector, tmp_path: Path):
    model = copy.deepcopy(mini)
    model.LL.bias.data[0] = float("nan")
    network.save(tmp_path / "file", model, metadata={})
    with pytest.raises(CheckpointError, match=r"NaN or infinity in 1 of its tensors \(the first is LL.bias\)"):
        network.load(tmp_path / "file")
