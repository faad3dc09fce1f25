"""What a run has found, as tables of numbers; `show.table` writes them for readers, and sentences made from them.

A function that takes a run keeps what the summary of the report has of it (`Run.keep`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dfdlib.data import audit, search
from dfdlib.evaluation import by_group, calibration, metrics
from dfdlib.experiment import comparison
from dfdlib.experiment.jobs import Job
from dfdlib.experiment.places import NO_AUDIO
from dfdlib.experiment.run import STAGES, Run
from dfdlib.report import columns, sentences, study
from dfdlib.training.recipe import Recipe

if TYPE_CHECKING:
    from dfdlib.training.loop import Training

#: The caption of `beside_published`.
EVALUATIONS = "Evaluations with bootstrap intervals."
#: The columns of `wide` that say what the threshold of validation clips does.
OPERATING = ["corpus", "stage", "threshold", "far", "frr", "hter", "hter_low", "hter_high", "min_dcf",
             "act_dcf_calibrated"]  # fmt: skip
#: The columns of `experiment.forensic.corpora` that the report shows.
EVIDENCE = ["corpus", "cllr_raw", "cllr", "cllr_low", "cllr_high", "min_cllr", "loss", "misled_bonafide",
            "misled_spoof", "tenfold_bonafide", "tenfold_spoof"]  # fmt: skip
#: Columns of `verdicts`.
VERDICTS = ["corpus", "seeds_low", "seeds_high", "delta", "low", "high", "smallest", "contrary", "rung_after",
            "verdict"]  # fmt: skip
#: How changes of metrics that are no rates are written.
UNITLESS = {"before": "{:.3f}", "after": "{:.3f}", "delta": "{:+.3f}", ("low", "high"): "{:+.3f} to {:+.3f}"}
#: Columns of `attack_changes` that the report shows.
ATTACK_CHANGES = ["corpus", "attack", "n_spoof", "before", "after", "delta", "low", "high", "p_holm", "smallest"]


# Data


def overview(run: Run) -> pd.DataFrame:
    """Return counts and durations of every corpus and split of a run."""
    tables = []
    for name in run.corpora:
        for split in run.splits(name):
            real, spoof = (rows for _, rows in run.corpus(name, split=split).summary().groupby("label"))
            row = {"corpus": name, "split": split or "all", "n_bonafide": real["clips"].sum()}
            row |= {"n_spoof": spoof["clips"].sum(), "speakers_bonafide": real["speakers"].sum()}
            row |= {"speakers_spoof": spoof["speakers"].sum(), "attacks": spoof["attacks"].sum()}
            both = pd.concat([real, spoof])
            row |= {"shortest_s": both["shortest_s"].min(), "longest_s": both["longest_s"].max()}
            tables.append(row | {"total_min": both["total_min"].sum(min_count=1)})
    return pd.DataFrame(tables)


def left_out(run: Run) -> pd.DataFrame:
    """Return the clips of all corpora that could not be used, with the reason."""
    tables = []
    for name in run.corpora:
        scores = run.scores("before", name)
        tables.append(scores.relative(scores.left_out).assign(corpus=name)[["corpus", "path", "reason"]])
    return pd.concat(tables, ignore_index=True).drop_duplicates()


def other_files(run: Run) -> str:
    """Say how many files of other kinds lie in the folders of each corpus."""
    named = {name: search.named(run.corpus(name).other) for name in run.with_audio}
    said = "; ".join(f"{name} has {files}" for name, files in named.items() if files)
    return (
        f"Files of other kinds were passed over: {said}." if said else "No file of another kind lies beside the clips."
    )


def examples(run: Run, name: str, *, each: int = 2) -> pd.DataFrame:
    """Return a few clips of each class, of different attacks where there are several; none of score files."""
    table = run.corpus(name).table.head(None if name in run.with_audio else 0)
    shuffled = table.sample(frac=1, random_state=run.profile.seed)
    # The first clip of every attack comes before the second of any.
    turn = shuffled.groupby("attack").cumcount()
    varied = shuffled.assign(turn=turn).sort_values("turn", kind="stable")
    return varied.groupby("label", sort=False).head(each).sort_values("label", ascending=False, kind="stable")


def audit_findings(run: Run) -> pd.DataFrame:
    """Return what the audits of all corpora, alone and against each other, have found, the gravest first."""
    found = [(name, finding) for name in run.with_audio for finding in run.audit(name).findings]
    found += [("between", finding) for finding in audit.across(*(run.audit(name) for name in run.with_audio))]
    order = {severity: place for place, severity in enumerate(audit.SEVERITIES)}
    found.sort(key=lambda row: order[row[1].severity])
    rows = [(finding.severity, name, finding.title, finding.clips or None, finding.remedy) for name, finding in found]
    given = (name for name in run.corpora if name not in run.with_audio)
    rows += [("note", name, f"not audited: {NO_AUDIO}", None, "name a folder with its clips") for name in given]
    rows += [("note", name, note, None, "") for name in run.with_audio for note in run.corpus(name, split=None).notes]
    table = pd.DataFrame(rows, columns=["severity", "corpus", "finding", "clips", "remedy"]).astype({"clips": "Int64"})
    run.keep(audit=columns.formatted(table, {"clips": "{}"}).to_dict("records"))
    return table


def shortcuts(run: Run) -> pd.DataFrame:
    """Return what the format of each corpus gives away: its ``eer low high``, by each way of holding out, a finding."""
    found = {name: run.audit(name).shortcut for name in run.with_audio}
    run.keep(shortcut_eer={name: shortcut and shortcut.eer.value for name, shortcut in found.items()})
    run.keep(findings=[shortcut.verdict if shortcut else run.audit(name).shortcut_refused
                       for name, shortcut in found.items()])  # fmt: skip
    rows = []
    for name, one in found.items():
        if one is not None:
            ways = one.ways.set_index("folds_by")["eer"].to_dict() if len(one.ways) > 1 else {}
            row = {"corpus": name, "eer": one.eer.value, "eer_low": one.eer.low, "eer_high": one.eer.high}
            rows.append(row | {f"unheard_{way}": eer for way, eer in ways.items()} | {"finding": one.finding})
    return pd.DataFrame(rows)


def shortcuts_refused(run: Run) -> list[str]:
    """Say which corpora no shortcut baseline could be measured on, and why."""
    return [run.audit(name).shortcut_refused for name in run.with_audio if run.audit(name).shortcut is None]


def shortcut_features(run: Run) -> pd.DataFrame:
    """Return how telling each nuisance is on its own, on every corpus where it could be measured."""
    found = {name: run.audit(name).shortcut for name in run.with_audio}
    tables = [shortcut.features.assign(corpus=name) for name, shortcut in found.items() if shortcut is not None]
    if not tables:
        return pd.DataFrame()
    rows = pd.concat(tables).rename(columns={"bonafide": "bonafide_median", "spoof": "spoof_median"})
    names = ["corpus", "feature", "unit", "bonafide_median", "spoof_median", "auc", "auc_low", "auc_high", "eer"]
    return rows[names].assign(feature=rows["feature"].str.replace("_", " "))


# Evaluations


def wide(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Return `Run.evaluations` with a row a corpus and stage, and ``<metric> <metric>_low <metric>_high``."""
    rows: dict[tuple[str, str], dict] = {}
    for row in evaluations.itertuples():
        ends = {} if pd.isna(row.low) else {f"{row.metric}_low": row.low, f"{row.metric}_high": row.high}
        rows.setdefault((row.corpus, row.stage), {}).update({row.metric: row.value} | ends)
    return pd.DataFrame([{"corpus": corpus, "stage": stage} | values for (corpus, stage), values in rows.items()])


