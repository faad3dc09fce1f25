"""What scoring costs beside the plain way: ``python tests/benchmarks/bench_scoring.py [--out F.json] [--clips N]``.

Both ways score the same two-second clips with the same weights, XLSR-300M filled with numbers that follow from their
names, in one process and by turns; the best of several rounds counts. Ours computes in bfloat16 as well. The plain way
is that of the original study: librosa reads whole files, a DataLoader without workers puts four into a batch, each clip
is repeated to 64,600 samples, and fairseq's own forward computes the features.

The share of the peak is of what this processor reaches on large float32 matrix products in the same process. The
operations that are counted are those of the plain network: a shorter way to the same numbers raises the share.

Reading is measured against librosa on one thread. "Bare" is the decoder and the resampler that librosa uses, and so do
we, with nothing besides: no reader of whole files that keeps both is faster.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent.parent))

import plain
from deterministic_weights import fill, waveform

from dfdlib import files, machine
from dfdlib.data import audio, corpus
from dfdlib.detector import aasist, network
from dfdlib.detector import score as scoring
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing
from dfdlib.detector.scorer import TorchScorer

PEAK_SIZE = 4096


class PlainClips(Dataset):
    """Clips as the study read them."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        wave, _ = librosa.load(self.paths[index], sr=audio.RATE)
        return torch.from_numpy(audio.fit(wave, length=FIXED_WINDOW).copy())


def score_plainly(paths: list[Path], model: network.Detector) -> np.ndarray:
    """Return scores, shape (n,), the study's way."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([plain.logits(model, batch) for batch in DataLoader(PlainClips(paths), batch_size=4)])
    return (logits[:, 1] - logits[:, 0]).numpy()


def best(functions: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Return the least seconds of each function, all of them called by turns."""
    least = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            least[name] = min(least[name], time.perf_counter() - started)
    return least


def peak_memory(function: Callable[[], object]) -> float:
    """Return the most memory, in MiB, that this process held while the function ran; NaN where Linux is not."""
    if not Path("/proc/self/clear_refs").exists():
        function()
        return float("nan")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    function()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure_scoring(folder: Path, *, name: str, clips: int, rounds: int) -> dict:
    """Score clips both ways."""
    model = fill(network.skeleton(name))
    scorer, half = (TorchScorer(model, device="cpu", precision=precision) for precision in ("float32", "bfloat16"))
    for number in range(clips):
        audio.write_wav(folder / f"{number:03}.wav", waveform(2 * audio.RATE, salt=str(number)), rate=audio.RATE)
    read = corpus.find([folder])
    paths = [Path(path) for path in read.table["path"]]
    fixed, full = (Preprocessing.named("corrected", window=window) for window in ("fixed", "full"))
    large = torch.randn(PEAK_SIZE, PEAK_SIZE)
    batch = torch.from_numpy(np.stack([waveform(FIXED_WINDOW, salt=str(number)) for number in range(8)]))
    features = scorer._frontend(batch)

    def backend() -> None:
        with torch.inference_mode():
            aasist.Aasist.forward(model, features)

    ways = {
        "plain": lambda: score_plainly(paths, model),
        "ours, fixed": lambda: scoring.score(read, scorer, preprocessing=fixed),
        "ours, full": lambda: scoring.score(read, scorer, preprocessing=full),
        "bfloat16, fixed": lambda: scoring.score(read, half, preprocessing=fixed),
        "bfloat16, full": lambda: scoring.score(read, half, preprocessing=full),
    }
    plainly = ways["plain"]()
    differences = {name: float(abs(ways[name]().values - plainly).max()) for name in ways if name.endswith("fixed")}
    memory = {name: peak_memory(way) for name, way in ways.items()}
    times = best(ways | {"peak": lambda: large @ large, "back end": backend}, rounds=rounds)
    with FlopCounterMode(display=False) as counter:
        bare = network.skeleton(name).eval().requires_grad_(False)
        plain.logits(bare, torch.empty(1, FIXED_WINDOW, device="meta"))
    peak = 2 * PEAK_SIZE**3 / times["peak"]
    speeds = {name: clips / times[name] for name in ways}
    return {
        "clips_per_second": speeds,
        "times_plain": {name: speed / speeds["plain"] for name, speed in speeds.items()},
        "greatest_difference_of_scores": differences,
        "peak_gflop_per_second": peak / 1e9,
        "gflop_per_fixed_clip": counter.get_total_flops() / 1e9,
        "share_of_peak": {name: counter.get_total_flops() * speeds[name] / peak for name in ("plain", "ours, fixed")},
        "back_end_share": times["back end"] / len(batch) * speeds["ours, fixed"],
        "peak_memory_mib": memory,
        "weights_mib": {
            name: sum(tensor.nbytes for tensor in one.state_dict().values()) / 2**20
            for name, one in {"float32": model, "bfloat16": half._model}.items()
        },
    }


