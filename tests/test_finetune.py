import signal

import numpy as np
import pytest
import soundfile
import torch
from conftest import tone

from dfdlib import audio, corpus, detector, finetune
from dfdlib.errors import DataError, ParameterError, RunError

QUICK = finetune.Recipe(epochs=2, batch_size=4, learning_rate=1e-3, window=8_000, seed=5)


@pytest.fixture
def fit(clips, tmp_path):
    """A function that trains a small detector from the same random weights each time."""

    def run(recipe=QUICK, name="weights.safetensors", **options):
        model = detector.build("mini", seed=5)
        whole = corpus.read(clips)
        data = {"training": whole, "validation": whole} | options
        return finetune.fit(model, **data, recipe=recipe, checkpoint=tmp_path / name), model

    return run


def test_training_learns_and_keeps_its_best_epoch(fit):
    recipe = finetune.Recipe(epochs=8, batch_size=4, learning_rate=2e-3, window=8_000, seed=5)
    result, model = fit(recipe)
    history = result.history
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert (
        history.loc[history["epoch"] == result.best_epoch, "validation_loss"].item() == history["validation_loss"].min()
    )
    assert detector.fingerprint(detector.load(result.checkpoint)) == detector.fingerprint(model)
    assert not model.training


def test_two_runs_give_the_same_weights_and_another_seed_does_not(fit):
    first, second = fit(name="a.safetensors")[1], fit(name="b.safetensors")[1]
    other = fit(finetune.Recipe(**{**QUICK.__dict__, "seed": 6}))[1]
    assert detector.fingerprint(first) == detector.fingerprint(second)
    assert detector.fingerprint(first) != detector.fingerprint(other)


def test_one_cycle_ends_with_a_rate_of_almost_nothing(clips):
    model = detector.build("mini", seed=5)
    recipe = finetune.Recipe(**{**QUICK.__dict__, "schedule": "one-cycle"})
    rates = []

    class Watch(finetune.lightning.Callback):
        def on_train_batch_start(self, trainer, *rest):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    data = finetune._Clips(corpus.read(clips), recipe=recipe, random_cut=True)
    with finetune._quiet_lightning():
        trainer = finetune._trainer(recipe, callbacks=[Watch()], device="cpu")
        trainer.fit(finetune._Learner(model, recipe=recipe), train_dataloaders=finetune._Batches(data, recipe=recipe))
    assert len(rates) == 4
    assert max(rates) <= QUICK.learning_rate
    assert rates[-1] < QUICK.learning_rate / 1000


def orders(recipe, labels=(1, 0, 1, 0, 1, 0, 1, 0)):
    """Return the order of clips in each of two epochs."""

    class Clips:
        def __init__(self):
            self.labels = list(labels)
            self.epoch = 0

        def __len__(self):
            return len(self.labels)

        def __getitem__(self, index):
            return torch.zeros(1), self.labels[index], index

    batches = finetune._Batches(Clips(), recipe=recipe)
    return [[int(index) for _, _, indices in batches for index in indices] for _ in range(2)]


def test_shuffled_epochs_differ_and_repeat_with_the_seed():
    first, second = orders(QUICK)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(8))
    assert orders(QUICK) == [first, second]


def test_the_studys_order_is_all_fakes_then_all_reals():
    unshuffled = finetune.Recipe(**{**QUICK.__dict__, "shuffle": False})
    assert orders(unshuffled) == [[1, 3, 5, 7, 0, 2, 4, 6]] * 2


def test_long_clips_are_cut_at_a_place_that_depends_on_clip_and_epoch(tmp_path):
    for folder in ("Real", "Fake"):
        audio.write_wav(tmp_path / folder / "clip.wav", np.linspace(-0.9, 0.9, 16_000), rate=16_000)
    clips = finetune._Clips(corpus.read(tmp_path), recipe=QUICK, random_cut=True)
    first = clips[0][0]
    assert torch.equal(clips[0][0], first)
    clips.epoch = 1
    assert not torch.equal(clips[0][0], first)


def test_unreadable_clips_are_left_out(clips, fit):
    (clips / "Real/cut.flac").write_bytes(b"fLaC" + bytes(100))
    # the header of this one is sound, its samples are not
    wave = tone(0.5)
    wave[100] = np.nan
    soundfile.write(clips / "Fake/nan.wav", wave, 16_000, subtype="FLOAT")
    result, _ = fit()
    # once in training, once in validation; the other never came so far
    assert [path.split("/")[-1] for path in result.left_out["path"]] == ["nan.wav", "nan.wav"]


def test_one_class_is_refused(clips, fit):
    whole = corpus.read(clips)
    reals = corpus.Corpus("reals", whole.table[whole.table["label"] == 1], whole.left_out)
    with pytest.raises(DataError, match="no spoof clip"):
        fit(training=reals)


def test_a_loss_that_is_not_finite_stops_the_run(fit):
    wild = finetune.Recipe(**{**QUICK.__dict__, "learning_rate": 1e30})
    with pytest.raises(RunError, match="lower the learning rate"):
        fit(wild)


def test_an_interrupt_stays_an_interrupt(fit):
    def interrupt(line):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"learning_rate": -1.0}, {"select": "test_eer"}, {"window": 0}, {"schedule": "?"}]
)
def test_recipes_that_make_no_sense(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        finetune.Recipe(**wrong)
