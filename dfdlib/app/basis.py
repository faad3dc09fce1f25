"""A detector, and what is known of its scores: a calibration for each channel, and the clips that it was tested on."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dfdlib import files
from dfdlib.app.rules import CHANNELS
from dfdlib.data.audit import measure
from dfdlib.data.corpus import Corpus
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scorer import Scorer
from dfdlib.detector.scores import Scores, read_scores
from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, carried, metrics, units
from dfdlib.evaluation.calibration import Calibration
from dfdlib.evaluation.intervals import Interval
from dfdlib.experiment.clips import TARGET, Clips

#: Clips of each corpus that say what a detector was tested on: reading all of a large one would take hours.
_SAMPLE = 100


@dataclass(frozen=True, eq=False)
class Scale:
    """What the scores of a detector mean by the validation trials of one channel, and by those trials drawn again.

    ``contradicted`` says that by these trials a higher score goes with spoof.
    """

    calibration: Calibration
    refits: carried.Refits
    contradicted: bool = False

    @classmethod
    def of(cls, validation: Scores) -> "Scale":
        """Fit a scale to the scores of validation clips; a `DataError` where they are too few."""
        labels, scores = validation.labels, validation.values
        fitted = calibration.fit(labels, scores)
        refits = carried.Refits.of(labels, scores, units.of(validation.table), seed=0)
        return cls(fitted, refits, metrics.contradicted(labels, scores))

    def llr(self, score: float) -> Interval:
        """Return the log-likelihood ratio of a score, and the range of it that other validation clips would give.

        No end is beyond the bounds of the calibration.
        """
        fitted, reach = self.calibration, self.refits.reach(score)
        value = float(fitted.llr(score))
        return Interval(value, max(value - reach, fitted.lowest), min(value + reach, fitted.highest))


@dataclass(frozen=True, eq=False)
class Basis:
    """A detector, and what an assessment of a clip rests on."""

    name: str
    scorer: Scorer
    preprocessing: Preprocessing
    scales: dict[str, Scale] = field(default_factory=dict)  # by the names of `CHANNELS`, as far as they were measured
    # What `measure.measure` says of a sample of the clips that it was tested on; None where they are not here.
    tested: pd.DataFrame | None = None
    demonstration: bool = False  # its scores mean nothing outside the demo's corpora
    card: str = ""  # what is known of the detector, in Markdown

    @classmethod
    def of_run(cls, name: str, scorer: Scorer, *, preprocessing: Preprocessing, folder: Path, **options) -> "Basis":
        """Take the scales that a run folder has for a detector; `options` are the other attributes.

        Scores count where they were given by these weights and this preprocessing.
        """
        how, scales = preprocessing.for_scorer(scorer), {}
        marks = {"checkpoint": files.short(scorer.fingerprint), "preprocessing": files.short(how.fingerprint)}
        for channel in CHANNELS:
            suffix = "" if channel == "studio" else f"-{channel}"
            for place in sorted(folder.glob(f"scores/*-{TARGET}-validation{suffix}.csv")):
                with contextlib.suppress(DataError):
                    scores = read_scores(place)
                    if all(set(scores.table.get(name, ())) == {mark} for name, mark in marks.items()):
                        scales[channel] = Scale.of(scores)
        # Which clips a detector was tested on is known of one that the run has scores of.
        return cls(name, scorer, how, scales, **options | ({} if scales else {"tested": None}))


@dataclass(frozen=True, eq=False)
class Known:
    """What there is to assess with: detectors, examples by what they are, where scores are kept, a report's summary."""

    bases: list[Basis]
    examples: dict[str, str] = field(default_factory=dict)
    cache: Path | None = None
    summary: dict | None = None

    def opened(self) -> Cache | None:
        """Return the cache, opened for one thread: SQLite knows no other."""
        return None if self.cache is None else Cache(self.cache, say=lambda line: None)


def tested_on(clips: Clips) -> pd.DataFrame | None:
    """Return what `measure.measure` says of a sample of a profile's testing clips; None where none can be read."""
    parts = [one.table.iloc[:: -(-len(one) // _SAMPLE)] for one in clips.tested() if len(one)]
    if not parts:
        return None
    nothing = pd.DataFrame(columns=["path", "reason"])
    found = measure.measure(Corpus("tested", pd.concat(parts, ignore_index=True), nothing)).clips
    return found if len(found) else None


def examples(clips: Clips) -> dict[str, str]:
    """Return the path of one bona fide testing clip and of one clip of each attack, by what it is.

    The first by name of each: none was chosen by its score.
    """
    found: dict[str, str] = {}
    for one in clips.tested():
        table = one.table.sort_values(["label", "path"], ascending=[False, True], kind="stable")
        names = table["attack"].where(table["label"] == 0, "bona fide")
        for name, path in zip(names, table["path"], strict=True):
            found.setdefault(name, path)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "bona fide", item[0])))
