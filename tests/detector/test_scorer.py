"""Scoring with torch: the plain network's numbers by a shorter way, alone or in any batch, on any device."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import fill, waveform
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib.detector import network as detector
from dfdlib.detector import precision
from dfdlib.detector import scorer as inference
from dfdlib.detector.frontend import Frontend, FrontendConfiguration
from dfdlib.detector.scorer import FrozenFrontend, Scorer, TorchScorer
from dfdlib.errors import ParameterError

FIXTURES = Path(__file__).parents[1] / "fixtures"
LEAST = detector.CONFIGURATIONS["mini"].least_samples
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]

ODD = FrontendConfiguration(
    # Kernels that are no multiple of their strides, an odd position kernel, and strides of one.
    convolutions=((6, 7, 3), (10, 5, 2), (8, 3, 1), (8, 2, 2)),
    width=24,
    layers=2,
    heads=3,
    feed_forward=20,
    position_kernel=5,
    position_groups=4,
    quantize_targets=False,
    final_width=1,
)


@pytest.fixture(scope="module")
def scorer(mini) -> TorchScorer:
    return TorchScorer(mini, device="cpu")


def clips(samples: int, count: int) -> np.ndarray:
    return np.stack([waveform(samples, salt=str(index)) for index in range(count)])


def plain(model: detector.Detector, windows: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(windows)).numpy()


@given(samples=st.integers(LEAST, 70_000), count=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_logits_are_the_plain_networks(mini, scorer, samples, count):
    windows = clips(samples, count)
    np.testing.assert_allclose(scorer.logits(windows), plain(mini, windows), rtol=0, atol=1e-5)


@given(samples=st.integers(LEAST, 70_000), count=st.integers(2, 20))
@settings(max_examples=6, deadline=None)
def test_a_clip_scores_the_same_alone_and_in_any_batch(scorer, samples, count):
    windows = clips(samples, 2)[np.arange(count) % 2]
    together = scorer.logits(windows)
    alone = np.concatenate([scorer.logits(windows[:1]), scorer.logits(windows[1:2])])
    np.testing.assert_allclose(together, alone[np.arange(count) % 2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(samples=st.integers(60, 5_000), count=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_features_of_any_configuration_are_fairseqs(odd, samples, count, dtype):
    network, frozen = odd[dtype]
    waveforms = torch.from_numpy(clips(samples, count)).to(dtype)
    with torch.inference_mode():
        expected = network(waveforms)
    features = frozen(waveforms)
    assert features.dtype == dtype
    # fairseq computes some layers in single precision whatever it is given.
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def odd() -> dict:
    network = fill(Frontend(ODD))
    networks = {torch.float32: network, torch.float64: copy.deepcopy(network).double()}
    return {dtype: (one, FrozenFrontend(one)) for dtype, one in networks.items()}


@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_blocks_of_the_extractor_leave_no_seams(mini, scorer, monkeypatch, block):
    windows = clips(16_000, 1)
    monkeypatch.setitem(inference.BLOCK, "cpu", block)
    np.testing.assert_allclose(scorer.logits(windows), plain(mini, windows), rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05), ("float16", 0.01)])
def test_devices_and_precisions(mini, device, name, tolerance):
    windows = clips(16_000, 3)
    scorer = TorchScorer(mini, device=device, precision=name)
    assert isinstance(scorer, Scorer)
    logits = scorer.logits(windows)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, plain(mini, windows), rtol=0, atol=tolerance)


def test_what_is_stored_does_not_matter_to_what_is_computed(mini):
    windows = clips(16_000, 2)
    expected = plain(mini, windows)
    for twin, tolerance in ((copy.deepcopy(mini).double(), 1e-5), (copy.deepcopy(mini).bfloat16(), 0.1)):
        np.testing.assert_allclose(TorchScorer(twin).logits(windows), expected, rtol=0, atol=tolerance)
        assert next(twin.parameters()).dtype != torch.float32, "the caller's detector was changed"


def test_fingerprints_tell_weights_and_precisions_apart(mini):
    other = copy.deepcopy(mini)
    with torch.no_grad():
        other.out_layer.bias.add_(1)
    scorers = [TorchScorer(mini, precision=name) for name in precision.PRECISIONS]
    fingerprints = [scorer.fingerprint for scorer in [*scorers, TorchScorer(other)]]
    assert len(set(fingerprints)) == len(fingerprints)
    assert TorchScorer(copy.deepcopy(mini)).fingerprint == fingerprints[0] == detector.fingerprint(mini)


def test_half_precision_holds_the_matrices_of_the_front_end_alone(mini):
    taken = copy.deepcopy(mini)
    scorer = TorchScorer(taken, device="cpu", precision="bfloat16", in_place=True)
    kept = TorchScorer(mini, device="cpu", precision="bfloat16")
    assert {one.dtype for one in mini.parameters()} == {torch.float32}, "the caller's detector was changed"
    assert kept.fingerprint == scorer.fingerprint
    halves = {name for name, one in taken.named_parameters() if one.dtype == torch.bfloat16}
    matrices = {
        name
        for name, one in taken.named_parameters()
        if name.startswith("ssl_model.") and name.endswith(".weight") and one.ndim > 1
    }
    assert halves == matrices
    windows = clips(16_000, 2)
    assert np.array_equal(kept.logits(windows), scorer.logits(windows))
    # What was taken can still be scored with in single precision, as far as its weights are still known.
    np.testing.assert_allclose(TorchScorer(taken).logits(windows), plain(mini, windows), rtol=0, atol=0.05)
    assert {one.dtype for one in taken.parameters()} == {torch.float32, torch.bfloat16}


@pytest.mark.parametrize(
    ("hardware", "large", "device", "expected"),
    [
        (True, True, "cpu", "bfloat16"),
        (False, True, "cpu", "float32"),
        (True, False, "cpu", "float32"),
        (True, True, "cuda", "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(mini, monkeypatch, hardware, large, device, expected):
    monkeypatch.setattr(precision.machine, "multiplies_bfloat16", lambda: hardware)
    monkeypatch.setattr(precision, "LARGE", 1_000 if large else 50_000_000)
    assert precision.chosen("auto", mini, device=device) == expected
    assert precision.chosen("auto", detector.skeleton("aasist-l"), device=device) == "float32"
    if device == "cpu":
        assert TorchScorer(mini, device=device, precision="auto").precision == expected


def test_training_mode_makes_no_difference(mini):
    model = copy.deepcopy(mini).train()
    windows = clips(8_000, 2)
    scorer = TorchScorer(model)
    expected = scorer.logits(windows)
    model.train()
    assert np.array_equal(scorer.logits(windows), expected)


def test_impossible_requests(mini, scorer):
    with pytest.raises(ParameterError, match="device='tpu': choose one of auto, cpu, cuda"):
        TorchScorer(mini, device="tpu")
    with pytest.raises(ParameterError, match="precision='int8': choose one of auto, float32"):
        TorchScorer(mini, precision="int8")
    with pytest.raises(ParameterError, match=f"needs at least {LEAST}"):
        scorer.logits(clips(LEAST - 1, 1))
    with pytest.raises(ParameterError, match="expected \\(clips, samples\\)"):
        scorer.logits(np.zeros(16_000, np.float32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(mini):
    with pytest.raises(ParameterError, match="device='cuda': torch finds no GPU here"):
        TorchScorer(mini, device="cuda")


@pytest.mark.slow
@pytest.mark.alone
def test_golden_logits_of_the_published_network():
    scorer = TorchScorer(fill(detector.skeleton("xlsr-300m")), device="cpu")
    with np.load(FIXTURES / "ssl_aasist_golden.npz") as golden:
        for samples in (64_600, 48_000):
            windows = clips(samples, 2)
            features = scorer._frontend(torch.from_numpy(windows)).numpy()
            np.testing.assert_allclose(features[:, ::20, ::64], golden[f"ssl_{samples}_slice"], rtol=0, atol=1e-4)
            np.testing.assert_allclose(scorer.logits(windows), golden[f"logits_{samples}"], rtol=0, atol=1e-4)
