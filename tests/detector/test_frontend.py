"""The front end: sizes, names, no pre-training machinery at work, and fairseq kept quiet."""

import copy
import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import plain
import pytest
import torch
from deterministic_weights import fill, waveform
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib.detector import frontend
from dfdlib.detector.frontend import MINI, XLSR_300M, Frontend, FrontendConfiguration
from dfdlib.errors import ParameterError


@pytest.fixture(scope="module")
def mini() -> Frontend:
    return fill(Frontend(MINI))


def clips(samples: int, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.stack([waveform(samples, salt=str(index)) for index in range(count)]))


def test_importing_the_module_does_not_import_fairseq():
    code = "import sys; from dfdlib.detector import frontend; assert 'fairseq' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("configuration", frontend.CONFIGURATIONS.values(), ids=frontend.CONFIGURATIONS)
def test_a_frame_every_20_ms(configuration: FrontendConfiguration):
    assert configuration.stride == 320


def test_published_numbers_of_frames():
    assert [XLSR_300M.frames(samples) for samples in (64_600, 48_000, 400, 399, 0)] == [201, 149, 1, 0, 0]


@pytest.mark.parametrize("configuration", frontend.CONFIGURATIONS.values(), ids=frontend.CONFIGURATIONS)
def test_samples_is_the_least_for_so_many_frames(configuration: FrontendConfiguration):
    for frames in (1, 2, 3, 201):
        samples = configuration.samples(frames)
        assert configuration.frames(samples) == frames
        assert configuration.frames(samples - 1) == frames - 1


def test_shape_is_what_the_configuration_says(mini: Frontend):
    with torch.inference_mode():
        for samples in (MINI.samples(1), 4_321, 16_000):
            assert mini(clips(samples)).shape == (2, MINI.frames(samples), MINI.width)


# XLSR's strides and kernels, one that divides neither, and one with gaps; few channels.
KERNELS = ((8, 10, 5), (8, 3, 2), (8, 2, 2), (8, 7, 3), (8, 2, 3))


@pytest.fixture(scope="module")
def odd() -> Frontend:
    return fill(Frontend(dataclasses.replace(MINI, convolutions=KERNELS)))


@settings(deadline=None)
@given(beyond=st.integers(0, 3_000), count=st.integers(1, 3))
def test_features_are_those_of_fairseq(odd: Frontend, mini: Frontend, beyond: int, count: int):
    for network in (odd, mini):
        waveforms = clips(network.configuration.samples(1) + beyond, count=count)
        with torch.inference_mode():
            torch.testing.assert_close(network(waveforms), plain.features(network, waveforms), rtol=0, atol=1e-5)


def test_gradients_are_those_of_fairseq(odd: Frontend):
    double = copy.deepcopy(odd).double()
    parameters = [parameter for parameter in double.parameters() if parameter.requires_grad]
    waveforms = clips(8_001).double()
    ours, theirs = (
        torch.autograd.grad(way(waveforms).pow(2).sum(), parameters)
        for way in (double, lambda waveforms: plain.features(double, waveforms))
    )
    assert max(gradient.abs().max() for gradient in theirs) > 1
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_nothing_is_masked_or_dropped_in_any_mode(mini: Frontend):
    waveforms = clips(16_000)
    with torch.inference_mode():
        evaluated = mini.eval()(waveforms)
        trained = mini.train()(waveforms)
    mini.eval()
    assert torch.equal(evaluated, trained)
    rates = {module.p for module in mini.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.0}


def test_gradients_reach_every_parameter_but_those_of_pretraining():
    network = fill(Frontend(MINI))
    network(clips(8_000)).square().mean().backward()
    without = {name for name, parameter in network.model.named_parameters() if parameter.grad is None}
    assert without == {"mask_emb", "project_q.weight", "project_q.bias", "final_proj.weight", "final_proj.bias"}
    assert without == {name for name, parameter in network.model.named_parameters() if not parameter.requires_grad}


@pytest.mark.parametrize("after_use", [False, True])
def test_copies_and_pickles_compute_the_same(after_use: bool):
    network = fill(Frontend(MINI))
    waveforms = clips(8_000)
    if after_use:
        network(waveforms).sum().backward()
    with torch.no_grad():
        expected = network(waveforms)
        for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            torch.testing.assert_close(twin(waveforms), expected, rtol=0, atol=1e-5)


def test_a_change_of_the_position_weights_takes_effect(mini: Frontend):
    network = copy.deepcopy(mini)
    waveforms = clips(8_000)
    with torch.no_grad():
        before = network(waveforms)
        network.model.encoder.pos_conv[0].weight_g.mul_(2)
        assert not torch.allclose(before, network(waveforms))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convolutions": ()}, "at least one layer"),
        ({"convolutions": "__import__('os').abort()"}, "at least one layer"),
        ({"convolutions": (("__import__('os').abort()", 1, 1),)}, "not \\(channels, kernel, stride\\)"),
        ({"convolutions": ((64, 0, 1),)}, "not \\(channels, kernel, stride\\)"),
        ({"layers": 0}, "layers=0"),
        ({"width": 96.0}, "width=96.0"),
        ({"heads": 5}, "heads=5: must divide width=96"),
        ({"quantize_targets": 1}, "quantize_targets=1"),
    ],
)
def test_impossible_sizes_are_refused(change: dict, message: str):
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(MINI, **change)
