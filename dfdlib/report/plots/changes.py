"""Changes with their intervals, and the error of every attack in several columns."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dfdlib.errors import DataError
from dfdlib.evaluation.intervals import Difference
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots.look import COLOURS, Display, minus, shown

#: Of numbers on a shade: not quite white and black, which a dark page swaps.
_LIGHT, _DARK = "#fefefe", "#010101"


@dataclass(eq=False)
class ForestDisplay(Display):
    """Changes of the equal error rate with their intervals, one row for each, beside a line at zero."""

    rows: Mapping[str, Difference]  #: by name
    level: float = 0.95  #: coverage of the intervals
    terms: tuple[str, str] = ("after", "before")  #: the change is the first minus the second

    @classmethod
    def from_differences(
        cls, differences: Mapping[str, Difference], *, level: float = 0.95, terms: tuple[str, str] = ("after", "before")
    ) -> Self:
        """Keep the differences by name, the coverage of their intervals, and what is subtracted from what."""
        if not differences:
            raise DataError("no differences to draw; give at least one")
        return cls(dict(differences), level, terms)

    def alt(self) -> str:
        parts = []
        for name, change in self.rows.items():
            delta, low, high = (f"{100 * value:+.2f}" for value in (change.delta, change.low, change.high))
            parts.append(f"{shown(name)} {delta} points ({low} to {high})")
        return f"Change of EER, {self._minus()}, with {100 * self.level:g} % intervals: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return both values, change and interval as shares, one row for each name."""
        table = pd.DataFrame([{"name": name} | change._asdict() for name, change in self.rows.items()])
        return table.rename(columns=dict(zip(("after", "before"), self.terms, strict=True)))

    @property
    def size(self) -> dict[str, float]:
        """Width and height of a figure of its own in inches."""
        return {"width": 6.4, "height": 1.5 + 0.36 * len(self.rows)}

    def _draw(self, ax: Axes, options: dict) -> None:
        style = {"color": COLOURS[0], "marker": "o", "capsize": 4, "markersize": 8, "linewidth": 1.8}
        places = _label_rows(ax, [(shown(name), False) for name in self.rows], margin=0.6)
        ax.axvline(0, color="black", linewidth=1.0)
        labels = []
        for place, change in zip(places, self.rows.values(), strict=True):
            # full where the interval leaves out zero, hollow where it does not
            clear = change.low > 0 or change.high < 0
            face = {"markerfacecolor": COLOURS[0] if clear else "white", "markeredgewidth": 1.6}
            # a bootstrap interval need not hold the value itself
            reach = np.maximum([[change.delta - change.low], [change.high - change.delta]], 0)
            ax.errorbar(100 * change.delta, place, xerr=100 * reach, **(style | face | options))
            delta, low, high = (f"{100 * value:+.1f}" for value in (change.delta, change.low, change.high))
            labels.append(minus(f"{delta}  ({low} to {high})"))
        note = f"({100 * self.level:g} % interval, full marker: without zero; left is better)"
        ax.set_xlabel(f"Change of EER in percentage points, {self._minus()}\n{note}")
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

    table_: pd.DataFrame  #: a row an attack: "corpus", "attack", "spoof clips", and the columns
    columns: list[str]

    @classmethod
    def from_table(cls, table: pd.DataFrame, *, columns: Sequence[str]) -> Self:
        """Keep ``corpus attack n_spoof`` of a row an attack, and columns of EERs (shares, NaN for none) to compare."""
        columns = list(columns)
        missing = [name for name in ("corpus", "attack", "n_spoof", *columns) if name not in table]
        if missing or not columns or table.empty:
            raise DataError(
                "a heat map needs corpus, attack, n_spoof, and at least one column of EERs and one row; missing: "
                f"{', '.join(missing) or 'rows or columns'}"
            )
        table = table.rename(columns={"n_spoof": "spoof clips"}).reset_index(drop=True)
        values = table[columns].to_numpy(dtype=float)
        if ((values < 0) | (values > 1)).any():
            raise DataError(f"EERs from {np.nanmin(values):g} to {np.nanmax(values):g}: must be shares from 0 to 1")
        # Attacks of one corpus stand together, in the order in which the corpora first appear.
        order = pd.Series(pd.factorize(table["corpus"])[0]).sort_values(kind="stable").index
        kept = ["corpus", "attack", "spoof clips", *columns]
        return cls(table.loc[order, kept].reset_index(drop=True), columns)

    def alt(self) -> str:
        parts = []
        for column in self.columns:
            known = self.table_.dropna(subset=column)
            if known.empty:
                parts.append(f"{shown(column)} none")
                continue
            (low, lowest), (high, highest) = (
                (percent(row[column]), f"{shown(row['attack'])}, {shown(row['corpus'])}")
                for row in (known.loc[known[column].idxmin()], known.loc[known[column].idxmax()])
            )
            median = percent(known[column].median())
            parts.append(f"{shown(column)} from {low} ({lowest}) to {high} ({highest}), median {median}")
        return f"Equal error rate of {len(self.table_)} attacks: {'; '.join(parts)}."

    def table(self) -> pd.DataFrame:
        """Return the equal error rates in percent, one row for each attack."""
        table = self.table_.assign(**{name: 100 * self.table_[name] for name in self.columns})
        return table.rename(columns={name: f"{name} (%)" for name in self.columns})

    @property
    def size(self) -> dict[str, float]:
        """Width and height of a figure of its own in inches."""
        lines = self._lines()
        long = max(0, max(len(text) for text, _ in lines) - 20)
        width = max(4.6, min(9.0, 2.4 + 1.3 * len(self.columns))) + 0.08 * long
        return {"width": width, "height": 1.4 + 0.34 * len(lines)}

    def _lines(self) -> list[tuple[str, bool]]:
        """Return the lines from the top, each corpus on one of its own, and whether they are headings."""
        lines, last = [], None
        for row in self.table_.to_dict("records"):
            if row["corpus"] != last:
                lines.append((shown(row["corpus"]), True))
            last = row["corpus"]
            lines.append((f"{shown(row['attack'])}  ({row['spoof clips']:,})", False))
        return lines

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


def _label_rows(ax: Axes, lines: Sequence[tuple[str, bool]], *, margin: float) -> list[int]:
    """Set lines beside the axes at 0, -1 and so on, and return the places of those that are no headings."""
    ax.set_yticks(range(0, -len(lines), -1), labels=[text for text, _ in lines])
    ax.set_ylim(1 - len(lines) - margin, margin)
    ax.tick_params(axis="y", length=0)
    for label, (_, is_heading) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if is_heading else "normal")
    return [-place for place, (_, is_heading) in enumerate(lines) if not is_heading]
