import json
import sys
from pathlib import Path

import bs4
import filelock
import nbformat
import pytest

from dfdlib import progress
from dfdlib.errors import ParameterError, RunError
from dfdlib.experiment import profile
from dfdlib.report import build as report

PARAMETERS = "profile = ''\nrun_dir = ''\noverrides = []"


def write(path, *sources, parameters=PARAMETERS):
    """Write a notebook with a parameters cell and code cells."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    book.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    book.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "x", "language": "python"}
    nbformat.write(book, path)


KEEP = """
import json, pathlib
results = pathlib.Path(run_dir) / "results"
results.mkdir(exist_ok=True)
evaluation = dict(corpus="custom", when="before", eer=0.25, eer_ci=[0.2, 0.3], auc=0.8, auc_ci=[0.7, 0.9])
(results / "01_first.json").write_text(json.dumps(dict(evaluations=[evaluation], sentences=["It works."], extra=1)))
"""


@pytest.fixture
def books(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder / "01_first.ipynb", KEEP)
    write(folder / "02_second.ipynb", "import sys; print(profile, sys.prefix.encode().hex())")
    return folder


@pytest.fixture
def build(toy, books, tmp_path):
    """Build the toy's report; returns the result and the lines that were echoed."""

    def run(**options):
        lines = []
        result = report.build(
            profile.load(toy), notebooks_folder=books, run_folder=tmp_path / "run", echo=lines.append, **options
        )
        return result, lines

    return run


def statuses(result):
    return [chapter.status for chapter in result.chapters]


def test_cells_to_try_are_neither_run_nor_shown(build, books, tmp_path):
    tags = {"tags": ["try-it", "skip-execution"]}
    book = nbformat.read(books / "02_second.ipynb", as_version=4)
    book.cells += [nbformat.v4.new_markdown_cell("## Try it", metadata=tags)]
    book.cells += [nbformat.v4.new_code_cell("raise SystemError('it was run')", metadata=tags)]
    nbformat.write(book, books / "02_second.ipynb")
    result, _ = build(only=["02"])
    assert statuses(result) == ["not run", "done"]
    page = (tmp_path / "run/index.html").read_text()
    assert "it was run" not in page
    assert "Try it" not in page
    assert sys.prefix.encode().hex() in page


def test_notebooks_run_once_and_again_when_something_changed(build, books, tmp_path):
    result, lines = build()
    assert statuses(result) == ["done", "done"]
    assert result.ok
    assert lines[0] == "1/2 01_first …"
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["sentences"] == ["It works."]
    assert summary["evaluations"][0]["eer"] == 0.25
    assert summary["notebooks"]["01_first"] == {"extra": 1}
    page = (tmp_path / "run/index.html").read_text()
    assert "It works." in page
    assert sys.prefix.encode().hex() in page  # the kernel was this environment's, whatever the notebook named

    result, lines = build()
    assert statuses(result) == ["kept", "kept"]
    assert "nothing has changed" in lines[0]

    write(books / "02_second.ipynb", "print('changed')")
    assert statuses(build()[0]) == ["kept", "done"]


@pytest.mark.parametrize("name", ["build.py", "corpora.yaml", "browser.html.j2", "browser.js"])
def test_what_notebooks_read_of_the_package_decides_whether_they_run_again(toy, books, tmp_path, monkeypatch, name):
    def keys(sha256=report.files.sha256):
        monkeypatch.setattr(report.files, "sha256", sha256)
        chapters = report._chapters(sorted(books.iterdir()), folder=tmp_path, settings=profile.load(toy), inputs={})
        return [chapter.key for chapter in chapters]

    true = report.files.sha256
    before = keys()
    assert keys(lambda path: "another" if path.name == name else true(path))[0] != before[0]
    assert keys(true) == before


def test_what_a_chapter_finds_again_is_said_once_and_an_outdated_one_is_not_believed_first(build, books, tmp_path):
    second = KEEP.replace("01_first", "02_second").replace("eer=0.25", "eer=0.5")
    write(books / "02_second.ipynb", second)

    def evaluations():
        return json.loads((tmp_path / "run/summary.json").read_text())["evaluations"]

    # The second chapter alone has all figures that it shows.
    build(only=["02"])
    assert [row["eer"] for row in evaluations()] == [0.5]
    build()
    assert [row["eer"] for row in evaluations()] == [0.5]
    write(books / "01_first.ipynb", KEEP.replace("eer=0.25", "eer=0.125"))
    build(only=["01"])
    assert [row["eer"] for row in evaluations()] == [0.125]


