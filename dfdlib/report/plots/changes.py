"""Changes with their intervals, and the error of every attack in several columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation.intervals import Difference
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots.look import COLOURS, Display, minus, shown

#: How a change of each metric is written: name, unit, the side of zero that is an improvement, factor.
_MEASURES = {
    "eer": ("EER", " points", "left", 100.0),
    "hter": ("HTER", " points", "left", 100.0),
    "auc": ("AUC", "", "right", 1.0),
    "min_dcf": ("minDCF", "", "left", 1.0),
    "act_dcf": ("actual DCF", "", "left", 1.0),
    "cllr": ("Cllr", "", "left", 1.0),
}


@dataclass(eq=False)
class ForestDisplay(Display):
    """Changes with their intervals, one row for each, beside a line at zero.

    Attributes
    ----------
    rows : tuple of (str, str, Difference)
        Heading, name and change; rows of one heading stand together, "" has none.
    metric : str
        Of `METRICS`; error rates are shown in percentage points.
    level : float
        Coverage of the intervals, for the axis title.
    terms : (str, str)
        What is compared: the change is the first minus the second.
    """

    rows: tuple[tuple[str, str, Difference], ...]
    metric: str = "eer"
    level: float = 0.95
    terms: tuple[str, str] = ("after", "before")

    METRICS: ClassVar[tuple[str, ...]] = tuple(_MEASURES)

    @classmethod
    def from_differences(
        cls,
        differences: Mapping[str, Difference] | Mapping[str, Mapping[str, Difference]],
        *,
        metric: str = "eer",
        level: float = 0.95,
        terms: tuple[str, str] = ("after", "before"),
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
        return cls(tuple(rows), metric, level, terms)

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        name, unit, _, factor = _MEASURES[self.metric]
        places = 2 if factor > 1 else 3
        parts = [
            f"{f'{shown(heading)}, ' if heading else ''}{shown(row)} {factor * change.delta:+.{places}f}{unit} "
            f"({factor * change.low:+.{places}f} to {factor * change.high:+.{places}f})"
            for heading, row, change in self.rows
        ]
        return f"Change of {name}, {self._minus()}, with {100 * self.level:g} % intervals: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return both values, change and interval, one row for each name, in the unit of the metric (shares)."""
        table = pd.DataFrame(
            [{"group": heading, "name": name} | change._asdict() for heading, name, change in self.rows]
        )
        table = table.rename(columns=dict(zip(("after", "before"), self.terms, strict=True)))
        return table if table["group"].any() else table.drop(columns="group")

    def _size(self) -> dict[str, float]:
        return {"height": 1.5 + 0.36 * len(self._layout()[1])}

    def _layout(self) -> tuple[list[int], list[tuple[int, str, bool]]]:
        return _headed([heading for heading, _, _ in self.rows], [shown(name) for _, name, _ in self.rows])

    def _draw(self, ax: Axes, options: dict) -> None:
        name, unit, better, factor = _MEASURES[self.metric]
        places, ticks = self._layout()
        ax.axvline(0, color="black", linewidth=1.0)
        for place, (_, _, change) in zip(places, self.rows, strict=True):
            # full where the interval leaves out zero, hollow where it does not
            clear = change.low > 0 or change.high < 0
            look = {"color": COLOURS[0], "marker": "o", "capsize": 4, "markersize": 8, "linewidth": 1.8}
            look |= {"markerfacecolor": COLOURS[0] if clear else "white", "markeredgewidth": 1.6}
            error = [[factor * (change.delta - change.low)], [factor * (change.high - change.delta)]]
            # a bootstrap interval need not hold the value itself
            ax.errorbar(factor * change.delta, place, xerr=np.maximum(error, 0), **(look | options))
        title = f"Change of {name}{' in percentage points' if unit else ''}, {self._minus()}\n"
        title += f"({100 * self.level:g} % interval, full marker: without zero; {better} is better)"
        ax.set(xlabel=title, ylim=(-len(ticks) + 0.4, 0.6))
        _label_rows(ax, ticks)
        beside = ax.secondary_yaxis("right")
        beside.set_yticks(places, labels=[_figures(change, factor) for _, _, change in self.rows])
        beside.tick_params(length=0)
        beside.spines["right"].set_visible(False)
        ax.grid(axis="y", visible=False)

    def _minus(self) -> str:
        return " minus ".join(self.terms)