def measure_decoding(folder: Path, *, rounds: int) -> list[dict]:
    """Read files of 44.1 kHz both ways."""
    rows = []
    for seconds in (4, 30):
        speech = soxr.resample(waveform(seconds * audio.RATE), audio.RATE, 44_100)
        for kind in ("wav", "mp3"):
            for channels in (1, 2):
                paths = [folder / f"{seconds}-{channels}-{number}.{kind}" for number in range(4)]
                for path in paths:
                    soundfile.write(path, np.stack([speech, 0.5 * speech], axis=1)[:, :channels], 44_100)
                with ThreadPoolExecutor(2) as pool:
                    ours = best(_ways_to_read(paths, pool), rounds=rounds)
                plain = ours.pop("librosa")
                rows.append(
                    {"kind": kind, "seconds": seconds, "channels": channels, "librosa_ms": 1000 * plain / len(paths)}
                    | {name: plain / value for name, value in ours.items()}
                )
    return rows


def _ways_to_read(paths: list[Path], pool: ThreadPoolExecutor) -> dict[str, Callable[[], object]]:
    def ours(path: Path) -> np.ndarray:
        return audio.load(path, rate=audio.RATE)

    def window(path: Path) -> np.ndarray:
        return next(audio.stream(path, rate=audio.RATE, block=FIXED_WINDOW))

    def bare(path: Path) -> np.ndarray:
        with soundfile.SoundFile(path) as file:
            file.read(dtype="int16" if path.suffix == ".wav" else "float32")
        return soxr.resample(mono[path], 44_100, audio.RATE)

    mono = {path: audio.load(path, rate=44_100) for path in paths}
    return {
        "librosa": lambda: [librosa.load(path, sr=audio.RATE) for path in paths],
        "whole, one thread": lambda: [ours(path) for path in paths],
        "whole, two threads": lambda: list(pool.map(ours, paths)),
        "window, one thread": lambda: [window(path) for path in paths],
        "window, two threads": lambda: list(pool.map(window, paths)),
        "bare, two threads": lambda: list(pool.map(bare, paths)),
    }


def show(found: dict) -> None:
    """Print what was measured."""
    score = found["scoring"]
    print(
        f"{found['processor']}, {found['threads']} threads, torch {torch.__version__}, {found['clips']} clips of 2 s\n"
    )
    print(f"{'':16}{'clips/s':>9}{'times':>8}{'of peak':>9}{'peak MiB':>10}")
    for name, speed in score["clips_per_second"].items():
        share = score["share_of_peak"].get(name)
        print(
            f"{name:16}{speed:9.3f}{score['times_plain'][name]:8.2f}{f'{share:.0%}' if share else '':>9}"
            f"{score['peak_memory_mib'][name]:10.0f}"
        )
    print(
        f"\npeak {score['peak_gflop_per_second']:.0f} GFLOP/s, "
        f"a fixed clip {score['gflop_per_fixed_clip']:.0f} GFLOP, "
        f"back end {score['back_end_share']:.1%} of the time, "
        f"weights {', '.join(f'{size:.0f} MiB in {name}' for name, size in score['weights_mib'].items())}"
    )
    for name, difference in score["greatest_difference_of_scores"].items():
        print(f"{name}: scores differ from plain ones by {difference:.0e} at most")
    print()
    titles = [name for name in found["decoding"][0] if "thread" in name]
    print(f"{'reading 44.1 kHz, times librosa':34}" + "".join(f"{title:>21}" for title in titles))
    for row in found["decoding"]:
        what = f"{row['kind']}, {row['seconds']} s, {row['channels']} channel{'s' * (row['channels'] > 1)}"
        print(f"{what:24}{row['librosa_ms']:7.1f} ms" + "".join(f"{row[title]:21.1f}" for title in titles))


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="write the numbers to this file as JSON")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--detector", choices=network.CONFIGURATIONS, default="xlsr-300m")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "processor": machine.processor(),
            "threads": torch.get_num_threads(),
            "clips": options.clips,
            "decoding": measure_decoding(Path(folder), rounds=2 * options.rounds),
            "scoring": measure_scoring(
                Path(folder) / "clips", name=options.detector, clips=options.clips, rounds=options.rounds
            ),
        }
    show(found)
    if options.out is not None:
        with files.atomic(options.out) as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
