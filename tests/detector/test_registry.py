"""Published detectors: what is said of them, and where their weights lie."""

import subprocess
import sys

import pytest

from dfdlib.detector import network, registry
from dfdlib.detector.backends.filters import MelFilters
from dfdlib.errors import ParameterError


@pytest.mark.parametrize("name", [name for name in registry.ENTRIES if not name.startswith(("anti", "xlsr"))])
def test_the_numbers_of_parameters(name):
    model = network.skeleton(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == registry.ENTRIES[name].parameters
    assert not any(module.kernels.is_meta for module in model.modules() if isinstance(module, MelFilters))


def test_every_entry_says_where_weights_come_from():
    for name, entry in registry.ENTRIES.items():
        assert entry.places or entry.steps, name
        assert all(digest.startswith("sha256:") for digest in entry.urls.values())


def test_weights_are_found_by_name(tmp_path):
    assert registry.weights("aasist", tmp_path) is None
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mini-nes2net-baseline.safetensors").touch()
    assert registry.weights("mini-nes2net", tmp_path).parent.name == "models"
    place = tmp_path / "weights/xlsr-300m"
    place.mkdir(parents=True)
    (place / "LICENSE.txt").touch()
    (place / "best.pth").touch()
    assert registry.weights("xlsr-aasist", tmp_path) == place / "best.pth"
    (place / "last.pth").touch()
    with pytest.raises(ParameterError, match=r"several files of weights \(best.pth, last.pth\)"):
        registry.weights("xlsr-300m", tmp_path)
    with pytest.raises(ParameterError, match="no detector is called 'maxi'; there are mini-resnet, mini, "):
        registry.weights("maxi", tmp_path)


def test_naming_them_imports_no_network():
    code = "import sys; from dfdlib.detector import registry as r; r.plain('aasist'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
