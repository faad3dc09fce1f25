"""What several tests of the report share."""

import pytest

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
