"""What finding and checking half a million listed clips costs: ``python tests/benchmarks/bench_corpora.py [lines]``.

A made-up key of ASVspoof 2021 DF with 611,829 lines, and a tree of empty files in four folders. Nothing is decoded or
hashed: the first run takes a constant for each file, and the second finds all known.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINES, EVAL = 611_829, 533_928


def make(folder: Path, lines: int) -> None:
    """Write the key, and an empty file for each of its lines."""
    (folder / "keys/DF/CM").mkdir(parents=True)
    rows = []
    for number in range(lines):
        subset = "eval" if number < EVAL else "progress"
        key = f"Task1-team{number % 33:02} spoof" if number % 27 else "- bonafide"
        rows.append(
            f"LA_{number % 97:04} DF_E_{number + 2_000_000} low_mp3 vcc2020 {key} notrim {subset} neural Task1 t FF E\n"
        )
    (folder / "keys/DF/CM/trial_metadata.txt").write_text("".join(rows))
    for part in range(4):
        flac = folder / f"ASVspoof2021_DF_eval_part0{part}/ASVspoof2021_DF_eval/flac"
        flac.mkdir(parents=True)
        for number in range(part, lines, 4):
            (flac / f"DF_E_{number + 2_000_000}.flac").touch()


def measure(folder: Path, remembered: Path) -> dict:
    """Find the clips, and say what it took."""
    from dfdlib import files
    from dfdlib.data import audio, corpus

    audio.duration = lambda path: 1.0
    files.sha256 = lambda path: "0" * 64
    started, used = time.perf_counter(), time.process_time()
    found = corpus.read(folder, corpus="asvspoof2021-df", remembered=remembered)
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        "clips": len(found),
        "notes": found.notes,
        "seconds": time.perf_counter() - started,
        "of processor": time.process_time() - used,
        "peak_mib": next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024,
    }


def main(lines: int) -> None:
    """Print a row for the first run and for one that finds all of it known."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "DF"
        make(folder, lines)
        for known in ("new", "known"):
            command = [sys.executable, __file__, "--measure", str(folder), str(Path(place) / "files.sqlite")]
            row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            took = f"{row['seconds']:5.1f} s ({row['of processor']:.1f} s of processor)"
            notes = "; ".join(row["notes"])
            print(f"{known:6} {row['clips']:8,} clips in {took}, {row['peak_mib']:,.0f} MiB; {notes}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else LINES)
