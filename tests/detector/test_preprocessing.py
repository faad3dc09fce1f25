import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfdlib.detector import preprocessing
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing, cut
from dfdlib.errors import ParameterError

FIXED = Preprocessing.named("corrected")
FULL = Preprocessing.named("corrected", window="full")


def test_preprocessings_are_what_the_study_ran_and_what_it_should_have():
    original = Preprocessing.named("original")
    assert (original.rate, original.window, original.score) == (22_050, 64_600, "logit")
    assert (FIXED.rate, FIXED.window, FIXED.score) == (16_000, 64_600, "difference")
    assert FULL.window is None
    assert len({how.fingerprint for how in (original, FIXED, FULL)}) == 3
    logits = np.array([[1.0, 3.0]])
    assert original.of_logits(logits) == [3.0]
    assert FIXED.of_logits(logits) == [2.0]
    for wrong in ({"name": "newest"}, {"name": "corrected", "window": "short"}):
        with pytest.raises(ParameterError, match="choose one of"):
            Preprocessing.named(**wrong)


def blocks(samples, size):
    """Return 0, 1, 2 … as a waveform in blocks."""
    wave = np.arange(samples, dtype=np.float64)
    return (wave[start : start + size] for start in range(0, samples, size))


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 50), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_windows_cover_a_waveform_however_its_blocks_lie(samples, length, hop, size):
    hop = min(hop, length)
    found = list(cut(blocks(samples, size), length=length, hop=hop))
    starts = [start for start, _ in found]
    last = max(samples - length, 0)
    assert starts == sorted({*range(0, last + 1, hop), last})
    for start, window in found:
        assert window.tolist() == list(range(start, min(start + length, samples)))


@given(st.integers(1, 2_000_000))
@settings(max_examples=50, deadline=None)
def test_full_windows_repeat_nothing_but_very_short_clips(samples):
    windows = list(FULL.windows(blocks(samples, 300_000)))
    if samples < preprocessing.FULL_SHORTEST:
        (window,) = windows
        assert len(window) == preprocessing.FULL_SHORTEST
        assert set(window) == set(range(samples))
        return
    assert {len(window) for window in windows} == {min(samples, preprocessing.FULL_LONGEST)}
    assert len(windows) == -(-samples // preprocessing.FULL_LONGEST)
    assert np.array_equal(np.unique(np.concatenate(windows)), np.arange(samples))
    assert windows[-1][-1] == samples - 1


def test_fixed_windows_are_the_first_of_a_clip():
    for samples in (10, FIXED_WINDOW, 200_000):
        (window,) = FIXED.windows(blocks(samples, 30_000))
        assert window.tolist() == [place % samples for place in range(FIXED_WINDOW)]
