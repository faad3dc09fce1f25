import os
import shutil
import subprocess
import sys

import pytest
import yaml

# The demo takes minutes to build; here its builder copies clips, and may be called by the first process alone.
PROGRAM = """
import shutil, sys, time
from dfdlib import processes
from dfdlib.cli import app
from dfdlib.data import demo
from dfdlib.experiment import run

def build(root, *, parts=None):
    assert processes.is_first(), "another process builds as well"
    time.sleep(1)
    shutil.copytree(SOURCE, root)
    print("built once")

def stop(self, job, *, progress):
    print(len(job.training), "clips to train on", flush=True)
    sys.exit()

demo.build = build
if not TRAINS:
    run.Run.train = stop
sys.argv = ["dfd", "finetune", "--profile", PROFILE, "--out", OUT]
app.main()
"""


@pytest.mark.parametrize(
    ("trains", "said", "times"),
    [(False, "16 clips to train on", 2), pytest.param(True, "epoch 1 of 1", 1, marks=pytest.mark.slow)],
)
def test_the_first_of_two_processes_builds_the_demo_and_the_other_waits_for_it(toy, tmp_path, trains, said, times):
    settings = yaml.safe_load(toy.read_text())
    settings["data"] = {"build": "demo"} | {
        name.replace("-", "_"): f"data/demo/{name}" for name in ("for-2seconds", "custom", "source")
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(settings))
    source = tmp_path / "made"
    for name in ("for-2seconds", "custom", "source"):
        shutil.copytree(toy.parent / name, source / name)
    (tmp_path / "root/notebooks").mkdir(parents=True)
    out = tmp_path / "mine.safetensors"
    program = tmp_path / "program.py"
    names = {"SOURCE": str(source), "PROFILE": str(tmp_path / "toy.yaml"), "OUT": str(out), "TRAINS": trains}
    program.write_text("".join(f"{name} = {value!r}\n" for name, value in names.items()) + PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "DFD_ROOT": str(tmp_path / "root")},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("built once") == 1
    assert done.stdout.count(said) == times
    assert out.is_file() == trains
