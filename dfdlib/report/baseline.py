"""Make the demo's baseline: the small detector, from random weights, on the source corpus alone."""

import datetime
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from dfdlib import files
from dfdlib.data import corpus
from dfdlib.detector import network
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score import score
from dfdlib.detector.scores import Scores
from dfdlib.errors import ParameterError
from dfdlib.evaluation import by_group, metrics
from dfdlib.experiment import profile
from dfdlib.experiment import run as experiment
from dfdlib.report import sentences
from dfdlib.training import loop
from dfdlib.training.recipe import Recipe

#: How the baseline is trained. Two-second cuts, as for-2seconds has; the rate that random weights need.
RECIPE = Recipe(
    epochs=8,
    batch_size=16,
    learning_rate=1e-3,
    weight_decay=1e-4,
    schedule="one-cycle",
    window=32_000,
    select="validation_eer",
    seed=1,
)


def train(settings: profile.Profile, *, checkpoint: str | Path, progress: Callable[[str], None] | None = None) -> str:
    """Train the baseline, write its weights and its model card, and return the card.

    Parameters
    ----------
    settings : Profile
        Its detector configuration, source corpus and preprocessing are used.
    checkpoint : str or Path
        Where the weights go (safetensors); the card is written beside them as ``.md``.
    progress : callable, optional
        Called with a line of text after each epoch.

    Raises
    ------
    ParameterError
        The profile has no source corpus.
    DataError
        It lacks a split, or two of its splits have a sound in common.
    """
    if settings.data.source is None:
        raise ParameterError(f"profile {settings.name}: has no source corpus; name one with --set data.source=FOLDER")
    checkpoint = Path(checkpoint)
    # Sums of floats depend on how many threads share them: with one, every number of cores gives these weights.
    torch.set_num_threads(1)
    source = corpus.read(settings.data.source, name="source")
    splits = {split: source.split(split) for split in ("training", "validation", "testing")}
    experiment.keep_apart({split: [clips] for split, clips in splits.items()})
    model = network.build(settings.detector, seed=RECIPE.seed)
    training = loop.fit(
        model,
        training=splits["training"],
        validation=splits["validation"],
        recipe=RECIPE,
        checkpoint=checkpoint,
        metadata={"trained_on": "source", "seed": str(RECIPE.seed), "licence": "MIT"},
        device=settings.device,
        progress=progress,
    )
    how = Preprocessing.named(settings.preprocessing, window=settings.window)
    scores = score(splits["testing"], model, preprocessing=how)
    card = _card(settings, source=source, training=training, scores=scores, checkpoint=checkpoint)
    with files.atomic(checkpoint.with_suffix(".md")) as file:
        file.write(card)
    return card


def _card(
    settings: profile.Profile,
    *,
    source: corpus.Corpus,
    training: loop.Training,
    scores: Scores,
    checkpoint: Path,
) -> str:
    values = metrics.evaluate(scores.labels, scores.values)
    attacks = by_group.by_attack(scores.labels, scores.values, scores.table["attack"])
    parts = [
        f"- {split}: {len(rows)} clips, {(rows['label'] == 1).sum()} bona fide and {(rows['label'] == 0).sum()} spoof; "
        f"sha256 of the list of their hashes `{corpus.fingerprint(rows)}`"
        for split, rows in source.table.groupby("split", sort=False)
    ]
    curves = [
        f"| {row.epoch} | {row.train_loss:.4f} | {row.validation_loss:.4f} | {100 * row.validation_eer:.2f} |"
        for row in training.history.itertuples()
    ]
    by_attack = [f"| {row.attack} | {row.n_spoof} | {100 * row.eer:.2f} |" for row in attacks.itertuples()]
    size = sum(parameter.numel() for parameter in network.load(checkpoint).parameters())
    return "\n".join(
        [
            f"# {checkpoint.stem}",
            "",
            f"The `{settings.detector}` detector ({size:,} parameters), trained from random weights on the demo's "
            "source corpus alone. It exists so that the report can be rebuilt anywhere; it has heard a few voices and "
            "a handful of synthesisers, and is no judge of anything else. This card was written by the command that "
            "trained it: `dfd train-baseline`.",
            "",
            f"- weights: `{checkpoint.name}`, sha256 `{files.sha256(checkpoint)}`, licence MIT",
            f"- made on {datetime.date.today().isoformat()} with Python {platform.python_version()}, torch "
            f"{torch.__version__}, on {platform.machine()}",
            f"- recipe: {RECIPE.identity()}",
            "",
            "## Data",
            "",
            *parts,
            "",
            "## Curves",
            "",
            "| epoch | training loss | validation loss | validation EER % |",
            "|---|---|---|---|",
            *curves,
            "",
            f"Epoch {training.best_epoch} was kept, for its {RECIPE.select.replace('_', ' ')}.",
            "",
            "## On its own domain",
            "",
            f"Source testing ({values['n_bonafide']} bona fide and {values['n_spoof']} spoof clips, "
            f"{settings.window} window): EER {sentences.percent(values['eer'])}, AUC {values['auc']:.4f}.",
            "",
            "| attack | clips | EER % |",
            "|---|---|---|",
            *by_attack,
            "",
        ]
    )
