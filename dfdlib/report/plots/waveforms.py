"""Clips to be looked at."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.report.plots.look import Display, of, shown


@dataclass(eq=False)
class SpectrogramDisplay(Display):
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

    FLOOR: ClassVar[float] = -80.0

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

    def alt(self) -> str:
        """Return one sentence with the numbers of the figure."""
        energy = np.cumsum((10 ** (self.levels / 10)).sum(axis=1))
        edge = float(self.frequencies[np.searchsorted(energy, 0.95 * energy[-1])])
        return (
            f"Spectrogram{of(self.name)}, {self.duration:.2f} s at {self.rate:,} Hz: "
            f"95 % of the energy lies below {edge / 1000:.1f} kHz."
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

    def _size(self) -> dict[str, float]:
        return {"height": 3.2}

    def _draw(self, ax: Axes, options: dict) -> None:
        step, height = (self.times[1] - self.times[0]) / 2, self.frequencies[1] / 2000
        top = self.frequencies[-1] / 1000 + height
        look = {"cmap": "magma", "vmin": self.FLOOR, "vmax": 0, "interpolation": "nearest", "origin": "lower"}
        look |= {"aspect": "auto", "extent": (self.times[0] - step, self.times[-1] + step, -height, top)}
        image = ax.imshow(self.levels, **(look | options))
        ax.set(xlim=(0, self.duration), ylim=(0, self.rate / 2000))
        ax.set(xlabel="Time (s)", ylabel="Frequency (kHz)")
        ax.grid(visible=False)
        if self.name:
            ax.set_title(shown(self.name))
        ax.figure.colorbar(image, ax=ax, label="Level (dB below the loudest point)", pad=0.02)
