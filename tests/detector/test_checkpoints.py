"""Files of weights: what they may hold, what they seem to be, and that loaded tensors are their own."""

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import omegaconf
import pytest
import torch

from dfdlib.detector import checkpoints
from dfdlib.errors import CheckpointError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5000)}

FAIRSEQ = {
    "namespace": {"args": argparse.Namespace(arch="wav2vec2", lr=[0.005], dropout=0.0)},
    "plain dictionary": {"args": None, "cfg": {"model": {"_name": "wav2vec2", "layers": 24}, "lr": [0.005]}},
    "omegaconf": {"args": None, "cfg": omegaconf.OmegaConf.create({"model": {"x": [1, 0.5, None, True, "text", {}]}})},
    "settings with flags": {"args": None, "cfg": {"flags": defaultdict(list, {"seen": [1]}), "kind": int}},
}
"""What fairseq wrote beside the weights over the years."""


def saved(path: Path, content: object, *, old: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 2020"])
@pytest.mark.parametrize("form", FAIRSEQ)
def test_every_form_of_fairseq_s_files(form: str, old: bool, tmp_path: Path):
    beside = {"optimizer_history": [{"optimizer_name": "Adam"}], "extra_state": {"epoch": 3, "best": 0.5}}
    path = saved(tmp_path / "file.pt", FAIRSEQ[form] | {"model": TENSORS} | beside, old=old)
    content = checkpoints.read(path)
    assert (content.kind, content.mapped, list(content.tensors)) == ("training checkpoint", not old, ["a", "b"])
    taken = checkpoints.copies(path, content)
    assert all(torch.equal(taken[name], tensor) for name, tensor in TENSORS.items())


class Trap:
    """Pickles as a call of `os.system`, which a careless reader makes."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def in_omegaconf(trap: Trap) -> omegaconf.DictConfig:
    settings = omegaconf.OmegaConf.create({"x": 1})
    vars(settings)["_content"]["x"] = trap
    return settings


@pytest.mark.parametrize(
    "place",
    [
        lambda trap: {"args": argparse.Namespace(lr=trap), "model": TENSORS},
        lambda trap: {"args": argparse.Namespace(loss=trap.__reduce__()[0]), "model": TENSORS},
        lambda trap: {"cfg": {"model": trap}, "model": TENSORS},
        lambda trap: {"cfg": in_omegaconf(trap), "model": TENSORS},
        lambda trap: {"cfg": defaultdict(trap.__reduce__()[0]), "model": TENSORS},
        lambda trap: {"model": TENSORS | {"c": trap}},
        lambda trap: TENSORS | {"c": trap},
    ],
    ids=["namespace", "function in a namespace", "dictionary", "omegaconf", "default", "weights", "bare"],
)
@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 2020"])
def test_programs_are_refused_by_name_wherever_they_hide(place, old: bool, tmp_path: Path):
    mark = tmp_path / "mark"
    path = saved(tmp_path / "trap.pt", place(Trap(f"touch '{mark}'")), old=old)
    with pytest.raises(
        CheckpointError, match=rf"refused, because it holds more than weights \({os.system.__module__}.sy"
    ):
        checkpoints.read(path)
    assert not mark.exists()


def test_stand_ins_are_never_the_real_classes(tmp_path: Path):
    saved(tmp_path / "file.pt", {"cfg": FAIRSEQ["omegaconf"]["cfg"], "model": TENSORS})
    content, _ = checkpoints._unpickle(tmp_path / "file.pt")
    assert type(content["cfg"]) is checkpoints._StandIn
    assert vars(content["cfg"]) == {}


@pytest.mark.parametrize("form", ["zip", "before 2020", "safetensors"])
def test_copies_outlive_the_file(form: str, tmp_path: Path):
    from safetensors.torch import save_file

    path = tmp_path / "file"
    if form == "safetensors":
        save_file(TENSORS, path)
    else:
        saved(path, TENSORS, old=form == "before 2020")
    taken = checkpoints.copies(path, checkpoints.read(path))
    os.truncate(path, 0)
    path.write_bytes(bytes(100_000))
    assert all(torch.equal(taken[name], tensor) for name, tensor in TENSORS.items())


def test_views_that_overlap_or_repeat_come_out_whole(tmp_path: Path):
    base = torch.arange(20_000.0)
    odd = {"whole": base, "again": base, "part": base[5_000:], "strided": base[::7], "wide": base[:1].expand(10**6)}
    odd["turned"] = base.reshape(100, 200).T
    neighbour = torch.ones(10**6)
    content = checkpoints.read(saved(tmp_path / "file.pt", odd))
    taken = checkpoints.copies(tmp_path / "file.pt", content)
    assert all(torch.equal(taken[name], tensor) for name, tensor in odd.items())
    assert neighbour.sum() == 10**6, "memory beside the file was given back"
    assert taken["whole"].data_ptr() != taken["again"].data_ptr()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says about a process")
def test_pages_of_the_file_are_given_back(tmp_path: Path):
    def of_files() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssFile")).split()[1])

    big = {str(number): torch.ones(2**21) for number in range(8)}  # 64 MiB
    path = saved(tmp_path / "file.pt", big)
    before = of_files()
    content = checkpoints.read(path)
    checkpoints.copies(path, content)
    assert of_files() - before < 16 * 2**20


# What a file seems to be

FRONT = {"feature_extractor.conv_layers.0.0.weight": (512, 1, 10), "encoder.layer_norm.weight": (1024,)} | {
    f"encoder.layers.{number}.fc1.weight": (4096, 1024) for number in range(24)
}
BACK = {"pos_S": (1, 42, 64), "GAT_layer_S.att_weight": (64, 1)}


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            FRONT,
            "a pre-training checkpoint of fairseq, a front end only with the sizes of big: 24 layers of width 1024",
        ),
        (
            {f"ssl_model.model.{name}": shape for name, shape in FRONT.items()} | BACK,
            "a detector whose front end has the sizes of big: 24 layers of width 1024",
        ),
        (FRONT | {"encoder.layers.24.fc1.weight": (4096, 1024)}, "sizes of none that is known: 25 layers"),
        (
            {f"w2v_encoder.w2v_model.{name}": shape for name, shape in FRONT.items()},
            "fine-tuned for speech recognition",
        ),
        ({"wav2vec2.encoder.layers.0.attention.k_proj.weight": (1024, 1024)}, "of the transformers library"),
        (BACK, "an AASIST back end without a front end"),
        (BACK | {"conv_time.low_hz_": (70, 1)}, "an AASIST back end that takes waveforms"),
    ],
    ids=["fairseq", "detector", "larger", "fine-tuned", "transformers", "back end", "raw AASIST"],
)
def test_names_tell_what_a_state_dict_seems_to_be(shapes: dict, said: str):
    assert said in checkpoints.seems(shapes, known={(24, 1024): "big"})


def test_nothing_is_said_of_unknown_names():
    assert checkpoints.seems({"layer.weight": (2, 2)}, known={}) == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-6}]}, "the state of an optimizer"),
        ({"optimizer": {"state": {}}, "epoch": 3}, "the state of an optimizer"),
    ],
    ids=["optimizer", "optimizer in a dictionary"],
)
def test_keys_tell_what_a_dictionary_seems_to_be(content: dict, said: str, tmp_path: Path):
    with pytest.raises(CheckpointError, match="no state dict") as caught:
        checkpoints.read(saved(tmp_path / "file.pt", content))
    assert f"It seems to be {said}" in str(caught.value)
    assert "\n" not in str(caught.value)


# What stands around the weights


@pytest.mark.parametrize("key", checkpoints.WRAPPERS)
def test_weights_are_found_in_a_training_checkpoint(key: str, tmp_path: Path):
    path = saved(tmp_path / "file.pt", {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, key: TENSORS})
    content = checkpoints.read(path)
    assert (content.kind, list(content.tensors)) == ("training checkpoint", ["a", "b"])


def test_weights_are_found_in_a_dictionary_within_another(tmp_path: Path):
    content = checkpoints.read(saved(tmp_path / "file.pt", {"ema": {"module": TENSORS, "decay": 0.9}}))
    assert list(content.tensors) == ["a", "b"]


def test_the_weights_of_a_lightning_checkpoint(tmp_path: Path):
    whole = {"epoch": 3, "pytorch-lightning_version": "2.5", "state_dict": {f"model.{n}": TENSORS[n] for n in TENSORS}}
    content = checkpoints.read(saved(tmp_path / "file.ckpt", whole))
    assert (content.kind, list(content.tensors), content.stripped) == (
        "Lightning checkpoint",
        ["a", "b"],
        ("model.",),
    )


@pytest.mark.parametrize(
    ("names", "stripped"),
    [
        (("a", "b"), ()),
        (("_orig_mod.a", "_orig_mod.b"), ("_orig_mod.",)),
        (("module.module.a", "module.module.b"), ("module.",)),
        (("model.net.a", "detector.b"), ("model.", "net.", "detector.")),
        (("module._orig_mod.a", "b"), ("module.", "_orig_mod.")),
        (("_orig_mod.a.model._orig_mod.c", "b"), ("_orig_mod.",)),
        (("n_averaged", "module.a", "module.b"), ("module.",)),
    ],
    ids=" ".join,
)
def test_what_programs_put_before_names_is_taken_away(names: tuple, stripped: tuple, tmp_path: Path):
    content = checkpoints.read(saved(tmp_path / "file.pt", {name: torch.ones(2) for name in names}))
    expected = ["a.model.c", "b"] if any(name.endswith("c") for name in names) else ["a", "b"]
    assert list(content.tensors) == expected
    assert content.stripped == stripped


def test_two_tensors_of_one_name_are_refused(tmp_path: Path):
    path = saved(tmp_path / "file.pt", {"a": torch.ones(2), "module.a": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"holds two tensors called a \(module\.a and another\); save"):
        checkpoints.read(path)


# Files of other kinds


def torchscript(path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (torchscript, r"a TorchScript program, not a checkpoint; save the weights: torch\.save"),
        (lambda path: np.savez(path.open("wb"), a=np.ones(2)), "a zip archive without weights"),
        (
            lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x052.5.1" + bytes(300)),
            "an ONNX model, .* use the",
        ),
        (
            lambda path: path.write_text("\n<!DOCTYPE html><title>404</title>" + 300 * " "),
            "a web page, as of a download",
        ),
        (lambda path: path.write_text("<html>"), "a web page"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
            "LFS .* git lfs pull",
        ),
        (lambda path: path.write_text('{"meta":{}, "weight_map": {"a": "1.safetensors"}}'), "in several files; join"),
        (lambda path: path.write_text('{\n  "metadata": {"total_size": 1}}'), "in several files; join"),
        (lambda path: path.write_text("Where are the weights?\n" * 20), "a text; name the file of weights"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(300)), "a compressed file; unpack it"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300)), "an HDF5 file"),
        (lambda path: path.write_bytes(b"RIFF" + bytes(300)), "not a checkpoint .*; fetch or copy it again"),
    ],
    ids="torchscript npz onnx page html lfs index indented text gzip hdf5 sound".split(),
)
def test_files_of_other_kinds_are_called_by_their_names(write, said: str, tmp_path: Path):
    write(tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=rf"file\.pt: .*{said}") as caught:
        checkpoints.read(tmp_path / "file.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 250
