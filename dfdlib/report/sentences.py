"""Sentences made from numbers, so that no sentence can say what the numbers do not.

Each function takes figures and returns one plain sentence, or several. Which words it uses depends on the figures and
on their intervals alone: where an interval allows no conclusion, the sentence says so. A table of evaluations is one of
`tables.wide`.
"""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from dfdlib.evaluation import verdicts
from dfdlib.evaluation.calibration import Calibration
from dfdlib.evaluation.intervals import Difference, Interval
from dfdlib.evaluation.metrics import percent, percent_range, points, points_range

#: What a rung of the ladder is called in a sentence about a detector.
_RUNGS = {
    verdicts.WRONG_WAY: "ranks the wrong way round, spoof clips above bona fide ones",
    verdicts.CHANCE: "is not better than chance, as far as these clips can tell",
    verdicts.BETTER_THAN_CHANCE: "is better than chance",
    verdicts.SEPARATES: "separates the classes",
}
#: What a verdict on some corpora is called in a sentence about a detector.
_VERDICTS = {
    verdicts.BETTER: "better on {}",
    verdicts.WORSE: "worse on {}",
    verdicts.MIXED: "changed on {}, neither better nor worse as a whole",
    verdicts.NOT_SHOWN: "not measurably different on {}",
    verdicts.UNSETTLED: "not settled by the seeds on {}",
    verdicts.ONE_SEED: "not to be judged by one training on {}",
}
_DETECTOR = {"before": "the baseline", "after": "the fine-tuned detector"}


def unbroken(text: str) -> str:
    """Write numbers in one way: a true minus sign, and the percent sign behind a space that does not break."""
    return re.sub(r"(?<=\d) ?%", "\u00a0%", re.sub(r"(?<![\w.)-])-(?=\.?\d)", "\u2212", text))


def evaluations(table: pd.DataFrame, *, level: float = 0.95) -> list[str]:
    """Say how well a detector does on each corpus, and whether that differs from guessing."""
    said = []
    for row in table.itertuples():
        sentence = (
            f"On {row.corpus} ({row.n_bonafide:.0f} bona fide and {row.n_spoof:.0f} spoof clips) the EER of "
            f"{_DETECTOR[row.stage]} is {percent(row.eer)} ({100 * level:g} % interval "
            f"{percent_range(row.eer_low, row.eer_high)}), its AUC {row.auc:.3f} ({row.auc_low:.3f} to "
            f"{row.auc_high:.3f})"
        )
        if "macro_eer" in table and pd.notna(row.macro_eer):
            macro = f"{percent(row.macro_eer)} ({percent_range(row.macro_eer_low, row.macro_eer_high)})"
            sentence += f"; the mean EER over the attacks is {macro}"
        auc, eer = (Interval(getattr(row, name), getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))
                    for name in ("auc", "eer"))  # fmt: skip
        said.append(f"{sentence}: it {_RUNGS[verdicts.rung(auc, eer)]}.")
    return said


def basis(corpus: str, *, by: str, target: str, warning: str) -> str:
    """Say what the intervals of a corpus rest on, from `Units.describe`."""
    speaks = {"new-voices": "other voices", "these-voices": "these voices with other sentences"}.get(target, "")
    sentence = f"Intervals on {corpus} come from drawing again by {by}" + (f" and speak for {speaks}" if speaks else "")
    return f"{sentence}. {warning}".strip() if warning else f"{sentence}."


def fixed_by(corpus: str, attack: str, *, eer: float) -> str:
    """Say that one attack's share of the spoofs fixes the pooled EER."""
    return (
        f"On {corpus} the pooled EER of {percent(eer)} is fixed by the mix of attacks: at its threshold nearly all "
        f"clips of {attack} are accepted and nearly none of the others, so that it says how many clips {attack} has."
    )


