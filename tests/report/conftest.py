"""What several tests of the report share."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from makers import Loudness, tone

from dfdlib.data import audio
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.scores import Scores
from dfdlib.evaluation import calibration
from dfdlib.experiment import profile
from dfdlib.report import provenance

EVALUATION = {"corpus": "custom", "eer": 0.25, "eer_ci": [0.2, 0.3], "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def summary(toy):
    settings = profile.load(toy)
    return {
        "profile": "toy",
        "title": "A <toy>",
        "limit": None,
        "allow_shared_clips": False,
        "level": 0.9,
        "status": {},
        "evaluations": [EVALUATION | {"when": "before"}, EVALUATION | {"when": "after"}],
        "differences": [{"corpus": "custom", "delta_eer": -0.05, "delta_eer_ci": [-0.1, 0.01]}],
        "sentences": ["The EER is 25.0 %."],
        "notebooks": {},
        "provenance": provenance.collect(settings, inputs={"custom": "abc"}, overrides=["seed=2"])
        | {"generated": "now", "seconds": {}},
    }


def scored(folder, values, *, attack="robot"):
    """Return scores of clips: the first half bona fide, the second spoof."""
    half = len(values) // 2
    names = [f"{label}/{number}.wav" for label in ("real", "fake") for number in range(half)]
    table = pd.DataFrame({"path": [str(folder / name) for name in names], "score": np.array(values, float)})
    table["label"] = np.repeat([1, 0], half)
    table["speaker"], table["sentence"] = [f"voice {number % 3}" for number in range(2 * half)], "one"
    table["attack"] = np.where(table["label"] == 1, "", attack)
    return Scores(table, pd.DataFrame(columns=["path", "reason"]), root=str(folder))


class SmallRun:
    """A run of one corpus of six clips, with a seventh and eighth that cannot be read, and of a score file."""

    corpora, with_audio = ["custom", "listed"], ["custom"]
    profile = SimpleNamespace(
        seed=1, threads=1, scoring=SimpleNamespace(batch_size=8), uncertainty=SimpleNamespace(level=0.9)
    )

    def __init__(self, folder, attack="robot"):
        self.folder, self.kept = folder, {}
        self.values = {"before": [2, 1, -1, -3, 3, -2, 4, -1], "after": [3, -1, 1, 1, 2, -2, -2, -1]}
        self.tables = {stage: scored(folder, values, attack=attack) for stage, values in self.values.items()}
        for path in self.tables["after"].table["path"]:
            if "3.wav" not in path:
                audio.write_wav(path, tone(0.5, level=0.05), rate=audio.RATE)

    def scores(self, stage, name):
        return self.tables[stage]

    def validation(self, stage):
        return SimpleNamespace(
            labels=np.repeat([1, 0], 20), scores=np.r_[np.linspace(-1, 3, 20), np.linspace(-3, 1, 20)]
        )

    def calibration_of(self, stage):
        found = self.validation(stage)
        return calibration.fit(found.labels, found.scores)

    def scorer(self, stage):
        return Loudness()

    def preprocessing(self):
        return Preprocessing.named("corrected", window="full")

    def keep(self, **facts):
        self.kept |= facts

    def tell(self, line):
        pass

    def resampling(self):
        return {"resamples": 100, "level": 0.9, "seed": 1}

    def parallel_jobs(self):
        return 1

    @contextlib.contextmanager
    def threads(self):
        yield


@pytest.fixture
def small_run(tmp_path):
    """A function that makes a run of eight clips, of which the spoofs have a given attack."""
    return lambda attack="robot": SmallRun(tmp_path, attack=attack)
