"""Figures: one Display object for each kind, which keeps its numbers apart from their drawing.

Every Display has
- a ``from_…`` constructor that computes arrays, without drawing;
- ``plot(ax=None, **options)``, which draws on ``ax`` or on a new figure and returns the Display; afterwards
  ``ax_`` and ``figure_`` say where;
- ``alt()``: one sentence with the numbers, for whoever cannot see the figure;
- ``table()``: the same data as a DataFrame, thinned where the drawing has thousands of points.

Several Displays may be drawn on one axes: each takes the next colour, line style and marker, so that series stay
apart in black and white too. Colours are those of Okabe and Ito, chosen for colour-blind readers.

On DET and ROC curves a full marker is the equal error rate, which is chosen on the test set; a hollow one is what a
threshold gives that was carried from elsewhere.

`show` puts a figure into a notebook together with its alternative text, and into files.

Polarity is that of `dfdlib.evaluation.metrics`: bona fide is the positive class, a higher score means bona fide.
"""

import base64
import contextlib
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike
from scipy.special import ndtri

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import calibration, metrics
from dfdlib.evaluation.intervals import Band, Difference
from dfdlib.evaluation.metrics import ErrorRates
from dfdlib.files import atomic

# Okabe and Ito (2008), without the yellow, which is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BONAFIDE_COLOUR, SPOOF_COLOUR = COLOURS[0], COLOURS[1]
GREY = "#6b6b6b"

DPI = 200  # twice the size that a page shows it at, for sharp screens

_DET_TICKS = np.array(
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
)
_TABLE_RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


# How a change of each metric is written: name, unit, the side of zero that is an improvement, factor.
_MEASURES = {
    "eer": ("EER", " points", "left", 100.0),
    "hter": ("HTER", " points", "left", 100.0),
    "auc": ("AUC", "", "right", 1.0),
    "min_dcf": ("minDCF", "", "left", 1.0),
    "act_dcf": ("actual DCF", "", "left", 1.0),
    "cllr": ("Cllr", "", "left", 1.0),
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the common look inside the block, and leave matplotlib's settings as they were after it."""
    settings = {
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.edgecolor": GREY,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 10,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "font.size": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": True,
        "legend.framealpha": 0.9,
        "legend.edgecolor": "#cccccc",
        "legend.handlelength": 3.2,  # long enough to tell line styles apart
        "lines.linewidth": 1.8,
        "lines.markersize": 6,
        "hatch.linewidth": 0.6,
        "svg.hashsalt": "dfdlib",  # the same figure gives the same bytes
    }
    with mpl.rc_context(settings):
        yield


def figure(*, rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.4):
    """Return a new figure in the common look, and its axes.

    No window and no global list of figures knows about it.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    width, height : float
        Size of the whole figure in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : Axes, or ndarray of Axes (rows, columns) with more than one
    """
    with style():
        drawn = Figure(figsize=(width, height), layout="constrained")
        drawn.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches, away from the round corners
        axes = drawn.subplots(rows, columns, squeeze=False)
    return drawn, axes[0, 0] if axes.size == 1 else axes


class _Display:
    """What all Displays share: where they were drawn."""

    ax_: Axes | None = None
    figure_: Figure | None = None

    def _start(self, ax: Axes | None, **size: float) -> Axes:
        if ax is None:
            _, ax = figure(**size)
        self.ax_, self.figure_ = ax, ax.figure
        return ax


@dataclass(eq=False)
class DetDisplay(_Display):
    """Detection error trade-off: FRR against FAR on normal-deviate axes, where normal scores give a straight line.

    Attributes
    ----------
    far, frr, thresholds : ndarray, shape (k + 1,)
        As `dfdlib.evaluation.metrics.det_curve`.
    eer : float
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
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None
    carried: ErrorRates | None = None
    band: Band | None = None

    @classmethod
    def from_scores(
        cls,
        labels: ArrayLike,
        scores: ArrayLike,
        *,
        name: str | None = None,
        threshold: float | None = None,
        band: Band | None = None,
    ) -> "DetDisplay":
        """Compute the curve of labels (n,) and scores (n,).

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
            As `dfdlib.evaluation.metrics.validate`.
        """
        counts = metrics.tally(labels, scores)
        carried = None if threshold is None else metrics.error_rates(labels, scores, threshold=threshold)
        return cls(counts.far, counts.frr, counts.thresholds, **_facts(counts), name=name, carried=carried, band=band)

    def plot(self, ax: Axes | None = None, **line_options) -> "DetDisplay":
        """Draw the curve, mark its EER on the diagonal and its carried threshold, and return this Display."""
        with style():
            ax = self._start(ax, width=5.6, height=5.9)
            first = not any(line.get_gid() == "det" for line in ax.lines)
            look = _look(ax, "det")
            # Rates of exactly 0 and 1 lie at infinity: pull them just past the frame, so that lines run into it.
            points = _deviate([self.far, self.frr])
            keep = _corners(*points)
            options = {"label": _legend(self.name, f"EER {_percent(self.eer)}", self.carried), "gid": "det"}
            line = look | {"markevery": [], "markeredgecolor": "white"}  # the marker is for the legend
            (drawn,) = ax.plot(points[0][keep], points[1][keep], **(options | line | line_options))
            if self.band is not None:
                _band(ax, drawn, _deviate(self.band.far), _deviate(self.band.frr_low), _deviate(self.band.frr_high))

            low, high = self._range()
            if first:
                ends = _deviate([0, 1])
                ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
            else:
                low, high = min(low, ax.get_xlim()[0]), max(high, ax.get_xlim()[1])
            place = np.clip(_deviate(self.eer), low, high)
            _mark(ax, drawn, look["marker"], (place, place))
            if self.carried is not None:
                # an error rate of 0 or 1 is drawn on the frame
                _mark(ax, drawn, look["marker"], np.clip(_deviate(self.carried), low, high), hollow=True)
            inches = ax.get_position().width * ax.figure.get_figwidth()
            ticks = _spaced(_DET_TICKS, low, high, share=0.25 / inches)
            for axis, title in (
                (ax.xaxis, "FAR: spoof taken for bona fide (%)"),
                (ax.yaxis, "FRR: bona fide taken for spoof (%)"),
            ):
                axis.set_ticks(ndtri(ticks), labels=[f"{100 * tick:g}" for tick in ticks])
                axis.set_label_text(title)
            ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            _legend_below(ax)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        at = ", ".join(
            f"{_percent(self._frr_at(rate), 1)} at a false acceptance rate of {_percent(rate, 0)}"
            for rate in (0.01, 0.1)
        )
        if self.band is not None:
            low, high = (float(np.interp(0.1, self.band.far, ends)) for ends in self.band[1:])
            at += f" (interval there {_percent(low, 1)} to {_percent(high, 1)})"
        return (
            f"Detection error trade-off curve{_of(self.name)} on {self.n_bonafide:,} bona fide and {self.n_spoof:,} "
            f"spoof trials: equal error rate {_percent(self.eer)}, false rejection rate {at}{_carried(self.carried)}."
        )

    def table(self) -> pd.DataFrame:
        """Return the false rejection rate at round false acceptance rates, and the thresholds, one row each."""
        places = [self._place(rate) for rate in _TABLE_RATES]
        return pd.DataFrame(
            {
                "false acceptance at most (%)": [100 * rate for rate in _TABLE_RATES],
                "false acceptance (%)": 100 * self.far[places],
                "false rejection (%)": 100 * self.frr[places],
                "threshold": self.thresholds[places],
            }
        )

    def _place(self, rate: float) -> int:
        return int(np.argmax(self.far <= rate))

    def _frr_at(self, rate: float) -> float:
        return float(self.frr[self._place(rate)])

    def _range(self) -> tuple[float, float]:
        """Return the ends of both axes: from one error in the larger class to well above the EER."""
        finest = 1 / max(self.n_bonafide, self.n_spoof)
        wanted = [min(finest, self.eer / 2, 0.05), max(0.6, self.eer + 0.35)]
        if self.carried is not None:
            for rate in self.carried:
                if 0 < rate < 1:  # a little beyond the point, so that its marker is whole
                    wanted = [min(wanted[0], rate / 1.5), max(wanted[1], 1 - (1 - rate) / 1.5)]
        low = _DET_TICKS[max(0, np.searchsorted(_DET_TICKS, wanted[0], side="right") - 1)]
        high = _DET_TICKS[min(_DET_TICKS.size - 1, np.searchsorted(_DET_TICKS, wanted[1]))]
        return float(ndtri(low)), float(ndtri(high))


@dataclass(eq=False)
class RocDisplay(_Display):
    """Receiver operating characteristic: share of bona fide accepted against share of spoof accepted.

    Attributes
    ----------
    fpr, tpr, thresholds : ndarray, shape (k + 1,)
        As `dfdlib.evaluation.metrics.roc_curve`.
    auc, eer : float
    n_bonafide, n_spoof : int
    name, carried, band
        As in `DetDisplay`.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray
    auc: float
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None
    carried: ErrorRates | None = None
    band: Band | None = None

    @classmethod
    def from_scores(
        cls,
        labels: ArrayLike,
        scores: ArrayLike,
        *,
        name: str | None = None,
        threshold: float | None = None,
        band: Band | None = None,
    ) -> "RocDisplay":
        """Compute the curve of labels (n,) and scores (n,); parameters as in `DetDisplay.from_scores`.

        Raises
        ------
        DataError
            As `dfdlib.evaluation.metrics.validate`.
        """
        counts = metrics.tally(labels, scores)
        carried = None if threshold is None else metrics.error_rates(labels, scores, threshold=threshold)
        return cls(
            *metrics.roc_curve(labels, scores), counts.auc, **_facts(counts), name=name, carried=carried, band=band
        )

    def plot(self, ax: Axes | None = None, **line_options) -> "RocDisplay":
        """Draw the curve, mark its EER and its carried threshold, and return this Display."""
        with style():
            ax = self._start(ax, width=5.4, height=5.9)
            first = not any(line.get_gid() == "roc" for line in ax.lines)
            look = _look(ax, "roc")
            keep = _corners(self.fpr, self.tpr)
            figures = f"AUC {self.auc:.3f}, EER {_percent(self.eer)}"
            options = {"label": _legend(self.name, figures, self.carried), "gid": "roc"}
            line = look | {"markevery": [], "markeredgecolor": "white"}  # the marker is for the legend
            (drawn,) = ax.plot(100 * self.fpr[keep], 100 * self.tpr[keep], **(options | line | line_options))
            if self.band is not None:
                _band(
                    ax, drawn, *(100 * part for part in (self.band.far, 1 - self.band.frr_high, 1 - self.band.frr_low))
                )
            _mark(ax, drawn, look["marker"], (100 * self.eer, 100 * (1 - self.eer)))
            if self.carried is not None:
                _mark(ax, drawn, look["marker"], (100 * self.carried.far, 100 * (1 - self.carried.frr)), hollow=True)
            if first:
                ax.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":", zorder=1)
            ax.set(
                xlim=(-1, 101),
                ylim=(-1, 101),
                aspect="equal",
                xlabel="FAR: spoof taken for bona fide (%)",
                ylabel="1 − FRR: bona fide accepted (%)",
            )
            _legend_below(ax)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        at = ", ".join(
            f"{_percent(float(self.tpr[self._place(rate)]), 1)} at a false positive rate of {_percent(rate, 0)}"
            for rate in (0.01, 0.1)
        )
        return (
            f"Receiver operating characteristic{_of(self.name)} on {self.n_bonafide:,} bona fide and "
            f"{self.n_spoof:,} spoof trials: area under the curve {self.auc:.4f}, equal error rate "
            f"{_percent(self.eer)}, true positive rate {at}{_carried(self.carried)}."
        )

    def table(self) -> pd.DataFrame:
        """Return the true positive rate at round false positive rates, and the thresholds, one row each."""
        places = [self._place(rate) for rate in _TABLE_RATES]
        return pd.DataFrame(
            {
                "false positive at most (%)": [100 * rate for rate in _TABLE_RATES],
                "false positive (%)": 100 * self.fpr[places],
                "true positive (%)": 100 * self.tpr[places],
                "threshold": self.thresholds[places],
            }
        )

    def _place(self, rate: float) -> int:
        return int(np.searchsorted(self.fpr, rate, side="right")) - 1


