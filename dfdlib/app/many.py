"""What detectors say of many files: a row a file, and why some have none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfdlib.app import assessment
from dfdlib.app.basis import Known
from dfdlib.app.rules import MOST_FILES
from dfdlib.data import corpus
from dfdlib.data.audit import measure
from dfdlib.detector.score import score
from dfdlib.errors import DataError
from dfdlib.evaluation import shift
from dfdlib.text import one_line


@dataclass(frozen=True, eq=False)
class Many:
    """What is said of many files: a row a file, files that were left out with reasons, warnings by detector."""

    table: pd.DataFrame
    left_out: list[tuple[str, str]]
    warnings: list[tuple[str, str]]


def many(paths: Iterable[str], known: Known, *, channel: str, progress: Callable[[int, int], None]) -> Many:
    """Score many files by every detector; a bad one is left out with the reason."""
    usable, gone = [], []
    for number, path in enumerate(paths):
        try:
            if number >= MOST_FILES:
                raise DataError(f"is beyond the {MOST_FILES:,} files that the page takes; use dfd score", path=path)
            assessment.check(path)
            usable.append(path)
        except DataError as error:
            gone.append((Path(path).name, error.reason))
    columns, warnings, clips = {}, [], None
    with_files = corpus.find(usable) if usable else None
    measured = with_files.table[["path"]].join(measure.measure(with_files).clips).set_index("path") if usable else None
    for basis in known.bases if usable else ():
        options = {"preprocessing": basis.preprocessing, "cache": known.opened()}
        clips = score(with_files, basis.scorer, progress=progress, **options)
        judged = [
            assessment.judge(value, basis, channel=channel, level=level)
            for value, level in zip(clips.values, measured.loc[clips.table["path"], "level"], strict=True)
        ]
        mark = f", {basis.name}" if len(known.bases) > 1 else ""
        columns["file"] = [one_line(Path(path).name) for path in clips.table["path"]]
        columns[f"outcome{mark}"] = [assessment.outcome(*one) for one in judged]
        columns[f"score{mark}"] = clips.values
        for title, name in {"LLR": "value", "LLR low": "low", "LLR high": "high"}.items():
            columns[f"{title}{mark}"] = [llr and getattr(llr, name) for llr, _ in judged]
        if channel in basis.scales and len(clips.table) > 1:
            fitted = basis.scales[channel].calibration
            warnings += [(basis.name, line) for line in shift.shift_warnings(fitted, clips.values)]
        gone += [(Path(row.path).name, row.reason) for row in clips.left_out.itertuples()]
    return Many(pd.DataFrame(columns), list(dict.fromkeys(gone)), warnings)
