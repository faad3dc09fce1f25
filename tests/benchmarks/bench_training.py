"""What training the published detector costs: ``python tests/benchmarks/bench_training.py [--steps 6] [--out F.json]``.

Every way trains all of XLSR-300M on the same two-second clips from the same weights, in batches of two, in a process
of its own, on two threads. The plain way is a loop in PyTorch as the original study's: librosa reads whole files, each
clip is repeated to 64,600 samples, Adam follows cross entropy. The others are `loop.fit`, from the first batch to
the checkpoint on disk. Clips per second count from the second step on; the peak is that of the whole process, with
libraries, saving and loading.

Needs 16 GB of memory, 8 GB of disk and Linux; each way takes some minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from deterministic_weights import fill, waveform

from dfdlib import files
from dfdlib.data import audio

BATCH, FIXED, FULL = 2, 64_600, 32_000
WAYS = {
    "plain loop, 64,600": {"window": FIXED, "plain": True},
    "ours, 64,600": {"window": FIXED},
    "ours, 64,600, checkpointing": {"window": FIXED, "checkpointing": True},
    "ours, full": {"window": FULL},
    "ours, full, bfloat16": {"window": FULL, "precision": "bfloat16"},
    "ours, full, checkpointing": {"window": FULL, "checkpointing": True},
}


def make_clips(folder: Path, *, steps: int) -> None:
    """Write clips of two seconds: as many for training as the steps take, four for validation."""
    for split, count in (("training", steps * BATCH), ("validation", 4)):
        for number in range(count):
            path = folder / split / ("real" if number % 2 else "fake") / f"{number}.wav"
            audio.write_wav(path, waveform(FULL, salt=f"{split}{number}"), rate=audio.RATE)


def peak_memory() -> int:
    """Return the most bytes that this process has held."""
    # Not getrusage: what it gives begins with the peak of the process that started this one.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


class PlainClips:
    """Clips as the study read them."""

    def __init__(self, table, *, window: int) -> None:
        self.table, self.window = table, window

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int):
        import librosa

        wave, _ = librosa.load(self.table["path"].iloc[index], sr=audio.RATE)
        return audio.fit(wave, length=self.window).copy(), int(self.table["label"].iloc[index])


def train_plainly(model, clips, *, window: int) -> None:
    """Train for an epoch the study's way."""
    import plain
    import torch
    from torch.utils.data import DataLoader

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6, weight_decay=1e-4)
    for waves, labels in DataLoader(PlainClips(clips.table, window=window), batch_size=BATCH):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(plain.logits(model, waves), labels).backward()
        optimizer.step()


def measure(folder: Path, *, window: int, plain: bool = False, **settings: object) -> dict:
    """Train one way and return what it took."""
    from dfdlib.data import corpus
    from dfdlib.detector import network
    from dfdlib.training import loop
    from dfdlib.training.recipe import Recipe

    recipe = Recipe(window=window, batch_size=BATCH, epochs=1, **settings)
    model = fill(network.skeleton("xlsr-300m")).train()
    starts = []
    layer = model.ssl_model.model.encoder.layers[0]  # every way calls it once a step
    layer.register_forward_pre_hook(lambda module, _: starts.append(time.perf_counter()) if module.training else None)
    clips = corpus.read(folder)
    if plain:
        train_plainly(model, clips.split("training"), window=window)
    else:
        loop.fit(
            model,
            training=clips.split("training"),
            validation=clips.split("validation"),
            recipe=recipe,
            checkpoint=folder / "trained.safetensors",
            device="cpu",
        )
    return {
        "clips_per_second": BATCH / float(np.median(np.diff(starts)[1:])),
        "peak_gib": peak_memory() / 2**30,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=Path, help="write the numbers to this file as JSON")
    parser.add_argument("--only", choices=WAYS, action="append", help="measure this way; may be given again")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, folder = options.measure
        print(json.dumps(measure(Path(folder), **WAYS[way])))
        return
    found = {}
    print(f"{'':30}{'clips/s':>9}{'times':>8}{'peak GiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder), steps=options.steps)
        for way in options.only or WAYS:
            command = [sys.executable, "-W", "ignore", __file__, "--measure", way, folder]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            row = found[way] = json.loads(said.splitlines()[-1])
            speed = row["clips_per_second"] / next(iter(found.values()))["clips_per_second"]
            print(
                f"{way:30}{row['clips_per_second']:9.3f}{speed:8.2f}{row['peak_gib']:10.2f}",
                flush=True,
            )
    if options.out is not None:
        with files.atomic(options.out) as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
