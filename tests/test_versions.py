"""What a cache may keep: a change of what the code computes raises the version that kept results carry.

Each golden number is what the code of a version gave. Comments and names may change freely; when a number does, the
version has to be raised, and the new numbers are written down by ``python tests/test_versions.py``.
"""

import json
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from deterministic_weights import fill, waveform

from dfdlib.data import audio, corpus
from dfdlib.detector import network
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.scorer import TorchScorer
from dfdlib.training import augment, loop
from dfdlib.training.recipe import Recipe

GOLDEN = Path(__file__).parent / "fixtures/versions.json"


def marks(wave):
    """Return a few numbers that a change of a waveform changes."""
    ramp = np.linspace(0, 1, len(wave))
    return [len(wave), *wave[:: max(1, len(wave) // 5)][:5].tolist(), wave @ wave / len(wave), np.abs(wave) @ ramp]


def preprocessing(folder):
    """Return marks of what each preprocessing cuts out of files of several rates, channels, lengths and kinds."""
    soundfile.write(folder / "stereo.wav", np.stack([waveform(66_150), waveform(66_150, salt="2")], 1), 44_100)
    soundfile.write(folder / "short.flac", waveform(1_000), 16_000)
    soundfile.write(folder / "long.flac", waveform(8_000 * 31), 8_000)
    with av.open(str(folder / "other.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=22_050, layout="mono")
        samples = (waveform(30_000) * 2**15).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 22_050
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    found = {}
    for path in sorted(folder.iterdir()):
        found[path.name] = marks(audio.load(path, rate=audio.RATE))
        for name, window in (("original", "fixed"), ("corrected", "fixed"), ("corrected", "full")):
            how = Preprocessing.named(name, window=window)
            windows = how.windows(audio.stream(path, rate=how.rate, block=50_000))
            found[f"{path.name}, {name}, {window}"] = [mark for wave in windows for mark in marks(wave)]
    return found


def forward(folder):
    """Return the logits of the small network on deterministic weights."""
    scorer = TorchScorer(fill(network.build("mini", seed=0)), device="cpu")
    waves = {length: np.stack([waveform(length), waveform(length, salt="2")]) for length in (8_000, 64_600)}
    return {str(length): scorer.logits(wave).ravel().tolist() for length, wave in waves.items()}


def training(folder):
    """Return the losses of the first epoch by several recipes, and marks of augmented clips.

    Two epochs are trained; in the second, what another processor rounds otherwise may change losses by a hundredth.
    """
    for number in range(8):
        place = folder / ("Real" if number % 2 else "Fake") / f"{number}.wav"
        place.parent.mkdir(exist_ok=True)
        soundfile.write(place, waveform(8_000 + 500 * number, salt=str(number)), 16_000)
    clips = corpus.read(folder)
    base = Recipe(epochs=2, batch_size=4, learning_rate=1e-3, window=8_000, seed=5)
    changes = {
        "plain": {},
        "other": {"optimizer": "sgd", "schedule": "cosine", "warmup": 0.5, "sampler": "balanced-by-class", "clip": 1.0},
        "augmented": {"augment": ("rawboost=5", "codec=g722@0.5"), "class_weights": (1.0, 3.0)},
    }
    found = {}
    for name, change in changes.items():
        model, recipe = fill(network.build("mini", seed=0)), Recipe.model_validate(base.model_dump() | change)
        out = folder / f"{name}.safetensors"
        result = loop.fit(model, training=clips, validation=clips, recipe=recipe, checkpoint=out, device="cpu")
        found[name] = result.history[["train_loss", "validation_loss"]].iloc[0].tolist()
    for name in ("rawboost=3", "rawboost=8", "codec=mulaw"):
        rng = augment.rng(1, 2, "clip")
        found[name] = marks(augment.build([name])(waveform(8_000), rate=audio.RATE, rng=rng))
    return found


#: What is versioned: what computes it, the module whose VERSION it is, and what another processor may change.
VERSIONED = {
    "preprocessing": (preprocessing, audio, 1e-5),
    "forward": (forward, network, 2e-4),
    "training": (training, loop, 1e-3),
}


def differing(name, folder):
    """Return what a part of the code gives now, and what of it is not as it was written down."""
    torch.manual_seed(0)
    compute, _, close = VERSIONED[name]
    found, golden = compute(folder), json.loads(GOLDEN.read_text())[name]["values"]
    same = {
        key
        for key, values in found.items()
        if len(values) == len(golden.get(key, [])) and np.allclose(values, golden[key], rtol=close, atol=close)
    }
    return found, sorted(found.keys() - same)


@pytest.mark.parametrize("name", VERSIONED)
def test_a_change_of_what_is_computed_raises_its_version(name, tmp_path):
    version, (_, module, _) = json.loads(GOLDEN.read_text())[name]["version"], VERSIONED[name]
    where = f"{module.__name__}.VERSION"
    assert version == module.VERSION, f"{where} was raised: write down what it gives, python tests/test_versions.py"
    changed = differing(name, tmp_path)[1]
    assert not changed, (
        f"{name} gives other numbers than version {version} did ({', '.join(changed)}), and caches would keep the old "
        f"ones. If that is meant, raise {where}, then run: python tests/test_versions.py"
    )


def write():
    """Write down what the code gives now, of whatever is new or had its version raised."""
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name in VERSIONED:
        golden.setdefault(name, {"version": None, "values": {}})
    GOLDEN.write_text(json.dumps(golden))
    for name, (_, module, _) in VERSIONED.items():
        with tempfile.TemporaryDirectory() as folder:
            found, changed = differing(name, Path(folder))
        if golden[name]["version"] == module.VERSION and changed:
            sys.exit(f"{name}: {', '.join(changed)} changed; raise {module.__name__}.VERSION first")
        if golden[name]["version"] != module.VERSION:
            rounded = {key: [float(f"{value:.7g}") for value in values] for key, values in found.items()}
            golden[name] = {"version": module.VERSION, "values": rounded}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    write()
