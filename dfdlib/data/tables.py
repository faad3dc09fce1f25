"""Read and write tables of clips: manifests and scores, as CSV or Parquet, whoever wrote them.

A table of text may be separated by commas, semicolons, tabs or pipes, be UTF-8 or UTF-16 with or without its mark, and
name its columns in its own way (`COLUMNS`). Text stays text: the speaker ``01`` is not ``1``, and ``NA`` is a word.
What would shift, guess or count twice is refused, with the line.
"""

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dfdlib import files
from dfdlib.data.labels import LABEL_NAMES, LABELS, label_of, plain
from dfdlib.data.table_files import COLUMNS, LINE, Raw, is_number, load, number, some
from dfdlib.errors import DataError
from dfdlib.text import one_line

#: What the names of tables end with.
TABLES = (".csv", ".tsv", ".parquet")

_NUMBERS = {"1": 1, "1.0": 1, "0": 0, "0.0": 0}


def read(path: str | Path, *, needs: Iterable[str] = ("path",), drop_copies: bool = False) -> pd.DataFrame:
    """Read a table of clips.

    Parameters
    ----------
    path : str or Path
        Parquet, or text with a line of headings. Excel's first line ``sep=;`` is understood.
    needs : iterable of {"path", "label", "score"}
        The columns that must be there, with a value in every row.
    drop_copies : bool
        Drop rows that equal an earlier one; else they are refused.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS` by these names, any other by its own: ``label`` as 1 (bona fide), 0 (spoof) or
        missing, ``score`` and ``duration`` as numbers, all else as text, and `LINE`.

    Raises
    ------
    DataError
        The file is no such table; a column is missing or there twice; a row has more or fewer fields than there are
        headings, no path, a label that is none or a score that is not finite; a clip has several rows.
    """
    needs = ("path", *needs)
    return checked(load(Path(path), needs=needs), needs=needs, drop_copies=drop_copies)


def checked(raw: Raw, *, needs: Iterable[str], drop_copies: bool = False) -> pd.DataFrame:
    """Return a table that was loaded as `read` does, or refuse it as `read` does."""
    frame = raw.frame
    require_paths(raw)
    if "label" in frame:
        frame["label"] = labels(raw, needed="label" in needs)
    for name in {"score", "duration"} & set(frame):
        frame[name] = _numbers(raw, name, needed=name in needs)
    return without_copies(raw, drop=drop_copies)


def require_paths(raw: Raw) -> None:
    """Raise DataError where a row of a table has no path."""
    without = (raw.frame["path"].str.strip() == "").to_numpy()
    if without.any():
        raise raw.fault(int(without.argmax()), "has no path; write one or remove the row")


