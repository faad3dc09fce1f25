import json
import math

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import tone

from dfdlib.app import assessment, rules
from dfdlib.app.assessment import assess
from dfdlib.app.basis import Basis
from dfdlib.data import audio
from dfdlib.errors import DataError, ParameterError


@pytest.fixture
def clip(tmp_path):
    """Write a tone whose score by `Loudness` is a given number."""

    def write(score, *, seconds=1.0, rate=audio.RATE, name="clip.wav", channels=1):
        level = (1 - score) / 40 * math.sqrt(2)
        wave = tone(seconds, rate=rate, level=level)
        soundfile.write(tmp_path / name, np.stack([wave] * channels, axis=1), rate, subtype="FLOAT")
        return tmp_path / name

    return write


def test_a_score_among_those_of_bona_fide_clips(basis, clip):
    found = assess(clip(0.37), basis)
    assert found.score == pytest.approx(0.37, abs=1e-3)
    assert (found.outcome, found.reasons) == ("bona fide", ())
    fitted = basis.scales["studio"].calibration
    assert found.llr.value == pytest.approx(fitted.slope * found.score + fitted.intercept)
    assert 0 < found.llr.low < found.llr.value < found.llr.high
    assert found.evidence.split(" (")[0].endswith(
        f"bona fide clips get such a score {math.exp(found.llr.value):,.0f} times as often as spoofs"
    )


def test_a_score_among_those_of_spoofs(basis, clip):
    found = assess(clip(-0.9), basis)
    assert (found.outcome, found.reasons) == ("spoof", ())
    assert found.llr.value < -math.log(10)


def test_several_detectors_look_at_a_clip_once(basis, clip, monkeypatch):
    bare, looks = Basis("bare", basis.scorer, basis.preprocessing), []

    def look(found, measure=assessment.measure.measure):
        looks.append(found)
        return measure(found)

    alone = [assess(clip(0.37), one) for one in (basis, bare)]
    monkeypatch.setattr(assessment.measure, "measure", look)
    assert assessment.assess_by_each(clip(0.37), [basis, bare]) == alone
    assert len(looks) == 1


def test_a_weak_score_cannot_be_told(basis, clip):
    found = assess(clip(0.05), basis)
    assert found.outcome == "cannot tell"
    assert found.reasons == ("The evidence is weaker than 10 to 1.",)


def test_a_score_unlike_all_that_were_calibrated_on_cannot_be_told(basis, clip):
    found = assess(clip(-9.0), basis)
    assert found.outcome == "cannot tell"
    assert "unlike those of either class" in found.reasons[0]
    # what so many trials can support bounds even that
    assert found.llr.value == basis.scales["studio"].calibration.lowest


def test_nothing_is_told_without_a_calibration(basis, clip):
    bare = Basis("bare", basis.scorer, basis.preprocessing)
    found = assess(clip(0.9), bare)
    assert (found.outcome, found.llr, found.probability(0.5)) == ("cannot tell", None, None)
    assert found.reasons[0].startswith("No calibration was measured")
    assert json.loads(json.dumps(found.to_dict()))["llr"] is None


def test_a_channel_takes_its_own_calibration_or_none(basis, clip):
    assert assess(clip(0.9), basis, channel="phone").outcome == "cannot tell"
    with pytest.raises(ParameterError, match="choose one of studio, phone, messenger"):
        assess(clip(0.9), basis, channel="tin can")


def test_silence_is_not_judged(basis, tmp_path):
    audio.write_wav(tmp_path / "silent.wav", np.zeros(16_000), rate=16_000)
    found = assess(tmp_path / "silent.wav", basis)
    assert found.outcome == "cannot tell"
    assert "there is no speech to judge" in found.reasons[-1]


def test_the_probability_is_that_of_bayes(basis, clip):
    found = assess(clip(0.2), basis)
    odds = math.exp(found.llr.value) * 0.9 / 0.1
    assert found.probability(0.1).value == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize(
    ("llr", "said"),
    [
        ((0.0, -0.5, 0.5), "No evidence either way: bona fide clips and spoofs get such a score about as often"),
        ((math.log(3), 0.0, 2.0), "Weak evidence for bona fide: bona fide clips get such a score 3.0 times as often"),
        ((-math.log(50), -5.0, -3.0), "Moderate evidence for spoof: spoofs get such a score 50 times as often"),
        ((math.log(2e6), 9.0, 15.0), "Extremely strong evidence for bona fide"),
    ],
)
def test_strength_in_words(llr, said):
    assert assessment.in_words(assessment.Interval(*llr)).startswith(said)


