"""Sentences made from numbers, so that no sentence can say what the numbers do not.

Each function takes figures and returns one plain sentence, or several. Which words it uses depends on the figures and
on their intervals alone: where an interval allows no conclusion, the sentence says so. A table of evaluations is one of
`tables.wide`.
"""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from dfdlib.data.audit.shortcuts import NOTHING
from dfdlib.evaluation import metrics, verdicts
from dfdlib.evaluation.calibration import Calibration
from dfdlib.evaluation.carried import Validation
from dfdlib.evaluation.intervals import Interval
from dfdlib.evaluation.metrics import percent, percent_range

#: What a rung of the ladder is called in a sentence about a detector.
_RUNGS = {
    verdicts.WRONG_WAY: "ranks the wrong way round, spoof clips above bona fide ones",
    verdicts.CHANCE: "is not shown to be better than chance",
    verdicts.BETTER_THAN_CHANCE: "is better than chance",
    verdicts.SEPARATES: "separates the classes",
}
#: What a verdict on some corpora is called in a sentence about fine-tuning.
_VERDICTS = {
    verdicts.BETTER: "better on {}",
    verdicts.WORSE: "worse on {}",
    verdicts.MIXED: "changed on {}, neither better nor worse as a whole",
    verdicts.NOT_SHOWN: "no change shown on {}",
    verdicts.UNSETTLED: "not settled by the seeds on {}",
    verdicts.ONE_SEED: "not judged, for want of seeds, on {}",
}
_DETECTOR = {"before": "the baseline", "after": "the fine-tuned detector"}


def unbroken(text: str) -> str:
    """Write numbers in one way: a true minus sign, and the percent sign behind a space that does not break."""
    return re.sub(r"(?<=\d) ?%", "\u00a0%", re.sub(r"(?<![\w.)-])-(?=\.?\d)", "\u2212", text))


def evaluations(table: pd.DataFrame) -> list[str]:
    """Say how well a detector does on each corpus, and whether that differs from guessing."""
    said = []
    for row in table.itertuples():
        sentence = (
            f"On {row.corpus} ({row.n_bonafide:.0f} + {row.n_spoof:.0f} clips), {_DETECTOR[row.stage]} has an EER of "
            f"{percent(row.eer)} ({percent_range(row.eer_low, row.eer_high)}) and an AUC of "
            f"{row.auc:.3f} ({row.auc_low:.3f} to {row.auc_high:.3f})"
        )
        if "macro_eer" in table and pd.notna(row.macro_eer):
            macro = f"{percent(row.macro_eer)} ({percent_range(row.macro_eer_low, row.macro_eer_high)})"
            sentence += f"; the mean EER over attacks is {macro}"
        auc, eer = (Interval(getattr(row, name), getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))
                    for name in ("auc", "eer"))  # fmt: skip
        said.append(f"{sentence}: it {_RUNGS[verdicts.rung(auc, eer)]}.")
    return said


def basis(table: pd.DataFrame) -> list[str]:
    """Say where intervals speak for these voices alone or rest on few units, and where one attack fixes the EER."""
    these, rough = table["target"] == "these-voices", table["warning"] != ""
    said = []
    if these.any():
        said.append(f"Intervals on {listed(table.loc[these, 'corpus'])} speak for these voices alone.")
    if (rough & ~these).any():
        said.append(f"Intervals on {listed(table.loc[rough & ~these, 'corpus'])} are rough: they rest on few units.")
    fixed = table[table["fixed_by"] != ""]
    return said + [fixed_by(row.corpus, row.fixed_by, eer=row.eer) for row in fixed.itertuples()]


def fixed_by(corpus: str, attack: str, *, eer: float) -> str:
    """Say that one attack's share of the spoofs fixes the pooled EER."""
    return (
        f"On {corpus} the pooled EER of {percent(eer)} is fixed by the mix of attacks: at its threshold nearly all "
        f"clips of {attack} are accepted and nearly none of the others, so that it says how many clips {attack} has."
    )


