"""What tests of tables and lists share."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Write text to a file of a name and return its path."""

    def written(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    return written
