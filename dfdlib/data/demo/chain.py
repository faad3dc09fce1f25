"""One format for both classes: every step here is applied to bona fide and spoof clips alike.

Waveforms are float64 or float32, shape (n_samples,), at 16 kHz.
"""

import functools
import io
from itertools import pairwise

import numpy as np

from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.errors import DataError

FRAME = RATE // 100  # 10 ms
SPEECH_RANGE = 35.0  # dB below the loud parts of a recording down to which it counts as speech
LONGEST_PAUSE = 0.25  # s; longer pauses are cut down to this
WORD_GAP = 0.10  # s between recordings that are joined
LEADS = (0.03, 0.15)  # s into speech where clips begin: onsets differ between speakers and synthesisers
MARGIN = 0.4  # s around a clip that vocoders and codecs may use
FADE = 0.005  # s at both ends of a clip
LEVELS = (-32.0, -24.0)  # dB of full scale, RMS: each clip's level is drawn from here
HISS = (-48.0, -38.0)  # dB of the clip's RMS: noise that is added to every clip, where a corpus has no more
RUMBLE = 70.0  # Hz; nothing below passes
G722_DELAY = 22  # samples, of its filter banks
BANDS = 28  # of the equaliser
EQUALISER_RANGE = (-30.0, 20.0)  # dB


