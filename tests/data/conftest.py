"""What tests of tables and lists share."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Write text to a file of a name and return its path."""

    def written(name, text, encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return written
