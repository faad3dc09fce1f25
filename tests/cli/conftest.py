"""What tests of commands share."""

import sys

import pytest

from dfdlib.cli import app


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
