"""RawBoost [1]_: convolutive, impulsive and stationary noise.

References
----------
.. [1] H. Tak et al., "RawBoost: A raw data boosting and augmentation method applied to automatic speaker
   verification anti-spoofing", ICASSP 2022, arXiv:2111.04433.
"""

from dataclasses import dataclass, field

import numpy as np

from dfdlib.errors import ParameterError

#: Lowest and highest value; a value between is drawn uniformly.
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Notches:
    """The random filter of RawBoost: band-stop filters in a row, its highest gain given."""

    bands: int = 5  # band-stop filters in a row
    # Centre and width of the stopped band, in hertz.
    centre: Range = (20.0, 8000.0)
    width: Range = (100.0, 1000.0)
    # Coefficients of each filter, made odd; with more of them the band is stopped more sharply.
    coefficients: Range = (10, 100)
    gain: Range = (0.0, 0.0)  # gain where the filter passes most, in decibels


@dataclass(frozen=True, kw_only=True)
class Convolutive:
    """Linear and non-linear convolutive noise: powers of the waveform, each through a filter of its own, summed."""

    orders: int = 5  # the highest power; 1 is linear
    bias: Range = (5.0, 20.0)  # by how many decibels the powers from 2 on are softer than the first
    notches: Notches = field(default_factory=Notches)

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        responses = draw_filters(self.notches, self.orders, rate=rate, rng=rng)
        responses[1:] *= 10 ** (-rng.uniform(*self.bias, (self.orders - 1, 1)) / 20)
        powers = np.empty((self.orders, len(wave)), dtype=np.float32)
        powers[0] = wave
        for order in range(1, self.orders):
            np.multiply(powers[order - 1], wave, out=powers[order])
        filtered = apply_filters(powers, responses)
        return limit(filtered - filtered.mean())


@dataclass(frozen=True, kw_only=True)
class Impulsive:
    """Impulsive, signal-dependent noise: some samples become louder, softer or turned round.

    Of at most `share` of the samples, drawn uniformly from 0, x becomes x + gain · x · u · v, with u and v uniform
    between -1 and 1.
    """

    share: float = 0.1
    gain: float = 2.0

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        count = int(len(wave) * rng.uniform(0, self.share))
        places = rng.choice(len(wave), count, replace=False, shuffle=False)
        first, second = rng.uniform(-1, 1, (2, count))
        noisy = wave.astype(np.float32)
        noisy[places] *= (1 + self.gain * first * second).astype(np.float32)
        return limit(noisy)


@dataclass(frozen=True, kw_only=True)
class Stationary:
    """Stationary noise that does not depend on the signal: white noise through a random filter, at an SNR in dB."""

    snr: Range = (10.0, 40.0)
    notches: Notches = field(default_factory=Notches)

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        responses = draw_filters(self.notches, 1, rate=rate, rng=rng)
        noise = apply_filters(rng.standard_normal((1, len(wave)), dtype=np.float32), responses)
        energy, snr = np.linalg.norm(noise), rng.uniform(*self.snr)
        if energy > 0:
            wave = wave + noise * np.float32(np.linalg.norm(wave) / energy * 10 ** (-snr / 20))
        return limit(wave)


@dataclass(frozen=True, kw_only=True)
class RawBoost:
    """RawBoost: convolutive (1), impulsive (2) and stationary (3) noise and their combinations.

    In series they are 4 (1, 2, 3), 5 (1, 2), 6 (1, 3) and 7 (2, 3); 8 is the sum of 1 and 2 in parallel. The settings
    are the published ones by default.
    """

    algorithm: int
    convolutive: Convolutive = field(default_factory=Convolutive)
    impulsive: Impulsive = field(default_factory=Impulsive)
    stationary: Stationary = field(default_factory=Stationary)

    def __post_init__(self):
        if self.algorithm not in range(1, 9):
            raise ParameterError(f"algorithm={self.algorithm!r}: RawBoost numbers its combinations from 1 to 8")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        if self.algorithm == 8:
            parts = [part(wave, rate=rate, rng=rng) for part in (self.convolutive, self.impulsive)]
            return limit(parts[0] + parts[1])
        parts = {1: self.convolutive, 2: self.impulsive, 3: self.stationary}
        series = {4: (1, 2, 3), 5: (1, 2), 6: (1, 3), 7: (2, 3)}
        for number in series.get(self.algorithm, (self.algorithm,)):
            wave = parts[number](wave, rate=rate, rng=rng)
        return wave


