"""Which way of fine-tuning is better: several recipes, several seeds, the same clips for all.

A recipe differs from the profile's in a few settings, in what else it is trained on, or in both. Each is trained from
the same baseline with every seed; the validation split alone says which one a user should take, and the testing clips
say what each one does: the change of the EER against the reference, clip by clip, on every corpus.

A part of the custom set may be trained on. It is split off by speaker, and every recipe is then tested on the speakers
who are left, whether it has been trained on the others or not.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import processes
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network
from dfdlib.detector.scorer import TorchScorer
from dfdlib.detector.scores import Scores
from dfdlib.errors import DataError
from dfdlib.evaluation import intervals, metrics
from dfdlib.evaluation.intervals import Difference
from dfdlib.experiment import profile
from dfdlib.experiment.run import Run


@dataclass(frozen=True)
class TrainedRecipe:
    """One recipe, trained with one seed.

    Attributes
    ----------
    recipe : str
    seed : int
    checkpoint : Path
    epochs, best_epoch : int
    validation_loss, validation_eer : float
        Of the epoch that was kept, on the validation split of `clips.TARGET`.
    clips : int
        In an epoch.
    """

    recipe: str
    seed: int
    checkpoint: Path
    epochs: int
    best_epoch: int
    validation_loss: float
    validation_eer: float
    clips: int


@dataclass(frozen=True)
class Comparison:
    """What a recipe did on one corpus, against the reference.

    Attributes
    ----------
    recipe, reference, corpus : str
    eers : tuple of float
        One a seed.
    difference : Difference
        Of the mean EER over the seeds; its interval holds what other clips and, of several, other seeds would change,
        and leaves out 0 just where `is_shown`.
    macro : Difference or None
        Of the mean over the attacks, where a corpus has several; its interval stands alone.
    p_adjusted : float
        Of no difference, by Holm's method over all recipes and corpora that are compared.
    """

    recipe: str
    reference: str
    corpus: str
    eers: tuple[float, ...]
    difference: Difference
    macro: Difference | None = None
    p_adjusted: float = 1.0

    def is_shown(self, *, level: float = 0.95) -> bool:
        """Tell whether the difference is more than the choice of clips explains, many comparisons allowed for."""
        return self.p_adjusted < 1 - level


def seeds(settings: profile.Profile) -> list[int]:
    """Return the seeds that every recipe is trained with: as many as the profile says, from its own upwards."""
    return [settings.seed + number for number in range(settings.seeds)]


def describe(run: Run, name: str | None) -> str:
    """Return the profile's description of a recipe, or its name; None is the profile's own settings."""
    if name is None:
        return "the profile's settings"
    return run.profile.recipes[name].words or name


def names(run: Run) -> list[str]:
    """Return the recipes that this run can compare, the reference first; see `impossible` for the others."""
    left_out = impossible(run)
    return [name for name in run.profile.recipes if name not in left_out]


def impossible(run: Run) -> dict[str, str]:
    """Return the recipes that this run's data does not allow, with the reason."""
    reasons = {}
    for name, change in run.profile.recipes.items():
        for corpus in change.also:
            try:
                run.extra_clips(corpus)
            except DataError as error:
                reasons[name] = str(error)
    return reasons


def testing_clips(run: Run, corpus: str) -> Corpus:
    """Return what every recipe is tested on: clips that none of them was trained on."""
    trained_on = {extra for name in names(run) for extra in run.profile.recipes[name].also}
    return run.held_out(corpus) if corpus in trained_on else run.corpus(corpus)


def train(run: Run, *, progress: Callable[[str], None] | None = None) -> list[TrainedRecipe]:
    """Train every recipe with every seed, unless that was done from the same inputs.

    As many run side by side as `Run.parallel_jobs` allows.
    """
    say = progress or (lambda line: None)
    jobs = [(name, seed) for seed in seeds(run.profile) for name in names(run)]
    undone = [job for job in jobs if run.trained(run.job(job[0], seed=job[1])) is None]
    titles = {
        (name, seed): f"training {number} of {len(undone)} ({name}, seed {seed})"
        for number, (name, seed) in enumerate(undone, 1)
    }
    _train_side_by_side(run, titles, after=lambda name, seed: say(f"{name}, seed {seed}: trained"))
    return [_train(run, *job, say, title=titles.get(job, "")) for job in jobs]


def train_what_is_missing(run: Run) -> list[TrainedRecipe]:
    """Make sure of all that the evaluations after fine-tuning need: print what is trained, if anything is missing."""
    trainings = train(run, progress=print)
    run.finetune()
    return trainings


