"""Which way of fine-tuning is better: several recipes, several seeds, the same clips for all.

A recipe differs from the profile's in a few settings, in what else it is trained on, or in both. Each is trained from
the same baseline with every seed; the validation split alone says which one a user should take, and the testing clips
say what each one does: the change of the macro EER against the reference, clip by clip, on every corpus and attack.

A part of the custom set may be trained on. It is split off by speaker, and every recipe is then tested on the speakers
who are left, whether it has been trained on the others or not.
"""

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import processes
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network
from dfdlib.detector.scores import Scores, together
from dfdlib.errors import DataError
from dfdlib.evaluation import by_group, family, metrics
from dfdlib.experiment import profile
from dfdlib.experiment.run import Run


@dataclass(frozen=True)
class TrainedRecipe:
    """One recipe, trained with one seed."""

    recipe: str
    seed: int
    checkpoint: Path
    epochs: int
    best_epoch: int
    validation_loss: float  #: of the epoch that was kept, on the validation split of `clips.TARGET`
    validation_eer: float
    clips: int  #: in an epoch


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
    jobs = [(name, seed) for seed in run.seeds for name in names(run)]
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
    for seed in (None, *run.seeds[1:]):
        run.finetune(seed=seed)
    return trainings


def best(trainings: Sequence[TrainedRecipe]) -> str:
    """Return the recipe with the lowest validation loss, averaged over the seeds; testing clips have no say."""
    means = pd.DataFrame(trainings).groupby("recipe", sort=False)["validation_loss"].mean()
    return str(means.idxmin())


def score_recipe(run: Run, training: TrainedRecipe) -> dict[str, Scores]:
    """Return the scores of a trained recipe on `testing_clips` of every corpus, and write them as CSV."""
    scorer = run.torch_scorer(network.load(training.checkpoint))
    folder = f"recipes/{training.recipe}-{training.seed}"
    return {
        corpus: run.score(testing_clips(run, corpus), scorer, name=f"{folder}-{corpus}") for corpus in run.with_audio
    }


def tested(run: Run, trainings: Sequence[TrainedRecipe]) -> dict[str, tuple[pd.DataFrame, dict[str, np.ndarray]]]:
    """Return `testing_clips` of every corpus, and by recipe their scores (seeds, n), those of the reference first."""
    scored = [(training.recipe, score_recipe(run, training)) for training in trainings]
    found = {}
    for corpus in run.with_audio if scored else []:
        table, rows = together(*(by_corpus[corpus] for _, by_corpus in scored))
        recipes = np.array([recipe for recipe, _ in scored])
        found[corpus] = (table, {recipe: rows[recipes == recipe] for recipe in dict.fromkeys(recipes)})
    return found


def compare(run: Run, scored: Mapping[str, tuple[pd.DataFrame, dict[str, np.ndarray]]]) -> pd.DataFrame:
    """Compare every recipe of `tested` with the first one, on every corpus, as one family.

    What is judged is the macro EER, the mean over the attacks, since how many clips each attack has can fix the pooled
    one; where there is one attack it is the pooled EER.

    A row for each corpus, and recipe but the first: ``corpus recipe eer reference_eer`` (pooled, the mean over the
    seeds) and `family.Judged.row` of the macro EER.
    """
    cells = [(corpus, recipe) for corpus, (_, systems) in scored.items() for recipe in list(systems)[1:]]
    rows, changes = [], []
    for corpus, recipe in cells:
        run.tell(f"comparing {recipe} on {corpus}")
        table, systems = scored[corpus]
        pair = (next(iter(systems.values())), systems[recipe])
        options = {"names": ("macro_eer",), "attacks": table["attack"], "family": len(cells)}
        changes.append(run.paired(table, *pair, **options)["macro_eer"])
        reference, eer = (np.mean([metrics.eer(table["label"], row).value for row in scores]) for scores in pair)
        rows.append({"corpus": corpus, "recipe": recipe, "eer": float(eer), "reference_eer": float(reference)})
    judged = family.judge(changes, level=run.profile.uncertainty.level, trained=True)
    return pd.DataFrame([row | one.row() for row, one in zip(rows, judged, strict=True)])


def by_attack(run: Run, scored: Mapping[str, tuple[pd.DataFrame, dict[str, np.ndarray]]]) -> pd.DataFrame:
    """Compare every recipe with the first one against each attack: the attacks and recipes of a corpus are a family.

    It is `by_group.attack_changes`, with ``corpus`` and ``recipe`` before it.
    """
    found = []
    for corpus, (table, systems) in scored.items():
        run.tell(f"comparing recipes on {corpus}, attack by attack")
        reference, *others = systems
        after = {name: systems[name] for name in others}
        options = {"target": run.profile.uncertainty.target, "trained": True} | run.resampling()
        rows = by_group.attack_changes(table, systems[reference], after, **options)
        found.append(rows.rename(columns={"system": "recipe"}).assign(corpus=corpus))
    return pd.concat(found, ignore_index=True)[["corpus", *found[0].columns[:-1]]] if found else pd.DataFrame()


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
