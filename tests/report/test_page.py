from types import SimpleNamespace

import bs4
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from dfdlib.report import page, plots, show
from dfdlib.report.page import Chapter


def chapter(tmp_path, *cells, status="done"):
    """Return a chapter made of (type, source, outputs, tags)."""
    book = nbformat.v4.new_notebook()
    for kind, source, outputs, tags in cells:
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        book.cells.append(new(source, metadata={"tags": tags}))
        if kind == "code":
            book.cells[-1].outputs = [nbformat.from_dict(output) for output in outputs]
    executed = tmp_path / "01_first.ipynb"
    nbformat.write(book, executed)
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
    assert "url(" not in text.replace("url(#", "")  # what a figure refers to is in the figure
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
    error = {
        "output_type": "error",
        "ename": "DataError",
        "evalue": "",
        "traceback": ["\x1b[31mDataError\x1b[0m: <no clip>"],
    }
    made = chapter(tmp_path, ("code", "run()", [error], ["setup"]), status="failed")
    made.error = "DataError: <no clip>"
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser")
    assert "failed" in soup.find(id="summary").find(class_="notice").text
    trace = soup.find("pre", class_="traceback")
    assert trace.text == "DataError: <no clip>"
    assert trace.find_parent("details") is None


def shown(tmp_path, summary, *outputs):
    """Return the page of a notebook whose only cell has these outputs."""
    made = chapter(tmp_path, ("code", "show()", list(outputs), []))
    return bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser").find(id="01_first")


def test_tables_lose_pandas_styles_and_keep_their_captions(tmp_path, summary):
    table = (
        '<style>#T_1 {color: red}</style><table border="1" id="T_1"><caption class="c">Two.</caption><thead><tr>'
        '<th class="h">name</th><th>EER</th></tr></thead><tbody><tr><td id="x">a</td><td class="data">25.0%</td></tr>'
        "<tr><td>b</td><td>–</td></tr></tbody></table>"
    )
    soup = shown(tmp_path, summary, {"output_type": "display_data", "data": {"text/html": table}, "metadata": {}})
    assert soup.style is None
    assert soup.caption.text == "Table 2. Two."
    assert soup.caption.a["href"] == f"#{soup.table['id']}"
    assert [cell.get("class") for cell in soup(["th", "td"])] == [None, ["number"]] * 3
    assert [cell.get("scope") for cell in soup(["th", "td"])] == ["col", "col", "row", None, "row", None]
    assert soup.table.parent["class"] == ["table"]


def test_progress_lines_end_as_they_ended(tmp_path, summary):
    stream = {"output_type": "stream", "name": "stdout", "text": ["10 %\r50 %\r100 %\n", "\x1b[1mdone\x1b[0m <b>"]}
    assert shown(tmp_path, summary, stream).find("pre", class_="stream").text == "100 %\ndone <b>"


def test_wide_figures_scroll_on_narrow_screens(tmp_path, summary):
    def image(width):
        data = {"image/png": "aGk=", "text/plain": "a figure"}
        return {"output_type": "display_data", "data": data, "metadata": {"image/png": {"alt": "A.", "width": width}}}

    narrow, wide = shown(tmp_path, summary, image(640), image(1400))("img")
    for image in (narrow, wide):
        assert image.find_parent(class_="panels")["tabindex"] == "0"
        assert image.find_parent("figure").figcaption.text.startswith("Figure ")


def test_before_and_after_are_one_row(summary):
    (row,) = page._before_and_after(summary)
    assert set(row) == {"corpus", "before", "after", "change", "verdict"}


MARKUP = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "[a](javascript:alert(1)) <b>",
    '"><img src=x onerror=alert(1)>',
)


