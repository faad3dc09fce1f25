"""The picture in README.md shows a complete run."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent

spec = importlib.util.spec_from_file_location("picture", ROOT / "docs/picture.py")
picture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(picture)


def test_the_picture_shows_a_complete_run_without_banners():
    run = json.loads(Image.open(ROOT / "reports/report.png").text["run"])
    assert run["notices"] == 0
    assert run["profile"] == "demo"
    assert run["status"] == {path.stem: "done" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}


@pytest.fixture
def folder(tmp_path):
    summary = {
        "profile": "demo",
        "status": {"01_first": "done", "02_second": "done"},
        "provenance": {"commit": "abc", "generated": "now"},
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "index.html").write_text("<h1>Report</h1>")
    return tmp_path


def test_what_a_picture_says_of_its_run(folder):
    assert picture.run_of(folder)["status"] == {"01_first": "done", "02_second": "done"}
    assert picture.run_of(folder)["notices"] == 0


@pytest.mark.parametrize("status", ["outdated", "failed", "not run"])
def test_a_run_that_is_not_complete_is_refused(folder, status):
    summary = json.loads((folder / "summary.json").read_text())
    summary["status"]["02_second"] = status
    (folder / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(SystemExit, match=f"is not complete .02_second is {status}"):
        picture.take(folder, folder / "report.png")
    assert not (folder / "report.png").exists()


def test_a_page_with_a_banner_is_refused(folder):
    (folder / "index.html").write_text('<p class="notice outdated">A quick\n look</p>')
    with pytest.raises(SystemExit, match=r"is not complete \(A quick look\)"):
        picture.run_of(folder)


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="holds no finished report"):
        picture.run_of(tmp_path)
