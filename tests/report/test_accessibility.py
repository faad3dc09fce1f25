"""The page in a browser, checked by axe-core; skipped, with the reason, where one of the two cannot be had."""

import json
import subprocess

import bs4
import pytest

from dfdlib.report import page, plots, show

pytestmark = pytest.mark.slow

#: How the page is seen: theme, width in pixels, and whether all that is folded is open.
VIEWS = {
    "light": ("light", 1400, False),
    "dark": ("dark", 1400, False),
    "phone, light": ("light", 390, False),
    "phone, dark": ("dark", 390, False),
    "all open": ("light", 1100, True),
}
RUN = """
<script>{axe}</script>
<script>
addEventListener("load", async () => {{
  if ({opened}) document.getElementById("parts").click();
  const closed = document.querySelectorAll("main details:not([open])").length;
  await new Promise(done => setTimeout(done, 300));
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const found = await axe.run(document, {{ runOnly: {{ type: "tag", values: tags }} }});
  const told = found.violations.map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)]);
  const out = document.createElement("pre");
  out.id = "axe-says";
  out.textContent = JSON.stringify({{ width: innerWidth, passes: found.passes.length, closed, told }});
  document.body.append(out);
}});
</script>
"""


@pytest.mark.parametrize("view", VIEWS)
def test_no_violation_of_levels_a_and_aa(view, axe, chromium, rendered, tmp_path):
    theme, width, opened = VIEWS[view]
    text = rendered.replace('<html lang="en">', f'<html lang="en" data-theme="{theme}">')
    text = text.replace("</body>", RUN.format(axe=axe, opened=str(opened).lower()) + "</body>")
    (tmp_path / "page.html").write_text(text)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    options += ["--virtual-time-budget=30000"]
    address = (tmp_path / "page.html").as_uri()
    done = subprocess.run([chromium, *options, "--dump-dom", address], capture_output=True, text=True, timeout=300)
    said = bs4.BeautifulSoup(done.stdout, "html.parser").find(id="axe-says")
    assert said is not None, f"axe did not end: {done.stderr[-500:]}"
    found = json.loads(said.text)
    assert found["passes"] > 10
    assert found["width"] <= max(width, 500)  # some builds have no narrower window
    assert found["told"] == []
    assert (found["closed"] == 0) is opened


USE = """
<script>
addEventListener("load", async () => {
  const all = document.querySelector(".browser .all"), told = {};
  const state = () => [[...all.querySelectorAll("tbody tr")].map(row => row.cells[0].textContent),
    all.querySelector("[aria-sort]").textContent + " " + all.querySelector("[aria-sort]").ariaSort,
    all.querySelector(".count").textContent, all.querySelectorAll("circle.off").length];
  all.open = true;
  await new Promise(done => setTimeout(done, 300));
  told.opened = state();
  all.querySelector("th[data-key=before] button").click(); told.sorted = state();
  all.querySelector("th[data-key=before] button").click(); told.turned = state();
  const find = all.querySelector(".find"); find.value = "robot 2.wav"; find.dispatchEvent(new Event("input"));
  told.found = state();
  all.querySelector(".clear").click();
  const dot = all.querySelector("circle"), box = dot.getBoundingClientRect(), plot = all.querySelector(".scatter");
  plot.setPointerCapture = () => {};
  const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, pointerId: 1 };
  for (const name of ["pointerdown", "pointerup"]) plot.dispatchEvent(new PointerEvent(name, at));
  told.picked = state();
  const out = document.createElement("pre"); out.id = "axe-says"; out.textContent = JSON.stringify(told);
  document.body.append(out);
});
</script>
"""


def test_the_table_of_clips_is_sorted_filtered_and_selected_in(chromium, rendered, tmp_path):
    (tmp_path / "page.html").write_text(rendered.replace("</body>", USE + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", "--virtual-time-budget=10000"]
    address = (tmp_path / "page.html").as_uri()
    done = subprocess.run([chromium, *options, "--dump-dom", address], capture_output=True, text=True, timeout=300)
    told = json.loads(bs4.BeautifulSoup(done.stdout, "html.parser").find(id="axe-says").text)
    names, sort, count, off = told["opened"]
    assert names[:2] == ["fake/0.wav", "fake/0.wav"]  # the worst first: a spoof, far above the threshold
    assert (sort, count, off) == ("Margin after ascending", "16 of 16 clips", 0)
    assert (told["sorted"][0][0], told["sorted"][0][-1], told["sorted"][1]) == (
        "real/3.wav",
        "fake/2.wav",
        "Before ascending",
    )
    assert (told["turned"][0][0], told["turned"][1]) == ("fake/2.wav", "Before descending")
    assert set(told["found"][0]) == {"fake/2.wav"}
    assert told["found"][2:] == ["2 of 16 clips", 14]
    assert set(told["picked"][0]) == {"real/0.wav"}


@pytest.fixture
def rendered(tmp_path, summary, rng, small_run):
    """A page with what pages have: tables, figures, players, folded parts, notices, code."""
    import nbformat
    import numpy as np
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from makers import tone

    from dfdlib.data import audio
    from dfdlib.report import browser

    labels = np.repeat([1, 0], 20)
    displays = [plots.DetDisplay.from_scores(labels, rng.normal(size=40) + labels, name=name) for name in "ab"]
    audio.write_wav(tmp_path / "clip.wav", tone(0.5), rate=16_000)
    clips = pd.DataFrame([{"path": str(tmp_path / "clip.wav"), "label": 0, "attack": "lpc"}])
    run = type("Run", (), {"figures": tmp_path / "figures", "keep": lambda self, **facts: kept.update(facts)})()
    kept: dict = {}
    summary["notebooks"] = {"04": kept}
    InteractiveShell.instance()
    with capture_output() as captured:
        show.draw_panels(run, "det", {"custom": displays, "source": displays}, caption="Curves.", summary=True)
        show.draw_clips(run, "clips", clips, caption="Spectrograms.")
        show.listen(clips)
        show.table(pd.DataFrame({"corpus": ["custom"], "eer": [0.25], "n_spoof": [20]}), caption="A table.")
        for caption in ("Folded.", "Folded, too."):
            show.table(pd.DataFrame({"corpus": ["custom"], "eer": [0.25]}), caption=caption, folded=True)
        show.say("A sentence with -3.2 points.")
        small = small_run()
        rows = browser.trials(small)
        chosen = browser.chosen(rows[rows["corpus"] == "custom"])
        pictures = browser.explained(small, rows, chosen)._replace(curve=pd.DataFrame({"low": [0.1]}))
        show.fragment(browser.markup(small, rows, chosen, pictures), plain="clips")
    book = nbformat.v4.new_notebook()
    outputs = [
        nbformat.from_dict({"output_type": "display_data", "data": one.data, "metadata": one.metadata})
        for one in captured.outputs
    ]
    outputs.append(nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "a line"}))
    source = (
        "from os import path  # a comment that is longer than a screen is wide, and more" + 3 * " and more and more"
    )
    source += "\nx = f'{1:.2f}' + str(0x1F)"
    book.cells = [
        nbformat.v4.new_markdown_cell("# First\n\nText with a [link](https://example.org).\n\n## A section"),
        nbformat.v4.new_code_cell(source, outputs=outputs),
    ]
    nbformat.write(book, tmp_path / "01_first.ipynb")
    place = tmp_path / "01_first.ipynb"
    made = page.Chapter(source=place, executed=place, key="", status="outdated")
    text = page.render(summary, chapters=[made], folder=tmp_path)
    assert "<svg" in text
    return text
