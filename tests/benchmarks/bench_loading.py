"""What it costs to load the published detector, and to start cold: ``python tests/benchmarks/bench_loading.py``.

Each way runs in processes of its own, in turn, with its files in the page cache; the least of the repeats counts. The
plain way constructs the network with random weights, reads the file and copies it in, after a plain import of fairseq.

Prints tables and writes JSON: ``--rounds 5 --json loading.json``. Needs 3 GB of disk and of memory, and Linux.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent
WITHIN = {"time": 0.35, "peak": 1.25, "cold start": 4.0}
"""What must hold: time against the plain way, peak memory against the file's size, seconds from command to result."""

MEASURE = """
import json, sys, time
way, path = sys.argv[1:]
started = time.perf_counter()
import torch
from dfdlib.detector import network as detector
if way == "plain":
    from fairseq.models.wav2vec import wav2vec2
else:
    from dfdlib.detector import wav2vec2
    wav2vec2.load()
imported = time.perf_counter()
if way == "plain":
    model = detector.Detector(detector.CONFIGURATIONS["xlsr-300m"])
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    model.eval()
elif way == "ours":
    model = detector.load(path)
else:
    detector.describe(path)
ready = time.perf_counter()
# Not getrusage: what it gives begins with the peak of the process that started this one.
with open("/proc/self/status") as file:
    said = dict(line.split(":", 1) for line in file)
size = {name: 1024 * int(said[name].split()[0]) for name in ("VmHWM", "RssAnon")}
print(json.dumps({"import": imported - started, "load": ready - imported, "peak": size["VmHWM"],
                  "anonymous": size["RssAnon"]}))
"""

FULL = "from dfdlib.detector import wav2vec2\nwav2vec2._load_alone = None\n"
"""Before a program: make the import of the network alone fail, so that all of fairseq is imported."""


def make_files(folder: Path) -> dict[str, Path]:
    """Write the detector of 300 million parameters, with weights that follow from its names, in both formats."""
    import torch

    sys.path.insert(0, str(TESTS))
    from deterministic_weights import fill

    from dfdlib.detector import network

    model = fill(network.skeleton("xlsr-300m"))
    paths = {"torch.save": folder / "published.pth", "safetensors": folder / "ours.safetensors"}
    torch.save({f"module.{name}": tensor for name, tensor in model.state_dict().items()}, paths["torch.save"])
    network.save(paths["safetensors"], model, metadata={})
    return paths


def run(*arguments: object) -> str:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def measure_loading(paths: dict[str, Path], *, rounds: int) -> list[dict]:
    """Return one row for each format and way, with the least of the rounds in each column."""
    found: dict[tuple[str, str], list[dict]] = {}
    for _ in range(rounds):
        for form, path in paths.items():
            for way in ("plain", "ours", "describe"):
                found.setdefault((form, way), []).append(json.loads(run("-W", "ignore", "-c", MEASURE, way, path)))
    rows = []
    for (form, way), results in found.items():
        row = {"format": form, "way": way} | {name: min(one[name] for one in results) for name in results[0]}
        row["import and load"] = min(one["import"] + one["load"] for one in results)
        row["peak / file"] = row["peak"] / paths[form].stat().st_size
        rows.append(row)
    return rows


def measure_start(folder: Path, *, rounds: int) -> list[dict]:
    """Return the seconds of `dfd score` for one clip with the small detector, in a process of its own."""
    import time

    import numpy as np

    from dfdlib.data import audio
    from dfdlib.detector import network

    audio.write_wav(folder / "one.wav", 0.1 * np.random.default_rng(1).standard_normal(32_000), rate=audio.RATE)
    network.save(folder / "mini.safetensors", network.build("mini", seed=1), metadata={})
    command = ["score", folder / "one.wav", "--checkpoint", folder / "mini.safetensors", "--no-cache"]
    programs = {
        "dfd --help": ("from dfdlib.cli.app import main; main()", ["--help"]),
        "import torch": ("import torch", []),
        "dfd score, all of fairseq": (FULL + "from dfdlib.cli.app import main; main()", command),
        "dfd score": ("from dfdlib.cli.app import main; main()", command),
    }
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (code, arguments) in programs.items():
            started = time.perf_counter()
            run("-c", code, *arguments)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
    return [{"program": name, "seconds": min(values)} for name, values in seconds.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("loading.json"))
    parser.add_argument("--folder", type=Path, help="where the files go and stay; by default they are removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        loading = measure_loading(make_files(folder), rounds=options.rounds)
        start = measure_start(folder, rounds=options.rounds)
    print(f"{'':22}{'import s':>10}{'load s':>10}{'peak MB':>10}{'anon. MB':>10}{'peak / file':>13}")
    for row in loading:
        print(
            f"{row['format']:12}{row['way']:10}{row['import']:10.2f}{row['load']:10.2f}{row['peak'] / 1e6:10.0f}"
            f"{row['anonymous'] / 1e6:10.0f}{row['peak / file']:13.2f}"
        )
    by = {(row["format"], row["way"]): row for row in loading}
    ratios = {}
    for form in {row["format"]: None for row in loading}:
        plain, ours = by[form, "plain"], by[form, "ours"]
        ratios[form] = {name: ours[name] / plain[name] for name in ("load", "import and load")}
        print(
            f"{form}: {ratios[form]['load']:.2f} of the plain way's time ({ratios[form]['import and load']:.2f} with "
            f"imports; at most {WITHIN['time']}), peak {ours['peak / file']:.2f} of the file (at most {WITHIN['peak']})"
        )
    for row in start:
        print(f"{row['program']:30}{row['seconds']:8.2f} s")
    print(f"a cold start must be under {WITHIN['cold start']} s")
    options.json.write_text(json.dumps({"loading": loading, "ratios": ratios, "start": start}, indent=1) + "\n")


if __name__ == "__main__":
    main()
