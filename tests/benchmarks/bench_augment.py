"""What augmentation costs a clip beside a training step: ``python -m pytest tests/benchmarks/bench_augment.py``.

Training runs on all cores, augmentation in the loader on one.
"""

import itertools

import pytest
import torch
from deterministic_weights import waveform

from dfdlib.detector import network
from dfdlib.training import augment

BATCH, SAMPLES = 16, 32_000

NAMES = [
    *(f"rawboost={number}" for number in range(1, 9)),
    *(f"codec={name}" for name in augment.CODECS),
]


@pytest.mark.parametrize("name", NAMES)
def bench_a_clip(benchmark, name):
    augmenter = augment.build([name])
    wave = waveform(SAMPLES)  # coders take twice as long for noise
    clips = itertools.count()
    benchmark(lambda: augmenter(wave, rate=16_000, rng=augment.rng(1, 0, next(clips))))


def bench_training_on_a_clip(benchmark):
    """A step on a batch; divide by sixteen."""
    model = network.build("mini", seed=1).train()
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4)
    waves, labels = torch.randn(BATCH, SAMPLES), torch.arange(BATCH) % 2

    def step():
        torch.nn.functional.cross_entropy(model(waves), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    benchmark(step)
