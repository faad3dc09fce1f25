"""What the report says of other detectors: `experiment.rivals`."""

import pandas as pd

from dfdlib.experiment import rivals
from dfdlib.experiment.run import Run
from dfdlib.report.plots import DetDisplay
from dfdlib.report.sentences import listed

#: Columns of `of_run`: each detector alone, and each rival against the run's own.
ALONE = ["corpus", "detector", "clips", "parameters", "eer", "eer_low", "eer_high", "macro_eer", "auc", "cllr",
         "cllr_low", "cllr_high", "precision", "seconds"]  # fmt: skip
AGAINST = ["corpus", "detector", "difference", "difference_low", "difference_high", "difference_p", "both_wrong",
           "fused_eer", "gain", "gain_low", "gain_high", "gain_p"]  # fmt: skip


def of_run(run: Run) -> pd.DataFrame:
    """Return `rivals.compare`, an empty table where the profile names no rivals."""
    return rivals.compare(run) if run.profile.rivals else pd.DataFrame(columns=list(dict.fromkeys([*ALONE, *AGAINST])))


def curves(run: Run, name: str) -> list[DetDisplay]:
    """Return the curve of each rival on a corpus, to be drawn over the detector's own."""
    return [DetDisplay.from_scores(*found, name=rival) for rival, found in rivals.scores(run, name).items()]


def against(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of rivals, against the run's own detector."""
    return table.loc[table["difference"].notna(), AGAINST]


def said(table: pd.DataFrame) -> list[str]:
    """Say of every rival where it errs more or less than the detector, and what fusing both brings."""
    found = []
    for name, rows in table[table["difference"].notna()].groupby("detector", sort=False):
        shown = rows["difference_shown"].astype(bool)
        where = {
            "errs more than the detector on": shown & (rows["difference"] > 0),
            "errs less than the detector on": shown & (rows["difference"] < 0),
            "is not shown to differ from the detector on": ~shown,
        }
        parts = [f"{words} {listed(rows.loc[rank, 'corpus'])}" for words, rank in where.items() if rank.any()]
        gained = rows[rows["gain_shown"].astype(bool)]
        fused = [f"{'lowers' if row.gain < 0 else 'raises'} the EER on {row.corpus}" for row in gained.itertuples()]
        gain = f"fusing both {listed(fused)}" if fused else "no fusion of both is shown to change the EER"
        warning = " By validation clips its scores run the other way; nothing was turned round."
        sentence = f"Before fine-tuning, {name} {'; '.join(parts)}; {gain}."
        found.append(sentence + warning * bool(rows["seems_inverted"].iloc[0]))
    return found or ["The profile names no rivals."]
