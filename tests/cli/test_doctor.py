import re
import subprocess
import sys

import pytest
import torch

from dfdlib.cli import doctor
from dfdlib.detector import network
from dfdlib.experiment import profile


def test_this_installation_is_described():
    findings = doctor.examine()
    assert findings["facts"]["fairseq-fixed"]
    assert "cores" in findings["facts"]["machine"]
    assert findings["facts"]["profile original-study"].startswith("missing")
    assert findings["problems"] == []


def test_a_checkpoint_is_described(tmp_path):
    network.save(tmp_path / "mini.safetensors", network.build("mini", seed=1), metadata={})
    facts = doctor.examine(checkpoint=tmp_path / "mini.safetensors")["facts"]
    assert facts["checkpoint configuration"] == "mini"
    assert facts["checkpoint kind"] == "dfdlib"


def test_a_checkpoint_is_described_without_a_compiler(tmp_path):
    weights = {"module." + name: torch.zeros(t.shape) for name, t in network.skeleton("mini").state_dict().items()}
    torch.save(weights, tmp_path / "mini.pth")
    code = f"""
import sys
from dfdlib.cli import doctor
facts = doctor.examine(checkpoint={str(tmp_path / "mini.pth")!r})["facts"]
assert facts["checkpoint configuration"] == "mini" and facts["checkpoint kind"] == "state dict", facts
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_is_no_detector_is_described_as_what_it_seems(tmp_path):
    front = network.skeleton("mini").ssl_model.model.state_dict()
    weights = {name: torch.zeros(tensor.shape) for name, tensor in front.items()}
    torch.save({"args": None, "cfg": {}, "model": weights}, tmp_path / "xlsr.pt")
    facts = doctor.examine(checkpoint=tmp_path / "xlsr.pt")["facts"]
    assert facts["checkpoint configuration"] == ""
    assert facts["checkpoint seems"].startswith("a pre-training checkpoint of fairseq")


def broken(error):
    """Return a function that fails in a way that nobody has thought of."""

    def fail(*arguments, **named):
        raise error

    return fail


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda patch, _: patch.setitem(doctor.CORE, "no_such_module", "no-such-package"),
            "no-such-package is not installed; run ./environment.sh",
        ),
        (
            lambda patch, _: patch.setitem(doctor.CORE, "sklearn", "sklearn-of-others"),
            "sklearn-of-others is not installed under this name: sklearn comes from scikit-learn .*environment.sh",
        ),
        (
            lambda patch, folder: patch.setenv("DFD_ROOT", str(folder)),
            "DFD_ROOT=.*: is not the project's folder, .*; correct or unset it",
        ),
        (
            lambda patch, folder: patch.setenv("DFD_ROOT", str(folder / "none")),
            "DFD_ROOT=.*none: is not the project's folder",
        ),
        (
            lambda patch, folder: patch.setattr(profile, "_PROFILES", yaml_files(folder, demo="detector: [")),
            "profile demo: is not YAML .*; correct it",
        ),
        (
            lambda patch, folder: patch.setattr(profile, "_PROFILES", yaml_files(folder, demo="detector: mini")),
            "profile demo: the setting 'name' is missing; add it",
        ),
        (
            lambda patch, _: patch.setattr("shutil.disk_usage", broken(PermissionError(13, "Permission denied"))),
            r"disk: cannot be told \(PermissionError: \[Errno 13\] Permission denied\); see whether",
        ),
        (
            lambda patch, _: patch.setattr("os.access", lambda *_: False),
            ".*: cannot be written; name another run folder with --folder",
        ),
        (
            lambda patch, _: patch.setattr("torch.cuda.is_available", broken(OSError("libcudart.so: cannot open"))),
            r"device: cannot be told \(OSError: libcudart.so: cannot open\)",
        ),
        (
            lambda patch, _: patch.setitem(sys.modules, "psutil", None),
            r"machine: cannot be told \(ModuleNotFoundError: .*psutil.*\); .*environment.sh",
        ),
    ],
)
def test_whatever_is_wrong_is_one_line_with_a_remedy(change, problem, monkeypatch, tmp_path):
    change(monkeypatch, tmp_path)
    findings = doctor.examine()
    (found,) = findings["problems"]
    assert re.match(problem, found)
    assert "\n" not in found
    # the rest is told
    assert {"python", "dfdlib", "pandas"} <= set(findings["facts"])


def test_a_checkpoint_that_is_not_there_is_a_problem(tmp_path):
    (found,) = doctor.examine(checkpoint=tmp_path / "none.pth")["problems"]
    assert "none.pth" in found


def yaml_files(folder, **texts):
    """Write profiles in the place of the package's."""
    for name in ("demo", "original-study"):
        text = texts.get(name) or (profile._PROFILES / f"{name}.yaml").read_text("utf-8")
        (folder / f"{name}.yaml").write_text(text)
    return folder
