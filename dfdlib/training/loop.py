"""The training loop on Lightning: from a model in memory to its best weights on disk.

The same loop trains the baseline from random weights and fine-tunes it, on one machine or many. Selection looks at
validation clips only; test clips are never opened here.

What a training computes is a function of its recipe, its clips and its first weights alone: the order of the clips,
their cuts and augmentation follow from the seed, the epoch and the clip, dropout from the seed and the step. So a
training that was killed goes on from its last saved state, in the middle of an epoch too, and ends with the same
weights.

Beside the checkpoint (``weights.safetensors``, the best epoch's) lie ``weights.csv``, a row an epoch, and while the
training runs ``weights.resume``, its state.

Several processes
-----------------
Under ``torchrun`` each process takes its share of every batch, and gradients, losses and the statistics of batch norm
are those of the whole batch: the batch size of a recipe does not change with the number of processes. Dropout differs,
since each process draws its own. The first process writes; all must see the folder that it writes to.

With the strategy ``fsdp`` each process keeps a part of the weights, the gradients and the optimiser's state, and
borrows the rest a layer at a time. What is written is whole all the same: a checkpoint is like any other.
"""

import contextlib
import copy
import ctypes
import functools
import hashlib
import itertools
import json
import logging
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
import torch.distributed
import torch.utils.checkpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint import state_dict as sharded
from torch.utils.data import DataLoader, Dataset

from dfdlib import files, processes
from dfdlib.data import audio, corpus
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network as detector
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.evaluation import metrics
from dfdlib.training import augment
from dfdlib.training.recipe import Recipe

#: How a network that is dealt out is put together again: in the first process's memory.
_WHOLE = sharded.StateDictOptions(full_state_dict=True, cpu_offload=True)
_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


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
    """Train `model` and write the weights of its best epoch.

    Called again after a kill, with the same recipe, clips and weights, it goes on where it was.

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
    ParameterError
        Settings that do not go together with this model or with several processes.
    RunError
        The loss stopped being finite, or the disk is full. What was saved before is kept.
    """
    checkpoint = Path(checkpoint)
    beginnings = _beginnings(model, training, validation, recipe)
    state = _State.read(checkpoint.with_suffix(".resume"), beginnings=beginnings) or _State()
    train_clips = Clips(training.require_both_classes(), recipe=recipe, training=True)
    validation_clips = Clips(validation.require_both_classes(), recipe=recipe, training=False)
    keeper = _Keeper(
        checkpoint, recipe=recipe, metadata=metadata or {}, progress=progress, state=state, beginnings=beginnings
    )
    _refuse_what_processes_cannot_do(recipe, len(train_clips), len(validation_clips))
    if state.step:
        model.load_state_dict(state.model)
        state.model = {}
        keeper.progress(f"going on after step {state.step}, in epoch {state.epoch + 1}")
    # A network is dealt out to the processes for good; the caller's is to stay whole.
    trained = copy.deepcopy(model) if recipe.is_sharded else model
    # Lightning trains modules in the mode that it finds them in, and a detector that was loaded is in evaluation mode.
    trained.train()
    with _quiet_lightning(), _kept_memory(), _prepared(trained, recipe):
        trainer = _trainer(recipe, callbacks=[keeper], device=device, folder=checkpoint.parent, done=state.epoch)
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            if state.epoch < recipe.epochs and not keeper.is_out_of_patience():
                trainer.fit(
                    _Learner(trained, recipe=recipe, clips=train_clips, state=state),
                    train_dataloaders=_Batches(train_clips, recipe=recipe, state=state),
                    val_dataloaders=_validation_batches(validation_clips, recipe=recipe),
                )
        except SystemExit:
            # Lightning ends the process on an interrupt and ignores later ones; a notebook's kernel is to live on.
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
    if processes.count() > 1 and torch.distributed.is_initialized():
        # What the first process writes last, the others are about to read.
        torch.distributed.barrier()
    if not state.best_epoch:
        raise RunError("training ended before its first epoch was complete; nothing was kept")
    model.load_state_dict(detector.load(checkpoint).state_dict())
    model.eval()
    if processes.is_first():
        checkpoint.with_suffix(".resume").unlink(missing_ok=True)
    left_out = pd.concat([train_clips.left_out, validation_clips.left_out], ignore_index=True)
    return Training(
        history=pd.DataFrame(state.rows), best_epoch=state.best_epoch, checkpoint=checkpoint, left_out=left_out
    )


