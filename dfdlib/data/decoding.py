"""Decode sound files to the mean of their channels, at the rate that they are stored in.

libsndfile (through soundfile) reads wav, flac, ogg and opus; what it does not know, or does not know well, goes to
FFmpeg's libraries (through PyAV): mp3, m4a, mp4, g722 and the rest. FFmpeg also decodes what a header written before
the sound leaves out.
"""

import codecs
import contextlib
import functools
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dfdlib.errors import DataError

# Limits of the sample rate (Hz). Damaged headers state others, and resampling from those would fill the memory.
_SLOWEST, _FASTEST = 4_000, 768_000

# Limit of the peak, where full scale is 1. Beyond it a file is too loud, or holds integers of so many bits as floats.
_GREATEST = 8.0
_BITS = (16, 24, 32)

# Channels cancel each other where their mean square exceeds the first and that of their mean is below this share.
_AUDIBLE, _CANCELLED = 1e-6, 1e-3

# Limit of the mean of half a second or more where it has more power than the sound around it.
_OFFSET = 0.1

# Samples of all channels per block: 1 MiB as float32, which fits the processor's cache.
_BLOCK = 2**18

# Bytes read to tell text from sound.
_HEAD = 4096

# Formats of bare streams, which FFmpeg cannot detect.
_FORMATS_WITHOUT_HEADER = {".g722": "g722"}


def opened(path: Path, *, off_zero: bool = False) -> tuple[int, Iterator[np.ndarray]]:
    """Return the rate of a sound file in Hz and its samples: the mean of all channels, in blocks, checked.

    With `off_zero`, sound far off zero is taken too.
    """
    _require_file(path)
    blocks = _decode(path)
    first = next(blocks, None)
    if first is None:
        raise DataError("holds no samples; leave it out or record it again", path=path)
    rate = first[0]
    if not _is_rate(rate):
        raise DataError(
            f"its header says {rate} Hz, no rate of recorded speech; write it again from its source", path=path
        )
    return rate, _checked(path, itertools.chain([first], blocks), off_zero=off_zero)


def length(path: Path) -> tuple[int, int]:
    """Return how many samples `opened` yields of a file, and their rate in Hz; see `audio.duration`."""
    import soundfile

    _require_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames and _is_rate(file.samplerate) and _borne_out(path, file):
                return file.frames, file.samplerate
    except (soundfile.LibsndfileError, RuntimeError):
        pass  # decoding says what is wrong, or finds what comes before the damage
    rate, blocks = opened(path)
    return sum(map(len, blocks)), rate


def is_sound(path: str | Path) -> bool:
    """Tell from the beginning of a file, whatever its name, whether it is of a kind that holds sound."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if not head:
        return False
    if b"\0" not in head:
        with contextlib.suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(head)
            return False  # Text is no sound. FFmpeg would take some for a playlist, and open what it names.
    import soundfile

    with contextlib.suppress(soundfile.LibsndfileError, RuntimeError):
        soundfile.info(str(path))
        return True
    av = _quiet_av()
    with contextlib.suppress(av.FFmpegError, ValueError, EOFError), av.open(str(path)) as container:
        return bool(container.streams.audio)
    return False


def _is_rate(rate: int) -> bool:
    return _SLOWEST <= rate <= _FASTEST


def _checked(path: Path, blocks: Iterable[tuple[int, np.ndarray, float]], *, off_zero: bool) -> Iterator[np.ndarray]:
    """Check blocks of samples and yield the mean of their channels."""
    energy, energy_of_mean, total, count = 0.0, 0.0, 0.0, 0
    for rate, samples, scale in blocks:
        channels = samples.shape[1]
        samples = samples.astype(np.float32, copy=False)
        if channels == 1:
            mean = samples[:, 0] if scale == 1 else samples[:, 0] * np.float32(scale)
        else:
            mean = samples @ np.full(channels, scale / channels, np.float32)
            energy += scale**2 / channels * float(np.vdot(samples, samples))
        energy_of_mean += float(np.vdot(mean, mean))
        total += float(mean.sum())
        count += len(mean)
        peak = max(mean.max(), -mean.min())
        if not np.isfinite(peak):
            raise DataError("holds samples that are NaN or infinite; write it again from its source", path=path)
        if peak > _GREATEST:
            bits = next((bits for bits in _BITS if 128 < peak <= 2 ** (bits - 1)), None)
            remedy = "write it again at a level that fits"
            if bits:
                remedy = (
                    f"whole numbers in a file of floating point; divide by {2 ** (bits - 1)} if they had {bits} bits"
                )
            raise DataError(f"samples up to {peak:.0f}, not within 1: {remedy}", path=path)
        if energy > _AUDIBLE * count and energy_of_mean < _CANCELLED * energy:
            raise DataError(
                "its channels cancel each other, so that their mean is silent (one is the other with its sign "
                "changed); keep one channel, or change the sign of one",
                path=path,
            )
        offset = total / count
        outweighs = abs(offset) > _OFFSET and 2 * offset**2 > energy_of_mean / count
        if outweighs and count >= rate // 2 and not off_zero:
            raise DataError(
                f"lies {offset:.2f} of full scale off zero, further than its sound reaches; take its mean away",
                path=path,
            )
        yield mean


def _decode(path: Path) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield the rate in Hz, samples of shape (n_samples, n_channels), n_samples > 0, and what to multiply them by."""
    done, empty = 0, False
    if path.suffix.lower() not in _FORMATS_WITHOUT_HEADER:
        import soundfile

        try:
            with _tape(path) as file:
                empty = file.frames == 0
                # It guesses how long an mp3 without a header is, and reads no further.
                for samples, scale in () if file.format == "MP3" else _read(file):
                    yield file.samplerate, samples, scale
                    done += len(samples)
                if done and not (file.format == "FLAC" and done == file.frames < _packets(path)):
                    return
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # not a format that libsndfile knows, or damaged: FFmpeg may know more
    ahead = done
    try:
        for rate, samples in _decode_with_ffmpeg(path):
            skipped = min(ahead, len(samples))
            ahead -= skipped
            if skipped < len(samples):
                yield rate, samples[skipped:], 1.0
    except DataError:
        if not done and not empty:
            raise


