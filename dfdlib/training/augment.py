"""Augmentation: what a recording goes through on its way to a listener, done to clips before training sees them.

Every effect takes a waveform and gives one of equal length, float32, aligned with it in time. Where the result would go
beyond full scale, the whole clip is turned down to a peak of 1; nothing is clipped. What an effect draws comes from the
generator that it is given and from nothing else, so with `rng` a clip sounds the same in an epoch whichever worker
makes it, in whatever order, after whatever interruption.

`build` makes an augmenter of the names a profile gives:

================  ======================================================================================
``rawboost=N``    RawBoost, N from 1 to 8 as its authors number the combinations (see `RawBoost`)
``codec``         through one of the codecs that this installation has; ``codec=mp3+opus`` through one of these
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
from dfdlib.training.rawboost import RawBoost, limit


def rng(seed: int, epoch: int, clip: str | int) -> np.random.Generator:
    """Return the generator for a clip, told from all others by its SHA-256 or its place, in an epoch of a run."""
    digest = hashlib.sha256(f"{seed} {epoch} {clip}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Coded and decoded with one of several `CODECS`, drawn for each clip, without their delay."""

    names: tuple[str, ...]

    def __post_init__(self):
        for known, what in ((CODECS, "codec"), (available_codecs(), "installed codec")):
            for name in self.names:
                if name not in known:
                    raise ParameterError(f"no {what} is called {name!r}; there are {', '.join(known) or 'none'}")

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        coding = CODINGS[self.names[rng.integers(len(self.names))]]
        # Coders clip: what is near full scale is turned down first, and up again after.
        scale = np.float32(max(1.0, np.abs(wave).max() / 0.9))
        coded, coded_rate = coding.through(audio.resample(wave / scale, rate=rate, to=coding.rate), rng=rng)
        coded = audio.resample(coded, rate=coded_rate, to=rate)[: len(wave)]
        return limit(np.pad(coded, (0, len(wave) - len(coded))) * scale)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """An effect, and how probable it is for a clip, from 0 to 1."""

    effect: RawBoost | Codec
    probability: float = 1.0

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ParameterError(f"probability={self.probability}: must be from 0 to 1")

    @classmethod
    def parse(cls, text: str) -> "Augmentation":
        """Return what a name stands for (see the top of this module)."""
        chosen, at, probability = text.partition("@")
        name, _, value = (part.strip() for part in chosen.partition("="))
        if name not in _EFFECTS:
            raise ParameterError(f"no augmentation is called {name!r}; there are {', '.join(_EFFECTS)}")
        try:
            return cls(effect=_EFFECTS[name](value), probability=float(probability) if at else 1.0)
        except ValueError as error:
            raise ParameterError(f"augmentation {text!r}: {error}; examples: rawboost=4, codec=mp3+opus@0.5") from error
        except ParameterError as error:
            raise ParameterError(f"augmentation {text!r}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Augmenter:
    """Augmentations one after the other."""

    parts: tuple[Augmentation, ...]

    def __call__(self, wave: np.ndarray, *, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented copy, float32 of shape (n,), with no sample beyond ±1 if any effect was applied.

        `wave`, shape (n,), is mono, nominally within [-1, 1], every sample finite; the rate is in hertz.
        """
        if wave.ndim != 1 or not len(wave):
            raise ParameterError(f"wave of shape {wave.shape}: expected (samples,), at least one")
        wave = wave.astype(np.float32)
        for part in self.parts:
            if rng.random() < part.probability:
                wave = part.effect(wave, rate=rate, rng=rng)
        return wave


def build(names: Sequence[str]) -> Augmenter:
    """Return what applies the named augmentations, in their order."""
    return Augmenter(parts=tuple(map(Augmentation.parse, names)))


_EFFECTS = {
    "rawboost": lambda value: RawBoost(algorithm=int(value)),
    "codec": lambda value: Codec(names=tuple(map(str.strip, value.split("+"))) if value else available_codecs()),
}
