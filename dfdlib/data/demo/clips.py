"""Make one clip of the plan after the other: recorded, read from text or rebuilt, and through the chain."""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfdlib import files
from dfdlib.data import audio
from dfdlib.data.audio import RATE
from dfdlib.data.demo import chain, debian, synthesis
from dfdlib.errors import DataError

AROUND = 0.3  # of an excerpt's length, read on either side of it
SLOWEST = 0.5  # speed of a synthesiser, of its own pace
SAFETY = 1.08  # times the length that a clip needs


def make(row: dict, files_: Sequence[Path], *, packages: debian.Packages | None = None) -> np.ndarray:
    """Make one clip of the plan from the recordings that its row names: shape (n_samples,) at 16 kHz."""
    rng = np.random.default_rng(_seed(row["clip"]))
    partner = _speech(tuple(map(str, files_)))
    wave, start = partner, row["start"]
    if row["attack"] in synthesis.READERS:
        wave, start = _read(row, packages)
    wave, start = chain.surroundings(wave, start=start, length=row["length"])
    # Between joined recordings nothing sounds, whatever a vocoder or a filter would put there.
    silent = (wave == 0) & (len(row["recordings"]) > 1)
    if row["attack"] in synthesis.VOCODERS:
        wave = synthesis.vocode(wave, row["attack"], seed=_seed(row["clip"]))
    if row["attack"] != "bonafide":
        wave = np.where(silent, 0.0, chain.match(wave, partner, rng=rng))
    wanted = {name: row[name] for name in ("codec", "length", "hiss")}
    return chain.finish(wave, start=start, rng=rng, **wanted)


def _read(row: dict, packages: debian.Packages | None) -> tuple[np.ndarray, float]:
    """Synthesise the text of a clip's twin, slower where it is too short; return it and the clip's start in it."""
    voice = reader(row, packages)
    texts, before = list(row["texts"]), row["start"] / row["whole"]
    if len(texts) == 1:
        texts[0], before = excerpt(texts[0], before, row["length"] / row["whole"])

    def speak(speed: float) -> np.ndarray:
        spoken = [synthesis.read(text, voice, speed=speed, packages=packages) for text in texts]
        # A first pass through the codec, which the recordings had when they were published.
        return chain.join([chain.CODECS[row["published"]](chain.trim(wave)) for wave in spoken])

    wave = speak(1.0)
    # Words are cut where their twin is cut, between them or in them, so they are to last as long as it does.
    needed = row["length"] * SAFETY if len(texts) == 1 else row["whole"]
    if len(wave) < needed * RATE:
        wave = speak(round(max(SLOWEST, len(wave) / RATE / needed), 2))
    return wave, before * len(wave) / RATE


def reader(row: dict, packages: debian.Packages) -> synthesis.Voice:
    """Return the voice that reads the text of a spoof clip."""
    there = packages.versions
    return synthesis.voice(row["attack"], language=row["language"], key=row["sentence"], there=there)


def excerpt(text: str, start: float, length: float) -> tuple[str, float]:
    """Return the words of `text` around a part of it, and where that part starts in them, as a share of them.

    The part is given by `start` and `length` as shares of the whole, and gets `AROUND` of its length on either side.
    """
    words = text.split()
    first = int(max(0.0, start - AROUND * length) * len(words))
    last = max(first + 1, min(len(words), int(np.ceil((start + (1 + AROUND) * length) * len(words)))))
    return " ".join(words[first:last]), max(0.0, (start * len(words) - first) / (last - first))


@functools.lru_cache(maxsize=4)
def _speech(paths: tuple[str, ...]) -> np.ndarray:
    return chain.join([chain.trim(audio.load(path, rate=RATE, off_zero=True)) for path in paths])


def _seed(clip: str) -> int:
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big")


class Job(NamedTuple):
    """A clip to make: where it goes, its row of the plan, and the recordings it needs."""

    path: Path
    row: dict
    recordings: list[str]


class Result(NamedTuple):
    """The outcome of a job; the reason is "" for a clip that was made."""

    sha256: str
    duration: float
    reason: str


def make_chunk(jobs: Iterable[Job], *, packages: debian.Packages) -> list[Result]:
    """Make the missing clips; a clip that cannot be made gets a reason, and the rest are made."""
    results = []
    for job in jobs:
        try:
            if not job.path.is_file():
                wave = make(job.row, [packages.root / name for name in job.recordings], packages=packages)
                audio.write_wav(job.path, wave, rate=RATE)
            results.append(Result(files.sha256(job.path), round(audio.duration(job.path), 6), ""))
        except DataError as error:
            results.append(Result("", 0.0, str(error)))
    return results
