"""SLS: a weighted sum of all layers of the front end, as an image, through three linear layers.

References
----------
.. [1] Q. Zhang, S. Wen and T. Hu, "Audio deepfake detection with XLS-R and SLS classifier", ACM Multimedia 2024.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

#: The image shrinks by this factor in both directions.
POOL = 3


@dataclass(frozen=True, kw_only=True)
class SlsConfiguration:
    """The sizes of SLS."""

    frames: int = 201  # exactly so many come from the front end: the first linear layer has a fixed size
    hidden: int = 1024  # width of the layer before the last

    @property
    def least_frames(self) -> int:
        return self.frames


class Sls(nn.Module):
    """Layers of features, shape (L, B, frames, inputs), to log-probabilities, shape (B, 2): spoof, bona fide."""

    def __init__(self, configuration: SlsConfiguration, *, inputs: int = 1024):
        super().__init__()
        self.first_bn = nn.BatchNorm2d(1)
        self.fc0 = nn.Linear(inputs, 1)
        self.fc1 = nn.Linear((configuration.frames // POOL) * (inputs // POOL), configuration.hidden)
        self.fc3 = nn.Linear(configuration.hidden, 2)

    def forward(self, layers: torch.Tensor) -> torch.Tensor:
        weights = self.fc0(layers.mean(dim=2)).sigmoid()  # (L, B, 1)
        image = (layers * weights.unsqueeze(2)).sum(dim=0).unsqueeze(1)
        image = F.max_pool2d(F.selu(self.first_bn(image)), POOL)
        # The published network ends in an activation, which no logit can fall below -1.76 behind.
        return F.selu(self.fc3(F.selu(self.fc1(image.flatten(1))))).log_softmax(dim=1)