def draw_filters(notches: Notches, number: int, *, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return the responses of random filters, shape (number, K), from 0 Hz to half the rate."""
    shape = (number, notches.bands)
    centre, width = rng.uniform(*notches.centre, shape), rng.uniform(*notches.width, shape)
    counts = rng.integers(int(notches.coefficients[0]), int(notches.coefficients[1]), shape, endpoint=True) | 1
    low, high = np.maximum(centre - width / 2, 0), np.minimum(centre + width / 2, rate / 2)
    passed = band_pass(low.ravel(), np.maximum(low, high).ravel(), counts.ravel(), rate=rate)
    # The filters in a row have fewer taps than this, and the peak between two frequencies is not missed by much.
    size = 2 ** int(notches.bands * counts.max()).bit_length()
    responses = (1 - response(passed, size=size)).reshape(*shape, -1).prod(axis=1)
    gain = 10 ** (rng.uniform(*notches.gain, (number, 1)) / 20)
    return responses * (gain / np.abs(responses).max(axis=1, keepdims=True))


def limit(wave: np.ndarray) -> np.ndarray:
    """Turn a waveform down to a peak of 1 where it goes beyond, and return it as float32."""
    peak = np.abs(wave).max()
    return (wave / peak if peak > 1 else wave).astype(np.float32, copy=False)


# Filters have taps that mirror around time zero: they delay nothing, and their frequency response is real.


def band_pass(low: np.ndarray, high: np.ndarray, counts: np.ndarray, *, rate: int) -> np.ndarray:
    """Return taps from time zero on, shape (F, n), of band-pass filters: an ideal one in a Hamming window.

    Bands end at `low` and `high`, in hertz; `counts` are taps on both sides and at zero, odd. All have shape (F,).
    """
    half = (counts // 2)[:, None]
    times = np.arange(half.max() + 1)[None]
    window = np.where(times <= half, 0.54 + 0.46 * np.cos(np.pi * times / np.maximum(half, 1)), 0)
    low, high = (2 * edge[:, None] / rate for edge in (low, high))
    return (high * np.sinc(high * times) - low * np.sinc(low * times)) * window


def response(taps: np.ndarray, *, size: int) -> np.ndarray:
    """Return the response at size // 2 + 1 frequencies for taps from time zero on."""
    from scipy import fft

    mirrored = np.zeros((len(taps), size))
    mirrored[:, : taps.shape[1]] = taps
    mirrored[:, size - taps.shape[1] + 1 :] = taps[:, :0:-1]
    return fft.rfft(mirrored).real


def apply_filters(waves: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Return the sum of waves, shape (F, n), each through its filter, whose response has shape (F, K).

    In blocks that overlap, which is twice as fast as one transform of the whole clip.
    """
    from scipy import fft

    count, length = waves.shape
    reach = responses.shape[1] - 1  # taps before and after time zero
    size, step = 8 * reach, 6 * reach
    taps = fft.irfft(responses, 2 * reach)
    mirrored = np.zeros((count, size), dtype=np.float32)
    mirrored[:, :reach] = taps[:, :reach]
    mirrored[:, size - reach :] = taps[:, reach:]
    blocks = -(-length // step)
    padded = np.zeros((count, blocks * step + 2 * reach), dtype=np.float32)
    padded[:, reach : reach + length] = waves
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::step]
    spectra = (fft.rfft(windows) * fft.rfft(mirrored).real[:, None]).sum(axis=0)
    return fft.irfft(spectra, size)[:, reach : reach + step].ravel()[:length]
