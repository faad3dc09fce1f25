"""fairseq's network without the rest of fairseq: the same classes, and an `import fairseq` that works as ever."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import fill, waveform

from dfdlib.detector import frontend, wav2vec2
from dfdlib.errors import RunError

TESTS = Path(__file__).parents[1]

ALONE = """
import logging, pickle, sys, warnings
import torch
from dfdlib.detector import frontend, wav2vec2
from dfdlib.errors import RunError
logging.root.setLevel(logging.ERROR)
handler = logging.NullHandler()
logging.root.addHandler(handler)
filters = list(warnings.filters)
network = frontend.Frontend(frontend.MINI)
assert logging.root.level == logging.ERROR and logging.root.manager.disable == 0
assert logging.root.handlers == [handler] and warnings.filters == filters
network(torch.zeros(1, 4000)).sum().backward()
pickle.loads(pickle.dumps(network))
unused = {"fairseq.tasks", "fairseq.criterions", "fairseq.models.hubert", "sklearn"}
assert not unused & set(sys.modules), unused & set(sys.modules)
"""
"""Use the network alone, and find that nothing else of fairseq was imported, and nothing changed."""

THEN = """
kind = type(network.model)
import fairseq
import fairseq.models.wav2vec.wav2vec2 as module
from fairseq import checkpoint_utils
from fairseq.models.wav2vec import Wav2Vec2Model
assert isinstance(fairseq.__version__, str)
assert module.Wav2Vec2Model is Wav2Vec2Model is kind is fairseq.models.MODEL_REGISTRY["wav2vec2"]
assert {"hubert", "transformer", "wav2vec_ctc"} <= set(fairseq.models.MODEL_REGISTRY)
assert fairseq.tasks.TASK_REGISTRY["audio_pretraining"].__name__ == "AudioPretrainingTask"
assert fairseq.modules.LayerNorm and fairseq.data.Dictionary and fairseq.data.AddTargetDataset
parts = fairseq, fairseq.data, fairseq.modules, fairseq.models, fairseq.models.wav2vec
assert {type(part).__name__ for part in parts} == {"module"} and all(part.__path__ for part in parts)
frontend.Frontend(frontend.MINI)
"""
"""Look whether fairseq is what a plain import makes, with the class of the network that is already there."""

FIRST = [
    "from fairseq import checkpoint_utils",
    "import fairseq; fairseq.tasks",
    "import fairseq.data.audio.raw_audio_dataset",
    "from fairseq.modules import EMAModule",
]


def run(code: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", [FIRST[0], *(pytest.param(one, marks=pytest.mark.slow) for one in FIRST[1:])])
def test_fairseq_can_be_imported_after_its_network(first: str):
    run(f"{ALONE}\n{first}\n{THEN}")


@pytest.mark.parametrize(
    "before",
    [
        "def refuse(): wav2vec2._Package.find('fairseq'); 1 / 0\nwav2vec2._load_alone = refuse",
        pytest.param("import fairseq", marks=pytest.mark.slow),
    ],
    ids=["fallback", "fairseq first"],
)
def test_the_whole_of_fairseq_gives_the_same_network(before: str, tmp_path: Path):
    code = f"""
import sys, numpy, torch
from deterministic_weights import fill, waveform
from dfdlib.detector import frontend, wav2vec2
{before}
network = fill(frontend.Frontend(frontend.MINI))
assert "fairseq.tasks" in sys.modules
kind = type(network.model)
with torch.inference_mode():
    features = network(torch.from_numpy(waveform(8_000))[None]).numpy()
numpy.savez({str(tmp_path / "whole.npz")!r}, features=features, names=list(network.state_dict()))
{THEN}
"""
    run(code)
    network = fill(frontend.Frontend(frontend.MINI))
    with np.load(tmp_path / "whole.npz") as whole, torch.inference_mode():
        assert list(whole["names"]) == list(network.state_dict())
        np.testing.assert_array_equal(network(torch.from_numpy(waveform(8_000))[None]).numpy(), whole["features"])


def test_a_missing_fairseq_is_one_line_with_a_remedy(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "fairseq"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fairseq", None)
    with pytest.raises(RunError, match=r"fairseq cannot be imported \(.*\); .*run_all\.sh"):
        wav2vec2.load()


def test_looking_through_all_modules_imports_nothing():
    frontend.Frontend(frontend.MINI)
    before = set(sys.modules)
    for module in list(sys.modules.values()):
        getattr(module, "__warningregistry__", None)
    assert set(sys.modules) == before
