"""Splice recordings whose borders are known, and ask how well the windows of a timeline find them.

A bona fide clip and its *twin*, a spoof of the same speaker and sentence, say the same. So a passage of twins, at the
level of the clips whose place they take, differs from what is around it in nothing but what the detector is to hear.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib.data import audio
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.scorer import Scorer
from dfdlib.detector.scores import Scores
from dfdlib.detector.timelines import timelines
from dfdlib.evaluation.trials import BONAFIDE, SPOOF

#: Seconds that a passage lasts at least: longer than a window.
PASSAGE = 6.0
#: Seconds of a segment, and between a border and where it is found.
SEGMENT, TOLERANCE = 0.5, 1.0
#: Samples between the starts of windows.
HOP = audio.RATE


def twins(table: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of a bona fide clip and a spoof of the same speaker and sentence: ``speaker attack path twin``.

    `table` has the columns of a corpus, or no pairs are found; no clip is in two.
    """
    if not {"speaker", "sentence", "attack", "duration"} <= set(table):
        return pd.DataFrame(columns=["speaker", "attack", "path", "twin"])
    known = table[(table["speaker"] != "") & (table["sentence"] != "")]
    real, spoof = known[known["label"] == BONAFIDE], known[known["label"] == SPOOF]
    pairs = real.merge(spoof, on=["speaker", "sentence"], suffixes=("", "_twin")).rename(columns={"path_twin": "twin"})
    pairs = pairs.drop_duplicates("path").drop_duplicates("twin").sort_values(["speaker", "attack_twin", "path"])
    return pairs[["speaker", "attack_twin", "path", "twin"]].rename(columns={"attack_twin": "attack"})


def splice(pairs: pd.DataFrame, *, rate: int = audio.RATE) -> tuple[np.ndarray, tuple[float, float]]:
    """Return a recording of clips, the middle third of them twins, and where these begin and end, in seconds."""
    third, parts = len(pairs) // 3, []
    for number, (path, twin) in enumerate(pairs[["path", "twin"]].itertuples(index=False, name=None)):
        wave = audio.load(path, rate=rate)
        if third <= number < len(pairs) - third:
            level = np.sqrt(np.mean(np.square(wave)))
            wave = audio.load(twin, rate=rate)
            wave = wave * (level / max(np.sqrt(np.mean(np.square(wave))), 1e-9))
        parts.append(wave)
    ends = np.cumsum([len(part) for part in parts]) / rate
    return np.concatenate(parts), (float(ends[third - 1]), float(ends[-third - 1]))


def segments(
    table: pd.DataFrame,
    model: Detector | Scorer,
    *,
    preprocessing: Preprocessing,
    recordings: int = 12,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Splice recordings from the twins of a corpus, each of one speaker, and score them segment by segment.

    Parameters
    ----------
    table : DataFrame
        Clips with ``path label speaker sentence attack duration``.
    model, preprocessing, batch_size
        As `timelines` takes them.
    recordings : int
        Make at most so many, the first of each speaker before the second of any.

    Returns
    -------
    DataFrame
        ``recording speaker start end label score``: the score of a segment is the mean of all windows over its middle.
        Empty where no speaker has twins for three passages.
    """
    seconds = table.set_index("path")["duration"]
    groups = []
    for speaker, pairs in twins(table).groupby("speaker", sort=True):
        size = 3 * int(np.ceil(PASSAGE / max(seconds[pairs["path"]].median(), 0.1)))
        groups += [(turn, speaker, pairs[turn * size :][:size]) for turn in range(len(pairs) // size)]
    groups = sorted(groups, key=lambda group: group[:2])[:recordings]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (_, speaker, pairs) in enumerate(groups):
            path = str(Path(folder) / f"{number}.wav")
            wave, borders = splice(pairs)
            audio.write_wav(path, wave, rate=audio.RATE)
            clip = Scores(pd.DataFrame({"path": [path], "sha256": ""}), pd.DataFrame())
            windows, _ = timelines(clip, model, preprocessing=preprocessing, hop=HOP, batch_size=batch_size)
            found.append(_of_windows(windows, borders).assign(recording=number, speaker=speaker))
    columns = ["recording", "speaker", "start", "end", "label", "score"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _of_windows(windows: pd.DataFrame, borders: tuple[float, float]) -> pd.DataFrame:
    starts = np.arange(0, windows["end"].max() - SEGMENT / 2, SEGMENT)
    middles = starts[:, None] + SEGMENT / 2
    over = (windows["start"].to_numpy() <= middles) & (middles < windows["end"].to_numpy())
    score = over @ windows["score"].to_numpy() / over.sum(axis=1)
    spoof = (middles[:, 0] >= borders[0]) & (middles[:, 0] < borders[1])
    labels = np.where(spoof, SPOOF, BONAFIDE)
    return pd.DataFrame({"start": starts, "end": starts + SEGMENT, "label": labels, "score": score})


def borders(found: pd.DataFrame, *, threshold: float) -> dict[str, float]:
    """Return how well the borders of recordings are found where the decision on `segments` changes.

    That is ``borders``, ``found`` of them within `TOLERANCE`, each by another change, ``changes``, ``f1``, and
    ``chance``: the share of the time that lies within the tolerance of a border.
    """
    count = {"borders": 0, "found": 0, "changes": 0}
    near = 0.0
    for _, one in found.groupby("recording"):
        true, said = (
            one["start"].to_numpy()[1:][np.diff(side.to_numpy(int)) != 0]
            for side in (one["label"], one["score"] >= threshold)
        )
        count["borders"] += len(true)
        count["changes"] += len(said)
        near += np.mean([np.abs(true - time).min() <= TOLERANCE for time in one["start"]])
        for border in true:
            if len(said) and (gaps := np.abs(said - border)).min() <= TOLERANCE:
                count["found"] += 1
                said = np.delete(said, gaps.argmin())
    chance = near / max(found["recording"].nunique(), 1)
    f1 = 2 * count["found"] / max(count["borders"] + count["changes"], 1)
    return count | {"f1": f1, "chance": chance}