TELL = """
import pathlib, time
from dfdlib import progress
for step in range(3):
    progress.tell(pathlib.Path(run_dir), f"training {step} of 3")
    time.sleep(0.6)
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_chapter_says_what_it_is_at_while_it_runs_and_not_on_the_page(
    build, books, tmp_path, monkeypatch, capsys, terminal
):
    write(books / "01_first.ipynb", TELL)
    monkeypatch.setattr(progress, "LOOK", 0.05)
    monkeypatch.setattr(progress, "BETWEEN", 0.0)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal)
    lines = build(only=["01"])[1]
    told = [f"1/2 01_first: training {step} of 3" for step in range(3)]
    written = capsys.readouterr().err
    if terminal:
        assert written == "".join(f"\r\x1b[K{line}" for line in told) + "\r\x1b[K"
    else:
        assert lines[1:4] == told
        assert written == ""
    assert "training 1 of 3" not in json.dumps(
        json.loads((tmp_path / "run/notebooks/01_first.ipynb").read_text())["cells"][-1]["outputs"]
    )
    assert "of 3</pre>" not in (tmp_path / "run/index.html").read_text()
    assert not list((tmp_path / "run").glob(".progress*"))


def test_a_failure_is_reported_and_later_notebooks_wait(build, books, tmp_path):
    write(books / "01_first.ipynb", "raise ValueError('no clip')")
    result, lines = build()
    assert not result.ok
    assert statuses(result) == ["failed", "not run"]
    assert any("01_first: failed" in line and "ValueError: no clip" in line for line in lines)
    page = (tmp_path / "run/index.html").read_text()
    assert "ValueError: no clip" in page
    assert "was not run" in page
    # fixed, it runs; the failed copy is not taken for a finished one
    write(books / "01_first.ipynb", "print('fixed')")
    assert statuses(build(only=["1"])[0]) == ["done", "not run"]


def test_no_place_of_this_machine_is_on_the_page(build, books, toy, tmp_path):
    source = f"""
