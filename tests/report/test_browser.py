import json
import re

import bs4
import numpy as np
import pandas as pd
import pytest

from dfdlib.report import browser, page

NASTY = "<script>alert('x')</script>&\"</script>"


@pytest.fixture
def run(small_run):
    return small_run()


def test_scores_are_told_from_the_validation_threshold(run):
    rows = browser.trials(run)
    assert len(rows) == 16
    threshold = run.calibration_of("after").threshold
    custom = rows[rows["corpus"] == "custom"]
    assert custom["after"].tolist() == pytest.approx([value - threshold for value in run.values["after"]])
    assert custom["right_after"].tolist() == [True, False, True, True, False, True, True, True]
    assert custom["clip"].tolist()[0] == "real/0.wav"
    # No LLR is beyond what twenty and twenty validation clips support.
    assert custom["llr_after"].abs().max() <= np.log(21)


def test_the_worst_clips_are_chosen_and_each_once(run):
    rows = browser.trials(run)
    clips = browser.chosen(rows[rows["corpus"] == "custom"])
    groups = dict(zip(clips["clip"], clips["group"], strict=True))
    assert groups["fake/0.wav"] == "accepted after"  # the one spoof above the threshold
    assert groups["real/1.wav"] == "rejected after"
    assert groups["fake/2.wav"] == "accepted before"  # by 4; fake/0 was taken
    assert groups["real/3.wav"] == "rejected before"
    assert groups["real/2.wav"] == "mended"
    assert groups["real/0.wav"] == "right bona fide"
    assert clips["clip"].is_unique


def test_clips_are_shown_escaped_with_players_that_have_names(small_run):
    run = small_run(attack=NASTY)
    rows = browser.trials(run)
    clips = pd.concat([browser.chosen(part) for _, part in rows.groupby("corpus", sort=False)])
    pictures = browser.explained(run, rows, clips)
    assert pictures.found
    markup = browser.markup(run, rows, clips, pictures._replace(curve=pd.DataFrame({"low": [0.1]})))
    soup = bs4.BeautifulSoup(markup, "html.parser")
    assert len(soup("script")) == 2  # data and code: no name has become one
    players = soup("audio")
    assert players
    assert all(player["aria-label"] and player["src"].startswith("data:audio/mpeg;base64,") for player in players)
    assert all(image["alt"].startswith("Spectrogram, 0.50 s") for image in soup("img"))
    assert re.search("cannot be played: .*no such file", soup.text)
    assert "a score file, without sounds" in soup.text
    assert soup.select("svg.cells rect")
    data = json.loads(soup.find("script", type="application/json").string)
    assert [len(row) for row in data["rows"]] == [10] * 16
    assert data["rows"][4][2] == NASTY


def test_pictures_that_are_not_faithful_are_left_out_and_said_to_be(run):
    rows = browser.trials(run)
    clips = browser.chosen(rows[rows["corpus"] == "custom"])
    found = browser.explained(run, rows, clips)
    doubtful = found._replace(curve=found.curve.assign(low=-0.1))
    markup = browser.markup(run, rows, clips, doubtful)
    assert 'class="cells"' not in markup
    assert "not shown to be faithful, and are left out" in browser.believed(doubtful, level=0.9)
    sure = found._replace(curve=found.curve.assign(low=0.1))
    assert browser.believed(sure, level=0.9).endswith("the occlusion pictures are faithful.")
    assert "90 % interval" in browser.believed(sure, level=0.9)
    alone = found._replace(curve=found.curve.assign(low=np.nan))
    assert not alone.faithful
    assert "no interval" in browser.believed(alone, level=0.9)
    assert "No clip" in browser.believed(browser.Pictures({}, pd.DataFrame()), level=0.9)


def test_near_neighbours_are_those_of_the_audit(run):
    assert browser.neighbours(run) == {}
    (run.folder / "results").mkdir()
    pairs = pd.DataFrame({"first": ["real/0.wav"], "second": ["fake/0.wav"], "kind": ["rebuilt"]})
    pairs.to_csv(run.folder / "results/pairs-custom.csv", index=False)
    near = browser.neighbours(run)
    assert near["custom", "fake/0.wav"] == ["rebuilt from the recording of real/0.wav"]
    assert near["custom", "real/0.wav"] == ["rebuilt from the recording of fake/0.wav"]


def test_the_sentence_about_borders_follows_the_figures():
    table = pd.DataFrame({"corpus": ["a", "b"], "eer_high": [0.4, 0.6], "border_hits": [3, 1], "borders": [4, 4]})
    table = table.assign(f1=[0.8, 0.2], chance=0.25)
    said = browser.borders_found(table)
    assert "better than chance on a. They find 4 of 8 borders (F1 0.50)" in said
    assert "probability of 0.25" in said
    assert "not shown to be better than chance" in browser.borders_found(table.assign(eer_high=0.6))
    assert "nothing was spliced" in browser.borders_found(table.head(0))


def test_a_corpus_without_twins_is_not_spliced(run):
    assert browser.spliced(run).empty
    assert run.kept == {"splices": []}


def test_the_page_keeps_the_fragment_as_it_is(run, tmp_path, summary):
    import nbformat

    markup = "<!--clips--><div class=browser><table><tr class=x><td>1</table><script>a < b</script></div><!--/clips-->"
    output = nbformat.v4.new_output("display_data", {"text/html": markup, "text/plain": "clips"})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show", outputs=[output])])
    nbformat.write(book, tmp_path / "04_last.ipynb")
    chapter = page.Chapter(tmp_path / "04_last.ipynb", tmp_path / "04_last.ipynb", key="", status="done")
    text = page.render(summary, chapters=[chapter], folder=tmp_path)
    assert '<div class="browser"><table><tr class="x"><td>1</td></tr></table><script>a < b</script></div>' in text
    assert "clips-->" not in text
