import os
import subprocess
import sys

import pytest

from dfdlib import machine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to some cores")
def test_cores_are_those_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); from dfdlib import machine; "
    done = subprocess.run([sys.executable, "-c", code + "print(machine.cores())"], capture_output=True, check=True)
    assert done.stdout.strip() == b"1"


def test_cores_are_all_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


def test_a_package_of_another_name_has_no_version():
    assert machine.version("pytest") == pytest.__version__
    assert machine.version("no-such-package") == "not installed under this name"
