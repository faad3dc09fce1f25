"""The common look of all figures, and what their Displays share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from dfdlib.text import shown

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of Okabe and Ito (2008), without the yellow, which is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BONAFIDE_COLOUR, SPOOF_COLOUR = COLOURS[0], COLOURS[1]
GREY = "#6b6b6b"
#: The smallest size of text in points: the page shows no figure below 1.2 pixels a point, so that it has 11.
SMALLEST = 9.25

#: Matplotlib's settings for all figures.
_SETTINGS = {
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
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "#cccccc",
    "legend.handlelength": 3.2,  # long enough to tell line styles apart
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "dfdlib",  # the same figure gives the same bytes
    "svg.fonttype": "none",  # text stays text: it is found, read aloud, and takes the colours of a page
    "text.parse_math": False,  # a $ in the name of an attack is a $
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the common look inside the block, and leave matplotlib's settings as they were after it."""
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name may hold any character; what the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield


def figure(*, rows: int = 1, columns: int = 1, width: float = 4.1, height: float = 3.3) -> tuple[Figure, Axes]:
    """Return a new figure of a size in inches, and its axes: an ndarray (rows, columns) if there are several.

    By default it is as wide as a phone shows with text that can be read.

    No window and no global list of figures knows about it.
    """
    with style():
        drawn = Figure(figsize=(width, height), layout="constrained")
        drawn.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches, away from the round corners
        axes = drawn.subplots(rows, columns, squeeze=False)
    return drawn, axes[0, 0] if axes.size == 1 else axes


class Display:
    """A figure of one kind: its numbers, how they are drawn, one sentence and one table that tell the same."""

    #: Width and height of a figure of its own in inches, as far as they differ from those of `figure`.
    size: dict[str, float] = MappingProxyType({})
    #: Where it was drawn last.
    ax_: Axes | None = None
    figure_: Figure | None = None

    def plot(self, ax: Axes | None = None, **options) -> Self:
        """Draw on axes, or on a new figure, and return this Display; ``options`` go to matplotlib and win."""
        with style():
            if ax is None:
                _, ax = figure(**self.size)
            self.ax_, self.figure_ = ax, ax.figure
            self._draw(ax, options)
            # Axes that were made elsewhere hold texts that would still be read as formulas.
            for text in ax.findobj(Text):
                text.set_parse_math(False)
        return self

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure, for whoever cannot see it."""
        raise NotImplementedError

    def table(self) -> DataFrame:
        """Return the numbers of the figure, thinned where thousands of points are drawn."""
        raise NotImplementedError

    def _draw(self, ax: Axes, options: dict) -> None:
        raise NotImplementedError


# --- words ---


def of(name: str | None) -> str:
    """Return " of name" for a sentence, or nothing."""
    return f" of {shown(name, width=120)}" if name else ""


def entry(name: str | None, figures: str) -> str:
    """Return the legend entry of a series: its name and its figures."""
    # matplotlib leaves out entries that begin with an underscore
    start = "\u200b" if (name or "").startswith("_") else ""
    return f"{start}{shown(name)}: {figures}" if name else figures


def minus(number: str) -> str:
    """Write a number as matplotlib writes its ticks, with a true minus sign."""
    return number.replace("-", "\u2212")


# --- parts of figures ---


def series(ax: Axes, kind: str) -> list[Line2D]:
    """Return the lines of a kind on these axes: a curve, or a mark on it."""
    return [line for line in ax.lines if line.get_gid() == kind]


def next_look(ax: Axes, kind: str) -> dict:
    """Return colour, line style and marker of the next series of a kind on these axes."""
    place = len(series(ax, kind)) % len(COLOURS)
    return {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place], "markeredgecolor": "white"}


def diagonal(ax: Axes, ends: Sequence[float]) -> None:
    """Draw the diagonal of a square frame, thin and dotted."""
    ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":", zorder=1)


def band(ax: Axes, line: Line2D, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Draw an interval around a line: a tint, and thin edges in the line's own style for black and white."""
    colour = line.get_color()
    ax.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1.5)
    for edge in (low, high):
        ax.plot(x, edge, color=colour, linestyle=line.get_linestyle(), linewidth=0.6, alpha=0.8, zorder=1.6)


def legend_below(ax: Axes, *, lines: int = 1, title: str | None = None) -> None:
    """Put the legend under the title of the x axis, which has so many lines: nothing can run into it there."""
    under = ax.transAxes + ScaledTranslation(0, -(26 + 14 * lines) / 72, ax.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": under, "borderaxespad": 0, "borderpad": 0}
    ax.legend(**place, frameon=False, title=title, title_fontsize=SMALLEST, alignment="left")
