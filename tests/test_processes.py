import os
import subprocess
import sys
import textwrap

import pytest

from dfdlib import processes
from dfdlib.errors import RunError


def launch(tmp_path, text, *, count=2):
    """Run a program in several processes under torchrun: returns what they printed and how it ended."""
    program = tmp_path / "program.py"
    program.write_text(
        "from dfdlib import processes\nfrom dfdlib.errors import DataError, RunError\n" + textwrap.dedent(text)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", str(program)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )


def test_one_process_is_the_first_and_hears_itself():
    with processes.joined() as among:
        assert among is processes.ALONE
        assert among.first
        assert among.from_first(lambda: "found") == "found"
        assert among.of_all(3) == [3]
        assert among.total("clips", 5) == 5
        among.meet()


def test_it_is_known_without_torch_who_was_launched(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")  # as other launchers leave it
    assert not processes.launched()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    assert processes.launched()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not processes.launched()


class Store:
    """What torch's store does, for processes that are not there."""

    def __init__(self):
        self.counts = {}

    def add(self, key, amount):
        self.counts[key] = self.counts.get(key, 0) + amount
        return self.counts[key]


def test_whoever_shows_no_sign_of_life_is_gone(monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    with pytest.raises(RunError, match=r"no sign of life from process 1 .* run the same command again"):
        processes.Processes(0, 2, store=Store()).meet()


def test_whoever_is_slow_is_waited_for(monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)

    class Slow(Store):
        """Process 1 beats at each question, and arrives at the thirtieth."""

        def add(self, key, amount):
            if key == "beat of 1":
                super().add(key, 1)
                if self.counts[key] == 30:
                    super().add("meeting 1 of 1", 1)
            return super().add(key, amount)

    store = Slow()
    processes.Processes(0, 2, store=store).meet()
    assert store.counts["beat of 1"] >= 30


def test_totals_are_sums_of_what_each_last_gave():
    store = Store()
    first, second = (processes.Processes(rank, 2, store=store) for rank in range(2))
    assert first.total("clips", 5) == 5
    assert second.total("clips", 2) == 7
    assert first.total("clips", 6) == 8
    assert second.total("windows", 1) == 1


def test_a_store_that_has_gone_is_one_line():
    class Gone:
        def add(self, key, amount):
            raise ConnectionResetError("connection reset\nand much more")

    with pytest.raises(RunError, match=r"a process of this run has gone \(connection reset\); what was finished"):
        processes.Processes(0, 2, store=Gone()).meet()


@pytest.mark.slow
def test_processes_hear_each_other(tmp_path):
    done = launch(
        tmp_path,
        """
        with processes.joined() as among:
            asked = []
            found = among.from_first(lambda: asked.append(1) or "found")
            assert len(asked) == (1 if among.first else 0)
            assert (found, among.of_all(among.rank * 10)) == ("found", [0, 10, 20])
            among.total("clips", among.rank + 1)
            among.meet()
            assert among.total("clips", among.rank + 1) == 6
        if among.first:
            print("well")
        """,
        count=3,
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@pytest.mark.slow
def test_a_fault_of_the_first_process_is_said_once(tmp_path):
    done = launch(
        tmp_path,
        """
        def fail():
            raise DataError("clip.wav: there is no such file")

        with processes.joined() as among:
            try:
                among.from_first(fail)
            except DataError as error:
                print(error, flush=True)
                raise SystemExit(1)
        """,
    )
    assert done.returncode == 1
    assert done.stdout.count("clip.wav: there is no such file") == 1


@pytest.mark.slow
def test_a_killed_process_ends_the_others(tmp_path):
    done = launch(
        tmp_path,
        """
        import os, signal, time
        with processes.joined() as among:
            if not among.first:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                among.of_all(1)
            except RunError as error:
                print(error, flush=True)
                raise SystemExit(1)
            print("never")
        """,
    )
    assert done.returncode == 1
    assert "never" not in done.stdout
