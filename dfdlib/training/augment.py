"""Augmentation: what a recording goes through on its way to a listener, done to clips before training sees them.

Every effect takes a waveform and gives one of equal length, float32, aligned with it in time. Where the result would go
beyond full scale, the whole clip is turned down to a peak of 1; nothing is clipped. What an effect draws comes from the
generator that it is given and from nothing else, so with `rng` a clip sounds the same in an epoch whichever worker
makes it, in whatever order, after whatever interruption.

`build` makes an augmenter of the names a profile gives:

================  ======================================================================================
``rawboost=N``    RawBoost [1]_, N from 1 to 8 as its authors number the combinations (see `RawBoost`)
``codec``         through one of the codecs that this installation has; ``codec=mp3+opus`` through one of these
``noise``         white or pink noise; ``noise=white`` or ``noise=pink`` for one of them
``gain``          louder or softer
``band-limit``    without the lowest and highest frequencies
``time-mask``     short stretches of silence
================  ======================================================================================

``@`` and a number make it the probability for a clip: ``codec@0.5``. Effects come in the order they are named.

References
----------
.. [1] H. Tak et al., "RawBoost: A raw data boosting and augmentation method applied to automatic speaker
   verification anti-spoofing", ICASSP 2022, arXiv:2111.04433.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from dfdlib.data import audio
from dfdlib.errors import ParameterError
from dfdlib.training.codecs import CODECS, CODINGS, available_codecs

Range = tuple[float, float]
"""Lowest and highest value; what lies between is drawn uniformly."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Something done to a waveform. Called with a waveform of shape (n,), it returns one of that shape, float32.

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
        pass

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} is not done to a waveform")


