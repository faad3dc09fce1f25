"""A recipe for training: every choice by name, checked before anything is loaded.

`Settings` is what a profile says under ``finetune``; `Recipe` adds what follows from the rest of the profile. The
defaults are the study's: all parameters, Adam at 1e-6 with weight decay 1e-4, cross entropy, batches of 16, ten
epochs, the epoch with the lowest validation loss. Only the order of the clips is not: the study went through them
sorted by class, which `sampler: unshuffled` repeats.
"""

import math
from typing import Annotated, Literal

import pydantic

from dfdlib.errors import ParameterError
from dfdlib.training import augment

# Strict, or YAML's true would count as 1.
Positive = Annotated[int, pydantic.Field(gt=0, strict=True)]
Natural = Annotated[int, pydantic.Field(ge=0, strict=True)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
AboveZero = Annotated[float, pydantic.Field(gt=0)]

#: Settings that do not change what comes out, only how and where it is computed or shown.
WITHOUT_EFFECT = {"workers", "save_every", "checkpointing"}


class Settings(pydantic.BaseModel):
    """What can be chosen."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # A batch is shared out among processes, if there are several.
    epochs: Positive = 10
    batch_size: Positive = 16
    accumulate: Positive = 1  # batches whose gradients are added up before a step
    # Adam's weight decay is an L2 term in the gradient, AdamW's is decoupled; SGD has a momentum of 0.9.
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: AboveZero = 1e-6
    weight_decay: Annotated[float, pydantic.Field(ge=0)] = 1e-4
    # After the warm-up the rate stays, or falls to nothing along a line or a cosine. One cycle is a cosine both ways
    # with a warm-up of 30 % (Smith and Topin, arXiv 1708.07120).
    schedule: Literal["constant", "linear", "cosine", "one-cycle"] = "constant"
    warmup: Share = 0.0  # the share of all steps in which the rate rises from nothing
    # Weights of spoof and bona fide clips in the loss; balanced makes both classes weigh the same.
    class_weights: Literal["none", "balanced"] | tuple[AboveZero, AboveZero] = "none"
    # What is not trained: nothing, the front end's convolutions, all of the front end, or its convolutions and so many
    # of the encoder's lower layers.
    freeze: Literal["none", "extractor", "frontend"] | Positive = "none"
    clip: AboveZero | None = None  # the largest norm that a gradient may have; larger ones are scaled down
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of matrix products; weights stay in float32
    # Compute the encoder's activations twice rather than keep them: much less memory, a third more time.
    checkpointing: bool = False
    patience: Positive | None = None  # stop after so many epochs without a better one
    # Samples of a training clip at 16 kHz: a longer clip is cut at a random place, a shorter one repeated. None takes
    # the profile's.
    window: Positive | None = None
    # A new order each epoch; or spoofs, then bona fide clips; or both classes, or all attacks, equally often.
    sampler: Literal["shuffled", "unshuffled", "balanced-by-class", "balanced-by-attack"] = "shuffled"
    # What is done to training clips, as `augment.build` names it: ``rawboost=3``, ``codec@0.5`` and so on.
    augment: tuple[str, ...] = ()
    select: Literal["validation_loss", "validation_eer"] = "validation_loss"  # what the best epoch is the lowest of
    workers: Natural = 0  # processes that decode clips; 0 decodes between the steps
    # Seconds after which the state of the training is written, to go on from after a kill.
    save_every: Annotated[float, pydantic.Field(ge=0)] = 120.0
    # How several processes train one network: each with all of it (what "auto" chooses), or each with a part, for
    # networks that no single GPU holds.
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"

    @pydantic.field_validator("augment")
    @classmethod
    def _is_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            augment.build(names)
        except ParameterError as error:
            raise ValueError(str(error)) from error
        return names

    @pydantic.model_validator(mode="after")
    def _goes_together(self) -> "Settings":
        if self.schedule == "one-cycle" and self.warmup:
            raise ValueError("one-cycle has a warm-up of its own; leave warmup at 0")
        return self


class Recipe(Settings):
    """Everything that decides what training does."""

    window: Positive = 64_600  # as `Settings`, with the profile's put in
    rate: Positive = 16_000  # the rate in Hz that clips are resampled to; anything but 16,000 is a mistake on purpose
    seed: Natural = 0  # of the order, the cuts, the augmentation and the dropout

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds a part of the network alone."""
        return self.strategy == "fsdp"

    def identity(self) -> dict:
        """Return, as plain values for JSON, the settings that decide what comes out."""
        return self.model_dump(mode="json", exclude=WITHOUT_EFFECT)

    def rate_factor(self, step: int, *, steps: int) -> float:
        """Return what the learning rate is multiplied by at a step (from 0) of so many."""
        warmup = 0.3 if self.schedule == "one-cycle" else self.warmup
        rising = round(warmup * steps)
        if step < rising:
            share = (step + 1) / rising
            return (1 - math.cos(math.pi * share)) / 2 if self.schedule == "one-cycle" else share
        done = (step - rising) / max(1, steps - rising)
        if self.schedule == "linear":
            return 1 - done
        if self.schedule in ("cosine", "one-cycle"):
            return (1 + math.cos(math.pi * done)) / 2
        return 1.0