@dataclass(eq=False)
class ScoreDisplay(_Display):
    """How the scores of each class lie: a histogram, or one row for each attack.

    Attributes
    ----------
    labels, scores : ndarray, shape (n,)
    attacks : ndarray of str, shape (n,), or None
        With attacks, scores are drawn as one box for bona fide and one for each attack.
    threshold : float or None
        Drawn as a line: what lies at or above it is accepted.
    name : str or None
    """

    labels: np.ndarray
    scores: np.ndarray
    attacks: np.ndarray | None = None
    threshold: float | None = None
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
    ) -> "ScoreDisplay":
        """Keep labels (n,), scores (n,) and, if given, the attack of each trial (n,).

        Raises
        ------
        DataError
            As `dfdlib.evaluation.metrics.validate`, or ``attacks`` is not as long as the scores.
        """
        labels, scores = metrics.validate(labels, scores)
        if attacks is not None:
            attacks = np.asarray(attacks, dtype=object)
            if attacks.shape != scores.shape:
                raise DataError(f"{attacks.size} attacks but {scores.size} trials; give one attack for each trial")
            attacks = np.where(pd.isna(attacks), "unknown", attacks).astype(str)
        return cls(labels, scores, attacks, threshold, name)

    def plot(self, ax: Axes | None = None, **options) -> "ScoreDisplay":
        """Draw the distributions and return this Display; ``options`` go to seaborn's histplot or boxplot."""
        import seaborn as sns

        frame = self._frame()
        names = list(dict.fromkeys(frame["group"]))
        with style():
            ax = self._start(ax, height=4.0 if self.attacks is None else 1.4 + 0.42 * len(names))
            if self.attacks is None:
                edges = np.histogram_bin_edges(self.scores, bins=min(60, max(10, math.isqrt(self.scores.size))))
                looks = ((BONAFIDE_COLOUR, "-", None), (SPOOF_COLOUR, "--", "////"))
                for group, (colour, line, hatch) in zip(names, looks, strict=True):
                    values = frame.loc[frame["group"] == group, "score"]
                    look = {"bins": edges, "stat": "density", "element": "step", "alpha": 0.25}
                    look |= {
                        "color": colour,
                        "linestyle": line,
                        "linewidth": 1.6,
                        "hatch": hatch,
                        "label": f"{group} ({len(values):,})",
                    }
                    sns.histplot(x=values, ax=ax, **(look | options))
                ax.set_ylabel("Density, each class by itself")
            else:
                palette = dict.fromkeys(names, SPOOF_COLOUR) | {"bona fide": BONAFIDE_COLOUR}
                look = {"order": names, "hue_order": names, "palette": palette, "legend": False}
                look |= {"width": 0.6, "fliersize": 2.5, "linewidth": 1.0, "saturation": 1.0}
                sns.boxplot(data=frame, x="score", y="group", hue="group", ax=ax, **(look | options))
                for place, patch in enumerate(ax.patches):
                    patch.set(alpha=0.65, hatch="////" if place else None)  # the first is bona fide
                ax.set_ylabel("")
            if self.threshold is not None:
                label = f"threshold {_minus(f'{self.threshold:.3g}')}"
                ax.axvline(self.threshold, color="black", linestyle=":", linewidth=1.4, label=label)
            ax.set_xlabel("Score (← more like spoof, more like bona fide →)")
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="best")
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        parts = [
            f"{row.group} median {row.median:.2f} ({row.q25:.2f} to {row.q75:.2f}, {row.n:,} trials)"
            for row in self._summary().itertuples()
        ]
        line = ""
        if self.threshold is not None:
            far, frr = metrics.error_rates(self.labels, self.scores, threshold=self.threshold)
            line = (
                f", with the threshold at {self.threshold:.2f}, which accepts {_percent(1 - frr, 1)} of bona fide and "
                f"{_percent(far, 1)} of spoof trials"
            )
        return f"Distribution of scores{_of(self.name)}, median and quartiles: {'; '.join(parts)}{line}."

    def table(self) -> pd.DataFrame:
        """Return count, mean, standard deviation and quantiles, one row for bona fide and for each attack."""
        return self._summary().rename(
            columns={"sd": "standard deviation", "q05": "5 %", "q25": "25 %", "q75": "75 %", "q95": "95 %"}
        )

    def _frame(self) -> pd.DataFrame:
        """Return the columns group and score, bona fide first, then attacks by name."""
        real = self.labels == metrics.BONAFIDE
        group = np.where(real, "bona fide", "spoof" if self.attacks is None else self.attacks)
        frame = pd.DataFrame({"group": group, "score": self.scores, "real": real})
        return frame.sort_values(["real", "group"], ascending=[False, True], kind="stable")[["group", "score"]]

    def _summary(self) -> pd.DataFrame:
        grouped = self._frame().groupby("group", sort=False)["score"]
        summary = pd.DataFrame({"n": grouped.size(), "mean": grouped.mean(), "sd": grouped.std()})
        for name, share in (("q05", 0.05), ("q25", 0.25), ("median", 0.5), ("q75", 0.75), ("q95", 0.95)):
            summary[name] = grouped.quantile(share)
        return summary.reset_index()