def rng(seed: int, epoch: int, clip: str | int) -> np.random.Generator:
    """Return the generator for a clip in an epoch.

    Parameters
    ----------
    seed, epoch : int
        Of the run.
    clip : str or int
        What tells the clip from all others: the SHA-256 of its samples, or its place in the corpus.
    """
    digest = hashlib.sha256(f"{seed} {epoch} {clip}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


@dataclass(frozen=True, kw_only=True)
class Notches(Effect):
    """The random filter of RawBoost: band-stop filters in a row, its highest gain given.

    Parameters
    ----------
    bands : int
        Band-stop filters in a row.
    centre, width : Range
        Centre and width of the stopped band, in hertz.
    coefficients : Range
        Coefficients of each filter, made odd; with more of them the band is stopped more sharply.
    gain : Range
        Gain where the filter passes most, in decibels.
    """

    bands: int = 5
    centre: Range = (20.0, 8000.0)
    width: Range = (100.0, 1000.0)
    coefficients: Range = (10, 100)
    gain: Range = (0.0, 0.0)

    def _check(self) -> None:
        if self.bands < 1 or min(self.centre + self.width) <= 0 or self.coefficients[0] < 1:
            raise ParameterError(f"{self}: bands, frequencies and coefficients must be above 0")


@dataclass(frozen=True, kw_only=True)
class Convolutive(Effect):
    """Linear and non-linear convolutive noise: powers of the waveform, each through a filter of its own, summed.

    Parameters
    ----------
    orders : int
        The highest power; 1 is linear.
    bias : Range
        By how many decibels the powers from 2 on are softer than the first.
    notches : Notches
        The filters.
    """

    orders: int = 5
    bias: Range = (5.0, 20.0)
    notches: Notches = field(default_factory=Notches)

    def _check(self) -> None:
        if self.orders < 1:
            raise ParameterError(f"orders={self.orders}: must be at least 1")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        responses = _draw_filters(self.notches, self.orders, rate=rate, rng=rng)
        responses[1:] *= 10 ** (-rng.uniform(*self.bias, (self.orders - 1, 1)) / 20)
        powers = np.empty((self.orders, len(wave)), dtype=np.float32)
        powers[0] = wave
        for order in range(1, self.orders):
            np.multiply(powers[order - 1], wave, out=powers[order])
        filtered = _filter(powers, responses)
        return _limit(filtered - filtered.mean())


@dataclass(frozen=True, kw_only=True)
class Impulsive(Effect):
    """Impulsive, signal-dependent noise: some samples become louder, softer or turned round.

    Parameters
    ----------
    share : float
        At most this share of the samples, drawn uniformly from 0.
    gain : float
        Each of these samples x becomes x + gain · x · u · v, with u and v uniform between -1 and 1.
    """

    share: float = 0.1
    gain: float = 2.0

    def _check(self) -> None:
        if not 0 <= self.share <= 1 or not 0 < self.gain < np.inf:
            raise ParameterError(f"{self}: the share must be from 0 to 1, the gain above 0")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        count = int(len(wave) * rng.uniform(0, self.share))
        places = rng.choice(len(wave), count, replace=False, shuffle=False)
        first, second = rng.uniform(-1, 1, (2, count))
        noisy = wave.astype(np.float32)
        noisy[places] *= (1 + self.gain * first * second).astype(np.float32)
        return _limit(noisy)


@dataclass(frozen=True, kw_only=True)
class Stationary(Effect):
    """Stationary noise that does not depend on the signal: white noise through a random filter.

    Parameters
    ----------
    snr : Range
        Signal-to-noise ratio over the whole clip, in decibels.
    notches : Notches
        The filter.
    """

    snr: Range = (10.0, 40.0)
    notches: Notches = field(default_factory=Notches)

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        responses = _draw_filters(self.notches, 1, rate=rate, rng=rng)
        noise = _filter(rng.standard_normal((1, len(wave)), dtype=np.float32), responses)
        return _limit(_add_at(wave, noise, snr=rng.uniform(*self.snr)))


@dataclass(frozen=True, kw_only=True)
class RawBoost(Effect):
    """RawBoost: convolutive (1), impulsive (2) and stationary (3) noise and their combinations.

    Parameters
    ----------
    algorithm : int
        1, 2 and 3 alone; in series 4 (1, 2, 3), 5 (1, 2), 6 (1, 3) and 7 (2, 3); 8 the sum of 1 and 2 in parallel.
    convolutive, impulsive, stationary
        Their settings; the published ones by default.
    """

    algorithm: int
    convolutive: Convolutive = field(default_factory=Convolutive)
    impulsive: Impulsive = field(default_factory=Impulsive)
    stationary: Stationary = field(default_factory=Stationary)

    def _check(self) -> None:
        if self.algorithm not in range(1, 9):
            raise ParameterError(f"algorithm={self.algorithm!r}: RawBoost numbers its combinations from 1 to 8")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        if self.algorithm == 8:
            parts = [part(wave, rate=rate, rng=rng) for part in (self.convolutive, self.impulsive)]
            return _limit(parts[0] + parts[1])
        parts = {1: self.convolutive, 2: self.impulsive, 3: self.stationary}
        series = {4: (1, 2, 3), 5: (1, 2), 6: (1, 3), 7: (2, 3)}
        for number in series.get(self.algorithm, (self.algorithm,)):
            wave = parts[number](wave, rate=rate, rng=rng)
        return wave


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
        _check_choice(self.colours, ("white", "pink"), what="noise")

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
        return _limit(_add_at(wave, noise, snr=rng.uniform(*self.snr)))


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
        return _limit(wave * np.float32(10 ** (rng.uniform(*self.decibels) / 20)))


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
        taps = _band_pass(np.array([low]), np.array([high]), counts, rate=rate)
        return _limit(_filter(wave[None], _response(taps, size=2 ** self.coefficients.bit_length())))


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
        return _limit(masked)


@dataclass(frozen=True, kw_only=True)
class Codec(Effect):
    """Coded and decoded with one of several codecs, without their delay.

    Parameters
    ----------
    names : tuple of str
        Of `CODECS`; one is drawn for each clip.

    Raises
    ------
    ParameterError
        A codec does not exist or is not installed.
    """

    names: tuple[str, ...]

    def _check(self) -> None:
        _check_choice(self.names, CODECS, what="codec")
        _check_choice(self.names, available_codecs(), what="installed codec")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        coding = CODINGS[self.names[rng.integers(len(self.names))]]
        # Coders clip: what is near full scale is turned down first, and up again after.
        scale = np.float32(max(1.0, np.abs(wave).max() / 0.9))
        coded, coded_rate = coding.through(audio.resample(wave / scale, rate=rate, to=coding.rate), rng=rng)
        coded = audio.resample(coded, rate=coded_rate, to=rate)[: len(wave)]
        return _limit(np.pad(coded, (0, len(wave) - len(coded))) * scale)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """An effect, and how probable it is for a clip.

    Parameters
    ----------
    effect : Effect
        What is done.
    probability : float
        From 0 to 1.
    """

    effect: Effect
    probability: float = 1.0

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ParameterError(f"probability={self.probability}: must be from 0 to 1")

    @classmethod
    def parse(cls, text: str) -> "Augmentation":
        """Return what a name stands for (see the top of this module).

        Raises
        ------
        ParameterError
            There is no such effect, or it does not take that value.
        """
        chosen, at, probability = text.partition("@")
        name, _, value = (part.strip() for part in chosen.partition("="))
        if name not in _EFFECTS:
            raise ParameterError(f"no augmentation is called {name!r}; there are {', '.join(_EFFECTS)}")
        try:
            return cls(effect=_EFFECTS[name](value), probability=float(probability) if at else 1.0)
        except ValueError as error:
            raise ParameterError(
                f"augmentation {text!r}: {error}; examples: rawboost=4, codec=mp3+opus@0.5, gain"
            ) from error
        except ParameterError as error:
            raise ParameterError(f"augmentation {text!r}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Augmenter:
    """Augmentations one after the other.

    Parameters
    ----------
    parts : tuple of Augmentation
        In this order.
    """

    parts: tuple[Augmentation, ...]

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented copy of a waveform.

        Parameters
        ----------
        wave : ndarray of floating point, shape (n,)
            Mono, nominally within [-1, 1], every sample finite.
        rate : int
            In hertz.
        rng : Generator
            Where everything is drawn from; `augment.rng` makes one.

        Returns
        -------
        ndarray of float32, shape (n,)
            No sample beyond ±1 if any effect was applied.
        """
        if wave.ndim != 1 or not len(wave):
            raise ParameterError(f"wave of shape {wave.shape}: expected (samples,), at least one")
        wave = wave.astype(np.float32)
        for part in self.parts:
            if rng.random() < part.probability:
                wave = part.effect(wave, rate=rate, rng=rng)
        return wave


def build(names: Sequence[str]) -> Augmenter:
    """Return what applies the named augmentations, in their order.

    Raises
    ------
    ParameterError
        A name is unknown, or does not take that value.
    """
    return Augmenter(parts=tuple(map(Augmentation.parse, names)))


def _chosen(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split("+"))


def _without_value(effect: type):
    def make(value: str) -> Effect:
        if value:
            raise ValueError("takes no value")
        return effect()

    return make


_EFFECTS = {
    "rawboost": lambda value: RawBoost(algorithm=int(value)),
    "codec": lambda value: Codec(names=_chosen(value) if value else available_codecs()),
    "noise": lambda value: Noise(colours=_chosen(value)) if value else Noise(),
    "gain": _without_value(Gain),
    "band-limit": _without_value(BandLimit),
    "time-mask": _without_value(TimeMask),
}


def _check_choice(names: tuple[str, ...], known: tuple[str, ...], *, what: str) -> None:
    if not names:
        raise ParameterError(f"no {what} given; there are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ParameterError(f"no {what} is called {name!r}; there are {', '.join(known) or 'none'}")


def _limit(wave: np.ndarray) -> np.ndarray:
    """Turn a waveform down to a peak of 1 where it goes beyond, and return it as float32."""
    peak = np.abs(wave).max()
    return (wave / peak if peak > 1 else wave).astype(np.float32, copy=False)


def _add_at(wave: np.ndarray, noise: np.ndarray, *, snr: float) -> np.ndarray:
    """Add noise to a waveform at a ratio of their energies in decibels; to silence none is added."""
    energy = np.linalg.norm(noise)
    if energy == 0:
        return wave
    return wave + noise * np.float32(np.linalg.norm(wave) / energy * 10 ** (-snr / 20))


# Filters here have taps that mirror around time zero: they delay nothing, and their frequency response is real.


def _draw_filters(notches: Notches, number: int, *, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return the responses of random filters, shape (number, K), from 0 Hz to half the rate."""
    shape = (number, notches.bands)
    centre, width = rng.uniform(*notches.centre, shape), rng.uniform(*notches.width, shape)
    counts = rng.integers(int(notches.coefficients[0]), int(notches.coefficients[1]), shape, endpoint=True) | 1
    low, high = np.maximum(centre - width / 2, 0), np.minimum(centre + width / 2, rate / 2)
    passed = _band_pass(low.ravel(), np.maximum(low, high).ravel(), counts.ravel(), rate=rate)
    # The filters in a row have fewer taps than this, and the peak between two frequencies is not missed by much.
    size = 2 ** int(notches.bands * counts.max()).bit_length()
    responses = (1 - _response(passed, size=size)).reshape(*shape, -1).prod(axis=1)
    gain = 10 ** (rng.uniform(*notches.gain, (number, 1)) / 20)
    return responses * (gain / np.abs(responses).max(axis=1, keepdims=True))


def _band_pass(low: np.ndarray, high: np.ndarray, counts: np.ndarray, *, rate: int) -> np.ndarray:
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


def _response(taps: np.ndarray, *, size: int) -> np.ndarray:
    """Return the response at size // 2 + 1 frequencies for taps from time zero on."""
    from scipy import fft

    mirrored = np.zeros((len(taps), size))
    mirrored[:, : taps.shape[1]] = taps
    mirrored[:, size - taps.shape[1] + 1 :] = taps[:, :0:-1]
    return fft.rfft(mirrored).real


def _filter(waves: np.ndarray, responses: np.ndarray) -> np.ndarray:
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
