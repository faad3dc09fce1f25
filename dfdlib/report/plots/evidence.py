"""What log-likelihood ratios are worth as evidence: Tippett plots and empirical cross-entropy."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib.evaluation import evidence, metrics
from dfdlib.evaluation.metrics import percent
from dfdlib.report.plots import look
from dfdlib.report.plots.look import Display, entry, of

#: Prior odds that the axis and the table of an entropy plot show.
_ODDS = {-2: "1:100", -1: "1:10", 0: "1:1", 1: "10:1", 2: "100:1"}
#: Bits that an entropy plot shows at most; 1 is the most that a system costs that does not listen.
_MOST = 1.6


@dataclass(eq=False)
class TippettDisplay(Display):
    """The share of each class with a log-likelihood ratio (LLR) or a higher one; LLR > 0 supports bona fide."""

    found: evidence.Tippett
    name: str | None = None

    size: ClassVar = {"width": 4.1, "height": 4.7}

    @classmethod
    def from_llrs(cls, labels: ArrayLike, llr: ArrayLike, *, name: str | None = None) -> Self:
        """Compute the curves of labels (n,) and natural-log likelihood ratios (n,)."""
        return cls(evidence.tippett(labels, llr), name)

    def alt(self) -> str:
        bonafide, spoof = self._misleading()
        return (
            f"Tippett plot{of(self.name)}, log-likelihood ratios from {self.found.llr[0]:.2f} to "
            f"{self.found.llr[-1]:.2f}: {percent(bonafide)} of bona fide clips lie below 0 and {percent(spoof)} of "
            "spoof clips above."
        )

    def table(self) -> pd.DataFrame:
        """Return the shares of each class at or above whole LLRs, in percent."""
        ends = math.floor(max(self.found.llr[0], -12)), math.ceil(min(self.found.llr[-1], 12))
        llr = np.arange(ends[0], ends[1] + 1)
        place = np.searchsorted(self.found.llr, llr)
        shares = {
            f"{name} at or above (%)": 100 * np.append(curve, 0.0)[place]
            for name, curve in (("bona fide", self.found.bonafide), ("spoof", self.found.spoof))
        }
        return pd.DataFrame({"log-likelihood ratio": llr} | shares)

    def _misleading(self) -> tuple[float, float]:
        """Return the share of bona fide trials below an LLR of 0, and that of spoofs above."""
        at, above = (np.searchsorted(self.found.llr, 0.0, side=side) for side in ("left", "right"))
        return 1 - float(np.append(self.found.bonafide, 0.0)[at]), float(np.append(self.found.spoof, 0.0)[above])

    def _draw(self, ax: Axes, options: dict) -> None:
        style = look.next_look(ax, "tippett") | {"markevery": []}
        bonafide, spoof = self._misleading()
        label = entry(self.name, f"misleading {percent(bonafide)}, {percent(spoof)}")
        llr = np.concatenate((self.found.llr[:1], self.found.llr, self.found.llr[-1:]))
        for kind, curve, width in (("tippett", self.found.bonafide, 2.2), ("spoof", self.found.spoof, 1.1)):
            line = {"gid": kind, "drawstyle": "steps-pre", "linewidth": width} | style
            line |= {"label": label} if kind == "tippett" else {}
            ax.plot(llr, 100 * np.concatenate(([1.0], curve, [0.0])), **(line | options))
        if len(look.series(ax, "tippett")) == 1:
            ax.axvline(0, color=look.GREY, linewidth=0.8, linestyle=":", zorder=1)
        ax.set_ylim(-2, 102)
        ax.set_xlabel("Log-likelihood ratio (natural logarithm)\n← supports spoof, supports bona fide →")
        ax.set_ylabel("Clips with this ratio or a higher one (%)")
        note = "thick: bona fide, thin: spoof\nmisleading: bona fide below 0, spoof above"
        look.legend_below(ax, lines=2, title=note)


@dataclass(eq=False)
class EntropyDisplay(Display):
    """Empirical cross-entropy: what the LLRs leave unknown at each prior, beside the best map of them and the prior."""

    found: evidence.Entropy
    cllr: float
    min_cllr: float
    name: str | None = None

    size: ClassVar = {"width": 4.1, "height": 4.7}

    @classmethod
    def from_llrs(cls, labels: ArrayLike, llr: ArrayLike, *, name: str | None = None) -> Self:
        """Compute the curves of labels (n,) and natural-log likelihood ratios (n,)."""
        return cls(evidence.entropy(labels, llr), metrics.cllr(labels, llr), metrics.min_cllr(labels, llr), name)

    def alt(self) -> str:
        actual, _, prior = self.found[1:]
        worse = self.found.log10_odds[actual > prior + 1e-9]
        where = "at no prior more than the prior alone"
        if worse.size:
            where = f"more than the prior alone at some odds from 10^{worse[0]:.1f} to 10^{worse[-1]:.1f}"
        return (
            f"Empirical cross-entropy{of(self.name)}: at even odds (Cllr) {self.cllr:.3f} bits, {self.min_cllr:.3f} by "
            f"the best map; it costs {where}."
        )

    def table(self) -> pd.DataFrame:
        """Return the three curves in bits at a few prior odds."""
        rows = np.searchsorted(self.found.log10_odds, [place - 1e-9 for place in _ODDS])
        columns = {"as they are": self.found.actual, "best map": self.found.least, "prior alone": self.found.prior}
        return pd.DataFrame({"prior odds": list(_ODDS.values())} | {name: row[rows] for name, row in columns.items()})

    def _draw(self, ax: Axes, options: dict) -> None:
        style = look.next_look(ax, "entropy") | {"markevery": []}
        odds = self.found.log10_odds
        label = entry(self.name, f"Cllr {self.cllr:.2f}, best map {self.min_cllr:.2f}")
        ax.plot(odds, self.found.actual, **({"gid": "entropy", "linewidth": 2.2, "label": label} | style | options))
        ax.plot(odds, self.found.least, **({"gid": "least", "linewidth": 1.1} | style | options))
        if len(look.series(ax, "entropy")) == 1:
            ax.plot(odds, self.found.prior, color=look.GREY, linewidth=1.2, linestyle=":", zorder=1)
        highest = max(line.get_ydata().max() for line in look.series(ax, "entropy"))
        ax.set(xlim=(odds[0], odds[-1]), ylim=(0, min(_MOST, max(1.05, 1.05 * highest))))
        ax.set_xticks(list(_ODDS), labels=list(_ODDS.values()))
        ax.set_xlabel("Prior odds, bona fide to spoof")
        ax.set_ylabel("Cross-entropy (bits)")
        look.legend_below(ax, title="thick: as they are, thin: best map\ndotted: the prior alone")
