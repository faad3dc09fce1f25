"""A detector of somebody's own by every command that takes one: the same door, the same numbers, errors of one line."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from makers import tone

from dfdlib.data import audio
from dfdlib.detector.preprocessing import Preprocessing

MODULE = """
import numpy as np

class soft:
    fingerprint = "1"
    def score(self, windows): return -windows.std(axis=1)

class loud(soft):
    def score(self, windows): return windows.std(axis=1)

class small(soft):
    rate, window = 8_000, 4_000

class nameless(soft):
    fingerprint = None

class broken(soft):
    def score(self, windows): return windows[:, :3]

class talking(soft):
    fingerprint = "talking"
    def score(self, windows):
        print("computing")
        return super().score(windows)
"""

pytestmark = pytest.mark.usefixtures("root", "module")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the current folder."""
    (tmp_path / "ownmodule.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ownmodule", raising=False)


@pytest.fixture
def talk(tmp_path):
    """A recording of five seconds, loud in its last two: its file."""
    wave = np.concatenate([tone(3.0, level=0.05), tone(2.0, level=0.5)])
    audio.write_wav(tmp_path / "talk.wav", wave, rate=audio.RATE)
    return tmp_path / "talk.wav"


@pytest.fixture
def profile(toy, root, tmp_path):
    """The toy's profile about a detector of one's own, whose module lies in the project's folder."""
    (root / "inroot.py").write_text(MODULE, "utf-8")
    sys.modules.pop("inroot", None)
    settings = yaml.safe_load(toy.read_text("utf-8")) | {"detector": "inroot:soft"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    return tmp_path / "mine.yaml"


def test_windows_are_as_long_as_the_detector_takes_them_and_start_where_they_were_asked_to(dfd, talk, tmp_path):
    ends = ["--detector", "ownmodule:small", "--windows", tmp_path / "w.csv"]
    assert dfd("score", talk, *ends)[0] == 0
    table = pd.read_csv(tmp_path / "w.csv")
    assert (table["end"] - table["start"]).tolist() == pytest.approx([0.5] * len(table))
    assert table["start"].tolist() == pytest.approx(np.arange(0, 4.51, 0.25))
    assert table.loc[table["start"] >= 3, "score"].max() < table.loc[table["end"] <= 3, "score"].min()
    assert dfd("score", talk, *ends, "--hop", 0.5)[0] == 0  # of seconds at the detector's own rate
    assert pd.read_csv(tmp_path / "w.csv")["start"].tolist() == pytest.approx(np.arange(0, 4.51, 0.5))
    status, _, err = dfd("score", talk, *ends, "--hop", 0.6)
    assert status == 2
    assert "--hop 0.6: windows start between 0.00013 and 0.5 seconds apart" in err


def test_parts_make_the_whole_and_need_a_fingerprint(dfd, clips, tmp_path):
    ends = ["--detector", "ownmodule:small"]
    assert dfd("score", clips, *ends, "--no-cache", "--out", tmp_path / "whole.csv")[0] == 0
    for part in ("1/2", "2/2"):
        assert dfd("score", clips, *ends, "--shard", part)[0] == 0
    assert dfd("score", clips, *ends, "--out", tmp_path / "parts.csv")[0] == 0
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()
    status, _, err = dfd("score", clips, "--detector", "ownmodule:nameless", "--shard", "1/2")
    assert status == 1
    assert "ownmodule:nameless: says no fingerprint" in err


def test_clips_are_scored_and_evaluated_at_once(dfd, clips, tmp_path):
    status, out, _ = dfd("evaluate", clips, "--detector", "ownmodule:soft", "--resamples", 100, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["read"]["read_as"] == "clips, scored by ownmodule:soft"
    dfd("score", clips, "--detector", "ownmodule:soft", "--out", tmp_path / "scores.csv")
    other = json.loads(dfd("evaluate", tmp_path / "scores.csv", "--resamples", 100, "--json")[1])
    del found["read"], other["read"]
    assert found == other
    status, _, err = dfd("evaluate", clips)
    assert status == 1
    assert "is a folder; name what scores its clips by --detector or --checkpoint" in err
    status, _, err = dfd("evaluate", "--corpus", "a=b,c", "--detector", "ownmodule:soft")
    assert status == 2
    assert "--detector is for the scores of one corpus" in err


@pytest.mark.parametrize("command", ["score", "evaluate", "app"])
def test_what_a_detector_prints_is_not_among_the_results(dfd, clips, command):
    clip = clips / "Real/real0.wav" if command == "app" else clips
    more = ("--resamples", 100) if command == "evaluate" else ()
    _, out, err = dfd(command, clip, "--detector", "ownmodule:talking", "--json", *more)
    assert json.loads(out)
    assert "computing" in err


def test_clips_without_labels_are_refused_by_their_names_before_they_are_scored(dfd, clips, tmp_path):
    (clips / "Real").rename(tmp_path / "recordings")
    status, _, err = dfd("evaluate", tmp_path / "recordings", "--detector", "ownmodule:talking")
    assert status == 1
    assert "recordings/real0.wav: no folder above it says Real or Fake" in err
    assert "computing" not in err
    (tmp_path / "key.csv").write_text("path,label\nelsewhere.wav,bonafide\nnowhere.wav,spoof\n", "utf-8")
    status, _, err = dfd("evaluate", tmp_path / "recordings", "--detector", "ownmodule:soft", "--key", "key.csv")
    assert status == 1
    assert "scores.csv" not in err


def test_a_validation_split_that_contradicts_the_scores_is_said(dfd, toy, clips):
    # In the toy, clips with more noise are fakes; in the other folder tones, which are louder, are real.
    known = toy.parent / "for-2seconds/training"
    options = ["--validation", known, "--resamples", 100, "--json"]
    for name, told in (("loud", True), ("soft", False)):
        status, out, err = dfd("evaluate", clips, "--detector", f"ownmodule:{name}", *options)
        assert status == 0
        assert ("AUC of the validation clips is 0.0000, below one half" in err) == told
        assert json.loads(out)["seems_inverted"] == (told or "The AUC is" in err)


def test_a_clip_of_more_than_one_window_is_assessed(dfd, talk):
    said = json.loads(dfd("app", talk, "--detector", "ownmodule:small", "--json")[1])["assessments"]
    assert [(one["detector"], len(one["windows"])) for one in said] == [("ownmodule:small", 19)]
    assert "resampled from 16,000 to 8,000 Hz, its first 0.50 s" in said[0]["done"]
    assert "fingerprint" not in said[0]["reasons"][0]
    unknown = json.loads(dfd("app", talk, "--detector", "ownmodule:nameless", "--json")[1])["assessments"]
    assert unknown[0]["reasons"][0].endswith("It says no fingerprint, by which one is found.")


def test_the_app_takes_the_detector_of_a_profile(dfd, talk, profile, root):
    run = ["app", talk, "--profile", profile, "--json"]
    status, out, _ = dfd(*run)
    assert status == 0
    assert [one["detector"] for one in json.loads(out)["assessments"]] == ["inroot:soft"]
    status, _, err = dfd("app", "--profile", profile, "--precision", "bfloat16")  # before a page is opened
    assert status == 2
    assert "--precision: inroot:soft, the detector of" in err
    validation = profile_scores(dfd, profile, root)
    (one,) = json.loads(dfd(*run)[1])["assessments"]
    assert one["llr"] is not None
    validation["score"] *= -1
    validation.to_csv(root / "reports/toy/scores/before-for-2seconds-validation.csv", index=False)
    (one,) = json.loads(dfd(*run)[1])["assessments"]
    assert one["outcome"] == "cannot tell"
    assert any(
        "Its validation clips contradict its scores: higher ones go with spoof." in why for why in one["reasons"]
    )


def profile_scores(dfd, profile, root):
    """Score the validation clips of a profile as its report does, into its run folder."""
    place = yaml.safe_load(profile.read_text("utf-8"))["data"]["for_2seconds"]
    out = root / "reports/toy/scores/before-for-2seconds-validation.csv"
    out.parent.mkdir(parents=True)
    dfd("score", f"{place}/validation", "--detector", "inroot:soft", "--out", out)
    return pd.read_csv(out)


@pytest.mark.parametrize("command", ["score", "evaluate", "app"])
def test_an_error_is_one_line_in_every_command(dfd, clips, command):
    clip = clips / "Real/real0.wav" if command == "app" else clips
    for name, shown in {
        "ownmodule:broken": "ownmodule:broken: gave values of shape",
        "ownmodule:absent": "has no attribute 'absent'",
        "nowhere:make": "No module named 'nowhere'",
        "missing.onnx": "missing.onnx: cannot be read",
    }.items():
        status, _, err = dfd(command, clip, "--detector", name)
        assert status == 1
        assert shown in err
        assert len([line for line in err.splitlines() if line.startswith("dfd")]) == 1
        assert "Traceback" not in err
    status, _, err = dfd(command, clip, "--detector", "ownmodule:soft", "--checkpoint", "weights.pt")
    assert status == 2
    assert "--detector ownmodule:soft goes without --checkpoint" in err


def test_a_preprocessing_that_is_wrong_on_purpose_is_for_another_rate(dfd, clips):
    assert Preprocessing.named("original").rate == 22_050
    status, _, err = dfd("score", clips, "--detector", "ownmodule:small", "--preprocessing", "original")
    assert status == 1
    assert "original: is for detectors at 16000 Hz, not at 8000" in err
