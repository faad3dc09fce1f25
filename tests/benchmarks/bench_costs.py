"""What the main steps cost: ``python -m pytest tests/benchmarks/bench_costs.py --benchmark-json=costs.json``."""

import numpy as np
import pytest
import torch

from dfdlib.data import audio
from dfdlib.detector import network
from dfdlib.detector.preprocessing import FIXED_WINDOW
from dfdlib.evaluation import intervals, metrics

BATCH = 16


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 1000)
    return labels, rng.standard_normal(1000) + labels


@pytest.mark.parametrize("samples", [32_000, FIXED_WINDOW])
def bench_scoring_a_batch(benchmark, samples):
    model = network.build("mini", seed=1).eval()
    waves = torch.randn(BATCH, samples)
    with torch.inference_mode():
        benchmark(model, waves)


@pytest.mark.parametrize("samples", [32_000, FIXED_WINDOW])
def bench_training_step(benchmark, samples):
    model = network.build("mini", seed=1).train()
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4)
    waves, labels = torch.randn(BATCH, samples), torch.arange(BATCH) % 2

    def step():
        torch.nn.functional.cross_entropy(model(waves), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    benchmark(step)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def bench_loading_a_clip(benchmark, rate, tmp_path):
    wave = np.random.default_rng(1).standard_normal(2 * rate) * 0.1
    audio.write_wav(tmp_path / "clip.wav", wave, rate=rate)
    benchmark(audio.load, tmp_path / "clip.wav", rate=audio.RATE)


def bench_every_metric(benchmark, trials):
    benchmark(metrics.evaluate, *trials)


@pytest.mark.parametrize("metric", ["eer", "auc"])
def bench_interval(benchmark, trials, metric):
    benchmark(intervals.interval, *trials, metric=metric, resamples=1000, seed=1)
