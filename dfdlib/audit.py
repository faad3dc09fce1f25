"""Look at the data before the model does.

`nuisance_features` measures what should say nothing about how a clip was made: its length, its level, the silence
around it, its bandwidth. `shortcut_eer` tells how well a straight line through these tells the classes apart. Near
50 % is as it should be; a low figure means that a detector can do well on the corpus without listening.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from dfdlib import audio, metrics
from dfdlib.audio import RATE
from dfdlib.corpus import Corpus
from dfdlib.errors import DataError

#: What `nuisance_features` measures, with units.
NUISANCES = {
    "duration": "s",
    "level": "dB of full scale, RMS",
    "leading_silence": "s",
    "trailing_silence": "s",
    "bandwidth": "Hz",
}

#: Below this EER of `shortcut_eer` the format of a corpus gives its labels away.
FLOOR = 0.35

SILENCE = 40.0  # dB below its loudest 10 ms a clip is silent
ENERGY_SHARE = 0.99  # of a clip's energy lies below its bandwidth


def nuisance_features(wave: np.ndarray, rate: int) -> dict[str, float]:
    """Measure one clip.

    Parameters
    ----------
    wave : ndarray, shape (n_samples,)
    rate : int
        In Hz.

    Returns
    -------
    dict
        A number for each name in `NUISANCES`.

    Raises
    ------
    DataError
        The clip is empty.
    """
    if len(wave) == 0:
        raise DataError("an empty waveform has no features; leave the clip out")
    wave = np.asarray(wave, np.float64)
    leading, trailing = _silences(wave, rate)
    return {
        "duration": len(wave) / rate,
        "level": float(10 * np.log10(np.mean(wave**2) + 1e-12)),
        "leading_silence": leading,
        "trailing_silence": trailing,
        "bandwidth": _bandwidth(wave, rate),
    }


def nuisance_table(corpus: Corpus) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every clip of a corpus.

    Returns
    -------
    features : DataFrame
        `nuisance_features` of the clips that can be decoded, under the index that they have in the corpus.
    left_out : DataFrame
        ``path`` and ``reason`` of the others, and of those that the corpus left out itself.
    """

    def look(path: str) -> dict[str, float] | DataError:
        try:
            return nuisance_features(audio.load(path, rate=RATE), RATE)
        except DataError as error:
            return error

    # Decoding and Fourier transforms leave Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pd.Series(list(pool.map(look, corpus.table["path"])), index=corpus.table.index, dtype=object)
    bad = results.map(lambda result: isinstance(result, DataError))
    features = pd.DataFrame(list(results[~bad]), index=results.index[~bad], columns=list(NUISANCES))
    paths = corpus.table.loc[bad, "path"]
    reasons = [str(error).removeprefix(f"{path}: ") for path, error in zip(paths, results[bad], strict=True)]
    left_out = pd.concat([corpus.left_out, pd.DataFrame({"path": paths, "reason": reasons})], ignore_index=True)
    return features, left_out


def shortcut_eer(corpus: Corpus, *, features: pd.DataFrame | None = None, seed: int = 0, folds: int = 5) -> float:
    """Return the equal error rate of a logistic regression that sees only `NUISANCES`.

    Clips are scored by a regression that was fitted on other folds; clips of one sentence (where the corpus knows
    sentences) or one speaker share a fold.

    Parameters
    ----------
    corpus : Corpus
        Of both classes.
    features : DataFrame, optional
        What `nuisance_table` has measured of it, if that was done before.
    seed : int
        Of the order in which groups are dealt out to folds.
    folds : int

    Returns
    -------
    float
        Between 0 and 1; 0.5 is chance. A value well above 0.5 is chance too: nothing that holds in some folds holds
        in the next.

    Raises
    ------
    DataError
        Fewer groups of a class than folds.
    """
    corpus.require_both_classes()
    if features is None:
        features, _ = nuisance_table(corpus)
    table = corpus.table.loc[features.index]
    labels = table["label"].to_numpy(dtype=int)
    groups = _groups(table)
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if fewest < folds:
        raise DataError(
            f"{corpus.name}: {fewest} independent clips in its smaller class; a cross-validation in {folds} parts "
            f"needs {folds} at least"
        )
    scores = _cross_validated_scores(features, labels, groups, seed=seed, folds=folds)
    return metrics.eer(labels, scores).value


def _groups(table: pd.DataFrame) -> np.ndarray:
    for column in ("sentence", "speaker"):
        if column in table and table[column].nunique() > 1:
            # Clips of which nothing is known are groups of their own.
            named = table[column].where(table[column] != "", [f"clip {number}" for number in range(len(table))])
            return pd.factorize(named)[0]
    return np.arange(len(table))


def _cross_validated_scores(
    features: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, *, seed: int, folds: int
) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    scores = np.zeros(len(labels))
    for train, test in splitter.split(features, labels, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        scores[test] = model.fit(features.iloc[train], labels[train]).decision_function(features.iloc[test])
    return scores


def _silences(wave: np.ndarray, rate: int) -> tuple[float, float]:
    """Return the seconds before and after everything louder than `SILENCE` below the loudest 10 ms."""
    frame = max(1, rate // 100)
    n_frames = len(wave) // frame
    if n_frames == 0:
        return 0.0, 0.0
    levels = 10 * np.log10(np.mean(wave[: n_frames * frame].reshape(n_frames, frame) ** 2, axis=1) + 1e-12)
    loud = np.flatnonzero(levels > levels.max() - SILENCE)
    return loud[0] * frame / rate, (n_frames - 1 - loud[-1]) * frame / rate


def _bandwidth(wave: np.ndarray, rate: int) -> float:
    energy = np.cumsum(np.abs(np.fft.rfft(wave)) ** 2)
    if energy[-1] == 0:
        return 0.0
    return float(np.searchsorted(energy, ENERGY_SHARE * energy[-1]) * rate / len(wave))