def best(trainings: Sequence[TrainedRecipe]) -> str:
    """Return the recipe with the lowest validation loss, averaged over the seeds; testing clips have no say."""
    means = pd.DataFrame(trainings).groupby("recipe", sort=False)["validation_loss"].mean()
    return str(means.idxmin())


def score_recipe(run: Run, training: TrainedRecipe) -> dict[str, Scores]:
    """Return the scores of a trained recipe on `testing_clips` of every corpus, and write them as CSV."""
    scorer = TorchScorer(network.load(training.checkpoint), device=profile.device(run.profile))
    folder = f"recipes/{training.recipe}-{training.seed}"
    return {
        corpus: run.score(testing_clips(run, corpus), scorer, name=f"{folder}-{corpus}") for corpus in run.with_audio
    }


def compare(run: Run, trainings: Sequence[TrainedRecipe]) -> list[Comparison]:
    """Compare every recipe with the first one, on every corpus.

    Returns
    -------
    list of Comparison
        A row for each recipe but the first, and corpus.
    """
    if not trainings:
        return []
    reference, *others = dict.fromkeys(training.recipe for training in trainings)
    scored = [(training.recipe, score_recipe(run, training)) for training in trainings]
    level, found, pairs = run.profile.uncertainty.level, [], []
    for corpus in run.with_audio:
        by_recipe: dict[str, list[Scores]] = {}
        for name, by_corpus in scored:
            by_recipe.setdefault(name, []).append(by_corpus[corpus])
        table = by_recipe[reference][0].table
        stacked = {name: np.stack([found.values for found in rows]) for name, rows in by_recipe.items()}
        for name in others:
            run.tell(f"comparing {name} with {reference} on {corpus}")
            pairs.append((table, stacked[reference], stacked[name]))
            differences = _differences(run, *pairs[-1], level=level, family=len(others) * len(run.with_audio))
            eers = tuple(metrics.eer(rows.labels, rows.values).value for rows in by_recipe[name])
            found.append(Comparison(name, reference, corpus, eers, differences["eer"], differences.get("macro_eer")))
    p_values = [row.difference.p for row in found]
    judged = zip(found, pairs, intervals.holm(p_values), intervals.holm_levels(p_values, level=level), strict=True)
    return [
        dataclasses.replace(
            row,
            difference=_differences(run, *pair, level=float(own), family=len(found))["eer"],
            p_adjusted=float(p),
        )
        for row, pair, p, own in judged
    ]


def _differences(
    run: Run, table: pd.DataFrame, before: np.ndarray, after: np.ndarray, *, level: float, family: int
) -> dict[str, Difference]:
    attacks = table["attack"].where(table["label"] == 0)
    several = attacks.nunique() > 1
    return intervals.paired_differences(
        table["label"].to_numpy(int),
        before,
        after,
        names=("eer", "macro_eer") if several else ("eer",),
        attacks=table["attack"] if several else None,
        groups=run.drawn(table),
        **run.resampling(family=family) | {"level": level},
    )


def _train(run: Run, name: str, seed: int, say: Callable[[str], None], *, title: str) -> TrainedRecipe:
    job = run.job(name, seed=seed)
    result = run.train(job, progress=lambda line: say(f"{name}, seed {seed}: {line}"), title=title)
    kept = result.history.loc[result.history["epoch"] == result.best_epoch].iloc[0]
    return TrainedRecipe(
        recipe=name,
        seed=seed,
        checkpoint=result.checkpoint,
        epochs=len(result.history),
        best_epoch=result.best_epoch,
        validation_loss=float(kept["validation_loss"]),
        validation_eer=float(kept["validation_eer"]),
        clips=len(job.training),
    )


def _train_side_by_side(run: Run, titles: Mapping[tuple[str, int], str], *, after: Callable[[str, int], None]) -> None:
    """Train in processes of their own, if two or more can run at once; the weights are left in the run folder.

    `titles` names each job, a recipe and a seed, while it runs. ``after(recipe, seed)`` is called when it is done.
    """
    at_once = run.parallel_jobs()
    if min(at_once, len(titles)) < 2:
        return
    with processes.pool(at_once) as pool:
        waiting = {
            pool.submit(_train_alone, run.profile, run.folder, *job, title): job for job, title in titles.items()
        }
        for done in concurrent.futures.as_completed(waiting):
            done.result()
            after(*waiting[done])


def _train_alone(settings: profile.Profile, folder: Path, name: str, seed: int, title: str) -> None:
    _train(Run(settings, folder), name, seed, lambda line: None, title=title)
