"""Read a corpus's own lists by their description (`corpora.List`), or recognise whose list a file is.

Names stay text, ``-`` is nothing, and what a list says beside the label is kept as columns.
"""

import itertools
import re
import string
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from dfdlib.data import corpora, table_files, tables
from dfdlib.data.corpora import Description, List
from dfdlib.data.labels import LABELS, label_of, plain, split_of
from dfdlib.data.table_files import COLUMNS, LINE, Raw
from dfdlib.errors import DataError
from dfdlib.text import one_line

#: Columns that every list has; "" where it does not say.
TEXTS = ("split", "speaker", "sentence", "attack")

# Lines at the beginning of a list by which it is recognised.
_LOOKED_AT = 100

# What comes before and after the name of a clip in its path.
_STEM = re.compile(r"^.*[/\\]|\.\w+$")

_SEPARATORS = (None, ",", ";", "\t", "|")


@dataclass(frozen=True)
class Read:
    """What a list says."""

    form: str  # what it was read as, in words
    # A row a clip: ``path`` as the list has it, ``label`` (1 bona fide, 0 spoof, missing where the list has none),
    # `TEXTS`, `LINE` and every other column, as text.
    table: pd.DataFrame
    skipped: pd.DataFrame  # ``path`` and ``reason`` of clips of neither class


def read(path: str | Path, form: List, *, corpus: str = "", names: str = "") -> Read:
    """Read a list as a description says; `names` is a regular expression of the corpus's clips.

    Raises
    ------
    DataError
        Rows of another length, an unknown label, a clip listed twice, or clips of another corpus.
    """
    path = Path(path)
    raw = _columns(path, form) if form.columns else table_files.load(path, needs=("path",), headings=form.headings)
    tables.require_paths(raw)
    for name, value in (captured(form, path.absolute()) or {}).items():
        if name not in raw.frame:
            raw.frame[name] = value
    stems = raw.frame["path"].str.replace(_STEM.pattern, "", regex=True)
    if names and (wrong := ~stems.str.fullmatch(names)).any():
        raise raw.fault(
            int(wrong.to_numpy().argmax()), f"is no clip of {corpus or 'this corpus'}, whose names are like {names}"
        )
    _make(raw.frame, form.make)
    frame, words = raw.frame, None
    if "label" in frame:
        words = frame["label"]
        frame["label"] = tables.labels(raw, needed=True, words=form.labels)
    else:
        label = LABELS.get(form.labels.get("*"), pd.NA)
        frame["label"] = pd.array([label] * len(frame), dtype="Int8")
    frame = _tidied(tables.without_copies(raw, drop=False), form)
    skipped = np.zeros(len(frame), bool) if words is None else frame["label"].isna().to_numpy()
    which = [one_line(word) for word in words[skipped]] if words is not None else []
    reasons = [f"its label {word!r} is neither bona fide nor spoof" for word in which]
    gone = pd.DataFrame({"path": frame.loc[skipped, "path"].tolist(), "reason": reasons}, dtype=object)
    return Read(corpus or "a list", frame[~skipped].reset_index(drop=True), gone)


def recognise(path: str | Path, *, corpus: str | None = None) -> Read:
    """Read a list with labels, whoever wrote it: a public corpus's, a table with headings, or names and labels.

    Whose it is is made out from its content, unless `corpus` says it (see `corpora.describe`).
    """
    path = Path(path)
    head = _head(path)
    if corpus is not None:
        name, description, _ = corpora.describe(corpus)
        known = {name: description}
    else:
        known = corpora.all_of_them()
    for name, description in known.items():
        for form in description.lists:
            if form.columns and "label" in form.columns.split() and _fits(head, form, description):
                return read(path, form, corpus=name, names=description.names)
    for name, description in known.items():
        for form in description.lists:
            if form.headings and _has_headings(head, form):
                return read(path, form, corpus=name)
    if corpus is not None and name not in corpora.all_of_them() and description.lists:
        return read(path, description.lists[0], corpus=name, names=description.names)  # or says what is wrong
    if head and (columns := _plain_columns(head)):
        return read(path, List(files=".*", columns=columns), corpus=columns)
    if head and not any(re.search(r"\S[\s,;|]+\S", line) for line in head):
        raise DataError("has names and no labels; give the list that has them, such as trial_metadata.txt", path=path)
    table = _tidied(tables.read(path, needs=("path", "label")), List(files=".*"))
    return Read("a table with headings", table, pd.DataFrame(columns=["path", "reason"]))


def captured(form: List, path: str | PurePath) -> dict[str, str] | None:
    """Return what a list's path captures where it is of that form, else None."""
    found = corpora.pattern(form.files).search(PurePath(path).as_posix())
    return None if found is None else {name: value for name, value in found.groupdict().items() if value}


def is_of(path: str | Path, form: List, description: Description) -> bool:
    """Tell from its first lines whether a list is of a corpus; several are called the same."""
    if form.headings:
        return True
    head = _head(Path(path))[:3]
    if not description.names:
        return any(len(_fields(line, separator)) in form.layouts for line in head[:1] for separator in _SEPARATORS)
    words = (word for line in head for word in re.split(r"[\s,;|]+", line))
    return any(re.fullmatch(description.names, _STEM.sub("", word)) for word in words)


