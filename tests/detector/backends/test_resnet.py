"""The residual network on log spectrograms, against another program's transform and plain numpy."""

import numpy as np
import pytest
import scipy.signal
import torch
from deterministic_weights import fill, waveform
from hypothesis import given
from hypothesis import strategies as st

from dfdlib.detector.backends.resnet import ResNet, ResNetConfiguration
from dfdlib.errors import ParameterError

SMALL = ResNetConfiguration(frame=128, hop=48, channels=(4, 6, 8))


@pytest.fixture(scope="module")
def network():
    return fill(ResNet(SMALL), salt="resnet").eval()


def clips(samples, count=2):
    return torch.from_numpy(np.stack([waveform(samples, salt=str(number)) for number in range(count)]))


@pytest.mark.parametrize("configuration", [SMALL, ResNetConfiguration(floor=1e-3)])
def test_the_spectrogram_is_that_of_scipy(configuration):
    waves, frame, hop = clips(16_000), configuration.frame, configuration.hop
    found = ResNet(configuration).log_spectrogram(waves).numpy()
    scaled = waves.double().numpy()
    scaled /= np.sqrt((scaled**2).mean(axis=1, keepdims=True)) + 1e-6
    window = scipy.signal.get_window("hann", frame)
    _, _, spectrum = scipy.signal.stft(
        scaled, window=window, nperseg=frame, noverlap=frame - hop, boundary=None, padded=False, scaling="spectrum"
    )
    wanted = np.log(np.abs(spectrum[:, :-1]) * window.sum() + configuration.floor)
    assert found.shape == wanted.shape == (2, frame // 2, (16_000 - frame) // hop + 1)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_logits_are_those_of_scipys_convolutions(network):
    weights = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}

    def convolved(image, name, stride):
        kernel = weights[f"{name}.weight"]
        pads = [(0, 0), *((size // 2, size // 2) for size in kernel.shape[2:])]
        image = np.pad(image, pads)
        return np.stack([scipy.signal.correlate(image, one, mode="valid")[0] for one in kernel])[
            :, :: stride[0], :: stride[1]
        ]

    def normed(image, name):
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (image - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
        return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]

    waves = clips(4_000)
    with torch.inference_mode():
        found, images = network(waves).numpy(), network.log_spectrogram(waves).double().numpy()
    for image, logits in zip(images, found, strict=True):
        x = np.maximum(normed(convolved(image[None], "conv", (2, 1)), "bn"), 0)
        for number, stride in enumerate(((2, 2), (2, 1), (2, 2))):
            block = f"blocks.{number}"
            inner = np.maximum(normed(convolved(x, f"{block}.conv1", stride), f"{block}.bn1"), 0)
            inner = normed(convolved(inner, f"{block}.conv2", (1, 1)), f"{block}.bn2")
            x = np.maximum(inner + normed(convolved(x, f"{block}.shortcut.0", stride), f"{block}.shortcut.1"), 0)
        rows = x.reshape(-1, x.shape[2])
        pooled = np.concatenate([rows.mean(axis=1), np.sqrt(rows.var(axis=1) + 1e-5)])
        np.testing.assert_allclose(logits, weights["fc.weight"] @ pooled + weights["fc.bias"], rtol=1e-4, atol=1e-4)


@given(gain=st.floats(0.05, 20))
def test_how_loud_a_clip_is_plays_no_part(network, gain):
    with torch.inference_mode():
        np.testing.assert_allclose(network(gain * clips(2_000)), network(clips(2_000)), atol=2e-2)


@pytest.mark.parametrize("samples", [128, 129, 175, 4_001])
def test_any_length_from_a_frame_on(network, samples):
    with torch.inference_mode():
        assert network(clips(samples)).isfinite().all()


def test_silence_has_logits_and_gradients():
    network = ResNet(SMALL)
    network(torch.zeros(2, 4_000)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


WRONG = [
    {"channels": ()},
    {"hop": 0},
    {"frame": 127},
    {"frame": 32, "channels": (4, 4, 4, 4)},
    {"floor": 0.0},
    {"dropout": 1.0},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_sizes_that_cannot_be(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        ResNetConfiguration(**wrong)
