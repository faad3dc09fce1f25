"""A run whose figures are known beforehand: clips with a score written into their sound, and a detector that reads it.

Everything else is what any run does: clips are decoded, scored in batches, kept, written, grouped and evaluated.

- ``for-2seconds`` and ``source`` are counted by hand. Scores are 1, -1 or -3. Of 100 bona fide clips and of 100 of the
  attack "hard" 20 are on the wrong side before and 14 after (11 were corrected, 5 are new); 100 of "easy" never are.
  Of 50 validation clips of each class 10 are on the wrong side, so that a score of 1 is a likelihood ratio of 40 / 10.
- ``custom`` has normal scores: both classes at 50 evenly spaced quantiles of log-likelihood ratios with an EER of
  16 % before and 6 % after. Each of 50 speakers has four clips of one score in each class.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from dfdlib.data import audio
from dfdlib.data import corpus as reader
from dfdlib.data.corpus import Corpus
from dfdlib.evaluation import units
from dfdlib.experiment import profile
from dfdlib.experiment.clips import TARGET, once
from dfdlib.experiment.places import Data
from dfdlib.experiment.run import Run

#: EERs of the normal scores before and after, their speakers, and the clips of each speaker and class.
EERS, SPEAKERS, TAKES = (0.16, 0.06), 50, 4
# A clip of 0.1 s: its mean says the score before, the size of its fastest oscillation that after.
_SAMPLES, _BEFORE, _AFTER, _LIFT = 1600, 1 / 16, 1 / 56, 14


def separation(eer: float) -> float:
    """Return the d of normal log-likelihood ratios, N(±d²/2, d²), that have an EER."""
    return -2 * float(ndtri(eer))


class Planted(Run):
    """The run of planted clips in a folder of its own, by the settings of another profile where they play a part."""

    def __init__(self, settings: profile.Profile, folder: str | Path, *, resamples: int = 1000) -> None:
        clips = Path(folder) / "clips"
        for number, name in enumerate(("for-2seconds", "source", "custom")):
            if (clips / name / "manifest.parquet").is_file():
                continue
            rows = _normal() if name == "custom" else _counted(validation=name == TARGET)
            _write(clips / name, rows, first=1000 * number)
        places = {name.replace("-", "_"): clips / name for name in ("for-2seconds", "source", "custom")}
        settings = settings.model_copy(
            update={
                "data": Data(**places), "recipes": {}, "recipe": None, "limit": None, "seed": 0, "seeds": 2,
                "preprocessing": "corrected", "allow_shared_clips": False,
                "uncertainty": profile.Uncertainty(target=units.NEW, resamples=resamples),
            }
        )  # fmt: skip
        super().__init__(settings, folder)

    @once
    def scorer(self, stage: str, *, seed: int | None = None) -> "_Reader":
        """Return what reads the planted score of a stage, the same by both seeds."""
        return _Reader(stage)

    @once
    def _whole(self, name: str) -> Corpus:
        return reader.read(self.profile.data.places[name], name=name)


class _Reader:
    """A `Scorer` that reads the score from the sound, to two decimals."""

    least_samples = 1

    def __init__(self, stage: str) -> None:
        self.fingerprint, self._after = f"planted {stage}", stage == "after"

    def logits(self, windows: np.ndarray) -> np.ndarray:
        level = windows.mean(axis=1, dtype=np.float64)
        swing = np.abs(windows - level[:, None]).mean(axis=1, dtype=np.float64)
        scores = np.round(swing / _AFTER - _LIFT if self._after else level / _BEFORE, 2)
        return np.stack([3 - scores, np.full(len(scores), 3.0)], axis=1)


def _counted(*, validation: bool) -> pd.DataFrame:
    """Return a row a clip, with what it is and its scores before and after."""
    parts = []
    for attack, right in (("bonafide", 1.0), ("hard", -1.0), ("easy", -3.0)):
        before = np.full(100, right)
        after = before.copy()
        if attack != "easy":
            before[:20], after[11:25] = -right, -right
        parts.append(pd.DataFrame({"attack": attack, "split": "testing", "before": before, "after": after}))
        if validation and attack != "easy":
            parts.append(parts[-1].iloc[10:60].assign(split="validation", after=before[10:60]))
    return pd.concat(parts, ignore_index=True)


def _normal() -> pd.DataFrame:
    parts = []
    for attack, sign in (("bonafide", 1), ("normal", -1)):
        speaker = np.repeat(np.arange(SPEAKERS), TAKES)
        # The two classes of a speaker have nothing to do with each other.
        place = speaker if sign == 1 else (7 * speaker + 3) % SPEAKERS
        scores = {}
        for stage, eer in zip(("before", "after"), EERS, strict=True):
            d = separation(eer)
            scores[stage] = sign * d * d / 2 + d * ndtri((place + 0.5) / SPEAKERS)
        names = [f"speaker {number}" for number in speaker]
        parts.append(pd.DataFrame({"attack": attack, "speaker": names} | scores))
    return pd.concat(parts, ignore_index=True)


def _write(folder: Path, rows: pd.DataFrame, *, first: int) -> None:
    """Write the clips of a corpus and its manifest, clips in an order in which the classes alternate at random."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    rows = rows.sample(frac=1, random_state=first, ignore_index=True)
    rows["label"] = np.where(rows["attack"] == "bonafide", "bonafide", "spoof")
    rows["path"] = [f"{number}.wav" for number in range(len(rows))]
    phase = np.tile([1.0, -1.0], _SAMPLES // 2)
    for row in rows.itertuples():
        swing = phase.copy()
        # Clips differ, and their scores do not: the number of the clip, in the phase of the first samples.
        bits = [first + row.Index >> bit & 1 for bit in range(math.ceil(math.log2(4000)))]
        swing[: 2 * len(bits)] *= np.repeat(1 - 2 * np.array(bits), 2)
        wave = round(row.before, 2) * _BEFORE + (round(row.after, 2) + _LIFT) * _AFTER * swing
        soundfile.write(folder / row.path, wave, audio.RATE, subtype="PCM_16")
    rows.drop(columns=["before", "after"]).to_parquet(folder / "manifest.parquet", index=False)
