"""What several test modules share."""

import numpy as np
import pytest

from dfdlib import audio


@pytest.fixture
def rng():
    """A seeded generator: every run of a test sees the same numbers."""
    return np.random.default_rng(20_240_502)


def tone(seconds=1.0, *, rate=audio.RATE, frequency=220.0, level=0.2):
    """Return a sine of shape (n_samples,) as float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


@pytest.fixture
def clips(tmp_path, rng):
    """A folder with Real/ and Fake/: four half-second clips in each, tones against noise."""
    for number in range(4):
        audio.write_wav(tmp_path / f"Real/real{number}.wav", tone(0.5, frequency=200 + 20 * number), rate=audio.RATE)
        noise = 0.1 * rng.standard_normal(audio.RATE // 2)
        audio.write_wav(tmp_path / f"Fake/fake{number}.wav", noise, rate=audio.RATE)
    return tmp_path