def read_manifest(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a list of clips whose paths are relative to its folder, and look which of them are there.

    Returns
    -------
    table : DataFrame
        As `read`, of clips that are there; ``path`` absolute; ``label`` missing where the list says none; ``split``,
        ``speaker``, ``sentence`` and ``attack`` as in `corpus.Corpus`.
    left_out : DataFrame
        ``path`` and ``reason`` of the others.
    """
    path = Path(path)
    table = read(path)
    if "label" not in table:
        table["label"] = pd.array([pd.NA] * len(table), dtype="Int8")
    for column in ("split", "speaker", "sentence"):
        table[column] = table.get(column, "")
    known = table.get("attack", "")
    unknown = np.where(table["label"].eq(1).fillna(False), "bonafide", "unknown")
    table["attack"] = np.where(known == "", unknown, known)
    base = str(path.parent.absolute())
    found = [_found(base, clip) for clip in table["path"]]
    there = np.array([clip is not None for clip in found])
    gone = [os.path.join(base, clip) for clip in table.loc[~there, "path"]]
    table = table[there].assign(path=[clip for clip in found if clip is not None])
    return table, pd.DataFrame({"path": gone, "reason": f"listed in {path.name} but not there"})


def refuse_two_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return clips; raise DataError where two with a `LINE` have equal ``sha256`` and different labels."""
    listed = table[table[LINE].notna()]
    bad = listed[listed.groupby("sha256")["label"].transform("nunique") > 1]
    if bad.empty:
        return table
    (one, other) = bad[bad["sha256"] == bad["sha256"].iloc[0]].drop_duplicates("label").head(2).to_dict("records")
    raise DataError(
        f"{one['path']} and {other['path']}: the same content under both labels, in lines {one[LINE]:.0f} and "
        f"{other[LINE]:.0f} of what lists them; keep the one that is right"
    )


def below(paths: Iterable[str], root: str) -> list[str]:
    """Return absolute paths as they are written to files: relative to a folder, with slashes; "" changes none."""
    if not root:
        return list(paths)
    inside = root.rstrip(os.sep) + os.sep
    names = [path[len(inside) :] if path.startswith(inside) else _relative(path, root) for path in paths]
    return names if os.sep == "/" else [name.replace(os.sep, "/") for name in names]


def common_root(places: Iterable[str | Path], clips: list[str]) -> str:
    """Return the nearest folder above all places, or above all clips where some lie outside; "" where there is none."""
    try:
        root = os.path.commonpath(list(places))
        inside = root.rstrip(os.sep) + os.sep
        if all(clip.startswith(inside) for clip in clips):
            return root
        return os.path.commonpath([os.path.dirname(clip) for clip in clips])
    except ValueError:  # nothing in common, as on two drives
        return ""


def write(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV that `read` gives back as it was, atomically."""
    text = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    # Python before 3.13 quotes no field for a carriage return in it, and readers would end the line there.
    returns = any(table[name].astype("string").str.contains("\r", regex=False).any() for name in text)
    with files.atomic(path) as file:
        table.to_csv(file, index=False, quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL)


def labels(raw: Raw, *, needed: bool, words: Mapping[str, str] | None = None) -> pd.array:
    """Return the label of each row of a table: 1, 0 or missing; where they are `needed`, rows without one are refused.

    `words` are classes of words that the writer uses: "bonafide", "spoof", or another for neither; ``*`` is any word.
    """
    column = raw.frame["label"]
    own, rest = {plain(word): LABELS.get(name) for word, name in (words or {}).items()}, (words or {}).get("*")
    known = {word: own.get(plain(word), label_of(word)) for word in column.unique()}
    if rest is not None:
        known |= {word: LABELS.get(rest) for word in known if plain(word) not in own and label_of(word) is None}
    headings = set(map(plain, raw.header))
    heading = next((word for word in COLUMNS["label"] if word in headings), "")
    one = 1 if heading == "label" else label_of(heading.removeprefix("is"))
    if one is not None:
        numbers = {word: _NUMBERS[word.strip()] for word in known if word.strip() in _NUMBERS}
        known |= {word: number if one else 1 - number for word, number in numbers.items()}
    skipped = {word for word in known if plain(word) in own or rest is not None}
    unknown = {word for word, number in known.items() if number is None and (needed or word.strip())} - skipped
    if unknown:
        row = int(column.isin(unknown).to_numpy().argmax())
        word, others = column.iloc[row], [other for other in known if other not in (column.iloc[row], "")]
        which = " (0 and 1 say which class they are under headings such as 'label' or 'is_spoof' only)"
        raise raw.fault(
            row,
            f"label {one_line(word)!r} is neither bona fide nor spoof{which * (word.strip() in _NUMBERS)}; "
            f"{f'the others are {some(others)}; ' if others else ''}write bonafide or spoof",
        )
    return pd.array(column.map(known).astype(object).where(lambda value: value.notna(), None), dtype="Int8")


def _numbers(raw: Raw, name: str, *, needed: bool) -> pd.Series | np.ndarray:
    """Return a column as finite numbers; where they are not needed, missing ones for what is none."""
    column = raw.frame[name]
    if pd.api.types.is_numeric_dtype(column):
        texts, values = column, column.to_numpy(float, na_value=np.nan)
    else:
        texts = column.fillna("").astype(str).str.strip()
        if raw.comma and (commas := texts.str.contains(",", regex=False)).any():
            points = texts.str.contains(".", regex=False)
            if points.any():
                raise raw.fault(
                    int(commas.to_numpy().argmax()),
                    f"{name} {texts[commas].iloc[0]!r} has a comma and {texts[points].iloc[0]!r} has a point; use one "
                    "for decimals and nothing for thousands",
                )
            texts = texts.str.replace(",", ".", regex=False)
        try:
            # A million numbers are read without an object for each.
            values = pa.array(texts).cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            values = np.array([number(text) if is_number(text) else np.nan for text in texts])
    bad = ~np.isfinite(values)
    if needed and bad.any():
        row = int(bad.argmax())
        raise raw.fault(row, f"{name} {one_line(str(column.iloc[row]))!r} is not a finite number; correct or remove it")
    return values


def without_copies(raw: Raw, *, drop: bool) -> pd.DataFrame:
    """Return the rows, each of another clip: exact copies are dropped or refused, others always refused."""
    frame = raw.frame
    odd = frame["path"].str.contains(r"(?:^|/)\.{0,2}(?:/|$)")
    clips = frame["path"].where(~odd, frame.loc[odd, "path"].map(os.path.normpath))
    several = frame.assign(path=clips)[clips.duplicated(keep=False).to_numpy()]
    if several.empty:
        return frame
    columns = [name for name in frame if name != LINE]
    distinct = several.drop_duplicates(columns)
    differing = distinct[distinct["path"].duplicated(keep=False)]
    group = several if differing.empty else differing
    first, second = group.index[group["path"] == group["path"].iloc[0]][:2]
    where = f"{raw.path}, {raw.unit}s {frame[LINE][first]} and {frame[LINE][second]}: {one_line(frame['path'][first])}"
    if len(differing):
        one, other = (several[columns].loc[row].fillna("") for row in (first, second))
        column = next(name for name in ("label", "score", *columns) if name in columns and one[name] != other[name])
        values = [
            LABEL_NAMES.get(row[column], row[column]) if column == "label" else row[column] for row in (one, other)
        ]
        raise DataError(
            f"{where} is there twice, with {column} {' and '.join(repr(one_line(str(value))) for value in values)}; "
            "keep the row that is right"
        )
    copies = several.duplicated(columns)
    if not drop:
        raise DataError(
            f"{where} is there twice ({copies.sum()} such copies in all), and would count twice; remove the copies "
            "('dfd evaluate' and 'dfd compare' do with --drop-copies)"
        )
    return frame.drop(copies.index[copies]).reset_index(drop=True)


def _found(base: str, clip: str) -> str | None:
    """Return where a clip of a list is, whichever way its path is written."""
    for name in dict.fromkeys((clip, clip.strip(), clip.replace("\\", "/"), clip.strip().replace("\\", "/"))):
        place = os.path.join(base, name)
        # A path is the same clip with and without its dots, unless links are in the way.
        for known in (os.path.normpath(place), place):
            if os.path.isfile(known):
                return known
    return None


def _relative(path: str, root: str) -> str:
    try:
        return os.path.relpath(path, root)
    except ValueError:  # another drive
        return path