@dataclass(eq=False)
class CurveDisplay(_Display):
    """Training and validation loss, epoch by epoch, with a published run beside it if there is one.

    Attributes
    ----------
    epochs : ndarray, shape (e,)
    training, validation : ndarray, shape (e,)
    published : dict or None
        "training" and "validation" of the published run, each (p,), epochs counted from 1.
    name : str or None
    """

    epochs: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    published: dict[str, np.ndarray] | None = None
    name: str | None = None

    @classmethod
    def from_losses(
        cls,
        training: ArrayLike,
        validation: ArrayLike,
        *,
        epochs: ArrayLike | None = None,
        published: Mapping[str, ArrayLike] | None = None,
        name: str | None = None,
    ) -> "CurveDisplay":
        """Keep the mean losses of each epoch; ``epochs`` (e,) is 1, 2, … by default.

        Raises
        ------
        DataError
            No epoch, columns of different lengths, or ``published`` without "training" and "validation".
        """
        training, validation = np.asarray(training, dtype=float), np.asarray(validation, dtype=float)
        epochs = np.arange(1, training.size + 1) if epochs is None else np.asarray(epochs)
        if training.size == 0 or not training.shape == validation.shape == epochs.shape:
            raise DataError(
                f"{training.size} training losses, {validation.size} validation losses and {epochs.size} epochs; "
                "give one of each for every epoch, at least one"
            )
        if published is not None:
            if not {"training", "validation"} <= set(published):
                raise DataError("the published run needs the losses 'training' and 'validation'")
            published = {key: np.asarray(published[key], dtype=float) for key in ("training", "validation")}
        return cls(epochs, training, validation, published, name)

    @property
    def best(self) -> int:
        """Place of the lowest validation loss, the earliest if there are several."""
        return int(np.nanargmin(self.validation)) if np.isfinite(self.validation).any() else 0

    def plot(self, ax: Axes | None = None, **line_options) -> "CurveDisplay":
        """Draw the losses, mark the best epoch, and return this Display."""
        with style():
            ax = self._start(ax)
            for index, (part, values) in enumerate((("training", self.training), ("validation", self.validation))):
                look = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index], "label": part}
                ax.plot(self.epochs, values, **(look | line_options))
                if self.published is not None:
                    losses = self.published[part]
                    look = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index], "alpha": 0.5}
                    look |= {"markerfacecolor": "white", "linewidth": 1.0, "label": f"{part}, as published"}
                    ax.plot(np.arange(1, losses.size + 1), losses, **look)
            point = self.epochs[self.best], self.validation[self.best]
            ax.plot(*point, "o", markersize=13, fillstyle="none", color="black", label="lowest validation loss")
            ax.set(xlabel="Epoch", ylabel="Mean cross-entropy loss (nats)")
            ax.set_ylim(bottom=0)
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.legend(loc="best")
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        first, last = self.epochs[0], self.epochs[-1]
        beside = ""
        if self.published is not None:
            losses = self.published["validation"]
            place = int(np.argmin(losses))
            beside = f"; the published run reached {losses[place]:.4f} in epoch {place + 1}"
        return (
            f"Loss{_of(self.name)} from epoch {first} to {last}: training {self.training[0]:.4f} to "
            f"{self.training[-1]:.4f}, validation {self.validation[0]:.4f} to {self.validation[-1]:.4f}, lowest "
            f"validation loss {self.validation[self.best]:.4f} in epoch {self.epochs[self.best]}{beside}."
        )

    def table(self) -> pd.DataFrame:
        """Return one row for each epoch."""
        table = pd.DataFrame({"epoch": self.epochs, "training": self.training, "validation": self.validation})
        if self.published is None:
            return table
        other = pd.DataFrame(
            {
                "epoch": np.arange(1, self.published["training"].size + 1),
                "training, as published": self.published["training"],
                "validation, as published": self.published["validation"],
            }
        )
        return table.merge(other, on="epoch", how="outer")


