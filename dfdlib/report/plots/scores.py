"""Scores: how they are distributed, and whether probabilities made from them come true."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib import text
from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, metrics
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import BONAFIDE_COLOUR, SPOOF_COLOUR, Display, entry, minus, of, shown


@dataclass(eq=False)
class ScoreDisplay(Display):
    """How the scores of each class lie: a histogram, or one box for bona fide and one for each attack."""

    labels: np.ndarray  #: (n,)
    scores: np.ndarray  #: (n,)
    attacks: np.ndarray | None = None  #: of str, (n,); with attacks, boxes are drawn
    threshold: float | None = None  #: drawn as a line: what lies at or above it is accepted
    name: str | None = None

    @classmethod
    def from_scores(
        cls,
        labels: ArrayLike,
        scores: ArrayLike,
        *,
        attacks: ArrayLike | None = None,
        threshold: float | None = None,
        name: str | None = None,
    ) -> Self:
        """Keep labels (n,), scores (n,) and, if given, the attack of each trial (n,)."""
        labels, scores = metrics.validate(labels, scores)
        if attacks is not None:
            attacks = np.asarray(attacks, dtype=object)
            if attacks.shape != scores.shape:
                raise DataError(f"{attacks.size} attacks but {scores.size} trials; give one attack for each trial")
            attacks = np.where(pd.isna(attacks), "unknown", attacks)
            # a name from a file system need not be Unicode, which the columns of a table are
            attacks = np.array([text.unicode(attack) for attack in attacks])
        return cls(labels, scores, attacks, threshold, name)

    def alt(self) -> str:
        parts = [
            f"{shown(row['group'])} median {row['median']:.2f} ({row['25 %']:.2f} to {row['75 %']:.2f}, "
            f"{row['n']:,} trials)"
            for row in self.table().to_dict("records")
        ]
        line = ""
        if self.threshold is not None:
            far, frr = metrics.error_rates(self.labels, self.scores, threshold=self.threshold)
            line = (
                f", with the threshold at {self.threshold:.2f}, which accepts {percent(1 - frr)} of bona fide and "
                f"{percent(far)} of spoof trials"
            )
        return f"Distribution of scores{of(self.name)}, median and quartiles: {'; '.join(parts)}{line}."

    def table(self) -> pd.DataFrame:
        """Return count, mean, standard deviation and quantiles, one row for bona fide and for each attack."""
        scores = self._frame().groupby("group", sort=False)["score"]
        table = pd.DataFrame({"n": scores.size(), "mean": scores.mean(), "standard deviation": scores.std()})
        for name, part in {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}.items():
            table[name] = scores.quantile(part)
        return table.reset_index()

    @property
    def size(self) -> dict[str, float]:
        """Width and height of a figure of its own in inches."""
        if self.attacks is None:
            return {"height": 4.0}
        names = [len(shown(name)) for name in self._frame()["group"].unique()]
        return {"width": 4.1 + 0.08 * max(0, max(names) - 18), "height": 1.4 + 0.42 * len(names)}

    def _draw(self, ax: Axes, options: dict) -> None:
        (self._draw_histograms if self.attacks is None else self._draw_boxes)(ax, self._frame(), options)
        if self.threshold is not None:
            label = f"threshold {minus(f'{self.threshold:.3g}')}"
            ax.axvline(self.threshold, color="black", linestyle=":", linewidth=1.4, label=label)
        ax.set_xlabel("Score (← spoof, bona fide →)")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")

    def _draw_histograms(self, ax: Axes, frame: pd.DataFrame, options: dict) -> None:
        import seaborn as sns

        edges = np.histogram_bin_edges(self.scores, bins=min(60, max(10, math.isqrt(self.scores.size))))
        style = {"bins": edges, "stat": "density", "element": "step", "alpha": 0.25, "linewidth": 1.6}
        for group, colour, line, hatch in (
            ("bona fide", BONAFIDE_COLOUR, "-", None),
            ("spoof", SPOOF_COLOUR, "--", "////"),
        ):
            values = frame.loc[frame["group"] == group, "score"]
            own = {"color": colour, "linestyle": line, "hatch": hatch, "label": f"{group} ({len(values):,})"}
            sns.histplot(x=values, ax=ax, **(style | own | options))
        ax.set_ylabel("Density, each class by itself")

    def _draw_boxes(self, ax: Axes, frame: pd.DataFrame, options: dict) -> None:
        import seaborn as sns

        names = list(dict.fromkeys(frame["group"]))
        palette = dict.fromkeys(names, SPOOF_COLOUR) | {"bona fide": BONAFIDE_COLOUR}
        rows = {"x": "score", "y": "group", "hue": "group", "order": names, "hue_order": names, "palette": palette}
        style = {"legend": False, "orient": "h", "width": 0.6, "fliersize": 2.5, "linewidth": 1.0, "saturation": 1.0}
        sns.boxplot(data=frame, ax=ax, **(rows | style | options))
        for place, patch in enumerate(ax.patches):
            patch.set(alpha=0.65, hatch="////" if place else None)  # the first is bona fide
        ax.set_yticks(range(len(names)), labels=[shown(name) for name in names])
        ax.set_ylabel("")

    def _frame(self) -> pd.DataFrame:
        """Return the columns group and score, bona fide first, then attacks by name."""
        real = self.labels == metrics.BONAFIDE
        spoofs = "spoof" if self.attacks is None else np.where(self.attacks == "bona fide", "“bona fide”", self.attacks)
        frame = pd.DataFrame({"group": np.where(real, "bona fide", spoofs), "score": self.scores, "real": real})
        return frame.sort_values(["real", "group"], ascending=[False, True], kind="stable")[["group", "score"]]


@dataclass(eq=False)
class ReliabilityDisplay(Display):
    """How often clips were bona fide that were said to be so with some probability; on the diagonal all is as said."""

    found: calibration.Reliability
    cllr: float
    name: str | None = None

    size: ClassVar = {"width": 4.1, "height": 4.7}

    @classmethod
    def from_llrs(cls, labels: ArrayLike, llr: ArrayLike, *, name: str | None = None) -> Self:
        """Compute the diagram of labels (n,) and natural-log likelihood ratios (n,), in bins of as many trials each."""
        return cls(calibration.reliability(labels, llr), metrics.cllr(labels, llr), name)

    def alt(self) -> str:
        found = self.found
        inside = int(((found.low <= found.predicted) & (found.predicted <= found.high)).sum())
        worst = int(np.argmax(np.abs(found.observed - found.predicted)))
        return (
            f"Reliability{of(self.name)} on {found.counts.sum():,} trials at 50 % spoofs: Cllr "
            f"{self.cllr:.3f}; in {inside} of {found.counts.size} bins the stated probability of bona fide lies within "
            f"the interval of the observed share; farthest off, {percent(found.predicted[worst])} stated and "
            f"{percent(found.observed[worst])} observed."
        )

    def table(self) -> pd.DataFrame:
        """Return stated probability, observed share and its interval in percent, and the trials, one row a bin."""
        titles = ("stated (%)", "bona fide (%)", "low (%)", "high (%)")
        columns = {title: 100 * part for title, part in zip(titles, self.found[:4], strict=True)}
        return pd.DataFrame(columns | {"trials": self.found.counts})

    def _draw(self, ax: Axes, options: dict) -> None:
        style = look.next_look(ax, "reliability") | {"linewidth": 1.2, "capsize": 2.5, "elinewidth": 1.0}
        style |= {"label": entry(self.name, f"Cllr {self.cllr:.3f}"), "markersize": 6}
        predicted, observed, low, high = (100 * part for part in self.found[:4])
        reach = np.maximum([observed - low, high - observed], 0)
        drawn = ax.errorbar(predicted, observed, yerr=reach, **(style | options))
        drawn.lines[0].set_gid("reliability")
        if len(look.series(ax, "reliability")) == 1:
            look.diagonal(ax, (0, 100))
        ax.set(xlim=(-2, 102), ylim=(-2, 102), aspect="equal", anchor="S")
        ax.set_xlabel("Probability of bona fide as stated (%), 50 % spoofs")
        ax.set_ylabel("Share that was bona fide (%), with 95 % interval")
        look.legend_below(ax)
