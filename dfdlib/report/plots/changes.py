"""Changes with their intervals, and the error of every attack in several columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation.intervals import Difference
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots.look import COLOURS, Display, minus, shown


class _Measure(NamedTuple):
    """How a change of a metric is written."""

    name: str
    factor: float = 1.0  # 100 for rates, which are shown in percentage points
    better: str = "left"  # the side of zero that is an improvement

    def signed(self, value: float, *, places: int) -> str:
        return f"{self.factor * value:+.{places if self.factor > 1 else 3}f}"


#: Of each metric whose change can be drawn.
_MEASURES = {
    "eer": _Measure("EER", 100.0),
    "hter": _Measure("HTER", 100.0),
    "auc": _Measure("AUC", better="right"),
    "min_dcf": _Measure("minDCF"),
    "act_dcf": _Measure("actual DCF"),
    "cllr": _Measure("Cllr"),
}


#: Of numbers on a shade: not quite white and black, which a dark page swaps.
_LIGHT, _DARK = "#fefefe", "#010101"


@dataclass(eq=False)
class ForestDisplay(Display):
    """Changes with their intervals, one row for each, beside a line at zero."""

    rows: tuple[tuple[str, str, Difference], ...]  #: heading ("" for none), name and change; headings stand together
    metric: str = "eer"  #: of `METRICS`; error rates are shown in percentage points
    level: float = 0.95  #: coverage of the intervals
    terms: tuple[str, str] = ("after", "before")  #: the change is the first minus the second

    METRICS: ClassVar[tuple[str, ...]] = tuple(_MEASURES)

    @classmethod
    def from_differences(
        cls,
        differences: Mapping[str, Difference] | Mapping[str, Mapping[str, Difference]],
        *,
        metric: str = "eer",
        level: float = 0.95,
        terms: tuple[str, str] = ("after", "before"),
    ) -> Self:
        """Keep the differences by name, or by heading and name: corpus and recipe, for example.

        Parameters
        ----------
        differences : mapping
        metric : str
            One of `METRICS`.
        level : float
            Coverage of the intervals, for the title of the axis.
        terms : (str, str)
            What is compared: the change is the first minus the second.
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
        measure = _MEASURES[self.metric]
        unit = " points" if measure.factor > 1 else ""
        parts = []
        for heading, row, change in self.rows:
            delta, low, high = (measure.signed(value, places=2) for value in (change.delta, change.low, change.high))
            under = f"{shown(heading)}, " if heading else ""
            parts.append(f"{under}{shown(row)} {delta}{unit} ({low} to {high})")
        return f"Change of {measure.name}, {self._minus()}, with {100 * self.level:g} % intervals: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return both values, change and interval, one row for each name, in the unit of the metric (shares)."""
        rows = [{"group": heading, "name": name} | change._asdict() for heading, name, change in self.rows]
        table = pd.DataFrame(rows).rename(columns=dict(zip(("after", "before"), self.terms, strict=True)))
        return table if table["group"].any() else table.drop(columns="group")

    @property
    def size(self) -> dict[str, float]:
        """Width and height of a figure of its own in inches."""
        return {"width": 6.4, "height": 1.5 + 0.36 * len(self._lines())}

    def _lines(self) -> list[tuple[str, bool]]:
        return _headed([heading for heading, _, _ in self.rows], [shown(name) for _, name, _ in self.rows])

    def _draw(self, ax: Axes, options: dict) -> None:
        measure = _MEASURES[self.metric]
        style = {"color": COLOURS[0], "marker": "o", "capsize": 4, "markersize": 8, "linewidth": 1.8}
        places, labels = _label_rows(ax, self._lines(), margin=0.6), []
        ax.axvline(0, color="black", linewidth=1.0)
        for place, (_, _, change) in zip(places, self.rows, strict=True):
            # full where the interval leaves out zero, hollow where it does not
            clear = change.low > 0 or change.high < 0
            face = {"markerfacecolor": COLOURS[0] if clear else "white", "markeredgewidth": 1.6}
            # a bootstrap interval need not hold the value itself
            reach = np.maximum([[change.delta - change.low], [change.high - change.delta]], 0)
            ax.errorbar(measure.factor * change.delta, place, xerr=measure.factor * reach, **(style | face | options))
            delta, low, high = (measure.signed(value, places=1) for value in (change.delta, change.low, change.high))
            labels.append(minus(f"{delta}  ({low} to {high})"))
        unit = " in percentage points" if measure.factor > 1 else ""
        note = f"({100 * self.level:g} % interval, full marker: without zero; {measure.better} is better)"
        ax.set_xlabel(f"Change of {measure.name}{unit}, {self._minus()}\n{note}")
        beside = ax.secondary_yaxis("right")
        beside.set_yticks(places, labels=labels)
        beside.tick_params(length=0)
        beside.spines["right"].set_visible(False)
        ax.grid(axis="y", visible=False)

    def _minus(self) -> str:
        return " minus ".join(self.terms)


