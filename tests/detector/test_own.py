"""Detectors of other people, as scorers."""

import re
import runpy
import sys
from pathlib import Path

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
import sys
import numpy as np
import torch

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

def numbers(given):
    made = Pair()
    made.score, made.logits = (lambda windows: given), None
    return lambda: made

half = numbers(np.array([1, 2, 3], np.float16))
whole = numbers([1, 2, 3])
learning = numbers(torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0])))
brain = numbers(torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.bfloat16, requires_grad=True))
complex_ones = numbers(np.array([1, 2, 3j]))
complex_tensor = numbers(torch.tensor([1, 2, 3j]))
words = numbers(["a", "b", "c"])
nothing_at_all = numbers(None)

def leaves():
    made = Pair()
    made.logits = lambda windows: sys.exit("usage: somebodys.py")
    return made

def exits():
    sys.exit(2)

def talks():
    print("loading")
    return Pair()

class Counted(Loud):
    rate, window = np.int64(8_000), np.int64(4_000)

ready = Loud()

def nothing():
    return 3
"""


#: Modules that cannot be imported.
BROKEN = {
    "unreadable": "def f(:",
    "unfinished": "undefined",
    "script": "import sys; sys.exit('usage: script')",
    "lacking": "import what_it_needs",
}


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
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("somebodys", *BROKEN):
        monkeypatch.delitem(sys.modules, name, raising=False)


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
        ("somebodys:not_a_number", "clip: somebodys:not_a_number's score is not finite"),
        ("somebodys:complex_ones", "somebodys:complex_ones: gave complex128 for 3 windows; expected numbers"),
        ("somebodys:complex_tensor", "gave complex64 for 3 windows; expected numbers"),
        ("somebodys:words", "somebodys:words: gave <U1 for 3 windows; expected numbers"),
        ("somebodys:nothing_at_all", "somebodys:nothing_at_all: gave NoneType for 3 windows; expected numbers"),
        ("somebodys:leaves", r"somebodys:leaves: failed on windows .*SystemExit: usage"),
        ("somebodys:exits", r"somebodys:exits: failed \(SystemExit: 2\)"),
        ("unreadable:make", r"unreadable:make: cannot be imported \(SyntaxError: .*line 1\)"),
        ("unfinished:make", r"unfinished:make: cannot be imported \(NameError: .*'undefined' is not defined\)"),
        ("script:make", r"script:make: cannot be imported \(SystemExit: usage: script\)"),
        ("lacking:make", r"lacking:make: cannot be imported \(No module named 'what_it_needs'\)"),
        ("../somebodys.py:Loud", r"../somebodys.py:Loud: cannot be imported \("),
        ("somebodys:rate", "rate = '16k'; expected a whole number"),
        ("somebodys:window", "window = 0; expected a number of samples"),
        ("somebodys:fails", r"somebodys:fails: failed \(OSError: no weights here\)"),
        ("somebodys:nothing", "gave int, which has neither logits"),
        ("somebodys:absent", "cannot be imported"),
        ("no_such_module:make", r"No module named 'no_such_module'; looked for in .* and PYTHONPATH"),
        ("somebodys:", "expected module:callable"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name, shown, module):
    with pytest.raises(DfdError, match=shown) as error:
        finite_logits(own.load(name), windows(), names=["clip"] * 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["half", "whole", "learning", "brain"])
def test_numbers_of_any_kind_are_taken(name, module):
    np.testing.assert_array_equal(own.load(f"somebodys:{name}").logits(windows())[:, 1], [1, 2, 3])


def test_what_is_there_already_need_not_be_made(module):
    assert own.load("somebodys:ready").logits(windows()).shape == (3, 2)
    counted = own.load("somebodys:Counted")
    assert (counted.rate, counted.window) == (8_000, 4_000)


def test_what_a_module_prints_is_not_among_the_results(module, capsys):
    own.load("somebodys:talks")
    assert capsys.readouterr() == ("", "loading\n")


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


def summing_graph(where, value):
    """Return a graph that sums a window times a value, whose weights are an initializer, a constant, or in a branch."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.full((4_000, 1), value, np.float32), "w")
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    nodes, initializers = [product], [weights]
    if where == "constant":
        nodes, initializers = [helper.make_node("Constant", [], ["w"], value=weights), product], []
    if where == "branch":
        names = ("then_branch", "else_branch")
        branches = {name: helper.make_graph(nodes, name, [], [result], initializers) for name in names}
        # A branch known beforehand would be put in place of the choice.
        highest = helper.make_node("ReduceMax", ["x"], ["highest"], keepdims=0)
        always = helper.make_node("Equal", ["highest", "highest"], ["always"])
        nodes, initializers = [highest, always, helper.make_node("If", ["always"], ["y"], **branches)], []
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4_000])
    return helper.make_graph(nodes, "sum", [given], [result], initializers)


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_weights_that_lie_beside_an_onnx_file_are_of_its_fingerprint(where, tmp_path):
    import onnx

    def written(value):
        place = tmp_path / "beside.onnx"
        graph = summing_graph(where, value)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        (tmp_path / "beside.bin").unlink(missing_ok=True)
        apart = {"save_as_external_data": True, "location": "beside.bin", "size_threshold": 0}
        onnx.save(model, place, convert_attribute=True, **apart)
        return own.load(str(place)), place.read_bytes()

    (one, first), (other, second) = written(1.0), written(2.0)
    assert first == second
    assert one.fingerprint != other.fingerprint
    np.testing.assert_allclose(2 * one.logits(windows()), other.logits(windows()), rtol=1e-4, atol=1e-4)
    (tmp_path / "beside.bin").unlink()
    with pytest.raises(CheckpointError, match=r"beside.bin: cannot be read \(No such file"):
        own.load(str(tmp_path / "beside.onnx"))


