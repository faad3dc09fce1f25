"""Read text aloud with Festival, from packages that are unpacked and not installed.

One Festival runs for each voice in use, for as long as its voice is among the last few: it starts in a fifth of a
second and reads a sentence in a fiftieth.
"""

import atexit
import functools
import re
import shutil
import subprocess
import tempfile
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfdlib.data import audio
from dfdlib.data.demo.debian import Packages
from dfdlib.errors import DataError, RunError

TIMEOUT = 20.0  # s for a sentence; the slowest takes one

#: Commands that set the speed, a factor, and whether the voice obeys it by a longer duration or a lower rate.
_STRETCH = "(Parameter.set 'Duration_Stretch {stretch:.3f})"
_RATE = '(set! hts_engine_params (append own_params (list (list "-r" {speed:.3f}))))'
# Diphones are joined in 16 bits, which some voices exceed: samples wrap around, and click. At half the level none does.
_QUIETLY = """
(set! own_concat us_unit_concat)
(define (us_unit_concat utt)
  (mapcar
    (lambda (unit) (item.set_feat unit "sig" (wave.rescale (wave.copy (item.feat unit "sig")) 0.5)))
    (utt.relation.items utt 'Unit))
  (own_concat utt))
"""
_DATA = "usr/share/festival"
# Punctuation that the character sets of most voices lack.
_PLAIN = str.maketrans("’‘–—\\", "'',, ", '“”„"«»') | {ord("…"): "..."}


@dataclass(frozen=True)
class FestivalVoice:
    """What Festival is told to load and to read with a voice."""

    function: str  # loads the voice
    packages: tuple[str, ...]  # those with the voice and with what it needs besides Festival
    encoding: str = "latin-1"  # of the texts it reads
    pace: str = _STRETCH  # the command that sets the speed, where there is one


_ENGLISH = ("festlex-cmu", "festlex-poslex")
VOICES = {
    "ked": FestivalVoice("ked_diphone", ("festvox-kdlpc16k", *_ENGLISH), "ascii"),
    "slt": FestivalVoice("cmu_us_slt_arctic_hts", ("festvox-us-slt-hts", *_ENGLISH), "ascii", _RATE),
    "ona": FestivalVoice("upc_ca_ona_hts", ("festvox-ca-ona-hts", "festival-ca"), pace=_RATE),
    "nsh": FestivalVoice("msu_ru_nsh_clunits", ("festvox-ru",), "utf-8", pace=""),
}


def read(text: str, name: str, *, speed: float, packages: Packages) -> tuple[np.ndarray, int]:
    """Read `text` with one of `VOICES`: to the same samples, shape (n_samples,), and rate in Hz, whatever came before.

    Letters that the voice's character set lacks lose their accents or are not read. A speed of 1 is the voice's own
    pace, less is slower; the Russian voice, which joins recorded units, has only its own.
    """
    voice = VOICES[name]
    words = _written(text, voice.encoding)
    if not any(character.isalnum() for character in words):
        raise DataError(f"festival {name}: nothing to read in {text!r}")
    pace = voice.pace.format(speed=speed, stretch=1 / speed)
    return _running(name, packages).say(words.encode(voice.encoding), pace=pace)


def _written(text: str, encoding: str) -> str:
    text = "".join(" " if unicodedata.category(each)[0] == "C" else each for each in text.translate(_PLAIN))
    kept = ""
    for character in unicodedata.normalize("NFC", text):
        for shape in (character, unicodedata.normalize("NFKD", character)):
            if encoded := shape.encode(encoding, "ignore"):
                kept += encoded.decode(encoding)
                break
    # Punctuation that stands alone would be a word without sounds.
    return re.sub(r" +(?=[,.;:!?])", "", " ".join(kept.split())).lstrip(",.;:!? ")


class _Running:
    """A Festival that has loaded one voice and waits for sentences on its standard input."""

    def __init__(self, name: str, packages: Packages) -> None:
        data, program = packages.root / _DATA, Path(packages.program("festival"))
        if not program.is_file():
            raise RunError(f"{program}: not there; add festival and its voices to the packages of the demo")
        self.name = name
        self._folder = Path(tempfile.mkdtemp(prefix="festival-"))
        self._said = (self._folder / "said").open("w+b")
        self._process = subprocess.Popen(
            [str(program), "-q", "--pipe"],
            cwd=data,
            env={**packages.environment(), "TMPDIR": str(self._folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        # Compiled in are the folders of an installed Festival.
        self._tell(f'(set! datadir "{data}/") (load (path-append datadir "init.scm"))'.encode())
        self._tell(f"(voice_{VOICES[name].function}) {_QUIETLY}".encode())
        self._tell(b"(defvar hts_engine_params nil) (set! own_params hts_engine_params)")
        if not self._answered() or "ERROR" in self._error():
            raise RunError(f"festival: cannot load the voice {name} ({self._error()}); is its package there?")

    def say(self, words: bytes, *, pace: str) -> tuple[np.ndarray, int]:
        made = self._folder / "made.wav"
        made.unlink(missing_ok=True)
        self._said.seek(0)
        self._said.truncate()
        self._tell(pace.encode())
        self._tell(b'(utt.save.wave (utt.synth (Utterance Text "%s")) "%s" "riff")' % (words, str(made).encode()))
        if not self._answered():
            raise self._ended(f"took over {TIMEOUT:.0f} s or ended")
        if not made.is_file():
            raise DataError(f"festival {self.name}: no sound ({self._error()})")
        return audio.load_at_native_rate(made)

    def _tell(self, commands: bytes) -> None:
        try:
            self._process.stdin.write(commands + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended("ended") from error

    def _answered(self) -> bool:
        """Say whether what was told is done, in time; a Festival that takes too long is ended."""
        self._tell(b'(format t "done\\n") (fflush nil)')
        late = threading.Timer(TIMEOUT, self._process.kill)
        late.start()
        try:
            while line := self._process.stdout.readline():
                if line.startswith(b"done"):
                    return True
            return False
        finally:
            late.cancel()

    def _ended(self, how: str) -> DataError:
        _running.cache_clear()  # the next sentence gets a new one
        return DataError(f"festival {self.name}: {how} ({self._error()})")

    def _error(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "it said nothing")

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._said):
                pipe.close()
            shutil.rmtree(self._folder, ignore_errors=True)


@functools.lru_cache(maxsize=4)
def _running(name: str, packages: Packages) -> _Running:
    return _Running(name, packages)


atexit.register(_running.cache_clear)
