"""Scores that are there already, of one corpus, of several, or of several detectors: all that is said about them."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfdlib.data.keys import Trials
from dfdlib.errors import DataError
from dfdlib.evaluation import across, by_group, calibration, carried, claims, family, intervals, metrics, units
from dfdlib.evaluation.bootstrap import AT_THRESHOLD
from dfdlib.evaluation.calibration import Calibration
from dfdlib.evaluation.claims import Verdict
from dfdlib.evaluation.intervals import Difference
from dfdlib.evaluation.units import Units
from dfdlib.text import one_line

# Columns that do not sort clips into kinds.
_NO_KINDS = set("path label score sha256 duration speaker sentence split subset checkpoint preprocessing stage".split())


@dataclass(frozen=True)
class Evaluated:
    """The scores of one corpus, evaluated."""

    trials: Trials
    drawn: Units  #: what is drawn together
    found: dict  #: metrics with their intervals, as `intervals.evaluate` returns them, and ``by``
    per: dict[str, pd.DataFrame] = field(default_factory=dict)  #: a table for each column that was asked for
    verdicts: tuple[Verdict, ...] = ()  #: what became of claims
    validation: Trials | None = None  #: other clips, whose threshold ``found`` is at
    fitted: Calibration | None = None  #: on them
    costs: dict = field(default_factory=dict)  #: `calibration.carried_costs`, with intervals

    @property
    def seems_inverted(self) -> str:
        """Say that scores, or those of validation clips, seem to rank spoof clips higher, and what to do; else ""."""
        low, high = self.found["auc_ci"]
        shown = f"AUC is {self.found['auc']:.4f} ({low:.4f} to {high:.4f})"
        if high >= 0.5:
            known = self.validation
            if known is None or not metrics.contradicted(known.labels, known.scores):
                return ""
            shown = f"AUC of the validation clips is {metrics.auc(known.labels, known.scores):.4f}"
        done = "Nothing was turned round; if a higher score means spoof, say --higher spoof."
        if self.trials.facts.get("higher") == "spoof":
            done = "They were turned round, as told; if a higher score means bona fide, leave out --higher spoof."
        return f"The {shown}, below one half: these scores seem to rank spoof clips higher. {done}"

    def values(self) -> dict:
        """Return all of it as plain values for JSON."""
        values = {**self.found, "seems_inverted": bool(self.seems_inverted), "read": self.trials.facts}
        if self.per:
            values["per"] = {column: table.to_dict("records") for column, table in self.per.items()}
        if self.verdicts:
            values["claims"] = [verdict._asdict() for verdict in self.verdicts]
        if self.fitted is not None:
            values["calibrated"] = {name: self.costs[name] for name in ("cllr", "cllr_ci", "act_dcf", "act_dcf_ci")}
            values["read_validation"] = self.validation.facts
            fitted = self.fitted
            values["calibrated"] |= {"slope": fitted.slope, "intercept": fitted.intercept}
            values["calibrated"]["llr_bounds"] = [fitted.lowest, fitted.highest]
        return values


def evaluate(
    trials: Trials,
    *,
    by: str = "auto",
    target: str = units.NEW,
    per: Iterable[str] = (),
    threshold: float | None = None,
    validation: Trials | None = None,
    claimed: Iterable[str] = (),
    **options,
) -> Evaluated:
    """Evaluate the scores of one corpus, with the options of `units.of` and `intervals.intervals`.

    Parameters
    ----------
    per : iterable of str
        Columns for tables of their own.
    threshold : float, optional
        A threshold that was fixed on other data.
    validation : Trials, optional
        Other clips, on which the threshold and a calibration are fixed; the same clips are refused.
    claimed : iterable of str
        Figures to check, as `claims.parse` takes them.
    """
    wanted = [claims.parse(text) for text in claimed]
    labels, scores = trials.labels, trials.scores
    tables = {column: by_column(trials.table, column, by=by, target=target, **options) for column in per}
    fitted, costs, moved = None, {}, {}
    drawn = units.of(trials.table, by=by, target=target)
    if validation is not None:
        _refuse_shared(trials.table, validation)
        fitted = calibration.fit(validation.labels, validation.scores)
        threshold, costs = fitted.threshold, calibration.carried_costs(fitted, labels, scores)
        other = carried.Validation(
            validation.labels, validation.scores, units.of(validation.table, by=by, target=target)
        )
        moved = carried.intervals(labels, scores, other, groups=drawn, **options)
    found = intervals.evaluate(labels, scores, threshold=threshold, groups=drawn, **options)
    found |= {f"{name}_ci": [moved[name].low, moved[name].high] for name in AT_THRESHOLD if name in moved}
    costs |= {f"{name}_ci": [moved[name].low, moved[name].high] for name in ("cllr", "act_dcf") if name in moved}
    found |= {name: value for name, value in drawn.describe(labels).items() if name != "resampled_by" and value != ""}
    verdicts = tuple(claims.check(claim, labels, scores, found) for claim in wanted)
    return Evaluated(trials, drawn, {"by": drawn.by, **found}, tables, verdicts, validation, fitted, costs)


def _refuse_shared(tested: pd.DataFrame, validation: Trials) -> None:
    """Raise DataError where validation clips are among the tested ones.

    Names may mean other clips in another folder: where a `sha256` is not known, clips are the same where most scores
    are as well.
    """
    hashes, others = (
        table["sha256"].fillna("") if "sha256" in table else pd.Series("", index=table.index)
        for table in (tested, validation.table)
    )
    same = tested[hashes.isin(set(others) - {""})]
    if same.empty and "" in {*hashes, *others}:
        same = tested.merge(validation.table.drop_duplicates("path"), on="path")
        alike = same["score_x"] == same["score_y"]
        same = same[alike & (alike.mean() > 0.5)]
    if len(same):
        raise DataError(
            f"{len(same)} clips are for both validation and testing, which would make the figures too good: the first "
            f"is {one_line(same['path'].iloc[0])}; give validation scores of other clips",
            path=validation.facts.get("scores"),
        )


def kinds(table: pd.DataFrame, *, most: int) -> list[str]:
    """Return the columns of a table of trials that sort its clips into a few kinds: 2 to `most`."""
    named = (name for name in table if name not in _NO_KINDS and not name.startswith("source_"))
    return [name for name in named if 1 < table[name].nunique() <= most]


def by_column(table: pd.DataFrame, column: str, **options) -> pd.DataFrame:
    """Return EER and AUC of a table of trials by one of its columns, with intervals: `by_group.errors`."""
    if column not in table:
        raise DataError(f"--per {column}: the table has no such column; it has {', '.join(table.columns)}")
    found = by_group.errors(table, table["score"], column=column, **options)
    found = found.drop(columns=["resampled_by", "target", "effective_units"])
    return found if found["warning"].any() else found.drop(columns="warning")


@dataclass(frozen=True)
class Several:
    """The scores of several corpora, evaluated."""

    corpora: dict[str, Evaluated]
    mean: intervals.Interval  #: of the EERs
    pooled: intervals.Interval  #: the EER of all trials together, at one threshold
    carried: pd.DataFrame  #: `across.carried`

    def values(self) -> dict:
        """Return all of it as plain values for JSON."""
        rows = self.carried.to_dict("records")
        return {
            "corpora": {name: one.values() for name, one in self.corpora.items()},
            "macro_eer": self.mean.value,
            "macro_eer_ci": [self.mean.low, self.mean.high],
            "pooled_eer": self.pooled.value,
            "pooled_eer_ci": [self.pooled.low, self.pooled.high],
            "carried": [row | {"hter_ci": [row.pop("low"), row.pop("high")]} for row in rows],
        }


def evaluate_several(
    read: Mapping[str, Callable[[], Trials]],
    *,
    by: str = "auto",
    target: str = units.NEW,
    done: Callable[[str, Evaluated], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options,
) -> Several:
    """Evaluate the scores of several corpora, one after another, with the options of `evaluate`.

    ``read`` has what reads the trials of each corpus, ``done`` is told of every corpus at once, and ``progress`` is
    that of `across.carried`.
    """
    corpora = {}
    for name, trials in read.items():
        corpora[name] = evaluate(trials(), by=by, target=target, **options)
        if done is not None:
            done(name, corpora[name])
    tables = {name: one.trials.table for name, one in corpora.items()}
    mean = across.mean(intervals.Interval(one.found["eer"], *one.found["eer_ci"]) for one in corpora.values())
    whole = across.pooled(tables)
    drawn = units.of(whole, by=by if by in ("auto", "clip", *units.TIES, "attack") else "clip", target=target)
    pooled = intervals.interval(whole["label"], whole["score"], groups=drawn, **options)
    return Several(corpora, mean, pooled, across.carried(tables, by=by, target=target, progress=progress, **options))


@dataclass(frozen=True)
class Compared:
    """Several detectors on the same clips."""

    table: pd.DataFrame  #: clips that all of them scored, with their ``label``
    scores: dict[str, np.ndarray]  #: each (n,)
    drawn: Units
    systems: dict[str, dict]  #: EER and AUC of each on these clips, with intervals
    pairs: dict[tuple[str, str], dict[str, Difference]]  #: the second less the first, by metric
    adjusted: dict[tuple[str, str], dict[str, float]]  #: p-values, for the number of all differences (Holm)


def compare(
    table: pd.DataFrame, scores: Mapping[str, np.ndarray], *, by: str = "auto", target: str = units.NEW, **options
) -> Compared:
    """Compare detectors, each with each, with the options of `evaluate`.

    The table has clips with their ``label`` and what ties them together; the scores of each detector (n,) are of these
    clips in this order.
    """
    drawn = units.of(table, by=by, target=target)
    labels, options = table["label"].to_numpy(np.int8), {"groups": drawn, **options}
    systems = {}
    for name, values in scores.items():
        found = intervals.intervals(labels, values, names=intervals.COMPARED, **options)
        systems[name] = {metric: one.value for metric, one in found.items()}
        systems[name] |= {f"{metric}_ci": [one.low, one.high] for metric, one in found.items()}
    pairs = {
        (one, other): intervals.paired_differences(labels, scores[one], scores[other], **options)
        for one, other in itertools.combinations(scores, 2)
    }
    flat = [(pair, metric, difference.p) for pair, found in pairs.items() for metric, difference in found.items()]
    adjusted: dict = {pair: {} for pair in pairs}
    for (pair, metric, _), p in zip(flat, family.holm([p for _, _, p in flat]), strict=True):
        adjusted[pair][metric] = float(p)
    return Compared(table, dict(scores), drawn, systems, pairs, adjusted)
