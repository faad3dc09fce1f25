"""Read files of tables as text: encodings, separators, headings and quotes. `tables` interprets the rows."""

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import search
from dfdlib.data.labels import label_of, plain
from dfdlib.errors import DataError, first_line
from dfdlib.text import one_line

#: Headings of each column, as `plain` writes them; the first one found counts.
COLUMNS = {
    "path": "path file filename filepath clip audio audiopath audiofile wav utterance utt uttid utteranceid recording "
    "trial id".split(),
    "label": "label key class groundtruth cmlabel isbonafide isreal isgenuine isspoof isfake isdeepfake".split(),
    "score": "score cmscore".split(),
    "speaker": "speaker speakerid spk".split(),
} | {name: [name] for name in ("split", "sentence", "attack", "duration", "sha256")}

#: The column with the line, or row of a Parquet file, that a row was read from. No heading can be called so.
LINE = " line"

# Characters read to find the headings.
_HEAD = 100_000
_SEPARATORS = (",", ";", "\t", "|")
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip


@dataclass(frozen=True)
class Raw:
    """A table as it stands in a file: all of it text, its columns called as in `COLUMNS` where they are known."""

    path: Path
    header: list[str]
    frame: pd.DataFrame
    comma: bool = False
    unit: str = "line"

    def fault(self, row: int, what: str) -> DataError:
        """Return an error about the row of `frame` at that place."""
        clip = self.frame["path"].iloc[row] if "path" in self.frame else ""
        return DataError(f"{self.path}, {self.line(row)}{f' ({one_line(clip)})' if clip else ''}: {what}")

    def line(self, row: int) -> str:
        return f"{self.unit} {self.frame[LINE].iloc[row]}"


def load(path: Path, *, needs: tuple[str, ...], headings: Mapping[str, str] | None = None) -> Raw:
    """Read a table; every row has a field for each column in `needs`.

    `headings` says under which heading a column stands; else, and for all others, `COLUMNS` does.

    Raises
    ------
    DataError
        The file is no table with headings; a column is missing or there twice; a row has more or fewer fields than
        there are headings.
    """
    content = _content(path)
    parquet, own = is_parquet(path, content), headings or {}
    raw = _from_parquet(path, content, own) if parquet else _from_text(path, content, needs=needs, own=own)
    missing = [name for name in needs if name not in raw.frame]
    if missing:
        raise _missing(path, raw.header, missing[0])
    if raw.frame.empty:
        raise DataError("has no row below its headings", path=path)
    return raw


def is_parquet(path: Path, content: bytes | None = None) -> bool:
    """Tell by its name or its first bytes whether a file is Parquet."""
    return path.suffix.lower() == ".parquet" or (_content(path, 4) if content is None else content)[:4] == b"PAR1"


def text_of(path: Path) -> str:
    """Return a file as text, whichever Unicode it is in, each line ended by a line feed."""
    return _decoded(path, _content(path)).replace("\r\n", "\n").replace("\r", "\n")


def filled_lines(text: str) -> np.ndarray:
    """Return the numbers of the lines that are not empty; a line feed ends each."""
    return np.array([number for number, line in enumerate(io.StringIO(text), 1) if line.strip()], int)


def plain_columns(text: str, separator: str | None, count: int) -> pd.DataFrame:
    """Return lines without headings and quotes as so many columns of text, "" for what they lack.

    Further fields are an error of pandas; blanks separate where `separator` is None.
    """
    how = {"sep": r"\s+"} if separator is None else {"sep": separator, "skipinitialspace": True}
    return pd.read_csv(
        io.BytesIO(text.encode()), header=None, names=range(count), dtype=str, na_filter=False, quoting=csv.QUOTE_NONE,
        index_col=False, **how,
    )  # fmt: skip


def _content(path: Path, most: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise DataError(f"cannot be read ({os.strerror(error.errno)})", path=path) from error


def some(words: Iterable[str], limit: int = 12) -> str:
    words = [one_line(word)[:40] for word in words]
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if len(words) > limit else "")


