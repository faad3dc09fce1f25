"""Training goes on after a stop whatever the detector's back end."""

import dataclasses

import pytest

from dfdlib.data import corpus
from dfdlib.detector import frontend, network
from dfdlib.detector.backends import conformer, mean, nes2net, raw_aasist, rawnet2, resnet, sls
from dfdlib.detector.configuration import DetectorConfiguration
from dfdlib.errors import ParameterError
from dfdlib.training import loop
from dfdlib.training.recipe import Recipe

WINDOW = 8_000
PARTS = {
    "raw-aasist": (None, raw_aasist.RawAasistConfiguration(channels=(4, 4, 4), graph_width=8, heterogeneous_width=8)),
    "rawnet2": (None, rawnet2.RawNet2Configuration(taps=33, channels=(8, 8, 8), recurrent=8)),
    "resnet": (None, resnet.ResNetConfiguration(frame=128, hop=64, channels=(4, 6, 8))),
    "nes2net": (frontend.MINI, nes2net.Nes2NetConfiguration(groups=4, inner_groups=4)),
    "conformer": (frontend.MINI, conformer.ConformerConfiguration(width=16, blocks=1, kernel=5)),
    "tcm": (frontend.MINI, conformer.ConformerConfiguration(width=16, blocks=1, kernel=5, head_tokens=True)),
    # It takes one number of frames only: that of the recipe's windows.
    "sls": (frontend.MINI, sls.SlsConfiguration(frames=frontend.MINI.frames(WINDOW), hidden=12)),
    "mean": (frontend.MINI, mean.MeanConfiguration()),
}
RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=1e-3, window=WINDOW, seed=5)


PARTS["rawnet2-asvspoof5"] = (None, dataclasses.replace(PARTS["rawnet2"][1], norm_first=True))


@pytest.fixture
def fit(clips, tmp_path):
    def run(kind, *, name, recipe=RECIPE, progress=None):
        front, back = PARTS[kind]
        model = network.build(DetectorConfiguration(name=kind, frontend=front, backend=back), seed=5)
        whole, place = corpus.read(clips), tmp_path / f"{name}.safetensors"
        return loop.fit(
            model, training=whole, validation=whole, recipe=recipe, checkpoint=place, device="cpu", progress=progress
        )

    return run


@pytest.mark.parametrize("kind", PARTS)
def test_a_training_that_was_stopped_ends_with_the_same_bytes(kind, fit):
    def stop(line):
        raise KeyboardInterrupt

    whole = fit(kind, name="whole")
    with pytest.raises(KeyboardInterrupt):
        fit(kind, name="stopped", progress=stop)
    lines = []
    stopped = fit(kind, name="stopped", progress=lines.append)
    assert lines[0].startswith("going on after step 2")
    assert stopped.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert network.load(stopped.checkpoint).configuration.name == kind


def test_a_state_of_another_detector_with_the_same_weights_is_not_taken(fit):
    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit("rawnet2", name="stopped", progress=stop)
    lines = []
    fit("rawnet2-asvspoof5", name="stopped", progress=lines.append)
    assert lines[0].startswith("epoch 1/2")


def test_there_is_no_front_end_to_freeze(fit):
    with pytest.raises(ParameterError, match="freeze = frontend: the detector rawnet2 has no front end; choose none"):
        fit("rawnet2", name="frozen", recipe=RECIPE.model_copy(update={"freeze": "frontend"}))
