"""Fingerprints of what a report is made from, by content: the weights and every file of its corpora."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from dfdlib import files
from dfdlib.data import tables
from dfdlib.data.inspection import Memory, Seen
from dfdlib.data.listing import MANIFEST
from dfdlib.detector import own
from dfdlib.errors import DataError
from dfdlib.experiment import profile, rivals
from dfdlib.experiment.places import ScoreFiles


def fingerprints(settings: profile.Profile, *, remembered: Path | None = None) -> dict[str, str]:
    """Return a SHA-256 of the weights and of each corpus of a profile, "missing" for what is not there.

    Detectors of somebody's own are loaded for theirs, so that one that cannot be is said before any work. That of a
    corpus is over the contents of its files and their places in it, wherever it lies: all files below a folder, or a
    manifest and the clips that it names. ``remembered`` is a file of `inspection.Memory`.
    """
    places = {"checkpoint": settings.checkpoint} | settings.data.places
    places |= {f"rival {text}": place for text in settings.rivals if (place := rivals.place(text)) is not None}
    with Memory(remembered) as memory:
        found = {name: _of_place(place, memory) for name, place in places.items()}
    # What somebody's own reads beside its file, it alone knows.
    mine = dict.fromkeys(filter(own.is_own, (settings.detector, *settings.rivals)))
    return found | {f"detector {name}": own.load(name, folder=profile.root()).fingerprint for name in mine}


def _of_place(place: Path | ScoreFiles, memory: Memory) -> str:
    if isinstance(place, ScoreFiles):
        whole = " ".join(_of_place(path, memory) for path in place.files)
        return "missing" if "missing" in whole else hashlib.sha256(whole.encode()).hexdigest()
    if not place.exists():
        return "missing"
    base = place if place.is_dir() else place.parent
    known = {path: seen.sha256 or seen.reason for path, seen in memory.seen(_parts(place), _look, durations=False)}
    if list(known) == [str(place)]:
        return known[str(place)]
    lines = sorted(f"{os.path.relpath(path, base)!r} {content}" for path, content in known.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _parts(place: Path) -> Iterator[str]:
    """Yield the files that a corpus is read from, or the file of weights."""
    manifest = place / MANIFEST if (place / MANIFEST).is_file() else place
    if manifest.is_file():
        yield str(manifest)
        if manifest.suffix.lower() in tables.TABLES:
            try:
                yield from dict.fromkeys(tables.read_manifest(manifest)[0]["path"])
            except DataError:
                return  # whoever reads its clips is told what is wrong with it
        return
    seen = set()
    for folder, folders, names in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        yield from filter(os.path.isfile, (os.path.join(folder, name) for name in names))


def _look(path: str) -> Seen:
    try:
        return Seen(files.sha256(path))
    except OSError as error:
        return Seen("", reason=f"unreadable: {error.strerror}")
