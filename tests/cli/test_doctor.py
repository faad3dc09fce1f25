import subprocess
import sys

import torch

from dfdlib.cli import doctor
from dfdlib.detector import network


def test_this_installation_is_described():
    findings = doctor.examine()
    assert findings["facts"]["fairseq-fixed"]
    assert "cores" in findings["facts"]["machine"]
    assert findings["facts"]["profile original-study"].startswith("missing")
    assert findings["problems"] == []


def test_a_checkpoint_is_described(tmp_path):
    network.save(tmp_path / "mini.safetensors", network.build("mini", seed=1), metadata={})
    facts = doctor.examine(checkpoint=tmp_path / "mini.safetensors")["facts"]
    assert any("mini" in value for name, value in facts.items() if name.startswith("checkpoint"))


def test_a_checkpoint_is_described_without_a_network(tmp_path):
    weights = {"module." + name: torch.zeros(t.shape) for name, t in network.skeleton("mini").state_dict().items()}
    torch.save(weights, tmp_path / "mini.pth")
    code = f"""
import sys
from dfdlib.cli import doctor
facts = doctor.examine(checkpoint={str(tmp_path / "mini.pth")!r})["facts"]
assert facts["checkpoint configuration"] == "mini" and facts["checkpoint kind"] == "state dict", facts
assert not {{"fairseq", "torch._dynamo"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_is_no_detector_is_described_as_what_it_seems(tmp_path):
    front = network.skeleton("mini").ssl_model.model.state_dict()
    weights = {name: torch.zeros(tensor.shape) for name, tensor in front.items()}
    torch.save({"args": None, "cfg": {}, "model": weights}, tmp_path / "xlsr.pt")
    facts = doctor.examine(checkpoint=tmp_path / "xlsr.pt")["facts"]
    assert facts["checkpoint configuration"] == ""
    assert facts["checkpoint seems"].startswith("a pre-training checkpoint of fairseq")


def test_what_is_lacking_is_a_problem_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(doctor.CORE, "no_such_module", "no-such-package")
    findings = doctor.examine(checkpoint=tmp_path / "none.pth")
    assert findings["problems"][0] == "no-such-package is not installed; run ./environment.sh"
    assert "none.pth" in findings["problems"][1]
