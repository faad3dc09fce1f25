"""Load sound files as mono float32 waveforms at a stated rate.

`dfdlib.data.decoding` decodes files in blocks and averages their channels; soxr resamples each block. `load` joins the
blocks; `stream` yields them, so that hours of sound take no more memory than seconds. The samples are the same to the
bit.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfdlib import files
from dfdlib.data import decoding
from dfdlib.errors import DataError, ParameterError

#: Version of samples and windows: raise it when a file gives others than before, or none, so that kept results are
#: computed again.
VERSION = 3

#: The rate, in Hz, that wav2vec 2.0 was trained on, and with it every detector here.
RATE = 16_000


def load(path: str | Path, *, rate: int, off_zero: bool = False) -> np.ndarray:
    """Decode a sound file to one channel at `rate`.

    Parameters
    ----------
    path : str or Path
        Any file that libsndfile or FFmpeg can decode.
    rate : int
        The sample rate of the result, in Hz. There is no default: a rate that nobody chose is how the study
        that this project rebuilds came to feed 22,050 Hz audio to a 16,000 Hz model.
    off_zero : bool
        Take sound far off zero too, for whoever takes its mean away.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Full scale is 1. Lossy decoders may go slightly beyond.

    Raises
    ------
    DataError
        The file is missing, is not audio, holds no samples, or holds samples that are not finite or are whole numbers
        in a file of floating point, or its channels cancel each other; or it lies far off zero, without `off_zero`.
    ParameterError
        `rate` is below one.
    """
    return _joined(list(_at_rate(path, rate, off_zero=off_zero)))


def stream(path: str | Path, *, rate: int, block: int) -> Iterator[np.ndarray]:
    """Decode a sound file as `load` does, and hand out the samples as they come.

    Yields
    ------
    ndarray of float32, shape (block,)
        The last one may be shorter, but is not empty. Together they are what `load` returns.
    """
    if block < 1:
        raise ParameterError(f"block={block}: must be at least 1")
    waiting, count = [], 0
    for samples in _at_rate(path, rate):
        waiting.append(samples)
        count += len(samples)
        if count >= block:
            joined, full = _joined(waiting), count - count % block
            yield from joined[:full].reshape(-1, block)
            waiting, count = [joined[full:].copy()], count - full
    if count:
        yield _joined(waiting)


def load_at_native_rate(path: str | Path, *, off_zero: bool = False) -> tuple[np.ndarray, int]:
    """Decode a sound file as `load` does, to its samples, float32 of shape (n_samples,), and its own rate in Hz."""
    rate, blocks = decoding.opened(Path(path), off_zero=off_zero)
    return _joined(list(blocks)), rate


def duration(path: str | Path) -> float:
    """Return the duration of a sound file in seconds, as `load` decodes it.

    The header tells it where libsndfile checks that against the size or the last page of the file, and for flac and mp3
    where the packets agree. Else the file is decoded.
    """
    frames, rate = decoding.length(Path(path))
    return frames / rate


def resample(wave: np.ndarray, *, rate: int, to: int) -> np.ndarray:
    """Change the sample rate of `wave`, shape (n_samples,), from `rate` to `to` Hz, keeping its duration."""
    if rate <= 0 or to <= 0:
        raise ParameterError(f"rate={rate}, to={to}: sample rates are positive numbers of Hz")
    if rate == to:
        return wave
    import soxr

    resampled = soxr.resample(wave, rate, to).astype(np.float32, copy=False)
    # A clip of one or two samples at a high rate can vanish; the nearest thing to it is its first sample.
    return resampled if len(resampled) else wave[:1].astype(np.float32)


def fit(wave: np.ndarray, *, length: int) -> np.ndarray:
    """Cut `wave`, shape (n_samples,), to its first `length` samples, or repeat it end to end to that length."""
    if length < 1:
        raise ParameterError(f"length={length}: a window has at least one sample")
    if len(wave) == 0:
        raise DataError("an empty waveform cannot fill a window; leave the clip out")
    return wave[:length] if len(wave) >= length else np.resize(wave, length)


def write_wav(path: str | Path, wave: np.ndarray, *, rate: int) -> None:
    """Write `wave`, shape (n_samples,), as a 16-bit PCM wav file; values beyond full scale are clipped.

    The same samples always give the same bytes. The file appears whole or not at all.
    """
    import soundfile

    with files.atomic(path, "wb") as file:
        soundfile.write(file, np.clip(wave, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _at_rate(path: str | Path, rate: int, *, off_zero: bool = False) -> Iterator[np.ndarray]:
    """Yield a file's samples at `rate`, in blocks of any length."""
    native_rate, blocks = decoding.opened(Path(path), off_zero=off_zero)
    if rate <= 0:
        raise ParameterError(f"rate={rate}: sample rates are positive numbers of Hz")
    if native_rate == rate:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(native_rate, rate, 1, dtype="float32")
    first, count = None, 0
    for block in blocks:
        first = block[:1] if first is None else first
        resampled = resampler.resample_chunk(block)
        count += len(resampled)
        yield resampled
    rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    yield rest if count + len(rest) else first  # see `resample`
