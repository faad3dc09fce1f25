"""The back end against the numbers of the published network, stage by stage."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from deterministic_weights import fill
from torch.nn import functional as F

from dfdlib.detector.aasist import FULL, SMALL, Aasist
from dfdlib.detector.graph_layers import GraphPool, HeterogeneousGraphAttention
from dfdlib.errors import ParameterError

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAGES = {
    "LL": "LL",
    "encoder": "encoder",
    "attention": "attention",
    "GAT_layer_S": "GAT_S",
    "pool_S": "pool_S",
    "GAT_layer_T": "GAT_T",
    "pool_T": "pool_T",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "ssl_aasist_golden.npz") as numbers:
        return dict(numbers)


@pytest.fixture(scope="module")
def published() -> Aasist:
    return fill(Aasist(FULL))


@pytest.fixture(scope="module")
def computed(published: Aasist) -> dict[str, torch.Tensor]:
    """Return what each stage makes of the golden input."""
    stages = {}
    hooks = [
        getattr(published, name).register_forward_hook(lambda _, __, out, key=key: stages.update({key: out}))
        for name, key in STAGES.items()
    ]
    # The golden numbers of this stage were taken after the activation that follows it.
    hooks.append(published.first_bn.register_forward_hook(lambda _, __, out: stages.update(first_bn=F.selu(out))))
    hooks.append(
        published.HtrgGAT_layer_ST11.register_forward_hook(
            lambda _, __, out: stages.update(zip(("ST11_T", "ST11_S", "ST11_master"), out, strict=True))
        )
    )
    features = np.random.default_rng(7).standard_normal((2, 201, 1024)).astype(np.float32)
    with torch.inference_mode():
        stages["logits"] = published(torch.from_numpy(features))
    for hook in hooks:
        hook.remove()
    return stages


def test_golden_logits(computed: dict, golden: dict):
    np.testing.assert_allclose(computed["logits"].numpy(), golden["backend_logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("stage", ["first_bn", *STAGES.values(), "ST11_T", "ST11_S", "ST11_master"])
def test_golden_stage(stage: str, computed: dict, golden: dict):
    values = computed[stage]
    assert values.shape == tuple(golden[f"backend_{stage}_shape"])
    mean_std = [values.mean().item(), values.std().item()]
    np.testing.assert_allclose(mean_std, golden[f"backend_{stage}_mean_std"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values.flatten()[:64], golden[f"backend_{stage}_head"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("configuration", [FULL, SMALL], ids=["full", "small"])
@pytest.mark.parametrize("frames", [3, 4, 50, 301])
def test_any_number_of_frames_from_three(configuration, frames: int):
    network = fill(Aasist(configuration, inputs=16))
    with torch.inference_mode():
        logits = network(torch.randn(2, frames, 16, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 2)
    assert logits.isfinite().all()


def test_two_frames_are_too_few():
    with pytest.raises(ParameterError, match="2 frames: the back end needs at least 3"):
        fill(Aasist(SMALL, inputs=16))(torch.zeros(1, 2, 16))


def test_gradients_reach_every_parameter_but_the_unused_norms():
    network = fill(Aasist(SMALL, inputs=16)).train()
    network(torch.randn(4, 30, 16, generator=torch.Generator().manual_seed(0))).sum().backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    blocks = range(1, len(SMALL.channels))
    assert without == {f"encoder.{block}.0.bn1.{leaf}" for block in blocks for leaf in ("weight", "bias")}
    assert without == {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def test_the_order_of_temporal_nodes_does_not_matter_to_a_heterogeneous_layer():
    layer = fill(HeterogeneousGraphAttention(8, 4, temperature=1.0, dropout=0.2))
    random = torch.Generator().manual_seed(0)
    first, second, master = (torch.randn(1, n, 8, generator=random) for n in (5, 3, 1))
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.inference_mode():
        plain, mixed = layer(first, second, master), layer(first[:, order], second, master)
    torch.testing.assert_close(mixed[0], plain[0][:, order])
    torch.testing.assert_close(mixed[1], plain[1])
    torch.testing.assert_close(mixed[2], plain[2])


def test_pooling_keeps_the_best_half_in_order():
    pool = GraphPool(1, keep=0.5, dropout=0.0)
    with torch.no_grad():
        pool.proj.weight.fill_(1)
        pool.proj.bias.zero_()
        nodes = torch.tensor([[[1.0], [3.0], [-1.0], [2.0], [0.0]]])
        kept = pool(nodes)
        assert pool(nodes[:, :1]).shape == (1, 1, 1)
    expected = torch.tensor([[[3.0], [2.0]]])
    torch.testing.assert_close(kept, expected * expected.sigmoid())


def test_dropout_only_in_training():
    network = fill(Aasist(SMALL, inputs=16))
    features = torch.randn(2, 30, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(features), network(features))
        network.train()
        with torch.random.fork_rng(devices=[]):
            assert not torch.equal(network(features), network(features))


def test_double_precision_and_copies(published: Aasist, computed: dict):
    features = np.random.default_rng(7).standard_normal((2, 201, 1024)).astype(np.float32)
    with torch.inference_mode():
        logits = copy.deepcopy(published).double()(torch.from_numpy(features).double())
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits.float(), computed["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 2}, "features=2: must be at least 3"),
        ({"keep": 0.0}, "keep=0.0"),
        ({"readout_dropout": 1.0}, "readout_dropout=1.0"),
        ({"graph_temperature": 0.0}, "graph_temperature=0.0"),
    ],
)
def test_impossible_sizes_are_refused(change: dict, message: str):
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(FULL, **change)
