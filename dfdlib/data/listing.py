"""List clips by the folders and manifests that they are in, before any file is opened."""

import functools
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfdlib.data import search
from dfdlib.data.labels import label_of, split_of
from dfdlib.data.tables import TABLES, read_manifest
from dfdlib.errors import DataError
from dfdlib.text import one_line

#: The table that a folder may hold about its clips.
MANIFEST = "manifest.parquet"


class Listed(NamedTuple):
    """Clips that are there, what is left out, other files, folders looked in, and notes for the user."""

    table: pd.DataFrame
    left_out: pd.DataFrame
    other: Counter
    places: list[str]
    notes: tuple[str, ...] = ()


def in_places(paths: list[Path]) -> Listed:
    """List the clips of folders, manifests and single files."""
    parts: list[pd.DataFrame | list[search.Clip]] = []
    left_out, places, unlisted, seek = [], set(), Counter(), search.Search(_tell)
    for given in paths:
        path, is_folder, reason = search.place(given)
        manifest = path / MANIFEST if is_folder and os.path.isfile(path / MANIFEST) else path
        if reason:
            left_out.append((one_line(path), reason))
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
    return Listed(table, left_out, Counter(seek.other) + unlisted, sorted(places))


class _Told(NamedTuple):
    """What the names of folders tell of the clips in them."""

    label: int | None = None
    split: str = ""
    attack: str = ""


def _tell(told: _Told, name: str) -> _Told:
    """Return what is told in a folder of that name, which counts before those above it.

    A folder below one of spoofs that names neither class nor split names their attack; one in it no other.
    """
    label, split = label_of(name), split_of(name)
    if label is not None:
        return _Told(label, split or told.split)
    if split:
        return told._replace(split=split)
    return told._replace(attack=one_line(name)) if told.label == 0 and not told.attack else told


def _told(folder: Path) -> _Told:
    """Return what the name of a folder that was given, and of the one it is in, tell of its clips."""
    return functools.reduce(_tell, (folder.parent.name, folder.name), _Told())


def _table(clips: list[search.Clip]) -> pd.DataFrame:
    labels = [clip.told.label for clip in clips]
    return pd.DataFrame(
        {
            "path": [clip.path for clip in clips],
            "label": pd.array(labels, dtype="Int8"),
            "split": [clip.told.split for clip in clips],
            "speaker": "",
            "sentence": "",
            "attack": ["bonafide" if clip.told.label == 1 else clip.told.attack or "unknown" for clip in clips],
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
            reason = f"is the same file as {one_line(paths[other])}, which is of the other class; remove one of them"
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
