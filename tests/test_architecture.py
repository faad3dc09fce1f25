"""The rules of the house that no single module can hold."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each room imports only from those before it.
ORDER = (
    "text errors machine files progress processes evaluation data detector training experiment report app cli".split()
)


def room_of(path):
    return path.relative_to(ROOT / "dfdlib").parts[0].removesuffix(".py")


SOURCES = sorted(path for path in (ROOT / "dfdlib").rglob("*.py") if room_of(path) not in {"__init__", "__main__"})


def imported(path):
    """Return the rooms of dfdlib that a source file imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "dfdlib":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dfdlib."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dfdlib."))


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in SOURCES} == set(ORDER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_from_those_before_them(path):
    place = ORDER.index(room_of(path))
    for name in imported(path):
        assert ORDER.index(name) <= place, f"{path} imports {name}"


# What is to be shortened yet; a name leaves the list when it is.
LONG_MODULES = set()
LONG_FUNCTIONS = set()


def test_modules_and_functions_are_short():
    modules, functions = set(), set()
    for path in SOURCES:
        text, name = path.read_text("utf-8"), path.relative_to(ROOT / "dfdlib").as_posix()
        if len(text.splitlines()) > 400:
            modules.add(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 60:
                functions.add((name, node.name))
    assert modules == LONG_MODULES
    assert functions == LONG_FUNCTIONS


def test_every_room_names_its_modules():
    for room in ORDER[6:]:
        folder = ROOT / "dfdlib" / room
        found = {path.stem for path in folder.glob("*.py")} | {
            path.parent.name for path in folder.glob("*/__init__.py")
        }
        named = set(importlib.import_module(f"dfdlib.{room}").__all__)
        assert found - {"__init__"} <= named, room
        assert all(hasattr(importlib.import_module(f"dfdlib.{room}"), name) for name in named)


def test_tests_mirror_the_rooms():
    for path in (ROOT / "tests").rglob("test_*.py"):
        room = path.parent.relative_to(ROOT / "tests")
        assert room == Path() or (ROOT / "dfdlib" / room).is_dir(), path


# What Python has on some systems only, as its manual says under "Availability", as far as anyone may want it.
NOT_EVERYWHERE = set(
    "fcntl grp pwd resource termios tty pty syslog posix "
    "os.fork os.forkpty os.geteuid os.getloadavg os.getuid os.initgroups os.killpg os.memfd_create os.mkfifo os.nice "
    "os.O_DIRECTORY os.O_NOFOLLOW os.O_NONBLOCK os.pidfd_open os.posix_fadvise os.posix_fallocate os.sched_getaffinity "
    "os.sched_setaffinity os.sendfile os.setsid os.statvfs os.sync os.sysconf os.sysconf_names os.uname os.wait4 "
    "os.waitid signal.alarm signal.setitimer signal.SIGALRM signal.SIGCHLD signal.SIGHUP signal.SIGKILL signal.SIGUSR1 "
    "signal.SIGUSR2 signal.pause signal.sigwait mmap.MADV_DONTNEED mmap.MAP_PRIVATE mmap.PROT_READ ctypes.CDLL "
    "socket.AF_UNIX time.tzset select.epoll select.poll select.kqueue".split()
)
# Not to be had, or not safe, in a program with threads: the umask is that of all of them.
NEVER = {"os.umask", "os.fork"}


def whole_names(path):
    """Yield the functions around each name of the standard library that a source uses, and the name."""

    def walk(node, around):
        inner = (*around, node) if isinstance(node, ast.FunctionDef) else around
        if isinstance(node, ast.Import):
            yield from ((around, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield around, node.module
            yield from ((around, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield around, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_context"):
            yield around, f"os.{ast.literal_eval(node.args[0])}"  # a context of processes: fork or spawn
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return walk(ast.parse(path.read_text("utf-8")), ())


def is_guarded(around):
    """Whether a function looks first whether the system is one that has the name."""
    text = "".join(ast.unparse(function) for function in around)
    return "sys.platform" in text or "hasattr(os" in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_some_systems_lack_is_called_unguarded(path):
    for around, name in whole_names(path):
        assert name not in NEVER, f"{path}: {name}"
        assert name not in NOT_EVERYWHERE or is_guarded(around), f"{path}: {name} is not everywhere"


def test_the_search_for_what_some_systems_lack_finds_it(tmp_path):
    (tmp_path / "module.py").write_text(
        "import fcntl, os, multiprocessing\nfrom os import killpg\n"
        "def bare():\n    return os.sysconf('SC_PAGE_SIZE'), multiprocessing.get_context('fork')\n"
        "def guarded():\n    return os.getuid() if hasattr(os, 'getuid') else 0\n"
    )
    found = {name for around, name in whole_names(tmp_path / "module.py") if not is_guarded(around)}
    assert found & NOT_EVERYWHERE == {"fcntl", "os.killpg", "os.sysconf", "os.fork"}


def test_light_imports_stay_light():
    code = (
        "import sys, dfdlib, dfdlib.cli.app; from dfdlib.experiment import profile; "
        "print([name for name in ('torch', 'fairseq', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_clean_and_short(path):
    book = json.loads(path.read_text("utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    assert all(len(cell["source"]) <= 20 for cell in code), "long code belongs into dfdlib"
    assert book["cells"][0]["cell_type"] == "markdown"
    assert book["metadata"]["kernelspec"]["name"] == "python3"


def test_there_are_five_notebooks():
    assert [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))] == [
        "01_baseline_evaluation",
        "02_for2seconds_evaluation",
        "03_finetuning",
        "04_post_finetune_evaluation",
        "05_discussion",
    ]