def is_number(text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


def number(text: str) -> float:
    # Python takes 1_000 for a number.
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _from_parquet(path: Path, content: bytes, own: Mapping[str, str]) -> Raw:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # pyarrow raises a dozen kinds for files that are not tables
        raise DataError(f"cannot be read as Parquet ({first_line(error)})", path=path) from error
    header = [str(name) for name in frame.columns]
    frame = _also(frame.set_axis(_names(path, header, own), axis=1), header, own)
    frame = frame.assign(**{name: _as_text(frame[name]) for name in frame if name not in ("score", "duration")})
    frame[LINE] = np.arange(1, len(frame) + 1)
    return Raw(path, header, frame, unit="row")


def _as_text(column: pd.Series) -> pd.Series:
    """Return a column as text, "" where nothing is: whole numbers without the point that missing ones give them."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").fillna("").astype(str)


def _from_text(path: Path, content: bytes, *, needs: tuple[str, ...], own: Mapping[str, str]) -> Raw:
    text = _decoded(path, content)
    told = re.match(r'"?sep=(.)"?[ \t,;]*(?:\r\n|\r|\n)', text, re.IGNORECASE)
    skipped = 1 if told else 0
    text = text[told.end() :] if told else text
    header, separator = _header(path, text, (told[1],) if told else _SEPARATORS)
    names = _names(path, header, own)
    # Bytes take a quarter of what a stream of text does.
    content = text.encode()
    del text
    lines, lengths = _measured(path, content, separator)
    lines += skipped
    _check_lengths(path, lines, lengths, names, needs=needs, separator=separator)
    try:
        frame = pd.read_csv(
            io.BytesIO(content), sep=separator, header=0, names=range(len(names)), index_col=False,
            dtype=str, na_filter=False,
        )  # fmt: skip
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            f"cannot be read as a table ({str(error).splitlines()[-1]}); check its quotes", path=path
        ) from error
    if len(frame) != len(lines) - 1:
        raise DataError("its quotes do not match; write a quote within a field as two", path=path)
    frame = frame.set_axis(names, axis=1)
    frame[LINE] = lines[1:]
    # A line of separators alone is an empty line, as spreadsheets write them.
    empty = frame["path"].str.strip() == ""
    empty[empty] = (frame.loc[empty, names] == "").all(axis=1)
    frame = frame[~empty].reset_index(drop=True)
    frame = _also(frame[[name for name in frame if name]], [cell for cell in header if cell], own)
    raw = Raw(path, header, frame, comma=separator != ",")
    _refuse_second_header(raw, dict(zip(names, header, strict=True)))
    return raw


def _decoded(path: Path, content: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        kind = "is a workbook or an archive" if content[:2] == b"PK" else f"line {line} is not {encoding} text"
        raise DataError(f"cannot be read as a table ({kind}); save it as CSV in UTF-8", path=path) from error
    if "\0" in text:
        raise DataError(
            "cannot be read as a table (it holds zeros, as no text does); save it as CSV in UTF-8", path=path
        )
    return text


def _header(path: Path, text: str, separators: Iterable[str]) -> tuple[list[str], str]:
    """Return the headings, and the separator under which most of them are known."""
    best: tuple = ()
    for separator in separators:
        rows = csv.reader(io.StringIO(text[:_HEAD], newline=""), delimiter=separator)
        try:
            header = [cell.strip(' \t"') for cell in next((row for row in rows if any(map(str.strip, row))), [])]
        except csv.Error:
            continue
        known = sum(any(plain(cell) in words for words in COLUMNS.values()) for cell in header)
        if not best or (known, len(header)) > best[0]:
            best = (known, len(header)), header, separator
    if not best or not best[1]:
        raise DataError("is empty; expected a line of headings such as path,label,score", path=path)
    _, header, separator = best
    words = [word for cell in header for word in (cell, *cell.split())]
    data = [word for word in words if is_number(word) or os.path.splitext(word)[1].lower() in search.SOUND]
    if not best[0][0] and (data or any(label_of(word) is not None for word in words)):
        raise DataError(
            f"has no line of headings, it begins with {some(header)}; write one above it, such as path,label,score",
            path=path,
        )
    return header, separator


def _also(frame: pd.DataFrame, header: list[str], own: Mapping[str, str]) -> pd.DataFrame:
    """Add the columns that stand under a heading that another one stands under as well."""
    places = {plain(cell): place for place, cell in enumerate(header)}
    more = {name: places.get(plain(theirs)) for name, theirs in own.items() if name not in frame}
    return frame.assign(**{name: frame.iloc[:, place] for name, place in more.items() if place is not None})


def _names(path: Path, header: list[str], own: Mapping[str, str]) -> list[str]:
    """Return what columns are called here, "" for those without a heading."""
    by_word: dict[str, int] = {}
    for place, cell in enumerate(header):
        if cell and by_word.setdefault(plain(cell), place) != place:
            raise DataError(f"has two columns {one_line(cell)!r}; rename or remove one", path=path)
    if absent := [theirs for theirs in own.values() if plain(theirs) not in by_word]:
        raise DataError(f"has no column {absent[0]!r}, it has {some(header)}; check that it is the list", path=path)
    names = list(header)
    # A heading that stands for another column here keeps no name of ours.
    given = {by_word[plain(theirs)]: name for name, theirs in own.items() if plain(theirs) in by_word}
    names = [given.get(place, name) for place, name in enumerate(names)]
    for name, words in COLUMNS.items():
        words = [] if name in own else [word for word in words if by_word.get(word) not in given]
        if (place := next((by_word[word] for word in words if word in by_word), None)) is not None:
            names[place] = name
    if "path" not in names:
        raise _missing(path, header, "path")
    return names


def _missing(path: Path, header: list[str], name: str) -> DataError:
    return DataError(
        f"has no column {name!r}, it has {some(header)}; call one of them {name} (or {', '.join(COLUMNS[name][1:4])})",
        path=path,
    )


def _measured(path: Path, content: bytes, separator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return of every row that is not empty, the headings included, its line and how many fields it has."""
    lines, lengths, before = [], [], 0
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), delimiter=separator)
    try:
        for row in rows:
            if len(row) > 1 or (row and row[0].strip(" \t")):
                lines.append(before + 1)
                lengths.append(len(row))
            before = rows.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {before + 1}: cannot be read as a row ({error}); check its quotes") from error
    return np.array(lines), np.array(lengths)


