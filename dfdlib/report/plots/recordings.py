"""Recordings over time: their scores, and their spectrograms."""

# Signatures say "ArrayLike" then, not all that an array may be.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from dfdlib.errors import DataError
from dfdlib.report.plots import look
from dfdlib.report.plots.look import BONAFIDE_COLOUR, SPOOF_COLOUR, Display, minus, of, shown


@dataclass(eq=False)
class TimelineDisplay(Display):
    """Scores of a recording over its time, window by window: a spoofed passage shows as a dip."""

    starts: np.ndarray  #: (w,), seconds, rising
    ends: np.ndarray  #: (w,), seconds
    scores: np.ndarray  #: (w,)
    threshold: float | None = 0.0  #: drawn as a line; the sides of it are named
    name: str | None = None

    size: ClassVar = {"width": 8.0, "height": 3.6}

    @classmethod
    def from_windows(
        cls,
        starts: ArrayLike,
        ends: ArrayLike,
        scores: ArrayLike,
        *,
        threshold: float | None = 0.0,
        name: str | None = None,
    ) -> Self:
        """Keep the windows of one recording (w,), as `dfdlib.detector.timelines.timelines` has them in its columns.

        At a threshold of 0 the difference of two logits says that both classes are as likely.
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

    def _draw(self, ax: Axes, options: dict) -> None:
        factor, unit = (1, "s") if self.ends.max() < 600 else (60, "min")
        middles = (self.starts + self.ends) / 2
        # The first and the last window hold to the ends of the recording.
        time = np.concatenate([self.starts[:1], middles, self.ends.max()[np.newaxis]]) / factor
        score = np.concatenate([self.scores[:1], self.scores, self.scores[-1:]])
        if self.threshold is not None:
            _fill_sides(ax, time, score, self.threshold)
        width, marker = 1.2 if self.scores.size <= 500 else 0.5, "." if self.scores.size <= 100 else ""
        ax.plot(time, score, **({"color": "black", "linewidth": width, "marker": marker} | options))
        lowest = int(self.scores.argmin())
        label = f"lowest: {_clock(self.starts[lowest])} to {_clock(self.ends[lowest])}"
        mark = {"color": SPOOF_COLOUR, "markeredgecolor": "white", "markersize": 9, "label": label}
        ax.plot(middles[lowest] / factor, self.scores[lowest], "v", **mark)
        ax.set(xlim=(time[0], time[-1]), xlabel=f"Time ({unit})", ylabel="Score (higher = bona fide)")
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


@dataclass(eq=False)
class SpectrogramDisplay(Display):
    """Level of a clip over time and frequency."""

    times: np.ndarray  #: (t,), seconds, middle of each frame
    frequencies: np.ndarray  #: (f,), Hz
    levels: np.ndarray  #: (f, t), dB below the loudest point, not under `FLOOR`
    duration: float  #: seconds
    rate: int  #: samples a second
    name: str | None = None

    size: ClassVar = {"height": 3.2}
    FLOOR: ClassVar[float] = -80.0

    @classmethod
    def from_wave(cls, wave: ArrayLike, *, rate: int, name: str | None = None) -> Self:
        """Compute the spectrogram of a mono clip (n,): Hann frames of 25 ms, one every 10 ms."""
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
        energy = np.cumsum((10 ** (self.levels / 10)).sum(axis=1))
        edge = float(self.frequencies[np.searchsorted(energy, 0.95 * energy[-1])])
        return (
            f"Spectrogram{of(self.name)}, {self.duration:.2f} s at {self.rate:,} Hz: "
            f"95 % of the energy lies below {edge / 1000:.1f} kHz."
        )

    def _draw(self, ax: Axes, options: dict) -> None:
        image = self.lay(ax, options)
        ax.figure.colorbar(image, ax=ax, label="Level (dB below the loudest point)", pad=0.02)

    def lay(self, ax: Axes, options: dict) -> AxesImage:
        """Draw the levels alone, without a scale of their colours."""
        step, height = (self.times[1] - self.times[0]) / 2, self.frequencies[1] / 2000
        extent = (self.times[0] - step, self.times[-1] + step, -height, self.frequencies[-1] / 1000 + height)
        colours = {"cmap": "magma", "vmin": self.FLOOR, "vmax": 0, "interpolation": "nearest"}
        place = {"origin": "lower", "aspect": "auto", "extent": extent}
        image = ax.imshow(self.levels, **(colours | place | options))
        ax.set(xlim=(0, self.duration), ylim=(0, self.rate / 2000), xlabel="Time (s)", ylabel="Frequency (kHz)")
        ax.grid(visible=False)
        if self.name:
            ax.set_title(shown(self.name))
        return image


@dataclass(eq=False)
class OcclusionDisplay(Display):
    """What hiding each part of a clip changes in its score, over its spectrogram."""

    spectrogram: SpectrogramDisplay
    cells: pd.DataFrame  #: ``start end`` (s), ``low high`` (Hz), ``change``, as `Explanation.table` gives them
    unit: str = "score"  #: what is changed

    size: ClassVar = {"width": 6.4, "height": 3.2}

    @classmethod
    def from_cells(
        cls, wave: ArrayLike, cells: pd.DataFrame, *, rate: int, unit: str = "score", name: str | None = None
    ) -> Self:
        """Compute the spectrogram of a mono clip (n,), and keep the cells of it."""
        return cls(SpectrogramDisplay.from_wave(wave, rate=rate, name=name), cells, unit)

    @property
    def name(self) -> str | None:
        """The name of the clip."""
        return self.spectrogram.name

    def alt(self) -> str:
        most = [self.cells.loc[self.cells["change"].idxmax()], self.cells.loc[self.cells["change"].idxmin()]]
        said = [
            f"{minus(f'{cell.change:+.2f}')} at {cell.start:.2f} s, {cell.low / 1000:g} to {cell.high / 1000:g} kHz"
            for cell in most
        ]
        return (
            f"Change of the {self.unit}{of(self.name)} by each part of {self.spectrogram.duration:.2f} s, above zero "
            f"for bona fide: most {said[0]}, least {said[1]}."
        )

    def _draw(self, ax: Axes, options: dict) -> None:
        self.spectrogram.lay(ax, {"cmap": "gray"})
        most = float(self.cells["change"].abs().max()) or 1.0
        ends = [(*to_rgb(SPOOF_COLOUR), 0.75), (1, 1, 1, 0), (*to_rgb(BONAFIDE_COLOUR), 0.75)]
        colours = LinearSegmentedColormap.from_list("classes", ends)
        boxes = [
            Rectangle((cell.start, cell.low / 1000), cell.end - cell.start, (cell.high - cell.low) / 1000)
            for cell in self.cells.itertuples()
        ]
        scale = Normalize(-most, most)
        paint = {"facecolor": colours(scale(self.cells["change"].to_numpy())), "edgecolor": "none"}
        ax.add_collection(PatchCollection(boxes, **(paint | options)))
        label = f"Change of the {self.unit}\n(above 0: bona fide)"
        ax.figure.colorbar(ScalarMappable(scale, colours), ax=ax, label=label, pad=0.02)