@dataclass(eq=False)
class SpreadDisplay(_Display):
    """A quantity of every epoch over several trainings that differ in their seed: the mean, and lowest to highest.

    Attributes
    ----------
    values : ndarray, shape (s, e)
        One row a training; NaN after its last epoch.
    quantity : str
        What is drawn, with its unit; lower is better.
    name : str or None
        Of the recipe that the trainings share.
    """

    values: np.ndarray
    quantity: str = "Validation loss (nats)"
    name: str | None = None

    @classmethod
    def from_histories(
        cls, histories: Sequence[ArrayLike], *, quantity: str = "Validation loss (nats)", name: str | None = None
    ) -> "SpreadDisplay":
        """Keep the values of each training, epochs counted from 1; trainings may have stopped at different epochs.

        Raises
        ------
        DataError
            No training, or one without an epoch.
        """
        rows = [np.atleast_1d(np.asarray(history, dtype=float)) for history in histories]
        if not rows or min(row.size for row in rows) == 0:
            raise DataError(f"{len(rows)} trainings, some of them without an epoch; give at least one value of each")
        values = np.full((len(rows), max(row.size for row in rows)), np.nan)
        for place, row in enumerate(rows):
            values[place, : row.size] = row
        return cls(values, quantity, name)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the trainings that reached each epoch, shape (e,)."""
        return np.nanmean(self.values, axis=0)

    @property
    def best(self) -> int:
        """Place of the lowest mean among the epochs that every training reached."""
        reached = np.isfinite(self.values).all(axis=0)
        return int(np.argmin(np.where(reached, self.mean, np.inf)))

    def plot(self, ax: Axes | None = None, **line_options) -> "SpreadDisplay":
        """Draw the mean and its band, mark the lowest mean, and return this Display."""
        with style():
            ax = self._start(ax, height=4.8)
            look = _look(ax, "spread")
            epochs = np.arange(1, self.values.shape[1] + 1)
            label = f"{self._count()}, lowest mean {self.mean[self.best]:.3g} in epoch {self.best + 1}"
            options = {"label": _legend(self.name, label), "gid": "spread", "markersize": 4}
            (drawn,) = ax.plot(epochs, self.mean, **(look | options | line_options))
            if len(self.values) > 1:
                _band(ax, drawn, epochs, np.nanmin(self.values, axis=0), np.nanmax(self.values, axis=0))
            ring = {"markersize": 12, "fillstyle": "none", "color": drawn.get_color(), "markeredgewidth": 1.5}
            ax.plot(epochs[self.best], self.mean[self.best], look["marker"], **ring)
            ax.set(xlabel="Epoch", ylabel=self.quantity)
            ax.set_ylim(bottom=0)
            ax.xaxis.get_major_locator().set_params(integer=True)
            _legend_below(ax)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        row = self.values[:, self.best]
        reach = f" ({row.min():.4g} to {row.max():.4g} between trainings)" if len(row) > 1 else ""
        return (
            f"{self.quantity}{_of(self.name)}, {self._count()}, over {self.values.shape[1]} epochs: mean "
            f"{self.mean[0]:.4g} after the first, lowest {self.mean[self.best]:.4g} in epoch {self.best + 1}{reach}."
        )

    def table(self) -> pd.DataFrame:
        """Return mean, lowest and highest value and how many trainings they come from, one row for each epoch."""
        return pd.DataFrame(
            {
                "epoch": np.arange(1, self.values.shape[1] + 1),
                "mean": self.mean,
                "lowest": np.nanmin(self.values, axis=0),
                "highest": np.nanmax(self.values, axis=0),
                "trainings": np.isfinite(self.values).sum(axis=0),
            }
        )

    def _count(self) -> str:
        return f"{len(self.values)} seed{'s' if len(self.values) > 1 else ''}"


@dataclass(eq=False)
class ForestDisplay(_Display):
    """Changes with their intervals, one row for each, beside a line at zero.

    Attributes
    ----------
    rows : tuple of (str, str, Difference)
        Heading, name and change; rows of one heading stand together, "" has none.
    metric : str
        Of `METRICS`; error rates are shown in percentage points.
    level : float
        Coverage of the intervals, for the axis title.
    """

    rows: tuple[tuple[str, str, Difference], ...]
    metric: str = "eer"
    level: float = 0.95

    METRICS = tuple(_MEASURES)

    @classmethod
    def from_differences(
        cls,
        differences: Mapping[str, Difference] | Mapping[str, Mapping[str, Difference]],
        *,
        metric: str = "eer",
        level: float = 0.95,
    ) -> "ForestDisplay":
        """Keep the differences by name, or by heading and name: corpus and recipe, for example.

        Raises
        ------
        DataError
            No difference.
        ParameterError
            An unknown metric.
        """
        if metric not in _MEASURES:
            raise ParameterError(f"metric={metric!r}: must be one of {', '.join(_MEASURES)}")
        rows = []
        for name, value in differences.items():
            rows += [("", name, value)] if isinstance(value, Difference) else [(name, *item) for item in value.items()]
        if not rows:
            raise DataError("no differences to draw; give at least one")
        return cls(tuple(rows), metric, level)

    def plot(self, ax: Axes | None = None, **line_options) -> "ForestDisplay":
        """Draw one row for each difference, the first on top, and return this Display."""
        name, unit, better, factor = _MEASURES[self.metric]
        places, ticks = _headed([heading for heading, _, _ in self.rows], [name for _, name, _ in self.rows])
        with style():
            ax = self._start(ax, height=1.5 + 0.36 * len(ticks))
            ax.axvline(0, color="black", linewidth=1.0)
            for place, (_, _, change) in zip(places, self.rows, strict=True):
                # full where the interval leaves out zero, hollow where it does not
                clear = change.low > 0 or change.high < 0
                look = {"color": COLOURS[0], "marker": "o", "capsize": 4, "markersize": 8, "linewidth": 1.8}
                look |= {"markerfacecolor": COLOURS[0] if clear else "white", "markeredgewidth": 1.6}
                error = [[factor * (change.delta - change.low)], [factor * (change.high - change.delta)]]
                # a bootstrap interval need not hold the value itself
                ax.errorbar(factor * change.delta, place, xerr=np.maximum(error, 0), **(look | line_options))
            title = f"Change of {name}{' in percentage points' if unit else ''}, after minus before\n"
            title += f"({100 * self.level:g} % interval, full marker: without zero; {better} is better)"
            ax.set(xlabel=title, ylim=(-len(ticks) + 0.4, 0.6))
            _label_rows(ax, ticks)
            beside = ax.secondary_yaxis("right")
            beside.set_yticks(places, labels=[self._figures(change, factor) for _, _, change in self.rows])
            beside.tick_params(length=0)
            beside.spines["right"].set_visible(False)
            ax.grid(axis="y", visible=False)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        name, unit, _, factor = _MEASURES[self.metric]
        places = 2 if factor > 1 else 3
        parts = [
            f"{f'{heading}, ' if heading else ''}{row} {factor * change.delta:+.{places}f}{unit} "
            f"({factor * change.low:+.{places}f} to {factor * change.high:+.{places}f})"
            for heading, row, change in self.rows
        ]
        return f"Change of {name} from before to after, with {100 * self.level:g} % intervals: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return before, after, change and interval, one row for each name, in the unit of the metric (shares)."""
        table = pd.DataFrame(
            [{"group": heading, "name": name} | change._asdict() for heading, name, change in self.rows]
        )
        return table if table["group"].any() else table.drop(columns="group")

    @staticmethod
    def _figures(change: Difference, factor: float) -> str:
        places = 1 if factor > 1 else 3
        delta, low, high = (f"{factor * value:+.{places}f}" for value in (change.delta, change.low, change.high))
        return _minus(f"{delta}  ({low} to {high})")


