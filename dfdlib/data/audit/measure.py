"""Measure clips: nuisances, storage and defects.

Each clip is decoded once. A few numbers and its fingerprint are kept (`dfdlib.data.audit.near_duplicates`).
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.fft

from dfdlib import machine
from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.data.audit import near_duplicates
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError

#: What `nuisance_features` measures, with units.
NUISANCES = {
    "duration": "s",
    "level": "dB of full scale, RMS",
    "leading_silence": "s",
    "trailing_silence": "s",
    "bandwidth": "Hz, below which 99 % of the energy lies",
    "tilt": "dB, energy above 1 kHz against that below",
    "treble": "dB, energy in the upper eighth of the band against all",
    "noise_floor": "dB, the quietest tenth of the clip against its level",
    "offset": "dB of full scale, mean; -80 for less",
}

#: What else `measure` says of a clip.
FACTS = {
    "format": "container and codec",
    "rate": "Hz, as stored",
    "channels": "as stored",
    "clipped": "share of samples in flat tops",
    "sound": "SHA-256 of the decoded samples",
}

SILENCE = 40.0  # dB below its loudest 10 ms a clip is silent
LEAST_OFFSET = -80.0  # dB of full scale; what lies below is low-frequency sound, not an offset
ENERGY_SHARE = 0.99  # of a clip's energy lies below its bandwidth


class Measured(NamedTuple):
    """A corpus, measured."""

    # `NUISANCES` and `FACTS` of the clips that can be decoded, under the index that they have in the corpus.
    clips: pd.DataFrame
    fingerprints: list[near_duplicates.Fingerprint]  # of the same clips, in the same order
    left_out: pd.DataFrame  # ``path`` and ``reason`` of the others, and of those that the corpus left out itself


def nuisance_features(wave: np.ndarray, rate: int) -> dict[str, float]:
    """Return a number for each of `NUISANCES` of one clip, shape (n_samples,), at a rate in Hz."""
    if len(wave) == 0:
        raise DataError("an empty waveform has no features; leave the clip out")
    wave = np.asarray(wave, np.float64)
    level = _decibels(np.mean(wave**2))
    leading, trailing, quietest = _silences(wave, rate)
    # Zeros at the end make the transform fast and leave the energy below any frequency as it is.
    size = scipy.fft.next_fast_len(len(wave), real=True)
    energy = np.cumsum(np.abs(scipy.fft.rfft(wave, size)) ** 2)
    total = energy[-1]

    def below(frequency: float) -> float:
        return energy[min(len(energy) - 1, int(frequency * size / rate))]

    return {
        "duration": len(wave) / rate,
        "level": level,
        "leading_silence": leading,
        "trailing_silence": trailing,
        "bandwidth": float(np.searchsorted(energy, ENERGY_SHARE * total) * rate / size) if total else 0.0,
        "tilt": _ratio(total - below(1000), below(1000)),
        "treble": _ratio(total - below(7 / 16 * rate), total),
        "noise_floor": max(quietest - level, -120.0),
        "offset": max(_decibels(np.mean(wave) ** 2), LEAST_OFFSET),
    }


def measure(corpus: Corpus, *, progress: Callable[[int, int], None] | None = None) -> Measured:
    """Decode every clip of a corpus once and measure it; `progress` is called with the clips done and their total."""
    paths = corpus.table["path"].tolist()
    results = []
    # Decoding and Fourier transforms leave Python's lock.
    with ThreadPoolExecutor(machine.cores()) as pool:
        for result in pool.map(_look, paths):
            results.append(result)
            if progress is not None:
                progress(len(results), len(paths))
    good = [number for number, result in enumerate(results) if not isinstance(result, DataError)]
    bad = sorted(set(range(len(results))) - set(good))
    clips = pd.DataFrame(
        [results[number][0] for number in good], index=corpus.table.index[good], columns=[*NUISANCES, *FACTS]
    )
    gone = [{"path": paths[number], "reason": results[number].reason} for number in bad]
    left_out = pd.concat([corpus.left_out, pd.DataFrame(gone, columns=["path", "reason"])], ignore_index=True)
    return Measured(clips, [results[number][1] for number in good], left_out)


def nuisance_table(corpus: Corpus) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `NUISANCES` of every clip that can be decoded, and the table of the others (see `Measured`)."""
    measured = measure(corpus)
    return measured.clips[list(NUISANCES)], measured.left_out


def _look(path: str) -> tuple[dict, near_duplicates.Fingerprint] | DataError:
    try:
        native, rate = audio.load_at_native_rate(path)
        wave = audio.resample(native, rate=rate, to=RATE)
        facts = {
            **_storage(path),
            "rate": rate,
            "clipped": clipped_share(native),
            "sound": hashlib.sha256(native.astype("<f4").tobytes() + str(rate).encode()).hexdigest(),
        }
        return nuisance_features(wave, RATE) | facts, near_duplicates.fingerprint(wave)
    except DataError as error:
        return error


def clipped_share(wave: np.ndarray) -> float:
    """Return the share of samples that lie in flat tops: three or more in a row, equal, at the clip's extremes."""
    peak = np.abs(wave).max()
    if peak < 0.01:
        return 0.0  # so quiet that whole numbers of 16 bits repeat by themselves
    at_peak = np.abs(wave) >= 0.995 * peak
    flat = at_peak[1:] & at_peak[:-1] & (np.abs(np.diff(wave)) <= 1e-4)
    # A top of n samples has n - 1 flat steps; single ones happen in any wave.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    steps = edges[1::2] - edges[::2]
    return float((steps[steps >= 2] + 1).sum() / len(wave))


def _storage(path: str) -> dict:
    """Read from its header how a file is stored."""
    import soundfile

    if Path(path).suffix.lower() != ".g722":
        try:
            info = soundfile.info(path)
            return {"format": f"{info.format} {info.subtype}", "channels": info.channels}
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # one of those that FFmpeg reads
    import av

    try:
        with av.open(path, format="g722" if path.lower().endswith(".g722") else None) as container:
            codec = container.streams.audio[0].codec_context
            return {"format": f"{container.format.name.split(',')[0]} {codec.name}", "channels": codec.channels}
    except (av.FFmpegError, ValueError, IndexError):
        return {"format": f"{Path(path).suffix.lower().removeprefix('.')} unknown", "channels": 1}


def _silences(wave: np.ndarray, rate: int) -> tuple[float, float, float]:
    """Return the seconds before and after all that is louder than `SILENCE` says, and the quietest tenth's level."""
    frame = max(1, rate // 100)
    n_frames = len(wave) // frame
    if n_frames == 0:
        return 0.0, 0.0, -120.0
    levels = 10 * np.log10(np.mean(wave[: n_frames * frame].reshape(n_frames, frame) ** 2, axis=1) + 1e-12)
    loud = np.flatnonzero(levels > levels.max() - SILENCE)
    after = (n_frames - 1 - loud[-1]) * frame / rate
    return loud[0] * frame / rate, after, float(np.quantile(levels, 0.1))


def _decibels(power: float) -> float:
    return float(10 * np.log10(power + 1e-12))


def _ratio(part: float, whole: float) -> float:
    """Return a ratio of energies in dB, within 120 dB either way."""
    return float(np.clip(10 * np.log10((max(part, 0.0) + 1e-30) / (whole + 1e-30)), -120, 120))
