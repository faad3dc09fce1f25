"""The study that this project rebuilds: what it printed and said, as data, and the checks that its figures go through.

Source: its report and training log, see `REFERENCE`. Nothing here says which figures are wrong. The functions find out.
"""

import numpy as np
import pandas as pd

from dfdlib.evaluation import metrics, published_figures

#: What the study is, for whoever wants to read it.
REFERENCE = {
    "author": "A. K. Jyoth",
    "title": "Deep Fake Audio Detection",
    "year": 2024,
    "link": "https://github.com/KhadgaA/Audio-Deepfake-Detection",
}

#: The evaluations as printed, before and after fine-tuning on for-2seconds. ``eer`` and ``auc`` are shares of one;
#: ``balanced`` tells whether there were as many bona fide as spoof clips, missing where the study does not say.
EVALUATIONS = pd.DataFrame(
    [
        ("custom", "before", 0.3069, 0.2387, 300, None),
        ("for-2seconds", "before", 0.3327, 0.2456, 1088, True),
        ("for-2seconds", "after", 0.1176, 0.0437, 1088, True),
        ("custom", "after", 0.4736, 0.4322, 300, None),
    ],
    columns=["corpus", "stage", "eer", "auc", "clips", "balanced"],
)

#: Mean cross entropy by epoch, from the study's training log.
LOSSES = pd.DataFrame(
    {
        "epoch": range(1, 11),
        "train_loss": [0.9281, 0.7534, 0.5022, 0.3444, 0.2549, 0.1782, 0.1361, 0.0972, 0.0719, 0.0595],
        "validation_loss": [0.5575, 0.6532, 0.6264, 0.6835, 0.5732, 0.4165, 0.2916, 0.1464, 0.1603, 0.1034],
    }
)

#: What the study's discussion says of its own figures, in our words, and where the metric must have gone from before
#: to after if that is true.
CLAIMS = pd.DataFrame(
    [
        ("for-2seconds", "eer", "fell", "fine-tuning lowered the EER on for-2seconds"),
        ("for-2seconds", "auc", "rose", "fine-tuning raised the AUC on for-2seconds"),
        ("custom", "eer", "fell", "the fine-tuned detector did better on the custom set"),
    ],
    columns=["corpus", "metric", "direction", "words"],
)


def examine_figures() -> pd.DataFrame:
    """Check every printed pair of EER and AUC for whether one set of scores can have both.

    A row an evaluation: what was printed, ``eer_low`` and ``eer_high`` (the 95 % interval that so many independent
    clips leave the EER, half of them bona fide), ``auc_low`` and ``auc_high`` (the bounds that the EER sets),
    ``possible``, and ``auc_realigned``: 1 - AUC where the printed one is impossible, its mirror image is possible and
    the classes were balanced, so that a swap of the labels' order explains it; else missing.
    """
    rows = []
    for row in EVALUATIONS.itertuples():
        sizes = {"n_bonafide": row.clips // 2, "n_spoof": row.clips - row.clips // 2}
        check = published_figures.check_figures(eer=row.eer, auc=row.auc, **(sizes if row.balanced else {}))
        explained = not check.possible and check.misaligned_possible and row.balanced
        low, high = published_figures.eer_interval(row.eer, **sizes)
        rows.append(
            {
                "corpus": row.corpus,
                "stage": row.stage,
                "clips": row.clips,
                "eer": row.eer,
                "eer_low": low,
                "eer_high": high,
                "auc": row.auc,
                "auc_low": check.auc_bounds[0],
                "auc_high": check.auc_bounds[1],
                "possible": check.possible,
                "auc_realigned": check.auc_if_misaligned if explained else np.nan,
            }
        )
    return pd.DataFrame(rows)


def sizes_unknown() -> dict[str, int]:
    """Return the corpora of which the study does not say how many clips are bona fide, and their clips."""
    unknown = EVALUATIONS[EVALUATIONS["balanced"].isna()]
    return dict(zip(unknown["corpus"], unknown["clips"], strict=True))


def class_sizes(corpus: str) -> list[tuple[int, int]]:
    """Return the numbers of bona fide and of spoof clips that can give every EER printed for a corpus, ties aside.

    An EER is the mean of two shares, one of each class, so that not every number of clips can give every EER.
    """
    rows = EVALUATIONS[EVALUATIONS["corpus"] == corpus]
    clips = int(rows["clips"].iloc[0])

    def fit(bonafide: int) -> bool:
        sizes = {"n_bonafide": bonafide, "n_spoof": clips - bonafide}
        checks = (published_figures.check_figures(eer=row.eer, auc=row.auc, **sizes) for row in rows.itertuples())
        return all(check.counts_possible for check in checks)

    return [(bonafide, clips - bonafide) for bonafide in range(1, clips) if fit(bonafide)]


def examine_claims() -> pd.DataFrame:
    """Hold every claim of the study's discussion against the figures that it printed, a row a claim.

    ``words``, ``metric``, the printed ``before`` and ``after``, what it really did (``went``), whether it ``holds``.
    """
    printed = EVALUATIONS.set_index(["corpus", "stage"])
    rows = []
    for claim in CLAIMS.itertuples():
        before, after = (printed.at[(claim.corpus, stage), claim.metric] for stage in ("before", "after"))
        went = "rose" if after > before else "fell" if after < before else "stayed"
        found = {"before": before, "after": after, "went": went, "holds": went == claim.direction}
        rows.append({"words": claim.words, "corpus": claim.corpus, "metric": claim.metric} | found)
    return pd.DataFrame(rows)


def misaligned_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the "AUC" that comes out when labels are listed fakes first and scores reals first.

    With as many bona fide as spoof clips it is exactly 1 - AUC: every score carries the other class's label. Labels and
    scores are (n,).
    """
    labels, scores = metrics.validate(labels, scores)
    reals_first = np.concatenate([scores[labels == 1], scores[labels == 0]])
    fakes_first = np.sort(labels)
    return metrics.auc(fakes_first, reals_first)
