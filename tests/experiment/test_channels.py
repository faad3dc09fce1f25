import numpy as np
import pytest

from dfdlib.data import audio
from dfdlib.detector.scores import read_scores
from dfdlib.evaluation import calibration, metrics
from dfdlib.experiment import channels
from dfdlib.experiment.run import Run


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    return Run.open(str(toy), run_dir=tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def found(run):
    return channels.measured(run).set_index(["stage", "channel"])


def test_a_row_is_that_of_the_scores_that_were_written(run, found):
    scores = read_scores(run.folder / "scores/after-for-2seconds-validation-phone.csv")
    row = found.loc[("after", "telephone, 8 kHz")]
    own, recorded = calibration.fit(scores.labels, scores.values), run.calibration_of("after")
    assert row["eer"] == metrics.eer(scores.labels, scores.values).value
    assert row["cllr"] == pytest.approx(metrics.cllr(scores.labels, own.llr(scores.values)))
    assert row["cllr_recorded"] == pytest.approx(metrics.cllr(scores.labels, recorded.llr(scores.values)))
    assert row["eer_low"] <= row["eer"] <= row["eer_high"]
    assert run.results["channels"] == found.reset_index().to_dict("records")


def test_clips_as_recorded_are_those_of_the_run_and_others_are_not(run, found):
    assert list(found.index.unique("channel")) == ["as recorded", "telephone, 8 kHz", "messenger, opus"]
    recorded = found.xs("as recorded", level="channel")
    assert (recorded["cllr"] == recorded["cllr_recorded"]).all()
    validation = run.validation("before")
    as_recorded = channels.scores(run, "studio")["before"]
    assert np.array_equal(as_recorded.values, validation.scores)
    for channel in ("phone", "messenger"):
        sent = channels.scores(run, channel)["before"]
        assert np.array_equal(sent.labels, validation.labels)
        assert not np.isclose(sent.values, validation.scores).any()
        assert list(sent.table["clip"]) == list(as_recorded.worded()["path"])


def test_a_telephone_has_nothing_above_4_khz(run, tmp_path):
    table = run.corpus("for-2seconds", split="validation").table.head(4)
    shares = {}
    for codec in ("opus", "gsm"):
        (tmp_path / codec).mkdir()
        places = [place for _, place, _ in channels._sent(table, (codec,), tmp_path / codec, 0)]
        power = np.mean([np.abs(np.fft.rfft(audio.load(place, rate=16_000))) ** 2 for place in places], axis=0)
        shares[codec] = power[len(power) // 2 :].sum() / power.sum()
    assert shares["gsm"] < 1e-3 < shares["opus"]


def test_a_clip_that_cannot_be_decoded_is_left_out(run, tmp_path):
    table = run.corpus("for-2seconds", split="validation").table.head(3).copy()
    table.loc[1, "path"] = str(tmp_path / "none.wav")
    assert [row for row, *_ in channels._sent(table, ("gsm",), tmp_path, 0)] == [0, 2]


def test_a_channel_whose_codec_is_not_installed_has_no_row(run, monkeypatch):
    monkeypatch.setattr(channels, "available_codecs", lambda: ("mulaw", "gsm"))
    assert set(channels.measured(run)["channel"]) == {"as recorded", "telephone, 8 kHz"}