def _tape(path: Path):
    """Open a file with soundfile, to be read from beginning to end."""
    import soundfile

    class Tape(soundfile.SoundFile):
        """Read from beginning to end: soundfile would seek after each block, which takes time and makes gaps."""

        def seekable(self) -> bool:
            return False

    return Tape(path)


def _read(file) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the samples of an open file in blocks, and what to multiply them by."""
    # Taken as they are stored, samples of 16 bits come several times sooner than turned into floats there.
    dtype, scale = ("int16", 2.0**-15) if file.subtype == "PCM_16" else ("float32", 1.0)
    frames = max(1, _BLOCK // file.channels)
    # A damaged header may promise more samples than any memory holds: a block's worth is all that is asked for.
    while len(samples := file.read(frames, dtype=dtype, always_2d=True)):
        yield samples, scale


def _decode_with_ffmpeg(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rate in Hz and samples of shape (n_samples, n_channels), as many as `_read` has in a block."""
    av = _quiet_av()

    waiting, count, rate, some = [], 0, 0, False
    try:
        with av.open(str(path), format=_FORMATS_WITHOUT_HEADER.get(path.suffix.lower())) as container:
            if not container.streams.audio:
                raise DataError("holds no audio track; give a file with sound", path=path)
            stream = container.streams.audio[0]
            # Packed samples lie in one plane. PyAV counts the planes of a damaged stream wrongly and reads beyond them.
            resampler = av.AudioResampler(format="flt")
            for frame in container.decode(stream):
                rate = frame.sample_rate
                for block in resampler.resample(frame):
                    samples = block.to_ndarray().reshape(-1, block.layout.nb_channels)
                    samples = samples[: len(samples) - _padding(container, stream, frame)]
                    waiting.append(samples)
                    count += samples.size
                if count >= _BLOCK:
                    yield rate, np.concatenate(waiting)
                    waiting, count, some = [], 0, True
    except (av.FFmpegError, ValueError, EOFError) as error:
        # What comes before the damage is used.
        if not some and not count:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"cannot be decoded as audio ({reason}); convert it to wav or leave it out", path=path
            ) from error
    if count:
        yield rate, np.concatenate(waiting)


def _padding(container, stream, frame) -> int:
    """Return how many samples at the end of a frame lie behind the end of an mp4's track, by its edit list."""
    if "mp4" not in container.format.name or not stream.duration or frame.pts is None:
        return 0
    if frame.time_base != stream.time_base or stream.time_base * frame.sample_rate != 1:
        return 0
    beyond = frame.pts + frame.samples - stream.duration
    return beyond if 0 < beyond < frame.samples else 0


def _borne_out(path: Path, file) -> bool:
    """Check that an open file holds as many frames as soundfile says.

    libsndfile checks most headers against the size of the file or its last page, but believes those of flac and mp3,
    which may be wrong: their packets must agree. The last frame must be there, which is cheap to check but in Ogg and
    mp3.
    """
    if file.format in ("FLAC", "MP3") and file.frames != _packets(path):
        return False
    if file.format == "MP3":
        # In one of a few packets, those that are to be skipped at both ends meet, and FFmpeg does not skip all of them.
        return file.frames >= 5_000
    if file.format != "OGG":
        file.seek(file.frames - 1)
        return len(file.read(2)) == 1
    return True


def _packets(path: Path) -> int:
    """Count the frames that the packets of a file announce, without decoding them."""
    av = _quiet_av()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            units = skipped = 0
            for packet in container.demux(stream):
                units += packet.duration or 0
                for data in packet.iter_sidedata():
                    if data.data_type == "skip_samples":
                        skipped += sum(struct.unpack_from("<II", bytes(data)))
            return round(units * stream.time_base * stream.rate) - skipped
    except (av.FFmpegError, ValueError, EOFError, IndexError):
        return 0


def _require_file(path: Path) -> None:
    # os.path answers no where pathlib raises: a name too long, a folder that may not be searched.
    if os.path.isdir(path):
        raise DataError("is a folder, not a sound file; name the files in it, or use a corpus", path=path)
    if not os.path.isfile(path):
        # Never opened: a pipe that nobody writes into waits for ever.
        what = "is a pipe, a socket or a device, not a" if os.path.exists(path) else "there is no such"
        raise DataError(f"{what} file; check the path", path=path)
    if os.path.getsize(path) == 0:
        raise DataError("is an empty file; leave it out or copy it again", path=path)


@functools.cache
def _quiet_av():
    """Return PyAV with FFmpeg's own messages off: what matters of them is in the errors raised here."""
    import av

    av.logging.set_level(av.logging.PANIC)
    return av
