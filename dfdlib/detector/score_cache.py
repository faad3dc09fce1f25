"""Results kept on disk, found again by the content that they were computed from."""

import itertools
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from dfdlib.errors import RunError

# A database cannot be asked for more keys than this at once.
_KEYS = 500


class Cache:
    """The logits of clips.

    One SQLite file: what was committed survives a kill at any moment, and several processes may read and write it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=60)
            self._database.execute("PRAGMA journal_mode=WAL")
            # Given to the system, not waited for on the disk: a kill loses nothing, a power cut the last seconds.
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS logits (clip TEXT, checkpoint TEXT, treatment TEXT, spoof REAL, "
                "bonafide REAL, PRIMARY KEY (clip, checkpoint, treatment)) WITHOUT ROWID"
            )
            self._database.commit()
        except (OSError, sqlite3.Error) as error:
            raise RunError(
                f"{path}: the score cache cannot be used ({error}); remove it or choose another folder"
            ) from error

    def get(self, clips: Iterable[str], *, checkpoint: str, treatment: str) -> dict[str, tuple[float, float]]:
        """Return what is known of `clips` (fingerprints): a dict of clip to its two logits."""
        found = {}
        clips = iter(clips)
        while some := tuple(itertools.islice(clips, _KEYS)):
            rows = self._database.execute(
                "SELECT clip, spoof, bonafide FROM logits WHERE checkpoint = ? AND treatment = ? AND clip IN "
                f"({','.join('?' * len(some))})",
                (checkpoint, treatment, *some),
            )
            found |= {clip: (spoof, bonafide) for clip, spoof, bonafide in rows}
        return found

    def treatments(self, clip: str, *, checkpoint: str) -> dict[str, tuple[float, float]]:
        """Return all that is known of one clip: a dict of treatment to its two logits."""
        rows = self._database.execute(
            "SELECT treatment, spoof, bonafide FROM logits WHERE clip = ? AND checkpoint = ?", (clip, checkpoint)
        )
        return {treatment: (spoof, bonafide) for treatment, spoof, bonafide in rows}

    def put(self, logits: dict[tuple[str, str], tuple[float, float]], *, checkpoint: str) -> None:
        """Add logits by clip and treatment; no kill loses them when this has returned."""
        rows = [(clip, checkpoint, treatment, *pair) for (clip, treatment), pair in logits.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO logits VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise RunError(f"the score cache cannot be written ({error}); free some space and run again") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
