"""The neural vocoder: its weights copy speech, better than Griffin–Lim, and are trained again to the same bytes."""

import re

import numpy as np
import pytest
import torch

from dfdlib import files
from dfdlib.data import audio
from dfdlib.data.demo import copies, synthesis, vocoder, vocoder_training
from dfdlib.errors import RunError

SHORT = vocoder_training.Recipe(steps=6, alone=3, batch=2, samples=4096)


@pytest.fixture(scope="module")
def spoken():
    """Speech that it was not trained on: a sentence of Hibari's."""
    voice = synthesis.voice("hibari", language="en", key="")
    return synthesis.read("The birch canoe slid on the smooth planks.", voice, speed=1.0)


def distance(one, two):
    """Return the spectral convergence."""
    one, two = (torch.from_numpy(each.astype(np.float32))[None] for each in (one, two))
    return float(vocoder_training.spectral_distances(one, two)[0])


def test_copies_are_nearer_to_speech_than_those_of_other_ways(spoken):
    own = distance(vocoder.vocode(spoken), spoken)
    for other in ("griffin-lim", "world", "lpc"):
        assert own < 0.95 * distance(synthesis.vocode(spoken, other, seed=1), spoken), other


def test_copies_have_length_and_level_and_no_copy_is_the_recording(spoken):
    for length in (1, 700, len(spoken)):
        wave = spoken[2000 : 2000 + length]
        made = vocoder.vocode(wave)
        assert made.shape == wave.shape
        assert np.isfinite(made).all()
    quiet = vocoder.vocode(spoken * 0.01)
    assert np.allclose(quiet, 0.01 * vocoder.vocode(spoken), atol=1e-5)
    # Phase is its own: an exact copy would be no spoof.
    made = vocoder.vocode(spoken)
    assert np.corrcoef(made, spoken)[0, 1] < 0.99
    assert np.std(made) == pytest.approx(np.std(spoken), rel=0.15)


def test_silence_stays_silent():
    assert np.abs(vocoder.vocode(np.zeros(audio.RATE))).max() < 1e-6


def test_threads_do_not_change_a_copy(spoken):
    before = torch.get_num_threads()
    copies_ = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            copies_.append(vocoder.vocode(spoken))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*copies_)


def test_weights_are_small_and_those_of_their_card():
    path = copies.weights_file()
    assert path.stat().st_size < 5e6
    card = path.with_suffix(".md").read_text("utf-8")
    assert re.search(r"sha256 `(\w+)`", card)[1] == files.sha256(path)


@pytest.mark.parametrize("content", [None, b"", b"no weights", vocoder.to_bytes(torch.nn.Linear(2, 2), metadata={})])
def test_other_weights_are_refused_in_one_line(content, tmp_path):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match="not the vocoder's weights") as caught:
        vocoder.vocode(np.zeros(1000), weights=path)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(RunError, match=r"vocoder\.safetensors: not there; .*dfd data vocoder") as caught:
        vocoder.vocode(np.zeros(1000))
    assert "\n" not in str(caught.value)


def test_an_error_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def fail(content):
        raise RuntimeError

    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    monkeypatch.setattr("safetensors.torch.load", fail)
    with pytest.raises(RunError, match=r"not the vocoder's weights \(RuntimeError\)"):
        vocoder.load(path)


# Training


def test_training_repeats_itself_and_learns(spoken, tmp_path):
    heard = {"hibari": [(spoken * 0.05 / np.std(spoken)).astype(np.float32)]}
    first, again = (vocoder_training.train(heard, recipe=SHORT, progress=print) for _ in range(2))
    assert vocoder.to_bytes(first, metadata={}) == vocoder.to_bytes(again, metadata={})

    @torch.no_grad()
    def loss(model):
        wave = heard["hibari"][0]
        heard_, sources = (torch.from_numpy(each)[None] for each in (wave, vocoder.source(wave)))
        made = model(vocoder.log_mel(heard_), sources)
        return float(sum(vocoder_training.spectral_distances(made, heard_[:, : made.shape[1]])))

    longer = vocoder_training.Recipe(steps=40, alone=30, batch=2, samples=4096)
    assert loss(vocoder_training.train(heard, recipe=longer, progress=print)) < 0.95 * loss(first)


def test_weights_and_card_are_written_from_recordings(spoken, tmp_path, monkeypatch):
    monkeypatch.setattr(vocoder_training, "VOICES", {"one": "one/*.wav"})
    monkeypatch.setattr(vocoder_training, "HELD_OUT", {"two": "two/*.wav"})
    monkeypatch.setattr(vocoder_training, "Recipe", lambda: SHORT)
    for name in ("one/a", "one/b", "two/a"):
        audio.write_wav(tmp_path / f"{name}.wav", spoken, rate=audio.RATE)
    (tmp_path / "one/bad.wav").write_bytes(b"no sound")
    weights = tmp_path / "made.safetensors"
    card = vocoder_training.make(tmp_path, weights=weights, progress=lambda line: None)
    assert weights.with_suffix(".md").read_text("utf-8") == card
    assert files.sha256(weights) in card
    assert "| one | 2 | 0.1 |" in card
    assert re.search(r"\| two \| griffin-lim( \| [\d.]+){5} \|", card)
    assert len(vocoder.vocode(spoken, weights=weights)) == len(spoken)


def test_a_voice_without_recordings_is_named(tmp_path):
    with pytest.raises(RunError, match=r"holds no .*CarloX.*data build demo"):
        vocoder_training.recordings(tmp_path, {"carlo": "CarloX/*.g722"}, most=1)
