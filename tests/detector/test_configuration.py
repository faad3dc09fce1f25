"""What detectors are made of: every back end built, trained, saved, loaded and scored, in sizes that take no time."""

import copy
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import waveform
from published import ANTIDEEPFAKE, filled
from safetensors.torch import save_file

from dfdlib.detector import aasist, checkpoints, frontend, network, onnx, registry
from dfdlib.detector.backends import conformer, mean, nes2net, raw_aasist, rawnet2, resnet, sls
from dfdlib.detector.configuration import BACKENDS, CONFIGURATIONS, DetectorConfiguration, named
from dfdlib.detector.scorer import TorchScorer
from dfdlib.errors import CheckpointError, ParameterError

FIXTURES = Path(__file__).parents[1] / "fixtures"
SMALL = dataclasses.replace(
    frontend.MINI,
    convolutions=((8, 20, 10), (8, 8, 4), (16, 4, 4), (16, 2, 2)),
    width=32,
    layers=2,
    feed_forward=48,
    position_kernel=8,
)
POST_NORM = dataclasses.replace(SMALL, convolution_bias=False, group_norm=True, norm_first=False)
HUBERT = dataclasses.replace(SMALL, convolution_bias=False, code_words=7)
SMALL_CONFORMER = {"width": 16, "blocks": 2, "kernel": 5}
NES2NET = {"groups": 4, "inner_groups": 4}
PARTS = {
    "raw-aasist": (None, raw_aasist.RawAasistConfiguration(channels=(8, 8, 8), graph_width=8, heterogeneous_width=8)),
    "rawnet2": (None, rawnet2.RawNet2Configuration(taps=33, channels=(20, 20, 24), recurrent=16)),
    "resnet": (None, resnet.ResNetConfiguration(frame=128, hop=64, channels=(4, 6, 8))),
    "sls": (SMALL, sls.SlsConfiguration(hidden=12)),
    "nes2net": (SMALL, nes2net.Nes2NetConfiguration(stacked=False, dilation=1, **NES2NET)),
    "nes2net-x": (SMALL, nes2net.Nes2NetConfiguration(**NES2NET)),
    "conformer": (SMALL, conformer.ConformerConfiguration(**SMALL_CONFORMER)),
    "tcm": (SMALL, conformer.ConformerConfiguration(head_tokens=True, **SMALL_CONFORMER)),
    "mean": (SMALL, mean.MeanConfiguration()),
    "mean-post-norm": (POST_NORM, mean.MeanConfiguration()),
    "mean-hubert": (HUBERT, mean.MeanConfiguration()),
}
SMALLS = {
    name: DetectorConfiguration(name=name, frontend=front, backend=back, normalise=name.startswith("mean"))
    for name, (front, back) in PARTS.items()
}


def clips(samples: int, count: int = 2) -> np.ndarray:
    return np.stack([waveform(samples, salt=str(number)) for number in range(count)])


@pytest.mark.parametrize("name", SMALLS)
def test_a_detector_trains_and_comes_back_from_its_file_with_the_same_scores(name: str, tmp_path: Path):
    configuration = SMALLS[name]
    model = network.build(configuration, seed=1)
    samples = 64_600 if name == "sls" else 6_000
    waves = torch.from_numpy(clips(samples))
    before = copy.deepcopy(model.state_dict())
    loss = torch.nn.functional.cross_entropy(model(waves), torch.tensor([0, 1]))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    loss.backward()
    optimizer.step()
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert len(moved) > len(before) / 2
    # Several processes wait for a gradient of each parameter that says it takes one.
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    network.save(tmp_path / "file.safetensors", model.eval(), metadata={})
    loaded = network.load(tmp_path / "file.safetensors")
    assert loaded.configuration == configuration
    assert network.fingerprint(loaded) == network.fingerprint(model)
    with torch.inference_mode():
        expected = model(waves).double().numpy()
        np.testing.assert_allclose(copy.deepcopy(loaded)(waves).numpy(), expected, rtol=0, atol=1e-5)
    # the short way through the front end
    np.testing.assert_allclose(TorchScorer(loaded).logits(waves.numpy()), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(SMALLS) - {"sls"}))
