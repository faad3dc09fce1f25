"""Scores of others: lists with headings, or in one of `FORMS`, recognised by their content."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import table_files, tables
from dfdlib.data.labels import label_of, plain
from dfdlib.data.table_files import COLUMNS, LINE, Raw, is_number, some
from dfdlib.errors import DataError, ParameterError
from dfdlib.text import one_line

#: What the columns of a list without headings are, by what such a list is called; the first that fits counts.
FORMS = {
    "utterance score": ("path", "score"),
    "utterance score key": ("path", "score", "label"),
    "utterance attack key score": ("path", "attack", "label", "score"),
    "speaker utterance score key": ("speaker", "path", "score", "label"),
}
#: What the score of a clip stands for where there is none.
NO_SCORE = "-"

# Rows by which a form is recognised.
_FITTED = 200


@dataclass(frozen=True)
class ScoreList:
    """Scores as a file has them."""

    path: Path
    read_as: str  # the form of the file, for whoever wants to know what was made of it
    # ``path`` and ``score`` (higher means bona fide), ``label`` where the file says it, and its other columns.
    table: pd.DataFrame
    unscored: tuple[str, ...] = ()  # clips without a score
    prefixed: bool = False  # names begin with that of their corpus and a hyphen


def read(
    path: str | Path,
    *,
    column: str | None = None,
    higher: str = "bonafide",
    labelled: bool = False,
    drop_copies: bool = False,
    allow_missing: bool = False,
) -> ScoreList:
    """Read a list of scores.

    Parameters
    ----------
    path : str or Path
        A table with headings, or a list in one of `FORMS`.
    column : str, optional
        The heading of the scores; by default the one that is called so.
    higher : {"bonafide", "spoof"}
        What a higher score means in the file. Scores that rise with spoof are negated.
    labelled : bool
        Every row must have a label.
    drop_copies : bool
        Drop rows that equal an earlier one; else they are refused.
    allow_missing : bool
        Leave out rows whose score is `NO_SCORE`; else they are refused.

    Raises
    ------
    DataError
        The file is no such list; a name is there twice; a score is no finite number, a label none.
    """
    if higher not in ("bonafide", "spoof"):
        raise ParameterError(f"higher={higher!r}: must be bonafide or spoof")
    path = Path(path)
    raw, read_as = _load(path, column)
    frame = raw.frame
    if labelled and "label" not in frame:
        if read_as in FORMS:
            raise DataError(f"has no labels (read as: {read_as}); give a key that has them", path=path)
        raise DataError(f"has no labels, it has {some(raw.header)}; call one of them label, or give a key", path=path)
    logits = pd.api.types.is_string_dtype(frame["score"]) and frame["score"].iloc[0].lstrip().startswith("[")
    if logits:
        frame["score"] = _of_logits(raw)
        read_as += "; score: second number of [fake, real] less the first"
    is_text = pd.api.types.is_string_dtype(frame["score"])
    without = frame["score"].str.strip() == NO_SCORE if is_text else np.zeros(len(frame), bool)
    unscored = tuple(frame.loc[without, "path"])
    if unscored and not allow_missing:
        what = f"{len(unscored)} clips have no score but {NO_SCORE!r} ({some(unscored, 3)})"
        raise DataError(f"{what}; leave them out with --allow-missing, or name a --score-column", path=path)
    if unscored:
        raw = replace(raw, frame=frame[~without].reset_index(drop=True))
    needs = ("path", "score", "label") if labelled else ("path", "score")
    table = tables.checked(raw, needs=needs, drop_copies=drop_copies).drop(columns=LINE)
    if higher == "spoof":
        table["score"] = -table["score"]
    return ScoreList(path, read_as, table, unscored, prefixed=logits)


# --- reading ---


def _load(path: Path, column: str | None) -> tuple[Raw, str]:
    """Return a list as text, its columns named, and the form that it was read as."""
    if not path.is_file():
        raise DataError("there is no such file", path=path)
    if not table_files.is_parquet(path):
        text = table_files.text_of(path)
        found = re.search(r".*\S.*", text)
        first = found[0] if found else ""
        if any(is_number(word.strip("\"'")) for word in re.split(r"[\s,;|]+", first)) and not _known(first):
            if column is not None:
                raise DataError(f"column {one_line(column)!r}: the list has no headings", path=path)
            return _without_headings(path, text, first)
    raw = table_files.load(path, needs=("path",), headings=None if column is None else {"score": column})
    if "score" not in raw.frame:
        raise DataError(
            f"has no column 'score', it has {some(raw.header)}; say which one holds the scores with --score-column",
            path=path,
        )
    words = {
        name: [plain(column)] if column and name == "score" else COLUMNS[name] for name in ("path", "label", "score")
    }
    cells = {plain(cell): one_line(cell) for cell in raw.header}
    used = [next((cells[word] for word in known if word in cells), None) for known in words.values()]
    return raw, f"table with headings {', '.join(filter(None, used))}"


def _known(line: str) -> bool:
    """Tell whether a line has headings of both names and scores."""
    words = {plain(word.strip("\"'")) for word in re.split(r"[\t,;|]", line)}
    return all(words & set(COLUMNS[name]) for name in ("path", "score"))


def _without_headings(path: Path, text: str, first: str) -> tuple[Raw, str]:
    """Return a list in one of `FORMS` as text, its columns named, and the name of its form."""
    frame, separator = _fields(path, text, first)
    head = frame.head(_FITTED)
    comma = separator == ";"
    fitting = [
        form for form, names in FORMS.items() if len(names) == frame.shape[1] and _fits(head, names, comma=comma)
    ]
    if not fitting:
        words = set(head.to_numpy().ravel())
        if {"target", "nontarget"} & words:
            raise DataError("holds scores of speaker verification; give it with --asv", path=path)
        known = "; ".join(FORMS)
        raise DataError(
            f"is no list of scores that is known here, it begins with {some(head.iloc[0])}; known are: {known}; write "
            "a line of headings above others, such as path,score",
            path=path,
        )
    names = FORMS[fitting[0]]
    frame.columns = list(names)
    return Raw(path, list(names), frame.assign(**{LINE: _lines(text, len(frame))}), comma), fitting[0]


def _fields(path: Path, text: str, first: str) -> tuple[pd.DataFrame, str]:
    """Return the fields of a list without headings, all text, and what separates them."""
    separator = next((mark for mark in "\t;,|" if mark in first), None)
    quoting = csv.QUOTE_MINIMAL if separator in (";", ",") else csv.QUOTE_NONE
    columns = len(next(csv.reader([first], delimiter=separator, quoting=quoting)) if separator else first.split())
    try:
        frame = pd.read_csv(
            io.BytesIO(text.encode()), sep=separator or r"\s+", header=None, names=range(columns), index_col=False,
            dtype=str, na_filter=False, quoting=quoting, on_bad_lines="error",
        )  # fmt: skip
        uneven = bool((frame.iloc[:, -1] == "").any())
    except ValueError:  # pandas' parser errors are ValueErrors
        uneven = True
    if uneven:
        for number, line in enumerate(io.StringIO(text), 1):
            fields = [field for field in line.split(separator) if separator or field.strip()]
            if line.strip() and (len(fields) != columns or not fields[-1].strip()):
                raise DataError(
                    f"{path}, line {number}: has {len(fields)} fields where the first line has {columns}; separate "
                    "them by tabs if names have spaces"
                )
        raise DataError("cannot be read as a list; check its quotes", path=path)
    return frame, separator or " "


def _fits(head: pd.DataFrame, names: Iterable[str], *, comma: bool) -> bool:
    """Tell whether most of the first rows of a list can be what columns of these names hold."""
    kinds = {
        "score": lambda word: is_number(word.replace(",", ".") if comma else word),
        "label": lambda word: label_of(word) is not None,
    }
    columns = zip(head.columns, names, strict=True)
    return all(head[place].map(kinds[name]).mean() > 0.5 for place, name in columns if name in kinds)


def _lines(text: str, rows: int) -> np.ndarray:
    if text.count("\n") - text.endswith("\n") + 1 == rows:
        return np.arange(1, rows + 1)
    return table_files.filled_lines(text)[:rows]


def _of_logits(raw: Raw) -> np.ndarray:
    """Return the second number of each pair in square brackets less the first."""
    pairs = raw.frame["score"].str.extract(r"^\s*\[([^,\[\]]+),([^,\[\]]+)\]\s*$")
    values = pairs.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise raw.fault(row, f"score {one_line(raw.frame['score'].iloc[row])!r} is no pair [fake, real] of numbers")
    return values[:, 1] - values[:, 0]
