"""Effects on waveforms: noise, gain, band limits, masked stretches; and the filters that they share."""

import abc
from dataclasses import dataclass, fields

import numpy as np

from dfdlib.errors import ParameterError

#: Lowest and highest value; a value between is drawn uniformly.
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Settings that are checked when they are made.

    Raises
    ------
    ParameterError
        A range of its settings is not a lowest and a highest value, or `_check` refuses one.
    """

    def __post_init__(self):
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.type is Range and not (len(value) == 2 and -np.inf < value[0] <= value[1] < np.inf):
                raise ParameterError(f"{setting.name}={value!r}: expected the lowest and the highest value")
        self._check()

    def _check(self) -> None:
        """Refuse settings that do not go together."""


class Effect(Checked, abc.ABC):
    """Something done to a waveform."""

    @abc.abstractmethod
    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return a waveform of shape (n,), float32, for one of the same shape."""


@dataclass(frozen=True, kw_only=True)
class Noise(Effect):
    """White or pink noise over the whole clip.

    Parameters
    ----------
    colours : tuple of str
        `white`, `pink` (its power falls with frequency as 1/f), or both to draw from.
    snr : Range
        Signal-to-noise ratio over the whole clip, in decibels.
    """

    colours: tuple[str, ...] = ("white", "pink")
    snr: Range = (10.0, 40.0)

    def _check(self) -> None:
        check_choice(self.colours, ("white", "pink"), what="noise")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        from scipy import fft

        colour = self.colours[rng.integers(len(self.colours))]
        noise = rng.standard_normal(len(wave), dtype=np.float32)
        if colour == "pink":
            size = fft.next_fast_len(len(wave), real=True)
            spectrum = fft.rfft(noise, size)
            spectrum[0] = 0
            spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum), dtype=np.float32))
            noise = fft.irfft(spectrum, size)[: len(wave)]
        return limit(add_at(wave, noise, snr=rng.uniform(*self.snr)))


@dataclass(frozen=True, kw_only=True)
class Gain(Effect):
    """Louder or softer, but no louder than full scale.

    Parameters
    ----------
    decibels : Range
        The gain.
    """

    decibels: Range = (-15.0, 6.0)

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        return limit(wave * np.float32(10 ** (rng.uniform(*self.decibels) / 20)))


@dataclass(frozen=True, kw_only=True)
class BandLimit(Effect):
    """Without the lowest and the highest frequencies, as over a telephone or through a poor microphone.

    Parameters
    ----------
    lowest, highest : Range
        Where the band that passes begins and ends (half amplitude), in hertz.
    coefficients : int
        Of the filter, an odd number: the more, the steeper.
    """

    lowest: Range = (50.0, 400.0)
    highest: Range = (3000.0, 7500.0)
    coefficients: int = 401

    def _check(self) -> None:
        if not 0 < self.lowest[1] < self.highest[0] or self.coefficients < 3 or self.coefficients % 2 == 0:
            raise ParameterError(f"{self}: the band must begin above 0 and before it ends, the coefficients be odd")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        low, high = rng.uniform(*self.lowest), min(rng.uniform(*self.highest), rate / 2)
        counts = np.array([self.coefficients])
        taps = band_pass(np.array([low]), np.array([high]), counts, rate=rate)
        return limit(apply_filters(wave[None], response(taps, size=2 ** self.coefficients.bit_length())))


@dataclass(frozen=True, kw_only=True)
class TimeMask(Effect):
    """Short stretches of silence, as where packets are lost.

    Parameters
    ----------
    count : Range
        How many stretches; they may overlap.
    share : Range
        How long each is, as a share of the clip.
    fade : float
        How long the sound takes to go and to come back, inside the stretch, in seconds.
    """

    count: Range = (1, 2)
    share: Range = (0.02, 0.1)
    fade: float = 0.002

    def _check(self) -> None:
        if self.count[0] < 0 or not 0 <= self.share[0] <= self.share[1] <= 1 or not 0 <= self.fade < np.inf:
            raise ParameterError(f"{self}: no count, share or fade may be below 0, and no share above 1")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        masked = wave.astype(np.float32)
        for _ in range(rng.integers(int(self.count[0]), int(self.count[1]) + 1)):
            length = int(len(wave) * rng.uniform(*self.share))
            start = rng.integers(len(wave) - length + 1)
            ramp = np.linspace(1, 0, min(int(self.fade * rate), length // 2), endpoint=False, dtype=np.float32)
            silence = np.zeros(length, dtype=np.float32)
            silence[: len(ramp)] = ramp
            silence[length - len(ramp) :] = ramp[::-1]
            masked[start : start + length] *= silence
        return limit(masked)


def limit(wave: np.ndarray) -> np.ndarray:
    """Turn a waveform down to a peak of 1 where it goes beyond, and return it as float32."""
    peak = np.abs(wave).max()
    return (wave / peak if peak > 1 else wave).astype(np.float32, copy=False)


def add_at(wave: np.ndarray, noise: np.ndarray, *, snr: float) -> np.ndarray:
    """Add noise to a waveform at a ratio of their energies in decibels; to silence none is added."""
    energy = np.linalg.norm(noise)
    if energy == 0:
        return wave
    return wave + noise * np.float32(np.linalg.norm(wave) / energy * 10 ** (-snr / 20))


# Filters have taps that mirror around time zero: they delay nothing, and their frequency response is real.


def band_pass(low: np.ndarray, high: np.ndarray, counts: np.ndarray, *, rate: int) -> np.ndarray:
    """Return taps from time zero on, shape (F, n), of band-pass filters: an ideal one in a Hamming window.

    Parameters
    ----------
    low, high : ndarray, shape (F,)
        The band's ends, in hertz.
    counts : ndarray of int, shape (F,)
        Taps of each filter, on both sides of time zero and there: odd.
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


def check_choice(names: tuple[str, ...], known: tuple[str, ...], *, what: str) -> None:
    if not names:
        raise ParameterError(f"no {what} given; there are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ParameterError(f"no {what} is called {name!r}; there are {', '.join(known) or 'none'}")
