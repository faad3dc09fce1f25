"""The mean over frames and one linear layer, as behind the post-trained speech models of AntiDeepfake.

References
----------
.. [1] W. Ge et al., "Post-training for deepfake speech detection", arXiv 2506.21090.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class MeanConfiguration:
    """There is nothing to choose."""

    least_frames: ClassVar = 1


class Mean(nn.Module):
    """Features of shape (B, T, inputs) to logits of shape (B, 2): column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: MeanConfiguration, *, inputs: int = 1024):
        super().__init__()
        self.proj_fc = nn.Linear(inputs, 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.proj_fc(features.mean(dim=1))