def test_the_range_in_words():
    one_side = assessment.in_words(assessment.Interval(-math.log(20), -math.log(50), -math.log(3)))
    assert one_side.endswith("(95 % range with other validation clips: 3.0 to 50 times).")
    both = assessment.in_words(assessment.Interval(1.0, -math.log(2), math.log(30)))
    assert both.endswith("(95 % range with other validation clips: 2.0 to 1 for spoof to 30 to 1 for bona fide).")


def test_what_was_done_and_what_was_never_tested(basis, clip, clips):
    from dfdlib.data import corpus
    from dfdlib.data.audit import measure

    tested = measure.measure(corpus.read(clips)).clips
    known = Basis("known", basis.scorer, basis.preprocessing, basis.scales, tested)
    found = assess(clip(0.9, rate=44_100, channels=2, name="clip.flac.wav"), known)
    assert found.done == "The detector got the mean of its 2 channels, resampled from 44,100 to 16,000 Hz."
    untested = {fact.name for fact in found.facts if fact.untested}
    assert {"Sample rate", "Channels", "Format and codec", "Duration"} <= untested
    facts = {fact.name: fact for fact in found.facts}
    assert (facts["Sample rate"].value, facts["Sample rate"].tested) == ("44,100 Hz", "16,000 Hz")
    assert {fact.untested for fact in assess(clip(0.9), basis).facts} == {None}


def test_a_long_clip_has_windows(basis, tmp_path):
    wave = np.concatenate([tone(6.0, level=0.01), tone(6.0, level=0.06)])
    audio.write_wav(tmp_path / "long.wav", wave, rate=16_000)
    found = assess(tmp_path / "long.wav", basis)
    assert found.windows[0].start == 0
    assert found.windows[-1].end == pytest.approx(12.0)
    assert found.windows[0].score == pytest.approx(1 - 0.4 / math.sqrt(2), abs=1e-3)
    assert found.windows[-1].score == pytest.approx(1 - 2.4 / math.sqrt(2), abs=2e-3)
    assert assess(tmp_path / "long.wav", basis, windows=False).windows == ()


def test_files_beyond_the_limits_are_refused(basis, tmp_path, monkeypatch):
    audio.write_wav(tmp_path / "clip.wav", tone(2.0), rate=16_000)
    monkeypatch.setattr(assessment, "LONGEST", 1)
    with pytest.raises(DataError, match="is longer than"):
        assess(tmp_path / "clip.wav", basis)
    monkeypatch.setattr(assessment, "LARGEST", 100)
    with pytest.raises(DataError, match="is larger than"):
        assess(tmp_path / "clip.wav", basis)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    # a quarter of an hour of silence at 192 kHz: 691 MB of samples in a small file
    with soundfile.SoundFile(tmp_path / "bomb.flac", "w", samplerate=192_000, channels=1, subtype="PCM_16") as file:
        for _ in range(15):
            file.write(np.zeros(60 * 192_000, np.int16))
    assert (tmp_path / "bomb.flac").stat().st_size < 2_000_000
    with pytest.raises(DataError, match="is longer than"):
        assessment.check(tmp_path / "bomb.flac")


@pytest.mark.parametrize("name", ["clips.csv", "clips.parquet", "clips.tsv"])
def test_a_table_is_no_clip_whatever_is_in_it(name, tmp_path):
    soundfile.write(tmp_path / name, tone(), 16_000, format="WAV")
    with pytest.raises(DataError, match="is a table, not a sound file"):
        assessment.check(tmp_path / name)


def damaged(basis, folder, data):
    """Cut a file short and overwrite some of its bytes: an outcome, or one line."""
    content = bytearray((folder / "intact").read_bytes())
    del content[data.draw(st.integers(1, len(content))) :]
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255)), max_size=20)):
        content[min(place, len(content) - 1)] = byte
    (folder / "damaged.bin").write_bytes(content)
    try:
        said = assess(folder / "damaged.bin", basis).outcome
    except DataError as error:
        said = str(error)
    assert said in rules.OUTCOMES or ("\n" not in said and said.startswith(str(folder)))


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_damaged_files_give_an_outcome_or_one_line(form, basis, tmp_path):
    soundfile.write(tmp_path / "intact", tone(), 16_000, format=form)

    @given(st.data())
    @settings(max_examples=10, deadline=None)
    def run(data):
        damaged(basis, tmp_path, data)

    run()
