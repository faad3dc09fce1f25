"""What tests of commands share."""

import sys

import pytest

from dfdlib.cli import app
from dfdlib.detector import network


@pytest.fixture
def dfd(capfd):
    """Run the command line in this process: returns exit status, standard output, standard error."""

    def run(*arguments):
        monkey = pytest.MonkeyPatch()
        monkey.setattr(sys, "argv", ["dfd", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            app.main()
        monkey.undo()
        written = capfd.readouterr()
        return left.value.code, written.out, written.err

    return run


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project folder of the test's own, without data or reports."""
    (tmp_path / "root/notebooks").mkdir(parents=True)
    monkeypatch.setenv("DFD_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Weights of the small detector, drawn at random."""
    path = tmp_path_factory.mktemp("weights") / "mini.safetensors"
    network.save(path, network.build("mini", seed=1), metadata={})
    return path
