import base64
import io
import re
from types import SimpleNamespace

import bs4
import numpy as np
import pandas as pd
import pytest
import soundfile
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from dfdlib.data import audio
from dfdlib.report import plots, show

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "[a](javascript:alert(1)) ![b](http://x/y.png)",
    "*a* _b_ `c` | $d$ &amp; <b>e</b>",
)


@pytest.fixture
def shown():
    """A function that returns all that the test has displayed so far: HTML, Markdown, images."""
    InteractiveShell.instance()
    with capture_output() as captured:
        yield lambda: captured.outputs


@pytest.fixture
def run(tmp_path):
    return SimpleNamespace(figures=tmp_path / "figures")


@pytest.fixture
def trials(rng):
    labels = np.repeat([1, 0], 20)
    return labels, rng.normal(size=40) + labels


def test_figures_come_with_numbers_and_text(run, trials, shown):
    displays = [plots.DetDisplay.from_scores(*trials, name=name) for name in ("one", "other")]
    show.draw(run, "test-det", *displays)
    show.table(pd.DataFrame({"eer": [0.25], "auc_low": [True]}), caption="A table.", formats={"eer": "{:.1%}"})
    show.say("A sentence.")
    assert (run.figures / "test-det.png").is_file()
    kinds = ["image/png", "text/html", "text/html", "text/html"]
    assert [next(kind for kind in output.data if kind != "text/plain") for output in shown()] == kinds
    assert "equal error rate" in shown()[0].metadata["image/png"]["alt"]
    assert "The numbers" in shown()[1].data["text/html"]
    assert all(part in shown()[2].data["text/html"] for part in (">25.0\u00a0%<", ">EER<", ">AUC low<", ">yes<"))


def test_panels_name_their_corpus_in_the_alternative_text(run, trials, shown):
    display = plots.RocDisplay.from_scores(*trials, name="before")
    show.draw_panels(run, "test-panels", {"custom": [display], "source": [display]})
    alt = shown()[0].metadata["image/png"]["alt"]
    assert "a panel for each corpus: custom, source. EER: custom before" in alt
    assert len(alt) < 300


def test_a_file_name_with_markup_is_heard_and_seen(run, shown, tmp_path):
    audio.write_wav(tmp_path / "<b>x&.wav", 0.1 * np.ones(8000), rate=16_000)
    clips = pd.DataFrame([{"path": str(tmp_path / "<b>x&.wav"), "label": 0, "attack": MARKUP[0]}])
    show.listen(clips)
    show.draw_clips(run, "test-clips", clips)
    soup = bs4.BeautifulSoup(shown()[0].data["text/html"], "html.parser")
    assert soup.figcaption.text == f"spoof: {MARKUP[0]}"
    assert soup.figure["title"] == "<b>x&.wav"
    assert not soup(["img", "b"])
    assert "data:audio/wav" in soup.audio.source["src"]
    assert (run.figures / "test-clips.png").is_file()


@pytest.mark.parametrize("name", MARKUP)
def test_markup_in_names_is_text(name, run, trials, shown):
    frame = pd.DataFrame({"attack": [name], name: [0.25], "eer": [None]})
    show.table(frame, caption=f"Attacks of {name}.", formats={name: "{:.1%}"})
    show.say(f"The hardest is {name}.")
    display = plots.DetDisplay.from_scores(*trials, name=name)
    show.draw(run, "det", display, display)
    table, said, image, folded = shown()
    soup = bs4.BeautifulSoup(table.data["text/html"], "html.parser")
    assert soup.caption.text == f"Attacks of {name}."
    assert [cell.text.strip() for cell in soup(["th", "td"])] == [
        "attack",
        name.replace("_", " "),
        "EER",
        name,
        "25.0\u00a0%",
        "–",
    ]
    assert bs4.BeautifulSoup(said.data["text/html"], "html.parser").text == f"The hardest is {name}."
    assert name in bs4.BeautifulSoup(folded.data["text/html"], "html.parser").caption.text
    for output in (table, said, folded):
        soup = bs4.BeautifulSoup(output.data["text/html"], "html.parser")
        assert not soup(["img", "script", "a", "b", "em"])
        assert "mathjax_ignore" in str(next(iter(soup(class_=True))))  # nor is a dollar a formula
    assert name in image.metadata["image/png"]["alt"]


def test_a_name_that_is_not_unicode_can_be_shown(shown):
    show.say("no \udcff")
    assert shown()[0].data == {"text/html": shown()[0].data["text/html"], "text/plain": "no ?"}


SQUARE = np.sign(np.sin(np.arange(22_050) / 30))


@pytest.mark.parametrize(
    ("wave", "subtype", "seconds"),
    [
        (SQUARE, "PCM_16", 0.5),  # beyond full scale once it is resampled
        (SQUARE * 1.5, "FLOAT", 0.5),
        (np.zeros(44_100), "PCM_16", 1.0),
        (np.ones(1), "PCM_16", 1 / 16_000),
        (np.resize(SQUARE, 31 * 44_100), "PCM_16", 30.0),
    ],
    ids=["loud", "beyond full scale", "silent", "one sample", "long"],
)
def test_every_clip_that_is_decoded_can_be_played(wave, subtype, seconds, run, shown, tmp_path):
    soundfile.write(tmp_path / "clip.wav", wave, 44_100, subtype=subtype)
    clips = pd.DataFrame([{"path": str(tmp_path / "clip.wav"), "label": 0, "attack": "x"}] * 2)
    show.listen(clips)
    show.draw_clips(run, "played", clips)
    players = [output.data["text/html"] for output in shown()[:2]]
    played, rate = soundfile.read(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", players[0])[1])))
    assert (len(played) / rate, rate) == (seconds, 16_000)
    assert ("(the first 30 s)" in players[0]) == (len(wave) > 30 * 44_100)
    assert np.abs(played).max() >= np.abs(wave).max().clip(max=1) - 1e-3


@pytest.mark.parametrize(
    ("wave", "reason"),
    [
        (SQUARE * 9_072, "samples up to 9072"),
        (SQUARE * np.nan, "holds samples that are NaN"),
        (None, "there is no such file"),
    ],
)
def test_what_cannot_be_played_is_said_in_its_place(wave, reason, run, shown, tmp_path):
    soundfile.write(tmp_path / "good.wav", SQUARE, 44_100)
    if wave is not None:
        soundfile.write(tmp_path / "<b>ad.wav", wave, 44_100, subtype="FLOAT")
    names = ["<b>ad.wav", "good.wav"]
    clips = pd.DataFrame([{"path": str(tmp_path / name), "label": 0, "attack": "$x"} for name in names])
    show.listen(clips)
    show.draw_clips(run, "played", clips)
    bad, good, figure = shown()[:3]
    assert f"&lt;b&gt;ad.wav: cannot be played ({reason}" in bad.data["text/html"]
    assert "data:audio" not in bad.data["text/html"]
    assert "data:audio" in good.data["text/html"]
    assert f"spoof: $x: cannot be played ({reason}" in str(figure.data)
