"""A shortcut that was put into a data set is found; where there is none, chance is what remains."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfdlib import audio, audit, corpus
from dfdlib.corpus import Corpus
from dfdlib.errors import DataError

RATE = audio.RATE


def corpus_of(folder, *, gain=1.0, length=RATE, pause=0, clips=60):
    """Return a corpus of noise bursts; the arguments are what its fakes have of their own."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(clips):
        label = number % 2
        wave = 0.05 * rng.uniform(0.5, 1.5) * rng.standard_normal(RATE if label else length)
        if not label:
            wave = np.concatenate([np.zeros(pause), wave * gain])
        path = folder / f"{number}.wav"
        audio.write_wav(path, wave, rate=RATE)
        rows.append(
            {"path": str(path), "label": label, "split": "", "speaker": "", "sentence": f"sentence {number // 2}"}
        )
    return Corpus(name="made up", table=pd.DataFrame(rows), left_out=pd.DataFrame(columns=["path", "reason"]))


def test_features_are_those_of_the_clip():
    wave = np.concatenate([np.zeros(1600), np.sin(2 * np.pi * 1000 * np.arange(8000) / RATE), np.zeros(3200)])
    features = audit.nuisance_features(wave, RATE)
    assert list(features) == list(audit.NUISANCES)
    assert features["duration"] == 0.8
    assert features["leading_silence"] == pytest.approx(0.1, abs=0.01)
    assert features["trailing_silence"] == pytest.approx(0.2, abs=0.01)
    assert features["bandwidth"] == pytest.approx(1000, abs=50)
    assert features["level"] == pytest.approx(10 * np.log10(0.5 * 8000 / 12800), abs=0.1)


def test_silent_clip_has_finite_features():
    assert all(np.isfinite(value) for value in audit.nuisance_features(np.zeros(100), RATE).values())


def test_empty_clip_is_refused():
    with pytest.raises(DataError, match="empty"):
        audit.nuisance_features(np.zeros(0), RATE)


@pytest.mark.parametrize("leak", [{"gain": 8.0}, {"length": RATE // 2}, {"pause": RATE // 4}])
def test_leak_is_caught(tmp_path, leak):
    assert audit.shortcut_eer(corpus_of(tmp_path, **leak)) < 0.1


def test_no_leak_is_chance(tmp_path):
    assert 0.35 < audit.shortcut_eer(corpus_of(tmp_path, clips=120)) < 0.65


def test_answer_does_not_depend_on_the_call(tmp_path):
    corpus = corpus_of(tmp_path)
    assert audit.shortcut_eer(corpus, seed=3) == audit.shortcut_eer(corpus, seed=3)


def test_one_class_is_refused(tmp_path):
    corpus = corpus_of(tmp_path)
    real = Corpus(name="real", table=corpus.table[corpus.table["label"] == 1], left_out=corpus.left_out)
    with pytest.raises(DataError, match="spoof"):
        audit.shortcut_eer(real)


def test_a_clip_that_cannot_be_decoded_is_left_out(clips):
    soundfile.write(clips / "Real/nan.wav", np.full(8000, np.nan), 16_000, subtype="FLOAT")
    found = corpus.read(clips)
    features, left_out = audit.nuisance_table(found)
    assert len(features) == len(found) - 1
    assert left_out["path"].str.endswith("nan.wav").tolist() == [True]
    assert 0 <= audit.shortcut_eer(found, features=features, folds=2) <= 1
