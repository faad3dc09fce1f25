"""Fingerprints of what a report is made from, by content: the weights and every file of its corpora."""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dfdlib import files
from dfdlib.data import corpus, tables
from dfdlib.errors import DataError
from dfdlib.experiment import profile

# What is known of a file: its size, when it and its entry were changed last (ns), and its SHA-256.
_Known = dict[str, tuple[int, int, int, str]]


def fingerprints(settings: profile.Profile, *, remembered: Path | None = None) -> dict[str, str]:
    """Return a SHA-256 of the weights and of each corpus of a profile, "missing" for what is not there.

    That of a corpus is over the contents of its files and their places in it, wherever it lies: all files below a
    folder, or a manifest and the clips that it names.

    Parameters
    ----------
    settings : Profile
    remembered : Path, optional
        A file to keep SHA-256 in. A file whose size and times are as they were is not read again.
    """
    data = settings.data
    places = {"checkpoint": settings.checkpoint, "for-2seconds": data.for_2seconds, "custom": data.custom}
    places |= {"source": data.source} if data.source is not None else {}
    before = _read(remembered) if remembered is not None else {}
    now: _Known = {}
    found = {name: _of_place(place, before, now) for name, place in places.items()}
    if remembered is not None and now != before:
        with files.atomic(remembered) as file:
            json.dump(now, file)
    return found


def _of_place(place: Path, before: _Known, now: _Known) -> str:
    if not place.exists():
        return "missing"
    base = place if place.is_dir() else place.parent
    paths = list(_parts(place))
    with ThreadPoolExecutor() as pool:
        for path, known in zip(paths, pool.map(lambda path: _look(path, before.get(path)), paths), strict=True):
            now[path] = known
    if paths == [str(place)]:
        return now[str(place)][-1]
    lines = sorted(f"{os.path.relpath(path, base)!r} {now[path][-1]}" for path in paths)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _parts(place: Path) -> Iterator[str]:
    """Yield the files that a corpus is read from, or the file of weights."""
    manifest = place / corpus.MANIFEST if (place / corpus.MANIFEST).is_file() else place
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


def _look(path: str, known: tuple | None) -> tuple[int, int, int, str]:
    try:
        stat = os.stat(path)
        signs = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        return tuple(known) if known and tuple(known[:3]) == signs else (*signs, files.sha256(path))
    except OSError as error:
        return 0, 0, 0, f"unreadable: {error.strerror}"


def _read(path: Path) -> _Known:
    try:
        return {name: tuple(known) for name, known in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