def verdict(table: pd.DataFrame, *, trained_on: str) -> str:
    """Say in one sentence whether fine-tuning paid, over all corpora of `Run.verdicts`."""
    named = table.groupby("verdict", sort=False)["corpus"].apply(list).to_dict()
    if list(named) == [verdicts.ONE_SEED]:
        return f"Nothing about fine-tuning on {trained_on} or about recipes is concluded from one seed."
    parts = [words.format(listed(named[kind])) for kind, words in _VERDICTS.items() if kind in named]
    better, worse = named.get(verdicts.BETTER, []), verdicts.WORSE in named
    sentence = f"Fine-tuning on {trained_on}: {'; '.join(parts)}."
    if trained_on not in better:
        return f"{sentence} The gain that it was meant to bring is not shown."
    if worse:
        return f"{sentence} The detector gained in one domain and lost in another."
    if len(better) == len(table):
        return f"{sentence} A gain is shown on every corpus measured."
    if len(better) > 1:
        return f"{sentence} A gain is shown beyond the domain that it was trained on, but not on every corpus."
    return f"{sentence} No gain is shown beyond the domain that it was trained on."


def attack_changes(table: pd.DataFrame) -> str:
    """Say against which attacks fine-tuning was shown to help or to harm, from `Run.attack_changes` of all corpora."""
    said = [
        f"on {corpus} {_against(shown)}"
        for corpus, rows in table.groupby("corpus", sort=False)
        if (shown := _shown(rows))
    ]
    shown = int(table["shown"].sum())
    if shown < len(table):
        other = f"{'the other ' * bool(shown)}{len(table) - shown}"
        said.append(f"no change is shown for {other} pairs of corpus and attack")
    unsettled = int(table["unsettled"].sum())
    hidden = f" The seeds do not settle {unsettled} of them." if unsettled else ""
    return f"By attack: {'; '.join(said)}.{hidden}"


