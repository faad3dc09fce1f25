"""Detection error trade-off (DET) and receiver operating characteristic (ROC)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from scipy.special import ndtri

from dfdlib.evaluation import metrics
from dfdlib.evaluation.intervals import Band
from dfdlib.evaluation.metrics import ErrorRates, percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import Display, entry, of

_DET_TICKS = np.array(
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
)
_TABLE_RATES = np.array([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])


@dataclass(eq=False)
class _RateCurve(Display):
    """FAR and FRR at every threshold.

    Attributes
    ----------
    far, frr, thresholds : ndarray, shape (k + 1,)
        As `dfdlib.evaluation.metrics.det_curve`: ``far`` falls, ``frr`` rises.
    auc, eer : float
    n_bonafide, n_spoof : int
    name : str or None
        Names the series in the legend.
    carried : ErrorRates or None
        FAR and FRR at a threshold that was chosen elsewhere.
    band : Band or None
        From `dfdlib.evaluation.intervals.curve_band`.
    """

    far: np.ndarray
    frr: np.ndarray
    thresholds: np.ndarray
    auc: float
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None
    carried: ErrorRates | None = None
    band: Band | None = None

    KIND: ClassVar[str]
    ORDER: ClassVar[int] = 1  # -1 draws from reject-all to accept-all

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
        """Compute the curve.

        Parameters
        ----------
        labels, scores : array_like, shape (n,)
        name : str, optional
        threshold : float, optional
            A threshold that was chosen on other trials: its operating point is marked.
        band : Band, optional
            From `dfdlib.evaluation.intervals.curve_band` of the same trials.

        Raises
        ------
        DataError
            A class is missing, or a score is not finite.
        """
        counts = metrics.tally(labels, scores)
        return cls(
            counts.far,
            counts.frr,
            counts.thresholds,
            auc=counts.auc,
            eer=counts.eer.value,
            n_bonafide=int(counts.bonafide[-1]),
            n_spoof=int(counts.spoof[-1]),
            name=name,
            carried=None if threshold is None else metrics.error_rates(labels, scores, threshold=threshold),
            band=band,
        )

    def _draw(self, ax: Axes, options: dict) -> None:
        style = look.next_look(ax, self.KIND)
        label = entry(self.name, self._figures())
        if self.carried is not None:
            label += f"\nhollow: FAR {percent(self.carried.far)}, FRR {percent(self.carried.frr)}"
        x, y = self._place(self.far, self.frr)
        keep = _corners(x, y)
        # the marker is for the legend
        line = style | {"label": label, "gid": self.KIND, "markevery": [], "markeredgecolor": "white"}
        (drawn,) = ax.plot(x[keep][:: self.ORDER], y[keep][:: self.ORDER], **(line | options))
        if self.band is not None:
            edges = (self._place(self.band.far, rates) for rates in self.band[1:])
            look.band(ax, drawn, self._place(*self.band[:2])[0], *(edge for _, edge in edges))
        _mark(ax, drawn, style["marker"], self._place(self.eer, self.eer))
        if self.carried is not None:
            _mark(ax, drawn, style["marker"], self._place(*self.carried), hollow=True)
        self._frame(ax, first=sum(line.get_gid() == self.KIND for line in ax.lines) == 1)
        arrows = _point_out(ax)
        title = None
        if any(line.get_gid() == "carried" for line in ax.lines):
            title = "full marker: EER; hollow marker: at the carried threshold"
        if arrows:
            title = f"{title}\narrow: beyond the frame" if title else "arrow: EER beyond the frame"
        look.legend_below(ax, title=title)

    def _place(self, far: ArrayLike, frr: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return where rates are drawn."""
        raise NotImplementedError

    def _frame(self, ax: Axes, *, first: bool) -> None:
        """Set the ends of both axes, which hold all curves, and their titles."""
        raise NotImplementedError

    def _figures(self) -> str:
        raise NotImplementedError

    def _at(self, rates: ArrayLike) -> np.ndarray:
        """Return the place of the largest FAR that is at most as large as each of some rates."""
        return np.argmax(self.far[:, None] <= np.asarray(rates), axis=0)

    def _said_carried(self) -> str:
        if self.carried is None:
            return ""
        far, frr = (percent(rate) for rate in self.carried)
        return f", and at the carried threshold a false acceptance rate of {far} and a false rejection rate of {frr}"


