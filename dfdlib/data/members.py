"""Find the clips of a public corpus: read its lists, and find the files that they name, wherever they lie."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfdlib.data import corpora, protocols, search
from dfdlib.data.corpora import Description
from dfdlib.data.labels import LABELS, label_of, plain, split_of
from dfdlib.data.listing import Listed
from dfdlib.data.search import SOUND, Clip
from dfdlib.data.tables import LINE
from dfdlib.errors import DataError
from dfdlib.text import one_line

#: What stands in a note of a corpus whose counts are not those that were published.
DIFFERS = "; published are "

# Folders below the given one among which a version of a corpus is looked for.
_DEPTH = 2
# Paths and parts that a message names.
_NAMED = 3

_NOT_THERE = "is listed but not there; give the folder that holds it as well, or copy it again"


class _There(NamedTuple):
    """What lies below the given folders."""

    clips: list[Clip]
    lists: list[str]
    segments: dict[str, str]
    left_out: list[tuple[str, str]]
    other: Counter
    places: list[str]


def of_corpus(paths: list[Path], *, corpus: str) -> Listed:
    """List the clips of a corpus, as `corpora.describe` takes it, below folders that hold its lists and its sound.

    Raises
    ------
    DataError
        No list or no clip of the corpus is there, a list is wrong, or there is no such part.
    """
    name, description, part = corpora.describe(corpus)
    there = _look(paths, description)
    rows, skipped, notes = _read(there, description, name=name)
    rows["clip"], rows["why"] = _join(rows["path"], rows["label"], there.clips)
    rows = _with_places(rows, there.clips, description)
    if rows.empty:
        raise DataError(_nothing(paths, name, description, there))
    used = _in_part(rows, part, name=name)
    notes.append(_compared(rows, used, part, name=name, description=description))
    notes += [f"{name}: {count:,} not used: {reason}" for reason, count in Counter(skipped).items()]
    root = there.places[0] if there.places else ""
    missing = rows.loc[used & (rows["clip"] < 0), ["path", "why"]].itertuples(index=False, name=None)
    unusable = [(os.path.join(root, path), reason) for path, reason in missing]
    left_out = pd.DataFrame([*there.left_out, *unusable], columns=["path", "reason"])
    table = rows[used & (rows["clip"] >= 0)].drop_duplicates("clip").reset_index(drop=True)
    clips = [there.clips[number] for number in table["clip"]]
    table = table.drop(columns=["clip", "why", LINE]).assign(path=[clip.path for clip in clips])
    if description.segments:
        table["segments"] = [_segments(there.segments.get(_stem(clip.path))) for clip in clips]
    known = set(rows["clip"])
    unknown = (clip.path for number, clip in enumerate(there.clips) if number not in known)
    other = there.other + Counter(f"{search.kind_of(path)} not of {name}" for path in unknown)
    return Listed(table, left_out, other, there.places, tuple(notes))


def _look(paths: list[Path], description: Description) -> _There:
    """Look for clips, lists and segments below folders."""
    patterns = [corpora.pattern(one.files) for one in description.lists]
    segments = corpora.pattern(description.segments) if description.segments else None

    def wanted(path: str) -> bool:
        path = path.replace(os.sep, "/")
        return any(one.search(path) for one in patterns) or bool(segments and segments.search(path))

    seek = search.Search(lambda told, _: told, keep=wanted)
    clips, lists, left_out, places = [], [], [], []
    for given in paths:
        path, is_folder, reason = search.place(given)
        if reason:
            left_out.append((one_line(path), reason))
        elif is_folder:
            path = _version(path, description.inside)
            places.append(str(path))
            clips += seek.below(str(path), told=None)
        else:
            places.append(str(path.parent))
            if search.kind_of(str(path)) in SOUND:
                clips.append(Clip(str(path), search.real(str(path)), None, sought=False))
            else:
                lists.append(str(path))
    if len(paths) == len(left_out) == 1:
        raise DataError(left_out[0][1], path=paths[0])
    found = [(segments.search(path.replace(os.sep, "/")) if segments else None, path) for path in seek.kept]
    lists += sorted(path for match, path in found if match is None)
    by_clip = {match["clip"]: path for match, path in found if match is not None}
    # A file that is known by its own name and by a link is one.
    clips = list({clip.real: clip for clip in reversed(clips)}.values())[::-1]
    return _There(clips, lists, by_clip, [*left_out, *seek.left_out], Counter(seek.other), sorted(set(places)))


def _version(path: Path, inside: str) -> Path:
    """Return the folder of one version of a corpus, where several lie in one."""
    if not inside or re.fullmatch(inside, path.name):
        return path
    below = [path]
    for _ in range(_DEPTH):
        below = [entry for folder in below for entry in sorted(folder.iterdir()) if entry.is_dir()]
        if found := [entry for entry in below if re.fullmatch(inside, entry.name)]:
            return found[0]
    return path


def _read(there: _There, description: Description, *, name: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Read the lists of a corpus; return a row a clip, why each of neither class is not used, and notes."""
    found, skipped, notes, others = [], [], [], []
    for path in there.lists:
        named = next((one for one in description.lists if protocols.captured(one, path) is not None), None)
        likely = (named,) if named else description.lists
        form = next((one for one in likely if protocols.is_of(path, one, description)), None)
        if form is None:
            others.append((path, next(iter(likely), None)))
            continue
        read = protocols.read(path, form, corpus=name, names=description.names)
        found.append(read.table)
        skipped += read.skipped["reason"].tolist()
    if others and not found and others[0][1] is not None:
        protocols.read(others[0][0], others[0][1], corpus=name, names=description.names)  # says what is wrong
    notes += [f"{one_line(path)}: is no list of {name}, and was not read" for path, _ in others]
    if not found:
        empty = {"path": [], "label": pd.array([], "Int8"), **{text: [] for text in protocols.TEXTS}, LINE: []}
        return pd.DataFrame(empty), skipped, notes
    # What has more columns says more; a list without labels says least.
    found.sort(key=lambda table: (table["label"].isna().all(), -len(table.columns)))
    rows = pd.concat(found, ignore_index=True)
    text = rows.columns.difference(["path", "label", LINE])
    rows[text] = rows[text].fillna("")
    # Several lists may have a name, of one label.
    several = rows[rows["path"].duplicated(keep=False) & rows["label"].notna()]
    labels = several.groupby("path", sort=False)["label"].nunique()
    if (labels > 1).any():
        raise DataError(
            f"{labels.index[labels > 1][0]}: two lists give it different labels; remove the one that is wrong"
        )
    return rows.drop_duplicates("path", ignore_index=True), skipped, notes


