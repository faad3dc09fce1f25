import numpy as np
import pandas as pd
import torch

from dfdlib.data import audio, corpus
from dfdlib.training.clips import Clips, order
from dfdlib.training.recipe import Recipe

RECIPE = Recipe(window=8_000, seed=5)


class Listed:
    """What `order` looks at."""

    def __init__(self, labels, attacks=None):
        self.labels = np.array(labels)
        self.attacks = np.array(attacks if attacks is not None else ["a"] * len(labels))

    def __len__(self):
        return len(self.labels)


def test_shuffled_epochs_differ_and_repeat_with_the_seed():
    listed = Listed([1, 0] * 4)
    first, second = (order(listed, recipe=RECIPE, epoch=epoch).tolist() for epoch in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(8))
    assert order(listed, recipe=RECIPE, epoch=0).tolist() == first


def test_the_studys_order_is_all_fakes_then_all_reals():
    found = order(Listed([1, 0] * 4), recipe=Recipe(sampler="unshuffled"), epoch=3)
    assert found.tolist() == [1, 3, 5, 7, 0, 2, 4, 6]


def test_balanced_orders():
    labels = [0] * 12 + [1] * 4
    attacks = ["a"] * 9 + ["b"] * 3 + ["bonafide"] * 4
    by_class = order(Listed(labels, attacks), recipe=Recipe(sampler="balanced-by-class"), epoch=0)
    assert np.array(labels)[by_class].mean() == 0.5
    assert len(by_class) == 16
    assert set(by_class[1::2]) == {12, 13, 14, 15}  # all bona fide clips, each of them twice
    by_attack = order(Listed(labels, attacks), recipe=Recipe(sampler="balanced-by-attack"), epoch=0)
    counts = pd.Series(np.array(attacks)[by_attack]).value_counts().to_dict()
    assert counts == {"bonafide": 8, "a": 4, "b": 4}


def test_long_clips_are_cut_at_a_place_that_depends_on_clip_and_epoch(tmp_path):
    for folder, sign in (("Real", 1), ("Fake", -1)):
        audio.write_wav(tmp_path / folder / "clip.wav", sign * np.linspace(-0.9, 0.9, 16_000), rate=16_000)
    clips = Clips(corpus.read(tmp_path), recipe=RECIPE, training=True)
    first = clips[0][0]
    assert torch.equal(clips[0][0], first)
    clips.epoch = 1
    assert not torch.equal(clips[0][0], first)
    validation = Clips(corpus.read(tmp_path), recipe=RECIPE, training=False)
    assert torch.equal(validation[0][0], torch.from_numpy(audio.load(validation.paths[0], rate=16_000)[:8_000]))
