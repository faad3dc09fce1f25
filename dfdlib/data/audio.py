"""Sound files in, mono float32 waveforms out, always at a stated rate.

libsndfile (through soundfile) reads wav, flac, ogg, opus and mp3; what it does not know goes to FFmpeg's libraries
(through PyAV): m4a, mp4, g722 and the rest. Channels are averaged, then soxr resamples.

Files are decoded in blocks, and the blocks resampled as they come. `load` joins them; `stream` hands them on, so that
hours of sound take no more memory than seconds, and nothing is decoded beyond what is asked for. The samples are the
same to the bit.
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dfdlib import files
from dfdlib.errors import DataError, ParameterError

#: The rate, in Hz, that wav2vec 2.0 was trained on, and with it every detector here.
RATE = 16_000

#: Files that claim another rate than these, in Hz, are damaged; resampled as they say, they would fill the memory.
SLOWEST_RATE, FASTEST_RATE = 4_000, 768_000

#: What a folder is searched for. Anything else in it is no clip and is passed over.
SUFFIXES = frozenset(".wav .flac .ogg .oga .opus .mp3 .m4a .aac .mp4 .mkv .webm .wma .aif .aiff .au .g722".split())

# Samples, over all channels, that are decoded at a time: 1 MiB as float32, so that they stay in the processor's cache.
_BLOCK = 2**18

# A g722 file is a bare stream: nothing in it tells FFmpeg what it is.
_FORMATS_WITHOUT_HEADER = {".g722": "g722"}


def load(path: str | Path, *, rate: int) -> np.ndarray:
    """Decode a sound file to one channel at `rate`.

    Parameters
    ----------
    path : str or Path
        Any file that libsndfile or FFmpeg can decode.
    rate : int
        The sample rate of the result, in Hz. There is no default: a rate that nobody chose is how the study
        that this project rebuilds came to feed 22,050 Hz audio to a 16,000 Hz model.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Full scale is 1. Lossy decoders may go slightly beyond.

    Raises
    ------
    DataError
        The file is missing, is not audio, holds no samples, or holds samples that are not finite.
    ParameterError
        `rate` is below one.
    """
    return _joined(list(_at_rate(path, rate)))


def stream(path: str | Path, *, rate: int, block: int) -> Iterator[np.ndarray]:
    """Decode a sound file as `load` does, and hand out the samples as they come.

    Parameters
    ----------
    path : str or Path
        As for `load`.
    rate : int
        The sample rate of the blocks, in Hz.
    block : int
        Samples per block.

    Yields
    ------
    ndarray of float32, shape (block,)
        The last one may be shorter, but is not empty. Together they are what `load` returns.

    Raises
    ------
    DataError
        As `load`, once the place in the file is reached.
    ParameterError
        `rate` or `block` is below one.
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


def load_at_native_rate(path: str | Path) -> tuple[np.ndarray, int]:
    """Decode a sound file to one channel at the rate it was stored in.

    Returns
    -------
    wave : ndarray of float32, shape (n_samples,)
    rate : int
        In Hz.

    Raises
    ------
    DataError
        As `load`.
    """
    rate, blocks = _open(path)
    return _joined(list(blocks)), rate


def duration(path: str | Path) -> float:
    """Return the length of a sound file in seconds, read from its header where there is one.

    Raises
    ------
    DataError
        As `load`.
    """
    import soundfile

    path = Path(path)
    _require_file(path)
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError):
        rate, blocks = _open(path)
        return sum(map(len, blocks)) / rate
    if info.frames == 0:
        raise DataError(f"{path}: holds no samples; leave it out or record it again")
    return info.frames / info.samplerate


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
    """Cut `wave`, shape (n_samples,), to its first `length` samples, or repeat it end to end when it is shorter.

    Returns
    -------
    ndarray, shape (length,)

    Raises
    ------
    ParameterError
        `length` is below one.
    DataError
        `wave` is empty: nothing can be repeated.
    """
    if length < 1:
        raise ParameterError(f"length={length}: a window has at least one sample")
    if len(wave) == 0:
        raise DataError("an empty waveform cannot fill a window; leave the clip out")
    if len(wave) >= length:
        return wave[:length]
    return np.resize(wave, length)