@dataclass(eq=False)
class AttackHeatmapDisplay(_Display):
    """The equal error rate of every attack in several columns, such as stages or recipes, written into each cell.

    Attributes
    ----------
    table_ : DataFrame
        One row an attack: "corpus" (may be ""), "attack", "spoof clips" (may be missing), and the columns.
    columns : list of str
    """

    table_: pd.DataFrame
    columns: list[str]

    @classmethod
    def from_table(cls, table: pd.DataFrame, *, columns: Sequence[str]) -> "AttackHeatmapDisplay":
        """Keep a table with a row for each attack and a column of EERs (shares, NaN for none) for each thing compared.

        Parameters
        ----------
        table : DataFrame
            With "attack", perhaps "corpus", perhaps "spoof clips" or "n_spoof", and ``columns``.
        columns : sequence of str

        Raises
        ------
        DataError
            A column is missing, there is no row, or an EER is no share.
        """
        columns = list(columns)
        missing = [name for name in ["attack", *columns] if name not in table]
        if missing or not columns or table.empty:
            raise DataError(
                f"a heat map needs the column attack and at least one column of EERs and one row; missing: "
                f"{', '.join(missing) or 'rows or columns'}"
            )
        table = table.rename(columns={"n_spoof": "spoof clips"}).reset_index(drop=True)
        values = table[columns].to_numpy(dtype=float)
        if ((values < 0) | (values > 1)).any():
            raise DataError(f"EERs from {np.nanmin(values):g} to {np.nanmax(values):g}: must be shares from 0 to 1")
        if "corpus" not in table:
            table = table.assign(corpus="")
        kept = [name for name in ("corpus", "attack", "spoof clips") if name in table]
        # Attacks of one corpus stand together, in the order in which the corpora first appear.
        order = table["corpus"].map({name: place for place, name in enumerate(table["corpus"].unique())})
        return cls(table.loc[order.sort_values(kind="stable").index, kept + columns].reset_index(drop=True), columns)

    def plot(self, ax: Axes | None = None, **mesh_options) -> "AttackHeatmapDisplay":
        """Draw a cell for each attack and column, darker where more is confused, and return this Display."""
        names = self.table_["attack"].astype(str)
        if "spoof clips" in self.table_:
            names = names + self.table_["spoof clips"].map("  ({:,})".format)
        places, ticks = _headed(self.table_["corpus"].tolist(), names.tolist())
        values = self.table_[self.columns].to_numpy(dtype=float)
        with style():
            width = min(9.0, 2.4 + 1.3 * len(self.columns))
            ax = self._start(ax, width=max(4.6, width), height=1.4 + 0.34 * len(ticks))
            look = {"cmap": "Blues", "vmin": 0, "vmax": 0.5, "edgecolor": "white", "linewidth": 1.5} | mesh_options
            paint = mpl.colormaps[look["cmap"]] if isinstance(look["cmap"], str) else look["cmap"]
            for place, row in zip(places, values, strict=True):
                edges = np.arange(len(row) + 1) - 0.5
                ax.pcolormesh(edges, [place - 0.5, place + 0.5], row[None], **look)
                for column, value in enumerate(row):
                    known, beyond = np.isfinite(value), value > 0.5
                    shade = paint((value - look["vmin"]) / (look["vmax"] - look["vmin"])) if known else (1, 1, 1, 1)
                    dark = _luminance(shade) < 0.179  # where white and black are equally far
                    if beyond or not known:
                        box = (column - 0.5, place - 0.5), 1, 1
                        lines = {"facecolor": "none", "linewidth": 0, "hatch": "xx" if beyond else ".."}
                        ax.add_patch(Rectangle(*box, **lines, edgecolor="#6b93c4" if beyond else "#bbbbbb"))
                    ax.text(
                        column,
                        place,
                        f"{100 * value:.1f}" if known else "–",
                        ha="center",
                        va="center",
                        color="white" if dark else "black",
                        fontsize=10,
                        # keeps the figure clear of the hatching
                        bbox={"facecolor": shade, "edgecolor": "none", "pad": 1.2} if beyond else None,
                    )
            ax.set_xlim(-0.5, len(self.columns) - 0.5)
            ax.set_ylim(-len(ticks) + 0.5, 0.5)
            _label_rows(ax, ticks)
            ax.set_xticks(range(len(self.columns)), labels=self.columns)
            ax.tick_params(top=False, bottom=False, left=False, labeltop=True, labelbottom=False)
            note = "EER (%), each attack against\nall bona fide clips; darker is worse"
            if (values > 0.5).any():
                note += "\nhatched: over 50 %, worse than guessing"
            ax.set_xlabel(note)
            ax.grid(visible=False)
            for spine in ax.spines.values():
                spine.set_visible(False)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        parts = []
        for column in self.columns:
            known = self.table_.dropna(subset=column)
            if known.empty:
                parts.append(f"{column} none")
                continue
            low, high = known.loc[known[column].idxmin()], known.loc[known[column].idxmax()]
            parts.append(
                f"{column} from {_percent(low[column], 1)} ({self._where(low)}) to {_percent(high[column], 1)} "
                f"({self._where(high)}), median {_percent(known[column].median(), 1)}"
            )
        return f"Equal error rate of {len(self.table_)} attacks: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return the equal error rates in percent, one row for each attack."""
        table = self.table_.assign(**{name: 100 * self.table_[name] for name in self.columns})
        table = table.rename(columns={name: f"{name} (%)" for name in self.columns})
        return table if self.table_["corpus"].any() else table.drop(columns="corpus")

    @staticmethod
    def _where(row: pd.Series) -> str:
        return f"{row['attack']}, {row['corpus']}" if row["corpus"] else str(row["attack"])


