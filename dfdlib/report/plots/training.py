"""The losses of a training."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.report.plots.look import COLOURS, LINES, MARKERS, Display, of


@dataclass(eq=False)
class CurveDisplay(Display):
    """Training and validation loss, epoch by epoch, with a published run beside it if there is one."""

    epochs: np.ndarray  #: (e,)
    training: np.ndarray  #: (e,), mean losses
    validation: np.ndarray  #: (e,)
    published: dict[str, np.ndarray] | None = None  #: "training" and "validation", each (p,), from epoch 1
    name: str | None = None

    @classmethod
    def from_losses(
        cls,
        training: ArrayLike,
        validation: ArrayLike,
        *,
        published: Mapping[str, ArrayLike] | None = None,
        name: str | None = None,
    ) -> Self:
        """Keep the mean losses of each epoch (e,), from epoch 1.

        ``published`` holds the losses of another run under "training" and "validation", from epoch 1.
        """
        training, validation = np.asarray(training, dtype=float), np.asarray(validation, dtype=float)
        if training.size == 0 or training.shape != validation.shape:
            raise DataError(
                f"{training.size} training losses, {validation.size} validation losses; give one of each for every "
                "epoch, at least one"
            )
        if published is not None:
            if not {"training", "validation"} <= set(published):
                raise DataError("the published run needs the losses 'training' and 'validation'")
            published = {key: np.asarray(published[key], dtype=float) for key in ("training", "validation")}
        return cls(np.arange(1, training.size + 1), training, validation, published, name)

    @property
    def best(self) -> int:
        """Place of the lowest validation loss, the earliest if there are several."""
        return int(np.nanargmin(self.validation)) if np.isfinite(self.validation).any() else 0

    def alt(self) -> str:
        beside = ""
        if self.published is not None:
            losses = self.published["validation"]
            place = int(np.argmin(losses))
            beside = f"; the published run reached {losses[place]:.4f} in epoch {place + 1}"
        return (
            f"Loss{of(self.name)} from epoch {self.epochs[0]} to {self.epochs[-1]}: training {self.training[0]:.4f} to "
            f"{self.training[-1]:.4f}, validation {self.validation[0]:.4f} to {self.validation[-1]:.4f}, lowest "
            f"validation loss {self.validation[self.best]:.4f} in epoch {self.epochs[self.best]}{beside}."
        )

    def table(self) -> pd.DataFrame:
        """Return one row for each epoch."""
        table = pd.DataFrame({"epoch": self.epochs, "training": self.training, "validation": self.validation})
        if self.published is None:
            return table
        other = pd.DataFrame({f"{part}, as published": losses for part, losses in self.published.items()})
        return table.merge(other.assign(epoch=np.arange(1, len(other) + 1)), on="epoch", how="outer")

    def _draw(self, ax: Axes, options: dict) -> None:
        parts = {"training": self.training, "validation": self.validation}
        for index, (part, values) in enumerate(parts.items()):
            style = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index]}
            ax.plot(self.epochs, values, **(style | {"label": part} | options))
            if self.published is not None:
                losses = self.published[part]
                faint = {"alpha": 0.5, "markerfacecolor": "white", "linewidth": 1.0, "label": f"{part}, as published"}
                ax.plot(np.arange(1, losses.size + 1), losses, **(style | faint))
        point = self.epochs[self.best], self.validation[self.best]
        ax.plot(*point, "o", markersize=13, fillstyle="none", color="black", label="lowest validation loss")
        ax.set(xlabel="Epoch", ylabel="Mean cross-entropy loss (nats)")
        ax.set_ylim(bottom=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(loc="best")
