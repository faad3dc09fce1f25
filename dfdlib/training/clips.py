"""Clips for training: waveforms of one length, in the order and the batches of a recipe."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from dfdlib import processes
from dfdlib.data import audio
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError
from dfdlib.training import augment
from dfdlib.training.recipe import Recipe


class Clips(Dataset):
    """Waveforms of one length and labels of a corpus; clips that cannot be decoded are left out.

    For training, long clips are cut at random, and augmented; validation clips are cut at their beginning.
    """

    def __init__(self, corpus: Corpus, *, recipe: Recipe, training: bool) -> None:
        readable, reasons = [], {}
        for row, path in enumerate(corpus.table["path"]):
            try:
                # A header that lies shows only when the samples are read; better now than in the middle of an epoch.
                audio.load_at_native_rate(path)
                readable.append(row)
            except DataError as error:
                reasons[path] = error.reason
        self.left_out = pd.DataFrame({"path": list(reasons), "reason": list(reasons.values())})
        table = corpus.table.iloc[readable]
        if table["label"].nunique() < 2:
            raise DataError(f"{corpus.name}: one class is left after {len(reasons)} unreadable clips; fix them first")
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
    spoofs = itertools.chain.from_iterable(zip(*(_cycle_shuffled(group, rng) for group in groups), strict=True))
    pairs = zip(spoofs, _cycle_shuffled(bonafide, rng), strict=False)
    return np.fromiter(itertools.chain.from_iterable(pairs), dtype=int, count=len(clips))


def _cycle_shuffled(members: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(members)


def batches(clips: Clips, *, recipe: Recipe, epoch: int) -> list[list[int]]:
    """Return an epoch's batches, by clip number: this process's share of each."""
    ordered = order(clips, recipe=recipe, epoch=epoch)
    size, first, several = recipe.batch_size, processes.rank(), processes.count()
    whole = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    # Each process needs a clip of every batch; a last batch too small for that is left out.
    return [batch[first::several].tolist() for batch in whole if len(batch) >= several]


class Batches:
    """The remaining batches of the epoch that `state` is in."""

    def __init__(self, clips: Clips, *, recipe: Recipe, state) -> None:
        self._clips, self._recipe, self._state = clips, recipe, state

    def _remaining(self) -> list[list[int]]:
        return batches(self._clips, recipe=self._recipe, epoch=self._state.epoch)[self._state.batch :]

    def __len__(self) -> int:
        return len(self._remaining())

    def __iter__(self):
        self._clips.epoch = self._state.epoch
        return iter(DataLoader(self._clips, batch_sampler=self._remaining(), num_workers=self._recipe.workers))


def validation_batches(clips: Clips, *, recipe: Recipe) -> DataLoader:
    """Return this process's share of the validation clips."""
    # As many batches in every process: sharded weights are gathered by all processes together.
    several = processes.count()
    number = math.ceil(math.ceil(len(clips) / several) / recipe.batch_size)
    share = np.array_split(np.arange(processes.rank(), len(clips), several), number)
    return DataLoader(clips, batch_sampler=[batch.tolist() for batch in share], num_workers=recipe.workers)
