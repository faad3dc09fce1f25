"""Sound files in, mono float32 waveforms out, always at a stated rate.

libsndfile (through soundfile) reads wav, flac, ogg, opus and mp3; what it does not know goes to FFmpeg's libraries
(through PyAV): m4a, mp4, g722 and the rest. Channels are averaged, then soxr resamples.
"""

import functools
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

# Samples, over all channels, that are decoded at a time: 16 MiB as float32.
_BLOCK = 2**22

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
    """
    wave, native_rate = load_at_native_rate(path)
    return resample(wave, rate=native_rate, to=rate)


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
    wave, rate = _decode(Path(path))
    if len(wave) == 0:
        raise DataError(f"{path}: holds no samples; leave it out or record it again")
    if not SLOWEST_RATE <= rate <= FASTEST_RATE:
        raise DataError(
            f"{path}: its header says {rate} Hz, no rate of recorded speech; write it again from its source"
        )
    if not np.isfinite(wave).all():
        raise DataError(f"{path}: holds samples that are NaN or infinite; write it again from its source")
    return wave, rate


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
        wave, rate = load_at_native_rate(path)
        return len(wave) / rate
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


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Return the mean of all channels, shape (n_samples,), as float32, and its rate in Hz."""
    import soundfile

    _require_file(path)
    if path.suffix.lower() not in _FORMATS_WITHOUT_HEADER:
        try:
            with soundfile.SoundFile(path) as file:
                # In blocks: a damaged header may promise more samples than any memory holds.
                frames = max(1, _BLOCK // file.channels)
                blocks = [_mono(file.read(frames, dtype="float32", always_2d=True))]
                while len(blocks[-1]) == frames:
                    blocks.append(_mono(file.read(frames, dtype="float32", always_2d=True)))
                return np.concatenate(blocks), file.samplerate
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # not a format that libsndfile knows: FFmpeg may
    return _decode_with_ffmpeg(path)


def _decode_with_ffmpeg(path: Path) -> tuple[np.ndarray, int]:
    av = _quiet_av()

    blocks = [np.zeros(0, np.float32)]
    try:
        with av.open(str(path), format=_FORMATS_WITHOUT_HEADER.get(path.suffix.lower())) as container:
            if not container.streams.audio:
                raise DataError(f"{path}: holds no audio track; give a file with sound")
            stream = container.streams.audio[0]
            # Packed samples lie in one plane. PyAV counts the planes of a damaged stream wrongly and reads beyond them.
            resampler = av.AudioResampler(format="flt")
            for frame in container.decode(stream):
                for block in resampler.resample(frame):
                    blocks.append(_mono(block.to_ndarray().reshape(-1, block.layout.nb_channels)))
            rate = stream.codec_context.sample_rate
    except (av.FFmpegError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be decoded as audio ({reason}); convert it to wav or leave it out") from error
    return np.concatenate(blocks), rate or RATE


def _mono(samples: np.ndarray) -> np.ndarray:
    """Return the mean over the channels of samples, shape (n_samples, n_channels)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


@functools.cache
def _quiet_av():
    """Return PyAV with FFmpeg's own messages off: what matters of them is in the errors raised here."""
    import av

    av.logging.set_level(av.logging.PANIC)
    return av
