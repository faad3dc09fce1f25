"""Detection error trade-off (DET) and receiver operating characteristic (ROC)."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.special import ndtri

from dfdlib.evaluation import metrics
from dfdlib.evaluation.intervals import Band
from dfdlib.evaluation.metrics import ErrorRates, percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import Display, entry, of

#: Rates that axes of normal deviates may be labelled with.
_DET_TICKS = np.array(
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
)
#: False acceptance rates that a sentence and a table are about.
_SAID = np.array([0.01, 0.1])
_TABLED = np.array([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])


@dataclass(eq=False)
class RateCurveDisplay(Display):
    """FAR and FRR at every threshold, the base of `DetDisplay` and `RocDisplay`."""

    far: np.ndarray  #: (k + 1,) for k distinct scores, falling
    frr: np.ndarray  #: (k + 1,), rising
    thresholds: np.ndarray  #: (k + 1,)
    auc: float
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None  #: of the series in the legend
    carried: ErrorRates | None = None  #: at a threshold that was chosen elsewhere
    band: Band | None = None  #: from `dfdlib.evaluation.intervals.curve_band`

    KIND: ClassVar[str]
    TITLE: ClassVar[str]
    RATES: ClassVar[tuple[str, str]]  # what is on the two axes
    size: ClassVar = {"width": 4.1, "height": 4.7}

    @classmethod
    def from_scores(
        cls,
        labels: ArrayLike,
        scores: ArrayLike,
        *,
        name: str | None = None,
        threshold: float | None = None,
        band: Band | None = None,
    ) -> Self:
        """Compute the curve of labels (n,) and scores (n,).

        The operating point of a threshold that was chosen on other trials is marked; ``band`` is `intervals.curve_band`
        of the same trials.
        """
        counts = metrics.tally(labels, scores)
        sizes = int(counts.bonafide[-1]), int(counts.spoof[-1])
        carried = None if threshold is None else metrics.error_rates(labels, scores, threshold=threshold)
        curve = counts.far, counts.frr, counts.thresholds, counts.auc, counts.eer.value
        return cls(*curve, *sizes, name=name, carried=carried, band=band)

    def alt(self) -> str:
        x, y = self.RATES
        found = self._ordinate(self.frr[self._at(_SAID)])
        at = [f"{percent(value)} at a {x} rate of {percent(rate, 0)}" for rate, value in zip(_SAID, found, strict=True)]
        if self.band is not None:
            ends = (self._ordinate(float(np.interp(_SAID[-1], self.band.far, rates))) for rates in self.band[1:])
            at[-1] += " (interval there {} to {})".format(*map(percent, sorted(ends)))
        if self.carried is not None:
            far, frr = map(percent, self.carried)
            at.append(
                f"and at the carried threshold a false acceptance rate of {far} and a false rejection rate of {frr}"
            )
        return (
            f"{self.TITLE}{of(self.name)} on {self.n_bonafide:,} bona fide and {self.n_spoof:,} spoof trials: "
            f"{self._area()}equal error rate {percent(self.eer, 2)}, {y} rate {', '.join(at)}."
        )

    def table(self) -> pd.DataFrame:
        """Return the rates and thresholds at round false acceptance (false positive) rates, one row each."""
        x, y = self.RATES
        at = self._at(_TABLED)
        columns = {f"{x} at most (%)": 100 * _TABLED, f"{x} (%)": 100 * self.far[at]}
        return pd.DataFrame(
            columns | {f"{y} (%)": 100 * self._ordinate(self.frr[at]), "threshold": self.thresholds[at]}
        )

    def _draw(self, ax: Axes, options: dict) -> None:
        style = look.next_look(ax, self.KIND)
        label = entry(self.name, self._figures())
        if self.carried is not None:
            label += f"\nhollow: FAR {percent(self.carried.far)}, FRR {percent(self.carried.frr)}"
        x, y = self._place(self.far, self.frr)
        keep = _corners(x, y)
        # the marker is for the legend
        line = {**style, "label": label, "gid": self.KIND, "markevery": [], **options}
        (drawn,) = ax.plot(x[keep], y[keep], **line)
        if self.band is not None:
            edges = [self._place(self.band.far, rates) for rates in self.band[1:]]
            look.band(ax, drawn, edges[0][0], edges[0][1], edges[1][1])
        _mark(ax, drawn, style["marker"], self._place(self.eer, self.eer))
        if self.carried is not None:
            _mark(ax, drawn, style["marker"], self._place(*self.carried), hollow=True)
        self._frame(ax, first=len(look.series(ax, self.KIND)) == 1)
        notes = ["full: EER; hollow: carried threshold"] if look.series(ax, "carried") else []
        if _point_out(ax):
            notes.append("arrow: beyond the frame" if notes else "arrow: EER beyond the frame")
        look.legend_below(ax, title="\n".join(notes) or None)

    # A kind of curve has `_ordinate`, the rate on the vertical axis of an FRR; `_place`, where an FAR and an FRR are
    # drawn; and `_frame`, which sets the ends of both axes, so that they hold all curves, and their titles.

    def _area(self) -> str:
        return ""

    def _figures(self) -> str:
        return f"EER {percent(self.eer, 2)}"

    def _at(self, rates: np.ndarray) -> np.ndarray:
        """Return the place of the largest FAR that is at most as large as each of some rates."""
        return np.argmax(self.far[:, None] <= rates, axis=0)


class DetDisplay(RateCurveDisplay):
    """Detection error trade-off: FRR against FAR on normal-deviate axes, where normal scores give a straight line."""

    KIND = "det"
    TITLE = "Detection error trade-off curve"
    RATES = ("false acceptance", "false rejection")

    def _ordinate(self, frr: ArrayLike) -> ArrayLike:
        return frr

    def _place(self, far: ArrayLike, frr: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        # Rates of exactly 0 and 1 lie at infinity: pull them just past any frame, so that lines run into it.
        return tuple(ndtri(np.clip(rates, 1e-5, 1 - 1e-5)) for rates in (far, frr))

    def _frame(self, ax: Axes, *, first: bool) -> None:
        low, high = self._range()
        if first:
            look.diagonal(ax, self._place(0, 1))
        else:
            low, high = min(low, ax.get_xlim()[0]), max(high, ax.get_xlim()[1])
        inches = ax.get_position().width * ax.figure.get_figwidth()
        ticks = _spaced(_DET_TICKS, low, high, share=0.25 / inches)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks(ndtri(ticks), labels=[f"{100 * tick:g}" for tick in ticks])
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", anchor="S")
        ax.set(xlabel="FAR: spoof taken for bona fide (%)", ylabel="FRR: bona fide taken for spoof (%)")

    def _range(self) -> tuple[float, float]:
        """Return the ends of both axes: from one error in the larger class to well above the EER."""
        low = min(1 / max(self.n_bonafide, self.n_spoof), self.eer / 2, 0.05)
        high = max(0.6, self.eer + 0.35)
        for rate in self.carried or ():
            if 0 < rate < 1:  # a little beyond the point, so that its marker is whole
                low, high = min(low, rate / 1.5), max(high, 1 - (1 - rate) / 1.5)
        first = max(0, np.searchsorted(_DET_TICKS, low, side="right") - 1)
        last = min(_DET_TICKS.size - 1, np.searchsorted(_DET_TICKS, high))
        return float(ndtri(_DET_TICKS[first])), float(ndtri(_DET_TICKS[last]))


class RocDisplay(RateCurveDisplay):
    """Receiver operating characteristic: share of bona fide accepted against share of spoof accepted."""

    KIND = "roc"
    TITLE = "Receiver operating characteristic"
    RATES = ("false positive", "true positive")

    def _area(self) -> str:
        return f"area under the curve {self.auc:.4f}, "

    def _figures(self) -> str:
        return f"AUC {self.auc:.3f}, {super()._figures()}"

    def _ordinate(self, frr: ArrayLike) -> ArrayLike:
        return 1 - frr

    def _place(self, far: ArrayLike, frr: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        return 100 * np.asarray(far), 100 * (1 - np.asarray(frr))

    def _frame(self, ax: Axes, *, first: bool) -> None:
        if first:
            look.diagonal(ax, (0, 100))
        ax.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal", anchor="S")
        ax.set(xlabel="FAR: spoof taken for bona fide (%)", ylabel="1 − FRR: bona fide accepted (%)")


def _mark(ax: Axes, line: Line2D, marker: str, place: tuple, *, hollow: bool = False) -> None:
    """Mark a point of a curve where it is: full, or hollow and larger."""
    colour = line.get_color()
    style = {"gid": "eer", "markeredgecolor": "white", "markersize": 7, "zorder": 4}
    if hollow:
        face = {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.8}
        style = {"gid": "carried", "markersize": 9, "zorder": 5, **face}
    ax.plot(*place, marker, color=colour, clip_on=False, **style)


def _point_out(ax: Axes) -> int:
    """Put an arrow at the edge in place of each mark that lies beyond the frame; return how many there are."""
    for arrow in [text for text in ax.texts if text.get_gid() == "beyond"]:
        arrow.remove()  # the frame may have grown since
    arrows = 0
    for mark in [*look.series(ax, "eer"), *look.series(ax, "carried")]:
        place = mark.get_xydata()[0]
        edge = np.clip(place, *ax.get_xlim())  # both axes have the same ends
        beyond = place - edge
        mark.set_visible(not beyond.any())
        if beyond.any():
            fill = "white" if mark.get_gid() == "carried" else mark.get_color()
            shape = {"arrowstyle": "-|>", "mutation_scale": 15, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            paint = {"facecolor": fill, "edgecolor": mark.get_color(), "zorder": mark.get_zorder()}
            start = {"xytext": -20 * np.sign(beyond), "textcoords": "offset points"}
            ax.annotate("", edge, **start, arrowprops=shape | paint, annotation_clip=False, gid="beyond")
            arrows += 1
    return arrows


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points (k,) of a staircase are needed to draw it: the ends and those where it turns."""
    if x.size < 3:
        return np.ones(x.size, dtype=bool)
    flat_x, flat_y = np.diff(x) == 0, np.diff(y) == 0
    straight = (flat_x[1:] & flat_x[:-1]) | (flat_y[1:] & flat_y[:-1])
    return np.concatenate(([True], ~straight, [True]))


def _spaced(shares: np.ndarray, low: float, high: float, *, share: float) -> list[float]:
    """Return those of rising shares that lie within an axis of deviates, at least a share of its length apart."""
    kept, last = [], -math.inf
    for rate in shares:
        place = ndtri(rate)
        if low - 1e-9 <= place <= high + 1e-9 and place - last >= share * (high - low):
            kept.append(float(rate))
            last = place
    return kept
