"""What the tests of the detector share."""

import pytest


@pytest.fixture(scope="module")
def model():
    """A detector with random weights."""
    from dfdlib.detector import network

    return network.build("mini", seed=3)
