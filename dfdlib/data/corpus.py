"""Labelled tables of clips.

A corpus is read from

- folders, as the study laid them out: ``Real/`` and ``Fake/`` (any case), alone or below split folders such as
  ``training/``, ``validation/``, ``testing/``; a folder below ``Fake/`` names the attack of the clips in it;
- a manifest (CSV or Parquet) with a row a clip, its paths relative to the manifest's folder. A folder that holds a
  ``manifest.parquet`` is read from it, with the speakers, sentences and attacks that folders cannot tell.

Label 1 is bona fide, 0 is spoof, everywhere. A clip that cannot be used is listed in ``left_out`` with the reason;
it never ends a run.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import listing, members, search
from dfdlib.data.inspection import NO_SOUND, Memory, inspect
from dfdlib.data.labels import LABEL_NAMES, LABELS
from dfdlib.data.tables import LINE, common_root, refuse_two_labels
from dfdlib.errors import DataError
from dfdlib.text import one_line

#: What `Corpus.table` always has. Text columns hold "" where nothing is known.
COLUMNS = ("path", "label", "split", "speaker", "sentence", "attack", "duration", "sha256")

# Paths that a message names.
_PATHS_SHOWN = 3


@dataclass(frozen=True)
class Corpus:
    """A named table of clips."""

    name: str  # what the report calls it
    # A row a clip: ``path`` (absolute), ``label`` (1 bona fide, 0 spoof, missing where unknown), ``split``,
    # ``speaker``, ``sentence``, ``attack`` ("bonafide" for real clips, "unknown" for others that no manifest
    # describes), ``duration`` (seconds), ``sha256`` (of the file), and whatever else a manifest holds.
    table: pd.DataFrame
    # ``path`` and ``reason`` of every clip that was found and could not be used, and of folders that cannot be read.
    left_out: pd.DataFrame
    # The folder that paths are relative to where they are written: the one that was given, or that of the file or
    # manifest; the nearest one above all that was given, or above the clips where some lie outside. "" for none.
    root: str = ""
    # How many files below the folders are of each other kind (see `search`): no sound, hidden, in no list.
    other: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # how its lists were read, and how many clips they have against what is published

    def __len__(self) -> int:
        return len(self.table)

    def split(self, name: str) -> "Corpus":
        """Return the clips of one split."""
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
            lost = ""
            if len(self.left_out):
                path, reason = self.left_out[["path", "reason"]].iloc[0]
                lost = f" ({len(self.left_out)} left out; the first: {one_line(path)}: {reason})"
            raise DataError(
                f"{self.name}: no {missing[0]} clip among {len(self)}{lost}; error rates need both classes, "
                "in folders Real/ and Fake/"
            )
        return self

    def summary(self) -> pd.DataFrame:
        """Return counts and durations: a row for each split and class."""
        named = self.table.assign(label=self.table["label"].map(LABEL_NAMES).fillna("no label"))
        groups = named.groupby(["split", "label"], sort=True)
        return groups.agg(
            clips=("path", "size"),
            speakers=("speaker", lambda column: column[column != ""].nunique()),
            attacks=("attack", lambda column: column[column != "bonafide"].nunique()),
            shortest_s=("duration", "min"),
            median_s=("duration", "median"),
            longest_s=("duration", "max"),
            total_min=("duration", lambda column: column.sum(min_count=1) / 60),
        ).reset_index()


def read(
    path: str | Path,
    *,
    name: str | None = None,
    corpus: str | None = None,
    one_label: bool = True,
    remembered: Path | None = None,
) -> Corpus:
    """Read a labelled corpus from a folder or a manifest as `find` does; DataError where it lacks clips of a class."""
    found = find([path], name=name, corpus=corpus, one_label=one_label, remembered=remembered)
    return found.require_both_classes()


def find(
    paths: Iterable[str | Path],
    *,
    name: str | None = None,
    corpus: str | None = None,
    one_label: bool = True,
    remembered: Path | None = None,
) -> Corpus:
    """Gather clips from files, folders and manifests, labelled where their place or a list says a label.

    Parameters
    ----------
    paths : iterable of str or Path
        Folders with ``Real/`` and ``Fake/`` in them or below split folders; ``.csv`` or ``.parquet`` manifests; single
        files. With `corpus`, the folders that hold its clips and lists, however many.
    name : str, optional
        What to call the corpus; by default `corpus` or the first path's name.
    corpus : str, optional
        A public corpus or a description of one, as `corpora.describe` takes it.
    one_label : bool
        Refuse a manifest that has equal clips under both labels. An audit takes them, and names all.
    remembered : Path, optional
        A file to keep durations and fingerprints in, see `inspection.Memory`.

    Raises
    ------
    DataError
        The only path does not exist, no clip was found in any, a list cannot be read, or a manifest has the same clip
        under both labels.
    """
    paths = [Path(path) for path in paths]
    listed = listing.in_places(paths) if corpus is None else members.of_corpus(paths, corpus=corpus)
    table, unreadable = inspect(listed.table, memory=Memory(remembered))
    no_sound = unreadable["reason"] == NO_SOUND
    other = listed.other + Counter(map(search.kind_of, unreadable.loc[no_sound, "path"]))
    if LINE in table:
        table = (refuse_two_labels(table) if one_label else table).drop(columns=LINE)
    name = name or corpus or one_line((paths[0].name or str(paths[0])) if paths else "clips")
    left_out = pd.concat([listed.left_out, unreadable[~no_sound]], ignore_index=True)
    table, left_out = (rows.drop_duplicates("path").reset_index(drop=True) for rows in (table, left_out))
    table = table[[*COLUMNS, *(column for column in table if column not in COLUMNS)]].astype({"label": "Int8"})
    root = common_root(listed.places, [*table["path"], *left_out["path"]])
    found = Corpus(name, table, left_out, root, other=dict(other), notes=listed.notes)
    if not len(found):
        wanted = ", ".join(map(one_line, paths[:_PATHS_SHOWN])) or "nothing"
        wanted += f" and {len(paths) - _PATHS_SHOWN} more" if len(paths) > _PATHS_SHOWN else ""
        first = f"; the first: {found.left_out['reason'].iloc[0]}" if len(found.left_out) else ""
        others = f"; {search.named(other)}" if other else ""
        raise DataError(
            f"{wanted}: no usable clip ({len(found.left_out)} left out{first}{others}); "
            f"expected sound files such as .wav, .flac or .mp3, in Real/ and Fake/ where labels matter"
        )
    return found


def fingerprint(table: pd.DataFrame) -> str:
    """Return a SHA-256 over the clips of a table and their labels, whatever their order and place."""
    rows = sorted(f"{clip} {label}" for clip, label in zip(table["sha256"], table["label"], strict=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