def _refuse_what_processes_cannot_do(recipe: Recipe, training: int, validation: int) -> None:
    if processes.count() == 1:
        if recipe.is_sharded:
            raise ParameterError("strategy = fsdp: one process alone has nobody to share with; start it with torchrun")
        return
    if recipe.thaw is not None:
        raise ParameterError("thaw: parameters cannot be thawed while several processes train; leave it out")
    if min(recipe.batch_size, training, validation) < processes.count():
        raise ParameterError(
            f"batch_size = {recipe.batch_size}, {training} training and {validation} validation clips: none may be "
            f"fewer than the {processes.count()} processes"
        )


# --- clips and batches ---


class Clips(Dataset):
    """Waveforms and labels of a corpus, of one length; clips that cannot be decoded are found and left out first.

    Parameters
    ----------
    corpus : Corpus
    recipe : Recipe
    training : bool
        Cut long clips at random, and augment; validation clips are cut at their beginning and left as they are.
    """

    def __init__(self, corpus: Corpus, *, recipe: Recipe, training: bool) -> None:
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
        self.labels = table["label"].to_numpy(dtype=int)
        self.attacks = table["attack"].to_numpy(dtype=str)
        self._hashes = table["sha256"].tolist()
        self._recipe, self._training = recipe, training
        self._augment = augment.build(recipe.augment) if training and recipe.augment else None
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        wave = audio.load(self.paths[index], rate=self._recipe.rate)
        window = self._recipe.window
        if self._training:
            # What happens to a clip depends on itself and the epoch alone, not on the worker that does it.
            rng = augment.rng(self._recipe.seed, self.epoch, self._hashes[index])
            start = int(rng.integers(max(1, len(wave) - window + 1)))
            wave = audio.fit(wave[start : start + window], length=window)
            if self._augment is not None:
                wave = self._augment(wave, rate=audio.RATE, rng=rng)
        return torch.from_numpy(audio.fit(wave, length=window).copy()), int(self.labels[index]), index


def order(clips: Clips, *, recipe: Recipe, epoch: int) -> np.ndarray:
    """Return the clips of an epoch, by number, in the order of the recipe's sampler: shape (len(clips),)."""
    rng = np.random.default_rng((recipe.seed, epoch))
    if recipe.sampler == "unshuffled":
        return np.argsort(clips.labels, kind="stable")
    if recipe.sampler == "shuffled":
        return rng.permutation(len(clips))
    # Classes take turns; within the spoofs, attacks do. Clips of a small group come again, in another order.
    bonafide, spoof = (np.flatnonzero(clips.labels == label) for label in (1, 0))
    groups = [spoof]
    if recipe.sampler == "balanced-by-attack":
        groups = [spoof[clips.attacks[spoof] == attack] for attack in np.unique(clips.attacks[spoof])]
    spoofs = itertools.chain.from_iterable(zip(*(_again_and_again(group, rng) for group in groups), strict=True))
    pairs = zip(spoofs, _again_and_again(bonafide, rng), strict=False)
    return np.fromiter(itertools.chain.from_iterable(pairs), dtype=int, count=len(clips))


