"""What a run has found: tables and sentences."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dfdlib.data import audit, search
from dfdlib.detector.scores import Scores, pair
from dfdlib.evaluation import by_group, calibration, controls, intervals, metrics
from dfdlib.evaluation.intervals import Difference, Interval
from dfdlib.experiment import comparison
from dfdlib.experiment.run import STAGES, TARGET, Run
from dfdlib.report import sentences as findings
from dfdlib.report import study

#: What a table of `evaluations_table` says above itself.
EVALUATIONS = (
    "Evaluations with bootstrap intervals. The study's figures, as printed, are of another detector on other clips."
)


def overview(run: Run) -> pd.DataFrame:
    """Return counts and durations of every corpus, split and class of a run."""
    tables = []
    for name in run.corpora:
        for split in run.splits(name):
            summary = run.corpus(name, split=split).summary()
            tables.append(summary.assign(corpus=name, split=split or "all", label=summary["label"]))
    table = pd.concat(tables, ignore_index=True)
    table["label"] = table["label"].replace("bonafide", "bona fide")
    table["durations, s"] = [
        f"{row.shortest_s:.1f} to {row.longest_s:.1f}, median {row.median_s:.1f}" for row in table.itertuples()
    ]
    table["total, min"] = table["total_min"].map("{:.0f}".format)
    for column in ("speakers", "attacks"):
        table[column] = table[column].astype(str).replace("0", "–")
    return table[["corpus", "split", "label", "clips", "speakers", "attacks", "durations, s", "total, min"]]


def left_out(run: Run) -> pd.DataFrame:
    """Return the clips of all corpora that could not be used, by whoever found out, with the reason."""
    tables = []
    for name in run.corpora:
        scores = run.scores("before", name)
        tables.append(scores.relative(scores.left_out).assign(corpus=name)[["corpus", "path", "reason"]])
    return pd.concat(tables, ignore_index=True).drop_duplicates()


def other_files(run: Run) -> str:
    """Say how many files of other kinds lie in the folders of each corpus."""
    named = {name: search.named(run.corpus(name).other) for name in run.corpora}
    said = "; ".join(f"{name} has {files}" for name, files in named.items() if files)
    return (
        f"Files of other kinds were passed over: {said}." if said else "No file of another kind lies beside the clips."
    )


def examples(run: Run, name: str, *, each: int = 2) -> pd.DataFrame:
    """Return a few clips of each class, of different attacks where there are several, drawn by the profile's seed."""
    table = run.corpus(name).table
    shuffled = table.sample(frac=1, random_state=run.profile.seed)
    # The first clip of every attack comes before the second of any.
    turn = shuffled.groupby("attack").cumcount()
    varied = shuffled.assign(turn=turn).sort_values("turn", kind="stable")
    return varied.groupby("label", sort=False).head(each).sort_values("label", ascending=False, kind="stable")


def evaluations_table(rows: list[dict]) -> pd.DataFrame:
    """Return evaluations (of `Run.evaluate`) beside the study's published figures, ready to be shown."""
    table = []
    for row in rows:
        printed = study.published(row["corpus"], row["when"])
        interval = _intervals(row)
        table.append(
            {
                "corpus": row["corpus"],
                "fine-tuning": row["when"],
                "bona fide": row["n_bonafide"],
                "spoof": row["n_spoof"],
                "EER %": f"{100 * row['eer']:.2f}",
                "EER interval": f"{100 * interval['eer'].low:.1f} to {100 * interval['eer'].high:.1f}",
                "AUC": f"{row['auc']:.4f}",
                "AUC interval": f"{interval['auc'].low:.3f} to {interval['auc'].high:.3f}",
                "minDCF": f"{row['min_dcf']:.3f}",
                "study's EER %": f"{100 * printed.eer:.2f}" if printed else "–",
                "study's AUC, as printed": f"{printed.auc:.4f}" if printed else "–",
            }
        )
    return pd.DataFrame(table)


