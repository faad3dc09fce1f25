"""What bfloat16 does to scores: ``python tests/benchmarks/bench_precision.py [--out docs/precision.md]``.

Against golden logits of published networks with deterministic weights, against float32 on the demo's corpora with
`mini`, and in time and memory with XLSR-300M. Needs the demo's corpora; takes minutes. `bench_scoring.py` has bfloat16
beside the plain way as well.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from deterministic_weights import fill, waveform
from published import filled

from dfdlib import files, machine
from dfdlib.detector import network
from dfdlib.detector.score import score
from dfdlib.detector.scorer import TorchScorer
from dfdlib.evaluation import metrics
from dfdlib.experiment import Run, profile

FIXTURES = Path(__file__).parents[1] / "fixtures"
BOTH = ("float32", "bfloat16")
XLSR = "XLSR-300M and AASIST"
DEMO = "corpus | clips | EER, float32 | EER, bfloat16 | greatest difference | range of scores | other decisions"


def golden() -> list[tuple[str, network.Detector, dict[str, tuple[np.ndarray, np.ndarray]]]]:
    """Yield networks with the windows and the logits of each golden case."""
    with np.load(FIXTURES / "ssl_aasist_golden.npz") as values:
        cases = {
            f"{samples:,} samples": (windows(samples, salt=""), values[f"logits_{samples}"])
            for samples in (64_600, 48_000)
        }
    yield XLSR, fill(network.skeleton("xlsr-300m")), cases
    with np.load(FIXTURES / "backends_golden.npz") as values:
        for name, words in {"w2v_small": "wav2vec 2.0 base", "tiny_prenorm": "a tiny front end, norm first"}.items():
            found = {key: values[key] for key in values if key.startswith(f"antideepfake/{name}_logits_")}
            lengths = {int(last): key for key in found if (last := key.rpartition("_")[2]) and "noise" not in key}
            cases = {f"{n:,} samples": (windows(n, salt="adf"), found[key]) for n, key in lengths.items()}
            yield f"{words}, mean over time", filled(name), cases


def windows(samples: int, *, salt: str) -> np.ndarray:
    """Return two waveforms."""
    return np.stack([waveform(samples, salt=f"{salt}{number}") for number in range(2)])


def measure_golden() -> tuple[list[list], list[list]]:
    """Return rows of greatest differences from golden logits, and rows of what XLSR-300M takes."""
    rows, costs = [], []
    for name, model, cases in golden():
        scorers = {one: TorchScorer(model, device="cpu", precision=one) for one in BOTH}
        for case, (given, expected) in cases.items():
            differences = [abs(scorer.logits(given) - expected).max() for scorer in scorers.values()]
            rows.append([name, case, *(f"{value:.1g}" for value in differences)])
        if name == XLSR:
            costs = measure_costs(scorers, next(iter(cases.values()))[0])
    return rows, costs


def measure_costs(scorers: dict[str, TorchScorer], given: np.ndarray) -> list[list]:
    """Return rows of clips per second, by turns, the best of five, and of what the weights take."""
    least = dict.fromkeys(scorers, float("inf"))
    for _ in range(5):
        for name, scorer in scorers.items():
            started = time.perf_counter()
            scorer.logits(given)
            least[name] = min(least[name], time.perf_counter() - started)
    rows = []
    for name, scorer in scorers.items():
        held = sum(one.nbytes for one in scorer._model.parameters()) / 2**20
        rows.append([name, f"{len(given) / least[name]:.2f}", f"{least['float32'] / least[name]:.1f}", f"{held:.0f}"])
    return rows


def measure_demo() -> list[list]:
    """Return rows of error rates of `mini` on the demo's corpora."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(profile.load("demo", overrides=["detector=mini"]), folder)
        model = run.detector("before")
        scorers = [TorchScorer(model, device="cpu", precision=one) for one in BOTH]
        for name in run.with_audio:
            clips = run.corpus(name)
            single, half = (score(clips, one, preprocessing=run.preprocessing()) for one in scorers)
            found = [metrics.eer(one.labels, one.values) for one in (single, half)]
            other = (single.values >= found[0].threshold) != (half.values >= found[0].threshold)
            rates = [f"{100 * one.value:.2f} %" for one in found]
            difference = abs(single.values - half.values).max()
            rows.append(
                [name, len(single.table), *rates, f"{difference:.2f}", f"{np.ptp(single.values):.1f}", other.sum()]
            )
    return rows


def table(heads: str, rows: list[list]) -> str:
    """Return a table in Markdown; its heads are separated by bars."""
    lines = [heads, "|".join(["---"] * len(heads.split("|"))), *("|".join(map(str, row)) for row in rows)]
    return "".join(f"| {' | '.join(part.strip() for part in line.split('|'))} |\n" for line in lines)


def page() -> str:
    """Measure, and return the page."""
    exact, costs = measure_golden()
    return f"""# What bfloat16 does

Written by `python tests/benchmarks/bench_precision.py --out docs/precision.md` on {machine.processor()} \
({"" if machine.multiplies_bfloat16() else "no "}AVX-512 BF16 or AMX), {torch.get_num_threads()} thread, torch \
{torch.__version__}.

XLSR-300M and AASIST, windows of 64,600 samples:

{table("precision | clips/s | times float32 | weights, MiB", costs)}
`mini`, all testing clips of the demo; a decision is made at the threshold of float32's equal error rate:

{table(DEMO, measure_demo())}
Greatest difference from golden logits, of networks with deterministic weights:

{table("network | windows | float32 | bfloat16", exact)}"""


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="write the page to this file in place of standard output")
    out, text = parser.parse_args().out, page()
    if out is None:
        print(text)
    else:
        with files.atomic(out) as file:
            file.write(text)


if __name__ == "__main__":
    main()