def is_study(run: Run) -> bool:
    """Tell whether a run is of the study's own detector and data, so that its figures belong beside ours."""
    return run.profile.name == "original-study"


def beside_published(evaluations: pd.DataFrame, run: Run | None = None, *, study_too: bool = False) -> pd.DataFrame:
    """Return EER, AUC and minDCF of `wide`; beside the study's figures where the run is the study's, or if asked."""
    names = ["n_bonafide", "n_spoof", "eer", "eer_low", "eer_high", "macro_eer", "macro_eer_low", "macro_eer_high"]
    names[5:5] = ["seeds_low", "seeds_high"]
    names = [name for name in (*names, "auc", "auc_low", "auc_high", "min_dcf") if name in evaluations]
    if not study_too and (run is None or not is_study(run)):
        return evaluations[["corpus", "stage", *names]]
    printed = study.EVALUATIONS.rename(columns={"eer": "study_eer", "auc": "study_auc"})
    printed = printed[["corpus", "stage", "study_eer", "study_auc"]]
    return evaluations[["corpus", "stage", *names]].merge(printed, how="left", on=["corpus", "stage"])


def verdicts(run: Run) -> pd.DataFrame:
    """Return `Run.verdicts` as it is shown: what each verdict rests on."""
    table = run.verdicts()
    names = {"auc": "AUC", "cllr": "Cllr"}
    contrary = [", ".join(names[name] for name in found) or "none" for found in table["disagreeing"]]
    return table.assign(contrary=contrary)[[name for name in VERDICTS if name in {*table, "contrary"}]]


