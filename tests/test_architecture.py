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
ORDER = "errors files processes evaluation data detector training experiment report cli".split()


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


def test_every_room_names_its_modules():
    for room in ORDER[3:]:
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


@pytest.mark.parametrize(
    "statement", ["import dfdlib", "from dfdlib.cli import app", "from dfdlib.experiment import profile"]
)
def test_light_imports_stay_light(statement):
    code = (
        f"import sys; {statement}; print([name for name in ('torch', 'fairseq', 'lightning') if name in sys.modules])"
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
