"""What evaluating scores of others costs: ``python tests/benchmarks/bench_score_lists.py [trials …] [--html]``.

``dfd evaluate`` reads a made-up list in the form of ASVspoof and a key in that of ASVspoof 2021 LA, in a process of its
own, by clip and with 1,000 resamples: 50,000 trials, the 71,237 of ASVspoof 2019 LA, and a million. With ``--html`` it
writes the page as well.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TRIALS = (50_000, 71_237, 1_000_000)


def make(folder: Path, trials: int) -> None:
    """Write scores.txt and trial_metadata.txt, in different orders."""
    rng = np.random.default_rng(1)
    labels = rng.random(trials) < 0.1
    scores = 1.5 * rng.standard_normal(trials) + np.where(labels, 3, -3)
    attacks, codecs = rng.integers(7, 20, trials), rng.choice(["none", "alaw", "ulaw", "g722", "gsm", "opus"], trials)
    with open(folder / "scores.txt", "w") as file:
        file.writelines(f"LA_E_{row:07d}.flac {scores[row]:.15g}\n" for row in rng.permutation(trials))
    with open(folder / "trial_metadata.txt", "w") as file:
        for row in range(trials):
            kind = "bonafide bonafide" if labels[row] else f"A{attacks[row]:02d} spoof"
            file.write(f"LA_{row % 67:04d} LA_E_{row:07d} {codecs[row]} ita_tx {kind} notrim eval\n")


def main(counts: list[int], *, html: bool) -> None:
    """Print seconds and memory of each."""
    for trials in counts:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place), trials)
            command = [sys.executable, "-m", "dfdlib", "evaluate", f"{place}/scores.txt"]
            command += ["--key", f"{place}/trial_metadata.txt", "--by", "clip", "--json"]
            command += ["--html", f"{place}/card.html"] if html else []
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            found = json.loads(process.stdout.read())
            _, status, used = os.wait4(process.pid, 0)
            assert status == 0
            seconds, spent = time.perf_counter() - start, used.ru_utime + used.ru_stime
            print(
                f"{trials:9,} trials: {seconds:6.1f} s, of processor time {spent:5.1f} s, at most "
                f"{used.ru_maxrss / 1024:4.0f} MB; EER {found['eer']:.4f}"
            )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:] if word.isdigit()] or list(TRIALS), html="--html" in sys.argv)
