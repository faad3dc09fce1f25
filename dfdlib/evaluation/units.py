"""What is drawn again when an interval is made: the one place where that is decided.

An interval says what another test set would change, and so it must be said which one. The *target of inference* is

- ``new-voices``: other speakers who say other sentences. Speakers are drawn again, and sentences too where they are
  known: the variances of both add up (`limits`). A synthesiser's voice is a speaker.
- ``these-voices``: the same speakers who say other sentences.

Clips of one speaker or sentence resemble one another, so an interval by clip is too narrow where either is known. What
counts is not how many units there are but how evenly the clips are shared among them: the *effective number*
``(sum n)² / sum n²``. With three effective units of a class or fewer, no interval can be trusted: then new voices
cannot be judged from the corpus, and the interval is for these voices, and says so.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation.trials import BONAFIDE, SPOOF

if TYPE_CHECKING:
    from pandas import DataFrame

#: Columns that tie clips together.
TIES = ("speaker", "sentence")
#: Targets of inference, as a profile names them.
NEW, THESE = TARGETS = ("new-voices", "these-voices")
#: With so many effective units of a class or fewer nothing can be said of others; below `MANY` an interval warns.
FEW, MANY = 3.0, 10.0


class Count(NamedTuple):
    """Units of one kind among the trials of one class."""

    kind: str  #: "speaker", "sentence", …
    label: int
    units: int
    effective: float  #: ``(sum n)² / sum n²`` of the clips of each unit
    largest: float  #: share of the clips that the largest unit has

    def __str__(self) -> str:
        of = "bona fide" if self.label == BONAFIDE else "spoof"
        plural = self.kind if self.units == 1 else f"{self.kind}s"
        return (
            f"{self.units} {plural} of {of} clips, as good as {self.effective:.1f} equal ones: "
            f"the largest has {100 * self.largest:.0f} %"
        )


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn together, and for whom the interval speaks."""

    #: Columns that are drawn: ("speaker", "sentence"), one of them, another column, or none: every clip on its own.
    kinds: tuple[str, ...] = ()
    members: tuple[np.ndarray, ...] = ()  #: the unit of each trial (n,), for each kind
    target: str = ""  #: of `TARGETS`, or empty where the voices are not known
    note: str = ""  #: why the target is not the one that was wanted, or empty

    @property
    def by(self) -> str:
        """What is drawn, in words: "speaker and sentence", "clip"."""
        return " and ".join(self.kinds) or "clip"

    def counts(self, labels: np.ndarray) -> list[Count]:
        """Count the units of each kind in each class of labels (n,); of clips where nothing ties them together."""
        labels = np.asarray(labels)
        members = self.members or (np.arange(labels.size),)
        return [
            count(kind, member[labels == label], label)
            for kind, member in zip(self.kinds or ("clip",), members, strict=True)
            for label in (BONAFIDE, SPOOF)
        ]

    def describe(self, labels: np.ndarray) -> dict[str, str | int | float]:
        """Say what an interval rests on, as plain values for tables and JSON.

        ``resampled_by``, ``target``; of the kind and class with the least effective number ``units effective_units
        largest_share``; ``warning``: `note`, and a sentence where that number is below `MANY`; or empty.
        """
        least = min(self.counts(labels), key=lambda found: found.effective)
        said = [self.note] if self.note else []
        if least.effective < MANY:
            said.append(f"The interval rests on {least}. Read it as rough.")
        return {
            "resampled_by": self.by,
            "target": self.target,
            "units": least.units,
            "effective_units": least.effective,
            "largest_share": least.largest,
            "warning": " ".join(said),
        }


def count(kind: str, member: np.ndarray, label: int) -> Count:
    """Count the units among trials of one class, given the unit of each, (n_class,)."""
    sizes = np.unique(member, return_counts=True)[1].astype(float)
    return Count(kind, label, sizes.size, float(sizes.sum() ** 2 / (sizes**2).sum()), float(sizes.max() / sizes.sum()))


