"""The losses of a training."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.report.plots.look import COLOURS, LINES, MARKERS, Display, of


@dataclass(eq=False)
class CurveDisplay(Display):
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

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        first, last = self.epochs[0], self.epochs[-1]
        beside = ""
        if self.published is not None:
            losses = self.published["validation"]
            place = int(np.argmin(losses))
            beside = f"; the published run reached {losses[place]:.4f} in epoch {place + 1}"
        return (
            f"Loss{of(self.name)} from epoch {first} to {last}: training {self.training[0]:.4f} to "
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
        for index, (part, values) in enumerate((("training", self.training), ("validation", self.validation))):
            look = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index]}
            ax.plot(self.epochs, values, **(look | {"label": part} | options))
            if self.published is not None:
                losses = self.published[part]
                look |= {"alpha": 0.5, "markerfacecolor": "white", "linewidth": 1.0, "label": f"{part}, as published"}
                ax.plot(np.arange(1, losses.size + 1), losses, **look)
        point = self.epochs[self.best], self.validation[self.best]
        ax.plot(*point, "o", markersize=13, fillstyle="none", color="black", label="lowest validation loss")
        ax.set(xlabel="Epoch", ylabel="Mean cross-entropy loss (nats)")
        ax.set_ylim(bottom=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(loc="best")
