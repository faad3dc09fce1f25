"""Scores: how they are distributed, and how they run over a recording."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.evaluation import metrics
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import BONAFIDE_COLOUR, SPOOF_COLOUR, Display, minus, of, shown


@dataclass(eq=False)
class ScoreDisplay(Display):
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
            A class is missing, a score is not finite, or ``attacks`` is not as long as the scores.
        """
        labels, scores = metrics.validate(labels, scores)
        if attacks is not None:
            attacks = np.asarray(attacks, dtype=object)
            if attacks.shape != scores.shape:
                raise DataError(f"{attacks.size} attacks but {scores.size} trials; give one attack for each trial")
            attacks = np.where(pd.isna(attacks), "unknown", attacks)
            # a name from a file system need not be Unicode, which the columns of a table are
            attacks = np.array([str(attack).encode("utf-8", "replace").decode() for attack in attacks])
        return cls(labels, scores, attacks, threshold, name)

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        parts = [
            f"{shown(row.group)} median {row.median:.2f} ({row.q25:.2f} to {row.q75:.2f}, {row.n:,} trials)"
            for row in self._summary().itertuples()
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
        return self._summary().rename(
            columns={"sd": "standard deviation", "q05": "5 %", "q25": "25 %", "q75": "75 %", "q95": "95 %"}
        )

    def _size(self) -> dict[str, float]:
        return {"height": 4.0 if self.attacks is None else 1.4 + 0.42 * self._frame()["group"].nunique()}

    def _draw(self, ax: Axes, options: dict) -> None:
        frame = self._frame()
        if self.attacks is None:
            self._draw_histograms(ax, frame, options)
        else:
            self._draw_boxes(ax, frame, options)
        if self.threshold is not None:
            label = f"threshold {minus(f'{self.threshold:.3g}')}"
            ax.axvline(self.threshold, color="black", linestyle=":", linewidth=1.4, label=label)
        ax.set_xlabel("Score (← more like spoof, more like bona fide →)")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")

    def _draw_histograms(self, ax: Axes, frame: pd.DataFrame, options: dict) -> None:
        import seaborn as sns

        edges = np.histogram_bin_edges(self.scores, bins=min(60, max(10, math.isqrt(self.scores.size))))
        for group, colour, line, hatch in (
            ("bona fide", BONAFIDE_COLOUR, "-", None),
            ("spoof", SPOOF_COLOUR, "--", "////"),
        ):
            values = frame.loc[frame["group"] == group, "score"]
            style = {"bins": edges, "stat": "density", "element": "step", "alpha": 0.25, "linewidth": 1.6}
            style |= {"color": colour, "linestyle": line, "hatch": hatch, "label": f"{group} ({len(values):,})"}
            sns.histplot(x=values, ax=ax, **(style | options))
        ax.set_ylabel("Density, each class by itself")

    def _draw_boxes(self, ax: Axes, frame: pd.DataFrame, options: dict) -> None:
        import seaborn as sns

        names = list(dict.fromkeys(frame["group"]))
        palette = dict.fromkeys(names, SPOOF_COLOUR) | {"bona fide": BONAFIDE_COLOUR}
        style = {"order": names, "hue_order": names, "palette": palette, "legend": False, "orient": "h"}
        style |= {"width": 0.6, "fliersize": 2.5, "linewidth": 1.0, "saturation": 1.0}
        sns.boxplot(data=frame, x="score", y="group", hue="group", ax=ax, **(style | options))
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

    def _summary(self) -> pd.DataFrame:
        grouped = self._frame().groupby("group", sort=False)["score"]
        summary = pd.DataFrame({"n": grouped.size(), "mean": grouped.mean(), "sd": grouped.std()})
        for name, share in (("q05", 0.05), ("q25", 0.25), ("median", 0.5), ("q75", 0.75), ("q95", 0.95)):
            summary[name] = grouped.quantile(share)
        return summary.reset_index()


@dataclass(eq=False)
class TimelineDisplay(Display):
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

    ROWS: ClassVar[int] = 30

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
            As `dfdlib.detector.timelines.timelines` has them in its columns.
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
            f"Score over time{of(self.name)}, {self.scores.size:,} windows of "
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

    def _size(self) -> dict[str, float]:
        return {"width": 8.0, "height": 3.6}

    def _draw(self, ax: Axes, options: dict) -> None:
        middles = (self.starts + self.ends) / 2
        # The first and the last window hold to the ends of the recording.
        time = np.concatenate([self.starts[:1], middles, self.ends.max()[np.newaxis]])
        score = np.concatenate([self.scores[:1], self.scores, self.scores[-1:]])
        factor, unit = (1, "s") if self.ends.max() < 600 else (60, "min")
        if self.threshold is not None:
            _fill_sides(ax, time / factor, score, self.threshold)
        line = {"color": "black", "linewidth": 1.2 if self.scores.size <= 500 else 0.5}
        line |= {"marker": "."} if self.scores.size <= 100 else {}
        ax.plot(time / factor, score, **(line | options))
        lowest = int(self.scores.argmin())
        label = f"lowest: {_clock(self.starts[lowest])} to {_clock(self.ends[lowest])}"
        mark = {"color": SPOOF_COLOUR, "markeredgecolor": "white", "markersize": 9, "label": label}
        ax.plot(middles[lowest] / factor, self.scores[lowest], "v", **mark)
        ax.set(xlim=(self.starts[0] / factor, self.ends.max() / factor))
        ax.set(xlabel=f"Time ({unit})", ylabel="Score (higher = bona fide)")
        ax.margins(y=0.15)
        if self.name:
            ax.set_title(shown(self.name))
        look.legend_below(ax)


def _fill_sides(ax: Axes, time: np.ndarray, score: np.ndarray, line: float) -> None:
    """Fill between a score and its threshold, each side in the colour of its class, and draw the threshold."""
    for side, colour, hatch, label in (
        (score >= line, BONAFIDE_COLOUR, None, f"above {line:g}: more like bona fide"),
        (score <= line, SPOOF_COLOUR, "////", f"below {line:g}: more like spoof"),
    ):
        if side.any():
            paint = {"facecolor": colour, "edgecolor": colour, "hatch": hatch, "label": label}
            ax.fill_between(time, score, line, where=side, alpha=0.3, interpolate=True, linewidth=0, **paint)
    ax.axhline(line, color="black", linestyle=":", linewidth=1.4)


def _clock(seconds: float) -> str:
    """Write a time of a recording: 8.1 s, 2:08 or 1:02:08."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
