"""What tests of the app share: a detector whose scores can be worked out by hand, with and without a calibration."""

import numpy as np
import pytest
from app_validation import HOW, validation
from makers import Loudness

from dfdlib.app.basis import Basis, Known


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A run folder whose validation scores lie around 0.6 (bona fide) and -0.6 (spoof), and hardly overlap."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(5)
    scores = np.concatenate([rng.normal(0.6, 0.4, 120), rng.normal(-0.6, 0.4, 120)])
    (folder / "scores").mkdir()
    validation(scores).to_csv(folder / "scores/before-for-2seconds-validation.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def basis(run_folder):
    """A calibrated detector: a tone of level a (its peak) scores 1 - 40 a / sqrt(2)."""
    return Basis.of_run("loudness", Loudness(), preprocessing=HOW, folder=run_folder)


@pytest.fixture
def known(basis):
    return Known([basis])
