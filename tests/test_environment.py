"""The lock, the package metadata and the environment file may not drift apart."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Declared by fairseq, needed by none of what is used of it, and not to be had beside a CPU build of torch.
LEFT_OUT = {"torchaudio"}
# What torch brings for CUDA is torch's own business; the lock says why.
TORCH_BRINGS = re.compile(r"nvidia-.*|triton|cuda-.*")


def lock(name):
    lines = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in lines), "every line of a lock pins a version"
    return dict(line.split("==") for line in lines)


LOCK = lock("requirements.txt")
TESTS = lock("requirements-test.txt")


def direct():
    for text in PROJECT["dependencies"]:
        yield Requirement(text), LOCK
    for text in PROJECT["optional-dependencies"]["test"]:
        yield Requirement(text), LOCK | TESTS


@pytest.mark.parametrize(("requirement", "pins"), direct(), ids=lambda value: getattr(value, "name", ""))
def test_direct_dependencies_are_pinned_to_what_they_allow(requirement, pins):
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", sorted(LOCK | TESTS))
def test_the_lock_is_what_is_installed_and_has_all_it_needs(name):
    distribution = importlib.metadata.distribution(name)
    assert distribution.version.split("+")[0] == (LOCK | TESTS)[name]
    for text in distribution.requires or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        other = canonicalize_name(needed.name)
        if other in LEFT_OUT or (name == "torch" and TORCH_BRINGS.fullmatch(other)):
            continue
        pins = LOCK if name in LOCK else LOCK | TESTS
        assert other in pins, f"{name} needs {needed}, which is not in the lock"


def test_no_name_is_in_both_locks():
    assert not set(LOCK) & set(TESTS)


def test_conda_users_get_the_same_python():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    python = next(line.split("=")[1] for line in environment["dependencies"] if line.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{python}.0")
    assert f"(3, {python.split('.')[1]})" in (ROOT / "environment.sh").read_text("utf-8")


def test_what_the_user_asked_for_is_there():
    for name in "jupyterlab papermill torch fairseq-fixed matplotlib seaborn scikit-learn pandas".split():
        assert name in {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
