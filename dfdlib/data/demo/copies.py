"""Rebuild a recording from what an analysis kept of it: copy synthesis, and a simple conversion to another voice.

Each function takes a waveform, shape (n_samples,) at 16 kHz, and a generator, and returns one of about that length.
"""

import functools
import warnings
from pathlib import Path

import numpy as np

from dfdlib import machine
from dfdlib.data.audio import RATE
from dfdlib.data.demo import chain
from dfdlib.errors import RunError


def load_world():
    """Return the module pyworld."""
    with warnings.catch_warnings():
        # pyworld asks setuptools for its own version in a way that setuptools is about to drop.
        warnings.simplefilter("ignore")
        import pyworld

    return pyworld


def world(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """WORLD (Morise et al., 2016): pitch, spectral envelope and aperiodicity, and speech from these alone."""
    pyworld = load_world()
    wave = np.ascontiguousarray(wave, np.float64)
    pitch, times = pyworld.dio(wave, RATE)
    pitch = pyworld.stonemask(wave, pitch, times, RATE)
    envelope = pyworld.cheaptrick(wave, pitch, times, RATE)
    aperiodicity = pyworld.d4c(wave, pitch, times, RATE)
    return pyworld.synthesize(pitch, envelope, aperiodicity, RATE)


def converted(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Convert to another voice by WORLD: low voices become high and high ones low, formants and all."""
    pyworld = load_world()
    wave = np.ascontiguousarray(wave, np.float64)
    pitch, times = pyworld.harvest(wave, RATE)
    envelope = pyworld.cheaptrick(wave, pitch, times, RATE)
    aperiodicity = pyworld.d4c(wave, pitch, times, RATE)
    low = np.median(pitch[pitch > 0]) < 165.0 if pitch.any() else False
    formants = rng.uniform(1.12, 1.2) if low else rng.uniform(0.83, 0.89)
    bins = np.arange(envelope.shape[1])
    places = np.minimum(bins / formants, bins[-1])
    warped = np.exp([np.interp(places, bins, frame) for frame in np.log(envelope)])
    pitch = pitch * (rng.uniform(1.4, 1.7) if low else rng.uniform(0.6, 0.72))
    return pyworld.synthesize(pitch, warped, aperiodicity, RATE)


def griffin_lim(wave: np.ndarray, rng: np.random.Generator, *, rounds: int = 32) -> np.ndarray:
    """A mel spectrogram inverted as early Tacotrons did: the fast Griffin–Lim algorithm (Perraudin et al., 2013)."""
    filters, inverse = mel()
    wanted = np.maximum(np.abs(_spectrogram(wave)) @ filters.T @ inverse.T, 1e-6)
    phase = np.exp(2j * np.pi * rng.random(wanted.shape))
    before = np.zeros_like(phase)
    for _ in range(rounds):
        now = _spectrogram(_from_spectrogram(wanted * phase, len(wave)))
        step = now + 0.99 * (now - before)
        phase, before = step / np.maximum(np.abs(step), 1e-12), now
    return _from_spectrogram(wanted * phase, len(wave))


def _spectrogram(wave: np.ndarray, *, hop: int = 256) -> np.ndarray:
    """Return the short-time Fourier transform of `wave`, shape (n_frames, 513)."""
    padded = np.pad(wave, (4 * hop, 4 * hop + -len(wave) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 4 * hop)[::hop]
    return np.fft.rfft(frames * np.hanning(4 * hop + 1)[:-1])


def _from_spectrogram(spectrogram: np.ndarray, length: int, *, hop: int = 256) -> np.ndarray:
    """Return the waveform, of `length` samples, whose transform is nearest to `spectrogram`."""
    quarters = (np.fft.irfft(spectrogram) * np.hanning(4 * hop + 1)[:-1]).reshape(-1, 4, hop)
    summed = np.zeros((len(quarters) + 3, hop))
    for quarter in range(4):
        summed[quarter : quarter + len(quarters)] += quarters[:, quarter]
    # Squared Hann windows a quarter of their length apart sum to one and a half.
    return summed.ravel()[4 * hop : 4 * hop + length] / 1.5


@functools.cache
def mel(n_mels: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return triangular mel filters, shape (n_mels, 513), and their pseudo-inverse."""
    filters = chain.mel_filters(n_mels, size=1024)
    return filters, np.linalg.pinv(filters)


def lpc(wave: np.ndarray, rng: np.random.Generator, *, order: int = 18, hop: int = 160) -> np.ndarray:
    """Linear prediction (Atal and Hanauer, 1971): an all-pole filter every 10 ms, driven by pulses or noise."""
    from scipy.linalg import solve_toeplitz
    from scipy.signal import butter, lfilter, sosfiltfilt

    pyworld = load_world()
    wave = np.ascontiguousarray(wave, np.float64)
    pitch, times = pyworld.dio(wave, RATE)
    pitch = np.interp(np.arange(len(wave)) / RATE, times, pitch, right=0.0) * (
        np.interp(np.arange(len(wave)) / RATE, times, pitch > 0) > 0.5
    )
    pulses = np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=0.0) * np.sqrt(RATE / np.maximum(pitch, 50.0))
    noise = rng.standard_normal(len(wave))
    driver = np.where(pitch > 0, pulses + 0.1 * noise, noise)
    window = np.hanning(4 * hop)
    padded, driver = (np.pad(each, 2 * hop) for each in (wave, driver))
    built = np.zeros_like(padded)
    for start in range(0, len(padded) - 4 * hop + 1, hop):
        part = slice(start, start + 4 * hop)
        frame = padded[part] * window
        correlation = np.correlate(frame, frame, "full")[4 * hop - 1 : 4 * hop + order]
        correlation[0] = correlation[0] * 1.0001 + 1e-9
        poles = solve_toeplitz(correlation[:-1], correlation[1:])
        excitation = driver[part] * window
        gain = np.sqrt(max(correlation[0] - poles @ correlation[1:], 0.0) / (np.sum(excitation**2) + 1e-9))
        built[part] += gain * lfilter([1.0], np.concatenate([[1.0], -poles]), excitation)
    # Pulses of one sign have a mean, which no recording has: it would give the attack away.
    built = sosfiltfilt(butter(2, 40.0, "highpass", fs=RATE, output="sos"), built)
    return built[2 * hop : 2 * hop + len(wave)]


def neural(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mel spectrogram inverted by a neural vocoder that was trained on other voices."""
    from dfdlib.data.demo import vocoder  # torch takes a second to import

    return vocoder.vocode(wave)


def weights_file() -> Path:
    """Return the weights of the neural vocoder, which come with the project."""
    path = machine.root() / "data" / "models" / "vocoder.safetensors"
    if not path.is_file():
        raise RunError(f"{path}: not there; take it from the repository, or dfd data vocoder makes it")
    return path