def of(table: "DataFrame", *, target: str = NEW, by: str = "auto") -> Units:
    """Choose what is drawn together.

    Parameters
    ----------
    table : DataFrame
        A row a trial: ``label`` (1 or 0), and where known ``speaker``, ``sentence`` and ``attack``. A spoof without a
        speaker counts its attack as its voice.
    target : str
        Of `TARGETS`.
    by : str
        - "auto": what `target` asks for. Sentences of which each has one speaker add nothing to the speakers. Where a
          class has `FEW` effective speakers or fewer, the target becomes `THESE`, and `Units.note` says so; where the
          same holds of its sentences, clips are drawn, and that is said as well;
        - "clip": every clip on its own;
        - "attack": spoof clips by attack, bona fide ones each on their own;
        - the name of any other column. A `DataError` where there is none, or a row has no value in it.
    """
    if target not in TARGETS:
        raise ParameterError(f"target={target!r}: must be one of {', '.join(TARGETS)}")
    if by == "clip":
        return Units()
    if by != "auto":
        return Units((by,), (_codes(_column(table, by)),))
    labels = table["label"].to_numpy()
    speakers, sentences = (_complete(_voices(table)), _complete(table.get("sentence")))
    notes = []
    if speakers is None:
        target = ""
    elif target == NEW and (few := _few("speaker", speakers, labels)):
        target = THESE
        notes.append(f"New voices cannot be judged from this corpus: {few}. The interval is for these voices.")
    if sentences is not None and (few := _few("sentence", sentences, labels)):
        sentences = None
        notes.append(f"New sentences cannot be judged: {few}. The interval is for other takes of these.")
    if target == NEW and sentences is not None:
        pairs = np.unique(np.stack([sentences, speakers]), axis=1).shape[1]
        # Where each sentence is of one speaker, they add nothing to the speakers.
        sentences = None if pairs == np.unique(sentences).size else sentences
    chosen = {"speaker": speakers if target == NEW else None, "sentence": sentences}
    chosen = {kind: member for kind, member in chosen.items() if member is not None}
    return Units(tuple(chosen), tuple(chosen.values()), target, " ".join(notes))


def is_known(table: "DataFrame", kind: str) -> bool:
    """Tell whether every row has a value in a column, and not all the same one."""
    known = _complete(table.get(kind))
    return known is not None and known.max(initial=0) > 0


def _column(table: "DataFrame", by: str) -> np.ndarray:
    if by not in table:
        raise DataError(f"by={by!r}: the table has no such column; choose auto, clip or one of {', '.join(table)}")
    values = table[by].astype(object).to_numpy(copy=True)
    if by == "attack":
        real = table["label"].to_numpy() == BONAFIDE
        values[real] = [f"bona fide {row}" for row in np.flatnonzero(real)]
    empty = np.flatnonzero(_empty(values))
    if empty.size:
        raise DataError(f"by={by!r}: row {empty[0]}, counted from 0, has no value in that column; choose another one")
    return values


def _voices(table: "DataFrame"):
    """Return the speaker of each row; of a spoof without one, its attack."""
    speakers = table.get("speaker")
    if speakers is None or "attack" not in table:
        return speakers
    without = _empty(speakers) & (table["label"].to_numpy() == SPOOF)
    return speakers.astype(object).where(~without, table["attack"].astype(object))


def _complete(values) -> np.ndarray | None:
    """Return the unit of each row, or None where the column is missing or incomplete."""
    return None if values is None or _empty(values).any() else _codes(values.astype(object).to_numpy())


def _codes(values: np.ndarray) -> np.ndarray:
    return np.unique(values.astype(str), return_inverse=True)[1]


def _empty(values) -> np.ndarray:
    """Tell of each value whether it says nothing."""
    import pandas as pd

    column = pd.Series(values, dtype=object)
    return (column.isna() | (column.astype(str) == "")).to_numpy()


def _few(kind: str, member: np.ndarray, labels: np.ndarray) -> str:
    """Say which class has too few units of a kind, or nothing; a class without trials is refused elsewhere."""
    found = [count(kind, member[labels == label], label) for label in (BONAFIDE, SPOOF) if (labels == label).any()]
    few = [one for one in found if one.effective < FEW + 1e-6]
    return str(min(few, key=lambda one: one.effective)) if few else ""