def _stem(path: str) -> str:
    """Return the name of a clip without folders, and without the suffix of a sound file."""
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SOUND else name


def _join(names: pd.Series, labels: pd.Series, clips: list[Clip]) -> tuple[np.ndarray, list[str]]:
    """Return the number of the clip that each name stands for, -1 for none, and why there is none.

    A name may lack its suffix or have another, and may be a path on another machine. Of several files with the same
    name, that with the most folders in common is meant.
    """
    by_stem: dict[str, list[int]] = {}
    paths = [clip.path.replace(os.sep, "/") for clip in clips]
    for number, path in enumerate(paths):
        by_stem.setdefault(_stem(path), []).append(number)
    names = [name.strip().replace("\\", "/") for name in names]
    stems = [_stem(name) for name in names]
    often = Counter(stems)
    found, why = np.full(len(names), -1), [""] * len(names)
    classes: dict[str, int | None] = {}
    for row, (name, stem, label) in enumerate(zip(names, stems, labels, strict=True)):
        there = by_stem.get(stem, ())
        if len(there) == 1 and often[stem] == 1:
            folder = paths[there[0]].rpartition("/")[0]
            if folder not in classes:
                classes[folder] = label_of(folder.rpartition("/")[2])
            if classes[folder] is None or label is pd.NA or classes[folder] == label:
                found[row] = there[0]
            else:
                why[row] = f"{_NOT_THERE}; a clip of its name lies in a folder of the other class"
        elif there:
            found[row], why[row] = _nearest(name, [(number, paths[number]) for number in there], one=often[stem] == 1)
        else:
            why[row] = _NOT_THERE
    return found, why


def _nearest(name: str, there: list[tuple[int, str]], *, one: bool) -> tuple[int, str]:
    """Return the number of the path that agrees with a name in most folders, or -1 and why there is none.

    Where `one` name is all there is of that kind, it need not agree in any.
    """
    wanted = [part for part in name.split("/")[:-1] if part not in ("", ".")][::-1]
    scored = []
    for number, path in there:
        parts = path.split("/")
        same = next((n for n, (a, b) in enumerate(zip(wanted, parts[-2::-1], strict=False)) if a != b), len(wanted))
        scored.append((same, parts[-1] == name.rpartition("/")[2], number, path))
    scored.sort(key=lambda item: item[:2], reverse=True)
    best = scored[0]
    if not one and not best[0] and not best[1]:
        return -1, _NOT_THERE
    ties = [item for item in scored if item[:2] == best[:2]]
    if len(ties) > 1:
        some = ", ".join(one_line(path) for *_, path in ties[:_NAMED])
        return -1, f"is there {len(ties)} times ({some}); keep one, or give one of the folders only"
    if not one and wanted and not best[0]:
        return -1, _NOT_THERE
    return best[2], ""


