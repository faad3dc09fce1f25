"""Sounds and processes that several test modules make or find."""

import pickle
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from dfdlib.data import audio

#: Of the numbers that tests draw.
SEED = 20_240_502


def tone(seconds=1.0, *, rate=audio.RATE, frequency=220.0, level=0.2):
    """Return a sine of shape (n_samples,) as float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def tones_and_noises(folder, rng):
    """Write Real/ and Fake/ into a folder: four half-second clips in each, tones against noise."""
    for number in range(4):
        audio.write_wav(folder / f"Real/real{number}.wav", tone(0.5, frequency=200 + 20 * number), rate=audio.RATE)
        noise = 0.1 * rng.standard_normal(audio.RATE // 2)
        audio.write_wav(folder / f"Fake/fake{number}.wav", noise, rate=audio.RATE)


def child(parent, rank):
    """Return the process that a launcher started as number `rank`."""
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"\0RANK={rank}\0" in "\0" + Path(f"/proc/{number}/environ").read_text():
            return int(number)
    raise AssertionError(f"no process of rank {rank}")


class Here(Executor):
    """Stands for `processes.pool`: runs its jobs in this process, as they arrive in another one, through pickle."""

    def __init__(self, workers):
        pass

    def submit(self, function, /, *arguments):
        function, arguments = pickle.loads(pickle.dumps((function, arguments)))
        done = Future()
        done.set_result(pickle.loads(pickle.dumps(function(*arguments))))
        return done


class Loudness:
    """Calls loud windows spoof: a detector whose scores can be worked out by hand."""

    fingerprint = "loudness"
    least_samples = 1

    def __init__(self):
        self.batches = []

    def logits(self, windows):
        self.batches.append(windows.shape)
        level = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
        return np.stack([20 * level, 1 - 20 * level], axis=1)
