"""What scores mean, and whether they mean it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from dfdlib.errors import ParameterError
from dfdlib.evaluation import calibration, metrics
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import BONAFIDE_COLOUR, COLOURS, LINES, SPOOF_COLOUR, Display, entry, minus, of


@dataclass(eq=False)
class ReliabilityDisplay(Display):
    """How often clips were bona fide that were said to be so with some probability; on the diagonal all is as said.

    Attributes
    ----------
    found : Reliability
        From `dfdlib.evaluation.calibration.reliability`.
    cllr : float
    p_spoof : float
        The prior at which probabilities and shares are given.
    name : str or None
    """

    found: calibration.Reliability
    cllr: float
    p_spoof: float = 0.5
    name: str | None = None

    @classmethod
    def from_llrs(
        cls, labels: ArrayLike, llr: ArrayLike, *, bins: int = 10, p_spoof: float = 0.5, name: str | None = None
    ) -> "ReliabilityDisplay":
        """Compute the diagram of labels (n,) and natural-log likelihood ratios (n,), in bins of as many trials each.

        Raises
        ------
        DataError
            A class is missing, or a ratio is not a number.
        ParameterError
            No bins, or a prior outside (0, 1).
        """
        found = calibration.reliability(labels, llr, bins=bins, p_spoof=p_spoof)
        return cls(found, metrics.cllr(labels, llr), p_spoof, name)

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        found = self.found
        inside = int(((found.low <= found.predicted) & (found.predicted <= found.high)).sum())
        worst = int(np.argmax(np.abs(found.observed - found.predicted)))
        return (
            f"Reliability{of(self.name)} on {found.counts.sum():,} trials at {100 * self.p_spoof:g} % spoofs: Cllr "
            f"{self.cllr:.3f}; in {inside} of {found.counts.size} bins the stated probability of bona fide lies within "
            f"the interval of the observed share; farthest off, {percent(found.predicted[worst])} stated and "
            f"{percent(found.observed[worst])} observed."
        )

    def table(self) -> pd.DataFrame:
        """Return stated probability, observed share and its interval in percent, and the trials, one row a bin."""
        titles = ("stated (%)", "bona fide (%)", "low (%)", "high (%)")
        columns = {title: 100 * part for title, part in zip(titles, self.found[:4], strict=True)}
        return pd.DataFrame(columns | {"trials": self.found.counts})

    def _size(self) -> dict[str, float]:
        return {"width": 5.4, "height": 5.9}

    def _draw(self, ax: Axes, options: dict) -> None:
        first = not any(line.get_gid() == "reliability" for line in ax.lines)
        line = look.next_look(ax, "reliability") | {"linewidth": 1.2, "capsize": 2.5, "elinewidth": 1.0}
        line |= {"label": entry(self.name, f"Cllr {self.cllr:.3f}"), "markeredgecolor": "white", "markersize": 6}
        predicted, observed, low, high = (100 * part for part in self.found[:4])
        reach = np.maximum([observed - low, high - observed], 0)
        drawn = ax.errorbar(predicted, observed, yerr=reach, **(line | options))
        drawn.lines[0].set_gid("reliability")
        if first:
            look.diagonal(ax, (0, 100))
        ax.set(xlim=(-2, 102), ylim=(-2, 102), aspect="equal")
        ax.set_xlabel(f"Probability of bona fide as stated (%), {100 * self.p_spoof:g} % spoofs")
        ax.set_ylabel("Share that was bona fide (%), with 95 % interval")
        look.legend_below(ax)


@dataclass(eq=False)
class CalibrationDisplay(Display):
    """What each score means: the probability of bona fide at stated priors, and the log-likelihood ratio.

    Attributes
    ----------
    calibration : Calibration
    priors : tuple of float
        Shares of spoofs.
    name : str or None
    """

    calibration: calibration.Calibration
    priors: tuple[float, ...] = (0.05, 0.5)
    name: str | None = None

    @classmethod
    def from_calibration(
        cls, fitted: calibration.Calibration, *, priors: Sequence[float] = (0.05, 0.5), name: str | None = None
    ) -> "CalibrationDisplay":
        """Keep a calibration and the priors to show it at.

        Raises
        ------
        ParameterError
            No prior, or one outside (0, 1).
        """
        if not priors:
            raise ParameterError("priors is empty: give at least one share of spoofs, such as 0.5")
        for prior in priors:
            calibration.probability(0.0, p_spoof=prior)
        return cls(fitted, tuple(priors), name)

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        fitted = self.calibration
        llr = float(fitted.llr(fitted.threshold))
        chances = ", ".join(
            f"{percent(float(calibration.probability(llr, p_spoof=prior)))} at {100 * prior:g} % spoofs"
            for prior in self.priors
        )
        return (
            f"Probability of bona fide by score{of(self.name)}, logistic calibration on {fitted.n_bonafide:,} "
            f"bona fide and {fitted.n_spoof:,} spoof clips with scores from {fitted.low:.2f} to {fitted.high:.2f}: at "
            f"the carried threshold of {fitted.threshold:.2f} the log-likelihood ratio is {llr:+.2f}, the probability "
            f"{chances}."
        )

    def table(self) -> pd.DataFrame:
        """Return log-likelihood ratio and probabilities at round scores and at the threshold, one row each."""
        fitted = self.calibration
        scores = MaxNLocator(8).tick_values(fitted.low, fitted.high)
        scores = np.unique(np.append(scores, fitted.threshold))
        llr = fitted.llr(scores)
        columns = {"score": scores, "log-likelihood ratio": llr}
        for prior in self.priors:
            columns[f"bona fide (%), {100 * prior:g} % spoofs"] = 100 * calibration.probability(llr, p_spoof=prior)
        columns["outcome"] = np.where(scores >= fitted.threshold, "accepted", "rejected")
        return pd.DataFrame(columns)

    def _size(self) -> dict[str, float]:
        return {"width": 6.4, "height": 5.2}

    def _draw(self, ax: Axes, options: dict) -> None:
        fitted = self.calibration
        margin = 0.04 * (fitted.high - fitted.low) or 1.0
        scores = np.linspace(fitted.low - margin, fitted.high + margin, 400)
        scores = np.unique([*scores, *fitted.bonafide, *fitted.spoof])
        for place, prior in enumerate(self.priors):
            line = {"color": COLOURS[2 + place % 5], "linestyle": LINES[place % len(LINES)]}
            line |= {"label": f"if {100 * prior:g} % of clips are spoofed"}
            chances = calibration.probability(fitted.llr(scores), p_spoof=prior)
            ax.plot(scores, 100 * chances, **(line | options))
        label = f"carried threshold {minus(f'{fitted.threshold:.3g}')}"
        ax.axvline(fitted.threshold, color="black", linestyle=":", linewidth=1.4, label=label)
        self._draw_strokes(ax)
        ax.set(xlim=(scores[0], scores[-1]), ylim=(-8, 108), yticks=range(0, 101, 20))
        ax.set_xlabel("Score (← more like spoof, more like bona fide →)\nstrokes: validation clips of each class")
        ax.set_ylabel("Probability that the clip is bona fide (%)")
        if fitted.slope:
            slope, intercept = fitted.slope, fitted.intercept
            scale = (lambda x: slope * x + intercept, lambda y: (y - intercept) / slope)
            ax.secondary_xaxis("top", functions=scale).set_xlabel("Log-likelihood ratio (natural logarithm)")
        look.legend_below(ax, lines=2)

    def _draw_strokes(self, ax: Axes) -> None:
        """Draw a stroke for each validation trial, or each half percent of them, bona fide above and spoofs below."""
        text = {"ha": "right", "va": "center", "fontsize": 8, "color": "black", "transform": ax.get_yaxis_transform()}
        text |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}}
        for values, colour, base, name in (
            (self.calibration.bonafide, BONAFIDE_COLOUR, 104, "bona fide"),
            (self.calibration.spoof, SPOOF_COLOUR, -4, "spoof"),
        ):
            ax.vlines(values, base - 2.5, base + 2.5, color=colour, linewidth=0.7, alpha=0.7)
            ax.text(0.995, base, name, **text)
