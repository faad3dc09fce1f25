"""A small residual network on log spectrograms of waveforms.

The kind is that of [1]_: bands and times are an image, and its residual blocks look for what is local in both. Mean and
standard deviation over time of each channel and band go to one linear layer, so a clip may have any length.

References
----------
.. [1] M. Alzantot, Z. Wang, M. B. Srivastava, "Deep residual neural networks for audio spoofing detection",
   Interspeech 2019, arXiv 1907.00501.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class ResNetConfiguration:
    """The sizes of the network."""

    # Samples of a frame of the spectrogram, and from one frame to the next.
    frame: int = 512
    hop: int = 200
    # Added to magnitudes before the logarithm, when a clip has a root mean square of 1: what is far below it is noise.
    floor: float = 0.1
    channels: tuple[int, ...] = (12, 16, 32, 64)  # output channels of each block
    dropout: float = 0.2  # before the last layer, in training only

    def __post_init__(self):
        if not self.channels or self.hop < 1:
            raise ParameterError(f"channels={self.channels}, hop={self.hop}: one block and one sample at least")
        if self.frame % 2 or self.bands < 1:
            raise ParameterError(
                f"frame={self.frame}: must be even, and at least {4 * 2 ** len(self.channels)} samples"
            )
        if not 0 < self.floor < float("inf"):
            raise ParameterError(f"floor={self.floor}: must be above 0")
        if not 0 <= self.dropout < 1:
            raise ParameterError(f"dropout={self.dropout}: must be at least 0 and below 1")

    @property
    def bands(self) -> int:
        """Bands that are left behind the last block."""
        return self.frame // 4 // 2 ** len(self.channels)

    @property
    def least_samples(self) -> int:
        """Fewest samples that make a frame."""
        return self.frame


class _Block(nn.Module):
    """Two convolutions and a shortcut; halves the bands, and times by `stride`."""

    def __init__(self, before: int, after: int, *, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=(2, stride), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential(
            nn.Conv2d(before, after, 1, stride=(2, stride), bias=False), nn.BatchNorm2d(after)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    """Waveforms of shape (B, n) to logits of shape (B, 2), column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: ResNetConfiguration):
        super().__init__()
        c = configuration
        self.hop, self.floor = c.hop, c.floor
        self.register_buffer("basis", _fourier_basis(c.frame), persistent=False)
        first = c.channels[0]
        self.conv = nn.Conv2d(1, first, (5, 3), stride=(2, 1), padding=(2, 1), bias=False)
        self.bn = nn.BatchNorm2d(first)
        # All blocks but the second halve the times.
        self.blocks = nn.Sequential(
            *(
                _Block(before, after, stride=1 if number == 1 else 2)
                for number, (before, after) in enumerate(zip((first, *c.channels), c.channels, strict=False))
            )
        )
        self.dropout = nn.Dropout(c.dropout)
        self.fc = nn.Linear(2 * c.channels[-1] * c.bands, 2)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(self.log_spectrogram(waveforms).unsqueeze(1))))).flatten(1, 2)
        mean = x.mean(dim=2, keepdim=True)
        # The term below the root keeps its gradient finite where a channel is the same all the time.
        deviation = ((x - mean).square().mean(dim=2) + 1e-5).sqrt()
        return self.fc(self.dropout(torch.cat([mean.squeeze(2), deviation], dim=1)))

    def log_spectrogram(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return log magnitudes of shape (B, frame / 2, times), from 0 Hz on; how loud a clip is plays no part."""
        level = waveforms.square().mean(dim=1, keepdim=True).sqrt()
        frames = (waveforms / (level + 1e-6)).unfold(1, len(self.basis), self.hop)
        cosine, sine = (frames @ self.basis.to(frames.dtype)).chunk(2, dim=2)
        return torch.log((cosine.square() + sine.square() + 1e-12).sqrt() + self.floor).transpose(1, 2)


def _fourier_basis(frame: int) -> torch.Tensor:
    """Return a Hann window times cosines and sines, shape (frame, frame), without the band at half the sampling rate.

    A product with it is a Fourier transform that other programs compute too.
    """
    # Computed in float64 on the processor, whatever torch's default device is now.
    real = {"dtype": torch.float64, "device": "cpu"}
    samples = torch.arange(frame, **real)[:, None]
    phases = 2 * torch.pi / frame * samples * torch.arange(frame // 2, **real)
    window = torch.hann_window(frame, **real)[:, None]
    return (window * torch.cat([phases.cos(), phases.sin()], dim=1)).float()
