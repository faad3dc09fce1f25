"""One page about scores that are there already: of one corpus, of several, or of several detectors.

It has the look of the report, holds all it needs, and shows names from files as text.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import files, machine
from dfdlib.evaluation import intervals, metrics, shift, units
from dfdlib.evaluation.metrics import percent, percent_range
from dfdlib.experiment.evaluation import Compared, Evaluated, Several, by_column, kinds
from dfdlib.report import columns, page, plots
from dfdlib.text import one_line, thousands

#: What each metric is called, how it is written, and what it is.
METRICS = {
    "eer": ("EER", "{:.2%}", "equal error rate, at the threshold where both errors are as frequent"),
    "auc": ("AUC", "{:.4f}", "area under the ROC curve; 0.5 is guessing"),
    "min_dcf": ("minDCF", "{:.4f}", "detection cost of ASVspoof 5 at the best threshold; 1 is not listening"),
    "act_dcf": ("actDCF", "{:.4f}", "the same with the scores read as log-likelihood ratios"),
    "cllr": ("Cllr", "{:.4f}", "cost in bits of the scores read as log-likelihood ratios"),
    "min_cllr": ("minCllr", "{:.4f}", "the least that any rising map of the scores could reach"),
    "far": ("FAR", "{:.2%}", "spoofs accepted at the carried threshold"),
    "frr": ("FRR", "{:.2%}", "bona fide clips rejected at the carried threshold"),
    "hter": ("HTER", "{:.2%}", "mean of the two"),
    "min_t_dcf": ("min t-DCF", "{:.4f}", "tandem cost with the speaker verification system"),
}
# The most kinds of clips that make a table.
_MOST_KINDS = 40
# Trials times resamples that a band may take.
_BAND = 10**8


@dataclass
class Section:
    """A part of a card: sentences, tables as the template takes them, figures."""

    title: str
    sentences: list[str] = field(default_factory=list)
    tables: list[dict] = field(default_factory=list)
    figures: list[dict] = field(default_factory=list)


@dataclass
class Card:
    """What a page says."""

    title: str
    notices: list[str]
    sections: list[Section]


def write(path: str | Path, card: Card) -> None:
    """Write a card as one HTML file, atomically."""
    with files.atomic(path) as file:
        file.write(render(card))


def render(card: Card) -> str:
    """Return a card as HTML."""
    import markupsafe

    def shown(value: object) -> object:
        return one_line(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value

    environment = page.environment()
    environment.finalize = shown
    return environment.get_template("card.html.j2").render(card=card)


# --- one corpus ---


def of_one(found: Evaluated, *, resamples: int = 1000, seed: int = 0) -> Card:
    """Return the card of the scores of one corpus."""
    trials, values = found.trials, found.found
    labels, scores = trials.labels, trials.scores
    band = _band(labels, scores, found.drawn, resamples, seed)
    threshold = values.get("threshold")
    name = Path(trials.facts["scores"]).name
    curves = {"threshold": threshold, "band": band}
    sections = [
        Section("Result", [_sentence(values)], [_metrics(values)]),
        *([_claims(found)] if found.verdicts else []),
        Section(
            "Trade-off of the two errors",
            [_of_band(len(labels), resamples)],
            figures=[
                _figure(plots.DetDisplay.from_scores(labels, scores, **curves)),
                _figure(plots.RocDisplay.from_scores(labels, scores, **curves)),
            ],
        ),
        Section("Scores", figures=_distributions(found)),
        *_kinds(found, resamples=_of_resamples(len(labels), resamples), seed=seed),
        *([_calibrated(found)] if found.fitted is not None else []),
        _read({"": found}, resamples, seed),
    ]
    notices = [*filter(None, [found.seems_inverted]), *_left_out({"": found})]
    return Card(f"Scores of {name}", notices, sections)


def _sentence(values: Mapping) -> str:
    eer, auc = values["eer_ci"], values["auc_ci"]
    said = (
        f"On {thousands(values['n_bonafide'])} bona fide and {thousands(values['n_spoof'])} spoof clips the equal "
        f"error rate is {percent(values['eer'], 2)} (95 % interval {percent_range(*eer, 2)}), at a threshold of "
        f"{values['eer_threshold']:.4g}; the area under the ROC curve is {values['auc']:.4f} ({auc[0]:.4f} to "
        f"{auc[1]:.4f})"
    )
    return said + (": not shown to be better than guessing." if auc[0] <= 0.5 <= auc[1] else ".")


def _metrics(values: Mapping) -> dict:
    rows = []
    for name, (title, form, meaning) in METRICS.items():
        if name in values:
            ends = [form.format(end) for end in values.get(f"{name}_ci", ())]
            row = {"metric": title, "value": form.format(values[name]), "interval": " to ".join(ends) or "–"}
            rows.append(row | {"what it is": meaning})
    rests = f" {values['warning']}" if values.get("warning") else ""
    return _table(pd.DataFrame(rows), f"Metrics with 95 % intervals; what is drawn again: {values['by']}.{rests}")


def _claims(found: Evaluated) -> Section:
    rows = [
        {"figure": one.metric, "claimed": one.claimed, "found": one.found, "holds": one.holds} for one in found.verdicts
    ]
    holds = ("holds", lambda holds: "yes" if holds else "no")
    table = _table(pd.DataFrame(rows), "", {"claimed": "{:.6g}", "found": "{:.6g}", "holds": holds})
    return Section("Claims", [f"{one.sentence}." for one in found.verdicts], [table])


def _distributions(found: Evaluated) -> list[dict]:
    labels, scores, table = found.trials.labels, found.trials.scores, found.trials.table
    threshold = found.found.get("threshold", found.found["eer_threshold"])
    displays = [plots.ScoreDisplay.from_scores(labels, scores, threshold=threshold)]
    if "attack" in table and 1 < table.loc[labels == metrics.SPOOF, "attack"].nunique() <= _MOST_KINDS:
        displays.append(plots.ScoreDisplay.from_scores(labels, scores, attacks=table["attack"], threshold=threshold))
    return [_figure(display) for display in displays]


def _kinds(found: Evaluated, **options) -> list[Section]:
    """Return a section with a table for each column that was asked for, or that sorts clips into a few kinds."""
    table, per = found.trials.table, dict(found.per)
    if not per:
        options["by"] = "clip" if found.drawn.by == "clip" else "auto"
        options["target"] = found.drawn.target or units.NEW
        per = {name: by_column(table, name, **options) for name in kinds(table, most=_MOST_KINDS)}
    tables = [_table(rows, f"By {name}.") for name, rows in per.items()]
    return [Section("By kind of clip", tables=tables)] if tables else []


def _calibrated(found: Evaluated) -> Section:
    fitted, costs = found.fitted, found.costs
    labels, llr = found.trials.labels, found.fitted.llr(found.trials.scores)
    said = (
        f"A logistic calibration on {thousands(fitted.n_bonafide)} bona fide and {thousands(fitted.n_spoof)} spoof "
        f"validation clips, carried unchanged, gives a Cllr of {costs['cllr']:.3f} bits, where "
        f"{costs['min_cllr']:.3f} is the best that any rising map could reach; its threshold of "
        f"{fitted.threshold:.4g} accepts {percent(costs['far'])} of spoofs and rejects {percent(costs['frr'])} of bona "
        f"fide clips. So many clips support log-likelihood ratios from {fitted.lowest:.2f} to {fitted.highest:.2f}; "
        "above 0 they support bona fide."
    )
    kinds = plots.TippettDisplay, plots.EntropyDisplay, plots.ReliabilityDisplay
    displays = [kind.from_llrs(labels, llr) for kind in kinds]
    warnings = shift.shift_warnings(fitted, found.trials.scores, labels=labels)
    return Section("Calibration", [said, *warnings], figures=[_figure(display) for display in displays])


# --- several corpora ---


def of_several(found: Several, *, resamples: int = 1000, seed: int = 0) -> Card:
    """Return the card of the scores of several corpora."""
    corpora = found.corpora
    trials = {name: (one.trials.labels, one.trials.scores) for name, one in corpora.items()}
    curves = [
        plots.DetDisplay.from_scores(*pair, name=name, band=_band(*pair, corpora[name].drawn, resamples, seed))
        for name, pair in trials.items()
    ]
    said = (
        f"Over {len(corpora)} corpora the mean EER is {percent(found.mean.value, 2)} (95 % interval "
        f"{percent_range(found.mean.low, found.mean.high, 2)}); with one threshold for all clips together it is "
        f"{percent(found.pooled.value, 2)} ({percent_range(found.pooled.low, found.pooled.high, 2)})."
    )
    most = max(len(labels) for labels, _ in trials.values())
    distributions = [plots.ScoreDisplay.from_scores(*pair, name=name) for name, pair in trials.items()]
    sections = [
        Section("Results", [said], [_rows({name: one.found for name, one in corpora.items()}, "corpus")]),
        Section("Carried thresholds", [_carried_sentence(found)], [_matrix(found)]),
        Section("Trade-off of the two errors", [_of_band(most, resamples)], figures=[_figure(*curves)]),
        Section("Scores", figures=[_figure(one, title=one.name) for one in distributions]),
        _read(corpora, resamples, seed),
    ]
    inverted = {name: one.seems_inverted for name, one in corpora.items()}
    notices = [f"{name}: {text}" for name, text in inverted.items() if text]
    return Card(f"Scores on {len(corpora)} corpora", [*notices, *_left_out(corpora)], sections)


def _rows(found: Mapping[str, Mapping], heading: str) -> dict:
    rows = []
    for name, values in found.items():
        row = {heading: name} | {part: values[part] for part in ("n_bonafide", "n_spoof") if part in values}
        for metric in ("eer", "auc", "min_dcf"):
            row |= {metric: values[metric]} | dict(
                zip((f"{metric}_low", f"{metric}_high"), values[f"{metric}_ci"], strict=True)
            )
        rows.append(row)
    forms = {("min_dcf_low", "min_dcf_high"): ("minDCF interval", "{:.3f} to {:.3f}"),
             ("eer_low", "eer_high"): ("EER interval", columns.hundredths(2))}  # fmt: skip
    return _table(pd.DataFrame(rows), "With 95 % intervals.", forms)


def _carried_sentence(found: Several) -> str:
    others = found.carried[found.carried["threshold_of"] != found.carried["on"]]
    if others.empty:
        return "There is one corpus, and so no threshold to carry."
    worst = others.loc[others["hter"].idxmax()]
    own = found.corpora[worst["on"]].found["eer"]
    return (
        f"A detector in use has one threshold. With that of {worst['threshold_of']}, {worst['on']} has a half total "
        f"error rate of {percent(worst['hter'], 2)} ({percent_range(worst['low'], worst['high'], 2)}), the highest of "
        f"all pairs, where its own threshold gives {percent(own, 2)}."
    )


def _matrix(found: Several) -> dict:
    names = list(found.corpora)
    cells = {(row.threshold_of, row.on): row for row in found.carried.itertuples()}
    head = [{"title": "threshold of", "number": False}, *({"title": name, "number": True} for name in names)]
    rows = []
    for of in names:
        row = [{"text": of, "shade": None}]
        for on in names:
            cell = cells[of, on]
            text = f"{percent(cell.hter)} ({percent_range(cell.low, cell.high)})"
            row.append({"text": text, "shade": round(45 * min(1.0, 2 * cell.hter))})
        rows.append(row)
    caption = (
        "Half total error rate of each corpus (columns) at the EER threshold of each (rows), with 95 % intervals for "
        "other clips of the column's corpus. On the diagonal the threshold was chosen on the corpus itself."
    )
    return {"caption": caption, "head": head, "rows": rows}


# --- several detectors ---


def of_comparison(found: Compared, facts: Sequence[Mapping], *, resamples: int = 1000, seed: int = 0) -> Card:
    """Return the card of several detectors on the same clips; ``facts`` are those of the trials of each."""
    labels = found.table["label"].to_numpy(np.int8)
    curves = [
        plots.DetDisplay.from_scores(
            labels, scores, name=name, band=_band(labels, scores, found.drawn, resamples, seed)
        )
        for name, scores in found.scores.items()
    ]
    rows = [
        {"from": one, "to": other, "change": change["eer"].delta, "change_low": change["eer"].low,
         "change_high": change["eer"].high, "auc_change": change["auc"].delta,
         "auc_change_low": change["auc"].low, "auc_change_high": change["auc"].high,
         "p_holm": found.adjusted[one, other]["eer"]}
        for (one, other), change in found.pairs.items()
    ]  # fmt: skip
    forms = {"auc_change": ("change of AUC", "{:+.4f}"),
             ("auc_change_low", "auc_change_high"): ("its interval", "{:+.4f} to {:+.4f}"),
             "change": ("change of EER, points", columns.hundredths(2, "+")),
             ("change_low", "change_high"): ("interval", columns.hundredths(2, "+"))}  # fmt: skip
    clear = [pair for pair, change in found.pairs.items() if change["eer"].low > 0 or change["eer"].high < 0]
    said = (
        f"All were measured on the same {thousands(len(labels))} clips. The interval of the change of the EER "
        f"leaves out zero for {len(clear)} of {len(found.pairs)} pairs; p-values of the EER "
        "are adjusted for all differences by Holm's method."
    )
    forest = plots.ForestDisplay.from_differences(
        {f"{one} → {other}": change["eer"] for (one, other), change in found.pairs.items()}, terms=("second", "first")
    )
    sections = [
        Section("Detectors", [], [_rows(found.systems, "detector")]),
        Section("Differences", [said], [_table(pd.DataFrame(rows), "", forms)], [_figure(forest)]),
        Section("Trade-off of the two errors", [_of_band(len(labels), resamples)], figures=[_figure(*curves)]),
        _provenance(facts, found.drawn.by, resamples, seed),
    ]
    return Card(f"{len(found.scores)} detectors on the same clips", [], sections)


# --- parts of all ---


def _read(corpora: Mapping[str, Evaluated], resamples: int, seed: int) -> Section:
    by = ", ".join(dict.fromkeys(one.drawn.by for one in corpora.values()))
    facts = [one.trials.facts | {"corpus": name} for name, one in corpora.items()]
    facts += [one.validation.facts | {"corpus": "validation"} for one in corpora.values() if one.validation]
    return _provenance(facts, by, resamples, seed)


def _provenance(facts: Iterable[Mapping], by: str, resamples: int, seed: int) -> Section:
    rows = []
    for one in facts:
        row = {"corpus": one["corpus"]} if one.get("corpus") else {}
        row |= {"list": Path(one["scores"]).name, "read as": one["read_as"], "higher means": one["higher"]}
        row["sha256 of the scores"] = files.short(files.sha256(one["scores"]))
        if "key" in one:
            row |= {"key": Path(one["key"]).name, "key read as": one["key_read_as"], "subset": one["subset"]}
            row["sha256 of the key"] = files.short(files.sha256(one["key"]))
        rows.append(row)
    said = (
        f"dfdlib {machine.version('dfdlib')}, Python {platform.python_version()}, numpy {machine.version('numpy')}; "
        f"{thousands(resamples)} bootstrap resamples with the seed {seed}, drawn again: {by}. The same lists give "
        "the same figures."
    )
    return Section("What was read", [said], [_table(pd.DataFrame(rows), "Lists, as their content was recognised.")])


def _left_out(corpora: Mapping[str, Evaluated]) -> list[str]:
    from dfdlib.data.keys import missing_names

    said = {name: missing_names(one.trials.facts) for name, one in corpora.items()}
    return [f"{name}{': ' if name else ''}Left out: {text}." for name, text in said.items() if text]


def _band(labels, scores, groups, resamples: int, seed: int) -> intervals.Band:
    drawn = _of_resamples(len(labels), resamples)
    return intervals.curve_band(labels, scores, groups=groups, resamples=drawn, seed=seed)


def _of_band(trials: int, resamples: int) -> str:
    return f"Bands are pointwise 95 % intervals from {thousands(_of_resamples(trials, resamples))} resamples."


def _of_resamples(trials: int, resamples: int) -> int:
    """Return how many of the resamples a band of so many trials takes."""
    return min(resamples, max(100, _BAND // trials))


def _figure(*displays: plots.Display, title: str = "") -> dict:
    """Return a figure of displays of one kind over each other, as the template takes it."""
    ax = None
    for display in displays:
        ax = display.plot(ax).ax_
    figure, several = displays[0].figure_, len(displays) > 1
    if title:
        ax.set_title(plots.shown(title), parse_math=False)
    return {
        "uri": page.data_uri("image/png", plots.as_png(figure)),
        "alt": " ".join(display.alt() for display in displays),
        "width": plots.shown_width(figure),
        "tables": [_table(display.table(), display.name if several else "") for display in displays],
    }


def _table(frame: pd.DataFrame, caption: str, formats: Mapping | None = None) -> dict:
    """Return a table as the template takes it."""
    shown = columns.formatted(frame, formats)
    cells = [[{"text": str(cell), "shade": None} for cell in row] for row in shown.itertuples(index=False)]
    head = [
        {"title": str(title), "number": all(page.NUMBER.fullmatch(row[place]["text"]) for row in cells)}
        for place, title in enumerate(shown.columns)
    ]
    return {"caption": caption, "head": head, "rows": cells}
