"""Weights and waveforms that follow from their names alone, so that golden numbers need no download.

Each array comes from a generator seeded with the CRC-32 of its name: the order in which they are made, torch's
generators and the machine play no part. The golden numbers in `fixtures/*_golden.npz` were made with the
published networks filled in the same way, so every constant here is part of them.
"""

import zlib

import numpy as np
import torch

UNSCALED = {"pos_S", "master1", "master2", "vars"}
"""Arrays of several axes that are learned positions or codes, and not the weights of a sum over inputs."""


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def entry(name: str, shape: tuple[int, ...], *, salt: str = "") -> np.ndarray:
    """Return the values of the state-dict entry `name`: float32, or int64 for a count of batches.

    Weights keep the scale of what passes through them (standard deviation one over the root of the number of
    inputs), gains and variances are near one and positive, and biases are small.
    """
    leaf = name.split(".")[-1]
    if leaf == "num_batches_tracked":
        return np.array(1, dtype=np.int64)
    noise = _generator(salt + name).standard_normal(shape)
    if leaf in {"weight_g", "running_var"}:
        values = 1 + 0.2 * abs(noise)
    elif len(shape) > 1 and leaf not in UNSCALED:
        values = noise / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.1 * noise + (1.0 if leaf == "weight" else 0.0)
    return values.astype(np.float32)


def fill(network: torch.nn.Module, *, salt: str = "", keep: tuple[str, ...] = ()) -> torch.nn.Module:
    """Give every entry of the state dict of `network` its value, and return the network in evaluation mode.

    Works on the meta device too: the entries take the place of the tensors. Those named in `keep` stay.
    """
    entries = {
        name: old if name in keep else torch.from_numpy(entry(name, tuple(old.shape), salt=salt))
        for name, old in network.state_dict().items()
    }
    network.load_state_dict(entries, assign=True)
    return network.eval()


def waveform(samples: int, *, salt: str = "") -> np.ndarray:
    """Return a test signal of shape (samples,), float32, peak 0.5, at 16 kHz: a gliding voice-like tone in noise."""
    seconds = np.arange(samples) / 16_000
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * seconds)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * seconds)
    signal = voice * loudness + 0.3 * _generator(f"waveform{salt}").standard_normal(samples)
    return (0.5 * signal / abs(signal).max()).astype(np.float32)
