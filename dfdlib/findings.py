"""Sentences made from numbers, so that no sentence can say what the numbers do not.

Each function takes figures and returns one plain sentence, or several. Which words it uses depends on the figures and
on their intervals alone: where an interval allows no conclusion, the sentence says so.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from dfdlib.uncertainty import Difference, Interval

_WHEN = {"before": "the baseline", "after": "the fine-tuned detector"}


def percent(share: float) -> str:
    """Return a share of one as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def percent_range(low: float, high: float) -> str:
    """Return an interval of shares as percentages."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def points(change: float) -> str:
    """Return the size of a difference of two shares, in percentage points without its sign."""
    return f"{100 * abs(change):.1f} points"


def points_range(low: float, high: float) -> str:
    """Return an interval of differences in percentage points, with signs."""
    return f"{100 * low:+.1f} to {100 * high:+.1f} points"


def evaluation(
    corpus: str, when: str, *, eer: Interval, auc: Interval, n_bonafide: int, n_spoof: int, level: float = 0.95
) -> str:
    """Say how well a detector does on a corpus, and whether that differs from guessing."""
    sentence = (
        f"On {corpus} ({n_bonafide} bona fide and {n_spoof} spoof clips) the EER of {_WHEN[when]} is "
        f"{percent(eer.value)} ({100 * level:g} % interval {percent_range(eer.low, eer.high)}), its AUC "
        f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    )
    if auc.low <= 0.5 <= auc.high:
        return f"{sentence}: no better than guessing, as far as these clips can tell."
    if auc.high < 0.5:
        return f"{sentence}: it ranks spoof clips above bona fide ones, worse than guessing."
    return f"{sentence}."


def change(corpus: str, difference: Difference, *, trained_on: bool = False, level: float = 0.95) -> str:
    """Say what fine-tuning did to the EER on a corpus, no more than the interval of the difference allows."""
    where = (
        f"{corpus}, the corpus it was fine-tuned for" if trained_on else f"{corpus}, which it was not fine-tuned for"
    )
    interval = f"{100 * level:g} % interval of the change {points_range(difference.low, difference.high)}"
    figures = f"from {percent(difference.before)} to {percent(difference.after)}"
    if difference.low <= 0 <= difference.high:
        if difference.delta == 0:
            moved = f"The EER stayed at {percent(difference.after)}"
        else:
            moved = f"The EER {'rose' if difference.delta > 0 else 'fell'} {figures}"
        return f"{moved} on {where}, but the {interval} includes zero: these clips do not show a change."
    verb, verdict = ("raised", "worse") if difference.delta > 0 else ("lowered", "better")
    return (
        f"Fine-tuning {verb} the EER on {where}, {figures}, by {points(difference.delta)} ({interval}): "
        f"the detector became {verdict} there."
    )


def verdict(differences: Mapping[str, Difference], *, trained_on: str) -> str:
    """Say in one sentence whether fine-tuning paid, over all corpora."""
    better = [name for name, difference in differences.items() if difference.high < 0]
    worse = [name for name, difference in differences.items() if difference.low > 0]
    unclear = [name for name in differences if name not in better and name not in worse]
    parts = []
    if better:
        parts.append(f"better on {_list(better)}")
    if worse:
        parts.append(f"worse on {_list(worse)}")
    if unclear:
        parts.append(f"not measurably different on {_list(unclear)}")
    sentence = f"After fine-tuning on {trained_on} the detector is {_list(parts)}"
    if trained_on in better and worse:
        return f"{sentence}: what it learned for one domain it paid for in another."
    if trained_on in better and unclear:
        return f"{sentence}: the gain was not shown beyond the domain that it was trained on."
    if trained_on in better:
        return f"{sentence}: the gain carried over to every domain measured."
    return f"{sentence}: fine-tuning did not show the gain that it was meant to bring."


def guessing(rows: Iterable[Mapping]) -> list[str]:
    """Say of each corpus on which a detector is not measurably better than guessing that it is not.

    Parameters
    ----------
    rows : iterable of mapping
        With ``corpus``, ``when`` and ``auc_ci``; an interval that reaches down to one half counts as guessing.
    """
    stages: dict[str, list[str]] = {}
    for row in rows:
        if row["auc_ci"][0] <= 0.5:
            stages.setdefault(row["corpus"], []).append(_WHEN[row["when"]])
    return [
        f"On {corpus} {f'neither {who[0]} nor {who[1]} is' if len(who) == 2 else f'{who[0]} is not'} measurably better "
        "than guessing."
        for corpus, who in stages.items()
    ]


def hardest_attack(table: pd.DataFrame, *, corpus: str, when: str) -> str:
    """Name the attacks with the highest and the lowest EER in a table of `metrics.by_attack`."""
    rows = table.sort_values("eer")
    easy, hard = rows.iloc[0], rows.iloc[-1]
    if len(rows) == 1:
        return f"On {corpus} there is one kind of attack, {hard['attack']}, with an EER of {percent(hard['eer'])}."
    sentence = (
        f"On {corpus}, {hard['attack']} is the hardest attack for {_WHEN[when]} (EER {percent(hard['eer'])}) and "
        f"{easy['attack']} the easiest ({percent(easy['eer'])})"
    )
    if hard["eer"] > 0.5:
        return f"{sentence}: most clips of {hard['attack']} score higher than most bona fide ones."
    return f"{sentence}."


def shortcut(eer: float, *, corpus: str, floor: float) -> str:
    """Say whether duration, level, silence and bandwidth alone give the label of a corpus away."""
    if eer < floor:
        return (
            f"A classifier that knows only duration, level, silence and bandwidth reaches an EER of {percent(eer)} on "
            f"{corpus}: the format gives part of the label away, and no result on it is about speech alone."
        )
    return (
        f"A classifier that knows only duration, level, silence and bandwidth reaches an EER of {percent(eer)} on "
        f"{corpus}, where guessing gives 50 %: the format gives little away."
    )


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
    return f"{sentence}; later epochs were no better."


def published_figures(examined: pd.DataFrame) -> list[str]:
    """Say of each published pair of EER and AUC whether it can be, from `study.examine_figures`."""
    sentences = []
    for row in examined.itertuples():
        pair = f"an EER of {100 * row.eer:.2f} % with an AUC of {row.auc:.4f} ({row.corpus}, {row.when} fine-tuning)"
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


def protocol(corpus: str, difference: Difference, *, level: float = 0.95) -> str:
    """Say what audio at 22,050 Hz taken for 16,000 Hz does to the EER; "before" in `difference` is the right rate."""
    interval = f"{100 * level:g} % interval of the change {points_range(difference.low, difference.high)}"
    figures = (
        f"Read at the right rate, {corpus} gives an EER of {percent(difference.before)}; read as the study read it, "
        f"{percent(difference.after)} ({interval})"
    )
    if difference.low <= 0 <= difference.high:
        return f"{figures}: no clear effect."
    return f"{figures}: the mistake made the detector look {'worse' if difference.delta > 0 else 'better'}."


def misaligned(rows: Iterable[Mapping]) -> str:
    """Say what labels in another order than the scores did to the AUC, from `chapters.protocol_rows`."""
    rows = list(rows)
    below = sum(row["AUC, original and misaligned"] < 0.5 <= row["AUC, original"] for row in rows)
    exact = sum(abs(row["AUC, original and misaligned"] - row["1 − AUC"]) < 1e-9 for row in rows)
    return (
        f"Computed as the study computed it, with labels and scores in different orders, the AUC of {below} of our "
        f"{len(rows)} evaluations falls below one half although the detector ranks the classes the right way round; in "
        f"{exact} of them it is exactly one minus the true AUC."
    )


def _list(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
