import numpy as np
import pandas as pd
import pytest
from makers import tone

from dfdlib.data import audio
from dfdlib.detector import explanation
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.errors import DataError

FULL = Preprocessing.named("corrected", window="full")


class Whistle:
    """Calls clips bona fide that hold a tone near 3 kHz: a detector whose reasons are known."""

    fingerprint = "whistle"
    least_samples = 1

    def logits(self, windows):
        power = np.abs(np.fft.rfft(windows)) ** 2 / windows.shape[1] ** 2
        place = np.fft.rfftfreq(windows.shape[1], 1 / audio.RATE)
        level = np.sqrt(power[:, (place > 2_900) & (place < 3_100)].sum(axis=1))
        return np.stack([0 * level, 100 * level - 1], axis=1)


@pytest.fixture
def whistled(rng):
    """Two seconds of faint noise; from 1.0 to 1.25 s a tone of 3 kHz."""
    wave = 0.001 * rng.standard_normal(2 * audio.RATE).astype(np.float32)
    wave[audio.RATE : audio.RATE + 4_000] += tone(0.25, frequency=3_000)
    return wave


def test_the_part_that_a_score_rests_on_is_found(whistled):
    found = explanation.explain(whistled, Whistle(), preprocessing=FULL)
    assert found.change.shape == (8, 5)
    assert found.times.tolist() == pytest.approx(np.arange(9) / 4)
    assert found.bands.tolist() == [0, 500, 1000, 2000, 4000, 8000]
    assert np.unravel_index(found.change.argmax(), found.change.shape) == (4, 3)
    assert found.change[4, 3] > 0.9 * (found.score + 1)  # nearly all of the tone's part in the score
    cells = found.table(slope=2.0)
    most = cells.loc[cells["change"].idxmax()]
    assert most.to_list()[:4] == [1.0, 1.25, 2000, 4000]
    assert most["change"] == 2 * found.change.max()


def test_hidden_parts_are_filled_with_noise_of_the_level_that_the_clip_has(rng):
    wave = 0.05 * rng.standard_normal(4 * audio.RATE).astype(np.float32)
    occluder = explanation.Occluder(wave, rate=audio.RATE, seed=1)
    assert np.array_equal(occluder.without(np.zeros(occluder.shape, bool)), wave)
    noise = occluder.without(np.ones(occluder.shape, bool))
    assert abs(np.corrcoef(wave, noise)[0, 1]) < 0.05  # nothing of the clip is left
    assert noise.std() == pytest.approx(wave.std(), rel=0.05)
    silent = np.append(wave, np.zeros(audio.RATE, np.float32))
    occluder = explanation.Occluder(silent, rate=audio.RATE)
    assert np.abs(occluder.without(np.ones(occluder.shape, bool))).max() < 1e-3  # the floor of this one is silence


def test_hiding_the_parts_that_matter_costs_the_decision_more(whistled):
    found = explanation.explain(whistled, Whistle(), preprocessing=FULL)
    curves = [explanation.deletion(whistled, found, Whistle(), preprocessing=FULL, seed=seed) for seed in range(5)]
    curve = pd.concat(curves).groupby("share", as_index=False).mean()
    assert curve["share"].tolist() == list(explanation.SHARES)
    assert curve["ordered"].to_numpy() == pytest.approx(found.score + 1, rel=0.1)
    # One cell matters: of a random order it is among the first tenth, fifth, … as often.
    assert (curve["random"] / curve["ordered"]).to_numpy() == pytest.approx(explanation.SHARES, abs=0.25)
    # Of a clip that is called spoof, parts that speak for spoof go first: there are none here.
    other = explanation.deletion(whistled, found, Whistle(), preprocessing=FULL, threshold=found.score + 1)
    assert other["ordered"].iloc[0] == pytest.approx(0, abs=0.1)


def test_a_picture_that_is_wrong_is_not_faithful(whistled, rng):
    found = explanation.explain(whistled, Whistle(), preprocessing=FULL)
    wrong = explanation.Explanation(found.times, found.bands, -found.change, found.score)
    rows = {"right": [], "wrong": []}
    for speaker in range(6):
        for name, one in (("right", found), ("wrong", wrong)):
            curve = explanation.deletion(whistled, one, Whistle(), preprocessing=FULL, seed=speaker)
            rows[name].append(curve.assign(speaker=speaker))
    last = {name: explanation.faithfulness(pd.concat(some), unit="speaker").iloc[-1] for name, some in rows.items()}
    assert last["right"]["low"] > 0 > last["wrong"]["high"]


def test_units_and_not_clips_count():
    curves = pd.DataFrame({"share": 0.1, "random": 0.0, "ordered": [1.0, 1.0, 1.0, 5.0], "speaker": list("aaab")})
    found = explanation.faithfulness(curves, unit="speaker")
    assert found["share"].isna().tolist() == [False, True]
    # two speakers: a standard error of 2, and Student's t of one degree of freedom
    np.testing.assert_allclose(found[["difference", "low", "high"]], [[3.0, 3 - 25.412, 3 + 25.412]] * 2, rtol=1e-4)
    alone = explanation.faithfulness(curves[:3], unit="speaker")
    assert alone["low"].isna().all()


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_clip_shorter_than_a_slice_is_one_slice(size):
    found = explanation.explain(np.full(size, 0.1, np.float32), Whistle(), preprocessing=FULL)
    assert found.change.shape == (1, 5)
    assert np.isfinite(found.change).all()


def test_only_what_the_detector_hears_is_explained(tmp_path):
    audio.write_wav(tmp_path / "talk.wav", tone(2.0), rate=audio.RATE)
    fixed = Preprocessing("short", window=8_000)
    wave = explanation.load(tmp_path / "talk.wav", preprocessing=fixed)
    assert len(wave) == 8_000
    assert explanation.explain(tone(2.0), Whistle(), preprocessing=fixed).times.tolist() == [0, 0.25, 0.5]


def test_nothing_cannot_be_explained():
    with pytest.raises(DataError, match="empty waveform"):
        explanation.explain(np.zeros(0, np.float32), Whistle(), preprocessing=FULL)
