"""The training loop on Lightning: from a model in memory to its best weights on disk.

The same loop trains the baseline from random weights and fine-tunes it, on one machine or many. Selection looks at
validation clips only; testing clips are never opened here.

The result is a function of the recipe, the clips and the first weights alone: the order of the clips, their cuts and
augmentation follow from the seed, the epoch and the clip, dropout from the seed and the step. A training that was
killed goes on from its last saved state, in the middle of an epoch too, and ends with the same weights.

Beside the checkpoint (``weights.safetensors``, the best epoch's) lie ``weights.csv``, a row an epoch, and during the
training ``weights.resume``, its state. Lightning's own checkpoints are not used: they go on at the beginning of an
epoch, and are pickled.

Under ``torchrun`` each process takes its share of every batch, and gradients, losses and the statistics of batch norm
are those of the whole batch: the batch size of a recipe does not change with the number of processes. Dropout differs,
since each process draws its own. The first process writes; all must see the folder that it writes to.
"""

import contextlib
import copy
import functools
import hashlib
import json
import logging
import math
import os
import signal
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

from dfdlib import machine, processes
from dfdlib.data import audio, corpus
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network
from dfdlib.errors import ParameterError, RunError
from dfdlib.training import parallel
from dfdlib.training.clips import Batches, Clips, batches, validation_batches
from dfdlib.training.recipe import Recipe
from dfdlib.training.saving import Saver, State

#: Raised whenever the same recipe, clips and weights give other weights than before: then they are trained again.
VERSION = 1

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class Training:
    """What a training leaves."""

    history: pd.DataFrame  # a row an epoch: ``epoch`` (from 1), ``train_loss``, ``validation_loss``, ``validation_eer``
    best_epoch: int  # the one whose weights were kept
    checkpoint: Path  # those weights, in safetensors
    left_out: pd.DataFrame  # ``path`` and ``reason`` of clips that could not be decoded


def fit(
    model: network.Detector,
    *,
    training: Corpus,
    validation: Corpus,
    recipe: Recipe,
    checkpoint: str | Path,
    metadata: dict[str, str] | None = None,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
    status: Callable[[str], None] | None = None,
) -> Training:
    """Train `model` and write the weights of its best epoch; after a kill, go on where it was.

    Parameters
    ----------
    model : Detector
        Changed in place; at the end it holds the best epoch's weights, in evaluation mode.
    training, validation : Corpus
        Both classes in each.
    checkpoint : str or Path
        Where the best weights go (safetensors).
    metadata : dict, optional
        Text to keep with the weights.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with one line of text after each epoch.
    status : callable, optional
        Called with one line of text after each batch; by default a terminal shows it.

    Raises
    ------
    DataError
        A corpus of one class, or none of its clips can be decoded.
    ParameterError
        Settings that do not fit this model or several processes.
    RunError
        The loss is no longer finite, or the disk is full. What was saved before is kept.
    """
    checkpoint = Path(checkpoint)
    inputs = _inputs_digest(model, training, validation, recipe)
    state = State.read(checkpoint.with_suffix(".resume"), inputs=inputs) or State()
    train_clips = Clips(training.require_both_classes(), recipe=recipe, training=True)
    validation_clips = Clips(validation.require_both_classes(), recipe=recipe, training=False)
    parallel.check(recipe, training=len(train_clips), validation=len(validation_clips))
    saver = Saver(
        checkpoint, recipe=recipe, metadata=metadata or {}, progress=progress, status=status, state=state, inputs=inputs
    )
    _run(model, train_clips, validation_clips, saver, device=device)
    if processes.count() > 1 and torch.distributed.is_initialized():
        torch.distributed.barrier()  # the others read what the first process writes last
    if not state.best_epoch:
        raise RunError("training ended before its first epoch was complete; nothing was kept")
    model.load_state_dict(network.load(checkpoint).state_dict())
    model.eval()
    if processes.is_first():
        checkpoint.with_suffix(".resume").unlink(missing_ok=True)
    left_out = pd.concat([train_clips.left_out, validation_clips.left_out], ignore_index=True)
    return Training(pd.DataFrame(state.rows), state.best_epoch, checkpoint, left_out)


