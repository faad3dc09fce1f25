"""Train the demo's baseline: a small detector, from random weights, on the source corpus alone.

Several seeds are trained, and the one with the median validation EER is kept: the best of them would be luck.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import torch

from dfdlib import files, machine, processes
from dfdlib.data import corpus
from dfdlib.detector import network
from dfdlib.detector.preprocessing import FIXED_WINDOW, Preprocessing
from dfdlib.detector.score import score
from dfdlib.errors import ParameterError
from dfdlib.evaluation import by_group, metrics
from dfdlib.evaluation.metrics import percent
from dfdlib.experiment import profile
from dfdlib.experiment.clips import keep_apart
from dfdlib.training import loop
from dfdlib.training.recipe import Recipe

#: How the baseline is trained. Two-second cuts, as for-2seconds has; the rate that random weights need.
RECIPE = Recipe(
    epochs=14,
    batch_size=16,
    learning_rate=1e-3,
    weight_decay=1e-4,
    schedule="one-cycle",
    window=32_000,
    sampler="balanced-by-class",  # spoof clips are twice as many
    augment=("codec@0.2",),
    select="validation_eer",
)

#: What the baseline is trained with; the one with the median validation EER is kept.
SEEDS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Trained:
    """The baseline, trained with one seed."""

    seed: int
    parameters: int
    best_epoch: int
    validation_eer: float
    macro_eer: dict[str, float]  #: mean EER over the attacks of the testing clips, by corpus
    auc: dict[str, float]  #: by corpus


def train(
    settings: profile.Profile,
    *,
    checkpoint: Path,
    progress: Callable[[str], None] | None = None,
) -> tuple[Trained, list[Trained]]:
    """Train the baseline, write the weights of the seed with the median validation EER, and return it and all others.

    What was trained before with the same recipe and clips is not trained again: results lie in a folder beside the
    source corpus. The weights (safetensors) have their training history beside them (.csv); ``progress`` takes a line
    of text after each training. A profile without a source corpus is a ParameterError, a source without one of the
    splits, or with a sound in two of them, a DataError.
    """
    if settings.data.source is None:
        raise ParameterError(f"profile {settings.name}: has no source corpus; name one with --set data.source=FOLDER")
    source = corpus.read(settings.data.source, name="source")
    keep_apart({name: [source.split(name)] for name in ("training", "validation", "testing")})
    folder = settings.data.source.parent / "baseline" / files.short(corpus.fingerprint(source.table))
    with processes.pool(machine.cores()) as pool:
        waiting = [pool.submit(_trained, settings, folder, seed) for seed in SEEDS]
        found = []
        for number, job in enumerate(waiting, 1):
            found.append(job.result())
            if progress is not None:
                line = f"{number} of {len(SEEDS)}: seed {found[-1].seed}"
                progress(f"{line}: validation EER {percent(found[-1].validation_eer, 2)}")
    kept = sorted(found, key=lambda one: one.validation_eer)[len(found) // 2]
    for suffix in (".safetensors", ".csv"):
        with files.atomic(checkpoint.with_suffix(suffix), "wb") as file:
            file.write(_place(settings, folder, kept.seed).with_suffix(suffix).read_bytes())
    return kept, found


def _place(settings: profile.Profile, folder: Path, seed: int) -> Path:
    return folder / f"baseline-{settings.detector}-{seed}.safetensors"


def _trained(settings: profile.Profile, folder: Path, seed: int) -> Trained:
    """Train with a seed, unless its result is there."""
    # Sums of floats depend on how many threads share them: with one, every number of cores gives these weights.
    torch.set_num_threads(1)
    place = _place(settings, folder, seed)
    fixed = {"window": FIXED_WINDOW} if settings.window == "fixed" else {}
    recipe = RECIPE.model_copy(update={"seed": seed} | fixed)
    # The recipe as a whole, and how the result is tested: a changed one is trained again.
    identity = repr((settings.detector, recipe, settings.preprocessing, settings.window, *loop.versions()))
    try:
        kept = json.loads(place.with_suffix(".json").read_text("utf-8"))
        if kept.pop("identity") == identity and place.exists():
            return Trained(**kept)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    source = corpus.read(settings.data.source, name="source")
    model = network.build(settings.detector, seed=seed)
    result = loop.fit(
        model,
        training=source.split("training"),
        validation=source.split("validation"),
        recipe=recipe,
        checkpoint=place,
        metadata={"trained_on": "source", "seed": str(seed), "licence": "MIT"},
        device="cpu",
    )
    macro_eer, auc = _tested(settings, model)
    best = result.history.set_index("epoch").loc[result.best_epoch]
    trained = Trained(
        seed=seed,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        best_epoch=result.best_epoch,
        validation_eer=float(best["validation_eer"]),
        macro_eer=macro_eer,
        auc=auc,
    )
    files.write_json(place.with_suffix(".json"), dataclasses.asdict(trained) | {"identity": identity})
    return trained


def _tested(settings: profile.Profile, model: network.Detector) -> tuple[dict[str, float], dict[str, float]]:
    """Return the macro EER and the AUC on the testing clips of each corpus that is there."""
    how = Preprocessing.named(settings.preprocessing, window=settings.window)
    macro_eer, auc = {}, {}
    for name in ("source", "for-2seconds", "custom"):
        place = settings.data.places.get(name)
        if not isinstance(place, Path) or not place.exists():
            continue
        clips = corpus.read(place, name=name)
        scores = score(clips if name == "custom" else clips.split("testing"), model, preprocessing=how)
        attacks = by_group.by_attack(scores.labels, scores.values, scores.table["attack"])
        macro_eer[name] = float(attacks["eer"].mean())
        auc[name] = metrics.auc(scores.labels, scores.values)
    return macro_eer, auc