def _again_and_again(members: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(members)


class _Batches:
    """What is left of an epoch's batches: this process's share of each."""

    def __init__(self, clips: Clips, *, recipe: Recipe, state: "_State") -> None:
        self._clips, self._recipe, self._state = clips, recipe, state

    def _numbers(self) -> list[list[int]]:
        ordered = order(self._clips, recipe=self._recipe, epoch=self._state.epoch)
        size, first, several = self._recipe.batch_size, processes.rank(), processes.count()
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        # Each process must have a clip of every batch; a last batch too small for that is left out.
        return [batch[first::several].tolist() for batch in batches if len(batch) >= several]

    def __len__(self) -> int:
        return len(self._numbers()) - self._state.batch

    def __iter__(self):
        self._clips.epoch = self._state.epoch
        left = self._numbers()[self._state.batch :]
        return iter(DataLoader(self._clips, batch_sampler=left, num_workers=self._recipe.workers))


def _validation_batches(clips: Clips, *, recipe: Recipe) -> DataLoader:
    # As many batches in every process: those of a network that is dealt out go through it together.
    several = processes.count()
    batches = math.ceil(math.ceil(len(clips) / several) / recipe.batch_size)
    share = np.array_split(np.arange(processes.rank(), len(clips), several), batches)
    return DataLoader(clips, batch_sampler=[batch.tolist() for batch in share], num_workers=recipe.workers)


# --- the loop ---


class _Learner(lightning.LightningModule):
    """Cross entropy on the two logits."""

    def __init__(self, model: detector.Detector, *, recipe: Recipe, clips: Clips, state: "_State") -> None:
        super().__init__()
        self.model, self.recipe, self.state, self.clips = model, recipe, state, clips
        self.validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.batches = sum(1 for size in _sizes(len(clips), recipe.batch_size) if size >= processes.count())
        self.steps = recipe.epochs * math.ceil(self.batches / recipe.accumulate)
        self.class_weights = torch.tensor(_class_weights(recipe, clips.labels), dtype=torch.float32)

    def configure_model(self) -> None:
        if self.recipe.is_sharded:
            from torch.distributed.fsdp import fully_shard

            mesh = self.device_mesh["data_parallel"]
            for layer in self.model.ssl_model.model.encoder.layers:
                fully_shard(layer, mesh=mesh)
            fully_shard(self.model, mesh=mesh)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # One pass over the values in place of ten; in half precision Lightning cannot clip gradients with it.
        fused = self.recipe.precision == "float32"
        kinds = {
            "adam": functools.partial(torch.optim.Adam, fused=fused),
            "adamw": functools.partial(torch.optim.AdamW, fused=fused),
            "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        }
        optimizer = kinds[self.recipe.optimizer](
            parameter_groups(self.model, recipe=self.recipe),
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
        )
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        if self.state.optimizer:
            if self.recipe.is_sharded:
                sharded.set_optimizer_state_dict(self.model, optimizer, self.state.optimizer, options=_WHOLE)
            else:
                optimizer.load_state_dict(self.state.optimizer)
            self.state.optimizer = {}
        return optimizer

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the state dict of the whole network; every process must call this, and the first one has it."""
        if self.recipe.is_sharded:
            return sharded.get_model_state_dict(self.model, options=_WHOLE)
        return self.model.state_dict()

    def optimizer_state(self) -> dict:
        """Return the state of the optimiser for the whole network, as `weights` does."""
        optimizer = self.trainer.optimizers[0]
        if self.recipe.is_sharded:
            return sharded.get_optimizer_state_dict(self.model, optimizer, options=_WHOLE)
        return optimizer.state_dict()

    def on_train_batch_start(self, batch: tuple, batch_index: int) -> None:
        step = self.state.steps_before + self.state.batch // self.recipe.accumulate
        factor = self.recipe.rate_factor(step, steps=self.steps)
        for group, peak in zip(self.optimizers().param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        # Dropout that depends on the place in the training alone is the same after a kill.
        torch.manual_seed(_seed(self.recipe.seed, self.state.epoch, self.state.batch, processes.rank()))

    def training_step(self, batch: tuple, batch_index: int) -> torch.Tensor:
        waves, labels, numbers = batch
        weights = self.class_weights.to(labels.device)
        losses = torch.nn.functional.cross_entropy(self.model(waves).float(), labels, weight=weights, reduction="none")
        total, weight = _sum_over_processes(losses.detach().sum(), weights[labels].sum())
        if not math.isfinite(total):
            paths = [self.clips.paths[number] for number in numbers.tolist()]
            raise RunError(
                f"the loss is {total} at step {self.state.step} of epoch {self.state.epoch + 1}, with the clips "
                f"{', '.join(paths)}; lower the learning rate or look at these clips. What was saved before is kept"
            )
        self.state.losses.append((total / weight, weight))
        # Gradients of several processes are averaged: this makes them those of the whole batch's mean.
        return losses.sum() * processes.count() / weight

    def validation_step(self, batch: tuple, batch_index: int) -> None:
        waves, labels, _ = batch
        self.validation.append((self.model(waves).float().cpu(), labels.cpu()))


class _State:
    """Where a training is; all that it needs to go on from there."""

    def __init__(self) -> None:
        self.epoch = self.batch = self.step = self.steps_before = self.best_epoch = 0
        self.losses: list[tuple[float, float]] = []
        self.rows: list[dict] = []
        self.model: dict = {}
        self.optimizer: dict = {}
        self.scaler: dict = {}

    @classmethod
    def read(cls, path: Path, *, beginnings: str) -> "_State | None":
        """Return the state in a file, if there is one that began as this training does."""
        if not path.is_file():
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # damaged, or not ours: then the training starts anew
            return None
        if not isinstance(found, dict) or found.pop("beginnings", None) != beginnings:
            return None
        state = cls()
        vars(state).update(found)
        return state

    def write(self, path: Path, *, beginnings: str, model: dict, optimizer: dict) -> None:
        content = vars(self) | {"beginnings": beginnings, "model": model, "optimizer": optimizer}
        with files.atomic(path, "wb") as file:
            torch.save(content, file)


class _Keeper(lightning.Callback):
    """Closes each epoch, and saves: the history, the best weights, the state to go on from."""

    def __init__(
        self,
        checkpoint: Path,
        *,
        recipe: Recipe,
        metadata: dict[str, str],
        progress: Callable[[str], None] | None,
        state: _State,
        beginnings: str,
    ) -> None:
        self.checkpoint, self.recipe, self.metadata, self.state = checkpoint, recipe, metadata, state
        self.progress = progress if progress is not None and processes.is_first() else _nothing
        self.beginnings = beginnings
        self._saved = self._started = time.monotonic()
        self._step_at_start = state.step

    def on_train_start(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        self._saved = self._started = time.monotonic()
        if self.state.scaler:
            trainer.precision_plugin.load_state_dict(self.state.scaler)

    def on_train_epoch_start(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        learner.validation.clear()
        if self.recipe.thaw is not None and self.state.epoch + 1 >= self.recipe.thaw:
            _thaw(learner.model)

    def on_train_batch_end(self, trainer, learner: _Learner, outputs, batch, batch_index: int) -> None:
        self.state.batch += 1
        self.state.step = self.state.steps_before + math.ceil(self.state.batch / self.recipe.accumulate)
        self._show(learner)
        # The last batch of an epoch is saved with its validation: Lightning does nothing in an epoch without a batch.
        at_a_step = self.state.batch % self.recipe.accumulate == 0 and self.state.batch < learner.batches
        if at_a_step and self._is_due(learner):
            self._save(trainer, learner)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        logits, labels = _gathered(learner.validation)
        learner.validation.clear()
        state = self.state
        if not torch.isfinite(logits).all():
            raise RunError(f"epoch {state.epoch + 1}: validation scores are not finite; lower the learning rate")
        losses, weights = np.array(state.losses).T
        scores = (logits[:, 1] - logits[:, 0]).double().numpy()
        row = {
            "epoch": state.epoch + 1,
            "train_loss": float(np.average(losses, weights=weights)),
            "validation_loss": float(torch.nn.functional.cross_entropy(logits, labels)),
            "validation_eer": float(metrics.eer(labels.numpy(), scores).value),
        }
        state.rows.append(row)
        state.epoch, state.batch, state.steps_before, state.losses = state.epoch + 1, 0, state.step, []
        # Equal error rates are common on few clips; the loss then decides.
        if min(state.rows, key=lambda row: (row[self.recipe.select], row["validation_loss"])) is row:
            state.best_epoch = row["epoch"]
            best = learner.weights()
            self._write(lambda: self._write_checkpoint(learner, best, epoch=row["epoch"]))
        self._log(trainer, row)
        self._save(trainer, learner)
        left = self._left(learner)
        self.progress(
            f"epoch {row['epoch']}/{self.recipe.epochs}: train loss {row['train_loss']:.4f}, validation loss "
            f"{row['validation_loss']:.4f}, validation EER {row['validation_eer']:.2%}{left}"
        )
        if self.is_out_of_patience():
            trainer.should_stop = True

    def is_out_of_patience(self) -> bool:
        """Tell whether the last epochs were no better for as long as the recipe waits."""
        patience = self.recipe.patience
        return patience is not None and self.state.epoch - self.state.best_epoch >= patience

    def _is_due(self, learner: _Learner) -> bool:
        due = time.monotonic() - self._saved >= self.recipe.save_every
        if learner.recipe.is_sharded:
            # To put a dealt out network together takes all processes, whose clocks differ.
            return _sum_over_processes(torch.tensor(due, device=learner.device))[0] > 0
        return due

    def _write_checkpoint(self, learner: _Learner, weights: dict[str, torch.Tensor], *, epoch: int) -> None:
        model = learner.model
        if learner.recipe.is_sharded:
            model = detector.skeleton(model.configuration)
            model.load_state_dict(weights, assign=True)
        detector.save(self.checkpoint, model, metadata=self.metadata | {"epoch": str(epoch)})

    def _save(self, trainer: lightning.Trainer, learner: _Learner) -> None:
        model, optimizer = learner.weights(), learner.optimizer_state()
        self.state.scaler = trainer.precision_plugin.state_dict()
        # An update may spoil weights before a loss shows it. A sum is finite only if all its terms are.
        if not all(torch.isfinite(tensor.sum()) for tensor in model.values()):
            raise RunError(
                f"the weights are no longer finite after step {self.state.step}; lower the learning rate. What was "
                "saved before is kept"
            )
        self._write(
            lambda: self.state.write(
                self.checkpoint.with_suffix(".resume"), beginnings=self.beginnings, model=model, optimizer=optimizer
            )
        )
        self._saved = time.monotonic()

    def _log(self, trainer: lightning.Trainer, row: dict) -> None:
        def write() -> None:
            with files.atomic(self.checkpoint.with_suffix(".csv")) as file:
                pd.DataFrame(self.state.rows).to_csv(file, index=False)

        self._write(write)
        for logger in trainer.loggers:
            logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, step=row["epoch"])

    def _write(self, write: Callable[[], None]) -> None:
        if not processes.is_first():
            return
        try:
            write()
        except OSError as error:
            raise RunError(
                f"{self.checkpoint.parent}: cannot be written ({error.strerror or error}); free some space and run the "
                f"same again: it goes on from what was saved last"
            ) from error

    def _left(self, learner: _Learner) -> str:
        done, all_ = self.state.step - self._step_at_start, learner.steps - self._step_at_start
        if not 0 < done < all_:
            return ""
        seconds = (time.monotonic() - self._started) * (all_ - done) / done
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"

    def _show(self, learner: _Learner) -> None:
        if sys.stderr.isatty() and processes.is_first():
            loss = self.state.losses[-1][0]
            text = f"epoch {self.state.epoch + 1}, step {self.state.step}/{learner.steps}, loss {loss:.4f}"
            print(f"\r\x1b[K{text}{self._left(learner)}", end="\r", file=sys.stderr, flush=True)


# --- what is trained, and how fast ---


def parameter_groups(model: detector.Detector, *, recipe: Recipe) -> list[dict]:
    """Return what an optimiser takes: parameters that are ever trained, grouped by their learning rate.

    The back end and the top layer of the encoder have the recipe's rate; each layer below has `layer_decay` times the
    rate of the one above it, and what lies below the encoder that of one layer more.
    """
    frozen = set() if recipe.thaw is not None else {id(parameter) for parameter in frozen_parameters(model, recipe)}
    layers = model.configuration.frontend.layers
    groups: dict[int, list] = {}
    for name, parameter in model.named_parameters():
        # Some parts of a published checkpoint take no part in the forward pass.
        if id(parameter) in frozen or not (parameter.requires_grad or getattr(parameter, "_frozen", False)):
            continue
        depth = 0
        if name.startswith("ssl_model."):
            _, _, place = name.partition(".encoder.layers.")
            on_top = name.startswith("ssl_model.model.encoder.layer_norm.")
            depth = layers - 1 - int(place.split(".")[0]) if place else 0 if on_top else layers
        groups.setdefault(depth if recipe.layer_decay < 1 else 0, []).append(parameter)
    return [
        {"params": parameters, "lr": recipe.learning_rate * recipe.layer_decay**depth}
        for depth, parameters in sorted(groups.items())
    ]


def frozen_parameters(model: detector.Detector, recipe: Recipe) -> list[torch.nn.Parameter]:
    """Return the parameters that a recipe freezes.

    Raises
    ------
    ParameterError
        More layers than the encoder has.
    """
    network = model.ssl_model.model
    if recipe.freeze == "none":
        return []
    if recipe.freeze == "frontend":
        return list(network.parameters())
    below = [network.feature_extractor, network.layer_norm]
    if network.post_extract_proj is not None:
        below.append(network.post_extract_proj)
    if recipe.freeze != "extractor":
        if recipe.freeze > len(network.encoder.layers):
            raise ParameterError(f"freeze = {recipe.freeze}: the encoder has {len(network.encoder.layers)} layers")
        below += [network.encoder.pos_conv, *network.encoder.layers[: recipe.freeze]]
    return [parameter for part in below for parameter in part.parameters()]


@contextlib.contextmanager
def _prepared(model: detector.Detector, recipe: Recipe) -> Iterator[None]:
    """Freeze what is to be frozen, recompute what is not to be kept, share batch norm; undo all of it at the end."""
    frozen = [parameter for parameter in frozen_parameters(model, recipe) if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
        parameter._frozen = True
    layers = model.ssl_model.model.encoder.layers if recipe.checkpointing else ()
    for layer in layers:
        layer.forward = functools.partial(torch.utils.checkpoint.checkpoint, layer.forward, use_reentrant=False)
    norms = {
        module: type(module) for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    }
    if processes.count() > 1:
        for module, kind in norms.items():
            module.__class__ = _shared(kind)
    try:
        yield
    finally:
        _thaw(model)
        for layer in layers:
            del layer.forward
        for module, kind in norms.items():
            module.__class__ = kind


def _thaw(model: detector.Detector) -> None:
    for parameter in model.parameters():
        if getattr(parameter, "_frozen", False):
            parameter.requires_grad_(True)
            del parameter._frozen


def _class_weights(recipe: Recipe, labels: np.ndarray) -> list[float]:
    """Return the weights of spoof and bona fide clips."""
    if recipe.class_weights == "none":
        return [1.0, 1.0]
    if recipe.class_weights == "balanced":
        return [len(labels) / (2 * int((labels == label).sum())) for label in (0, 1)]
    return list(recipe.class_weights)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Each of them depends on every share, so gradients are summed as well."""

    @staticmethod
    def forward(context, share: torch.Tensor) -> torch.Tensor:
        total = share.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


@functools.cache
def _shared(kind: type) -> type:
    """Return a batch norm whose statistics are those of all processes' clips; torch has one for GPUs alone."""

    class Shared(kind):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return super().forward(values)
            given, values = values.dtype, values.float()  # squares of half precision may be too large for it
            axes = [axis for axis in range(values.ndim) if axis != 1]
            count = torch.full((1,), values.numel() / values.shape[1], device=values.device)
            sums = torch.cat([values.sum(axes), (values * values).sum(axes), count])
            sums = _Sum.apply(sums)
            number = sums[-1]
            mean, square = (sums[:-1] / number).chunk(2)
            variance = (square - mean**2).clamp_min(0)
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * number / (number - 1), self.momentum)
            shape = [1, -1] + [1] * (values.ndim - 2)
            scale = self.weight * (variance + self.eps).rsqrt()
            return (values * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(given)

    return Shared


def memory_needed(configuration: str | detector.DetectorConfiguration, recipe: Recipe) -> dict[str, int]:
    """Return what a training step needs, in bytes, without doing one: the network is built without values.

    Returns
    -------
    dict
        ``weights``, ``gradients``, ``optimizer`` (its running means), ``activations`` (what the forward pass keeps for
        the backward pass, for one batch in one process; with checkpointing the inputs of the layers and what one layer
        keeps while it is recomputed) and their sum, ``total``. Libraries, the allocator and work space come on top; a
        GPU that keeps attention maps instead of recomputing them needs more.
    """
    model = detector.skeleton(configuration).train()
    sizes: dict[int, int] = {}
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()
        kept.append(tensor)  # a storage that is gone could have the place of a new one
        return tensor

    def counted(run: Callable[[], object]) -> int:
        sizes.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.device("meta"):
            run()
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        return sum(size for place, size in sizes.items() if place not in weights)

    waves = torch.empty(recipe.batch_size, recipe.window, device="meta")
    with _prepared(model, recipe):
        activations = counted(lambda: model(waves))
        trained = sum(parameter.numel() * 4 for parameter in model.parameters() if parameter.requires_grad)
        if recipe.checkpointing:
            front = model.configuration.frontend
            layer = type(model.ssl_model.model.encoder.layers[0]).forward
            frames = torch.empty(front.frames(recipe.window), recipe.batch_size, front.width, device="meta")
            activations += counted(lambda: layer(model.ssl_model.model.encoder.layers[0], frames.requires_grad_()))
    if recipe.precision != "float32":
        activations //= 2
    means = {"adam": 2, "adamw": 2, "sgd": 1}[recipe.optimizer]
    parts = {
        "weights": sum(tensor.numel() * 4 for tensor in model.state_dict().values()),
        "gradients": trained,
        "optimizer": means * trained,
        "activations": activations,
    }
    return parts | {"total": sum(parts.values())}


# --- processes ---


def _sum_over_processes(*values: torch.Tensor) -> tuple[float, ...]:
    stacked = torch.stack([value.double() for value in values])
    if processes.count() > 1:
        torch.distributed.all_reduce(stacked)
    return tuple(stacked.tolist())


def _gathered(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of all processes, in the order of the clips."""
    logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    if processes.count() == 1:
        return logits, labels
    found: list = [None] * processes.count()
    torch.distributed.all_gather_object(found, (logits, labels))
    total = sum(len(part[1]) for part in found)
    every_logit, every_label = torch.empty(total, 2), torch.empty(total, dtype=labels.dtype)
    for rank, (part, truth) in enumerate(found):
        every_logit[rank :: processes.count()], every_label[rank :: processes.count()] = part, truth
    return every_logit, every_label


# --- small parts ---


def _trainer(
    recipe: Recipe, *, callbacks: list[lightning.Callback], device: str, folder: Path, done: int
) -> lightning.Trainer:
    several = {}
    if processes.count() > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", processes.count()))
        strategy = "ddp"
        if recipe.is_sharded:
            # Lightning's FSDP strategy asks for GPUs; this one leaves to `configure_model` what is dealt out, and how.
            strategy = ModelParallelStrategy(data_parallel_size=processes.count(), tensor_parallel_size=1)
        several = {"devices": local, "num_nodes": processes.count() // local, "strategy": strategy}
    return lightning.Trainer(
        max_epochs=recipe.epochs - done,
        accelerator=device,
        **({"devices": 1} | several),
        precision=_PRECISIONS[recipe.precision],
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip,
        callbacks=callbacks,
        logger=[_logger(name, folder) for name in recipe.loggers] if processes.is_first() else False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # What is left of an epoch after a kill has another number of batches.
        reload_dataloaders_every_n_epochs=1,
        # Where a kernel has no deterministic form (there are none on the CPU), say so and go on.
        deterministic="warn",
    )


def _logger(name: str, folder: Path):
    from lightning.pytorch import loggers

    try:
        if name == "tensorboard":
            return loggers.TensorBoardLogger(folder, name="tensorboard")
        os.environ.setdefault("WANDB_MODE", "offline")
        return loggers.WandbLogger(save_dir=folder, project="dfdlib", offline=os.environ["WANDB_MODE"] == "offline")
    except ModuleNotFoundError as error:
        raise RunError(f"loggers: {name} is not installed ({error}); pip install {name}, or leave it out") from error


def _beginnings(model: detector.Detector, training: Corpus, validation: Corpus, recipe: Recipe) -> str:
    parts = [
        detector.fingerprint(model),
        json.dumps(recipe.identity(), sort_keys=True),
        corpus.fingerprint(training.table),
        corpus.fingerprint(validation.table),
        str(processes.count()),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sizes(clips: int, batch: int) -> list[int]:
    return [min(batch, clips - start) for start in range(0, clips, batch)]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _nothing(line: str) -> None:
    pass


@contextlib.contextmanager
def _kept_memory() -> Iterator[None]:
    """Let the C library keep freed memory: each step asks for the same again, and fresh pages cost a tenth of its time.

    Does nothing where that library is not GNU's.
    """
    # From malloc.h; the threshold is the greatest that is taken.
    trim_threshold, mmap_threshold, largest, usual = -1, -3, 2**25, 2**26
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(mmap_threshold, largest)
    library.mallopt(trim_threshold, -1)
    try:
        yield
    finally:
        library.mallopt(trim_threshold, usual)
        library.malloc_trim(0)


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
