import json
import shlex
import subprocess

import bs4
import pytest

from dfdlib.experiment import profile
from dfdlib.report import page
from dfdlib.report.page import Chapter

EVALUATION = {"corpus": "custom", "eer": 0.25, "eer_ci": [0.2, 0.3], "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def summary(toy):
    settings = profile.load(toy)
    return {
        "profile": "toy",
        "title": "A <toy>",
        "limit": None,
        "allow_shared_clips": False,
        "level": 0.9,
        "status": {},
        "evaluations": [EVALUATION | {"when": "before"}, EVALUATION | {"when": "after"}],
        "differences": [{"corpus": "custom", "delta_eer": -0.05, "delta_eer_ci": [-0.1, 0.01]}],
        "sentences": ["The EER is 25.0 %."],
        "notebooks": {},
        "provenance": page.provenance(settings, inputs={"custom": "abc"}, overrides=["seed=2"])
        | {"generated": "now", "seconds": {}},
    }


def chapter(tmp_path, *cells, status="done"):
    """Return a chapter made of (type, source, outputs, tags)."""
    book = {
        "cells": [
            {"cell_type": kind, "source": source, "outputs": outputs, "metadata": {"tags": tags}}
            for kind, source, outputs, tags in cells
        ]
    }
    executed = tmp_path / "01_first.ipynb"
    executed.write_text(json.dumps(book))
    return Chapter(source=executed, executed=executed, key="", status=status)


def test_the_page_is_one_file_that_fetches_nothing(tmp_path, summary):
    image = {
        "output_type": "display_data",
        "data": {"image/png": "aGk="},
        "metadata": {"image/png": {"alt": "EER 25 %"}},
    }
    made = chapter(
        tmp_path,
        ("markdown", "# First\n\nText with a [link](https://example.org).", [], []),
        ("markdown", "## A section", [], []),
        ("code", "show(figure)", [image], []),
    )
    text = page.render(summary, chapters=[made], folder=tmp_path)
    soup = bs4.BeautifulSoup(text, "html.parser")
    fetched = [
        element.get("src") or element.get("href") for element in soup(["img", "script", "link", "audio", "source"])
    ]
    assert all(address is None or address.startswith("data:") for address in fetched)
    assert "@import" not in text
    assert "url(" not in text
    assert soup.find("img", src="data:image/png;base64,aGk=")["alt"] == "EER 25 %"
    assert soup.title.text == "A <toy>"


def test_ids_are_unique_and_the_sidebar_leads_to_them(tmp_path, summary):
    first = chapter(tmp_path, ("markdown", "# One", [], []), ("markdown", "## Same title", [], []))
    folder = tmp_path / "other"
    folder.mkdir()
    second = chapter(folder, ("markdown", "# Two", [], []), ("markdown", "## Same title", [], []))
    second.source = folder / "02_second.ipynb"
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[first, second], folder=tmp_path), "html.parser")
    identifiers = [element["id"] for element in soup(id=True)]
    assert len(identifiers) == len(set(identifiers))
    assert all(link["href"].lstrip("#") in identifiers for link in soup.nav("a"))


def test_equal_headings_of_one_notebook_and_of_outputs_stay_apart(tmp_path, summary):
    said = {"output_type": "display_data", "data": {"text/markdown": "## Said"}, "metadata": {}}
    cells = [("markdown", "## Same", [], []), ("markdown", "## Same", [], []), ("code", "", [said, said], [])]
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[chapter(tmp_path, *cells)], folder=tmp_path), "html.parser")
    identifiers = [element["id"] for element in soup(id=True)]
    assert len(identifiers) == len(set(identifiers))
    assert [link["href"] for link in soup.nav("a") if link.text == "Same"] == ["#01_first-same", "#01_first-same-2"]


def test_the_level_of_the_intervals_is_the_profiles(tmp_path, summary):
    assert "with 90 % intervals" in page.render(summary, chapters=[], folder=tmp_path)


def test_the_command_names_the_file_that_was_given_and_packages_may_lack(toy, monkeypatch):
    monkeypatch.setattr(page, "PACKAGES", ("no-such-package",))
    found = page.provenance(profile.load(toy), inputs={}, overrides=[], profile_name="/some/mine.yaml")
    assert found["command"] == "./run_all.sh --profile /some/mine.yaml"
    assert found["packages"] == {"no-such-package": "not installed under this name"}