@pytest.mark.parametrize("name", MARKUP)
def test_no_name_becomes_part_of_the_page(name, tmp_path, summary):
    """Attack and corpus, file and recipe names, in tables and sentences, provenance and settings, and in failures."""
    frame = pd.DataFrame({"attack": [name], "path": [f"Real/{name}.wav"]})
    InteractiveShell.instance()
    with capture_output() as captured:
        show.table(frame, caption=f"Of {name}.")
        show.say(f"About {name}.")
    outputs = [
        {"output_type": "display_data", "data": output.data, "metadata": output.metadata} for output in captured.outputs
    ]
    outputs += [
        {"output_type": "stream", "name": "stdout", "text": name},
        {"output_type": "display_data", "data": {"text/plain": name}, "metadata": {}},
        {"output_type": "display_data", "data": {"image/png": "aGk="}, "metadata": {"image/png": {"alt": name}}},
        {"output_type": "error", "ename": "DataError", "evalue": name, "traceback": [name]},
    ]
    made = chapter(
        tmp_path, ("markdown", f"# One\n\n## {name}\n\nThe {name}.", [], []), ("code", f"x = {name!r}", outputs, [])
    )
    made.status, made.error, made.source = (
        "failed",
        f"DataError: {name}",
        tmp_path / f"01_{name.replace('/', '')}.ipynb",
    )
    summary["title"] = name
    summary["sentences"] = [name]
    summary["evaluations"][0]["corpus"] = name
    summary["differences"] = []
    settings = summary["provenance"]["settings"]
    summary["provenance"] |= {
        "command": name,
        "changed": {"title": name},
        "differing": settings | {"title": name},
        "inputs": {name: name},
        "machine": name,
        "packages": {name: name},
        "commit": name,
        "seconds": {name: 1.0},
    }
    summary["notebooks"] = {"04": {"summary_figure": {"name": "figure", "alt": name}}}
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/figure.png").write_bytes(b"x")
    clean = bs4.BeautifulSoup(page.render(summary | {"title": "x"}, chapters=[], folder=tmp_path), "html.parser")
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser")
    assert soup.title.text == name
    assert len(soup("script")) == len(clean("script"))
    assert not soup("b")
    assert all(image["src"].startswith("data:") for image in soup("img"))
    assert not any(attribute.startswith("on") for element in soup(True) for attribute in element.attrs)
    assert not any(link.get("href", "").startswith("javascript") for link in soup("a"))
    assert len({element["id"] for element in soup(id=True)}) == len(soup(id=True))
    assert soup.text.count(name) >= 15


def test_a_figure_of_the_run_is_embedded_as_vectors_that_follow_the_theme(tmp_path, summary):
    InteractiveShell.instance()
    trials = [1, 1, 0, 0], [3.0, 1.0, 2.0, 0.0]
    display = plots.DetDisplay.from_scores(*trials, name="<b>before")
    run = SimpleNamespace(figures=tmp_path / "figures", keep=lambda **facts: summary["notebooks"].update({"04": facts}))
    with capture_output() as captured:
        show.draw_panels(run, "det", {"custom": [display], "source": [display]}, caption="A caption.", summary=True)
    outputs = [
        {"output_type": "display_data", "data": output.data, "metadata": output.metadata} for output in captured.outputs
    ]
    made = chapter(tmp_path, ("code", "show()", outputs, []))
    text = page.render(summary, chapters=[made], folder=tmp_path)
    soup = bs4.BeautifulSoup(text, "html.parser")
    figures = soup("figure")
    assert [figure.figcaption.get_text() for figure in figures] == ["Figure 1. A caption.", "Figure 2. A caption."]
    assert [len(figure("svg")) for figure in figures] == [2, 2]
    assert all(0 < len(svg["aria-label"]) < 300 for svg in soup("svg"))
    assert "var(--c-0072b2,#0072b2)" in text
    assert not soup("b")
    identifiers = [element["id"] for element in soup(id=True)]
    assert len(identifiers) == len(set(identifiers))
    referred = [element["xlink:href"] for element in soup("use")] if soup("use")[0].get("xlink:href") else []
    assert all(one.lstrip("#") in identifiers for one in referred)
    assert [details.summary.text for details in soup(class_="numbers")] == ["The numbers"] * 2


def test_cells_of_the_summary_are_on_the_page_once(tmp_path, summary):
    said = {"output_type": "display_data", "data": {"text/html": "<p>Said above.</p>"}, "metadata": {}}
    made = chapter(tmp_path, ("code", "say()", [said], ["in-summary"]), ("markdown", "Kept.", [], []))
    text = page.render(summary, chapters=[made], folder=tmp_path)
    assert "Said above." not in text
    assert "Kept." in text


def test_a_figure_without_words_is_named_by_its_title(tmp_path, summary):
    image = {"output_type": "display_data", "data": {"image/png": "aGk="}, "metadata": {}}
    made = chapter(tmp_path, ("code", 'ax.set_title("My scores")', [image], []))
    assert bs4.BeautifulSoup(page.render(summary, chapters=[made], folder=tmp_path), "html.parser").img["alt"] == (
        "My scores"
    )


def test_first_screen_has_a_verdict_and_sizes_of_each_corpus(tmp_path, summary):
    for row in summary["evaluations"]:
        row |= {"n_bonafide": 12, "n_spoof": 15, "macro_eer": 0.3, "macro_eer_ci": [0.2, 0.4]}
    judged = {"corpus": "custom", "verdict": "not shown", "delta": -0.05, "low": -0.1, "high": 0.01}
    summary["notebooks"]["04"] = {"verdicts": [judged]}
    soup = bs4.BeautifulSoup(page.render(summary, chapters=[], folder=tmp_path), "html.parser")
    top = soup.find(id="summary")
    assert "No change shown: EER from 25.0\u00a0% to 25.0\u00a0%, −5.0 points (−10.0 to +1.0 points)." in top.dd.text
    assert "12 + 15" in top.table.text
    assert "30.0\u00a0%" in top.table.text
    assert "12 + 15 clips (bona fide + spoof): one clip moves an error rate by 8.3 points" in top.text
    assert "Bootstrap" not in top.text