def _with_places(rows: pd.DataFrame, clips: list[Clip], description: Description) -> pd.DataFrame:
    """Add the clips whose place tells what they are."""
    if not description.folders:
        return rows
    known = set(rows["clip"])
    rules = [(corpora.pattern(rule.path), rule) for rule in description.folders]
    found = []
    for number, clip in enumerate(clips):
        if number in known:
            continue
        path = clip.path.replace(os.sep, "/")
        inside = f"{path[: -len(path.rpartition('/')[2])]}{_stem(path)}"
        for pattern, rule in rules:
            match = pattern.search(inside)
            told = {name: value or "" for name, value in match.groupdict().items()} if match else {}
            label = LABELS.get(rule.label) if rule.label else label_of(told.get("label", ""))
            if match and label is not None:
                split = split_of(told.get("split", "")) or told.get("split", "")
                attack = "bonafide" if label else told.get("attack") or "unknown"
                found.append(told | {"path": path, "label": label, "split": split, "attack": attack, "clip": number})
                break
    placed = pd.DataFrame(found, columns=None if found else ["path", "label", "clip"]).assign(why="")
    if description.pair and len(placed):
        placed = _partners(placed, rows, description.pair)
    rows = pd.concat([rows, placed.astype({"label": "Int8"})], ignore_index=True)
    text = rows.columns.difference(["path", "label", "clip", LINE])
    rows[text] = rows[text].fillna("")
    return rows


def _partners(placed: pd.DataFrame, rows: pd.DataFrame, pair: str) -> pd.DataFrame:
    """Return the recordings that spoofs were made from, with what the spoofs call them."""
    names = rows.loc[rows[pair] != "", pair].drop_duplicates()
    clips = [Clip(path, path, None, sought=False) for path in placed["path"]]
    found, _ = _join(names, pd.Series([1] * len(names)), clips)
    there = found >= 0
    return placed.iloc[found[there]].assign(**{pair: names[there].to_numpy()})


def _in_part(rows: pd.DataFrame, part: str, *, name: str) -> np.ndarray:
    """Return which rows are of a part: a subset, a split or a list, where rows say so; all of them for "all"."""
    if plain(part) == "all":
        return np.ones(len(rows), bool)
    split = split_of(part)
    known = {}
    for column in ("subset", "split", "list"):
        if column in rows and (rows[column] != "").any():
            values = rows[column].map({word: plain(word) for word in rows[column].unique()})
            known[column] = sorted(set(rows[column]) - {""})
            chosen = values == plain(split if split and column == "split" else part)
            if chosen.any():
                return chosen.to_numpy()
    if not known:  # a list without a key, or folders without splits
        return np.ones(len(rows), bool)
    there_are = list(dict.fromkeys(word for words in known.values() for word in words))
    raise DataError(
        f"{name}: has no part {part!r} here, it has {', '.join(there_are[:12])}; name one as {name}/{there_are[0]}, or "
        f"{name}/all"
    )


def _compared(rows: pd.DataFrame, used: np.ndarray, part: str, *, name: str, description: Description) -> str:
    """Say how many clips a corpus has, and whether that is as published."""
    of = {word: int((rows["label"] == number).sum()) for word, number in LABELS.items()} | {"all": len(rows)}
    for column in ("split", "subset"):
        of |= rows[column].value_counts().to_dict() if column in rows else {}
    what = "lines" if LINE in rows and rows[LINE].notna().all() else "clips"
    said = f"{name}: {len(rows):,} {what}"
    if not used.all():
        said += f", {int(used.sum()):,} of them {part}"
    differ = [
        f"{count:,} {key} ({abs(of[key] - count):,} {'more' if of[key] > count else 'fewer'} here)"
        for key, count in description.counts.items()
        if of.get(key, 0) and of[key] != count
    ]
    if differ:
        return f"{said}{DIFFERS}{', '.join(differ)}"
    return f"{said}: as published" if any(of.get(key, 0) for key in description.counts) else said


def _segments(path: str | None) -> str:
    """Return the labels of a clip's segments, as "start end label; …"; "" where there are none."""
    if path is None:
        return ""
    lines = Path(path).read_text("utf-8", errors="replace").splitlines()
    return "; ".join(" ".join(line.split()) for line in lines if line.strip())


def _nothing(paths: Iterable[Path], name: str, description: Description, there: _There) -> str:
    """Say what was looked for where nothing was found."""
    lists = " or ".join([one.files for one in description.lists] or [one.path for one in description.folders])
    lists = re.sub(r"\(\?<!.*?\)|\?P<\w+>|\\(?=\W)", "", lists)  # for people
    where = ", ".join(one_line(path) for path in list(paths)[:_NAMED])
    return (
        f"{where}: holds no list or folder of {name}, only {len(there.clips)} sound files; expected names like "
        f"{lists}; 'dfd data fetch {name}' says where to get it"
    )