@dataclass(eq=False)
class ReliabilityDisplay(_Display):
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
        DataError, ParameterError
            As `dfdlib.evaluation.calibration.reliability`.
        """
        found = calibration.reliability(labels, llr, bins=bins, p_spoof=p_spoof)
        return cls(found, metrics.cllr(labels, llr), p_spoof, name)

    def plot(self, ax: Axes | None = None, **line_options) -> "ReliabilityDisplay":
        """Draw the bins with their intervals and return this Display."""
        with style():
            ax = self._start(ax, width=5.4, height=5.9)
            first = not any(line.get_gid() == "reliability" for line in ax.lines)
            look = _look(ax, "reliability") | {"linewidth": 1.2, "capsize": 2.5, "elinewidth": 1.0, "markersize": 6}
            look |= {"label": _legend(self.name, f"Cllr {self.cllr:.3f}"), "markeredgecolor": "white"}
            predicted, observed, low, high = (100 * part for part in self.found[:4])
            reach = np.maximum([observed - low, high - observed], 0)
            drawn = ax.errorbar(predicted, observed, yerr=reach, **(look | line_options))
            drawn.lines[0].set_gid("reliability")
            if first:
                ax.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":", zorder=1)
            ax.set(
                xlim=(-2, 102),
                ylim=(-2, 102),
                aspect="equal",
                xlabel=f"Probability of bona fide as stated (%), {100 * self.p_spoof:g} % spoofs",
                ylabel="Share that was bona fide (%), with 95 % interval",
            )
            _legend_below(ax)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        found = self.found
        inside = int(((found.low <= found.predicted) & (found.predicted <= found.high)).sum())
        worst = int(np.argmax(np.abs(found.observed - found.predicted)))
        return (
            f"Reliability{_of(self.name)} on {found.counts.sum():,} trials at {100 * self.p_spoof:g} % spoofs: Cllr "
            f"{self.cllr:.3f}; in {inside} of {found.counts.size} bins the stated probability of bona fide lies within "
            f"the interval of the observed share; farthest off, {_percent(found.predicted[worst], 1)} stated and "
            f"{_percent(found.observed[worst], 1)} observed."
        )

    def table(self) -> pd.DataFrame:
        """Return stated probability, observed share and its interval in percent, and the trials, one row a bin."""
        found = self.found
        columns = {"stated (%)": found.predicted, "bona fide (%)": found.observed, "low (%)": found.low}
        columns |= {"high (%)": found.high}
        return pd.DataFrame({name: 100 * part for name, part in columns.items()} | {"trials": found.counts})


@dataclass(eq=False)
class CalibrationDisplay(_Display):
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

    def plot(self, ax: Axes | None = None, **line_options) -> "CalibrationDisplay":
        """Draw a curve for each prior, the validation scores below and above, and the threshold."""
        fitted = self.calibration
        margin = 0.04 * (fitted.high - fitted.low) or 1.0
        scores = np.unique(
            [*np.linspace(fitted.low - margin, fitted.high + margin, 400), *fitted.bonafide, *fitted.spoof]
        )
        with style():
            ax = self._start(ax, width=6.4, height=5.2)
            for place, prior in enumerate(self.priors):
                look = {"color": COLOURS[2 + place % 5], "linestyle": LINES[place % len(LINES)]}
                look |= {"label": f"if {100 * prior:g} % of clips are spoofed"}
                chances = calibration.probability(fitted.llr(scores), p_spoof=prior)
                ax.plot(scores, 100 * chances, **(look | line_options))
            ax.axvline(fitted.threshold, color="black", linestyle=":", linewidth=1.4, label=self._threshold())
            # a stroke for each validation trial, or each half percent of them, on its own side
            for values, colour, base in ((fitted.bonafide, BONAFIDE_COLOUR, 104), (fitted.spoof, SPOOF_COLOUR, -4)):
                ax.vlines(values, base - 2.5, base + 2.5, color=colour, linewidth=0.7, alpha=0.7)
            edge = {"ha": "right", "fontsize": 8, "color": "black"}
            edge |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}}
            ax.text(0.995, 104, "bona fide", va="center", transform=ax.get_yaxis_transform(), **edge)
            ax.text(0.995, -4, "spoof", va="center", transform=ax.get_yaxis_transform(), **edge)
            ax.set(
                xlim=(scores[0], scores[-1]),
                ylim=(-8, 108),
                yticks=range(0, 101, 20),
                xlabel="Score (← more like spoof, more like bona fide →)\nstrokes: validation clips of each class",
                ylabel="Probability that the clip is bona fide (%)",
            )
            if fitted.slope:
                slope, intercept = fitted.slope, fitted.intercept
                above = ax.secondary_xaxis(
                    "top", functions=(lambda x: slope * x + intercept, lambda y: (y - intercept) / slope)
                )
                above.set_xlabel("Log-likelihood ratio (natural logarithm)")
            _legend_below(ax, lines=2)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        fitted = self.calibration
        llr = float(fitted.llr(fitted.threshold))
        chances = ", ".join(
            f"{_percent(float(calibration.probability(llr, p_spoof=prior)), 1)} at {100 * prior:g} % spoofs"
            for prior in self.priors
        )
        return (
            f"Probability of bona fide by score{_of(self.name)}, logistic calibration on {fitted.n_bonafide:,} "
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

    def _threshold(self) -> str:
        return f"carried threshold {_minus(f'{self.calibration.threshold:.3g}')}"


@dataclass(eq=False)
class SpectrogramDisplay(_Display):
    """Level of a clip over time and frequency.

    Attributes
    ----------
    times : ndarray, shape (t,), seconds, middle of each frame
    frequencies : ndarray, shape (f,), Hz
    levels : ndarray, shape (f, t), dB below the loudest point, not under -80
    duration : float, seconds
    rate : int, samples a second
    name : str or None
    """

    times: np.ndarray
    frequencies: np.ndarray
    levels: np.ndarray
    duration: float
    rate: int
    name: str | None = None

    FLOOR = -80.0

    @classmethod
    def from_wave(cls, wave: ArrayLike, *, rate: int, name: str | None = None) -> "SpectrogramDisplay":
        """Compute the spectrogram of a mono clip (n,): Hann frames of 25 ms, one every 10 ms.

        Raises
        ------
        DataError
            Not one-dimensional, empty, or not finite.
        """
        from scipy.signal import ShortTimeFFT, get_window

        wave = np.asarray(wave, dtype=np.float64)
        if wave.ndim != 1 or wave.size == 0:
            raise DataError(f"wave has shape {wave.shape}; give one mono clip with at least one sample, shape (n,)")
        if not np.isfinite(wave).all():
            raise DataError("wave holds samples that are not finite; decode the clip again")
        size, hop = round(0.025 * rate), round(0.010 * rate)
        duration = wave.size / rate
        wave = np.pad(wave, (0, max(0, size - wave.size)))  # a clip shorter than one frame is one frame
        transform = ShortTimeFFT(get_window("hann", size), hop, rate, mfft=2 ** math.ceil(math.log2(size)))
        power = np.abs(transform.stft(wave, padding="even")) ** 2
        loudest = power.max() or 1.0  # digital silence stays at the floor
        levels = 10 * np.log10(np.maximum(power / loudest, 10 ** (cls.FLOOR / 10)))
        return cls(transform.t(wave.size), transform.f, levels, duration, rate, name)

    def plot(self, ax: Axes | None = None, **image_options) -> "SpectrogramDisplay":
        """Draw the spectrogram with its scale and return this Display."""
        with style():
            ax = self._start(ax, height=3.2)
            step, height = self.times[1] - self.times[0], self.frequencies[1] / 1000
            extent = (
                self.times[0] - step / 2,
                self.times[-1] + step / 2,
                -height / 2,
                self.frequencies[-1] / 1000 + height / 2,
            )
            look = {"cmap": "magma", "vmin": self.FLOOR, "vmax": 0, "interpolation": "nearest"}
            look |= {"origin": "lower", "aspect": "auto", "extent": extent}
            image = ax.imshow(self.levels, **(look | image_options))
            ax.set(xlim=(0, self.duration), ylim=(0, self.rate / 2000))
            ax.set(xlabel="Time (s)", ylabel="Frequency (kHz)")
            ax.grid(visible=False)
            if self.name:
                ax.set_title(self.name)
            ax.figure.colorbar(image, ax=ax, label="Level (dB below the loudest point)", pad=0.02)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        return (
            f"Spectrogram{_of(self.name)}, {self.duration:.2f} s at {self.rate:,} Hz: "
            f"95 % of the energy lies below {self._edge(0.95) / 1000:.1f} kHz."
        )

    def table(self) -> pd.DataFrame:
        """Return the mean level of each kilohertz in dB, relative to the loudest of them."""
        power = (10 ** (self.levels / 10)).mean(axis=1)
        band = (self.frequencies // 1000).astype(int)
        band = np.minimum(band, max(0, math.ceil(self.rate / 2000) - 1))  # the last bin lies on the edge
        mean = np.bincount(band, weights=power) / np.bincount(band)
        return pd.DataFrame(
            {
                "from (kHz)": np.arange(mean.size),
                "to (kHz)": np.minimum(np.arange(1, mean.size + 1), self.rate / 2000),
                "level (dB)": 10 * np.log10(mean / mean.max()),
            }
        )

    def _edge(self, share: float) -> float:
        energy = np.cumsum((10 ** (self.levels / 10)).sum(axis=1))
        return float(self.frequencies[np.searchsorted(energy, share * energy[-1])])


@dataclass(eq=False)
class TimelineDisplay(_Display):
    """Scores of a recording over its time, window by window: a spoofed passage shows as a dip.

    Attributes
    ----------
    starts, ends : ndarray, shape (w,)
        Of each window, in seconds of the recording.
    scores : ndarray, shape (w,)
    threshold : float or None
        Drawn as a line; the sides of it are named.
    name : str or None
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    threshold: float | None = 0.0
    name: str | None = None

    ROWS = 30

    @classmethod
    def from_windows(
        cls,
        starts: ArrayLike,
        ends: ArrayLike,
        scores: ArrayLike,
        *,
        threshold: float | None = 0.0,
        name: str | None = None,
    ) -> "TimelineDisplay":
        """Keep the windows of one recording, in the order of their starts.

        Parameters
        ----------
        starts, ends, scores : array-like, shape (w,)
            As `dfdlib.detector.score.timelines` has them in its columns.
        threshold : float or None
            At 0, the difference of two logits says that both classes are as likely.
        name : str, optional

        Raises
        ------
        DataError
            No window, columns of different lengths, or numbers that are not finite.
        """
        starts, ends, scores = (np.asarray(column, dtype=float) for column in (starts, ends, scores))
        if scores.size == 0 or not starts.shape == ends.shape == scores.shape:
            raise DataError(
                f"{starts.size} starts, {ends.size} ends and {scores.size} scores; give one of each for every window, "
                "at least one"
            )
        if not np.isfinite([starts, ends, scores]).all():
            raise DataError("windows hold numbers that are not finite; score the recording again")
        order = np.argsort(starts, kind="stable")
        return cls(starts[order], ends[order], scores[order], threshold, name)

    def plot(self, ax: Axes | None = None, **line_options) -> "TimelineDisplay":
        """Draw the score at the middle of each window, mark the lowest, and return this Display."""
        middles = (self.starts + self.ends) / 2
        # The first and the last window hold to the ends of the recording.
        time = np.concatenate([self.starts[:1], middles, self.ends.max()[np.newaxis]])
        score = np.concatenate([self.scores[:1], self.scores, self.scores[-1:]])
        factor, unit = (1, "s") if self.ends.max() < 600 else (60, "min")
        with style():
            ax = self._start(ax, width=8.0, height=3.6)
            if self.threshold is not None:
                line = self.threshold
                look = {"alpha": 0.3, "interpolate": True, "linewidth": 0}
                for side, colour, hatch, label in (
                    (score >= line, BONAFIDE_COLOUR, None, f"above {line:g}: more like bona fide"),
                    (score <= line, SPOOF_COLOUR, "////", f"below {line:g}: more like spoof"),
                ):
                    if side.any():
                        options = {"facecolor": colour, "edgecolor": colour, "hatch": hatch, "label": label}
                        ax.fill_between(time / factor, score, line, where=side, **(look | options))
                ax.axhline(line, color="black", linestyle=":", linewidth=1.4)
            dots = {"marker": "."} if self.scores.size <= 100 else {}
            width = 1.2 if self.scores.size <= 500 else 0.5
            ax.plot(time / factor, score, **({"color": "black", "linewidth": width} | dots | line_options))
            lowest = int(self.scores.argmin())
            ax.plot(
                middles[lowest] / factor,
                self.scores[lowest],
                "v",
                color=SPOOF_COLOUR,
                markeredgecolor="white",
                markersize=9,
                label=f"lowest: {_clock(self.starts[lowest])} to {_clock(self.ends[lowest])}",
            )
            ax.set(xlim=(self.starts[0] / factor, self.ends.max() / factor))
            ax.set(xlabel=f"Time ({unit})", ylabel="Score (higher = bona fide)")
            ax.margins(y=0.15)
            if self.name:
                ax.set_title(self.name)
            _legend_below(ax)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        lowest = int(self.scores.argmin())
        dip = ""
        if self.threshold is not None:
            below = np.flatnonzero(self.scores < self.threshold)
            dip = f"; {below.size:,} window{' lies' if below.size == 1 else 's lie'} below {self.threshold:g}"
            if below.size:
                dip += f", from {_clock(self.starts[below[0]])} to {_clock(self.ends[below].max())}"
        return (
            f"Score over time{_of(self.name)}, {self.scores.size:,} windows of "
            f"{np.median(self.ends - self.starts):.2f} s in {self.ends.max():.1f} s, higher means bona fide: median "
            f"{np.median(self.scores):.2f}, highest {self.scores.max():.2f}, lowest {self.scores[lowest]:.2f} from "
            f"{_clock(self.starts[lowest])} to {_clock(self.ends[lowest])}{dip}."
        )

    def table(self) -> pd.DataFrame:
        """Return start, end, lowest and mean score: a row for each window, or for each of thirty stretches of them."""
        parts = np.array_split(np.arange(self.scores.size), min(self.scores.size, self.ROWS))
        return pd.DataFrame(
            {
                "start (s)": [self.starts[part[0]] for part in parts],
                "end (s)": [self.ends[part].max() for part in parts],
                "windows": [part.size for part in parts],
                "lowest score": [self.scores[part].min() for part in parts],
                "mean score": [self.scores[part].mean() for part in parts],
            }
        )