def test_the_shortest_clip_scores_and_a_shorter_one_is_refused(name: str):
    configuration = SMALLS[name]
    model, least = network.build(configuration, seed=0).eval(), configuration.least_samples
    with torch.inference_mode():
        assert model(torch.zeros(1, least) + 0.1).shape == (1, 2)
        with pytest.raises(ParameterError, match=f"{least - 1} samples: the detector {name} needs at least {least}"):
            model(torch.zeros(1, least - 1))


def test_sls_takes_one_length_only():
    model = network.build(SMALLS["sls"], seed=0).eval()
    with torch.inference_mode():
        assert torch.allclose(model(torch.from_numpy(clips(64_600))).exp().sum(dim=1), torch.ones(2))
    for samples in (96_000, 65_000):
        with pytest.raises(ParameterError, match=f"{samples} samples: the detector sls takes one length only"):
            TorchScorer(model).logits(clips(samples))


def test_weights_do_not_tell_all_that_scores_depend_on():
    old = dataclasses.replace(SMALLS["rawnet2"], backend=dataclasses.replace(PARTS["rawnet2"][1], norm_first=False))
    new = dataclasses.replace(old, backend=dataclasses.replace(old.backend, norm_first=True))
    one, other = network.build(old, seed=0), network.build(new, seed=0)
    assert network.fingerprint(one) == network.fingerprint(other)
    assert TorchScorer(one).fingerprint != TorchScorer(other).fingerprint


@pytest.mark.parametrize(
    "change", [{"normalise": True}, {"backend": dataclasses.replace(aasist.SMALL, graph_temperature=3.0)}]
)
def test_settings_beside_the_weights_are_part_of_what_a_detector_is(change: dict):
    known = CONFIGURATIONS["mini"]
    mini, renamed, other = (
        network.build(dataclasses.replace(known, **part), seed=0) for part in ({}, {"name": "a"}, change)
    )
    assert network.fingerprint(other) == network.fingerprint(mini)
    assert network.identity(other) != network.identity(mini)
    assert TorchScorer(other).fingerprint != TorchScorer(mini).fingerprint
    # What was kept of the first two configurations stays valid.
    assert network.identity(mini) == network.identity(renamed) == network.fingerprint(mini)