def change(row, *, family: int, trained_on: bool = False, level: float = 0.95) -> str:
    """Say what fine-tuning did to the EER on a corpus, no more than a row of `Run.verdicts` of so many allows."""
    where = (
        f"{row.corpus}, {'the corpus' if trained_on else 'which'} it was {'' if trained_on else 'not '}fine-tuned for"
    )
    adjusted = f", adjusted for {family} corpora" if family > 1 else ""
    interval, ends = f"{100 * level:g} % interval of the change", f"{points_range(row.low, row.high)}{adjusted}"
    figures = f"from {percent(row.before)} to {percent(row.after)}"
    moved = f"The EER stayed at {percent(row.after)}"
    if row.delta != 0:
        moved = f"The EER {'rose' if row.delta > 0 else 'fell'} {figures}"
    if row.verdict == verdicts.ONE_SEED:
        return f"{moved} on {where} ({interval}: {ends}), by one training: one seed shows nothing of fine-tuning."
    if row.verdict == verdicts.UNSETTLED:
        return (
            f"{moved} on {where}, but the {row.seeds} seeds do not settle it: single trainings gave "
            f"{percent_range(row.seeds_low, row.seeds_high)} ({interval}: {ends})."
        )
    if row.verdict == verdicts.NOT_SHOWN:
        seen = f"They would have shown one of {points(row.smallest)} or more in four studies of five; smaller ones are"
        if row.smallest >= 1:
            seen = "They are too few to show any in four studies of five; changes of any size are"
        return (
            f"{moved} on {where}, but the {interval} ({ends}) includes zero: these clips do not show a change. {seen} "
            "not ruled out."
        )
    verb = "raised" if row.delta > 0 else "lowered"
    sentence = f"Fine-tuning {verb} the EER on {where}, {figures}, by {points(row.delta)} ({interval}: {ends})"
    if row.verdict == verdicts.BETTER:
        return f"{sentence}: the detector became better there and {_RUNGS[row.rung_after]}."
    if row.verdict == verdicts.WORSE:
        return f"{sentence}: the detector became worse there."
    doubts = [_other_way(row, name) for name in row.disagreeing]
    if row.delta < 0 and row.rung_after in (verdicts.WRONG_WAY, verdicts.CHANCE):
        doubts.append(f"the detector {_RUNGS[row.rung_after]}")
    return f"{sentence}, but {_list(doubts)}: it is not called {'worse' if row.delta > 0 else 'better'}."


def _other_way(row, name: str) -> str:
    before, after = getattr(row, f"{name}_before"), getattr(row, f"{name}_after")
    metric = {"auc": "AUC", "cllr": "calibrated Cllr"}[name]
    return f"the {metric} {'rose' if after > before else 'fell'} from {before:.3f} to {after:.3f}"


def verdict(table: pd.DataFrame, *, trained_on: str) -> str:
    """Say in one sentence whether fine-tuning paid, over all corpora of `Run.verdicts`."""
    named = table.groupby("verdict", sort=False)["corpus"].apply(list).to_dict()
    if list(named) == [verdicts.ONE_SEED]:
        return f"Nothing about fine-tuning on {trained_on} or about recipes is concluded from one seed."
    parts = [words.format(_list(named[kind])) for kind, words in _VERDICTS.items() if kind in named]
    better, worse = named.get(verdicts.BETTER, []), verdicts.WORSE in named
    sentence = f"After fine-tuning on {trained_on} the detector is {_list(parts)}"
    if trained_on not in better:
        return f"{sentence}: fine-tuning did not show the gain that it was meant to bring."
    if worse:
        return f"{sentence}: what it learned for one domain it paid for in another."
    if len(better) == len(table):
        return f"{sentence}: the gain carried over to every domain measured."
    if len(better) > 1:
        return f"{sentence}: a gain was shown beyond the domain that it was trained on, but not in every one."
    return f"{sentence}: the gain was not shown beyond the domain that it was trained on."


def attack_changes(table: pd.DataFrame) -> list[str]:
    """Say which attacks fine-tuning was shown to help against and which it made worse, from `Run.attack_changes`."""
    said = []
    for corpus, rows in table.groupby("corpus", sort=False):
        parts = [f"{kind} against {_list(found)}" for kind, found in _shown(rows).items()]
        rest = rows[~rows["shown"]]
        if not parts:
            parts = ["not shown to have changed against any attack"]
        sentence = f"On {corpus}, attack by attack, the fine-tuned detector is {' and '.join(parts)}"
        if len(rest):
            largest = rest["smallest"].max()
            size = f"as large as {points(largest)}" if largest < 1 else "of any size"
            sentence += f"; changes that were not shown ({_list(rest['attack'])}) may be {size}"
        if rest["unsettled"].any():
            sentence += f"; the seeds do not settle {_list(rest['attack'][rest['unsettled']])}"
        said.append(f"{sentence}.")
    return said


