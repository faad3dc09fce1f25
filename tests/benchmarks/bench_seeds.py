"""Do other seeds give the same verdicts? ``python tests/benchmarks/bench_seeds.py [seed …]``, by default 7 8 9 10.

For each seed the headline verdicts of the demo with ``--set seed=…``: trained from that seed upwards, by the report's
recipe alone, since no other has a part in them. Trainings that two seeds share (8 and 9 of seed 7 are the first two of
seed 8) are made once; for verdicts that share none, say 7 10 13 16. What was trained lies in reports/bench-seeds.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

from dfdlib.evaluation import verdicts
from dfdlib.experiment import Run, comparison, profile

FOLDER = profile.root() / "reports" / "bench-seeds"
SHOWN = ["seed", "corpus", "verdict", "before", "after", "seeds_low", "seeds_high", "low", "high", "p_holm"]


def judged(seed: int) -> pd.DataFrame:
    """Return the verdicts by one seed."""
    settings = profile.load("demo", overrides=[f"seed={seed}"])
    settings = settings.model_copy(update={"recipes": {settings.recipe: settings.recipes[settings.recipe]}})
    run = Run(settings, FOLDER / str(seed))
    shared = FOLDER / "cache.sqlite"
    if shared.is_file():
        shutil.copy(shared, run.folder / "cache.sqlite")
    places = {one: run.job(settings.recipe, seed=one).checkpoint for one in run.seeds}
    for one, place in places.items():
        _copy(FOLDER / f"{one}.safetensors", place)
    comparison.train(run, progress=lambda line: print(f"seed {seed}: {line}", flush=True))
    for one, place in places.items():
        _copy(place, FOLDER / f"{one}.safetensors")
    found = run.verdicts().assign(seed=seed)
    shutil.copy(run.folder / "cache.sqlite", shared)
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy weights and their record; a training takes them up only if they are of the same inputs."""
    for suffix in (".safetensors", ".json"):
        if source.with_suffix(suffix).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))


def main(seeds: list[int]) -> None:
    """Print the verdicts of all seeds, and for each corpus whether they agree or say that seeds do not settle it."""
    found = pd.concat([judged(seed) for seed in seeds], ignore_index=True)
    print(found[SHOWN].to_string(index=False, float_format="{:.4f}".format))
    for corpus, rows in found.groupby("corpus", sort=False):
        kinds = set(rows["verdict"]) - {verdicts.UNSETTLED}
        print(f"{corpus}: {'agree' if len(kinds) < 2 else 'DISAGREE'} ({', '.join(rows['verdict'])})")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [7, 8, 9, 10])