def test_provenance_has_settings_as_given_and_as_used(toy, tmp_path, summary):
    overrides = [f"data.custom={tmp_path}/take #2; <i>", "title=12: a tale", "finetune.epochs=2"]
    found = page.provenance(profile.load(toy, overrides=overrides), inputs={}, overrides=overrides)
    given = shlex.split(found["command"])
    assert [given[place + 1] for place, part in enumerate(given) if part == "--set"] == overrides
    assert found["changed"] == {
        "data.custom": f"{tmp_path}/take #2; <i>",
        "title": "12: a tale",
        "finetune.epochs": "2",
    }
    assert found["settings"]["finetune"]["epochs"] == 2
    summary["provenance"] |= found
    shown = bs4.BeautifulSoup(page.render(summary, chapters=[], folder=tmp_path), "html.parser").find(id="provenance")
    assert shown.find("th", string="data.custom, as used").parent.td.text == f"{tmp_path}/take #2; <i>"
    assert "epochs: 2" in shown.details.text


def test_a_quick_look_and_shared_clips_are_said_at_the_top(tmp_path, summary):
    def notices():
        soup = bs4.BeautifulSoup(page.render(summary, chapters=[], folder=tmp_path), "html.parser")
        return " ".join(notice.text for notice in soup.find(id="summary")(class_="notice"))

    assert notices() == ""
    summary["limit"] = 20
    assert "at most 20 clips of each split were used, in the audit" in notices()
    summary["allow_shared_clips"] = True
    assert "allowed to have clips in common" in notices()


def test_code_is_folded_and_set_up_is_out_of_the_way(tmp_path, summary):
    made = chapter(tmp_path, ("code", "profile = 'demo'", [], ["parameters"]), ("code", "shown = 1", [], []))
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser")
    folded = soup.find(id="01_first")("details")
    assert [details.pre.text for details in folded] == ["shown = 1\n", "profile = 'demo'\n"]
    assert not any(details.has_attr("open") for details in folded)


def test_a_failure_is_at_the_top_and_its_traceback_open(tmp_path, summary):
    error = {"output_type": "error", "traceback": ["\x1b[31mDataError\x1b[0m: <no clip>"]}
    made = chapter(tmp_path, ("code", "run()", [error], ["setup"]), status="failed")
    made.error = "DataError: <no clip>"
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser")
    assert "failed" in soup.find(id="summary").find(class_="notice").text
    trace = soup.find("pre", class_="traceback")
    assert trace.text == "DataError: <no clip>"
    assert trace.find_parent("details") is None


def test_tables_lose_pandas_styles_and_keep_their_captions(summary):
    tidy = page._tidy(
        '<style>#T_1 {color: red}</style><table border="1" id="T_1"><caption class="c">Two.</caption><thead><tr>'
        '<th class="h">name</th><th>EER</th></tr></thead><tbody><tr><td id="x">a</td><td class="data">25.0%</td></tr>'
        "<tr><td>b</td><td>–</td></tr></tbody></table>"
    )
    soup = bs4.BeautifulSoup(tidy, "html.parser")
    assert soup.style is None
    assert soup.caption.text == "Two."
    assert [cell.get("class") for cell in soup(["th", "td"])] == [None, ["number"]] * 3
    assert soup.table.parent["class"] == ["table"]


def test_progress_lines_end_as_they_ended():
    stream = {"output_type": "stream", "text": ["10 %\r50 %\r100 %\n", "\x1b[1mdone\x1b[0m"]}
    assert page._output(stream) == '<pre class="stream">100 %\ndone</pre>'


def test_before_and_after_are_one_row(summary):
    (row,) = page._before_and_after(summary)
    assert set(row) == {"corpus", "before", "after", "change"}


def test_provenance_says_whether_the_checkout_is_clean(summary, monkeypatch, tmp_path):
    assert summary["provenance"]["command"] == "./run_all.sh --profile toy --set seed=2"
    assert summary["provenance"]["packages"]["torch"]
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    assert page._commit() == "unknown (no git checkout)"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    assert len(page._commit()) == 40
    (tmp_path / "new").write_text("")
    assert page._commit().endswith("with changes not committed")