def _check_lengths(
    path: Path, lines: np.ndarray, lengths: np.ndarray, names: list[str], *, needs: tuple[str, ...], separator: str
) -> None:
    # What spreadsheets leave away at the end of a row is empty, and may be where nothing has to be.
    least = max(place for place, name in enumerate(names, 1) if name in {*needs, "path", "label", "score"})
    bad = (lengths > len(names)) | (lengths < least)
    if bad.any():
        row = int(bad.argmax())
        more = f" (so have {bad.sum() - 1} more lines)" if bad.sum() > 1 else ""
        remedy = "quote those that hold one" if lengths[row] > len(names) else "write all of them, and close each quote"
        raise DataError(
            f"{path}, line {lines[row]}: has {lengths[row]} fields where the headings are {len(names)}{more}; "
            f"fields are separated by {separator!r}: {remedy}"
        )


def _refuse_second_header(raw: Raw, headings: dict[str, str]) -> None:
    same = np.ones(len(raw.frame), bool)
    for name in {"path", "label", "score"} & set(headings):
        same &= (raw.frame[name].str.strip() == headings[name]).to_numpy()
    if same.any():
        raise DataError(
            f"{raw.path}, {raw.line(int(same.argmax()))}: the headings again, so these are two tables in one file; "
            "separate them, or remove that line if they belong together"
        )