def _run(model: network.Detector, training: Clips, validation: Clips, saver: Saver, *, device: str) -> None:
    """Train `model` from the saver's state to the last epoch."""
    recipe, state = saver.recipe, saver.state
    if state.step:
        model.load_state_dict(state.model)
        state.model = {}
        saver.progress(f"going on after step {state.step}, in epoch {state.epoch + 1}")
    # Sharding cannot be undone; the caller's network stays whole.
    trained = copy.deepcopy(model) if recipe.is_sharded else model
    # Lightning keeps the mode it finds, and a detector that was loaded is in evaluation mode.
    trained.train()
    with _quiet_lightning(), _prepared(trained, recipe), _interrupts():
        trainer = _trainer(recipe, callbacks=[saver], device=device, done=state.epoch)
        if state.epoch < recipe.epochs and not saver.is_out_of_patience():
            trainer.fit(
                Learner(trained, recipe=recipe, clips=training, state=state),
                train_dataloaders=Batches(training, recipe=recipe, state=state),
                val_dataloaders=validation_batches(validation, recipe=recipe),
            )


class Learner(lightning.LightningModule):
    """Cross entropy on the two logits."""

    def __init__(self, model: network.Detector, *, recipe: Recipe, clips: Clips, state: State) -> None:
        super().__init__()
        self.model, self.recipe, self.state, self.clips = model, recipe, state, clips
        self.validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.batches = len(batches(clips, recipe=recipe, epoch=0))
        self.steps = recipe.epochs * math.ceil(self.batches / recipe.accumulate)
        self.class_weights = torch.tensor(class_weights(recipe, clips.labels), dtype=torch.float32)

    def configure_model(self) -> None:
        if self.recipe.is_sharded:
            parallel.shard(self.model, mesh=self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # One pass over the values in place of ten; in half precision Lightning cannot clip gradients with it.
        fused = self.recipe.precision == "float32"
        kinds = {
            "adam": functools.partial(torch.optim.Adam, fused=fused),
            "adamw": functools.partial(torch.optim.AdamW, fused=fused),
            "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        }
        optimizer = kinds[self.recipe.optimizer](
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
        )
        if self.state.optimizer:
            parallel.load_optimizer_state(self.model, optimizer, self.state.optimizer, recipe=self.recipe)
            self.state.optimizer = {}
        return optimizer

    def on_train_batch_start(self, batch: tuple, batch_index: int) -> None:
        step = self.state.steps_before + self.state.batch // self.recipe.accumulate
        for group in self.optimizers().param_groups:
            group["lr"] = self.recipe.learning_rate * self.recipe.rate_factor(step, steps=self.steps)
        # Dropout depends on the place in the training alone, so it is the same after a kill.
        torch.manual_seed(_seed(self.recipe.seed, self.state.epoch, self.state.batch, processes.rank()))

    def training_step(self, batch: tuple, batch_index: int) -> torch.Tensor:
        waves, labels, numbers = batch
        weights = self.class_weights.to(labels.device)
        losses = torch.nn.functional.cross_entropy(self.model(waves).float(), labels, weight=weights, reduction="none")
        total, weight = parallel.total(losses.detach().sum(), weights[labels].sum())
        if not math.isfinite(total):
            paths = ", ".join(self.clips.paths[number] for number in numbers.tolist())
            raise RunError(
                f"the loss is {total} at step {self.state.step} of epoch {self.state.epoch + 1}, with the clips "
                f"{paths}; lower the learning rate or look at these clips. What was saved before is kept"
            )
        self.state.losses.append((total / weight, weight))
        # Gradients of several processes are averaged: this makes them those of the whole batch's mean.
        return losses.sum() * processes.count() / weight

    def validation_step(self, batch: tuple, batch_index: int) -> None:
        waves, labels, _ = batch
        self.validation.append((self.model(waves).float().cpu(), labels.cpu()))


def frozen_parameters(model: network.Detector, recipe: Recipe) -> list[torch.nn.Parameter]:
    """Return the parameters that a recipe freezes."""
    if recipe.freeze == "none":
        return []
    if model.ssl_model is None:
        raise ParameterError(
            f"freeze = {recipe.freeze}: the detector {model.configuration.name} has no front end; choose none"
        )
    front = model.ssl_model.model
    if recipe.freeze == "frontend":
        return list(front.parameters())
    below = [front.feature_extractor, front.layer_norm]
    if front.post_extract_proj is not None:
        below.append(front.post_extract_proj)
    if recipe.freeze != "extractor":
        if recipe.freeze > len(front.encoder.layers):
            raise ParameterError(f"freeze = {recipe.freeze}: the encoder has {len(front.encoder.layers)} layers")
        below += [front.encoder.pos_conv, *front.encoder.layers[: recipe.freeze]]
    return [parameter for part in below for parameter in part.parameters()]


def class_weights(recipe: Recipe, labels: np.ndarray) -> list[float]:
    """Return the weights of spoof and bona fide clips in the loss."""
    if recipe.class_weights == "none":
        return [1.0, 1.0]
    if recipe.class_weights == "balanced":
        return [len(labels) / (2 * int((labels == label).sum())) for label in (0, 1)]
    return list(recipe.class_weights)


@contextlib.contextmanager
def _prepared(model: network.Detector, recipe: Recipe) -> Iterator[None]:
    """Freeze parameters, checkpoint activations and share batch norm as the recipe says; undo it at the end."""
    frozen = [parameter for parameter in frozen_parameters(model, recipe) if parameter.requires_grad]
    layers = model.encoder_layers if recipe.checkpointing else ()
    norms = {
        module: type(module) for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    }
    for parameter in frozen:
        parameter.requires_grad_(False)
    for layer in layers:
        layer.forward = functools.partial(torch.utils.checkpoint.checkpoint, layer.forward, use_reentrant=False)
    if processes.count() > 1:
        for module, kind in norms.items():
            module.__class__ = parallel.shared_norm(kind)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        for layer in layers:
            del layer.forward
        for module, kind in norms.items():
            module.__class__ = kind


def _trainer(recipe: Recipe, *, callbacks: list[lightning.Callback], device: str, done: int) -> lightning.Trainer:
    hardware = {"devices": 1}
    if (count := processes.count()) > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", count))
        hardware = {"devices": local, "num_nodes": count // local, "strategy": parallel.strategy(recipe)}
    return lightning.Trainer(
        max_epochs=recipe.epochs - done,
        accelerator=machine.device(device),
        **hardware,
        precision=_PRECISIONS[recipe.precision],
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # The rest of an epoch after a kill has another number of batches.
        reload_dataloaders_every_n_epochs=1,
        # Where a kernel has no deterministic form (there are none on the CPU), say so and go on.
        deterministic="warn",
    )


def versions() -> list[str]:
    """Return the versions of all code that decides what a training gives."""
    return [f"audio={audio.VERSION}", f"network={network.VERSION}", f"training={VERSION}"]


def _inputs_digest(model: network.Detector, training: Corpus, validation: Corpus, recipe: Recipe) -> str:
    """Return a SHA-256 over everything that decides what comes out."""
    parts = [
        network.identity(model),
        json.dumps(recipe.identity(), sort_keys=True),
        corpus.fingerprint(training.table),
        corpus.fingerprint(validation.table),
        str(processes.count()),
        *versions(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Raise an interrupt as one: Lightning ends the process and ignores later ones, but a kernel must live on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice on hardware and workers out of the report."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
