import numpy as np
import pandas as pd
import pytest
from makers import Loudness, tone

from dfdlib.data import audio
from dfdlib.detector import splices
from dfdlib.detector.preprocessing import Preprocessing


class Pitch:
    """Calls windows spoof by the share of them that is a tone of 1 kHz."""

    fingerprint = "pitch"
    least_samples = 1

    def logits(self, windows):
        power = np.abs(np.fft.rfft(windows)) ** 2
        place = np.fft.rfftfreq(windows.shape[1], 1 / audio.RATE)
        share = power[:, place > 600].sum(axis=1) / power.sum(axis=1)
        return np.stack([share, 1 - share], axis=1)


@pytest.fixture
def corpus(tmp_path):
    """Nine clips of 2 s (220 Hz) of one speaker, with twins (1 kHz) that are louder, and a clip without."""
    rows = []
    for number in range(10):
        for label, frequency, level in ((1, 220.0, 0.1), (0, 1_000.0, 0.4)):
            if number == 9 and label == 0:
                continue
            path = str(tmp_path / f"{number}-{label}.wav")
            audio.write_wav(path, tone(2.0, frequency=frequency, level=level), rate=audio.RATE)
            rows.append((path, label, "ann", f"sentence {number}", "" if label else "robot", 2.0))
    return pd.DataFrame(rows, columns=["path", "label", "speaker", "sentence", "attack", "duration"])


def test_twins_say_the_same_with_one_voice(corpus):
    pairs = splices.twins(corpus)
    assert len(pairs) == 9
    assert (pairs["path"].str.replace("-1.wav", "-0.wav") == pairs["twin"]).all()
    assert set(pairs["attack"]) == {"robot"}
    assert splices.twins(corpus.drop(columns="sentence")).empty
    assert splices.twins(corpus.assign(speaker="")).empty
    # A clip with two spoofs is in one pair.
    again = corpus[corpus["label"] == 0].assign(path=lambda table: table["path"] + "2")
    assert len(splices.twins(pd.concat([corpus, again]))) == 9


def test_a_splice_keeps_the_level_and_says_where_its_borders_are(corpus):
    wave, borders = splices.splice(splices.twins(corpus))
    assert borders == (6.0, 12.0)
    assert len(wave) == 18 * audio.RATE
    parts = wave.reshape(18, -1)
    assert parts.std(axis=1) == pytest.approx(0.1 / np.sqrt(2), rel=0.01)


def test_segments_are_told_apart_where_they_sound_different(corpus):
    found = splices.segments(corpus, Pitch(), preprocessing=Preprocessing.named("corrected"))
    assert found["label"].tolist() == [1] * 12 + [0] * 12 + [1] * 12
    assert found["start"].tolist() == [number / 2 for number in range(36)]
    assert found.loc[found["label"] == 0, "score"].max() < found.loc[found["label"] == 1, "score"].min() + 0.3
    at = splices.borders(found, threshold=0.0)
    assert (at["borders"], at["found"], at["changes"], at["f1"]) == (2, 2, 2, 1.0)


def test_a_detector_that_hears_no_difference_finds_no_border(corpus):
    found = splices.segments(corpus, Loudness(), preprocessing=Preprocessing.named("corrected"))
    assert splices.borders(found, threshold=-99.0)["f1"] == 0.0


def test_each_border_is_found_by_another_change_within_a_second():
    # Borders at 2.0 and 4.0 s; changes at 1.0, 1.5, 5.5 and 6.0 s: the second finds the first border.
    said = [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1]
    true = [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    table = pd.DataFrame({"recording": 0, "start": np.arange(14) / 2, "label": true, "score": said})
    at = splices.borders(table, threshold=0.5)
    assert (at["borders"], at["found"], at["changes"]) == (2, 1, 4)
    assert at["f1"] == pytest.approx(2 / 6)
    assert at["chance"] == pytest.approx(9 / 14)  # 1.0 to 5.0 s


def test_too_few_twins_make_no_recording(corpus):
    found = splices.segments(corpus.head(8), Pitch(), preprocessing=Preprocessing.named("corrected"))
    assert found.empty
    assert "recording" in found
