"""Train the demo's baseline: a small detector, from random weights, on the source corpus alone.

Several seeds are trained, and the one with the median validation EER is kept: the best of them would be luck. With the
ablation, so are variants of the baseline that lack one thing each, so that its card can say what each thing brought.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfdlib import files, machine, processes
from dfdlib.data import corpus
from dfdlib.data.corpus import Corpus
from dfdlib.detector import configuration, network
from dfdlib.detector.backends import resnet
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
    epochs=10,
    batch_size=16,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-4,
    schedule="one-cycle",
    clip=5.0,
    window=32_000,
    sampler="balanced-by-class",  # spoof clips are twice as many
    augment=("rawboost=3@0.3", "codec@0.2"),
    select="validation_eer",
)

#: What the baseline is trained with; the one with the median validation EER is kept.
SEEDS = (1, 2, 3)

#: The demo's detector.
DETECTOR = "mini-resnet"

#: The same with layers half as wide: what size alone brings.
NARROW = configuration.DetectorConfiguration(
    name="mini-resnet-narrow", frontend=None, backend=resnet.ResNetConfiguration(channels=(6, 8, 16, 32))
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """The baseline, or the baseline without one thing.

    Attributes
    ----------
    name : str
    recipe : Recipe
    detector : str or DetectorConfiguration
    voices : int or None
        Train on the clips of so many bona fide voices, those with the most clips, and on their spoof twins.
    """

    name: str
    recipe: Recipe = RECIPE
    detector: str | configuration.DetectorConfiguration = DETECTOR
    voices: int | None = None

    def clips(self, training: Corpus) -> Corpus:
        """Return what the variant is trained on."""
        if self.voices is None:
            return training
        table = training.table
        bonafide = table[table["label"] == 1]
        kept = bonafide["speaker"].value_counts(sort=True).sort_index(kind="stable").nlargest(self.voices).index
        said = bonafide.loc[bonafide["speaker"].isin(kept), "sentence"]
        rows = table["speaker"].isin(kept) | ((table["label"] == 0) & table["sentence"].isin(set(said)))
        return dataclasses.replace(training, table=table[rows].reset_index(drop=True))


def variants(detector: str = DETECTOR) -> tuple[Variant, ...]:
    """Return the baseline of a detector, then what its ablation trains."""
    plain = RECIPE.model_copy(update={"augment": ()})
    found = (
        Variant("baseline" if detector == DETECTOR else f"baseline {detector}", detector=detector),
        Variant("without augmentation", recipe=plain, detector=detector),
        Variant("five bona fide voices", voices=5, detector=detector),
    )
    return (*found, Variant("narrower network", detector=NARROW)) if detector == DETECTOR else found


@dataclasses.dataclass(frozen=True)
class Trained:
    """One variant, trained with one seed.

    Attributes
    ----------
    variant : str
    seed, parameters, clips, best_epoch : int
    validation_eer : float
    macro_eer : dict of str to float
        Mean EER over the attacks of the testing clips, by corpus.
    auc : dict of str to float
    """

    variant: str
    seed: int
    parameters: int
    clips: int
    best_epoch: int
    validation_eer: float
    macro_eer: dict[str, float]
    auc: dict[str, float]


def train(
    settings: profile.Profile,
    *,
    checkpoint: Path,
    ablation: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[Trained, list[Trained]]:
    """Train the baseline, write the weights of the seed with the median validation EER, and return it and all others.

    What was trained before with the same recipe and clips is not trained again: results lie in a folder beside the
    source corpus. The weights (safetensors) have their training history beside them (.csv); ``progress`` takes a line
    of text after each training; with ``ablation`` the other `variants` are trained too. A profile without a source
    corpus is a ParameterError, a source without one of the splits, or with a sound in two of them, a DataError.
    """
    if settings.data.source is None:
        raise ParameterError(f"profile {settings.name}: has no source corpus; name one with --set data.source=FOLDER")
    source = corpus.read(settings.data.source, name="source")
    keep_apart({name: [source.split(name)] for name in ("training", "validation", "testing")})
    folder = settings.data.source.parent / "baseline" / files.short(corpus.fingerprint(source.table))
    jobs = [(variant, seed) for variant in variants(settings.detector)[: None if ablation else 1] for seed in SEEDS]
    with processes.pool(machine.cores()) as pool:
        waiting = [pool.submit(_trained, settings, folder, variant, seed) for variant, seed in jobs]
        found = []
        for number, job in enumerate(waiting, 1):
            found.append(job.result())
            if progress is not None:
                line = f"{number} of {len(jobs)}: {found[-1].variant}, seed {found[-1].seed}"
                progress(f"{line}: validation EER {percent(found[-1].validation_eer, 2)}")
    own = sorted((one for one in found if one.variant == jobs[0][0].name), key=lambda one: one.validation_eer)
    kept = own[len(own) // 2]
    for suffix in (".safetensors", ".csv"):
        with files.atomic(checkpoint.with_suffix(suffix), "wb") as file:
            file.write(_place(folder, kept.variant, kept.seed).with_suffix(suffix).read_bytes())
    return kept, found


def _place(folder: Path, variant: str, seed: int) -> Path:
    return folder / f"{variant.replace(' ', '-')}-{seed}.safetensors"


def _trained(settings: profile.Profile, folder: Path, variant: Variant, seed: int) -> Trained:
    """Train a variant with a seed, unless its result is there."""
    # Sums of floats depend on how many threads share them: with one, every number of cores gives these weights.
    torch.set_num_threads(1)
    place = _place(folder, variant.name, seed)
    fixed = {"window": FIXED_WINDOW} if settings.window == "fixed" else {}
    recipe = variant.recipe.model_copy(update={"seed": seed} | fixed)
    # The variant as a whole, and how it is tested: a changed one is trained again.
    how = settings.preprocessing, settings.window
    identity = repr((dataclasses.replace(variant, recipe=recipe), *how, *loop.versions()))
    kept = files.read_json(place.with_suffix(".json"))
    if kept.pop("identity", None) == identity and place.exists():
        with contextlib.suppress(TypeError):  # a result with other fields, of an older version
            return Trained(**kept)
    source = corpus.read(settings.data.source, name="source")
    training = variant.clips(source.split("training"))
    model = network.build(variant.detector, seed=seed)
    result = loop.fit(
        model,
        training=training,
        validation=source.split("validation"),
        recipe=recipe,
        checkpoint=place,
        metadata={"trained_on": "source", "seed": str(seed), "licence": "MIT"},
        device="cpu",
    )
    macro_eer, auc = _tested(settings, model)
    best = result.history.set_index("epoch").loc[result.best_epoch]
    trained = Trained(
        variant=variant.name,
        seed=seed,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        clips=len(training),
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


def spread(found: list[Trained]) -> pd.DataFrame:
    """Return a row a variant: mean, lowest and highest macro EER over the seeds on each corpus."""
    rows = []
    for name in dict.fromkeys(one.variant for one in found):
        own = [one for one in found if one.variant == name]
        row = {"variant": name, "parameters": own[0].parameters, "clips": own[0].clips}
        for place in own[0].macro_eer:
            values = np.array([one.macro_eer[place] for one in own])
            row |= {place: values.mean(), f"{place} low": values.min(), f"{place} high": values.max()}
        rows.append(row)
    return pd.DataFrame(rows)
