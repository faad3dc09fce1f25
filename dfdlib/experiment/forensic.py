"""A forensic validation of the fine-tuned detector: what its log-likelihood ratios (LLRs) are worth on every corpus.

After Meuwly, Ramos and Haraksim (2017) and Morrison et al. (2021): characteristics, a metric and a criterion for each,
which the profile set beforehand, and whether it is met. Figures are means over the trainings, one a seed, each by a
calibration of its own; intervals hold what other clips, other validation clips and other seeds would change.
"""

import numpy as np
import pandas as pd

from dfdlib.evaluation import calibration, carried, evidence, metrics, shift
from dfdlib.evaluation.drawing import Strata
from dfdlib.evaluation.intervals import Interval
from dfdlib.experiment.run import Run

#: What a validation looks at, by the name of its criterion: the characteristic, its metric, and how it is written.
MATRIX = {
    "cllr": ("accuracy", "Cllr, bits", "{:.2f}".format),
    "min_cllr": ("discrimination", "least Cllr, bits", "{:.2f}".format),
    "loss": ("calibration", "Cllr less least Cllr, bits", "{:.2f}".format),
    "misleading": ("misleading evidence", "larger rate of the classes", metrics.percent),
    "tenfold": ("strongly misleading evidence", "the same, by a factor of 10", metrics.percent),
    "warnings": ("conditions as calibrated", "warnings from the scores", "{:.0f}".format),
}


def corpora(run: Run) -> pd.DataFrame:
    """Return what the LLRs are worth on each corpus, and keep it.

    A row a corpus: ``corpus``; with ``_low`` and ``_high`` `carried.EVIDENCE`; ``cllr_raw`` of the scores themselves;
    ``warnings``, those of the seed that has the most.
    """
    rows = [{"corpus": name} | _of_corpus(run, name) for name in run.corpora]
    fitted = run.calibration_of("after")
    run.keep(evidence=rows, llr_bounds=[fitted.lowest, fitted.highest])
    return pd.DataFrame(rows)


def _of_corpus(run: Run, name: str) -> dict:
    (table, scores), known = run.by_seed("after", name), run.validations("after", name)
    labels, drawn = table["label"].to_numpy(int), run.drawn(table)
    found = carried.intervals(labels, scores, known, names=carried.EVIDENCE, groups=drawn, **run.resampling())
    values = {"cllr_raw": float(np.mean([metrics.cllr(labels, row) for row in scores]))}
    for metric, (value, low, high) in found.items():
        values |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    strata, warnings = Strata(labels, drawn), []
    for row, given in zip(scores, known.scores, strict=True):
        worth = sum(strata.worth(row))
        warnings.append(shift.shift_warnings(calibration.fit(known.labels, given), row, worth=worth))
    return values | {"warnings": max(warnings, key=len)}


def matrix(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """Return the validation matrix of `corpora`, a row a characteristic and a column a corpus, and keep it.

    A criterion is met ("pass") where the whole interval meets it, since it is for the method to show that it does.
    """
    rows, kept = [], []
    for name, (characteristic, metric, write) in MATRIX.items():
        most = getattr(run.profile.criteria, name)
        row = {"characteristic": characteristic, "metric": metric, "criterion": f"at most {write(most)}"}
        for one in table.to_dict("records"):
            found = _result(name, one)
            passed = bool(found.high <= most)
            end = f" (to {write(found.high)})" if name != "warnings" else ""
            row[one["corpus"]] = f"{write(found.value)}{end}: {'pass' if passed else 'fail'}"
            kept.append({"corpus": one["corpus"], "metric": name, "criterion": most} | found._asdict())
            kept[-1]["passed"] = passed
        rows.append(row)
    run.keep(validation_matrix=kept)
    return pd.DataFrame(rows)


def _result(name: str, row: dict) -> Interval:
    if name == "warnings":
        return Interval(*[float(len(row["warnings"]))] * 3)
    parts = {"misleading": ("misled_bonafide", "misled_spoof"), "tenfold": ("tenfold_bonafide", "tenfold_spoof")}
    found = [Interval(*(row[f"{part}{end}"] for end in ("", "_low", "_high"))) for part in parts.get(name, (name,))]
    return Interval(*(max(ends) for ends in zip(*found, strict=True)))


def by_attack(run: Run) -> pd.DataFrame:
    """Return Cllr and its two parts for each corpus and attack (`evidence.split_by_attack`), and keep them."""
    tables = []
    for name in run.corpora:
        (table, scores), known = run.by_seed("after", name), run.validations("after", name)
        labels, each = table["label"].to_numpy(int), []
        for row, given in zip(scores, known.scores, strict=True):
            llr = calibration.fit(known.labels, given).llr(row)
            each.append(evidence.split_by_attack(labels, llr, table["attack"]).set_index(["attack", "n_spoof"]))
        tables.append((sum(each) / len(each)).reset_index().assign(corpus=name))
    table = pd.concat(tables, ignore_index=True)
    run.keep(evidence_by_attack=table.to_dict("records"))
    return table[["corpus", *table.columns.drop("corpus")]]


def precision(run: Run) -> pd.DataFrame:
    """Return what verdicts at the carried threshold are worth at the profile's shares of spoofs, and keep it.

    ``corpus p_spoof`` and, with ``_low`` and ``_high``, ``accepted rejected`` of `evidence.precision`; missing where no
    clip was accepted or rejected. Both rates hold at once, so each has half of what the level leaves out.
    """
    rows, options = [], run.resampling()
    options["level"] = (1 + options["level"]) / 2
    for name in run.corpora:
        table, scores = run.by_seed("after", name)
        given = {"names": ("far", "frr"), "groups": run.drawn(table)} | options
        rates = carried.intervals(table["label"].to_numpy(int), scores, run.validations("after", name), **given)
        for share in run.profile.criteria.prevalences:
            row = {"corpus": name, "p_spoof": share}
            for verdict, (value, low, high) in evidence.precision(rates["far"], rates["frr"], p_spoof=share).items():
                row |= {verdict: value, f"{verdict}_low": low, f"{verdict}_high": high}
            rows.append(row)
    table = pd.DataFrame(rows)
    run.keep(precision=table.astype(object).where(table.notna(), None).to_dict("records"))
    return table