def _shown(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the changes by attack that were shown, "better" and "worse", each in words."""
    found: dict[str, list[str]] = {}
    for kind, chosen in (("better", rows["delta"] < 0), ("worse", rows["delta"] > 0)):
        words = [
            f"{row.attack} ({percent(row.before)} to {percent(row.after)})"
            for row in rows[rows["shown"] & chosen].itertuples()
        ]
        found |= {kind: words} if words else {}
    return found


def _against(shown: dict[str, list[str]]) -> str:
    return " and ".join(f"{kind} against {listed(found)}" for kind, found in shown.items())


def guessing(table: pd.DataFrame) -> list[str]:
    """Name the corpora on which a detector is not shown to be better than guessing: its AUC may be one half."""
    poor = table[table["auc_low"] <= 0.5].groupby("stage", sort=False)["corpus"].apply(list)
    found = "; ".join(f"{_DETECTOR[stage]} on {listed(corpora)}" for stage, corpora in poor.items())
    return [f"Not shown to be better than guessing: {found}."] if found else []


def shortcuts(table: pd.DataFrame) -> list[str]:
    """Say where the format of clips gives their label away, from `tables.shortcuts`."""
    said = []
    for finding, rows in table.groupby("finding", sort=False):
        where = listed(rows["corpus"])
        if finding == NOTHING:
            said.append(f"It is not shown that the format gives anything away on {where}.")
        else:
            said.append(f"The format gives {finding} of the label away on {where}: no result there is of speech alone.")
    return said


def hardest_attack(table: pd.DataFrame, *, corpus: str, stage: str) -> str:
    """Name the hardest attack of `Run.errors_by`, where its interval lies above those of all others."""
    rows = table.sort_values("eer")
    hard = rows.iloc[-1]
    figure = f"EER {percent(hard['eer'])}, {percent_range(hard['eer_low'], hard['eer_high'])}"
    if len(rows) == 1:
        return f"On {corpus} there is one kind of attack, {hard['attack']} ({figure})."
    if hard["eer_low"] <= rows["eer_high"].iloc[:-1].max():
        return (
            f"On {corpus} the intervals of the attacks overlap, so that none is shown to be the hardest for "
            f"{_DETECTOR[stage]}; the highest figure is that of {hard['attack']} ({figure})."
        )
    sentence = f"On {corpus}, {hard['attack']} is the hardest attack for {_DETECTOR[stage]} ({figure})"
    if hard["eer_low"] > 0.5:
        return f"{sentence}: most of its clips score higher than most bona fide ones."
    return f"{sentence}."


def training(history: pd.DataFrame, *, best_epoch: int, select: str) -> str:
    """Say which epoch was kept and whether more epochs might have helped."""
    best = history.loc[history["epoch"] == best_epoch].iloc[0]
    last = int(history["epoch"].iloc[-1])
    name = "validation loss" if select == "validation_loss" else "validation EER"
    sentence = (
        f"Epoch {best_epoch} of {last} had the best {name} and was kept (validation EER "
        f"{percent(best['validation_eer'])})"
    )
    if best_epoch == last:
        return f"{sentence}; it is the last one, so more epochs might do better."
    later = history[history["epoch"] > best_epoch]
    lower = later.loc[later["validation_eer"].idxmin()]
    if lower["validation_eer"] < best["validation_eer"]:
        return (
            f"{sentence}; epoch {lower['epoch']:.0f} had a lower validation EER ({percent(lower['validation_eer'])}), "
            "which is not what the recipe chooses by."
        )
    return f"{sentence}; later epochs were no better."


def published_class_sizes(corpus: str, sizes: Sequence[tuple[int, int]], *, clips: int) -> str:
    """Say which class sizes can give the EERs that the study printed for a corpus, from `study.class_sizes`."""
    printed = f"the EERs printed for the {clips} clips of the study's {corpus} set"
    if not sizes:
        return f"No two class sizes give {printed}, unless scores tie."
    either = listed([f"{bonafide} bona fide with {spoof} spoof clips" for bonafide, spoof in sizes[:4]])
    more = f" and {len(sizes) - 4} others" if len(sizes) > 4 else ""
    return f"An EER is the mean of two shares: {printed} fit {either}{more}."


def published_claims(examined: pd.DataFrame) -> list[str]:
    """Say of each claim of the study whether its own figures bear it out, from `study.examine_claims`."""
    sentences = []
    for row in examined.itertuples():
        name = {"eer": "EER", "auc": "AUC"}[row.metric]
        show = (lambda value: f"{100 * value:.2f} %") if row.metric == "eer" else (lambda value: f"{value:.4f}")
        verb = "agree" if row.holds else "disagree"
        sentences.append(
            f"The study says that {row.words}; its figures {verb}: the {name} {row.went} from {show(row.before)} to "
            f"{show(row.after)}."
        )
    return sentences


def published_in_brief(figures: pd.DataFrame, claims: pd.DataFrame) -> str:
    """Say how much of what the study published can be, from `study.examine_figures` and `study.examine_claims`."""
    impossible, wrong = int((~figures["possible"]).sum()), int((~claims["holds"]).sum())
    return (
        f"Of the study's {len(figures)} pairs of EER and AUC, {impossible} are impossible; of its {len(claims)} "
        f"claims, {wrong} contradict its own figures."
    )


def preprocessing(table: pd.DataFrame) -> str:
    """Say what the study's rate and score do to the EER, from the adjusted intervals of `tables.preprocessing`."""
    kinds = {
        "worse": table["change_low"] > 0,
        "better": table["change_high"] < 0,
        "no change shown": (table["change_low"] <= 0) & (table["change_high"] >= 0),
    }
    said = [f"{kind} on {listed(table.loc[rows, 'corpus'])}" for kind, rows in kinds.items() if rows.any()]
    return f"What the study's rate and score make of the baseline's EER: {'; '.join(said)}."


def misaligned(table: pd.DataFrame) -> str:
    """Say what labels in the study's order did to the AUC, from `tables.preprocessing`."""
    below = int(((table["auc_misaligned"] < 0.5) & (table["auc_original"] >= 0.5)).sum())
    exact = int(((table["auc_misaligned"] - table["auc_mirrored"]).abs() < 1e-9).sum())
    return (
        f"With labels of spoofs first and scores of bona fide clips first, as in the study, {below} of our "
        f"{len(table)} AUCs fall from one half or more to below it; {exact} are exactly one minus the true AUC."
    )


def recipes(table: pd.DataFrame, *, reference: str, seeds: int) -> str:
    """Say which recipes changed the macro EER, and which way, from `comparison.compare` of so many trainings each."""
    if table.empty:
        return "There is no other way of fine-tuning to compare."
    if seeds == 1:
        return "Each recipe was trained once: nothing about recipes is concluded from one seed."
    parts = []
    for verb, chosen in (("lowered", table["delta"] < 0), ("raised", table["delta"] > 0)):
        for words, rows in table[table["shown"] & chosen].groupby("recipe", sort=False):
            parts.append(f"{_closed(words)} {verb} the macro EER on {listed(rows['corpus'])}")
    sentence = f"Against {reference}, {'; '.join(parts)}."
    if not parts:
        sentence = f"No recipe was shown to change the macro EER against {reference}, on any corpus (Holm-adjusted)."
    unsettled = int(table["unsettled"].sum())
    return sentence + (f" The seeds do not settle {unsettled} of {len(table)} comparisons." if unsettled else "")


def recipes_by_attack(table: pd.DataFrame) -> str:
    """Say against which attacks a recipe was shown to be better or worse, from `comparison.by_attack`."""
    said = [
        f"{_closed(words)} on {corpus} {_against(shown)}"
        for (words, corpus), rows in table.groupby(["recipe", "corpus"], sort=False)
        if (shown := _shown(rows))
    ]
    return f"Recipes by attack: {'; '.join(said) or 'none was shown to differ'}."


def chosen_recipe(best: str, used: str, *, seeds: int) -> str:
    """Say which recipe the validation clips favour, and whether it is the one that the report fine-tunes by."""
    trained = "one training each, which shows nothing" if seeds == 1 else f"mean of {seeds} trainings each"
    sentence = f"Least validation loss ({trained}): {best}"
    if best == used:
        return f"{sentence}. It is the one that this report uses."
    return f"{sentence}. This report uses another, as its profile says: {used}."


def operating(table: pd.DataFrame) -> list[str]:
    """Say what the threshold of validation data gives on each corpus, beside its EER."""
    return [
        f"At the validation threshold, {_DETECTOR[row.stage]} on {row.corpus}: FAR {percent(row.far)}, FRR "
        f"{percent(row.frr)}, HTER {percent(row.hter)} ({percent_range(row.hter_low, row.hter_high)}); EER "
        f"{percent(row.eer)}.{' The threshold does not transfer.' if row.hter_low > row.eer else ''}"
        for row in table.itertuples()
    ]


def contradicted(validation: Validation, *, stage: str) -> list[str]:
    """Say it where validation trials show, beyond chance, that higher scores go with spoof."""
    if not metrics.contradicted(validation.labels, validation.scores):
        return []
    auc = metrics.auc(validation.labels, validation.scores)
    return [
        f"The validation clips of for-2seconds contradict the scores of {_DETECTOR[stage]}: AUC {auc:.3f}, so that "
        "higher scores go with spoof. Nothing was turned round, and its calibration is worth nothing; see whether the "
        "detector's higher scores mean bona fide, and whether the labels are right."
    ]


def transfer(table: pd.DataFrame) -> str:
    """Say where the threshold of validation data gives more errors than the one of the EER, beyond its interval."""
    lost: dict[str, list[str]] = {}
    for row in table.itertuples():
        if row.hter_low > row.eer:
            lost.setdefault(_DETECTOR[row.stage], []).append(f"{row.corpus} (HTER {percent(row.hter)})")
    if not lost:
        return "The validation threshold is not shown to fail on any corpus."
    where = "; ".join(f"of {who} to {listed(corpora)}" for who, corpora in lost.items())
    return f"The validation threshold does not transfer: {where}."


def evidence(table: pd.DataFrame, *, fitted: Calibration) -> list[str]:
    """Say what LLRs a calibration supports, where they mislead and where scores warn: `experiment.forensic.corpora`."""
    bad = table.loc[table["cllr_low"] > 1, "corpus"]
    unclear = table.loc[(table["cllr_low"] <= 1) & (table["cllr_high"] >= 1), "corpus"]
    warned = table.loc[table["warnings"].map(bool), "corpus"]
    said = [
        f"{fitted.n_bonafide} + {fitted.n_spoof} validation clips support LLRs from {fitted.lowest:.2f} to "
        f"{fitted.highest:.2f} (ELUB: Vergeer et al., 2016); none goes beyond."
    ]
    if len(bad):
        said.append(f"On {listed(bad)} they cost more than no evidence at all (Cllr above 1).")
    if len(unclear):
        said.append(f"On {listed(unclear)} they are not shown to be worth more than none (the interval holds 1).")
    return said + ([f"The scores alone warn of other conditions on {listed(warned)}."] if len(warned) else [])


def criteria(matrix: pd.DataFrame) -> str:
    """Say how many criteria each corpus meets, from `experiment.forensic.matrix`."""
    met = [f"{name} {matrix[name].str.endswith('pass').sum()}" for name in matrix.columns[3:]]
    return f"Of {len(matrix)} criteria of the profile, so many are met: {listed(met)}."


def _closed(words: str) -> str:
    """Return the name of a recipe, with a comma behind it where there is one within."""
    return f"{words}," if ", " in words else words


def listed(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
