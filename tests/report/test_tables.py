import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
import soundfile
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from dfdlib.evaluation.intervals import Difference
from dfdlib.experiment import run as experiment
from dfdlib.report import plots, tables


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    run = experiment.Run.open(str(toy), run_dir=tmp_path_factory.mktemp("run"))
    run.finetune(progress=lambda line: None)
    return run


@pytest.fixture
def shown():
    """A function that returns all that the test has displayed so far: HTML, Markdown, images."""
    InteractiveShell.instance()
    with capture_output() as captured:
        yield lambda: captured.outputs


def test_overview_has_every_corpus_split_and_class(run):
    table = tables.overview(run)
    assert len(table) == 2 * (3 + 1 + 3)
    assert table.loc[(table["corpus"] == "for-2seconds") & (table["split"] == "training"), "clips"].tolist() == [8, 8]
    assert set(table["label"]) == {"bona fide", "spoof"}


def test_left_out_names_the_clip_and_the_reason(run):
    table = tables.left_out(run)
    assert table["path"].str.endswith("broken.wav").all()
    assert len(table) == 1


def test_examples_come_from_both_classes_and_repeat_with_the_seed(run):
    first, second = (tables.examples(run, "custom", each=2) for _ in range(2))
    assert first["label"].tolist() == [1, 1, 0, 0]
    assert first["path"].tolist() == second["path"].tolist()


def test_evaluations_stand_beside_the_published_ones(run):
    rows = [run.evaluate(stage, name) for name in run.corpora for stage in experiment.STAGES]
    table = tables.evaluations_table(rows).set_index(["corpus", "fine-tuning"])
    assert len(table) == 6
    assert table.loc[("custom", "after"), "study's EER %"] == "47.36"
    assert table.loc[("source", "after"), "study's EER %"] == "–"
    assert table.loc[("custom", "before"), "EER %"] == f"{100 * run.evaluate('before', 'custom')['eer']:.2f}"


def test_attacks_before_and_after(run):
    table = tables.attacks_table(run)
    assert table["corpus"].tolist() == run.corpora
    assert (table["change, points"] == 100 * (table["after"] - table["before"])).all()


def test_sentences_name_every_corpus(run):
    differences = {name: run.difference(name) for name in run.corpora}
    sentences = tables.change_sentences(run, differences)
    assert all(name in sentence for name, sentence in zip(run.corpora, sentences, strict=True))
    assert "custom" in tables.evaluation_sentence(run, run.evaluate("before", "custom"))
    assert len(tables.protocol_sentences(run)) == 3
    assert all("one kind of attack" in sentence for sentence in tables.attack_sentences(run, "after"))


def test_a_run_in_which_fine_tuning_ruins_everything_says_so(run):
    worse = dict.fromkeys(run.corpora, Difference(0.1, 0.4, 0.3, 0.2, 0.4))
    sentences = tables.change_sentences(run, worse)
    assert all("raised" in sentence and "became worse" in sentence for sentence in sentences)


def test_misaligned_labels_mirror_the_auc_of_balanced_corpora(run):
    for row in tables.protocol_rows(run):
        assert row["AUC, original and misaligned"] == pytest.approx(row["1 − AUC"])


def test_figures_come_with_numbers_and_text(run, shown):
    scores = run.scores("before", "custom")
    displays = [plots.DetDisplay.from_scores(scores.labels, scores.values, name=name) for name in ("one", "other")]
    tables.draw(run, "test-det", *displays)
    tables.table(pd.DataFrame({"eer": [0.25], "auc_low": [True]}), caption="A table.", formats={"eer": "{:.1%}"})
    tables.say("A sentence.")
    assert (run.figures / "test-det.png").is_file()
    kinds = ["image/png", "text/html", "text/html", "text/markdown"]
    assert [next(kind for kind in output.data if kind != "text/plain") for output in shown()] == kinds
    assert "equal error rate" in shown()[0].metadata["image/png"]["alt"]
    assert "The numbers behind this figure" in shown()[1].data["text/html"]
    assert all(part in shown()[2].data["text/html"] for part in (">25.0%<", ">EER<", ">AUC low<", ">yes<"))


def test_panels_name_their_corpus_in_the_alternative_text(run, shown):
    scores = run.scores("before", "custom")
    display = plots.RocDisplay.from_scores(scores.labels, scores.values, name="before")
    alt = tables.draw_panels(run, "test-panels", {"custom": [display], "source": [display]})
    assert "custom:" in alt
    assert "source:" in alt
    assert alt == shown()[0].metadata["image/png"]["alt"]


def test_clips_can_be_heard_and_seen(run, shown):
    clips = tables.examples(run, "custom", each=1)
    tables.listen(clips)
    tables.draw_clips(run, "test-clips", clips)
    assert all("data:audio/wav" in output.data["text/html"] for output in shown()[:2])
    assert "spoof: unknown" in shown()[1].data["text/html"]
    assert (run.figures / "test-clips.png").is_file()


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
    tables.listen(clips)
    tables.draw_clips(run, "played", clips)
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
    tables.listen(clips)
    tables.draw_clips(run, "played", clips)
    bad, good, figure = shown()[:3]
    assert f"&lt;b&gt;ad.wav: cannot be played ({reason}" in bad.data["text/html"]
    assert "data:audio" not in bad.data["text/html"]
    assert "data:audio" in good.data["text/html"]
    assert f"spoof: $x: cannot be played ({reason}" in str(figure.data)


def test_negative_controls_are_made_on_every_corpus(run):
    rows = tables.negative_controls(run)
    assert list(rows) == run.corpora
    for found in rows.values():
        assert [control.name for control in found][:2] == ["labels shuffled", "scores negated"]
        assert all(control.holds for control in found if control.name != "detector with random weights")