class DetDisplay(_RateCurve):
    """Detection error trade-off: FRR against FAR on normal-deviate axes, where normal scores give a straight line."""

    KIND = "det"

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        rates = (0.01, 0.1)
        at = ", ".join(
            f"{percent(frr)} at a false acceptance rate of {percent(rate, 0)}"
            for rate, frr in zip(rates, self.frr[self._at(rates)], strict=True)
        )
        if self.band is not None:
            low, high = (float(np.interp(0.1, self.band.far, ends)) for ends in self.band[1:])
            at += f" (interval there {percent(low)} to {percent(high)})"
        return (
            f"Detection error trade-off curve{of(self.name)} on {self.n_bonafide:,} bona fide and {self.n_spoof:,} "
            f"spoof trials: equal error rate {percent(self.eer, 2)}, false rejection rate {at}{self._said_carried()}."
        )

    def table(self) -> pd.DataFrame:
        """Return the false rejection rate at round false acceptance rates, and the thresholds, one row each."""
        places = self._at(_TABLE_RATES)
        return pd.DataFrame(
            {
                "false acceptance at most (%)": 100 * _TABLE_RATES,
                "false acceptance (%)": 100 * self.far[places],
                "false rejection (%)": 100 * self.frr[places],
                "threshold": self.thresholds[places],
            }
        )

    def _size(self) -> dict[str, float]:
        return {"width": 5.6, "height": 5.9}

    def _figures(self) -> str:
        return f"EER {percent(self.eer, 2)}"

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
        for axis, title in (
            (ax.xaxis, "FAR: spoof taken for bona fide (%)"),
            (ax.yaxis, "FRR: bona fide taken for spoof (%)"),
        ):
            axis.set_ticks(ndtri(ticks), labels=[f"{100 * tick:g}" for tick in ticks])
            axis.set_label_text(title)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")

    def _range(self) -> tuple[float, float]:
        """Return the ends of both axes: from one error in the larger class to well above the EER."""
        low = min(1 / max(self.n_bonafide, self.n_spoof), self.eer / 2, 0.05)
        high = max(0.6, self.eer + 0.35)
        for rate in self.carried or ():
            if 0 < rate < 1:  # a little beyond the point, so that its marker is whole
                low, high = min(low, rate / 1.5), max(high, 1 - (1 - rate) / 1.5)
        ends = (
            _DET_TICKS[max(0, np.searchsorted(_DET_TICKS, low, side="right") - 1)],
            _DET_TICKS[min(_DET_TICKS.size - 1, np.searchsorted(_DET_TICKS, high))],
        )
        return float(ndtri(ends[0])), float(ndtri(ends[1]))


class RocDisplay(_RateCurve):
    """Receiver operating characteristic: share of bona fide accepted against share of spoof accepted."""

    KIND = "roc"
    ORDER = -1

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        rates = (0.01, 0.1)
        at = ", ".join(
            f"{percent(1 - frr)} at a false positive rate of {percent(rate, 0)}"
            for rate, frr in zip(rates, self.frr[self._at(rates)], strict=True)
        )
        return (
            f"Receiver operating characteristic{of(self.name)} on {self.n_bonafide:,} bona fide and "
            f"{self.n_spoof:,} spoof trials: area under the curve {self.auc:.4f}, equal error rate "
            f"{percent(self.eer, 2)}, true positive rate {at}{self._said_carried()}."
        )

    def table(self) -> pd.DataFrame:
        """Return the true positive rate at round false positive rates, and the thresholds, one row each."""
        places = self._at(_TABLE_RATES)
        return pd.DataFrame(
            {
                "false positive at most (%)": 100 * _TABLE_RATES,
                "false positive (%)": 100 * self.far[places],
                "true positive (%)": 100 * (1 - self.frr[places]),
                "threshold": self.thresholds[places],
            }
        )

    def _size(self) -> dict[str, float]:
        return {"width": 5.4, "height": 5.9}

    def _figures(self) -> str:
        return f"AUC {self.auc:.3f}, EER {percent(self.eer, 2)}"

    def _place(self, far: ArrayLike, frr: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        return 100 * np.asarray(far), 100 * (1 - np.asarray(frr))

    def _frame(self, ax: Axes, *, first: bool) -> None:
        if first:
            look.diagonal(ax, (0, 100))
        ax.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
        ax.set(xlabel="FAR: spoof taken for bona fide (%)", ylabel="1 − FRR: bona fide accepted (%)")


def _mark(ax: Axes, line, marker: str, place: tuple, *, hollow: bool = False) -> None:
    """Mark a point of a curve where it is: full, or hollow and larger."""
    colour = line.get_color()
    style = {"gid": "eer", "markeredgecolor": "white", "markersize": 7, "zorder": 4}
    if hollow:
        style = {"gid": "carried", "markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.8}
        style |= {"markersize": 9, "zorder": 5}
    ax.plot(*place, marker, color=colour, clip_on=False, **style)


def _point_out(ax: Axes) -> int:
    """Put an arrow at the edge in place of each mark that lies beyond the frame; return how many there are."""
    for arrow in [text for text in ax.texts if text.get_gid() == "beyond"]:
        arrow.remove()  # the frame may have grown since
    arrows = 0
    for mark in [line for line in ax.lines if line.get_gid() in ("eer", "carried")]:
        place = mark.get_xydata()[0]
        edge = np.clip(place, *ax.get_xlim())  # both axes have the same ends
        beyond = place - edge
        mark.set_visible(not beyond.any())
        if beyond.any():
            fill = "white" if mark.get_gid() == "carried" else mark.get_color()
            shape = {"arrowstyle": "-|>", "mutation_scale": 15, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            shape |= {"facecolor": fill, "edgecolor": mark.get_color(), "zorder": mark.get_zorder()}
            start = {"xytext": -20 * np.sign(beyond), "textcoords": "offset points"}
            ax.annotate("", edge, **start, arrowprops=shape, annotation_clip=False, gid="beyond")
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
