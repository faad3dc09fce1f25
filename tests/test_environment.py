"""The lock, the package metadata and the environment file may not drift apart."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BASH = shutil.which("bash")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Declared by fairseq, needed by none of what is used of it, and not to be had beside a CPU build of torch.
LEFT_OUT = {"torchaudio"}
# What torch brings for CUDA is torch's own business; the lock says why.
TORCH_BRINGS = re.compile(r"nvidia-.*|triton|cuda-.*")


def lock(name):
    lines = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[\w-]+==[\w.]+(; python_version >= \"[\d.]+\")?$", line) for line in lines)
    return {pin.name: pin for pin in map(Requirement, lines)}


LOCK = lock("requirements.txt")
APP = lock("requirements-app.txt")
TESTS = lock("requirements-test.txt")
EVERY = LOCK | APP | TESTS


def version_of(pin):
    return next(iter(pin.specifier)).version


def wanted(requirement, python=None):
    """Return whether a requirement holds on this system, for a version of Python or for the one that runs."""
    values = {} if python is None else {"python_version": python, "python_full_version": f"{python}.0"}
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""} | values)


def direct():
    for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["fetch"]):
        yield Requirement(text), LOCK
    for text in PROJECT["optional-dependencies"]["app"]:
        yield Requirement(text), LOCK | APP
    for text in PROJECT["optional-dependencies"]["test"]:
        yield Requirement(text), EVERY


@pytest.mark.parametrize(("requirement", "pins"), direct(), ids=lambda value: getattr(value, "name", ""))
def test_direct_dependencies_are_pinned_to_what_they_allow(requirement, pins):
    assert requirement.specifier.contains(version_of(pins[canonicalize_name(requirement.name)]))


@pytest.mark.parametrize("name", sorted(EVERY))
def test_the_lock_is_what_is_installed_and_has_all_it_needs(name):
    pin = EVERY[name]
    if not wanted(pin):
        return
    if name in APP and importlib.util.find_spec("gradio") is None:
        pytest.skip("the extra app is not installed")
    distribution = importlib.metadata.distribution(name)
    assert distribution.version.split("+")[0] == version_of(pin)
    for text in distribution.requires or []:
        needed = Requirement(text)
        pythons = [python for python in SUPPORTED if wanted(needed, python)]
        if not pythons:
            continue
        other = canonicalize_name(needed.name)
        if other in LEFT_OUT or (name == "torch" and TORCH_BRINGS.fullmatch(other)):
            continue
        pins = LOCK if name in LOCK else LOCK | APP if name in APP else EVERY
        for python in pythons:
            assert other in pins, f"{name} needs {needed}, which is not in the lock"
            assert needed.specifier.contains(version_of(pins[other])), f"{name} needs {needed}"
            assert wanted(pins[other], python), f"{name} needs {needed} on Python {python}"


def test_no_name_is_in_both_locks():
    assert len(EVERY) == len(LOCK) + len(APP) + len(TESTS)


def sourced(script, *, path=None):
    """Run a line of bash after environment.sh was read, with other programs on PATH if asked to."""
    change = "" if path is None else f"PATH={os.pathsep.join(map(str, path))};"
    command = [BASH, "-c", f"source {ROOT / 'environment.sh'}; {change} {script}"]
    return subprocess.run(command, capture_output=True, text=True)


SUPPORTED = sourced("echo $SUPPORTED").stdout.split()


def test_every_file_names_the_same_pythons():
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert [f"3.{minor}" for minor in range(30, 0, -1) if allowed.contains(f"3.{minor}.0")] == SUPPORTED
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]
    words = f"Python {', '.join(SUPPORTED[:0:-1])} or {SUPPORTED[0]}"
    assert words in (ROOT / "README.md").read_text("utf-8")
    assert words in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def interpreter(folder, name, *, runs):
    """Put a program there that says yes to whatever it is asked, or does not run, as a pyenv shim may not."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{BASH}\nexit {0 if runs else 127}\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_the_newest_python_that_runs_is_taken(tmp_path):
    oldest = interpreter(tmp_path / "a", "python3.11", runs=True)
    interpreter(tmp_path / "a", "python3.12", runs=False)
    interpreter(tmp_path / "a", "python3.13", runs=False)
    behind = interpreter(tmp_path / "b", "python3.12", runs=True)
    interpreter(tmp_path / "a", "python3", runs=True)
    assert sourced("find_python", path=[tmp_path / "a", tmp_path / "b"]).stdout == f"{behind}\n"
    assert sourced("find_python", path=[tmp_path / "a"]).stdout == f"{oldest}\n"
    newest = interpreter(tmp_path / "b", "python3.13", runs=True)
    assert sourced("find_python", path=[tmp_path / "a", tmp_path / "b"]).stdout == f"{newest}\n"