def attacks_table(run: Run) -> pd.DataFrame:
    """Return the EER of every attack in every corpus, before and after fine-tuning."""
    tables = []
    for name in run.corpora:
        by_stage = {stage: _by_attack(run.scores(stage, name)).set_index("attack") for stage in STAGES}
        tables.append(
            pd.DataFrame(
                {
                    "corpus": name,
                    "attack": by_stage["before"].index,
                    "spoof clips": by_stage["before"]["n_spoof"].to_numpy(),
                    "before": by_stage["before"]["eer"].to_numpy(),
                    "after": by_stage["after"]["eer"].reindex(by_stage["before"].index).to_numpy(),
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    table["change, points"] = 100 * (table["after"] - table["before"])
    return table


def attack_sentences(run: Run, stage: str) -> list[str]:
    """Return `findings.hardest_attack` of every corpus."""
    return [
        findings.hardest_attack(_by_attack(run.scores(stage, name)), corpus=name, when=stage) for name in run.corpora
    ]


def evaluation_sentence(run: Run, row: dict) -> str:
    """Return `findings.evaluation` of a row of `Run.evaluate`."""
    interval = _intervals(row)
    return findings.evaluation(
        row["corpus"],
        row["when"],
        eer=interval["eer"],
        auc=interval["auc"],
        n_bonafide=row["n_bonafide"],
        n_spoof=row["n_spoof"],
        level=run.profile.uncertainty.level,
    )


def change_sentences(run: Run, differences: Mapping[str, Difference]) -> list[str]:
    """Return `findings.change` of every corpus."""
    level = run.profile.uncertainty.level
    return [
        findings.change(name, difference, trained_on=name == TARGET, level=level)
        for name, difference in differences.items()
    ]


def difference_rows(run: Run, differences: Mapping[str, Difference]) -> list[dict]:
    """Return the changes of EER and AUC by corpus as plain numbers, for the summary."""
    rows = []
    for name, eer in differences.items():
        auc = run.difference(name, metric="auc")
        rows.append(
            {
                "corpus": name,
                "delta_eer": eer.delta,
                "delta_eer_ci": [eer.low, eer.high],
                "delta_auc": auc.delta,
                "delta_auc_ci": [auc.low, auc.high],
            }
        )
    return rows


def audit_findings(run: Run) -> pd.DataFrame:
    """Return what the audits of all corpora, alone and against each other, have found, the gravest first."""
    found = [(name, finding) for name in run.corpora for finding in run.audit(name).findings]
    found += [("between", finding) for finding in audit.across(*(run.audit(name) for name in run.corpora))]
    order = {severity: place for place, severity in enumerate(audit.SEVERITIES)}
    found.sort(key=lambda row: order[row[1].severity])
    return pd.DataFrame(
        {
            "severity": finding.severity,
            "corpus": name,
            "finding": finding.title,
            "clips": str(finding.clips) if finding.clips else "–",
            "what to do": finding.remedy,
        }
        for name, finding in found
    )


def shortcuts(run: Run) -> tuple[dict[str, float | None], list[str]]:
    """Return what the format of each corpus gives away: the EER by corpus, and a sentence for each."""
    eers, sentences = {}, []
    for name in run.corpora:
        found = run.audit(name)
        eers[name] = found.shortcut and found.shortcut.eer.value
        sentences.append(found.shortcut.verdict if found.shortcut else found.shortcut_refused)
    return eers, sentences


def shortcut_features(run: Run, name: str) -> pd.DataFrame | None:
    """Return how telling each nuisance is on its own, ready to be shown, or None where it could not be measured."""
    found = run.audit(name).shortcut
    if found is None:
        return None
    rows = found.features
    return pd.DataFrame(
        {
            "feature": rows["feature"].str.replace("_", " "),
            "unit": rows["unit"],
            "bona fide, median": rows["bonafide"].map("{:.3g}".format),
            "spoof, median": rows["spoof"].map("{:.3g}".format),
            "AUC": rows["auc"].map("{:.3f}".format),
            "interval": [
                f"{low:.2f} to {high:.2f}" for low, high in zip(rows["auc_low"], rows["auc_high"], strict=True)
            ],
            "EER %": (100 * rows["eer"]).map("{:.1f}".format),
        }
    )


def conventions_table(run: Run, rows: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return the EER of (stage, corpus) pairs by the three conventions in use."""
    table = []
    for stage, name in rows:
        scores = run.scores(stage, name)
        found = metrics.eer_conventions(scores.labels, scores.values).set_index("convention")["eer"]
        table.append(
            {"corpus": name, "fine-tuning": stage}
            | {f"{convention}, %": f"{100 * value:.2f}" for convention, value in found.items()}
        )
    return pd.DataFrame(table)


def operating_table(rows: Iterable[Mapping]) -> pd.DataFrame:
    """Return what the carried threshold gives on each corpus, from `Run.evaluate`, ready to be shown."""
    return pd.DataFrame(
        {
            "corpus": row["corpus"],
            "fine-tuning": row["when"],
            "threshold": f"{row['threshold']:.2f}",
            "spoofs accepted %": f"{100 * row['far']:.1f}",
            "bona fide rejected %": f"{100 * row['frr']:.1f}",
            "HTER %": f"{100 * row['hter']:.1f}",
            "HTER interval": f"{100 * row['hter_ci'][0]:.1f} to {100 * row['hter_ci'][1]:.1f}",
            "EER %": f"{100 * row['eer']:.1f}",
            "minDCF": f"{row['min_dcf']:.3f}",
        }
        for row in rows
    )


def operating_sentences(rows: Iterable[Mapping]) -> list[str]:
    """Return `findings.operating` of rows of `Run.evaluate`."""
    return [
        findings.operating(
            row["corpus"],
            row["when"],
            eer=row["eer"],
            hter=_intervals(row)["hter"],
            far=row["far"],
            frr=row["frr"],
        )
        for row in rows
    ]


def example_of_meaning(run: Run, stage: str) -> str:
    """Say what the median score of the bona fide validation clips means: `calibration.meaning`."""
    fitted = run.calibration_of(stage)
    return calibration.meaning(fitted, float(np.median(fitted.bonafide)))


def calibration_rows(run: Run) -> list[dict]:
    """Return `Run.judged` of every corpus and stage, with what the scores alone warn of."""
    return [
        run.judged(stage, name)
        | {"warnings": calibration.shift_warnings(run.calibration_of(stage), run.scores(stage, name).values)}
        for name in run.corpora
        for stage in STAGES
    ]


def calibration_table(rows: Iterable[Mapping]) -> pd.DataFrame:
    """Return costs before and after calibration, from `calibration_rows`, ready to be shown."""
    numbers = ("cllr_raw", "cllr", "min_cllr", "act_dcf_raw", "act_dcf", "min_dcf")
    titles = ("Cllr, raw", "Cllr, calibrated", "Cllr, best", "actDCF, raw", "actDCF, calibrated", "minDCF")
    return pd.DataFrame(
        {"corpus": row["corpus"], "fine-tuning": row["when"]}
        | {title: f"{row[name]:.3f}" for title, name in zip(titles, numbers, strict=True)}
        | {"warnings": len(row["warnings"])}
        for row in rows
    )


def calibration_sentences(rows: Iterable[Mapping]) -> list[str]:
    """Return `findings.calibrated` of `calibration_rows`."""
    return [
        findings.calibrated(
            row["corpus"],
            row["when"],
            raw=row["cllr_raw"],
            cllr=row["cllr"],
            least=row["min_cllr"],
            warnings=row["warnings"],
        )
        for row in rows
    ]


def controls_table(found: Mapping[str, Sequence[controls.Control]]) -> pd.DataFrame:
    """Return `negative_controls` as a table."""
    return pd.DataFrame(
        {"corpus": name, "control": one.name, "expected": one.expected, "found": one.found, "as expected": one.holds}
        for name, controls_ in found.items()
        for one in controls_
    )


def recipes_table(run: Run, trainings: Sequence[comparison.Training]) -> pd.DataFrame:
    """Return what validation clips say of every recipe, over its seeds."""
    rows = []
    for name in dict.fromkeys(training.recipe for training in trainings):
        own = [training for training in trainings if training.recipe == name]
        losses = [training.validation_loss for training in own]
        rows.append(
            {
                "recipe": comparison.words(run, name),
                "clips": own[0].clips,
                "trainings": len(own),
                "validation loss": f"{np.mean(losses):.4f}",
                "from seed to seed": f"{min(losses):.4f} to {max(losses):.4f}" if len(own) > 1 else "–",
                "validation EER": f"{100 * np.mean([training.validation_eer for training in own]):.1f} %",
                "epoch kept": ", ".join(str(training.best_epoch) for training in own),
            }
        )
    return pd.DataFrame(rows)


def recipe_choice(run: Run, trainings: Sequence[comparison.Training]) -> str:
    """Return `findings.chosen_recipe` of the recipes that were trained."""
    return findings.chosen_recipe(
        comparison.words(run, comparison.best(trainings)),
        comparison.words(run, run.profile.recipe),
        seeds=run.profile.seeds,
    )


def comparison_table(run: Run, rows: Sequence[comparison.Comparison]) -> pd.DataFrame:
    """Return the comparisons of recipes on testing clips, ready to be shown."""
    return pd.DataFrame(
        {
            "corpus": row.corpus,
            "recipe": comparison.words(run, row.recipe),
            "EER %": f"{100 * row.difference.after:.2f}",
            "from seed to seed": f"{100 * min(row.eers):.1f} to {100 * max(row.eers):.1f}"
            if len(row.eers) > 1
            else "–",
            "reference's EER %": f"{100 * row.difference.before:.2f}",
            "change, points": f"{100 * row.difference.delta:+.2f}",
            "interval": f"{100 * row.difference.low:+.1f} to {100 * row.difference.high:+.1f}",
            "p, adjusted": "below 0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}",
        }
        for row in rows
    )


def comparison_sentences(run: Run, rows: Sequence[comparison.Comparison]) -> list[str]:
    """Say what each recipe changed on testing clips, and what helped at all."""
    if not rows:
        return [findings.recipes({}, {}, reference="")]
    level = run.profile.uncertainty.level
    reference = comparison.words(run, rows[0].reference)
    sentences, helped, hurt = [], {}, {}
    for name in dict.fromkeys(row.recipe for row in rows):
        own = [row for row in rows if row.recipe == name]
        shown = [row for row in own if row.is_shown(level=level)]
        words = comparison.words(run, name)
        helped[words] = [row.corpus for row in shown if row.difference.delta < 0]
        hurt[words] = [row.corpus for row in shown if row.difference.delta > 0]
        sentences.append(
            findings.recipe(
                words,
                {row.corpus: row.difference for row in own},
                reference=reference,
                shown={row.corpus for row in shown},
            )
        )
    return [findings.recipes(helped, hurt, reference=reference), *sentences]


def negative_controls(run: Run) -> dict[str, list[controls.Control]]:
    """Return the negative controls of every corpus, on the scores of the baseline."""
    found = {}
    for name in run.corpora:
        scores = run.scores("before", name)
        labels, values = scores.labels, scores.values
        random = run.untrained_scores(name)
        chance = intervals.interval(
            random.labels,
            random.values,
            metric="auc",
            groups=intervals.groups_of(random.table).groups,
            **run.resampling(),
        )
        right, wrong = run.wrong_rate_scores("before", name)
        both = pair(right, wrong)
        found[name] = [
            controls.shuffled_labels(labels, values, seed=run.profile.seed),
            controls.negated_scores(labels, values),
            controls.equal_scores(labels),
            controls.one_class(labels, values),
            controls.untrained(
                random.labels,
                random.values,
                auc_low=chance.low,
                auc_high=chance.high,
                level=run.profile.uncertainty.level,
            ),
            controls.wrong_rate(both["score"], both["score_second"], threshold=metrics.eer(labels, values).threshold),
        ]
    return found


def preprocessing_rows(run: Run) -> list[dict]:
    """Make the study's mistakes on every corpus, before and after: the rate, the one logit, the misaligned labels."""
    rows = []
    for name in run.corpora:
        for stage in STAGES:
            right = run.scores(stage, name, preprocessing="corrected", window="fixed")
            wrong = run.scores(stage, name, preprocessing="original", window="fixed")
            auc = metrics.auc(wrong.labels, wrong.values)
            rows.append(
                {
                    "corpus": name,
                    "fine-tuning": stage,
                    "EER, corrected": metrics.eer(right.labels, right.values).value,
                    "EER, original": metrics.eer(wrong.labels, wrong.values).value,
                    "AUC, original": auc,
                    "AUC, original and misaligned": study.misaligned_auc(wrong.labels, wrong.values),
                    "1 − AUC": 1 - auc,
                }
            )
    return rows


def preprocessing_sentences(run: Run) -> list[str]:
    """Say what the study's way of reading does to each corpus, by the baseline."""
    level = run.profile.uncertainty.level
    return [
        findings.preprocessing(name, run.preprocessing_difference("before", name), level=level) for name in run.corpora
    ]


def _intervals(row: Mapping) -> dict[str, Interval]:
    names = [key.removesuffix("_ci") for key in row if key.endswith("_ci")]
    return {name: Interval(row[name], *row[f"{name}_ci"]) for name in names}


def _by_attack(scores: Scores) -> pd.DataFrame:
    return by_group.by_attack(scores.labels, scores.values, scores.table["attack"])