def _columns(path: Path, form: List) -> Raw:
    """Read a list without headings."""
    layouts = form.layouts
    text = table_files.text_of(path)
    lines = table_files.filled_lines(text)
    first = text.split("\n", lines[0])[lines[0] - 1] if len(lines) else ""
    separator = next((one for one in _SEPARATORS if len(_fields(first, one)) in layouts), _SEPARATORS)
    if separator is _SEPARATORS:
        count = len(first.split())
        raise DataError(
            f"{path}, line {lines[0] if len(lines) else 1}: has {count} field{'s' * (count != 1)}, expected "
            f"{' or '.join(map(str, layouts))} ({form.columns}); check that it is the right list"
        )
    names = layouts[len(_fields(first, separator))]
    frame = table_files.plain_columns(text, separator, len(names) + 1)
    del text
    frame[LINE] = lines
    wrong = (frame[len(names)] != "") | (frame[len(names) - 1] == "")
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{path}, line {lines[row]}: has {'more' if frame[len(names)][row] else 'fewer'} than the {len(names)} "
            f"fields of the first line ({' '.join(names)}); correct or remove it"
        )
    frame = frame.drop(columns=len(names)).set_axis([*names, LINE], axis=1)
    frame = frame.loc[:, [name != "-" for name in frame]]
    # A list without headings may have some all the same.
    column = "label" if "label" in frame else "path"
    word = frame[column].iloc[0]
    if label_of(word) is None and word not in form.labels and plain(word) in COLUMNS[column]:
        frame = frame.iloc[1:].reset_index(drop=True)
    return Raw(path, [], frame)


def _fields(line: str, separator: str | None) -> list[str]:
    return line.split(separator) if line.strip() else []


def _make(frame: pd.DataFrame, templates: dict[str, str]) -> None:
    """Add columns that are made of others."""
    made = {}
    for name, template in templates.items():
        # A list that was moved elsewhere has no folder that says more.
        if any(column and column not in frame for _, column, _, _ in string.Formatter().parse(template)):
            continue
        whole: pd.Series | str = ""
        for text, column, _, _ in string.Formatter().parse(template):
            whole = whole + text + (frame[column] if column else "")
        made[name] = whole
    for name, column in made.items():
        frame[name] = column


def _tidied(frame: pd.DataFrame, form: List) -> pd.DataFrame:
    """Return a list with nothing where it says nothing, and splits and attacks by their usual words."""
    for name in frame.columns.difference(["path", "label", LINE]):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].where(frame[name].str.strip() != "-", "")
    for name, other in form.only_with.items():
        frame[name] = frame[name].where(frame[other] != "", "")
    for name in TEXTS:
        if name not in frame:
            frame[name] = ""
    other = form.splits.get("*")
    words = {
        word: form.splits.get(word) or split_of(word) or (other if word else "") for word in frame["split"].unique()
    }
    frame["split"] = frame["split"].map({word: word if new is None else new for word, new in words.items()})
    bonafide = frame["label"].eq(1).fillna(False).to_numpy(bool)
    attack = frame["attack"].where(frame["attack"] != "", "unknown")
    frame["attack"] = attack.where(~bonafide, "bonafide")
    return frame


def _head(path: Path) -> list[str]:
    """Return the first lines of a list that are not empty; none of a Parquet file."""
    if table_files.is_parquet(path):
        return []
    # Not split: a million lines take far more memory than their text.
    lines = re.finditer(r".*\S.*", table_files.text_of(path))
    return [line[0] for line in itertools.islice(lines, _LOOKED_AT)]


def _fits(head: list[str], form: List, description: Description) -> bool:
    """Tell whether lines are rows of a list without headings."""
    layouts = form.layouts
    for separator in _SEPARATORS:
        rows = [_fields(line, separator) for line in head]
        if rows and len(rows[0]) in layouts and all(len(row) == len(rows[0]) for row in rows):
            columns = layouts[len(rows[0])]
            frame = pd.DataFrame(rows, columns=range(len(columns)))
            labels, paths = (frame[columns.index(name)].str.strip() for name in ("label", "path"))
            if plain(labels[0]) in COLUMNS["label"]:
                if separator is not None:
                    return False  # a table with headings of its own
                labels, paths = labels[1:], paths[1:]
            known = all(label_of(word) is not None or word in form.labels for word in labels)
            stems = paths.str.replace(_STEM.pattern, "", regex=True)
            return known and (not description.names or stems.str.fullmatch(description.names).all())
    return False


def _has_headings(head: list[str], form: List) -> bool:
    """Tell whether the first line has the headings of a list, and none that says otherwise which class a clip is."""
    theirs = set(map(plain, form.headings.values()))
    first = (head or [""])[0]
    cells = {plain(cell.strip('" ')) for separator in _SEPARATORS[1:] for cell in first.split(separator)}
    return len(theirs) > 1 and theirs <= cells and cells.intersection(COLUMNS["label"]) <= theirs


def _plain_columns(head: list[str]) -> str:
    """Return the columns of rows with one label and a name that is in no other row; "" where they have none."""
    rows = [line.split() for line in head]
    if len({len(row) for row in rows}) != 1:
        return ""
    places = [place for place in range(len(rows[0])) if all(label_of(row[place]) is not None for row in rows)]
    unlike = [place for place in range(len(rows[0])) if len({row[place] for row in rows}) == len(rows)]
    if len(places) != 1 or not unlike:
        return ""
    return " ".join({unlike[0]: "path", places[0]: "label"}.get(place, "-") for place in range(len(rows[0])))
