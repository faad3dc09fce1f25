"""What many small clips cost in memory: ``python tests/benchmarks/bench_many_clips.py [clips …]``.

Clips of a tenth of a second, no two alike, are found and scored in processes of their own, by a detector that costs
nothing, so that what is measured is all that is kept of them. A run with 100,000 clips takes some minutes.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dfdlib.data import audio, corpus
from dfdlib.detector import score
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score_cache import Cache

COUNTS = (1_000, 10_000, 100_000)


class Level:
    """Scores a window by its level."""

    fingerprint, least_samples = "level", 1

    def logits(self, windows: np.ndarray) -> np.ndarray:
        level = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
        return np.stack([level, 1 - level], axis=1)


def make(folder: Path, count: int) -> None:
    """Write so many clips, a thousand to a folder, that differ in their first two samples."""
    audio.write_wav(folder / "first.wav", 0.1 * np.random.default_rng(1).standard_normal(1_600), rate=16_000)
    content = bytearray((folder / "first.wav").read_bytes())
    (folder / "first.wav").unlink()
    for number in range(count):
        place = folder / f"{number // 1_000:03}"
        place.mkdir(exist_ok=True)
        content[44:48] = number.to_bytes(4, "little")
        (place / f"clip{number:06}.wav").write_bytes(content)


def peak() -> float:
    """Return the most memory this process has held so far, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(folder: Path, cache: Path) -> dict:
    """Find and score the clips of a folder and say what it took."""
    preprocessing = Preprocessing.named("corrected", window="full")
    before, started = peak(), time.perf_counter()
    clips = corpus.find([folder])
    found, then = peak(), time.perf_counter()
    scores = score.score(clips, Level(), preprocessing=preprocessing, cache=Cache(cache))
    scored = time.perf_counter()
    scores.to_csv(folder.with_suffix(".csv"))
    return {
        "clips": len(clips),
        "before_mib": before,
        "found_mib": found,
        "peak_mib": peak(),
        "found_per_s": len(clips) / (then - started),
        "scored_per_s": len(clips) / (scored - then),
    }


def main(counts: list[int]) -> None:
    """Print a row for each count and for whether the cache knew the clips."""
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "clips"
            folder.mkdir()
            make(folder, count)
            for known in ("new", "cached"):
                command = [sys.executable, __file__, "--measure", str(folder), str(Path(place) / "cache.sqlite")]
                row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                print(
                    f"{row['clips']:7,} {known:6}  before {row['before_mib']:4.0f} MiB, found {row['found_mib']:4.0f}, "
                    f"at most {row['peak_mib']:4.0f}: "
                    f"{(row['peak_mib'] - row['before_mib']) * 2**20 / row['clips']:6.0f} B a clip;  "
                    f"{row['found_per_s']:6.0f} found and {row['scored_per_s']:6.0f} scored a second",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main([int(word) for word in sys.argv[1:]] or list(COUNTS))
