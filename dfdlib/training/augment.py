"""Augmentation: what a recording goes through on its way to a listener, done to clips before training sees them.

Every effect takes a waveform and gives one of equal length, float32, aligned with it in time. Where the result would go
beyond full scale, the whole clip is turned down to a peak of 1; nothing is clipped. What an effect draws comes from the
generator that it is given and from nothing else, so with `rng` a clip sounds the same in an epoch whichever worker
makes it, in whatever order, after whatever interruption.

`build` makes an augmenter of the names a profile gives:

================  ======================================================================================
``rawboost=N``    RawBoost, N from 1 to 8 as its authors number the combinations (see `RawBoost`)
``codec``         through one of the codecs that this installation has; ``codec=mp3+opus`` through one of these
``noise``         white or pink noise; ``noise=white`` or ``noise=pink`` for one of them
``gain``          louder or softer
``band-limit``    without the lowest and highest frequencies
``time-mask``     short stretches of silence
================  ======================================================================================

``@`` and a number make it the probability for a clip: ``codec@0.5``. Effects come in the order they are named.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dfdlib.data import audio
from dfdlib.errors import ParameterError
from dfdlib.training.codecs import CODECS, CODINGS, available_codecs
from dfdlib.training.effects import BandLimit, Effect, Gain, Noise, TimeMask, check_choice, limit
from dfdlib.training.rawboost import RawBoost


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
        check_choice(self.names, CODECS, what="codec")
        check_choice(self.names, available_codecs(), what="installed codec")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        coding = CODINGS[self.names[rng.integers(len(self.names))]]
        # Coders clip: what is near full scale is turned down first, and up again after.
        scale = np.float32(max(1.0, np.abs(wave).max() / 0.9))
        coded, coded_rate = coding.through(audio.resample(wave / scale, rate=rate, to=coding.rate), rng=rng)
        coded = audio.resample(coded, rate=coded_rate, to=rate)[: len(wave)]
        return limit(np.pad(coded, (0, len(wave) - len(coded))) * scale)


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