@pytest.mark.parametrize("name", ["missing.onnx", "missing.ts", "text.onnx", "text.ts"])
def test_a_file_that_is_none(name, tmp_path):
    if name.startswith("text"):
        (tmp_path / name).write_text("nothing", "utf-8")
    with pytest.raises(CheckpointError, match=name):
        own.load(str(tmp_path / name))


def test_what_names_one():
    names = pd.Series(["my_module:make", "a.onnx", "b.ts", "1:2.onnx", "mini", "xlsr-300m"])
    assert names.map(own.is_own).tolist() == [True, True, True, True, False, False]
    assert names.map(own.is_module).tolist() == [True, False, False, False, False, False]
    places = [str(own.place(name)) for name in ("pkg.my_module:make", "a.onnx", "1:2.onnx")]
    assert places == ["pkg/my_module.py", "a.onnx", "1:2.onnx"]


def test_a_file_is_found_from_a_folder_and_from_home(tmp_path, monkeypatch):
    torch.jit.script(Energy()).save(str(tmp_path / "energy.ts"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [own.load("energy.ts", folder=tmp_path), own.load("~/energy.ts", folder="/nowhere")]
    assert found[0].fingerprint == found[1].fingerprint


def test_the_examples_of_the_documentation_score(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs/detectors.md").read_text("utf-8")
    module, script, onnx = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_module.py").write_text(module, "utf-8")
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    # TorchScript reads the source of a class.
    for number, example in enumerate((script, onnx)):
        (tmp_path / f"example{number}.py").write_text(example, "utf-8")
        runpy.run_path(f"example{number}.py", run_name="__main__")
    for name in ("my_module:make", "mine.ts", "mine.onnx"):
        scorer = own.load(name)
        assert (scorer.rate, scorer.window) == (16_000, 64_600)
        assert finite_logits(scorer, windows(64_600), names=["clip"] * 3).shape == (3, 2)
    assert sorted(path.name for path in tmp_path.glob("mine*")) == ["mine.onnx", "mine.ts"]