def trim(wave: np.ndarray) -> np.ndarray:
    """Cut silence at both ends and shorten pauses to `LONGEST_PAUSE`."""
    from scipy.signal import butter, sosfilt

    wave = sosfilt(butter(4, RUMBLE, "highpass", fs=RATE, output="sos"), np.asarray(wave, np.float64))
    active = _active_frames(wave)
    if not active.any():
        raise DataError("holds no speech")
    keep = np.zeros(len(active), bool)
    places = np.flatnonzero(active)
    keep[places] = True
    longest = round(LONGEST_PAUSE * RATE / FRAME)
    for before, after in pairwise(places):
        gap = after - before - 1
        if gap <= longest:
            keep[before:after] = True
        else:
            keep[before : before + longest // 2] = True
            keep[after - (longest - longest // 2) : after] = True
    return wave[: len(keep) * FRAME].reshape(-1, FRAME)[keep].ravel()


def join(waves: list[np.ndarray]) -> np.ndarray:
    """Join recordings at one level, with a gap of `WORD_GAP` between them."""
    gap = np.zeros(round(WORD_GAP * RATE))
    pieces = []
    for wave in waves:
        pieces += [_fade(wave / (rms(wave) + 1e-9)), gap]
    return np.concatenate(pieces[:-1])


def cut(wave: np.ndarray, *, start: float, length: float, lead: float) -> np.ndarray:
    """Return `length` seconds of `wave` from `lead` seconds after the first speech at or after `start` seconds.

    A wave that is too short is repeated end to end, as the detector would.
    """
    samples = round(length * RATE)
    first = round(start * RATE)
    later = np.flatnonzero(_active_frames(wave)[first // FRAME :])
    if len(later) and later[0]:
        first = (first // FRAME + later[0]) * FRAME
    first += round(lead * RATE)
    return audio.fit(wave[max(0, min(first, len(wave) - samples)) :], length=samples)


def surroundings(wave: np.ndarray, *, start: float, length: float) -> tuple[np.ndarray, float]:
    """Return the part of `wave` that `cut` will need, with `MARGIN` on either side, and the start within it."""
    first = max(0, min(round((start - MARGIN) * RATE), len(wave) - round((length + 2 * MARGIN) * RATE)))
    return wave[first : round((start + length + 2 * MARGIN) * RATE)], start - first / RATE


def match(wave: np.ndarray, partner: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Give `wave` the channel of `partner`: its long-term spectrum and, where that is lower, its noise floor."""
    gains = _spectrum(partner, loud=True) - _spectrum(wave, loud=True)
    wave = _filter(wave, np.clip(gains - gains.max() + EQUALISER_RANGE[1], *EQUALISER_RANGE))
    wave = wave * (rms(partner) / (rms(wave) + 1e-12))
    wanted, own = (10 ** (_spectrum(each, loud=False) / 10) for each in (partner, wave))
    missing = np.maximum(wanted - own, 1e-12)
    noise = rng.standard_normal(len(wave))
    noise_spectrum = 10 ** (_spectrum(noise, loud=True) / 10)
    return wave + _filter(noise, 10 * np.log10(missing / noise_spectrum))


def through_g722(wave: np.ndarray) -> np.ndarray:
    """Code and decode with G.722 at 64 kbit/s, the format of the telephone prompts."""
    import av

    peak = max(1.0, float(np.abs(wave).max()) / 0.99)
    frame = av.AudioFrame.from_ndarray((wave / peak * 32767).astype(np.int16)[None], format="s16", layout="mono")
    frame.rate = RATE
    encoder = av.CodecContext.create("g722", "w")
    encoder.rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoder = av.CodecContext.create("g722", "r")
    decoder.rate, decoder.layout = RATE, "mono"
    blocks = [block.to_ndarray().ravel() for packet in packets for block in decoder.decode(packet)]
    decoded = np.concatenate(blocks)[G722_DELAY:]
    return as_long(decoded.astype(np.float64) / 32767 * peak, len(wave))


def _through_file(wave: np.ndarray, *, rate: int, format: str, subtype: str) -> np.ndarray:
    import soundfile

    peak = max(1.0, float(np.abs(wave).max()) / 0.99)
    buffer = io.BytesIO()
    samples = audio.resample(wave / peak, rate=RATE, to=rate)
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    buffer.seek(0)
    decoded, rate = soundfile.read(buffer, dtype="float64")
    return as_long(audio.resample(decoded, rate=rate, to=RATE).astype(np.float64) * peak, len(wave))


CODECS = {
    "g722": through_g722,
    # The format of most of the volunteers' words, that of voice messages, and that of a telephone.
    "vorbis": functools.partial(_through_file, rate=44_100, format="OGG", subtype="VORBIS"),
    "opus": functools.partial(_through_file, rate=RATE, format="OGG", subtype="OPUS"),
    "gsm": functools.partial(_through_file, rate=8000, format="WAV", subtype="GSM610"),
}


def finish(
    wave: np.ndarray,
    *,
    codec: str,
    start: float,
    length: float,
    rng: np.random.Generator,
    hiss: tuple[float, float] = HISS,
) -> np.ndarray:
    """Add hiss, code and decode, cut, fade, and set a level drawn from `LEVELS`: the end of the chain."""
    wave = wave / (rms(wave) + 1e-12) * 10 ** (-26 / 20)
    wave = wave + rng.standard_normal(len(wave)) * rms(wave) * 10 ** (rng.uniform(*hiss) / 20)
    wave = _fade(cut(CODECS[codec](wave), start=start, length=length, lead=rng.uniform(*LEADS)))
    wave = wave / (rms(wave) + 1e-12) * 10 ** (rng.uniform(*LEVELS) / 20)
    return wave / max(1.0, float(np.abs(wave).max()) / 0.99)


def rms(wave: np.ndarray) -> float:
    """Return the root of the mean square of `wave`."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def _active_frames(wave: np.ndarray) -> np.ndarray:
    """Return which 10 ms hold speech, by their level in dB, smoothed over three of them."""
    n_frames = len(wave) // FRAME
    if n_frames == 0:
        return np.zeros(0, bool)
    power = np.square(wave[: n_frames * FRAME].reshape(n_frames, FRAME), dtype=np.float64).mean(axis=1)
    levels = 10 * np.log10(np.convolve(power, np.full(3, 1 / 3), "same") + 1e-12)
    # -70 dB of full scale is no speech however quiet the rest.
    return levels > max(np.percentile(levels, 95) - SPEECH_RANGE, -70.0)


def _spectrum(wave: np.ndarray, *, loud: bool) -> np.ndarray:
    """Return power in `BANDS` bands, in dB, over the loud three quarters of `wave` or its quietest tenth."""
    window = np.hanning(512)
    if len(wave) < 1024:
        wave = np.resize(wave, 1024)
    frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::128] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    order = np.argsort(power.sum(axis=1), kind="stable")
    tenth = max(1, len(order) // 10)
    power = power[order[len(order) // 4 :] if loud else order[:tenth]].mean(axis=0)
    bands = mel_filters(BANDS, size=512)
    return 10 * np.log10(bands / bands.sum(axis=1, keepdims=True) @ power + 1e-12)


def mel_edges(count: int) -> np.ndarray:
    """Return the centres in Hz of `count` bands, evenly spaced on a mel scale, with one more at either end."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), count + 2)
    return 700 * (10 ** (mel / 2595) - 1)


def mel_filters(count: int, *, size: int) -> np.ndarray:
    """Return triangular filters of height one over the bins of a transform, shape (count, size // 2 + 1)."""
    edges, bins = mel_edges(count), np.fft.rfftfreq(size, 1 / RATE)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rise, fall), 0, None)


def _filter(wave: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Filter `wave` with `gains`, in dB, shape (BANDS,), linear in phase."""
    from scipy.signal import fftconvolve, firwin2

    frequencies = np.concatenate([[0.0], mel_edges(BANDS)[1:-1], [RATE / 2]])
    amplitudes = 10 ** (np.concatenate([gains[:1], gains, gains[-1:]]) / 20)
    return fftconvolve(wave, firwin2(511, frequencies, amplitudes, fs=RATE), mode="same")


def _fade(wave: np.ndarray) -> np.ndarray:
    n = min(round(FADE * RATE), len(wave) // 2)
    ramp = np.linspace(0, 1, n)
    wave = np.array(wave, np.float64)
    wave[:n] *= ramp
    wave[len(wave) - n :] *= ramp[::-1]
    return wave


def as_long(wave: np.ndarray, length: int) -> np.ndarray:
    """Cut `wave` to `length` samples, or pad it with zeros."""
    return wave[:length] if len(wave) >= length else np.pad(wave, (0, length - len(wave)))
