"""What the tests of the detector share."""

from pathlib import Path

import pytest
from deterministic_weights import fill


@pytest.fixture(scope="module")
def model():
    """A detector with random weights."""
    from dfdlib.detector import network

    return network.build("mini", seed=3)


@pytest.fixture(scope="module")
def mini():
    """A small detector with golden-style weights: running statistics differ from their initial values."""
    from dfdlib.detector import network

    return fill(network.build("mini", seed=0))


@pytest.fixture
def released():
    """A function that finds a file of released weights in a folder beside the repository, or skips the test."""

    def find(name: str) -> Path:
        found = sorted(Path(__file__).parents[3].glob(f"*/weights/{name}"))
        return (
            found[0] if found else pytest.skip(f"needs the released {name} in a folder weights/ beside the repository")
        )

    return find
