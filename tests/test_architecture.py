"""The rules of the house that no single module can hold."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each module imports only from those before it.
ORDER = (
    "errors files processes audio corpus metrics asv resampling uncertainty calibration controls audit demo plots "
    "study findings wav2vec2 frontend aasist weights detector inference export cache scoring augment recipe finetune "
    "profile baseline doctor experiment comparison chapters page report cli"
).split()


def module_of(path):
    return path.relative_to(ROOT / "dfdlib").parts[0].removesuffix(".py")


SOURCES = sorted(path for path in (ROOT / "dfdlib").rglob("*.py") if module_of(path) not in {"__init__", "__main__"})


def imported(path):
    """Return the modules of dfdlib that a source file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "dfdlib":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dfdlib."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dfdlib."))


def test_every_module_has_its_place():
    assert {module_of(path) for path in SOURCES} == set(ORDER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_only_from_their_left(path):
    place = ORDER.index(module_of(path))
    for name in imported(path):
        assert name == module_of(path) or ORDER.index(name) < place, f"{path.name} imports {name}"


def test_every_module_has_its_tests():
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert set(ORDER) - tested == {"errors"}


@pytest.mark.parametrize("statement", ["import dfdlib", "from dfdlib import cli", "from dfdlib import profile"])
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
