"""RawNet2 on waveforms, in the two versions that ASVspoof gave out as baselines.

Fixed filters, six residual blocks with a scaling of each channel after them, a recurrent network over time, two
layers. The 2021 version computes the first norm of a block and does not use it; that of ASVspoof 5 does.

References
----------
.. [1] H. Tak et al., "End-to-end anti-spoofing with RawNet2", ICASSP 2021, arXiv 2011.01108.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.detector.backends.filters import MelFilters


@dataclass(frozen=True, kw_only=True)
class RawNet2Configuration:
    """The sizes of RawNet2."""

    # Fixed filters, and samples of each.
    filters: int = 20
    taps: int = 1025
    channels: tuple[int, ...] = (20, 20, 128, 128, 128, 128)  # output channels of each block
    recurrent: int = 1024  # width of the three recurrent layers
    # Whether a block's first convolution sees the normalised input (ASVspoof 5) or the input itself (2021).
    norm_first: bool = False

    @property
    def least_samples(self) -> int:
        """Fewest samples that leave one step for the recurrent network."""
        return self.taps - 1 + 3 ** (len(self.channels) + 1)


class _Block(nn.Module):
    def __init__(self, before: int, after: int, *, first: bool, norm_first: bool):
        super().__init__()
        self.norm_first = norm_first and not first
        if not first:
            self.bn1 = nn.BatchNorm1d(before).requires_grad_(norm_first)
        self.conv1 = nn.Conv1d(before, after, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm1d(after)
        self.conv2 = nn.Conv1d(after, after, kernel_size=3, padding=1)
        self.conv_downsample = nn.Conv1d(before, after, kernel_size=1) if before != after else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.conv_downsample is None else self.conv_downsample(x)
        if self.norm_first:
            x = F.leaky_relu(self.bn1(x), 0.3)
        x = self.conv2(F.leaky_relu(self.bn2(self.conv1(x)), 0.3))
        return F.max_pool1d(x + shortcut, 3)


class RawNet2(nn.Module):
    """Waveforms of shape (B, n) to logits of shape (B, 2), column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: RawNet2Configuration):
        super().__init__()
        c = configuration
        self.Sinc_conv = MelFilters(filters=c.filters, taps=c.taps)
        self.first_bn = nn.BatchNorm1d(c.filters)
        before = (c.filters, *c.channels[:-1])
        for number, (ins, outs) in enumerate(zip(before, c.channels, strict=True)):
            block = _Block(ins, outs, first=number == 0, norm_first=c.norm_first)
            # The sequences of one element give the parameters their published names.
            self.add_module(f"block{number}", nn.Sequential(block))
        for number, outs in enumerate(c.channels):
            self.add_module(f"fc_attention{number}", nn.Sequential(nn.Linear(outs, outs)))
        self.blocks = len(c.channels)
        self.bn_before_gru = nn.BatchNorm1d(c.channels[-1])
        self.gru = nn.GRU(c.channels[-1], c.recurrent, num_layers=3, batch_first=True)
        self.fc1_gru = nn.Linear(c.recurrent, c.recurrent)
        self.fc2_gru = nn.Linear(c.recurrent, 2)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        x = F.selu(self.first_bn(F.max_pool1d(self.Sinc_conv(waveforms).abs(), 3)))
        for number in range(self.blocks):
            x = self.get_submodule(f"block{number}")(x)
            scale = self.get_submodule(f"fc_attention{number}")(x.mean(dim=2)).sigmoid().unsqueeze(2)
            x = x * scale + scale
        x = F.selu(self.bn_before_gru(x)).transpose(1, 2)
        return self.fc2_gru(self.fc1_gru(self.gru(x)[0][:, -1]))