def test_half_precision_needs_a_front_end():
    with pytest.raises(ParameterError, match="bfloat16: the detector rawnet2 has no front end"):
        TorchScorer(network.build(SMALLS["rawnet2"], seed=0), precision="bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SMALLS) - {"rawnet2"}))
def test_other_programs_compute_the_same(name: str, tmp_path: Path):
    model = network.build(SMALLS[name], seed=0).eval()
    assert onnx.write(tmp_path / "file.onnx", model).difference < 1e-5
    scorer = onnx.OnnxScorer(tmp_path / "file.onnx")
    np.testing.assert_allclose(scorer.logits(clips(64_600)), TorchScorer(model).logits(clips(64_600)), atol=1e-4)
    if name == "sls":
        with pytest.raises(ParameterError, match="takes 64600 only; choose the window fixed"):
            scorer.logits(clips(65_000))


def test_recurrent_layers_are_not_exported(tmp_path: Path):
    with pytest.raises(ParameterError, match="rawnet2 cannot be written: the exporter unrolls"):
        onnx.write(tmp_path / "file.onnx", network.build(SMALLS["rawnet2"], seed=0))


# Configurations in files


def test_headers_of_older_files_stay_as_they_were():
    for name in ("mini", "xlsr-300m"):
        told = CONFIGURATIONS[name].to_dict()
        assert set(told) == {"name", "frontend", "backend", "rate"}
        assert len(told["frontend"]) == 9
        assert "kind" not in told["backend"]


@pytest.mark.parametrize("name", SMALLS)
def test_a_configuration_survives_json(name: str):
    assert DetectorConfiguration.from_dict(json.loads(json.dumps(SMALLS[name].to_dict()))) == SMALLS[name]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"backend": {"kind": "maxi"}}, "no back end is called 'maxi'; there are aasist, raw-aasist"),
        ({"backend": {"kind": ["sls"]}}, "no back end is called"),
        ({"backend": {"kind": "sls", "frames": 201}}, "missing or unknown settings of SlsConfiguration: hidden"),
        ({"backend": {"kind": "sls", "frames": -1, "hidden": 4}}, "frames=-1: not a value of SlsConfiguration"),
        ({"backend": {"kind": "sls", "frames": True, "hidden": 4}}, "frames=True: not a value"),
        ({"frontend": None}, "back end nes2net needs a front end"),
        ({"normalise": "yes"}, "normalise='yes'"),
        ({"frontend": SMALLS["nes2net"].to_dict()["frontend"] | {"code_words": -3}}, "code_words=-3"),
        ({"backend": SMALLS["nes2net"].to_dict()["backend"] | {"pooling": "max"}}, "pooling='max'"),
        ({"backend": SMALLS["nes2net"].to_dict()["backend"] | {"stacked": 1}}, "stacked=1"),
        (
            {"backend": SMALLS["rawnet2"].to_dict()["backend"] | {"channels": []}},
            "channels=(): not a value of RawNet2Configuration",
        ),
        (
            {"frontend": None, "backend": SMALLS["raw-aasist"].to_dict()["backend"] | {"keep": [0.5, 0.7]}},
            "keep=(0.5, 0.7): not a value of RawAasistConfiguration",
        ),
        ({"backend": SMALLS["conformer"].to_dict()["backend"] | {"heads": 3}}, "width=16, heads=3: each head takes"),
        ({"backend": SMALLS["conformer"].to_dict()["backend"] | {"heads": 0}}, "heads=0: not a value of Conformer"),
        ({"backend": SMALLS["conformer"].to_dict()["backend"] | {"width": "a%s"}}, "width='a%s': not a value"),
        *(
            (
                {"backend": CONFIGURATIONS["mini"].to_dict()["backend"] | {name: value}},
                f"{name}={shown}: not a value of A",
            )
            for name, value, shown in (
                ("features", "128", "'128'"),
                ("channels", [], "()"),
                ("channels", [32, 0], "(32, 0)"),
                ("keep", "0.5", "'0.5'"),
            )
        ),
        ({"backend": SMALLS["nes2net"].to_dict()["backend"] | {"outputs": 1}}, "outputs=1: a detector has two"),
    ],
)
def test_what_no_file_may_hold(change: dict, shown: str):
    with pytest.raises(ParameterError, match=shown.replace("(", r"\(").replace(")", r"\)")):
        DetectorConfiguration.from_dict(SMALLS["nes2net"].to_dict() | change)


def test_a_back_end_that_reads_waveforms_takes_no_front_end():
    with pytest.raises(ParameterError, match="raw-aasist reads waveforms"):
        dataclasses.replace(SMALLS["raw-aasist"], frontend=SMALL)
    with pytest.raises(ParameterError, match="expected the settings of aasist"):
        dataclasses.replace(SMALLS["raw-aasist"], backend="aasist")


def test_every_back_end_has_a_name():
    assert {configuration.kind for configuration in CONFIGURATIONS.values()} == set(BACKENDS)
    assert named("xlsr-aasist") is named("xlsr-300m")
    assert set(registry.ENTRIES) == set(CONFIGURATIONS)
    assert not set(registry.ALIASES) & set(CONFIGURATIONS)


# The published ones


