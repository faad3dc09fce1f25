import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dfdlib import processes
from dfdlib.errors import ParameterError, RunError
from dfdlib.processes import WHOLE, Shard


def launch(tmp_path, text, *, count=2, restarts=0):
    """Run a program in several processes under torchrun: returns what they printed and how it ended."""
    program = tmp_path / "program.py"
    program.write_text("from dfdlib import processes\nfrom dfdlib.errors import DataError\n" + textwrap.dedent(text))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    return subprocess.run(
        [*command, f"--max-restarts={restarts}", str(program)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_one_process_is_the_first_and_does_everything():
    with processes.joined():
        assert (processes.rank(), processes.count(), processes.is_first()) == (0, 1, True)
        assert processes.shard() == WHOLE
        assert processes.from_first(lambda: "found") == "found"
        processes.wait()


def test_jobs_are_sharded_by_their_costs():
    costs = [1, 5, 1, 4, 1, 3, 2, 2]
    shards = [Shard(number, 3).of(costs) for number in range(3)]
    assert sorted(job for shard in shards for job in shard) == list(range(8))
    loads = [sum(costs[job] for job in shard) for shard in shards]
    assert max(loads) - min(loads) <= 1
    assert WHOLE.of(costs) == list(range(8))
    assert [Shard(number, 5).of([7.0]) for number in range(5)] == [[0], [], [], [], []]


def test_shards_are_named_from_one():
    assert [Shard.parse(text) for text in ("1/1", "2/8", "8/8")] == [WHOLE, Shard(1, 8), Shard(7, 8)]
    for wrong in ("0/8", "9/8", "1/0", "-1/8", "1", "1/8/2", "1.5/8", "", "¹/8"):
        with pytest.raises(ParameterError, match="is no shard; write 1/8"):
            Shard.parse(wrong)


def test_processes_that_nobody_connects_are_one_line(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert processes.shard() == Shard(1, 2)
    with pytest.raises(RunError, match="start them with torchrun, or unset WORLD_SIZE"), processes.joined():
        pass


@pytest.mark.slow
@pytest.mark.alone
def test_processes_hear_the_first_one_and_wait_for_all(tmp_path):
    done = launch(
        tmp_path,
        """
        import pathlib, time
        with processes.joined():
            asked = []
            found = processes.from_first(lambda: asked.append(1) or "found")
            assert (found, len(asked)) == ("found", processes.is_first())
            time.sleep(processes.rank())
            pathlib.Path(__file__).with_name(str(processes.rank())).touch()
            processes.wait()
            assert all(pathlib.Path(__file__).with_name(str(rank)).exists() for rank in range(3))
        if processes.is_first():
            print("well")
        """,
        count=3,
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_a_fault_of_the_first_process_is_said_once(tmp_path):
    done = launch(
        tmp_path,
        """
        def fail():
            raise DataError("clip.wav: there is no such file")

        with processes.joined():
            try:
                processes.from_first(fail)
            except DataError as error:
                print(error, flush=True)
                raise SystemExit(1)
        """,
    )
    assert done.returncode == 1
    assert done.stdout.count("clip.wav: there is no such file") == 1


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("restarts", [0, 1])
def test_a_killed_process_ends_the_others_or_starts_all_again(tmp_path, restarts):
    done = launch(
        tmp_path,
        """
        import os, pathlib, signal
        with processes.joined():
            mark = pathlib.Path(__file__).with_name("killed")
            if not processes.is_first() and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            processes.wait()
            print("met")
        """,
        restarts=restarts,
    )
    assert done.returncode == 1 - restarts
    assert done.stdout.count("met") == 2 * restarts


def test_a_pool_ends_with_the_process_that_started_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, time\n"
        "from dfdlib import processes\n"
        "def prepare():\n"
        "    os.environ['PREPARED'] = 'yes'\n"
        "def work():\n"
        "    assert os.environ['PREPARED'] == 'yes'\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    processes.pool(1, prepare=prepare).submit(work).result()\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        worker = Path(f"/proc/{int(process.stdout.readline())}")
        assert worker.exists()
        process.kill()
    for _ in range(100):
        if not worker.exists():
            return
        time.sleep(0.1)
    raise AssertionError("the worker lives on")