@dataclass(eq=False)
class AttackHeatmapDisplay(Display):
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

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        parts = []
        for column in self.columns:
            known = self.table_.dropna(subset=column)
            if known.empty:
                parts.append(f"{shown(column)} none")
                continue
            low, high = known.loc[known[column].idxmin()], known.loc[known[column].idxmax()]
            parts.append(
                f"{shown(column)} from {percent(low[column])} ({_where(low)}) to {percent(high[column])} "
                f"({_where(high)}), median {percent(known[column].median())}"
            )
        return f"Equal error rate of {len(self.table_)} attacks: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return the equal error rates in percent, one row for each attack."""
        table = self.table_.assign(**{name: 100 * self.table_[name] for name in self.columns})
        table = table.rename(columns={name: f"{name} (%)" for name in self.columns})
        return table if self.table_["corpus"].any() else table.drop(columns="corpus")

    def _size(self) -> dict[str, float]:
        rows = self._layout()[1]
        long = max(0, max(len(text) for _, text, _ in rows) - 20)
        width = max(4.6, min(9.0, 2.4 + 1.3 * len(self.columns))) + 0.08 * long
        return {"width": width, "height": 1.4 + 0.34 * len(rows)}

    def _layout(self) -> tuple[list[int], list[tuple[int, str, bool]]]:
        names = self.table_["attack"].map(shown)
        if "spoof clips" in self.table_:
            names = names + self.table_["spoof clips"].map("  ({:,})".format)
        return _headed(self.table_["corpus"].tolist(), names.tolist())

    def _draw(self, ax: Axes, options: dict) -> None:
        places, ticks = self._layout()
        values = self.table_[self.columns].to_numpy(dtype=float)
        look = {"cmap": "Blues", "vmin": 0, "vmax": 0.5, "edgecolor": "white", "linewidth": 1.5} | options
        for place, row in zip(places, values, strict=True):
            edges = np.arange(len(row) + 1) - 0.5
            mesh = ax.pcolormesh(edges, [place - 0.5, place + 0.5], row[None], **look)
            for column, value in enumerate(row):
                _write_cell(ax, column, place, value, shade=mesh.to_rgba(value) if np.isfinite(value) else (1, 1, 1, 1))
        ax.set_xlim(-0.5, len(self.columns) - 0.5)
        ax.set_ylim(-len(ticks) + 0.5, 0.5)
        _label_rows(ax, ticks)
        ax.set_xticks(range(len(self.columns)), labels=[shown(name, width=24) for name in self.columns])
        ax.tick_params(top=False, bottom=False, left=False, labeltop=True, labelbottom=False)
        note = "EER (%), each attack against\nall bona fide clips; darker is worse"
        if (values > 0.5).any():
            note += "\nhatched: over 50 %, worse than guessing"
        ax.set_xlabel(note)
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(False)


def _write_cell(ax: Axes, column: int, place: int, value: float, *, shade: ArrayLike) -> None:
    """Write a rate into its cell, hatched where it is unknown or beyond guessing."""
    known, beyond = np.isfinite(value), value > 0.5
    dark = luminance(shade) < 0.179  # where white and black are equally far
    if beyond or not known:
        lines = {"facecolor": "none", "linewidth": 0, "hatch": "xx" if beyond else ".."}
        lines |= {"edgecolor": "#6b93c4" if beyond else "#bbbbbb"}
        ax.add_patch(Rectangle((column - 0.5, place - 0.5), 1, 1, **lines))
    text = {"ha": "center", "va": "center", "color": "white" if dark else "black", "fontsize": 10}
    if beyond:
        text["bbox"] = {"facecolor": shade, "edgecolor": "none", "pad": 1.2}  # keeps the figure clear of the hatching
    ax.text(column, place, f"{100 * value:.1f}" if known else "–", **text)


def luminance(colour: ArrayLike) -> float:
    """Return the relative luminance of a colour (WCAG 2), 0 for black and 1 for white."""
    parts = mpl.colors.to_rgb(colour)
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _headed(headings: Sequence[str], names: Sequence[str]) -> tuple[list[int], list[tuple[int, str, bool]]]:
    """Lay rows out from the top, at 0, -1 and so on, with a row for each new heading.

    Returns the place of each row, and of every line its place, its text and whether it is a heading.
    """
    places, lines, last = [], [], ""
    for heading, name in zip(headings, names, strict=True):
        if heading and heading != last:
            lines.append((-len(lines), shown(heading), True))
        last = heading
        places.append(-len(lines))
        lines.append((-len(lines), name, False))
    return places, lines


def _label_rows(ax: Axes, lines: Sequence[tuple[int, str, bool]]) -> None:
    ax.set_yticks([place for place, _, _ in lines], labels=[text for _, text, _ in lines])
    ax.tick_params(axis="y", length=0)
    for label, (_, _, heading) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if heading else "normal")


def _figures(change: Difference, factor: float) -> str:
    places = 1 if factor > 1 else 3
    delta, low, high = (f"{factor * value:+.{places}f}" for value in (change.delta, change.low, change.high))
    return minus(f"{delta}  ({low} to {high})")


def _where(row: pd.Series) -> str:
    return ", ".join(shown(row[name]) for name in ("attack", "corpus") if row[name])
