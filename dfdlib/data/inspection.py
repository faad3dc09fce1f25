"""Look into each file once: its duration and SHA-256, kept by path, size and times."""

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from dfdlib import files
from dfdlib.data import audio, decoding
from dfdlib.errors import DataError
from dfdlib.text import is_text

#: The reason that is none: a file whose name promised no sound has none.
NO_SOUND = "no sound"

#: Keys that SQLite takes in one question, and clips handed to the threads at a time, as each becomes a task at once.
KEYS = 500
_TABLE = (
    "files (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, sha256 TEXT, version INTEGER, "
    "duration REAL) WITHOUT ROWID"
)
# What goes wrong around a file that may itself be well, which is left where it is.
_AROUND = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM,
}  # fmt: skip

# Size, and times of the last change of content and of entry (ns).
_Signs = tuple[int, int, int]


def may_be_well(error: Exception) -> bool:
    """Tell whether what SQLite met lies around a file, such as a full disk, and not in it."""
    return code_of(error) in _AROUND


def code_of(error: Exception) -> int:
    """Return the kind of an error of SQLite's, without its particulars; 0 for none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def batched(rows: Iterable, size: int) -> Iterator[tuple]:
    """Yield `rows` in tuples of `size`, the last of which may be shorter."""
    rows = iter(rows)
    while batch := tuple(itertools.islice(rows, size)):
        yield batch


class Seen(NamedTuple):
    """What was found in a file: its SHA-256, its duration in seconds (None: not asked), why it cannot be used."""

    sha256: str
    duration: float | None = None
    reason: str = ""


class Memory:
    """Keep what was found in files, and give it back for those whose size and times are as they were.

    It is a SQLite file. It never ends a run: a damaged file is begun anew; without a path, or where none can be
    written, nothing is kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._database = path, None

    def __enter__(self) -> Self:
        if self._path is not None:
            for _ in range(2):
                try:
                    self._database = _opened(self._path)
                    break
                except (OSError, sqlite3.Error) as error:
                    if may_be_well(error):
                        break  # nothing is kept this time
                    with contextlib.suppress(OSError):
                        os.unlink(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def seen(
        self, paths: Iterable[str], look: Callable[[str], Seen], *, durations: bool = True
    ) -> Iterator[tuple[str, Seen]]:
        """Yield what is in each file, in the order of `paths`; `look` is called, in threads, for what is not known."""
        with ThreadPoolExecutor() as pool:
            for some in batched(paths, KEYS):
                signs = {path: _signs(path) for path in some}
                known = {
                    path: one for path, one in self._known(some, signs) if one.duration is not None or not durations
                }
                new = [path for path in signs if path not in known]
                known.update(zip(new, pool.map(look, new), strict=True))
                self._add((path, signs[path], known[path]) for path in new)
                yield from ((path, known[path]) for path in some)

    def _known(self, paths: tuple[str, ...], signs: dict[str, _Signs]) -> Iterator[tuple[str, Seen]]:
        named = tuple(filter(is_text, paths)) if self._database else ()
        if not named:
            return
        with contextlib.suppress(sqlite3.Error):
            marks = ",".join("?" * len(named))
            rows = self._database.execute(f"SELECT * FROM files WHERE path IN ({marks})", named).fetchall()
            for path, *at_that_time, sha256, version, duration in rows:
                if tuple(at_that_time) == signs[path]:
                    yield path, Seen(sha256, duration if version == audio.VERSION else None)

    def _add(self, found: Iterable[tuple[str, _Signs, Seen]]) -> None:
        """Keep what was found in files that could be read, under the signs that they had before."""
        rows = [
            (path, *signs, seen.sha256, audio.VERSION, seen.duration)
            for path, signs, seen in found
            if seen.sha256 and not seen.reason and is_text(path)
        ]
        if self._database is not None and rows:
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def inspect(table: pd.DataFrame, *, memory: Memory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add durations and fingerprints; clips that cannot be opened go to the second table with the reason."""
    if table.empty:
        return table.assign(duration=0.0, sha256=""), pd.DataFrame(columns=["path", "reason"])
    # Files with names that say nothing are tried by their content; all others claim to be sound.
    table = table.assign(**{name: False for name in ("sought", "again") if name not in table})
    sought = set(table.loc[table["sought"], "path"])

    def look(path: str) -> Seen:
        try:
            if path in sought and not decoding.is_sound(path):
                return Seen("", None, NO_SOUND)
            duration = audio.duration(path)
            return Seen(files.sha256(path), duration)
        except DataError as error:
            return Seen("", None, error.reason)
        except OSError as error:
            return Seen("", None, f"cannot be read ({error.strerror or error}); check its rights and its disk")

    duration, sha256, reason = np.zeros(len(table)), np.zeros(len(table), "S64"), np.full(len(table), None, object)
    with memory:
        for place, (_, seen) in enumerate(memory.seen(table["path"], look)):
            duration[place], sha256[place], reason[place] = seen.duration or 0.0, seen.sha256, seen.reason or None
    bad = reason != None  # noqa: E711 - element by element
    unreadable = pd.DataFrame({"path": table["path"], "reason": reason})[bad & ~table["again"]]
    usable = table.drop(columns=["sought", "again"])
    return usable.assign(duration=duration, sha256=[digest.decode() for digest in sha256])[~bad], unreadable


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=60)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
        database.execute("SELECT path, size, mtime, ctime, sha256, version, duration FROM files LIMIT 1").fetchall()
    except BaseException:
        database.close()
        raise
    return database


def _signs(path: str) -> _Signs:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
