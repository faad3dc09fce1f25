"""Sounds and processes that several test modules make or find."""

from pathlib import Path

import numpy as np

from dfdlib.data import audio


def tone(seconds=1.0, *, rate=audio.RATE, frequency=220.0, level=0.2):
    """Return a sine of shape (n_samples,) as float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def child(parent, rank):
    """Return the process that a launcher started as number `rank`."""
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"\0RANK={rank}\0" in "\0" + Path(f"/proc/{number}/environ").read_text():
            return int(number)
    raise AssertionError(f"no process of rank {rank}")