PUBLISHED = {
    "aasist": "aasist",
    "aasist-l": "aasist-l",
    "rawnet2": "rawnet2",
    "rawnet2-asvspoof5": "rawnet2",
    "xlsr-sls": "xlsr-sls",
    "xlsr-nes2net-x": "xlsr-nes2net",
    "xlsr-conformer": "xlsr-conformer",
    "xlsr-tcm": "xlsr-tcm",
    "antideepfake-small": "antideepfake-small",
    "antideepfake-300m": "antideepfake-300m",
    "antideepfake-1b": "antideepfake-1b",
    "antideepfake-2b": "antideepfake-2b",
    "antideepfake-hubert-xl": "antideepfake-hubert_xl",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(name: str):
    shapes = checkpoints.shapes(network.skeleton(name).state_dict())
    if name.startswith("antideepfake"):
        shapes = {key.replace("ssl_model.", "m_ssl."): shape for key, shape in shapes.items()}
    lines = "".join(f"{key} {'x'.join(map(str, shape))}\n" for key, shape in sorted(shapes.items()))
    known = json.loads((FIXTURES / "state_dicts.json").read_text("utf-8"))[PUBLISHED[name]]
    assert (len(shapes), hashlib.sha256(lines.encode()).hexdigest()) == (known["entries"], known["sha256"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name[0] == "w")) for name in ANTIDEEPFAKE]
)
def test_golden_logits_of_antideepfake(name: str):
    model = filled(name)
    with np.load(FIXTURES / "backends_golden.npz") as golden:
        cases = {key.split("logits_")[1]: golden[key] for key in golden if key.startswith(f"antideepfake/{name}_")}
    assert len(cases) >= 3
    scorer = TorchScorer(model)
    for case, expected in cases.items():
        if case.startswith("noise8"):
            waves = (0.1 * np.random.default_rng(8).standard_normal((1, 32_000))).astype(np.float32)
        else:
            waves = np.stack([waveform(int(case), salt=f"adf{number}") for number in range(2)])
        with torch.inference_mode():
            np.testing.assert_allclose(model(torch.from_numpy(waves)).numpy(), expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(scorer.logits(waves), expected, rtol=0, atol=1e-5)


def test_the_front_end_may_be_called_as_antideepfake_calls_it(tmp_path: Path):
    model = network.build(SMALLS["mean-post-norm"], seed=0)
    theirs = {name.replace("ssl_model.", "m_ssl."): value for name, value in model.state_dict().items()}
    save_file(theirs, tmp_path / "file.safetensors")
    loaded = network.load(tmp_path / "file.safetensors", configuration=model.configuration)
    assert network.fingerprint(loaded) == network.fingerprint(model)


@pytest.mark.parametrize("name", ["mini-nes2net", "mini-conformer", "aasist-l"])
def test_a_bare_file_is_recognised(name: str, tmp_path: Path):
    model = network.build(name, seed=0)
    torch.save({f"module.{key}": value for key, value in model.state_dict().items()}, tmp_path / "file.pth")
    assert network.describe(tmp_path / "file.pth").configuration == name
    assert network.load(tmp_path / "file.pth").configuration == CONFIGURATIONS[name]


def test_what_nearly_fits_says_what_it_was_compared_with(tmp_path: Path):
    weights = network.build("aasist-l", seed=0).state_dict()
    del weights["out_layer.bias"]
    torch.save(weights, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"does not fit the detector aasist-l.* 1 missing: out_layer.bias"):
        network.load(tmp_path / "file.pth")


@pytest.mark.parametrize("name", ["aasist", "aasist-l"])
def test_released_weights_are_recognised_and_score_as_published(name: str, released):
    place = released(f"{name.upper()}.pth")
    assert network.describe(place).configuration == name
    scorer = TorchScorer(network.load(place))
    with np.load(FIXTURES / "backends_golden.npz") as golden:
        lengths, salts = golden["released/lengths"][:2], golden["released/salts"][:2]
        expected = golden[f"released/logits_{name.replace('-', '_')}"][:2]
    waves = [np.resize(waveform(int(n), salt=str(salt)), 64_600) for n, salt in zip(lengths, salts, strict=True)]
    np.testing.assert_allclose(scorer.logits(np.stack(waves)), expected, rtol=0, atol=1e-4)