def _shown(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the changes by attack that were shown, "better" and "worse", each in words."""
    found: dict[str, list[str]] = {}
    for kind, chosen in (("better", rows["delta"] < 0), ("worse", rows["delta"] > 0)):
        words = [
            f"{row.attack} ({percent(row.before)} to {percent(row.after)}, {points_range(row.low, row.high)})"
            for row in rows[rows["shown"] & chosen].itertuples()
        ]
        found |= {kind: words} if words else {}
    return found


def guessing(table: pd.DataFrame) -> list[str]:
    """Name each corpus on which a detector is not measurably better than guessing: its AUC may be one half."""
    stages: dict[str, list[str]] = {}
    for row in table.itertuples():
        if row.auc_low <= 0.5:
            stages.setdefault(row.corpus, []).append(_DETECTOR[row.stage])
    return [
        f"On {corpus} {f'neither {who[0]} nor {who[1]} is' if len(who) == 2 else f'{who[0]} is not'} measurably better "
        "than guessing."
        for corpus, who in stages.items()
    ]


def hardest_attack(table: pd.DataFrame, *, corpus: str, stage: str) -> str:
    """Name the hardest attack of `Run.attack_errors`, where its interval lies above those of all others."""
    rows = table.sort_values("eer")
    hard = rows.iloc[-1]
    figure = f"EER {percent(hard['eer'])}, {percent_range(hard['eer_low'], hard['eer_high'])}"
    if len(rows) == 1:
        return f"On {corpus} there is one kind of attack, {hard['attack']} ({figure})."
    if hard["eer_low"] <= rows["eer_high"].iloc[:-1].max():
        return (
            f"On {corpus} the intervals of the attacks overlap, so that none is the hardest for {_DETECTOR[stage]}; "
            f"the highest figure is that of {hard['attack']} ({figure})."
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
        f"Epoch {best_epoch} of {last} had the best {name} and was kept (training loss {best['train_loss']:.4f}, "
        f"validation loss {best['validation_loss']:.4f}, validation EER {percent(best['validation_eer'])})"
    )
    if best_epoch == last:
        return f"{sentence}; it is the last one, so training was still improving when it stopped."
    later = history[history["epoch"] > best_epoch]
    lower = later.loc[later["validation_eer"].idxmin()]
    if lower["validation_eer"] < best["validation_eer"]:
        return (
            f"{sentence}; epoch {lower['epoch']:.0f} had a lower validation EER ({percent(lower['validation_eer'])}), "
            "which is not what the recipe chooses by."
        )
    return f"{sentence}; later epochs were no better."


def published_figures(examined: pd.DataFrame) -> list[str]:
    """Say of each published pair of EER and AUC whether it can be, from `study.examine_figures`."""
    sentences = []
    for row in examined.itertuples():
        pair = (
            f"an EER of {100 * row.eer:.2f} % ({percent_range(row.eer_low, row.eer_high)}, by the number of clips) "
            f"with an AUC of {row.auc:.4f} ({row.corpus}, {row.stage} fine-tuning)"
        )
        bounds = f"between {row.auc_low:.3f} and {row.auc_high:.3f}"
        if row.possible:
            sentences.append(f"The study printed {pair}: possible, since that EER allows an AUC {bounds}.")
        elif pd.notna(row.auc_realigned):
            sentences.append(
                f"The study printed {pair}: impossible, since that EER forces the AUC to lie {bounds}. With as many "
                f"bona fide as spoof clips, labels listed in another order than the scores give exactly one minus the "
                f"true AUC, which would be {row.auc_realigned:.4f}: possible."
            )
        else:
            sentences.append(
                f"The study printed {pair}: impossible, since that EER forces the AUC to lie {bounds}. The class sizes "
                f"are not published, so the true value cannot be recovered."
            )
    return sentences


def published_class_sizes(corpus: str, sizes: Sequence[tuple[int, int]], *, clips: int) -> str:
    """Say which class sizes can give the EERs that the study printed for a corpus, from `study.class_sizes`."""
    if not sizes:
        return (
            f"No division of the {clips} clips of the study's {corpus} set into two classes gives the EERs printed for "
            "it, unless scores tie."
        )
    either = _list([f"{bonafide} bona fide with {spoof} spoof clips" for bonafide, spoof in sizes[:4]])
    more = f" and {len(sizes) - 4} others" if len(sizes) > 4 else ""
    return (
        "An EER is the mean of two shares, so that class sizes leave their mark on it: the EERs printed for the "
        f"{clips} clips of the study's {corpus} set fit {either}{more}."
    )


def published_claims(examined: pd.DataFrame) -> list[str]:
    """Say of each claim of the study whether its own figures bear it out, from `study.examine_claims`."""
    sentences = []
    for row in examined.itertuples():
        name = {"eer": "EER", "auc": "AUC"}[row.metric]
        show = (lambda value: f"{100 * value:.2f} %") if row.metric == "eer" else (lambda value: f"{value:.4f}")
        verb = "agree" if row.holds else "disagree"
        sentences.append(
            f"The study says that {row.words}; its printed figures {verb}: the {name} {row.went} from "
            f"{show(row.before)} to {show(row.after)}."
        )
    return sentences


def published_in_brief(figures: pd.DataFrame, claims: pd.DataFrame) -> str:
    """Say how much of what the study published can be, from `study.examine_figures` and `study.examine_claims`."""
    impossible, wrong = int((~figures["possible"]).sum()), int((~claims["holds"]).sum())
    return (
        f"Of the {len(figures)} pairs of EER and AUC that the study printed, {impossible} cannot belong to one set of "
        f"scores; of the {len(claims)} claims that it makes about its figures, {wrong} contradict them."
    )


def preprocessing(corpus: str, difference: Difference, *, level: float = 0.95) -> str:
    """Say what audio at 22,050 Hz taken for 16,000 Hz does to the EER; "before" in `difference` is the right rate."""
    interval = f"{100 * level:g} % interval of the change: {points_range(difference.low, difference.high)}"
    figures = (
        f"Read at the right rate, {corpus} gives an EER of {percent(difference.before)}; read as the study read it, "
        f"{percent(difference.after)} ({interval})"
    )
    if difference.low <= 0 <= difference.high:
        return f"{figures}: no clear effect."
    return f"{figures}: the mistake made the detector look {'worse' if difference.delta > 0 else 'better'}."


def misaligned(table: pd.DataFrame) -> str:
    """Say what labels in another order than the scores did to the AUC, from `tables.preprocessing`."""
    below = int(((table["auc_misaligned"] < 0.5) & (table["auc_original"] >= 0.5)).sum())
    exact = int(((table["auc_misaligned"] - table["auc_mirrored"]).abs() < 1e-9).sum())
    return (
        f"Computed as the study computed it, with labels and scores in different orders, the AUC of {below} of our "
        f"{len(table)} evaluations falls below one half although the detector ranks the classes the right way round; "
        f"in {exact} of the {len(table)} it is exactly one minus the true AUC."
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
            parts.append(f"{_closed(words)} {verb} the macro EER on {_list(rows['corpus'])}")
    sentence = f"Against {reference}, {'; '.join(parts)}."
    if not parts:
        sentence = f"No recipe was shown to change the macro EER against {reference}, on any corpus (Holm-adjusted)."
    unsettled = int(table["unsettled"].sum())
    return sentence + (f" The seeds do not settle {unsettled} of {len(table)} comparisons." if unsettled else "")


def recipes_by_attack(table: pd.DataFrame) -> str:
    """Say against which attacks a recipe was shown to be better or worse, from `comparison.by_attack`."""
    said = [
        f"{_closed(words)} on {corpus}: {'; '.join(f'{kind} against {_list(found)}' for kind, found in shown.items())}"
        for (words, corpus), rows in table.groupby(["recipe", "corpus"], sort=False)
        if (shown := _shown(rows))
    ]
    return f"Attack by attack, {'. '.join(said)}." if said else "Attack by attack, no recipe was shown to differ."


def chosen_recipe(best: str, used: str, *, seeds: int) -> str:
    """Say which recipe the validation clips favour, and whether it is the one that the report fine-tunes by."""
    trained = "one training each, which shows nothing" if seeds == 1 else f"the mean of {seeds} trainings each"
    sentence = f"By the loss on the validation split, {trained}, the best recipe is: {best}"
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


def transfer(table: pd.DataFrame) -> str:
    """Say where the threshold of validation data gives more errors than the one of the EER, beyond its interval."""
    lost: dict[str, list[str]] = {}
    for row in table.itertuples():
        if row.hter_low > row.eer:
            lost.setdefault(_DETECTOR[row.stage], []).append(f"{row.corpus} (HTER {percent(row.hter)})")
    if not lost:
        return "The validation threshold transfers to every corpus, as far as these clips can tell."
    where = "; ".join(f"of {who} to {_list(corpora)}" for who, corpora in lost.items())
    return f"The validation threshold does not transfer: {where}."


def evidence(table: pd.DataFrame, *, fitted: Calibration) -> list[str]:
    """Say what LLRs a calibration supports, where they mislead and where scores warn: `experiment.forensic.corpora`."""
    bad = table.loc[table["cllr"] >= 1, "corpus"]
    warned = table.loc[table["warnings"].map(bool), "corpus"]
    said = [
        f"{fitted.n_bonafide} + {fitted.n_spoof} validation clips support log-likelihood ratios from "
        f"{fitted.lowest:.2f} to {fitted.highest:.2f} (ELUB: Vergeer et al., 2016); none goes beyond."
    ]
    if len(bad):
        said.append(f"On {_list(bad)} they cost more than no evidence at all (Cllr of 1 or more).")
    return said + ([f"The scores alone warn of other conditions on {_list(warned)}."] if len(warned) else [])


def _closed(words: str) -> str:
    """Return the name of a recipe, with a comma behind it where there is one within."""
    return f"{words}," if ", " in words else words


def _list(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
