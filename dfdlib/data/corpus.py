"""Labelled tables of clips.

A corpus is read from

- folders, as the study laid them out: ``Real/`` and ``Fake/`` (any case), alone or below split folders such as
  ``training/``, ``validation/``, ``testing/``;
- a manifest (CSV or Parquet) with a row a clip, its paths relative to the manifest's folder. A folder that holds a
  ``manifest.parquet`` is read from it, with the speakers, sentences and attacks that folders cannot tell.

Label 1 is bona fide, 0 is spoof, everywhere. A clip that cannot be used is listed in ``left_out`` with the reason;
it never ends a run.
"""

import functools
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfdlib import files
from dfdlib.data import audio, decoding, search
from dfdlib.data.labels import LABEL_NAMES, LABELS, label_of
from dfdlib.data.tables import LINE, TABLES, common_root, read_manifest, refuse_two_labels
from dfdlib.errors import DataError
from dfdlib.processes import ALONE, Processes

#: What `Corpus.table` always has. Text columns hold "" where nothing is known.
COLUMNS = ("path", "label", "split", "speaker", "sentence", "attack", "duration", "sha256")

MANIFEST = "manifest.parquet"

# Paths that a message names.
_PATHS_SHOWN = 3

# The reason that is none: a file whose name promised no sound has none.
_NO_SOUND = "no sound"

# Clips that are handed to the threads that inspect them at a time.
_AT_ONCE = 1_000

