"""Score recordings window by window."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dfdlib.data import audio
from dfdlib.data.inspection import batched
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing, cut, versions
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scorer import Scorer, as_scorer, finite_logits
from dfdlib.detector.scores import Scores
from dfdlib.errors import DataError, ParameterError

#: Samples that are decoded at a time: 30 s at 16 kHz.
BLOCK = 480_000


def timelines(
    scores: Scores,
    model: Detector | Scorer,
    *,
    preprocessing: Preprocessing,
    hop: int | None = None,
    cache: Cache | None = None,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score recordings window by window, so that a spoofed passage in genuine speech shows.

    Windows have the length of `window`, and one starts every `hop` samples; the last one ends with the recording. A
    recording shorter than one window is repeated to fill it.

    Parameters
    ----------
    scores : Scores
        Their clips are the recordings.
    model, preprocessing, cache, batch_size, progress
        As `score` takes them.
    hop : int
        In samples at the rate of `preprocessing`; by default half a window.

    Returns
    -------
    table : DataFrame
        ``path``, ``start`` and ``end`` in seconds of the recording, and ``score``.
    left_out : DataFrame
        ``path`` and ``reason`` of recordings that could not be read.

    Raises
    ------
    ParameterError
        `hop` is below one, or above the length of a window: some samples would be in none.
    CheckpointError
        The detector gave a score that is not finite.
    """
    scorer = as_scorer(model)
    length = window(scorer)
    hop = max(1, length // 2) if hop is None else hop
    if not 1 <= hop <= length:
        raise ParameterError(f"hop={hop}: windows start 1 to {length} samples after each other")
    lengths = {"rate": preprocessing.rate, "length": length, "hop": hop, "shortest": length}
    rows, refused = [], []
    for done, (path, clip) in enumerate(scores.table[["path", "sha256"]].itertuples(index=False, name=None), 1):
        try:
            spans, logits = score_windows(path, clip, scorer, cache=cache, batch_size=batch_size, **lengths)
            values = preprocessing.of_logits(logits)
            rows += [(path, start, end, value) for (start, end), value in zip(spans, values, strict=True)]
        except DataError as error:
            refused.append((path, error.reason))
        if progress is not None:
            progress(done, len(scores.table))
    numbers = dict.fromkeys(["start", "end", "score"], float)
    table = pd.DataFrame(rows, columns=["path", *numbers]).astype({"path": object} | numbers)
    return table, pd.DataFrame(refused, columns=["path", "reason"])


def window(scorer: Scorer) -> int:
    """Return the samples of a timeline's windows: the only number that a scorer takes, or the study's."""
    return getattr(scorer, "window", None) or FIXED_WINDOW


def score_windows(
    path: str,
    clip: str,
    scorer: Scorer,
    *,
    rate: int,
    length: int,
    hop: int,
    shortest: int,
    cache: Cache | None,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and end of each window in seconds and its logits, both of shape (n_windows, 2).

    Windows are those of `cut`; one that is shorter than `shortest`, as all of a recording may be, is repeated to it.
    They are kept one by one, so that a long recording goes on after a kill.
    """
    known = {} if cache is None else cache.of_clip(clip, checkpoint=scorer.fingerprint)
    spans, logits = [], []
    for batch in batched(cut(audio.stream(path, rate=rate, block=BLOCK), length=length, hop=hop), batch_size):
        keys = [f"rate={rate} window={length} start={start} {versions()}" for start, _ in batch]
        # All of a batch or nothing: what goes on after a kill forms the same batches.
        if not all(key in known for key in keys):
            waves = np.stack([audio.fit(window, length=max(len(window), shortest)) for _, window in batch])
            pairs = finite_logits(scorer, waves, names=[path] * len(batch))
            fresh = dict(zip(keys, map(tuple, pairs.tolist()), strict=True))
            known |= fresh
            if cache is not None:
                by_content = {(clip, key): pair for key, pair in fresh.items()}
                cache.put(by_content, checkpoint=scorer.fingerprint)
        spans += [(start / rate, (start + len(window)) / rate) for start, window in batch]
        logits += [known[key] for key in keys]
    return np.array(spans), np.array(logits)
