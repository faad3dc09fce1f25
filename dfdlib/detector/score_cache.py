"""Results kept on disk, found again by the content that they were computed from."""

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dfdlib.data.inspection import KEYS, batched, code_of, may_be_well

_TABLE = (
    "logits (clip TEXT, checkpoint TEXT, preprocessing TEXT, spoof REAL, "
    "bonafide REAL, PRIMARY KEY (clip, checkpoint, preprocessing)) WITHOUT ROWID"
)


class Cache:
    """The logits of clips.

    One SQLite file: what was committed survives a kill at any moment, and several processes may read and write it.
    A cache never ends a run. A file that cannot be read is renamed to ``….damaged`` and begun anew; where none can be
    used, nothing is kept and nothing is found. Either is said in one line.

    Parameters
    ----------
    path : str or Path
        Its folder is made when missing.
    say : callable, optional
        Called with a line of text; by default it goes to standard error.
    patience : float
        Seconds to wait for another process that has locked the file.
    machines : bool
        Whether several machines use the file at a time. Each addition then waits for the disk.

    Attributes
    ----------
    usable : bool
        Whether what is added is kept.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        say: Callable[[str], None] | None = None,
        patience: float = 60.0,
        machines: bool = False,
    ) -> None:
        self.path = Path(path)
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._patience = patience
        # A write-ahead log needs memory that all share.
        self._journal = "TRUNCATE" if machines else "WAL"
        self._database: sqlite3.Connection | None = None
        self._file, self.usable = -1, True
        self._do(lambda database: None)

    def get(self, clips: Iterable[str], *, checkpoint: str, preprocessing: str) -> dict[str, tuple[float, float]]:
        """Return what is known of `clips` (fingerprints): a dict of clip to its two logits."""
        found = {}
        for some in batched(clips, KEYS):
            rows = self._rows(
                "SELECT clip, spoof, bonafide FROM logits WHERE checkpoint = ? AND preprocessing = ? AND clip IN "
                f"({','.join('?' * len(some))})",
                (checkpoint, preprocessing, *some),
            )
            found |= {clip: (spoof, bonafide) for clip, spoof, bonafide in rows}
        return found

    def of_clip(self, clip: str, *, checkpoint: str) -> dict[str, tuple[float, float]]:
        """Return all that is known of one clip: a dict of preprocessing key to its two logits."""
        rows = self._rows(
            "SELECT preprocessing, spoof, bonafide FROM logits WHERE clip = ? AND checkpoint = ?", (clip, checkpoint)
        )
        return {preprocessing: (spoof, bonafide) for preprocessing, spoof, bonafide in rows}

    def put(self, logits: dict[tuple[str, str], tuple[float, float]], *, checkpoint: str) -> None:
        """Add logits by clip and preprocessing key; no kill loses them when this has returned."""
        rows = [(clip, checkpoint, preprocessing, *pair) for (clip, preprocessing), pair in logits.items()]

        def insert(database: sqlite3.Connection) -> None:
            with database:
                database.executemany("INSERT OR REPLACE INTO logits VALUES (?, ?, ?, ?, ?)", rows)

        self._do(insert)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple]:
        return self._do(lambda database: database.execute(query, values).fetchall()) or []

    def _do(self, work: Callable[[sqlite3.Connection], list | None]) -> list | None:
        """Return what `work` makes of the database, or None where there is no usable one."""
        if not self.usable:
            return None
        try:
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                if isinstance(error, sqlite3.ProgrammingError) or may_be_well(error):
                    raise
                self._set_aside(error)
                return work(self._opened())
        except sqlite3.ProgrammingError:
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            self.usable = False
            self._say(f"{self.path}: the score cache cannot be used ({error}); going on without it")
            return None

    def _opened(self) -> sqlite3.Connection:
        until = time.monotonic() + self._patience
        while self._database is None:
            try:
                self._database = self._open()
            except sqlite3.OperationalError as error:
                # Two that begin a file at once do not wait for each other by themselves.
                if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        return self._database

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _number(self.path)
        database = sqlite3.connect(self.path, timeout=self._patience)
        try:
            database.execute(f"PRAGMA journal_mode={self._journal}")
            # Given to the system, not waited for on the disk: a kill loses nothing, a power cut the last seconds.
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
            database.commit()
            if database.execute("SELECT sql FROM sqlite_master").fetchall() != [(f"CREATE TABLE {_TABLE}",)]:
                raise sqlite3.DatabaseError("holds other tables than scores")
        except sqlite3.Error:
            database.close()
            raise
        self._file = _number(self.path)
        return database

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Rename the file, unless another process has already done so."""
        self.close()
        if self._file != _number(self.path):
            return
        # A journal that stayed would be played into the new file.
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{self.path}.damaged{suffix}")
        self._say(f"{self.path}: the score cache is damaged ({error}); renamed to {self.path.name}.damaged, begun anew")


def _number(path: Path) -> int:
    """Return what tells a file from another one of the same name; -1 for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return -1
