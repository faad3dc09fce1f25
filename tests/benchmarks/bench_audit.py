"""What an audit costs: ``python -m pytest tests/benchmarks/bench_audit.py --benchmark-json=audit.json``."""

import numpy as np
import pytest

from dfdlib.data import audio
from dfdlib.data.audit import measure, near_duplicates

SECONDS = 2


@pytest.fixture(scope="module")
def wave():
    return 0.1 * np.random.default_rng(1).standard_normal(SECONDS * audio.RATE).astype(np.float32)


@pytest.fixture
def clip(wave, tmp_path):
    audio.write_wav(tmp_path / "clip.wav", wave, rate=audio.RATE)
    return str(tmp_path / "clip.wav")


def bench_everything_about_a_clip(benchmark, clip):
    benchmark(measure._look, clip)


def bench_decoding_a_clip(benchmark, clip):
    benchmark(audio.load, clip, rate=audio.RATE)


def bench_nuisances(benchmark, wave):
    benchmark(measure.nuisance_features, wave, audio.RATE)


def bench_words(benchmark, wave):
    benchmark(near_duplicates.fingerprint, wave)


@pytest.mark.parametrize("clips", [2_000, 20_000])
def bench_search_for_copies(benchmark, clips):
    """Every tenth clip is a copy of another, with one bit in twenty changed."""
    rng = np.random.default_rng(1)
    frames = SECONDS * audio.RATE // near_duplicates.HOP
    # Bits that last, as those of speech do: each word changes a fifth of the one before.
    steps = rng.random((clips, frames, 32), dtype=np.float32) < 0.2
    bits = np.packbits(np.logical_xor.accumulate(steps, axis=1), axis=2).view(np.uint32)[..., 0]
    copies = np.arange(0, clips, 10)
    noise = np.packbits(rng.random((len(copies), frames, 32)) < 0.05, axis=2).view(np.uint32)[..., 0]
    bits[copies] = bits[copies + 5] ^ noise
    fingerprints = [near_duplicates.Fingerprint(clip, np.ones(frames, bool)) for clip in bits]

    def search():
        return near_duplicates._compare(fingerprints, *near_duplicates._candidates(fingerprints, None))

    found = benchmark.pedantic(search, rounds=2)
    assert len(found[0]) >= 0.95 * len(copies)