@dataclass(eq=False)
class AttackHeatmapDisplay(Display):
    """The equal error rate of every attack in several columns, such as stages or recipes, written into each cell."""

    table_: pd.DataFrame  #: a row an attack: "corpus" (may be ""), "attack", perhaps "spoof clips", and the columns
    columns: list[str]

    @classmethod
    def from_table(cls, table: pd.DataFrame, *, columns: Sequence[str]) -> Self:
        """Keep a table with a row for each attack and a column of EERs (shares, NaN for none) for each thing compared.

        Parameters
        ----------
        table : DataFrame
            With "attack", perhaps "corpus", perhaps "spoof clips" or "n_spoof", and ``columns``.
        columns : sequence of str
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
        order = pd.Series(pd.factorize(table["corpus"])[0]).sort_values(kind="stable").index
        return cls(table.loc[order, kept + columns].reset_index(drop=True), columns)

    def alt(self) -> str:
        parts = []
        for column in self.columns:
            known = self.table_.dropna(subset=column)
            if known.empty:
                parts.append(f"{shown(column)} none")
                continue
            (low, lowest), (high, highest) = (
                (percent(row[column]), ", ".join(shown(row[name]) for name in ("attack", "corpus") if row[name]))
                for row in (known.loc[known[column].idxmin()], known.loc[known[column].idxmax()])
            )
            median = percent(known[column].median())
            parts.append(f"{shown(column)} from {low} ({lowest}) to {high} ({highest}), median {median}")
        return f"Equal error rate of {len(self.table_)} attacks: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return the equal error rates in percent, one row for each attack."""
        table = self.table_.assign(**{name: 100 * self.table_[name] for name in self.columns})
        table = table.rename(columns={name: f"{name} (%)" for name in self.columns})
        return table if self.table_["corpus"].any() else table.drop(columns="corpus")

    @property
    def size(self) -> dict[str, float]:
        """Width and height of a figure of its own in inches."""
        lines = self._lines()
        long = max(0, max(len(text) for text, _ in lines) - 20)
        width = max(4.6, min(9.0, 2.4 + 1.3 * len(self.columns))) + 0.08 * long
        return {"width": width, "height": 1.4 + 0.34 * len(lines)}

    def _lines(self) -> list[tuple[str, bool]]:
        names = self.table_["attack"].map(shown)
        if "spoof clips" in self.table_:
            names = names + self.table_["spoof clips"].map("  ({:,})".format)
        return _headed(self.table_["corpus"], names)

    def _draw(self, ax: Axes, options: dict) -> None:
        values = self.table_[self.columns].to_numpy(dtype=float)
        style = {"cmap": "Blues", "vmin": 0, "vmax": 0.5, "edgecolor": "white", "linewidth": 1.5}
        for place, row in zip(_label_rows(ax, self._lines(), margin=0.5), values, strict=True):
            edges = np.arange(len(row) + 1) - 0.5
            mesh = ax.pcolormesh(edges, [place - 0.5, place + 0.5], row[None], **(style | options))
            for column, value in enumerate(row):
                _write_cell(ax, column, place, value, shade=mesh.to_rgba(value) if np.isfinite(value) else "white")
        ax.set_xlim(-0.5, len(self.columns) - 0.5)
        ax.set_xticks(range(len(self.columns)), labels=[shown(name, width=24) for name in self.columns])
        ax.tick_params(top=False, bottom=False, left=False, labeltop=True, labelbottom=False)
        note = "EER (%), each attack against\nall bona fide clips; darker is worse"
        if (values > 0.5).any():
            note += "\nhatched: over 50 %, worse than guessing"
        ax.set_xlabel(note)
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(False)


def _write_cell(ax: Axes, column: int, place: int, value: float, *, shade: tuple | str) -> None:
    """Write a rate into its cell, hatched where it is unknown or beyond guessing."""
    from seaborn.utils import relative_luminance

    known, beyond = np.isfinite(value), value > 0.5
    if beyond or not known:
        hatch, colour = ("xx", "#6b93c4") if beyond else ("..", "#bbbbbb")
        paint = {"facecolor": "none", "edgecolor": colour, "linewidth": 0, "hatch": hatch}
        ax.add_patch(Rectangle((column - 0.5, place - 0.5), 1, 1, **paint))
    dark = relative_luminance(shade) < 0.179  # where white and black are equally far
    clear = {"facecolor": shade, "edgecolor": "none", "pad": 1.2} if beyond else None  # of the hatching
    text = {"ha": "center", "va": "center", "color": _LIGHT if dark else _DARK, "fontsize": 10, "bbox": clear}
    ax.text(column, place, f"{100 * value:.1f}" if known else "–", **text)


def _headed(headings: Sequence[str], names: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the lines of rows from the top, each new heading on one of its own, and whether they are headings."""
    lines, last = [], ""
    for heading, name in zip(headings, names, strict=True):
        if heading and heading != last:
            lines.append((shown(heading), True))
        last = heading
        lines.append((name, False))
    return lines


def _label_rows(ax: Axes, lines: Sequence[tuple[str, bool]], *, margin: float) -> list[int]:
    """Set lines beside the axes at 0, -1 and so on, and return the places of those that are no headings."""
    ax.set_yticks(range(0, -len(lines), -1), labels=[text for text, _ in lines])
    ax.set_ylim(1 - len(lines) - margin, margin)
    ax.tick_params(axis="y", length=0)
    for label, (_, is_heading) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if is_heading else "normal")
    return [-place for place, (_, is_heading) in enumerate(lines) if not is_heading]
