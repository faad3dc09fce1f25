import importlib.util
import json

import pytest

# Commands keep scores in a project folder of each test.
pytestmark = pytest.mark.usefixtures("root")


def test_a_clip_is_assessed_without_a_page(dfd, clips, weights, root):
    status, out, _ = dfd("app", "--json", clips / "Real/real0.wav", "--checkpoint", weights)
    assert status == 0
    (said,) = json.loads(out)["assessments"]
    assert (said["file"], said["outcome"], said["llr"]) == ("real0.wav", "cannot tell", None)
    assert (root / "data/cache/scores.sqlite").exists()
    assert "cannot tell" in dfd("app", clips / "Real/real0.wav", "--checkpoint", weights)[1]


def test_nothing_is_kept_if_asked(dfd, clips, weights, root):
    assert dfd("app", "--json", clips / "Real/real0.wav", "--checkpoint", weights, "--share-nothing")[0] == 0
    assert not (root / "data/cache").exists()


def test_a_bad_clip_is_one_line(dfd, tmp_path, weights):
    (tmp_path / "notes.wav").write_text("no sound")
    status, _, err = dfd("app", tmp_path / "notes.wav", "--checkpoint", weights)
    assert status == 1
    assert err.count("\n") == 1


def test_json_needs_a_clip(dfd):
    pytest.importorskip("gradio")
    status, _, err = dfd("app", "--json")
    assert status == 2
    assert "--json needs a clip" in err


def test_a_missing_extra_is_one_line(dfd, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest)
    )
    status, _, err = dfd("app")
    assert status == 1
    assert err == "dfd: dfd app: its page needs the extra app, which is not installed; run ./environment.sh --app\n"


def test_a_precision_that_the_detector_cannot_take_is_refused_before_a_page_is_opened(dfd):
    status, _, err = dfd("app", "--precision", "bfloat16")
    assert status == 2
    assert "--precision: mini-resnet has no front end to compute in bfloat16" in " ".join(err.split())
