"""Fixed band-pass filters, the first layer of detectors that read waveforms."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class MelFilters(nn.Module):
    """Band-pass filters with edges evenly spaced on the mel scale from 0 Hz to half the rate; nothing is learned.

    Filter i passes edge i to edge i + 1: the difference of two ideal low-pass filters under a Hamming window, as in
    SincNet (M. Ravanelli and Y. Bengio, SLT 2018), with edges that stay where they are. Taps are odd.
    """

    def __init__(self, *, filters: int, taps: int, rate: int = 16_000):
        super().__init__()
        # Computed in float64 on the processor, whatever torch's default device is now.
        real = {"dtype": torch.float64, "device": "cpu"}
        mels = torch.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), filters + 1, **real)
        edges = 700 * (10 ** (mels / 2595) - 1)
        places = torch.arange(taps, **real) - taps // 2
        passed = 2 * edges[:, None] / rate * torch.sinc(2 * edges[:, None] * places / rate)
        window = torch.hamming_window(taps, periodic=False, **real)
        kernels = ((passed[1:] - passed[:-1]) * window).float().unsqueeze(1)  # (filters, 1, taps)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return shape (B, filters, n - taps + 1) for waveforms of shape (B, n)."""
        return F.conv1d(waveforms.unsqueeze(1), self.kernels.to(waveforms.dtype))
