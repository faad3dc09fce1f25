import bs4
import numpy as np
import pandas as pd
import pytest
import soundfile
from makers import tone

from dfdlib.app import sections
from dfdlib.app.assessment import assess
from dfdlib.data import audio

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>${alert(3)}{{4*4}}\u202e.wav"


def soup(markup):
    return bs4.BeautifulSoup(markup, "html.parser")


@pytest.fixture
def long(tmp_path):
    wave = np.concatenate([tone(8.0, level=0.01), tone(5.0, level=0.06), tone(40.0, level=0.01)])
    soundfile.write(tmp_path / "long.wav", wave, audio.RATE)
    return tmp_path / "long.wav", wave


def test_verdicts_side_by_side_with_their_figures(basis, tmp_path):
    audio.write_wav(tmp_path / "clip.wav", tone(level=0.004), rate=16_000)
    found = assess(tmp_path / "clip.wav", basis)
    page = soup(sections.clip([(found, basis), (found, basis)], tone()))
    assert [one.text for one in page(class_="outcome")] == ["Bona fide"] * 2
    assert found.evidence in page.text
    assert all(image["alt"] and image["src"].startswith("data:") for image in page("img"))
    assert len(page("img")) == 3
    assert "The clip is one window" in page.text
    assert not page("audio")


def test_each_passage_of_a_long_clip_can_be_played_and_the_lowest_is_marked(basis, long):
    path, wave = long
    found = assess(path, basis)
    page = soup(sections.clip([(found, basis)], wave))
    buttons = page.select(".plot button")
    assert len(buttons) == 12
    lowest = min(found.windows, key=lambda window: window.score)
    (marked,) = page.select("button.marked")
    assert marked["aria-label"].startswith(f"Play {lowest.start:.1f} to {lowest.end:.1f} s")
    assert f"currentTime={lowest.start:.3f}" in marked["onclick"]
    assert page.audio["src"].startswith("data:audio/mpeg;base64,")
    widths = [float(button["style"].split("width:")[1].split("%")[0]) for button in buttons]
    lefts = [float(button["style"].split("left:")[1].split("%")[0]) for button in buttons]
    assert lefts[1:] == pytest.approx([left + width for left, width in zip(lefts, widths, strict=True)][:-1], abs=0.02)


def test_names_of_files_are_text(basis, tmp_path):
    audio.write_wav(tmp_path / "clip.wav", tone(level=0.004), rate=16_000)
    found = assess(tmp_path / "clip.wav", basis)
    object.__setattr__(found, "file", HOSTILE)
    for markup in (
        sections.clip([(found, basis)], tone()),
        sections.refusal(HOSTILE, HOSTILE),
        sections.left_out([(HOSTILE, HOSTILE)]),
        sections.warned([(HOSTILE, HOSTILE)]),
    ):
        assert not soup(markup)("script")
        assert not soup(markup)(src="x")
        assert "alert(1)" in soup(markup).text
        assert "\u202e" not in markup


def test_a_probability_needs_a_share_and_a_calibration(basis, tmp_path):
    audio.write_wav(tmp_path / "clip.wav", tone(level=0.004), rate=16_000)
    found = assess(tmp_path / "clip.wav", basis)
    said = sections.probabilities([found], 0.3)
    assert "Where 30 % of clips are spoofed" in said.replace("\u202f", " ").replace("\xa0", " ")
    odds = np.exp(found.llr.value) * 0.7 / 0.3
    assert f"{100 * odds / (1 + odds):.1f}" in said
    assert "not known" in sections.probabilities([assess(tmp_path / "clip.wav", basis, channel="phone")], 0.3)
    assert "Give a clip first" in sections.probabilities([], 0.3)


def test_the_parts_that_a_score_rests_on_are_drawn_where_that_is_faithful(basis, monkeypatch):
    wave = np.concatenate([tone(0.5, level=0.002), tone(0.5, level=0.06)])
    drawn = soup(sections.occlusion(wave, basis, channel="studio"))
    assert "Change of the LLR" in drawn.img["alt"]
    assert "0.5 s" in drawn.img["alt"] or "0.75 s" in drawn.img["alt"]
    monkeypatch.setattr(
        sections.explanation, "deletion", lambda *_, **__: pd.DataFrame({"ordered": [0], "random": [0]})
    )
    refused = soup(sections.occlusion(wave, basis, channel="studio"))
    assert "is not shown" in refused.text
    assert not refused("img")


def test_what_the_detector_is(basis):
    row = {"corpus": "custom", "when": "before", "eer": 0.25, "eer_ci": [0.2, 0.3], "auc": 0.8}
    rows = [row, row | {"corpus": "source"}, row | {"when": "after"}]
    page = soup(sections.about([basis], {"evaluations": rows}))
    shown = [[cell.text for cell in line(["th", "td"])][:2] for line in page.table.tbody("tr")]
    assert shown == [["custom", "before"], ["custom", "after"], ["source", "before"]]
    assert "Calibrated for: studio (as recorded)" in page.text
    assert "has not been run to its end" in sections.about([basis], None)
