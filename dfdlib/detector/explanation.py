"""Ask which parts of a clip its score rests on: hide one part at a time, and score what is left.

Method
------
*Occlusion* (Zeiler and Fergus, 2014). A clip is cut into cells: slices of 0.25 s, and five bands, of which each spans
the octave below the one above it. One cell after another is filled with the clip's own noise floor, noise with the
level that each frequency has in the quietest frames, so that no hole is heard. What the score loses is the change.

*Deletion curve* (Petsiuk and others, 2018). A change of one cell says nothing of several. So cells are hidden together,
those that speak most for the decision first, and as many at random. Where the first costs the decision no more than the
second, the picture is not faithful and should not be shown. Noise of another draw fills the cells here, so that no cell
is chosen for its noise.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import signal

from dfdlib.data import audio
from dfdlib.data.inspection import batched
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import FULL_LONGEST, Preprocessing
from dfdlib.detector.scorer import Scorer, as_scorer, finite_logits
from dfdlib.errors import DataError
from dfdlib.evaluation import limits

#: Seconds of a slice.
SLICE = 0.25
#: Upper edges of the bands, as shares of half the sample rate: at 16 kHz 500 Hz, 1, 2, 4 and 8 kHz.
BANDS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
#: Shares of the cells that a deletion curve hides.
SHARES = (0.1, 0.2, 0.3, 0.5)
#: Random orders per clip that a deletion curve is compared with.
ORDERS = 3
#: The share of frames that are the quietest, and where they end in noise of level 1 (Rayleigh's distribution).
_FLOOR, _QUIETEST = 0.1, np.sqrt(-np.log(1 - 0.1))


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the score of a clip rests on."""

    times: np.ndarray  # edges of the slices, in seconds, shape (n + 1,)
    bands: np.ndarray  # edges of the bands, in Hz, shape (6,)
    # The score of the clip less the score without the cell: above zero, the cell speaks for bona fide; shape (n, 5).
    change: np.ndarray
    score: float  # of the whole clip

    def table(self, *, slope: float = 1.0) -> pd.DataFrame:
        """Return a row a cell: ``start end`` (s), ``low high`` (Hz), ``change``.

        The slope of a calibration turns changes of the score into changes of the log-likelihood ratio.
        """
        slices, bands = (index.ravel() for index in np.indices(self.change.shape))
        columns = {"start": self.times[slices], "end": self.times[slices + 1]}
        columns |= {"low": self.bands[bands], "high": self.bands[bands + 1]}
        return pd.DataFrame(columns | {"change": slope * self.change.ravel()})