def show(fig: Figure, *, alt: str, name: str | None = None, folder: str | Path | None = None) -> None:
    """Show a figure in the notebook with its alternative text, save it if asked, and close it.

    The figure gets a white ground with round corners, so that it stays legible on a dark page. Outside a
    notebook nothing is displayed; files are written all the same.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    alt : str
        One sentence with the numbers, as a Display's ``alt()`` gives it.
    name : str, optional
        Name of the files, without an ending.
    folder : str or Path, optional
        Where to write ``name.png`` and ``name.svg``; made if missing.

    Raises
    ------
    ParameterError
        ``alt`` is empty, or ``folder`` is given without ``name``.
    RunError
        The folder cannot be written.
    """
    if not alt.strip():
        raise ParameterError("alt is empty: say in one sentence what the figure shows, with its numbers")
    if folder is not None and not name:
        raise ParameterError(f"folder={str(folder)!r} without a name: name the figure's files")
    _ground(fig)
    png = _png(fig)
    if folder is not None:
        with atomic(Path(folder) / f"{name}.png", "wb") as file:
            file.write(png)
        with style(), atomic(Path(folder) / f"{name}.svg", "wb") as file:
            fig.savefig(
                file, format="svg", facecolor="none", metadata={"Date": None, "Title": name, "Description": alt}
            )
    _display(png, alt=alt, width=round(fig.get_figwidth() * DPI / 2))
    # Only pyplot keeps figures alive; a figure of `figure()` goes when its last reference does.
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def save(fig: Figure, path: str | Path, *, alt: str) -> None:
    """Write a figure with its alternative text to one file; the ending of its name says as what: png, svg or pdf.

    Raises
    ------
    ParameterError
        The name has another ending.
    RunError
        The folder cannot be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    entries = {
        "png": {"Description": alt},
        "svg": {"Description": alt, "Date": None},
        "pdf": {"Subject": alt, "CreationDate": None},
    }
    if kind not in entries:
        endings = ", ".join(f".{one}" for one in entries)
        raise ParameterError(f"{path}: a figure's name must end with one of {endings}")
    with style(), atomic(path, "wb") as file:
        fig.savefig(file, format=kind, dpi=DPI, facecolor="white", metadata=entries[kind])


def _display(png: bytes, *, alt: str, width: int) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if InteractiveShell.initialized():
        data = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
        display(data, metadata={"image/png": {"alt": alt, "width": width}}, raw=True)


def _png(fig: Figure) -> bytes:
    """Return the figure as PNG with a palette of 256 colours: a third of the bytes, and no difference to be seen."""
    from PIL import Image

    drawn = io.BytesIO()
    with style():
        fig.savefig(drawn, format="png", dpi=DPI, facecolor="none")
    image = Image.open(drawn).convert("RGBA")
    sheet = Image.new("RGBA", image.size, "white")
    sheet.alpha_composite(image)
    reduced = sheet.convert("RGB").quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    # The first entry of the palette stands for the corners, where the page shows through.
    clear = np.asarray(image)[..., 3] < 128
    paletted = Image.fromarray(np.where(clear, 0, np.asarray(reduced) + 1).astype(np.uint8))
    paletted.putpalette([255, 255, 255, *reduced.getpalette()])
    buffer = io.BytesIO()
    paletted.save(buffer, format="PNG", optimize=True, transparency=0)
    return buffer.getvalue()


def _ground(fig: Figure) -> None:
    """Lay a white sheet with round corners under the figure, once."""
    if any(patch.get_gid() == "ground" for patch in fig.patches):
        return
    width, height = fig.get_size_inches()
    sheet = FancyBboxPatch(
        (0, 0),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.1",
        transform=fig.dpi_scale_trans,
        facecolor="white",
        edgecolor="none",
        zorder=-10,
        gid="ground",
    )
    sheet.set_in_layout(False)
    fig.add_artist(sheet, clip=False)


def _headed(headings: Sequence[str], names: Sequence[str]) -> tuple[list[int], list[tuple[int, str, bool]]]:
    """Lay rows out from the top, at 0, -1 and so on, with a row for each new heading.

    Returns the place of each row, and of every line its place, its text and whether it is a heading.
    """
    places, lines, last = [], [], ""
    for heading, name in zip(headings, names, strict=True):
        if heading and heading != last:
            lines.append((-len(lines), heading, True))
        last = heading
        places.append(-len(lines))
        lines.append((-len(lines), name, False))
    return places, lines


def _label_rows(ax: Axes, lines: Sequence[tuple[int, str, bool]]) -> None:
    ax.set_yticks([place for place, _, _ in lines], labels=[text for _, text, _ in lines])
    ax.tick_params(axis="y", length=0)
    for label, (_, _, heading) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if heading else "normal")


def _legend_below(ax: Axes, *, lines: int = 1) -> None:
    """Put the legend under the title of the x axis, which has so many lines: nothing can run into it there."""
    under = ax.transAxes + ScaledTranslation(0, -(26 + 14 * lines) / 72, ax.figure.dpi_scale_trans)
    hollow = any(line.get_gid() == "carried" for line in ax.lines)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=under,
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        title="full marker: EER; hollow marker: at the carried threshold" if hollow else None,
        title_fontsize=9,
        alignment="left",
    )


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2), 0 for black and 1 for white."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _look(ax: Axes, kind: str) -> dict:
    """Return colour, line style and marker of the next series of a kind on these axes."""
    index = sum(line.get_gid() == kind for line in ax.lines)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points (k,) of a staircase are needed to draw it: the ends and those where it turns."""
    if x.size < 3:
        return np.ones(x.size, dtype=bool)
    flat_x, flat_y = np.diff(x) == 0, np.diff(y) == 0
    straight = (flat_x[1:] & flat_x[:-1]) | (flat_y[1:] & flat_y[:-1])
    return np.concatenate(([True], ~straight, [True]))