def basis(run: Run, stage: str) -> pd.DataFrame:
    """Return what the intervals of each corpus rest on, and which attack, if any, fixes its pooled EER."""
    rows = []
    for name in run.corpora:
        found, (clips, scores) = run.evaluate(stage, name), run.by_seed(stage, name)
        attack = by_group.fixing_attack(clips["label"], scores, clips["attack"]) or ""
        row = {"corpus": name} | {key: found[key] for key in ("resampled_by", "target", "warning", "eer")}
        rows.append(row | {"fixed_by": attack})
    return pd.DataFrame(rows)


def conventions(run: Run, stage: str) -> pd.DataFrame:
    """Return the EER of every corpus by the three conventions in use, a column each."""
    rows = []
    for name in run.corpora:
        scores = run.scores(stage, name)
        found = metrics.eer_conventions(scores.labels, scores.values).set_index("convention")["eer"]
        rows.append({"corpus": name, "stage": stage} | found.to_dict())
    return pd.DataFrame(rows)


def by_attack(run: Run, stage: str, name: str) -> pd.DataFrame:
    """Return the EER and AUC of each attack of a corpus against all bona fide clips, with intervals."""
    names = ["attack", "n_bonafide", "n_spoof", "eer", "eer_low", "eer_high", "auc", "auc_low", "auc_high"]
    table = run.errors_by(stage, name)[names]
    run.keep(by_attack=table.to_dict("records"))
    return table


def attack_change_sentences(run: Run) -> list[str]:
    """Return `sentences.attack_changes`; none of one training, which shows nothing of fine-tuning."""
    return [sentences.attack_changes(attack_changes(run))] if run.profile.seeds > 1 else []


def attack_changes(run: Run) -> pd.DataFrame:
    """Return `Run.attack_changes` of every corpus."""
    return pd.concat([run.attack_changes(name) for name in run.corpora], ignore_index=True)


def example_of_meaning(run: Run, stage: str) -> str:
    """Say what the median score of the bona fide validation clips means: `calibration.meaning`."""
    fitted = run.calibration_of(stage)
    return calibration.meaning(fitted, float(np.median(fitted.bonafide)))


# Training, and other ways to train


def changed_settings(recipe: Recipe) -> pd.DataFrame:
    """Return the settings of a recipe that are not the defaults of the training loop, beside those, as text."""
    defaults = {name: field.default for name, field in Recipe.model_fields.items()}
    run_by = {name: value for name, value in recipe.model_dump().items() if value != defaults[name]}
    rows = [(name, str(value), str(defaults[name])) for name, value in run_by.items()]
    return pd.DataFrame(rows, columns=["setting", "value", "default"])


def epochs(run: Run, job: Job, training: "Training") -> pd.DataFrame:
    """Return the losses of each epoch of a training, and the EER on the validation split."""
    run.keep(
        recipe=job.recipe.model_dump(mode="json"),
        history=training.history.to_dict("records"),
        best_epoch=training.best_epoch,
        left_out=len(training.left_out),
    )
    return training.history


