"""What several test modules share."""

import gc
import io
import shutil
import subprocess
import tarfile

import hypothesis
import numpy as np
import pytest
from makers import SEED, tone, tones_and_noises

from dfdlib.data import audio
from dfdlib.data.audit import shortcuts
from dfdlib.evaluation import carried

# Imports leave millions of objects that live on; by the usual thresholds a tenth of all time went into looking at them.
gc.set_threshold(20_000, 10, 10)

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


REFITS = carried.REFITS

#: Files that take long for their number of tests: begun first, so that no process waits for them at the end.
LONG = ("test_onnx.py", "test_notebooks.py", "test_comparison.py", "test_loop.py", "test_finetune.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def few_refits():
    """Calibrate on few draws of the validation trials: all of them take seconds for each set of scores."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(carried, "REFITS", 10)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_dealing():
    """Deal clips out to folds once where a test does not say how often: an audit takes most of its time for these."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(shortcuts, "DEALINGS", 1)
        yield


@pytest.fixture(scope="module")
def all_refits(few_refits):
    """Calibrate on as many draws as a user's run does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(carried, "REFITS", REFITS)
        yield


@pytest.fixture
def rng():
    """A seeded generator: every run of a test sees the same numbers."""
    return np.random.default_rng(SEED)


@pytest.fixture
def clips(tmp_path, rng):
    """A folder with Real/ and Fake/: four half-second clips in each, tones against noise."""
    tones_and_noises(tmp_path, rng)
    return tmp_path


@pytest.fixture
def empty_pictures(monkeypatch):
    """Figures are drawn, but what is saved of them is empty: for tests of the words around them."""
    from matplotlib.figure import Figure
    from PIL import Image

    empty = io.BytesIO()
    Image.new("RGBA", (8, 8)).save(empty, format="png")

    def save(figure, file, *, format, **_):
        file.write(empty.getvalue() if format == "png" else b"<svg xmlns='http://www.w3.org/2000/svg'/>")

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A profile of its own with three small corpora and random weights: the path of its YAML file."""
    import yaml

    from dfdlib.detector import network

    root = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(3)

    def fill(folder, count, *, real):
        for number in range(count):
            wave = tone(1.0, frequency=rng.uniform(150, 300)) + (0.02 if real else 0.06) * rng.standard_normal(16_000)
            audio.write_wav(root / folder / f"{number}.wav", wave, rate=audio.RATE)

    for corpus in ("for-2seconds", "source"):
        for split, count in (("training", 8), ("validation", 6), ("testing", 6)):
            fill(f"{corpus}/{split}/real", count, real=True)
            fill(f"{corpus}/{split}/fake", count, real=False)
    fill("custom/Real", 6, real=True)
    fill("custom/Fake", 6, real=False)
    (root / "custom/Real/broken.wav").write_text("no sound")
    network.save(root / "weights.safetensors", network.build("mini", seed=1), metadata={})
    places = {name.replace("-", "_"): str(root / name) for name in ("for-2seconds", "custom", "source")}
    settings = {
        "name": "toy",
        "title": "A toy",
        "seed": 1,
        "device": "cpu",
        "detector": "mini",
        "checkpoint": str(root / "weights.safetensors"),
        "window": "full",
        "data": places,
        "finetune": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8},
        "uncertainty": {"resamples": 100},
    }
    (root / "toy.yaml").write_text(yaml.safe_dump(settings))
    return root / "toy.yaml"


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, from the package registry."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, so axe-core cannot be had")
    packed = subprocess.run(["npm", "pack", "axe-core@4"], cwd=folder, capture_output=True, text=True, timeout=120)
    if packed.returncode:
        pytest.skip(f"axe-core cannot be had from the registry: {packed.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="session")
def chromium():
    """The browser of the distribution."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed")
    return found
