"""The training loop: all parameters, on Lightning, from a model in memory to its best weights on disk.

The same loop trains the baseline from random weights and fine-tunes it. Selection looks at validation clips only;
test clips are never opened here.
"""

import contextlib
import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from dfdlib import audio, detector, metrics
from dfdlib.corpus import Corpus
from dfdlib.errors import DataError, ParameterError, RunError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training does; the defaults are the study's, but for the order of the clips.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate, weight_decay : float
        Of Adam, whose weight decay is an L2 term in the gradient.
    schedule : {"constant", "one-cycle"}
        One cycle: the rate rises to `learning_rate` in the first 30 % of the steps and falls to nothing along a cosine
        (Smith and Topin, arXiv 1708.07120).
    shuffle : bool
        A new order each epoch. The study went through its clips sorted by class.
    window : int
        Samples per training clip at 16 kHz: a longer clip is cut at a random place, a shorter one repeated.
    select : {"validation_loss", "validation_eer"}
        What the best epoch is the lowest of.
    rate : int
        The rate in Hz that clips are resampled to; anything but 16,000 is a mistake on purpose.
    seed : int
        Of the order, the cuts and the dropout.
    workers : int
        Processes that decode clips; 0 decodes between the steps.
    """

    epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 1e-6
    weight_decay: float = 1e-4
    schedule: str = "constant"
    shuffle: bool = True
    window: int = 64_600
    select: str = "validation_loss"
    rate: int = audio.RATE
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        if self.select not in ("validation_loss", "validation_eer"):
            raise ParameterError(f"select={self.select!r}: choose validation_loss or validation_eer")
        if self.schedule not in ("constant", "one-cycle"):
            raise ParameterError(f"schedule={self.schedule!r}: choose constant or one-cycle")
        for name in ("epochs", "batch_size", "learning_rate", "window", "rate"):
            if getattr(self, name) <= 0:
                raise ParameterError(f"{name}={getattr(self, name)}: must be above zero")


@dataclass(frozen=True)
class Training:
    """What a training run leaves.

    Attributes
    ----------
    history : DataFrame
        A row an epoch: ``epoch`` (from 1), ``train_loss``, ``validation_loss``, ``validation_eer``.
    best_epoch : int
        The one whose weights were kept.
    checkpoint : Path
        Those weights, in safetensors.
    left_out : DataFrame
        ``path`` and ``reason`` of clips that could not be decoded.
    """

    history: pd.DataFrame
    best_epoch: int
    checkpoint: Path
    left_out: pd.DataFrame


def fit(
    model: detector.Detector,
    *,
    training: Corpus,
    validation: Corpus,
    recipe: Recipe,
    checkpoint: str | Path,
    metadata: dict[str, str] | None = None,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> Training:
    """Train every parameter of `model` and write the weights of its best epoch.

    Parameters
    ----------
    model : Detector
        Changed in place; at the end it holds the best epoch's weights, in evaluation mode.
    training, validation : Corpus
        Both classes in each.
    recipe : Recipe
    checkpoint : str or Path
        Where the best weights go (safetensors).
    metadata : dict, optional
        Text to keep with the weights.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with one line of text after each epoch.

    Raises
    ------
    DataError
        A corpus of one class, or one of whose clips none can be decoded.
    RunError
        The loss stopped being finite.
    """
    checkpoint = Path(checkpoint)
    train_clips = _Clips(training.require_both_classes(), recipe=recipe, random_cut=True)
    validation_clips = _Clips(validation.require_both_classes(), recipe=recipe, random_cut=False)
    keeper = _Keeper(checkpoint, recipe=recipe, metadata=metadata or {}, progress=progress)
    with _quiet_lightning():
        # dropout draws from the global generator
        lightning.seed_everything(recipe.seed, verbose=False)
        trainer = _trainer(recipe, callbacks=[keeper], device=device)
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(
                _Learner(model, recipe=recipe),
                train_dataloaders=_Batches(train_clips, recipe=recipe),
                val_dataloaders=DataLoader(validation_clips, batch_size=recipe.batch_size, num_workers=recipe.workers),
            )
        except SystemExit:
            # Lightning ends the process on an interrupt and ignores later ones; a notebook's kernel is to live on.
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
    if keeper.best_state is None:
        raise RunError("training ended before its first epoch was complete; nothing was kept")
    model.load_state_dict(keeper.best_state)
    model.eval()
    left_out = pd.concat([train_clips.left_out, validation_clips.left_out], ignore_index=True)
    return Training(
        history=pd.DataFrame(keeper.rows), best_epoch=keeper.best_epoch, checkpoint=checkpoint, left_out=left_out
    )


def _trainer(recipe: Recipe, *, callbacks: list[lightning.Callback], device: str) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator=device,
        devices=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # Where a kernel has no deterministic form (there are none on the CPU), say so and go on.
        deterministic="warn",
    )


class _Clips(Dataset):
    """Waveforms and labels of a corpus, of one length; clips that cannot be decoded are found and left out first."""

    def __init__(self, corpus: Corpus, *, recipe: Recipe, random_cut: bool) -> None:
        readable, reasons = [], {}
        for row, path in enumerate(corpus.table["path"]):
            try:
                # A header that lies shows only when the samples are read; better now than in the middle of an epoch.
                audio.load_at_native_rate(path)
                readable.append(row)
            except DataError as error:
                reasons[path] = str(error).removeprefix(f"{path}: ")
        self.left_out = pd.DataFrame({"path": list(reasons), "reason": list(reasons.values())})
        table = corpus.table.iloc[readable]
        if table["label"].nunique() < 2:
            raise DataError(f"{corpus.name}: one class is left after {len(reasons)} unreadable clips; mend them first")
        self.paths = table["path"].tolist()
        self.labels = table["label"].astype(int).tolist()
        self._recipe = recipe
        self._random_cut = random_cut
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        wave = audio.load(self.paths[index], rate=self._recipe.rate)
        window = self._recipe.window
        if self._random_cut and len(wave) > window:
            # The cut depends on the clip and the epoch alone, not on the worker that makes it.
            rng = np.random.default_rng((self._recipe.seed, self.epoch, index))
            start = int(rng.integers(len(wave) - window + 1))
            wave = wave[start : start + window]
        return torch.from_numpy(audio.fit(wave, length=window).copy()), self.labels[index], index


class _Batches:
    """Training batches whose order depends on the seed and the epoch alone."""

    def __init__(self, clips: _Clips, *, recipe: Recipe) -> None:
        self._clips, self._recipe, self._epoch = clips, recipe, 0

    def __len__(self) -> int:
        return -(-len(self._clips) // self._recipe.batch_size)

    def __iter__(self):
        self._clips.epoch = self._epoch
        order = np.arange(len(self._clips))
        if self._recipe.shuffle:
            np.random.default_rng((self._recipe.seed, self._epoch)).shuffle(order)
        else:
            # The study's order: all fakes, then all reals.
            order = np.argsort(np.array(self._clips.labels), kind="stable")
        self._epoch += 1
        return iter(
            DataLoader(
                self._clips,
                batch_size=self._recipe.batch_size,
                sampler=order.tolist(),
                num_workers=self._recipe.workers,
            )
        )


class _Learner(lightning.LightningModule):
    """Cross entropy on the two logits, with Adam."""

    def __init__(self, model: detector.Detector, *, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.epoch_losses: list[tuple[float, int]] = []
        self.validation: list[tuple[torch.Tensor, torch.Tensor]] = []

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(
            # Some parts of a published checkpoint take no part in the forward pass.
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
        )
        if self.recipe.schedule == "constant":
            return {"optimizer": optimizer}
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.recipe.learning_rate, total_steps=self.trainer.estimated_stepping_batches
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def training_step(self, batch: tuple, batch_index: int) -> torch.Tensor:
        waves, labels, clips = batch
        loss = torch.nn.functional.cross_entropy(self.model(waves), labels)
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {loss.item()} at step {self.global_step}, with clips {clips.tolist()} of the training "
                "split; lower the learning rate or look at those clips"
            )
        self.epoch_losses.append((loss.item(), len(labels)))
        return loss

    def validation_step(self, batch: tuple, batch_index: int) -> None:
        waves, labels, _ = batch
        self.validation.append((self.model(waves).float().cpu(), labels.cpu()))


class _Keeper(lightning.Callback):
    """Closes each epoch: its losses into the history, its weights onto the disk when they are the best so far."""

    def __init__(
        self,
        checkpoint: Path,
        *,
        recipe: Recipe,
        metadata: dict[str, str],
        progress: Callable[[str], None] | None,
    ) -> None:
        self.checkpoint, self.recipe, self.metadata, self.progress = checkpoint, recipe, metadata, progress
        self.rows: list[dict] = []
        self.best_epoch, self.best_state = 0, None

    def on_train_epoch_start(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        learner.epoch_losses.clear()

    def on_validation_epoch_start(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        learner.validation.clear()

    def on_validation_epoch_end(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        losses, sizes = np.array(learner.epoch_losses).T
        logits = torch.cat([logits for logits, _ in learner.validation])
        labels = torch.cat([labels for _, labels in learner.validation])
        if not torch.isfinite(logits).all():
            raise RunError(f"epoch {len(self.rows) + 1}: validation scores are not finite; lower the learning rate")
        scores = (logits[:, 1] - logits[:, 0]).double().numpy()
        self.rows.append(
            {
                "epoch": len(self.rows) + 1,
                "train_loss": float(np.average(losses, weights=sizes)),
                "validation_loss": float(torch.nn.functional.cross_entropy(logits, labels)),
                "validation_eer": float(metrics.eer(labels.numpy(), scores).value),
            }
        )
        row = self.rows[-1]
        # Equal error rates are common on few clips; the loss then decides.
        best = min(self.rows, key=lambda row: (row[self.recipe.select], row["validation_loss"]))
        if best is row:
            self.best_epoch = row["epoch"]
            self.best_state = {name: value.detach().clone() for name, value in learner.model.state_dict().items()}
            detector.save(self.checkpoint, learner.model, metadata=self.metadata | {"epoch": str(row["epoch"])})
        if self.progress is not None:
            self.progress(
                f"epoch {row['epoch']}/{self.recipe.epochs}: train loss {row['train_loss']:.4f}, validation loss "
                f"{row['validation_loss']:.4f}, validation EER {row['validation_eer']:.2%}"
            )


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice out of the report: hardware it did not find, workers it would like."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
