"""Figures: one Display object for each kind, which keeps its numbers apart from their drawing.

Every Display has
- a ``from_…`` constructor that computes arrays, without drawing;
- ``plot(ax=None, **options)``, which draws on ``ax`` or on a new figure and returns the Display; afterwards
  ``ax_`` and ``figure_`` say where;
- ``alt()``: one sentence with the numbers, for whoever cannot see the figure;
- ``table()``: the same data as a DataFrame, thinned where the drawing has thousands of points.

Several Displays may be drawn on one axes: each takes the next colour, line style and marker, so that series stay
apart in black and white too. Colours are those of Okabe and Ito, chosen for colour-blind readers.

`show` puts a figure into a notebook together with its alternative text, and into files.

Polarity is that of `dfdlib.metrics`: bona fide is the positive class, a higher score means bona fide.
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
from matplotlib.patches import FancyBboxPatch
from numpy.typing import ArrayLike
from scipy.special import ndtri

from dfdlib import metrics
from dfdlib.errors import DataError, ParameterError
from dfdlib.files import atomic
from dfdlib.uncertainty import Difference

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
    "auc": ("AUC", "", "right", 1.0),
    "min_dcf": ("minDCF", "", "left", 1.0),
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
        As `dfdlib.metrics.det_curve`.
    eer : float
    n_bonafide, n_spoof : int
    name : str or None
        Names the series in the legend.
    """

    far: np.ndarray
    frr: np.ndarray
    thresholds: np.ndarray
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None

    @classmethod
    def from_scores(cls, labels: ArrayLike, scores: ArrayLike, *, name: str | None = None) -> "DetDisplay":
        """Compute the curve of labels (n,) and scores (n,).

        Raises
        ------
        DataError
            As `dfdlib.metrics.validate`.
        """
        counts = metrics.tally(labels, scores)
        return cls(
            far=counts.far,
            frr=counts.frr,
            thresholds=counts.thresholds,
            eer=float(metrics.tally_eer(counts)[0]),
            n_bonafide=int(counts.bonafide[-1]),
            n_spoof=int(counts.spoof[-1]),
            name=name,
        )

    def plot(self, ax: Axes | None = None, **line_options) -> "DetDisplay":
        """Draw the curve, mark its EER on the diagonal, and return this Display."""
        with style():
            ax = self._start(ax, width=5.6, height=5.2)
            first = not any(line.get_gid() == "det" for line in ax.lines)
            look = _look(ax, "det")
            # Rates of exactly 0 and 1 lie at infinity: pull them just past the frame, so that lines run into it.
            points = ndtri(np.clip([self.far, self.frr], 1e-5, 1 - 1e-5))
            keep = _corners(*points)
            options = {"label": _legend(self.name, f"EER {_percent(self.eer)}"), "gid": "det"}
            line = {"color": look["color"], "linestyle": look["linestyle"]}
            (drawn,) = ax.plot(points[0][keep], points[1][keep], **(options | line | line_options))
            place = ndtri(np.clip(self.eer, 1e-5, 1 - 1e-5))
            ax.plot(place, place, look["marker"], color=drawn.get_color(), markeredgecolor="white", zorder=4)

            low, high = self._range()
            if first:
                ends = ndtri([1e-5, 1 - 1e-5])
                ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
            else:
                low, high = min(low, ax.get_xlim()[0]), max(high, ax.get_xlim()[1])
            for axis, title in (
                (ax.xaxis, "False acceptance rate: spoof taken for bona fide (%)"),
                (ax.yaxis, "False rejection rate: bona fide taken for spoof (%)"),
            ):
                axis.set_ticks(ndtri(_DET_TICKS), labels=[f"{100 * tick:g}" for tick in _DET_TICKS])
                axis.set_label_text(title)
            ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            ax.legend(loc="upper right")
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        at = ", ".join(
            f"{_percent(self._frr_at(rate), 1)} at a false acceptance rate of {_percent(rate, 0)}"
            for rate in (0.01, 0.1)
        )
        return (
            f"Detection error trade-off curve{_of(self.name)} on {self.n_bonafide:,} bona fide and {self.n_spoof:,} "
            f"spoof trials: equal error rate {_percent(self.eer)}, false rejection rate {at}."
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
        low = _DET_TICKS[max(0, np.searchsorted(_DET_TICKS, min(finest, self.eer / 2, 0.05), side="right") - 1)]
        wanted = max(0.6, self.eer + 0.35)
        high = _DET_TICKS[min(_DET_TICKS.size - 1, np.searchsorted(_DET_TICKS, wanted))]
        return float(ndtri(low)), float(ndtri(high))


@dataclass(eq=False)
class RocDisplay(_Display):
    """Receiver operating characteristic: share of bona fide accepted against share of spoof accepted.

    Attributes
    ----------
    fpr, tpr, thresholds : ndarray, shape (k + 1,)
        As `dfdlib.metrics.roc_curve`.
    auc, eer : float
    n_bonafide, n_spoof : int
    name : str or None
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray
    auc: float
    eer: float
    n_bonafide: int
    n_spoof: int
    name: str | None = None

    @classmethod
    def from_scores(cls, labels: ArrayLike, scores: ArrayLike, *, name: str | None = None) -> "RocDisplay":
        """Compute the curve of labels (n,) and scores (n,).

        Raises
        ------
        DataError
            As `dfdlib.metrics.validate`.
        """
        labels, scores = metrics.validate(labels, scores)
        curve = metrics.roc_curve(labels, scores)
        counts = metrics.tally(labels, scores)
        return cls(
            *curve,
            auc=float(metrics.tally_auc(counts)),
            eer=float(metrics.tally_eer(counts)[0]),
            n_bonafide=int(counts.bonafide[-1]),
            n_spoof=int(counts.spoof[-1]),
            name=name,
        )

    def plot(self, ax: Axes | None = None, **line_options) -> "RocDisplay":
        """Draw the curve, mark its EER, and return this Display."""
        with style():
            ax = self._start(ax, width=5.4, height=5.2)
            first = not any(line.get_gid() == "roc" for line in ax.lines)
            look = _look(ax, "roc")
            keep = _corners(self.fpr, self.tpr)
            figures = f"AUC {self.auc:.3f}, EER {_percent(self.eer)}"
            options = {"label": _legend(self.name, figures), "gid": "roc"}
            line = {"color": look["color"], "linestyle": look["linestyle"]}
            (drawn,) = ax.plot(100 * self.fpr[keep], 100 * self.tpr[keep], **(options | line | line_options))
            place = 100 * self.eer, 100 * (1 - self.eer)
            ax.plot(*place, look["marker"], color=drawn.get_color(), markeredgecolor="white", zorder=4)
            if first:
                ax.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":", zorder=1)
            ax.set(
                xlim=(-1, 101),
                ylim=(-1, 101),
                aspect="equal",
                xlabel="False positive rate: spoof taken for bona fide (%)",
                ylabel="True positive rate: bona fide accepted (%)",
            )
            ax.legend(loc="lower right")
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
            f"{_percent(self.eer)}, true positive rate {at}."
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
            As `dfdlib.metrics.validate`, or ``attacks`` is not as long as the scores.
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
                for group, colour, line in zip(names, (BONAFIDE_COLOUR, SPOOF_COLOUR), ("-", "--"), strict=True):
                    values = frame.loc[frame["group"] == group, "score"]
                    look = {"bins": edges, "stat": "density", "element": "step", "alpha": 0.25}
                    look |= {
                        "color": colour,
                        "linestyle": line,
                        "linewidth": 1.6,
                        "label": f"{group} ({len(values):,})",
                    }
                    sns.histplot(x=values, ax=ax, **(look | options))
                ax.set_ylabel("Density, each class by itself")
            else:
                palette = dict.fromkeys(names, SPOOF_COLOUR) | {"bona fide": BONAFIDE_COLOUR}
                look = {"order": names, "hue_order": names, "palette": palette, "legend": False}
                look |= {"width": 0.6, "fliersize": 2.5, "linewidth": 1.0, "saturation": 1.0}
                sns.boxplot(data=frame, x="score", y="group", hue="group", ax=ax, **(look | options))
                for patch in ax.patches:
                    patch.set_alpha(0.65)
                ax.set_ylabel("")
            if self.threshold is not None:
                label = f"threshold {self.threshold:.3g}"
                ax.axvline(self.threshold, color="black", linestyle=":", linewidth=1.4, label=label)
            ax.set_xlabel("Score (higher = bona fide)")
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="best")
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        parts = [
            f"{row.group} median {row.median:.2f} ({row.q25:.2f} to {row.q75:.2f}, {row.n:,} trials)"
            for row in self._summary().itertuples()
        ]
        line = "" if self.threshold is None else f", with the threshold at {self.threshold:.2f}"
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
class ForestDisplay(_Display):
    """Changes with their intervals, one row for each corpus, beside a line at zero.

    Attributes
    ----------
    differences : dict of str to Difference
        As `dfdlib.uncertainty.paired_difference` returns them, by the name of the corpus.
    metric : {"eer", "auc", "min_dcf"}
        An EER is shown in percentage points.
    level : float
        Coverage of the intervals, for the axis title.
    """

    differences: dict[str, Difference]
    metric: str = "eer"
    level: float = 0.95

    @classmethod
    def from_differences(
        cls, differences: Mapping[str, Difference], *, metric: str = "eer", level: float = 0.95
    ) -> "ForestDisplay":
        """Keep the differences by name.

        Raises
        ------
        DataError
            No difference.
        ParameterError
            An unknown metric.
        """
        if metric not in _MEASURES:
            raise ParameterError(f"metric={metric!r}: must be one of {', '.join(_MEASURES)}")
        if not differences:
            raise DataError("no differences to draw; give at least one")
        return cls(dict(differences), metric, level)

    def plot(self, ax: Axes | None = None, **line_options) -> "ForestDisplay":
        """Draw one row for each difference, the first on top, and return this Display."""
        name, unit, better, factor = _MEASURES[self.metric]
        rows = np.arange(len(self.differences))[::-1]
        with style():
            ax = self._start(ax, height=1.5 + 0.5 * rows.size)
            ax.axvline(0, color="black", linewidth=1.0)
            for row, change in zip(rows, self.differences.values(), strict=True):
                # full where the interval leaves out zero, hollow where it does not
                clear = change.low > 0 or change.high < 0
                look = {"color": COLOURS[0], "marker": "o", "capsize": 4, "markersize": 8, "linewidth": 1.8}
                look |= {"markerfacecolor": COLOURS[0] if clear else "white"}
                error = [[factor * (change.delta - change.low)], [factor * (change.high - change.delta)]]
                # a bootstrap interval need not hold the value itself
                ax.errorbar(factor * change.delta, row, xerr=np.maximum(error, 0), **(look | line_options))
                ax.annotate(
                    f"{factor * change.delta:+.{2 if factor > 1 else 3}f}",
                    (factor * change.delta, row),
                    xytext=(0, 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
                )
            title = f"Change of {name}{' in percentage points' if unit else ''}, after minus before\n"
            title += f"({100 * self.level:g} % interval; {better} of zero is better)"
            ax.set(xlabel=title, ylim=(-0.6, rows.size - 0.3))
            ax.set_yticks(rows, labels=list(self.differences))
            ax.grid(axis="y", visible=False)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        name, unit, _, factor = _MEASURES[self.metric]
        places = 2 if factor > 1 else 3
        parts = [
            f"{corpus} {factor * change.delta:+.{places}f}{unit} "
            f"({factor * change.low:+.{places}f} to {factor * change.high:+.{places}f})"
            for corpus, change in self.differences.items()
        ]
        return f"Change of {name} from before to after, with {100 * self.level:g} % intervals: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return before, after, change and interval, one row for each name, in the unit of the metric (shares)."""
        return pd.DataFrame([{"name": name} | change._asdict() for name, change in self.differences.items()])


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


def _percent(share: float, places: int = 2) -> str:
    return f"{100 * share:.{places}f} %"


def _legend(name: str | None, figures: str) -> str:
    return f"{name}: {figures}" if name else figures


def _of(name: str | None) -> str:
    return f" of {name}" if name else ""


__all__: Sequence[str] = [
    "CurveDisplay",
    "DetDisplay",
    "ForestDisplay",
    "RocDisplay",
    "ScoreDisplay",
    "SpectrogramDisplay",
    "figure",
    "show",
    "style",
]
