"""What a training saves: its history, its best weights, and its state to go on from after a kill."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch

from dfdlib import files, processes
from dfdlib.data import tables
from dfdlib.detector import network
from dfdlib.errors import RunError
from dfdlib.evaluation import metrics
from dfdlib.training import parallel
from dfdlib.training.recipe import Recipe


class State:
    """Where a training is; all that it needs to go on from there."""

    def __init__(self) -> None:
        self.epoch = self.batch = self.step = self.steps_before = self.best_epoch = 0
        self.losses: list[tuple[float, float]] = []
        self.rows: list[dict] = []
        self.model: dict = {}
        self.optimizer: dict = {}
        self.scaler: dict = {}

    @classmethod
    def read(cls, path: Path, *, inputs: str) -> "State | None":
        """Return the state in a file, if there is one of a training with the same inputs."""
        if not path.is_file():
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # damaged, or not ours: the training starts anew
            return None
        if not isinstance(found, dict) or found.pop("inputs", None) != inputs:
            return None
        state = cls()
        vars(state).update(found)
        return state

    def write(self, path: Path, *, inputs: str, model: dict, optimizer: dict) -> None:
        """Write the state with the weights and the optimiser's state."""
        with files.atomic(path, "wb") as file:
            torch.save(vars(self) | {"inputs": inputs, "model": model, "optimizer": optimizer}, file)


class Saver(lightning.Callback):
    """Closes each epoch, and saves the history, the best weights and the state to go on from."""

    def __init__(
        self,
        checkpoint: Path,
        *,
        recipe: Recipe,
        metadata: dict[str, str],
        progress: Callable[[str], None] | None,
        status: Callable[[str], None] | None,
        state: State,
        inputs: str,
    ) -> None:
        self.checkpoint, self.recipe, self.metadata, self.state = checkpoint, recipe, metadata, state
        self.progress = progress if progress is not None and processes.is_first() else lambda line: None
        self.status = status or _show_on_terminal
        self.inputs = inputs
        self._saved = self._started = time.monotonic()
        self._step_at_start = state.step

    def on_train_start(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        self._saved = self._started = time.monotonic()
        if self.state.scaler:
            trainer.precision_plugin.load_state_dict(self.state.scaler)

    def on_train_epoch_start(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        learner.validation.clear()

    def on_train_batch_end(self, trainer, learner: lightning.LightningModule, outputs, batch, batch_index: int) -> None:
        state = self.state
        state.batch += 1
        state.step = state.steps_before + math.ceil(state.batch / self.recipe.accumulate)
        if processes.is_first():
            epoch, loss = f"epoch {state.epoch + 1} of {self.recipe.epochs}", state.losses[-1][0]
            self.status(f"{epoch}, step {state.step} of {learner.steps}, loss {loss:.4f}{self._time_left(learner)}")
        # The last batch of an epoch is saved with its validation: Lightning does nothing in an epoch without a batch.
        at_a_step = state.batch % self.recipe.accumulate == 0 and state.batch < learner.batches
        if at_a_step and self._is_due(learner):
            self._save_state(trainer, learner)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        logits, labels = parallel.gather_batches(learner.validation)
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
            self._save_best(learner)
        history = pd.DataFrame(state.rows)
        self._write(lambda: tables.write(self.checkpoint.with_suffix(".csv"), history))
        self._save_state(trainer, learner)
        self.progress(
            f"epoch {row['epoch']}/{self.recipe.epochs}: train loss {row['train_loss']:.4f}, validation loss "
            f"{row['validation_loss']:.4f}, validation EER {metrics.percent(row['validation_eer'], 2)}"
            f"{self._time_left(learner)}"
        )
        trainer.should_stop = trainer.should_stop or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        """Tell whether the last epochs were no better for as long as the recipe waits."""
        patience = self.recipe.patience
        return patience is not None and self.state.epoch - self.state.best_epoch >= patience

    def _is_due(self, learner: lightning.LightningModule) -> bool:
        due = time.monotonic() - self._saved >= self.recipe.save_every
        if self.recipe.is_sharded:
            # All processes gather the weights together, and their clocks differ.
            return parallel.total(torch.tensor(due, device=learner.device))[0] > 0
        return due

    def _save_best(self, learner: lightning.LightningModule) -> None:
        weights = parallel.weights(learner.model, recipe=self.recipe)
        metadata = self.metadata | {"epoch": str(self.state.best_epoch)}

        def write() -> None:
            model = learner.model
            if self.recipe.is_sharded:
                model = network.skeleton(model.configuration)
                model.load_state_dict(weights, assign=True)
            network.save(self.checkpoint, model, metadata=metadata)

        self._write(write)

    def _save_state(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        model = parallel.weights(learner.model, recipe=self.recipe)
        optimizer = parallel.optimizer_state(learner.model, trainer.optimizers[0], recipe=self.recipe)
        self.state.scaler = trainer.precision_plugin.state_dict()
        # An update may spoil weights before a loss shows it. A sum is finite only if all its terms are.
        if not all(torch.isfinite(tensor.sum()) for tensor in model.values()):
            raise RunError(
                f"the weights are no longer finite after step {self.state.step}; lower the learning rate. What was "
                "saved before is kept"
            )
        path = self.checkpoint.with_suffix(".resume")
        self._write(lambda: self.state.write(path, inputs=self.inputs, model=model, optimizer=optimizer))
        self._saved = time.monotonic()

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

    def _time_left(self, learner: lightning.LightningModule) -> str:
        done, steps = self.state.step - self._step_at_start, learner.steps - self._step_at_start
        if not 0 < done < steps:
            return ""
        seconds = (time.monotonic() - self._started) * (steps - done) / done
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def _show_on_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="\r", file=sys.stderr, flush=True)