import warnings
print(run_dir, profile, {str(toy.parent / "custom/Real/a b.wav")!r})
warnings.warn(run_dir)
raise ValueError(run_dir + "/my clip.wav: holds no sound")
"""
    write(books / "01_first.ipynb", source)
    result, _ = build(only=["01"], overrides=[f"data.custom={toy.parent / 'custom'}"], profile_name=str(toy))
    page = result.page.read_text("utf-8")
    assert all(text in page for text in ("…/custom/Real/a b.wav", "…/run/my clip.wav: holds no sound", "…/toy.yaml"))
    for place in (tmp_path, toy.parent, Path.home(), profile.root(), sys.prefix):
        assert str(place) not in page


def test_a_detector_of_ones_own_has_no_chapters_on_fine_tuning(toy, books, tmp_path, monkeypatch):
    module = "class make:\n    fingerprint = '1'\n    def score(self, windows): return windows.std(axis=1)\n"
    (tmp_path / "builtmodule.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    write(books / "03_third.ipynb", "1 / 0")
    settings, lines = profile.load(toy, overrides=["detector=builtmodule:make"]), []
    places = {"notebooks_folder": books, "run_folder": tmp_path / "run"}
    result = report.build(settings, **places, only=["03"], echo=lines.append)
    assert statuses(result) == ["not run"] * 3
    assert lines[0] == "builtmodule:make cannot be fine-tuned: notebooks 01 and 02 report on it as it is"
    for name in ("detector=nowhere:make", "rivals=[nowhere:make]"):
        with pytest.raises(ParameterError, match="detector nowhere:make: cannot be imported"):
            report.build(profile.load(toy, overrides=[name]), **places)
    page = result.page.read_text()
    assert "a detector of one’s own" in page or "a detector of one's own" in page.replace("&#39;", "'")


def test_a_kernel_that_dies_is_a_failure_like_another(build, books, tmp_path):
    write(books / "01_first.ipynb", "import os; os._exit(9)")
    result, lines = build()
    assert not result.ok
    assert statuses(result) == ["failed", "not run"]
    assert any("01_first: failed" in line and "Kernel died" in line for line in lines)
    assert "Kernel died" in (tmp_path / "run/index.html").read_text()
    assert not (tmp_path / "run/notebooks/01_first.done.json").exists()


def test_what_went_wrong_is_one_line(build, books):
    write(books / "01_first.ipynb", "raise ValueError('one\\nand two')")
    result, lines = build(only=["01"])
    assert result.chapters[0].error == "ValueError: one and two"
    assert not any("\n" in line for line in lines)


def test_a_profile_is_found_from_where_the_command_was_given(toy, books, tmp_path, monkeypatch):
    write(
        books / "01_first.ipynb",
        "from dfdlib.experiment import profile as profiles; print(profiles.load(profile).title)",
    )
    monkeypatch.chdir(toy.parent)
    result = report.build(
        profile.load(toy.name),
        profile_name=toy.name,
        notebooks_folder=books,
        run_folder=tmp_path / "run",
        only=["01"],
        echo=str,
    )
    assert result.ok, result.chapters[0].error


def test_a_copy_without_its_marker_is_run_again(build, tmp_path):
    build(only=["02"])
    (tmp_path / "run/notebooks/02_second.done.json").unlink()
    assert statuses(build(only=["02"])[0]) == ["not run", "done"]


def test_only_names_notebooks_that_exist(build):
    with pytest.raises(ParameterError, match="--only 07: there is no such notebook; choose from 01, 02"):
        build(only=["07"])


def test_a_notebook_must_take_the_parameters(build, books):
    write(books / "01_first.ipynb", parameters="profile = ''")
    with pytest.raises(ParameterError, match="does not set overrides, run_dir"):
        build(only=["01"])


def test_two_runs_keep_out_of_each_others_way(build, tmp_path):
    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run/.lock"), pytest.raises(RunError, match="another run is at work here"):
        build()
    assert build(only=["01"])[0].ok


def test_a_run_folder_that_cannot_be_written(toy, books, tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(RunError, match=r"occupied/run: cannot be written .*--folder"):
        report.build(profile.load(toy), notebooks_folder=books, run_folder=tmp_path / "occupied/run", echo=str)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notebooks").write_text("")
    with pytest.raises(RunError, match=r"run/notebooks/01_first\.ipynb: cannot be written"):
        report.build(profile.load(toy), notebooks_folder=books, run_folder=tmp_path / "run", echo=str)


def test_no_notebooks(toy, tmp_path):
    with pytest.raises(RunError, match="holds no notebooks"):
        report.build(profile.load(toy), notebooks_folder=tmp_path, run_folder=tmp_path / "run")


def visible_words(page):
    """Count the words of a page's text, without what is folded away."""
    soup = bs4.BeautifulSoup(page, "lxml")
    for part in soup.select("head, script, style, svg, noscript, audio, nav, details:not([open]) > :not(summary)"):
        part.decompose()
    return len(soup.get_text(" ").split())


@pytest.mark.slow
def test_the_five_notebooks_on_a_toy(toy, tmp_path):
    result = report.build(profile.load(toy), profile_name=str(toy), run_folder=tmp_path / "run")
    assert result.ok
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    pairs = [(row["corpus"], row["when"]) for row in summary["evaluations"]]
    assert sorted(pairs) == sorted(
        (name, when) for name in ("custom", "for-2seconds", "source") for when in ("before", "after")
    )
    page = result.page.read_text()
    assert len(page) < 8 * 2**20
    assert visible_words(page) < 4000
    assert "broken.wav" in page
    assert not any(str(place) in page for place in (tmp_path, toy.parent, Path.home(), profile.root()))
    # the same profile again, elsewhere, from the start: the same figures
    second = report.build(profile.load(toy), profile_name=str(toy), run_folder=tmp_path / "second")
    again = json.loads((tmp_path / "second/summary.json").read_text())
    assert second.ok
    assert {**again, "provenance": None} == {**summary, "provenance": None}
