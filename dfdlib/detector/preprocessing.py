"""From the samples of a file to the windows that a detector gets, and from its logits to a score."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dfdlib.data import audio
from dfdlib.detector import network
from dfdlib.errors import ParameterError

#: The study's window in samples: 4.04 s at 16 kHz.
FIXED_WINDOW = 64_600
#: Full windows are no longer than this (30 s at 16 kHz): memory grows with the square of a window's length.
FULL_LONGEST = 480_000
#: Full windows are no shorter than this (0.5 s at 16 kHz); a shorter clip is repeated until it is.
FULL_SHORTEST = 8_000
#: What a clip is cut to: a fixed number of samples, or None for the full clip.
WINDOWS = {"fixed": FIXED_WINDOW, "full": None}


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a clip's waveform, and which number is its score."""

    name: str
    # The rate in Hz that clips are resampled to. The detector takes what it gets for 16,000 Hz, so any other number is
    # a mistake on purpose.
    rate: int = audio.RATE
    # Clips are cut, or repeated end to end, to this many samples. None takes the full clip. One over 30 s gives windows
    # of 30 s, the last of which ends with the clip, and the mean of their logits counts; nothing is repeated but clips
    # under 0.5 s.
    window: int | None = FIXED_WINDOW
    # One of `difference`, `logit`. The logit of bona fide minus the logit of spoof, or the logit of bona fide alone.
    score: str = "difference"

    @classmethod
    def named(cls, name: str, *, window: str = "fixed") -> Self:
        """Return one of `PREPROCESSING` with a window of `WINDOWS`, by their names."""
        if name not in PREPROCESSING:
            raise ParameterError(f"preprocessing={name!r}: choose one of {', '.join(PREPROCESSING)}")
        if window not in WINDOWS:
            raise ParameterError(f"window={window!r}: choose one of {', '.join(WINDOWS)}")
        return replace(PREPROCESSING[name], window=WINDOWS[window])

    @property
    def key(self) -> str:
        """The text under which logits are cached: what is done to the waveform, and by which version of the code."""
        return f"rate={self.rate} window={self.window or f'full of {FULL_LONGEST}'} {versions()}"

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over everything that a score depends on beside the clip and the weights."""
        return hashlib.sha256(f"{self.key} score={self.score}".encode()).hexdigest()

    def for_scorer(self, scorer: object) -> Self:
        """Return this with the rate and the window that a scorer says it takes, where it says so.

        ParameterError: the rate here is wrong on purpose, and the scorer takes one of its own.
        """
        rate, window = getattr(scorer, "rate", audio.RATE), getattr(scorer, "window", None)
        changes = {} if window is None else {"window": window}
        if rate != audio.RATE:
            if self.rate not in (audio.RATE, rate):  # what is fitted already stays
                raise ParameterError(f"preprocessing {self.name}: is for detectors at {audio.RATE} Hz, not at {rate}")
            changes["rate"] = rate
        return replace(self, **changes)

    def windows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what the detector gets of a waveform, given in blocks of shape (n,): windows of shape (window,).

        All of the waveform is read whatever the window, so that a damaged file is one with any preprocessing.
        """
        length = self.window or FULL_LONGEST
        for start, wave in cut(blocks, length=length, hop=length):
            if self.window is None:
                yield audio.fit(wave, length=max(len(wave), FULL_SHORTEST))
            elif start == 0:
                yield audio.fit(wave, length=length)

    def seconds(self, duration: np.ndarray) -> np.ndarray:
        """Return how much of clips of such durations, in seconds, shape (n,), the detector gets."""
        if self.window is not None:
            return np.full(len(duration), self.window / self.rate)
        return np.maximum(duration, FULL_SHORTEST / self.rate)

    def cuts(self, duration: np.ndarray) -> np.ndarray:
        """Return which clips of such durations, in seconds, shape (n,), give more than one window."""
        return np.asarray(duration) > (np.inf if self.window is not None else FULL_LONGEST / self.rate)

    def of_logits(self, logits: np.ndarray) -> np.ndarray:
        """Return scores, shape (n,), from logits, shape (n, 2) as spoof and bona fide."""
        return logits[:, 1] - logits[:, 0] if self.score == "difference" else logits[:, 1]


def cut(blocks: Iterable[np.ndarray], *, length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut a waveform that comes in blocks of shape (n,) into windows, holding little more than one of each.

    Yields
    ------
    start : int
        In samples: 0, `hop`, 2 `hop`, … while a whole window fits, then where the last one starts, which ends with the
        waveform.
    window : ndarray, shape (length,)
        Shorter only where the whole waveform is.
    """
    held, first, start, last = np.zeros(0, np.float32), 0, 0, None
    for block in blocks:
        held = np.concatenate([held, block])
        while start + length <= first + len(held):
            # a copy: a view would keep all that is held
            yield start, held[start - first : start - first + length].copy()
            last, start = start, start + hop
        # Neither the next window nor the one that ends here, should this be the end, needs what is before.
        drop = max(0, min(start - first, len(held) - length))
        held, first = held[drop:], first + drop
    if last is None:
        yield 0, held
    elif last + length < first + len(held):
        yield first + len(held) - length, held[-length:]


#: What the study ran takes librosa's default rate for 16 kHz, and one of two logits for the score.
PREPROCESSING = {
    "original": Preprocessing("original", rate=22_050, score="logit"),
    "corrected": Preprocessing("corrected"),
}


def versions() -> str:
    """Return the versions of the code that logits depend on, as text for keys."""
    return f"audio={audio.VERSION} network={network.VERSION}"
