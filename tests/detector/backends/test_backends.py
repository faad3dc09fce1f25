"""Every back end against numbers that the published network computed with the same weights."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import fill, waveform

from dfdlib.detector.backends import conformer, nes2net, raw_aasist, rawnet2, sls

FIXTURES = Path(__file__).parents[2] / "fixtures"
NES2NET = {
    "x": nes2net.Nes2NetConfiguration(),
    "x_astp": nes2net.Nes2NetConfiguration(pooling="attentive"),
    "plain": nes2net.Nes2NetConfiguration(stacked=False, dilation=1, outputs=1),
    "x_selu": nes2net.Nes2NetConfiguration(dilation=1, outputs=1, activation="selu"),
}
RAW = {
    "aasist": (raw_aasist.RawAasistConfiguration(), "aasist27", "AASIST.pth"),
    "aasist-l": (raw_aasist.LIGHT, "aasist-l36", "AASIST-L.pth"),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(FIXTURES / "backends_golden.npz") as file:
        return dict(file)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def features(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((*shape, 1024)).astype(np.float32))


def clips(kind, count):
    """Return waveforms of a kind of the golden numbers: so many samples, or noise."""
    if kind == "noise7_64600":
        wave = (0.1 * np.random.default_rng(7).standard_normal(64_600)).astype(np.float32)
        return torch.from_numpy(wave)[None]
    return torch.stack([torch.from_numpy(waveform(int(kind), salt=str(number))) for number in range(count)])


def close(found, wanted, tolerance=1e-5):
    # Logits beyond one are rounded to so many digits, not to so many places.
    np.testing.assert_allclose(found.numpy(), wanted, rtol=tolerance, atol=tolerance)


def digest(network):
    """Return the SHA-256 over the names and shapes of a state dict."""
    shapes = {name: "x".join(map(str, tensor.shape)) for name, tensor in network.state_dict().items()}
    return hashlib.sha256("".join(f"{name} {shape}\n" for name, shape in sorted(shapes.items())).encode()).hexdigest()


@pytest.mark.parametrize("name", RAW)
def test_aasist_on_waveforms(name, golden):
    configuration, salt, _ = RAW[name]
    network = fill(raw_aasist.RawAasist(configuration), salt=salt)
    assert digest(network) == json.loads((FIXTURES / "state_dicts.json").read_text())[name]["sha256"]
    cases = {key.split("logits_")[1]: wanted for key, wanted in golden.items() if key.startswith(f"{name}/")}
    assert len(cases) == 5
    for kind in cases if name == "aasist-l" else ("64600", "2315"):
        close(network(clips(kind, len(cases[kind]))), cases[kind])
    assert configuration.least_samples == 2315
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, configuration.least_samples - 1))


@pytest.mark.parametrize("name", RAW)
def test_aasist_with_the_released_weights(name, golden, released):
    configuration, _, file = RAW[name]
    network = raw_aasist.RawAasist(configuration).eval()
    network.load_state_dict(torch.load(released(file), map_location="cpu", weights_only=True))
    waves = [
        torch.from_numpy(np.resize(waveform(int(length), salt=str(salt)), 64_600))
        for length, salt in zip(golden["released/lengths"], golden["released/salts"], strict=True)
    ]
    close(network(torch.stack(waves)), golden[f"released/logits_{name.replace('-', '_')}"])


@pytest.mark.parametrize("version", ["asvspoof2021", "asvspoof5"])
def test_rawnet2(version, golden):
    configuration = rawnet2.RawNet2Configuration(norm_first=version == "asvspoof5")
    network = fill(rawnet2.RawNet2(configuration), salt="rawnet2")
    assert digest(network) == json.loads((FIXTURES / "state_dicts.json").read_text())["rawnet2"]["sha256"]
    for kind in ("32000", "64600", "noise7_64600"):
        close(network(clips(kind, 2)), golden[f"rawnet2/logits_{version}_{kind}"])
    # With larger weights the recurrent layers matter.
    for name, parameter in network.named_parameters():
        if name.startswith("gru.weight_"):
            parameter.mul_(4)
    for kind in ("64600", "noise7_64600"):
        close(network(clips(kind, 2)), golden[f"rawnet2/logits_gru4_{version}_{kind}"])
    assert configuration.least_samples == 3211
    assert network(torch.zeros(1, 3211)).shape == (1, 2)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3210))


@pytest.mark.parametrize(("seed", "clips"), [(11, 2), (12, 1)])
def test_sls(seed, clips, golden):
    network = fill(sls.Sls(sls.SlsConfiguration()), salt="sls")
    layers = np.random.default_rng(seed).standard_normal((24, clips, 201, 1024)).astype(np.float32)
    for number, layer in enumerate(layers):
        layer *= np.float32(0.5 + 0.1 * number)
        layer += np.float32(0.02 * number)
    close(network(torch.from_numpy(layers)), golden[f"xlsr-sls/log_probabilities_{seed}"])


@pytest.mark.parametrize("variant", NES2NET)
def test_nes2net(variant, golden):
    network = fill(nes2net.Nes2Net(NES2NET[variant]), salt="nes2net")
    for seed, shape in ((21, (2, 201)), (22, (1, 100)), (23, (3, 3))):
        close(network(features(seed, *shape)), golden[f"xlsr-nes2net/logits_{variant}_{seed}"])
    assert network(features(0, 1, 1)).shape == (1, NES2NET[variant].outputs)


@pytest.mark.parametrize("name", ["xlsr-conformer", "xlsr-tcm"])
def test_conformer(name, golden):
    configuration = conformer.ConformerConfiguration(head_tokens=name == "xlsr-tcm")
    network = conformer.Conformer(configuration)
    network = fill(network, salt=name.removeprefix("xlsr-"), keep=("conformer.positional_emb",))
    # 600 frames: farther apart than the table of relative positions reaches.
    for seed, shape in ((31, (2, 208)), (32, (1, 100)), (33, (2, 600))):
        close(network(features(seed, *shape)), golden[f"{name}/logits_{seed}"])
    if configuration.head_tokens:
        rows = network.conformer.positional_emb[0, golden[f"{name}/positional_emb_rows"], ::16]
        # The published table was computed in float32, whose angles are coarse at the far end.
        close(rows[:4], golden[f"{name}/positional_emb"][:4])
        close(rows, golden[f"{name}/positional_emb"], tolerance=3e-4)


def test_filters_of_a_network_without_values_are_made_when_it_computes(golden):
    configuration, salt, _ = RAW["aasist-l"]
    with torch.device("meta"):
        network = raw_aasist.RawAasist(configuration)
    network = fill(network, salt=salt)
    close(network(clips("2315", 1)), golden["aasist-l/logits_2315"])
