"""What errors say, and what they carry beside it."""

import pickle

import numpy as np
import pytest
import soundfile

from dfdlib.data import audio, corpus
from dfdlib.errors import DataError


def test_a_data_error_carries_the_reason_and_the_path_apart():
    error = DataError("is empty; copy it again", path="a/b.wav")
    assert (str(error), error.reason, error.path) == (
        "a/b.wav: is empty; copy it again",
        "is empty; copy it again",
        "a/b.wav",
    )
    assert str(DataError("no trials")) == "no trials"


def test_a_data_error_comes_back_from_another_process():
    error = pickle.loads(pickle.dumps(DataError("is empty", path="b.wav")))
    assert (str(error), error.path) == ("b.wav: is empty", "b.wav")


@pytest.mark.parametrize("name", ["a\nb.wav", "a\x1b[2J.wav", "a\udcff.wav"])
def test_a_path_cannot_break_the_line(name):
    text = str(DataError("is empty", path=name))
    assert text.isprintable()
    assert text.endswith(".wav: is empty")


def test_left_out_clips_have_a_reason_without_their_path(tmp_path):
    for folder in ("Real", "Fake"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "good.wav", np.sin(np.arange(16_000) / 9) / 2, 16_000)
    bad = tmp_path / "Real" / "bad\nname.wav"
    bad.touch()
    with pytest.raises(DataError) as caught:
        audio.load(bad, rate=16_000)
    clips = corpus.read(tmp_path)
    assert clips.left_out["reason"].tolist() == [caught.value.reason]
    assert caught.value.path == str(bad)
