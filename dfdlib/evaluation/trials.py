"""Lists of trials: a label and a score for each clip, checked before anything is computed from them."""

import numpy as np
from numpy.typing import ArrayLike

from dfdlib.errors import DataError

BONAFIDE = 1
SPOOF = 0


def validate(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check trials (n,), and return their labels as int8, 1 for bona fide and 0 for spoof, and their scores as float64.

    A DataError says what is wrong: not one-dimensional, lengths that differ, pandas indexes that differ, no trials, a
    label other than 0 and 1, a score that is not a finite number, or a class without a trial.
    """
    left, right = getattr(labels, "index", None), getattr(scores, "index", None)
    if hasattr(left, "equals") and hasattr(right, "equals") and len(left) == len(right) and not left.equals(right):
        raise DataError(
            "labels and scores are pandas columns with different indexes, so their rows may not belong together; "
            "take both from one table, or pass .to_numpy() if the order is right"
        )
    labels, scores = _column(labels, "labels"), _column(scores, "scores")
    if labels.size != scores.size:
        raise DataError(f"{labels.size} labels but {scores.size} scores; give one label and one score for each trial")
    if labels.size == 0:
        raise DataError("no trials: labels and scores are empty; check that the corpus or the table has rows")

    numbers, readable = _numbers(labels)
    known = readable & ((numbers == BONAFIDE) | (numbers == SPOOF))
    refuse(labels, ~known, "labels", "neither 0 nor 1", "use 1 for bona fide and 0 for spoof")
    classes = numbers.astype(np.int8)
    numbers, readable = _numbers(scores)
    finite = readable & np.isfinite(numbers)
    refuse(scores, ~finite, "scores", "not finite numbers", "score these clips again or leave them out")
    for value, name in ((BONAFIDE, "bona fide"), (SPOOF, "spoof")):
        if not np.any(classes == value):
            raise DataError(
                f"no {name} trial among {classes.size}: every label is {1 - value}; "
                "error rates need both classes, so add clips of the other one or correct the labels"
            )
    return classes, numbers


def finite(values: ArrayLike) -> np.ndarray:
    """Return scores of any shape as float64; a `DataError` names those that are not finite numbers."""
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"scores must be numbers: {error}") from error
    bad = ~np.isfinite(values).ravel()
    refuse(values.ravel(), bad, "scores", "not finite numbers", "score these clips again or leave them out")
    return values


def _column(values: ArrayLike, name: str) -> np.ndarray:
    try:
        column = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} are a ragged list; give one number for each trial") from error
    if column.ndim != 1:
        raise DataError(f"{name} have shape {column.shape}; give one number for each trial, shape (n,)")
    return column


def _numbers(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as float64 (n,) and which of its rows are numbers at all, bool (n,)."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64), np.ones(column.size, dtype=bool)
    numbers, readable = np.zeros(column.size), np.zeros(column.size, dtype=bool)
    for row, value in enumerate(column.tolist()):
        # Text is refused even when it looks like a number: it means that a column was read wrongly.
        if isinstance(value, int | float | np.number):
            numbers[row], readable[row] = float(value), True
    return numbers, readable


def refuse(column: np.ndarray, bad: np.ndarray, name: str, fault: str, remedy: str) -> None:
    """Raise a `DataError` that names the bad rows (n,) of a column (n,), if there are any."""
    rows = np.flatnonzero(bad)
    if rows.size:
        shown = ", ".join(f"{row} ({column[row]!s})" for row in rows[:5])
        more = f" and {rows.size - 5} more" if rows.size > 5 else ""
        raise DataError(f"{name} in rows {shown}{more}, counted from 0, are {fault}; {remedy}")
