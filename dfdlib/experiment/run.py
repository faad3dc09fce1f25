"""One run of the experiment: what the notebooks ask for, computed once and kept in the run folder.

Every answer depends on files only, so any notebook can be run alone, in any order: what an earlier one has left is
used, what is missing is computed. The run folder holds

=====================  =========================================================
``scores/``            one CSV for each detector, corpus and preprocessing
``finetuned.*``        the fine-tuned weights, and what they were made from
``recipes/``           the same for every recipe and seed that is compared with it
``figures/``           every figure, as the report shows it
``results/``           what each notebook found, as JSON
``cache.sqlite``       logits by content, for all of the above
=====================  =========================================================
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dfdlib.data import tables
from dfdlib.detector.scores import together
from dfdlib.evaluation import by_group, carried, family, intervals, metrics, verdicts
from dfdlib.evaluation.intervals import Difference
from dfdlib.experiment import evaluation, profile
from dfdlib.experiment.clips import once
from dfdlib.experiment.scored import STAGES, Scored

if TYPE_CHECKING:
    from dfdlib.data import audit as audits

#: What the metrics of an evaluation are counted in; rates and areas are shares of one.
UNITS = (
    dict.fromkeys(("eer", "macro_eer", "far", "frr", "hter", "seeds_low", "seeds_high"), "error rate")
    | {"auc": "area"}
    | dict.fromkeys(("eer_threshold", "threshold"), "score")
    | dict.fromkeys(("min_dcf", "act_dcf", "act_dcf_calibrated"), "cost")
    | dict.fromkeys(("cllr", "min_cllr", "cllr_calibrated"), "bits")
    | dict.fromkeys(("n_bonafide", "n_spoof", "left_out"), "clips")
)
#: Into so many kinds a column may sort the clips of a corpus at most, to be in `Run.by_kind`.
MOST_KINDS = 12
#: Changes that the summary keeps; one bootstrap gives them.
KEPT = ("eer", "auc")


class Run(Scored):
    """The experiment of a profile in a folder: `Scored`, and what is computed from the scores."""

    @classmethod
    def open(cls, name: str, *, run_dir: str | Path = "", overrides: Sequence[str] = (), chapter: str = "") -> "Run":
        """Open the run of a profile, `profile.load`: by default in ``reports/<profile>`` beside the notebooks."""
        settings = profile.load(name, overrides=overrides)
        return cls(settings, run_dir or profile.root() / "reports" / settings.name, chapter=chapter)

    @once
    def band(self, stage: str, name: str) -> intervals.Band:
        """Return the bootstrap band of the DET curve of a corpus."""
        scores = self.scores(stage, name)
        self.tell(f"resampling {name}, {stage} fine-tuning, for its curves")
        groups = self.drawn(scores.table)
        return intervals.curve_band(scores.labels, scores.values, groups=groups, **self.resampling())

    @once
    def evaluate(self, stage: str, name: str) -> dict:
        """Return every metric of a corpus with its interval, as plain numbers, and keep them.

        ``far``, ``frr`` and ``hter`` are at the threshold that validation clips chose, ``cllr_calibrated`` and
        ``act_dcf_calibrated`` by their calibration; the intervals of all five hold what other validation clips would
        change. After fine-tuning all are the mean over the seeds, and the intervals hold what other seeds would change;
        ``seeds_low`` and ``seeds_high`` are the lowest and highest EER of several. `Units.describe` says what all
        intervals rest on.
        """
        table, scores = self.by_seed(stage, name)
        labels, drawn, validation = table["label"].to_numpy(int), self.drawn(table), self.validations(stage, name)
        options = {"groups": drawn} | self.resampling()
        self.tell(f"resampling {name}, {stage} fine-tuning")
        attacks = table["attack"] if (table["attack"] != "").any() else None
        found = intervals.evaluate(labels, scores, attacks=attacks, **options)
        costs = carried.intervals(labels, scores, validation, **options)
        thresholds = [metrics.eer(validation.labels, row).threshold for row in validation.scores]
        found["threshold"] = float(np.mean(thresholds))
        for metric, one in costs.items():
            metric = f"{metric}_calibrated" if metric in ("cllr", "act_dcf") else metric
            found |= {metric: one.value, f"{metric}_ci": [one.low, one.high]}
        if len(scores) > 1:
            eers = [metrics.eer(labels, row).value for row in scores]
            found |= {"seeds_low": min(eers), "seeds_high": max(eers)}
        found |= drawn.describe(labels) | {"left_out": len(self.scores(stage, name).left_out)}
        self.keep(evaluations=[{"corpus": name, "when": stage} | found])
        if name in self.with_audio:
            scorer, how = self.scorer(stage), self.preprocessing()
            how = how.for_scorer(scorer)
            # Of somebody's own nobody knows what it computes in.
            computed = getattr(scorer, "precision", None)
            self.keep(scoring={"rate": how.rate, "window": how.window} | ({"precision": computed} if computed else {}))
        return {"corpus": name, "stage": stage} | found

    def evaluations(self, *, stages: Sequence[str] = STAGES, corpora: Sequence[str] | None = None) -> pd.DataFrame:
        """Return every metric of corpora (by default all) before and after fine-tuning.

        A row a metric: ``corpus stage metric value low high unit``. ``low`` and ``high`` are the bootstrap interval,
        missing for counts and thresholds; ``unit`` is one of `UNITS`.
        """
        rows = []
        for name in self.corpora if corpora is None else corpora:
            for stage in stages:
                found = self.evaluate(stage, name)
                for metric in (key for key in found if key in UNITS or f"{key}_ci" in found):
                    low, high = found.get(f"{metric}_ci", (None, None))
                    rows.append((name, stage, metric, found[metric], low, high, UNITS.get(metric, "")))
        frame = pd.DataFrame(rows, columns=["corpus", "stage", "metric", "value", "low", "high", "unit"])
        return frame.astype({"value": float, "low": float, "high": float})

    def difference(self, name: str, *, metric: str = "eer") -> Difference:
        """Return the change of a metric on one corpus by fine-tuning, paired clip by clip, the mean over the seeds."""
        return self._changed(name, KEPT if metric in KEPT else (metric,))[metric].at(self.profile.uncertainty.level)

    @once
    def _changed(self, name: str, metrics: tuple[str, ...]) -> dict[str, intervals.Change]:
        return self.paired(*self.both(name), names=metrics, family=len(self.corpora))

    def changes(self, *, metrics: Sequence[str] = ("eer", "auc", "cllr_calibrated")) -> pd.DataFrame:
        """Return the changes of metrics by fine-tuning on every corpus, paired clip by clip; keep those of EER and AUC.

        A row a corpus and metric: ``corpus metric before after delta low high p``; the interval is that of ``delta``,
        which is after less before.
        """
        rows = []
        for name in self.corpora:
            for metric in metrics:
                calibrated = metric == "cllr_calibrated"
                change = self.cllr_change(name) if calibrated else self.difference(name, metric=metric)
                rows.append({"corpus": name, "metric": metric} | change._asdict())
            kept = {metric: self.difference(name, metric=metric) for metric in KEPT}
            values = {f"delta_{metric}": change.delta for metric, change in kept.items()}
            values |= {f"delta_{metric}_ci": [change.low, change.high] for metric, change in kept.items()}
            self.keep(differences=[{"corpus": name} | values])
        return pd.DataFrame(rows)

    @once
    def verdicts(self) -> pd.DataFrame:
        """Return what may be said of fine-tuning on every corpus, the corpora as one family; keep it.

        A row a corpus: ``corpus`` and `family.Judged.row` of the EER; ``auc_before auc_after cllr_before cllr_after``
        (calibrated), ``rung_before rung_after``, ``disagreeing``, ``seeds`` (their number) and ``verdict``
        (`verdicts`).
        """
        level, rows = self.profile.uncertainty.level, []
        judged = family.judge([self._changed(name, KEPT)["eer"] for name in self.corpora], level=level, trained=True)
        for name, eer in zip(self.corpora, judged, strict=True):
            found = {"eer": eer.change, "auc": self.difference(name, metric="auc"), "cllr": self.cllr_change(name)}
            rungs = [
                verdicts.rung(*(intervals.Interval(values[key], *values[f"{key}_ci"]) for key in ("auc", "eer")))
                for values in (self.evaluate(stage, name) for stage in STAGES)
            ]
            row = {"corpus": name} | eer.row() | {"seeds": len(eer.after)}
            for key in ("auc", "cllr"):
                row |= {f"{key}_before": found[key].before, f"{key}_after": found[key].after}
            row |= {"rung_before": rungs[0], "rung_after": rungs[1], "disagreeing": verdicts.disagreeing(found)}
            options = {"seeds": len(eer.after), "unsettled": eer.unsettled, "level": level}
            row["verdict"] = verdicts.of_change(found, p=eer.p_holm, later=rungs[1], **options)
            rows.append(row)
        self.keep(verdicts=rows)
        return pd.DataFrame(rows)

    def headline(self) -> dict[str, Difference]:
        """Return the changes of the EER by corpus as `verdicts` judges them: with adjusted intervals."""
        names = list(Difference._fields)
        return {row["corpus"]: Difference(*(row[name] for name in names)) for row in self.verdicts().to_dict("records")}

    @once
    def cllr_change(self, name: str) -> Difference:
        """Return the change of the calibrated Cllr on one corpus, each stage by its own calibration."""
        table, *scores = self.both(name)
        validations = tuple(self.validations(stage, name) for stage in STAGES)
        options = {"names": ("cllr",), "groups": self.drawn(table)} | self.resampling()
        return carried.paired_differences(table["label"].to_numpy(int), *scores, validations, **options)["cllr"]

    @once
    def errors_by(self, stage: str, name: str, column: str = "attack") -> pd.DataFrame:
        """Return the EER of each attack, codec … of one corpus with its interval: `by_group.errors`."""
        options = {"column": column, "target": self.profile.uncertainty.target} | self.resampling()
        return by_group.errors(*self.by_seed(stage, name), **options)

    @once
    def attack_changes(self, name: str) -> pd.DataFrame:
        """Return the changes of each attack by fine-tuning on one corpus: `by_group.attack_changes`; keep them."""
        options = {"target": self.profile.uncertainty.target, "trained": True} | self.resampling()
        found = by_group.attack_changes(*self.both(name), **options)
        found.insert(0, "corpus", name)
        self.keep(attack_changes=found.to_dict("records"))
        return found

    @once
    def by_kind(self) -> pd.DataFrame:
        """Return the EER before and after fine-tuning by what else is known of the clips: language, codec …; keep it.

        A row a corpus and kind, of columns with `MOST_KINDS` kinds at most: ``corpus kind n_bonafide n_spoof against``,
        as in `by_group.errors`, ``eer_before eer_before_low eer_before_high`` and the same after.
        """
        rows = []
        for name in self.corpora:
            several = evaluation.kinds(self.scores("before", name).table, most=MOST_KINDS)
            for column in (column for column in several if column != "attack"):
                first, second = (self.errors_by(stage, name, column).set_index(column) for stage in STAGES)
                for kind in first.index.intersection(second.index):
                    row = {"corpus": name, "kind": f"{column.replace('_', ' ')}: {kind}"}
                    row |= first.loc[kind, ["n_bonafide", "n_spoof", "against"]].to_dict()
                    for stage, found in zip(STAGES, (first.loc[kind], second.loc[kind]), strict=True):
                        row |= {f"eer_{stage}{end}": found[f"eer{end}"] for end in ("", "_low", "_high")}
                    rows.append(row)
        self.keep(by_kind=rows)
        return pd.DataFrame(rows)

    @once
    def preprocessing_differences(self, stage: str) -> dict[str, Difference]:
        """Return the changes of the EER when clips are read as the study read them, on windows of its length.

        By corpus, with intervals that are adjusted for their number.
        """
        changes = []
        for name in self.with_audio:
            ways = (self.scores(stage, name, preprocessing=way, window="fixed") for way in ("corrected", "original"))
            table, pair = together(*ways)
            changes.append(self.paired(table, *pair, names=("eer",), family=len(self.with_audio))["eer"])
        judged = family.judge(changes, level=self.profile.uncertainty.level)
        return {name: one.change for name, one in zip(self.with_audio, judged, strict=True)}

    @once
    def audit(self, name: str) -> "audits.Audit":
        """Return the audit of a corpus: of all its clips, or of the profile's `limit` of each split."""
        from dfdlib.data import audit as audits

        self.tell(f"auditing {name}")
        clips = self.corpus(name, split=None)
        uncertainty = self.profile.uncertainty
        options = {"resamples": uncertainty.resamples, "target": uncertainty.target}
        found = audits.examine(clips, seed=self.profile.seed, **options)
        tables.write(self.folder / "results" / f"pairs-{name}.csv", found.near())
        return found

    def paired(
        self,
        table: pd.DataFrame,
        before: np.ndarray,
        after: np.ndarray,
        *,
        names: Sequence[str],
        family: int = 1,
        attacks: pd.Series | None = None,
    ) -> dict[str, intervals.Change]:
        """Return the changes of metrics between scores of clips: `intervals.changes`, for a family of so many."""
        options = {"groups": self.drawn(table), "attacks": attacks} | self.resampling(family=family)
        del options["level"]
        return intervals.changes(table["label"].to_numpy(int), before, after, names=names, **options)