_SPLIT_FOLDERS = {
    "training": "training", "train": "training",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "testing": "testing", "test": "testing", "eval": "testing",
}  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """A named table of clips.

    Attributes
    ----------
    name : str
        What the report calls it.
    table : DataFrame
        A row a clip: ``path`` (absolute), ``label`` (1 bona fide, 0 spoof, missing where unknown), ``split``,
        ``speaker``, ``sentence``, ``attack`` ("bonafide" for real clips, "unknown" for others that no manifest
        describes), ``duration`` (seconds), ``sha256`` (of the file), and whatever else a manifest holds.
    left_out : DataFrame
        ``path`` and ``reason`` of every clip that was found and could not be used, and of folders that cannot be read.
    root : str
        The folder that paths are relative to where they are written: the one that was given, or that of the file or
        manifest; the nearest one above all that was given, or above the clips where some lie outside. "" for none.
    other : dict of str to int
        How many files below the folders are of each other kind (see `search`): no sound, hidden, not in the manifest.
    """

    name: str
    table: pd.DataFrame
    left_out: pd.DataFrame
    root: str = ""
    other: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def split(self, name: str) -> "Corpus":
        """Return the clips of one split.

        Raises
        ------
        DataError
            The corpus has no clip in that split.
        """
        rows = self.table[self.table["split"] == name]
        if rows.empty:
            known = sorted(set(self.table["split"]) - {""})
            there_are = f"it has {', '.join(known)}" if known else "it has no split folders"
            raise DataError(f"{self.name}: no clip in split {name!r}; {there_are}")
        return replace(self, table=rows.reset_index(drop=True))

    def head(self, limit: int | None) -> "Corpus":
        """Return at most `limit` clips, as evenly over classes as they allow; all of them for None."""
        if limit is None or len(self) <= limit:
            return self
        turn = self.table.groupby("label").cumcount()
        rows = self.table.loc[turn.sort_values(kind="stable").index[:limit]].sort_index()
        return replace(self, table=rows.reset_index(drop=True))

    def split_by_speaker(self, *, share: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split the corpus in two that have no speaker and no sentence in common, both of both classes.

        Speakers with bona fide clips are drawn in a random order until the first part holds `share` of these clips.
        Voices that only ever speak spoofs stay in the second part, so its attacks may be unheard of in the first. A
        clip of the first part whose sentence the second has as well is in neither.

        Parameters
        ----------
        share : float
            Strictly between 0 and 1.
        seed : int

        Raises
        ------
        DataError
            Speakers are not known, or a part would have clips of one class only.
        """
        bonafide = self.table[self.table["label"] == 1]
        counts = bonafide["speaker"].value_counts().sort_index()
        if (self.table["speaker"] == "").any() or len(counts) < 2:
            raise DataError(
                f"{self.name}: its speakers are not all known, so no part can be split off by speaker; "
                "name them in a manifest"
            )
        counts = counts.iloc[np.random.default_rng(seed).permutation(len(counts))]
        before = counts.cumsum() - counts
        chosen = self.table["speaker"].isin(before.index[before < share * len(bonafide)])
        said_by_both = self.table["sentence"].isin(set(self.table.loc[~chosen, "sentence"]) - {""})
        first, second = (
            replace(self, table=self.table[rows].reset_index(drop=True)) for rows in (chosen & ~said_by_both, ~chosen)
        )
        return first.require_both_classes(), second.require_both_classes()

    def require_both_classes(self) -> "Corpus":
        """Return the corpus itself, or raise DataError when it has clips of one class only, or without a class."""
        labels = self.table["label"]
        if labels.isna().any():
            clip = self.table.loc[labels.isna(), "path"].iloc[0]
            raise DataError(
                "no folder above it says Real or Fake, nor does a manifest; put clips into Real/ and Fake/, or list "
                "them with labels",
                path=clip,
            )
        missing = [word for word, number in LABELS.items() if not (labels == number).any()]
        if missing:
            raise DataError(
                f"{self.name}: no {missing[0]} clip among {len(self)}; error rates need both classes, "
                "in folders Real/ and Fake/"
            )
        return self

    def summary(self) -> pd.DataFrame:
        """Return counts and durations: a row for each split and class."""
        named = self.table.assign(label=self.table["label"].map(LABEL_NAMES))
        groups = named.groupby(["split", "label"], sort=True)
        return groups.agg(
            clips=("path", "size"),
            speakers=("speaker", lambda column: column[column != ""].nunique()),
            attacks=("attack", lambda column: column[column != "bonafide"].nunique()),
            shortest_s=("duration", "min"),
            median_s=("duration", "median"),
            longest_s=("duration", "max"),
            total_min=("duration", lambda column: column.sum() / 60),
        ).reset_index()


def read(path: str | Path, *, name: str | None = None, one_label: bool = True) -> Corpus:
    """Read a labelled corpus of both classes from a folder or a manifest.

    Parameters
    ----------
    path : str or Path
        A folder with ``Real/`` and ``Fake/`` in it or below its split folders, or a ``.csv`` or ``.parquet`` manifest
        with the columns ``path`` and ``label`` ("bonafide" or "spoof", or 1 or 0).
    name : str, optional
        What to call it; by default the folder's name.
    one_label : bool
        Refuse a manifest that has equal clips under both labels. An audit takes them, and names all.

    Raises
    ------
    DataError
        Nothing there, no usable clip, one class only, or a manifest that cannot be read.
    """
    return find([path], name=name, one_label=one_label).require_both_classes()


def find(
    paths: Iterable[str | Path], *, name: str | None = None, one_label: bool = True, among: Processes = ALONE
) -> Corpus:
    """Gather clips from files, folders and manifests, labelled where their place says a label.

    Parameters
    ----------
    paths : iterable of str or Path
    name : str, optional
        What to call the corpus; by default the first path's name.
    one_label : bool
        As `read` takes it.
    among : Processes
        The first one looks what clips there are, and all share in reading them. Each returns the whole corpus.

    Raises
    ------
    DataError
        The only path does not exist, no clip was found in any, or a manifest has the same clip under both labels.
    """
    paths = [Path(path) for path in paths]
    listed = among.from_first(lambda: _listed(paths))
    table, unreadable = _inspect(listed.table, among=among)
    no_sound = unreadable["reason"] == _NO_SOUND
    other = listed.other + Counter(map(search.kind_of, unreadable.loc[no_sound, "path"]))
    if LINE in table:
        table = (refuse_two_labels(table) if one_label else table).drop(columns=LINE)
    name = name or files.shown((paths[0].name or str(paths[0])) if paths else "clips")
    corpus = _corpus(name, table, pd.concat([listed.left_out, unreadable[~no_sound]], ignore_index=True))
    root = common_root(listed.places, [*corpus.table["path"], *corpus.left_out["path"]])
    corpus = replace(corpus, root=root, other=dict(other))
    if not len(corpus):
        wanted = ", ".join(map(files.shown, paths[:_PATHS_SHOWN])) or "nothing"
        wanted += f" and {len(paths) - _PATHS_SHOWN} more" if len(paths) > _PATHS_SHOWN else ""
        first = f"; the first: {corpus.left_out['reason'].iloc[0]}" if len(corpus.left_out) else ""
        others = f"; {search.named(other)}" if other else ""
        raise DataError(
            f"{wanted}: no usable clip ({len(corpus.left_out)} left out{first}{others}); "
            f"expected sound files such as .wav, .flac or .mp3, in Real/ and Fake/ where labels matter"
        )
    return corpus


def fingerprint(table: pd.DataFrame) -> str:
    """Return a SHA-256 over the clips of a table and their labels, whatever their order and place."""
    rows = sorted(f"{clip} {label}" for clip, label in zip(table["sha256"], table["label"], strict=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _corpus(name: str, table: pd.DataFrame, left_out: pd.DataFrame) -> Corpus:
    extra = [column for column in table.columns if column not in COLUMNS]
    table = table[[*COLUMNS, *extra]].astype({"label": "Int8"})
    return Corpus(
        name=name,
        table=table.drop_duplicates("path").reset_index(drop=True),
        left_out=left_out.drop_duplicates("path").reset_index(drop=True),
    )


class _Listed(NamedTuple):
    """What there is before any file is opened: clips, what is left out, other files, and the folders looked in."""

    table: pd.DataFrame
    left_out: pd.DataFrame
    other: Counter
    places: list[str]


def _listed(paths: list[Path]) -> _Listed:
    parts: list[pd.DataFrame | list[search.Clip]] = []
    left_out, places, unlisted, seek = [], set(), Counter(), search.Search(_tell)
    for given in paths:
        path, is_folder, reason = search.place(given)
        manifest = path / MANIFEST if is_folder and os.path.isfile(path / MANIFEST) else path
        if reason:
            left_out.append((files.shown(path), reason))
            continue
        places.add(str(path if is_folder else path.parent))
        if manifest.suffix.lower() in TABLES and not (is_folder and manifest == path):
            table, gone = read_manifest(manifest)
            parts.append(table.assign(real=[search.real(clip) for clip in table["path"]], sought=False))
            left_out += gone.itertuples(index=False, name=None)
            if is_folder:
                seek.used.add(str(manifest))
                known = {*parts[-1]["real"], *map(search.real, gone["path"])}
                found = (clip for clip in seek.below(str(path), told=_told(path)) if clip.real not in known)
                unlisted.update(f"{search.kind_of(clip.path)} not in {MANIFEST}" for clip in found)
        else:
            if not parts or isinstance(parts[-1], pd.DataFrame):
                parts.append([])
            if is_folder:
                parts[-1] += seek.below(str(path), told=_told(path))
            else:
                parts[-1].append(search.Clip(str(path), search.real(str(path)), _told(path.parent), sought=False))
    if len(paths) == len(left_out) == 1 and not parts:
        raise DataError(left_out[0][1], path=paths[0])
    tables = [part if isinstance(part, pd.DataFrame) else _table(part) for part in parts]
    tables = [table for table in tables if not table.empty] or [_table([])]
    table, contradicting = _one_each(pd.concat(tables, ignore_index=True))
    left_out = pd.DataFrame([*left_out, *seek.left_out, *contradicting], columns=["path", "reason"])
    return _Listed(table, left_out, Counter(seek.other) + unlisted, sorted(places))


def _tell(told: tuple[int | None, str], name: str) -> tuple[int | None, str]:
    """Return the label and the split of clips in a folder of that name; it counts before those above it."""
    label = label_of(name)
    return told[0] if label is None else label, _SPLIT_FOLDERS.get(name.lower(), told[1])


def _told(folder: Path) -> tuple[int | None, str]:
    """Return what the name of a folder that was given, and of the one it is in, tell of its clips."""
    return functools.reduce(_tell, (folder.parent.name, folder.name), (None, ""))


def _table(clips: list[search.Clip]) -> pd.DataFrame:
    labels = [clip.told[0] for clip in clips]
    return pd.DataFrame(
        {
            "path": [clip.path for clip in clips],
            "label": pd.array(labels, dtype="Int8"),
            "split": [clip.told[1] for clip in clips],
            "speaker": "",
            "sentence": "",
            "attack": ["bonafide" if label == 1 else "unknown" for label in labels],
            "real": [clip.real for clip in clips],
            "sought": [clip.sought for clip in clips],
        }
    )


def _one_each(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Return a row for each file and split, and ``path`` and ``reason`` of files in folders of both classes.

    Of several paths to a file, the first one that tells its class is kept. A file in two splits stays in both: it is a
    leak, which is to be seen.
    """
    shared = np.flatnonzero(table["real"].duplicated(keep=False))
    several: dict[str, list[int]] = {}
    for row, real in zip(shared, table["real"].iloc[shared], strict=True):
        several.setdefault(real, []).append(row)
    table = table.drop(columns="real")
    paths, labels, splits = (table[name].array for name in ("path", "label", "split"))
    kept, again = np.ones(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    contradicting, telling = [], {}
    for rows in several.values():
        kept[rows] = False
        # Python's sort keeps the order of equals.
        rows.sort(key=lambda row: labels[row] is pd.NA)
        first = rows[0]
        other = next((row for row in rows if labels[row] is not pd.NA and labels[row] != labels[first]), None)
        if other is not None:
            reason = f"is the same file as {files.shown(paths[other])}, which is of the other class; remove one of them"
            contradicting.append((paths[first], reason))
            continue
        one_each = {splits[row]: row for row in reversed(rows) if splits[row] or not any(splits[row] for row in rows)}
        for number, row in enumerate(one_each.values()):
            kept[row], again[row] = True, number > 0
            if labels[row] is pd.NA and first != row:
                telling[row] = first
    for column in ("label", "attack"):
        table.loc[list(telling), column] = table[column].iloc[list(telling.values())].array
    return table.assign(again=again)[kept].reset_index(drop=True), contradicting


def _inspect(table: pd.DataFrame, *, among: Processes = ALONE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add durations and fingerprints; clips that cannot be opened go to the second table with the reason."""
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame(columns=["path", "reason"])

    def look(path: str, sought: bool) -> tuple[float, str, str]:
        try:
            if sought and not decoding.is_sound(path):
                return 0.0, "", _NO_SOUND
            return audio.duration(path), files.sha256(path), ""
        except DataError as error:
            return 0.0, "", error.reason
        except OSError as error:
            return 0.0, "", f"cannot be read ({error.strerror or error}); check its rights and its disk"

    # Files with names that say nothing are tried by their content; all others claim to be sound.
    table = table.assign(**{name: False for name in ("sought", "again") if name not in table})
    mine, sought = (table[name].iloc[among.rank :: among.count] for name in ("path", "sought"))
    durations, digests, reasons = np.zeros(len(mine)), np.zeros(len(mine), dtype="S64"), {}
    # Reading headers and hashing both leave Python's lock, so threads serve all cores. They are given some clips at a
    # time: a pool makes a task of each at once, and the tasks of many thousand clips fill the memory.
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(mine), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            for place, seen in enumerate(pool.map(look, mine.iloc[part], sought.iloc[part]), start):
                durations[place], digests[place], reason = seen
                if reason:
                    reasons[place] = reason
    duration, sha256 = np.zeros(len(table)), np.zeros(len(table), dtype="S64")
    reason = np.full(len(table), None, dtype=object)
    for rank, share in enumerate(among.of_all((durations, digests, reasons))):
        duration[rank :: among.count], sha256[rank :: among.count] = share[:2]
        for place, text in share[2].items():
            reason[rank + place * among.count] = text
    bad = reason != None  # noqa: E711 - element by element
    unreadable = pd.DataFrame({"path": table["path"], "reason": reason})[bad & ~table["again"]]
    usable = table.drop(columns=["sought", "again"])
    return usable.assign(duration=duration, sha256=[digest.decode() for digest in sha256])[~bad], unreadable