class Occluder:
    """Hide cells of a waveform, shape (n_samples,), behind the noise floor of the clip."""

    def __init__(self, wave: np.ndarray, *, rate: int, seed: int = 0) -> None:
        seconds = len(wave) / rate
        count = max(1, round(seconds / SLICE))
        self.times = np.append(np.arange(count) * SLICE, seconds)
        self.bands = rate / 2 * np.array([0, *BANDS])
        self._wave, half = wave, round(0.016 * rate)
        self._transform = signal.ShortTimeFFT(signal.get_window("hann", 2 * half), half // 2, rate)
        noise = np.random.default_rng(seed).standard_normal(max(len(wave), 2 * half))
        padded = np.pad(np.asarray(wave, float), (0, len(noise) - len(wave)))
        found, filled = self._transform.stft(padded), self._transform.stft(noise)
        level = np.quantile(np.abs(found), _FLOOR, axis=1, keepdims=True) / _QUIETEST
        filled *= level / np.sqrt(np.mean(np.abs(filled) ** 2, axis=1, keepdims=True))
        self._lost, self._length = found - filled, len(noise)
        frames = self._transform.t(len(noise))
        self._slices = np.clip(frames // SLICE, 0, count - 1).astype(int)
        self._bands = np.searchsorted(self.bands[1:-1], self._transform.f, side="right")

    @property
    def shape(self) -> tuple[int, int]:
        """How many slices and bands there are."""
        return len(self.times) - 1, len(BANDS)

    def without(self, hidden: np.ndarray) -> np.ndarray:
        """Return the waveform without the cells that are True in `hidden`, shape (n_slices, 5)."""
        mask = hidden[self._slices[None, :], self._bands[:, None]]
        lost = self._transform.istft(self._lost * mask, k1=self._length)[: len(self._wave)]
        return (self._wave - lost).astype(np.float32)


def explain(
    wave: np.ndarray, model: Detector | Scorer, *, preprocessing: Preprocessing, batch_size: int = 16
) -> Explanation:
    """Return what each cell of a clip does to its score.

    Parameters
    ----------
    wave : ndarray, shape (n_samples,)
        At the rate of `preprocessing`, as `audio.load` gives it. What lies beyond the first window is not looked at.
    batch_size : int
        Windows per forward pass; a second of sound takes twenty.
    """
    clip = _Clip(wave, as_scorer(model), preprocessing, batch_size)
    occluder = Occluder(clip.wave, rate=preprocessing.rate)
    cells = np.eye(np.prod(occluder.shape), dtype=bool).reshape(-1, *occluder.shape)
    whole, *rest = clip.scores(occluder, [np.zeros(occluder.shape, bool), *cells])
    return Explanation(occluder.times, occluder.bands, (whole - np.array(rest)).reshape(occluder.shape), float(whole))


def deletion(
    wave: np.ndarray,
    explanation: Explanation,
    model: Detector | Scorer,
    *,
    preprocessing: Preprocessing,
    threshold: float = 0.0,
    seed: int = 0,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Return what it costs the decision on a clip, bona fide from a threshold on, to hide more and more of it.

    The seed is of the random orders and of the noise.

    Returns
    -------
    DataFrame
        A row for each of `SHARES`: ``share``; how far the score moves towards the other decision when so many cells
        are hidden, those first that speak most for the decision (``ordered``), or any (``random``, the mean of
        `ORDERS` orders).
    """
    rng = np.random.default_rng([seed, 1])
    clip = _Clip(wave, as_scorer(model), preprocessing, batch_size)
    occluder = Occluder(clip.wave, rate=preprocessing.rate, seed=seed + 1)
    side, size = 1 if explanation.score >= threshold else -1, explanation.change.size
    orders = [np.argsort(-side * explanation.change.ravel(), kind="stable")]
    orders += [rng.permutation(size) for _ in range(ORDERS)]
    hidden = [np.isin(np.arange(size), order[: round(share * size)]) for share in SHARES for order in orders]
    scores = clip.scores(occluder, [cells.reshape(occluder.shape) for cells in hidden])
    loss = (side * (explanation.score - scores)).reshape(len(SHARES), len(orders))
    return pd.DataFrame({"share": SHARES, "ordered": loss[:, 0], "random": loss[:, 1:].mean(axis=1)})


def faithfulness(curves: pd.DataFrame, *, unit: str, level: float = 0.95) -> pd.DataFrame:
    """Return the mean deletion curve of a set of clips, with intervals by Student's t.

    Parameters
    ----------
    curves : DataFrame
        Rows of `deletion`, with a column that says what ties clips together.
    unit : str
        That column, as ``speaker``: each unit counts with the mean of its clips.

    Returns
    -------
    DataFrame
        A row for each share, and one for the mean of all (``share`` is missing): ``share ordered random difference
        low high``. The picture is faithful where ``low`` of the last row is above zero. Of a single unit there is no
        interval.
    """
    curves = curves.assign(difference=curves["ordered"] - curves["random"])
    rows = []
    for share in [*sorted(curves["share"].unique()), None]:
        some = curves if share is None else curves[curves["share"] == share]
        means = some.groupby(unit)[["ordered", "random", "difference"]].mean()
        low = high = np.nan
        if len(means) > 1:
            far = limits.reach([limits.Spread(means["difference"].var() / len(means), len(means) - 1)], level)
            low, high = means["difference"].mean() - far, means["difference"].mean() + far
        rows.append({"share": share, **means.mean(), "low": low, "high": high})
    return pd.DataFrame(rows).astype(float)


class _Clip:
    """A clip, as far as the detector hears it in one window, and how it is scored."""

    def __init__(self, wave: np.ndarray, scorer: Scorer, preprocessing: Preprocessing, batch_size: int) -> None:
        if not len(wave):
            raise DataError("an empty waveform cannot be explained; leave the clip out")
        self.wave = np.asarray(wave, np.float32)[: preprocessing.window or FULL_LONGEST]
        self._scorer, self._preprocessing, self._batch_size = scorer, preprocessing, batch_size

    def scores(self, occluder: Occluder, hidden: Iterable[np.ndarray]) -> np.ndarray:
        """Return the score without each set of cells, shape (n_sets,)."""
        parts = [
            finite_logits(self._scorer, np.stack(some), names=["an occluded clip"] * len(some))
            for some in batched(self._windows(occluder, hidden), self._batch_size)
        ]
        return self._preprocessing.of_logits(np.concatenate(parts)).astype(float)

    def _windows(self, occluder: Occluder, hidden: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for cells in hidden:
            yield from self._preprocessing.windows([occluder.without(cells)])


def load(path: str, *, preprocessing: Preprocessing) -> np.ndarray:
    """Return what is explained of a sound file: at most the first window, shape (n_samples,)."""
    length = preprocessing.window or FULL_LONGEST
    return next(audio.stream(path, rate=preprocessing.rate, block=length))
