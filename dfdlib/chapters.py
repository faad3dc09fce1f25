"""What the notebooks show of a run: tables, figures with their numbers, and sentences."""

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import audio, audit, findings, metrics, plots, study
from dfdlib.errors import DataError
from dfdlib.experiment import STAGES, TARGET, Run
from dfdlib.scoring import Scores
from dfdlib.uncertainty import Difference, Interval

#: What a table of `evaluations_table` says above itself.
EVALUATIONS = (
    "Evaluations with bootstrap intervals. The study's figures, as printed, are of another detector on other clips."
)

_TITLE = re.compile(r"\b(eer|auc)\b")


def say(*sentences: str) -> None:
    """Show sentences as text of the report, a paragraph each."""
    from IPython.display import Markdown, display

    display(Markdown("\n\n".join(sentences)))


def table(frame: pd.DataFrame, *, caption: str, formats: Mapping[str, str] | None = None) -> None:
    """Show a table with a caption and without its index; columns are titled by their names in words.

    Parameters
    ----------
    frame : DataFrame
    caption : str
        One sentence: what the rows are.
    formats : mapping, optional
        Column to format string, as "{:.1%}"; missing numbers show as a dash.
    """
    from IPython.display import display

    truths = frame.select_dtypes(bool).columns
    frame = frame.assign(**{name: frame[name].map({True: "yes", False: "no"}) for name in truths})
    titles = [_TITLE.sub(lambda word: word[0].upper(), str(name).replace("_", " ")) for name in frame.columns]
    styled = frame.style.format(formats or {}, na_rep="–").hide(axis="index").relabel_index(titles, axis="columns")
    display(styled.set_caption(caption))


def listen(clips: pd.DataFrame) -> None:
    """Show a player for each clip of a table, with its class, attack and file name."""
    from IPython.display import HTML, Audio, display

    for clip in clips.itertuples():
        sound = Audio(audio.load(clip.path, rate=audio.RATE), rate=audio.RATE, normalize=False)
        caption = html.escape(f"{describe(clip)} – {Path(clip.path).name}")
        display(HTML(f'<figure class="clip"><figcaption>{caption}</figcaption>{sound._repr_html_()}</figure>'))


def draw_clips(run: Run, name: str, clips: pd.DataFrame) -> None:
    """Draw the spectrogram of each clip of a table, side by side."""
    figure, axes = plots.figure(columns=len(clips), width=3.2 * len(clips), height=2.8)
    alts = []
    for ax, clip in zip(np.atleast_1d(axes).flat, clips.itertuples(), strict=True):
        wave = audio.load(clip.path, rate=audio.RATE)
        alts.append(plots.SpectrogramDisplay.from_wave(wave, rate=audio.RATE, name=describe(clip)).plot(ax).alt())
    plots.show(figure, alt=" ".join(alts), name=name, folder=run.figures)


def describe(clip: object) -> str:
    """Return the class of a row of a corpus and, of a spoof, its attack."""
    return "bona fide" if clip.label == 1 else f"spoof: {clip.attack}"


def draw(run: Run, name: str, *displays) -> None:
    """Draw displays of one kind over each other, show the figure with its numbers below, and keep it.

    Parameters
    ----------
    run : Run
    name : str
        Of the files in ``figures/``.
    displays : Display
        From `plots`; each takes the next colour, line and marker.
    """
    ax = None
    for display in displays:
        ax = display.plot(ax).ax_
    plots.show(displays[0].figure_, alt=" ".join(d.alt() for d in displays), name=name, folder=run.figures)
    _fold(
        {display.name or name: display.table() for display in displays}
        if len(displays) > 1
        else {"": displays[0].table()}
    )


def draw_panels(
    run: Run, name: str, panels: Mapping[str, Iterable], *, width: float = 4.6, height: float = 4.4
) -> None:
    """Draw a panel for each corpus, side by side: a mapping of its title to displays of one kind."""
    figure, axes = plots.figure(columns=len(panels), width=width * len(panels), height=height)
    alts, tables = [], {}
    for ax, (title, displays) in zip(np.atleast_1d(axes).flat, panels.items(), strict=True):
        for display in displays:
            display.plot(ax)
            alts.append(f"{title}: {display.alt()}")
            tables[f"{title}, {display.name}"] = display.table()
        ax.set_title(title)
    plots.show(figure, alt=" ".join(alts), name=name, folder=run.figures)
    _fold(tables)
    return " ".join(alts)


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
        found = run.scores("before", name).left_out
        tables.append(found.assign(corpus=name)[["corpus", "path", "reason"]])
    return pd.concat(tables, ignore_index=True).drop_duplicates()


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


def shortcuts(run: Run) -> tuple[dict[str, float], list[str]]:
    """Measure what the format of each corpus gives away: the EER by corpus, and a sentence for each."""
    eers, sentences = {}, []
    for name in run.corpora:
        try:
            eers[name] = audit.shortcut_eer(run.corpus(name), seed=run.profile.seed)
        except DataError as error:
            sentences.append(f"What the format gives away could not be measured: {error}.")
        else:
            sentences.append(findings.shortcut(eers[name], corpus=name, floor=audit.FLOOR))
    return eers, sentences


def protocol_rows(run: Run) -> list[dict]:
    """Make the study's mistakes on every corpus, before and after: the rate, the one logit, the misaligned labels."""
    rows = []
    for name in run.corpora:
        for stage in STAGES:
            right = run.scores(stage, name, protocol="corrected", window="parity")
            wrong = run.scores(stage, name, protocol="original", window="parity")
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


def protocol_sentences(run: Run) -> list[str]:
    """Say what the study's way of reading does to each corpus, by the baseline."""
    level = run.profile.uncertainty.level
    return [findings.protocol(name, run.protocol_difference("before", name), level=level) for name in run.corpora]


def _intervals(row: Mapping) -> dict[str, Interval]:
    names = [key.removesuffix("_ci") for key in row if key.endswith("_ci")]
    return {name: Interval(row[name], *row[f"{name}_ci"]) for name in names}


def _by_attack(scores: Scores) -> pd.DataFrame:
    return metrics.by_attack(scores.labels, scores.values, scores.table["attack"])


def _fold(tables: Mapping[str, pd.DataFrame]) -> None:
    """Show tables below their figure, folded away until somebody wants the numbers."""
    from IPython.display import HTML, display

    parts = [
        (f"<p>{title}</p>" if title else "") + table.to_html(index=False, border=0, float_format="{:.4g}".format)
        for title, table in tables.items()
    ]
    display(HTML(f"<details><summary>The numbers behind this figure</summary>{''.join(parts)}</details>"))