def write_wav(path: str | Path, wave: np.ndarray, *, rate: int) -> None:
    """Write `wave`, shape (n_samples,), as a 16-bit PCM wav file; values beyond full scale are clipped.

    The same samples always give the same bytes. The file appears whole or not at all.
    """
    import soundfile

    with files.atomic(path, "wb") as file:
        soundfile.write(file, np.clip(wave, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a sound file; name the files in it, or use a corpus")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is an empty file; leave it out or copy it again")


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _at_rate(path: str | Path, rate: int) -> Iterator[np.ndarray]:
    """Yield a file's samples at `rate`, in blocks of any length."""
    native_rate, blocks = _open(path)
    return _resampled(blocks, rate=native_rate, to=rate)


def _resampled(blocks: Iterable[np.ndarray], *, rate: int, to: int) -> Iterator[np.ndarray]:
    """Change the sample rate of a waveform that comes in blocks, none of them empty."""
    if to <= 0:
        raise ParameterError(f"rate={to}: sample rates are positive numbers of Hz")
    if rate == to:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(rate, to, 1, dtype="float32")
    first, count = None, 0
    for block in blocks:
        first = block[:1] if first is None else first
        resampled = resampler.resample_chunk(block)
        count += len(resampled)
        yield resampled
    rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    yield rest if count + len(rest) else first  # see `resample`


def _open(path: str | Path) -> tuple[int, Iterator[np.ndarray]]:
    """Return the rate of a sound file in Hz and its samples: the mean of all channels, in blocks, checked."""
    path = Path(path)
    _require_file(path)
    blocks = _decode(path)
    rate, first = next(blocks, (RATE, np.zeros(0, np.float32)))
    if len(first) == 0:
        raise DataError(f"{path}: holds no samples; leave it out or record it again")
    if not SLOWEST_RATE <= rate <= FASTEST_RATE:
        raise DataError(
            f"{path}: its header says {rate} Hz, no rate of recorded speech; write it again from its source"
        )
    return rate, _finite(path, first, blocks)


def _finite(path: Path, first: np.ndarray, blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    block = first
    while block is not None:
        if not np.isfinite(block).all():
            raise DataError(f"{path}: holds samples that are NaN or infinite; write it again from its source")
        yield block
        _, block = next(blocks, (None, None))


def _decode(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rate in Hz with each block of samples, which is not empty."""
    done = 0
    if path.suffix.lower() not in _FORMATS_WITHOUT_HEADER:
        import soundfile

        try:
            for rate, block in _decode_with_libsndfile(path):
                yield rate, block
                done += len(block)
            return
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # not a format that libsndfile knows: FFmpeg may
    for rate, block in _decode_with_ffmpeg(path):
        skipped = min(done, len(block))
        done -= skipped
        if skipped < len(block):
            yield rate, block[skipped:]


def _decode_with_libsndfile(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    import soundfile

    class Tape(soundfile.SoundFile):
        """Read from beginning to end. Else soundfile seeks after each block, and mp3 decoders stumble over that."""

        def seekable(self) -> bool:
            return False

    with Tape(path) as file:
        # Taken as they are stored, samples of 16 bits come several times sooner than turned into floats there.
        dtype, scale = ("int16", 2.0**-15) if file.subtype == "PCM_16" else ("float32", 1.0)
        frames = max(1, _BLOCK // file.channels)
        # A damaged header may promise more samples than any memory holds: a block's worth is all that is asked for.
        while len(samples := file.read(frames, dtype=dtype, always_2d=True)):
            yield file.samplerate, _mono(samples, scale)


def _decode_with_ffmpeg(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    av = _quiet_av()

    some = False
    try:
        with av.open(str(path), format=_FORMATS_WITHOUT_HEADER.get(path.suffix.lower())) as container:
            if not container.streams.audio:
                raise DataError(f"{path}: holds no audio track; give a file with sound")
            stream = container.streams.audio[0]
            # Packed samples lie in one plane. PyAV counts the planes of a damaged stream wrongly and reads beyond them.
            resampler = av.AudioResampler(format="flt")
            for frame in container.decode(stream):
                for block in resampler.resample(frame):
                    samples = _mono(block.to_ndarray().reshape(-1, block.layout.nb_channels))
                    if len(samples):
                        yield frame.sample_rate or RATE, samples
                        some = True
    except (av.FFmpegError, ValueError, EOFError) as error:
        if some:
            return  # what comes before the damage is used
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be decoded as audio ({reason}); convert it to wav or leave it out") from error


def _mono(samples: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return `scale` times the mean over the channels of samples, shape (n_samples, n_channels), as float32."""
    channels = samples.shape[1]
    samples = samples.astype(np.float32, copy=False)
    if channels == 1:
        return samples[:, 0] if scale == 1 else samples[:, 0] * np.float32(scale)
    return samples @ np.full(channels, scale / channels, np.float32)


@functools.cache
def _quiet_av():
    """Return PyAV with FFmpeg's own messages off: what matters of them is in the errors raised here."""
    import av

    av.logging.set_level(av.logging.PANIC)
    return av
