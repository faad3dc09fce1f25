"""Detectors of other people, as scorers."""

import numpy as np
import pandas as pd
import pytest
import torch

from dfdlib.data import audio
from dfdlib.detector import own
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.scorer import Scorer, finite_logits
from dfdlib.errors import CheckpointError, DfdError, ParameterError

MODULE = """
class Loud:
    rate, window, fingerprint = 8_000, 4_000, "1"
    def score(self, windows):
        return windows.std(axis=1)

class Pair:
    def logits(self, windows):
        return [[-1.0, float(len(window))] for window in windows]

def wrong_shape():
    made = Pair()
    made.logits = lambda windows: windows[:, :3]
    return made

def broken():
    made = Pair()
    made.logits = lambda windows: 1 / 0
    return made

def not_a_number():
    made = Loud()
    made.score = lambda windows: windows[:, 0] * float("nan")
    return made

def rate():
    made = Loud()
    made.rate = "16k"
    return made

def window():
    made = Loud()
    made.window = 0
    return made

def fails():
    raise OSError("no weights here")

def nothing():
    return 3
"""


class Energy(torch.nn.Module):
    rate: int

    def __init__(self):
        super().__init__()
        self.rate = 8_000

    def forward(self, windows):
        return windows.square().mean(dim=1)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "somebodys.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "somebodys", raising=False)


def windows(samples=4_000, count=3):
    return np.random.default_rng(0).standard_normal((count, samples)).astype(np.float32)


def test_a_score_is_the_difference_of_its_logits(module):
    scorer = own.load("somebodys:Loud")
    assert isinstance(scorer, Scorer)
    logits = scorer.logits(windows())
    for kind in ("difference", "logit"):
        scores = Preprocessing("x", score=kind).of_logits(logits)
        np.testing.assert_allclose(scores, windows().std(axis=1), rtol=1e-6)
    assert logits.dtype == np.float64
    assert scorer.fingerprint == own.load("somebodys:Loud").fingerprint


def test_what_says_nothing_of_itself_is_never_taken_from_the_cache(module):
    one, other = own.load("somebodys:Pair"), own.load("somebodys:Pair")
    assert one.fingerprint != other.fingerprint
    np.testing.assert_array_equal(one.logits(windows()), [[-1, 4_000]] * 3)
    assert (one.rate, one.window) == (audio.RATE, None)


def test_rate_and_window_are_the_detectors_own(module):
    scorer = own.load("somebodys:Loud")
    how = Preprocessing.named("corrected", window="full").for_scorer(scorer)
    assert (how.rate, how.window) == (8_000, 4_000)
    assert Preprocessing.named("original").for_scorer(own.load("somebodys:Pair")).rate == 22_050
    with pytest.raises(ParameterError, match="original: is for detectors at 16000 Hz, not at 8000"):
        Preprocessing.named("original").for_scorer(scorer)
    with pytest.raises(ParameterError, match="somebodys:Loud: takes windows of 4000 samples, not of 4001"):
        scorer.logits(windows(4_001))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("somebodys:wrong_shape", r"gave values of shape \(3, 3\) for 3 windows; expected \(3, 2\)"),
        ("somebodys:broken", r"failed on windows of shape \(3, 4000\) \(ZeroDivisionError"),
        ("somebodys:not_a_number", "clip: the detector's score is not finite"),
        ("somebodys:rate", "rate = '16k'; expected a whole number"),
        ("somebodys:window", "window = 0; expected a number of samples"),
        ("somebodys:fails", r"somebodys:fails: failed \(OSError: no weights here\)"),
        ("somebodys:nothing", "gave int, which has neither logits"),
        ("somebodys:absent", "cannot be imported"),
        ("no_such_module:make", "cannot be imported"),
        ("somebodys:", "expected module:callable"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name, shown, module):
    with pytest.raises(DfdError, match=shown) as error:
        finite_logits(own.load(name), windows(), names=["clip"] * 3)
    assert "\n" not in str(error.value)


def test_torchscript(tmp_path):
    path = str(tmp_path / "energy.ts")
    torch.jit.script(Energy()).save(path)
    scorer = own.load(path)
    assert (scorer.rate, scorer.window) == (8_000, None)
    np.testing.assert_allclose(scorer.logits(windows())[:, 1], (windows() ** 2).mean(axis=1), rtol=1e-5)


def onnx_file(path, *, shape, rate=None):
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=1)],
        "loudest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if rate is not None:
        helper.set_model_props(model, {"rate": rate})
    save(model, path)
    return str(path)


def test_onnx(tmp_path):
    scorer = own.load(onnx_file(tmp_path / "a.onnx", shape=["n", 4_000], rate="8000"))
    assert (scorer.rate, scorer.window) == (8_000, 4_000)
    np.testing.assert_array_equal(scorer.logits(windows())[:, 1], windows().max(axis=1))
    assert own.load(onnx_file(tmp_path / "b.onnx", shape=["n", "samples"])).window is None
    with pytest.raises(CheckpointError, match=r"c.onnx: takes x: tensor\(float\) of shape \['n', 1, 4000\]; expected"):
        own.load(onnx_file(tmp_path / "c.onnx", shape=["n", 1, 4_000]))
    with pytest.raises(ParameterError, match="rate = 'fast'"):
        own.load(onnx_file(tmp_path / "d.onnx", shape=["n", 4_000], rate="fast"))


@pytest.mark.parametrize("name", ["missing.onnx", "missing.ts", "text.onnx", "text.ts"])
def test_a_file_that_is_none(name, tmp_path):
    if name.startswith("text"):
        (tmp_path / name).write_text("nothing", "utf-8")
    with pytest.raises(CheckpointError, match=name):
        own.load(str(tmp_path / name))


def test_what_names_one():
    names = pd.Series(["my_module:make", "a.onnx", "b.ts", "mini", "xlsr-300m"])
    assert names.map(own.is_own).tolist() == [True, True, True, False, False]