def _facts(counts: metrics.Tally) -> dict[str, float | int]:
    """Return what DET and ROC curves say beside their points."""
    return {
        "eer": counts.eer.value,
        "n_bonafide": int(counts.bonafide[-1]),
        "n_spoof": int(counts.spoof[-1]),
    }


def _percent(share: float, places: int = 2) -> str:
    return f"{100 * share:.{places}f} %"


def _legend(name: str | None, figures: str, carried: ErrorRates | None = None) -> str:
    if carried is not None:
        figures += f"\nhollow: FAR {_percent(carried.far, 1)}, FRR {_percent(carried.frr, 1)}"
    return f"{name}: {figures}" if name else figures


def _carried(rates: ErrorRates | None) -> str:
    if rates is None:
        return ""
    far, frr = (_percent(rate, 1) for rate in rates)
    return f", and at the carried threshold a false acceptance rate of {far} and a false rejection rate of {frr}"


def _spaced(shares: np.ndarray, low: float, high: float, *, share: float) -> list[float]:
    """Return those of rising shares that lie within an axis of deviates, at least a share of its length apart."""
    kept, last = [], -math.inf
    for rate in shares:
        place = ndtri(rate)
        if low - 1e-9 <= place <= high + 1e-9 and place - last >= share * (high - low):
            kept.append(float(rate))
            last = place
    return kept


def _deviate(shares: ArrayLike) -> np.ndarray:
    """Return normal deviates of shares. Those of 0 and 1 are infinite: they come to lie just past any frame."""
    return ndtri(np.clip(shares, 1e-5, 1 - 1e-5))


def _band(ax: Axes, line, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Draw an interval around a line: a tint, and thin edges in the line's own style for black and white."""
    colour = line.get_color()
    ax.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1.5)
    for edge in (low, high):
        ax.plot(x, edge, color=colour, linestyle=line.get_linestyle(), linewidth=0.6, alpha=0.8, zorder=1.6)


def _mark(ax: Axes, line, marker: str, place: Sequence[float], *, hollow: bool = False) -> None:
    """Mark a point of a curve: full, or hollow and larger."""
    look = {"color": line.get_color(), "markeredgecolor": "white", "markersize": 7, "zorder": 4}
    look |= {"gid": "eer", "clip_on": False}
    if hollow:
        look |= {"gid": "carried"}
        look |= {"markerfacecolor": "white", "markeredgecolor": line.get_color(), "markeredgewidth": 1.8}
        look |= {"markersize": 9, "zorder": 5}
    ax.plot(*place, marker, **look)


def _minus(number: str) -> str:
    """Write a number as matplotlib writes its ticks, with a true minus sign."""
    return number.replace("-", "\u2212")


def _clock(seconds: float) -> str:
    """Write a time of a recording: 8.1 s, 2:08 or 1:02:08."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _of(name: str | None) -> str:
    return f" of {name}" if name else ""


__all__: Sequence[str] = [
    "AttackHeatmapDisplay",
    "CalibrationDisplay",
    "CurveDisplay",
    "DetDisplay",
    "ForestDisplay",
    "ReliabilityDisplay",
    "RocDisplay",
    "ScoreDisplay",
    "SpectrogramDisplay",
    "SpreadDisplay",
    "TimelineDisplay",
    "figure",
    "save",
    "show",
    "style",
]