def test_a_python_by_its_plain_name_is_taken_if_it_is_supported(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    assert sourced("find_python", path=[tmp_path]).stdout == f"{tmp_path / 'python'}\n"
    refused = sourced("SUPPORTED='3.9 3.8'; find_python", path=[tmp_path])
    assert refused.returncode == 1
    assert refused.stderr.startswith("no Python 3.9 or 3.8 with its venv module was found; install one")
    assert refused.stderr.count("\n") == 1


def test_the_lock_is_not_installed_for_another_python():
    refused = sourced(f"SUPPORTED='3.9'; install_lock {sys.executable}")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{sys.executable} is not Python 3.9, which the lock is for")


def test_a_step_says_what_it_does_and_what_it_brought(tmp_path):
    script = f"""
        prefix={tmp_path} number=1 steps=4
        pip() {{
            echo "Collecting torch"
            echo "  Downloading torch-2.whl.metadata (12.3 kB)"
            echo "  Downloading small-1.whl (9.9 MB)"
            echo "  Downloading torch-2.whl (526.6 MB)"
            echo "WARNING: something is odd" >&2
            head -c $((3 << 20)) /dev/urandom >{tmp_path}/package
            return $1
        }}
        step "torch and what it needs" pip"""
    done = sourced(f"set -euo pipefail; {script} 0")
    assert done.returncode == 0
    assert done.stdout == ""
    first, *between, last = done.stderr.splitlines()
    assert first == "2/4 torch and what it needs"
    between = sorted(line.strip() for line in between)
    assert between == ["Downloading torch-2.whl (526.6 MB)", "WARNING: something is odd"]
    assert re.fullmatch(r" +[34] MB in \d+ s", last)
    assert sourced(f"{script} 7").returncode == 1


CHECK = """
import ast, importlib, sys
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    tree = ast.parse(path.read_text("utf-8"))
    compile(tree, str(path), "exec")
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in sys.stdlib_module_names:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):  # then it is a module itself
                    importlib.import_module(f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            name = modules[node.value.id]
            if name.split(".")[0] in sys.stdlib_module_names:
                assert hasattr(importlib.import_module(name), node.attr), f"{path}: {name}.{node.attr}"
print(sys.version_info[:2])
"""


def found(version):
    """Return interpreters of a version: on PATH, and those that pyenv keeps off it."""
    yield from filter(None, (shutil.which(f"python{version}", path=folder) for folder in os.get_exec_path()))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from pyenv.glob(f"versions/{version}.*/bin/python")


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_code_is_for_every_supported_python(version):
    """Every file compiles without a warning there, and what it takes from the standard library is in that version."""
    sources = [*ROOT.glob("dfdlib/**/*.py"), *ROOT.glob("tests/**/*.py")]
    asked = f"SUPPORTED={version}; supports"
    python = next((python for python in found(version) if sourced(f"{asked} {python}").returncode == 0), None)
    if python is None:
        pytest.skip(f"no Python {version} here")
    done = subprocess.run([python, "-I", "-W", "error", "-c", CHECK, *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tuple(map(int, version.split("."))))


def test_what_the_user_asked_for_is_there():
    for name in "jupyterlab papermill torch fairseq-fixed matplotlib seaborn scikit-learn pandas".split():
        assert name in {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