def recipes(run: Run, trainings: Sequence[comparison.TrainedRecipe]) -> pd.DataFrame:
    """Return what validation clips say of every recipe, over its seeds."""
    table = pd.DataFrame(trainings).groupby("recipe", sort=False).agg(
        clips=("clips", "first"), trainings=("seed", "size"), validation_loss=("validation_loss", "mean"),
        loss_low=("validation_loss", "min"), loss_high=("validation_loss", "max"),
        validation_eer=("validation_eer", "mean"),
        epochs_kept=("best_epoch", lambda epochs: ", ".join(map(str, epochs))),
    ).reset_index()  # fmt: skip
    table["recipe"] = [comparison.describe(run, name) for name in table["recipe"]]
    table.loc[table["trainings"] == 1, ["loss_low", "loss_high"]] = np.nan
    run.keep(recipes=columns.formatted(table).to_dict("records"))
    return table


def recipe_choice(run: Run, trainings: Sequence[comparison.TrainedRecipe]) -> str:
    """Return `sentences.chosen_recipe` of the recipes that were trained."""
    if not trainings:
        return "The profile names no recipes to compare."
    return sentences.chosen_recipe(
        comparison.describe(run, comparison.best(trainings)),
        comparison.describe(run, run.profile.recipe),
        seeds=run.profile.seeds,
    )


def compared(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """Return `comparison.compare` as it is shown: pooled and macro EER beside the reference's."""
    names = {"corpus": "corpus", "recipe": "recipe", "eer": "eer", "reference_eer": "reference_eer"}
    names |= {"after": "macro_eer", "seeds_low": "seeds_low", "seeds_high": "seeds_high", "before": "reference_macro"}
    names |= {"delta": "change", "low": "change_low", "high": "change_high", "p_holm": "p_holm", "smallest": "smallest"}
    shown = _in_words(run, table)[list(names)].rename(columns=names)
    run.keep(recipes=columns.formatted(shown).to_dict("records"))
    return shown


def compared_by_attack(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """Return `comparison.by_attack` as it is shown."""
    shown = _in_words(run, table)[["corpus", "recipe", *ATTACK_CHANGES[1:]]]
    return shown.rename(columns={"before": "reference_eer", "after": "eer"})


def comparison_sentences(run: Run, table: pd.DataFrame, attacks: pd.DataFrame | None = None) -> list[str]:
    """Say what recipes did, by `comparison.compare` and, where it is given, by `comparison.by_attack`."""
    reference = comparison.describe(run, next(iter(comparison.names(run)), None))
    said = [sentences.recipes(_in_words(run, table), reference=reference, seeds=run.profile.seeds)]
    if attacks is not None and not table.empty and run.profile.seeds > 1:
        said.append(sentences.recipes_by_attack(_in_words(run, attacks)))
    return said


def _in_words(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        return table
    return table.assign(recipe=[comparison.describe(run, name) for name in table["recipe"]])


# The discussion


def examined_figures(run: Run) -> pd.DataFrame:
    """Return `study.examine_figures`."""
    figures = study.examine_figures()
    rows = figures.rename(columns={"stage": "when"}).astype(object)
    run.keep(study=rows.where(rows.notna(), None).to_dict("records"))
    return figures


def preprocessing(run: Run) -> pd.DataFrame:
    """Make the study's mistakes on every corpus, before and after: the rate, the one logit, the misaligned labels."""
    rows = []
    for name in run.with_audio:
        for stage in STAGES:
            right = run.scores(stage, name, preprocessing="corrected", window="fixed")
            wrong = run.scores(stage, name, preprocessing="original", window="fixed")
            auc = metrics.auc(wrong.labels, wrong.values)
            rows.append(
                {
                    "corpus": name,
                    "stage": run.first_seed(stage, name),
                    "eer_corrected": metrics.eer(right.labels, right.values).value,
                    "eer_original": metrics.eer(wrong.labels, wrong.values).value,
                    "auc_original": auc,
                    "auc_misaligned": study.misaligned_auc(wrong.labels, wrong.values),
                    "auc_mirrored": 1 - auc,
                }
            )
            if stage == "before":
                change = run.preprocessing_differences(stage)[name]
                rows[-1] |= {"change": change.delta, "change_low": change.low, "change_high": change.high}
    table = pd.DataFrame(rows)
    run.keep(protocol=columns.titled(table).to_dict("records"))
    return table
