"""The back end: AASIST, which reads speech features as two graphs and decides between spoof and bona fide.

The features of all frames become an image (feature by time), residual convolutions turn the image into a map of
`channels[-1]` values per place, and attention over that map gives two sets of nodes: spectral ones (what happens in
one band, over all time) and temporal ones (what happens at one time, over all bands). Graph attention, graph pooling,
and two parallel branches of layers that see both kinds of nodes at once follow [1]_, in the variant that was published
on top of wav2vec 2.0 [2]_.

Attribute names are those of the published checkpoints, so that a state dict needs no translation. What may surprise:

- In each residual block after the first, the published network computes a batch norm (`bn1`) whose result it
  then does not use. The parameters exist here, are not computed with, and get no gradient.
- In the heterogeneous layers, kind 1 is temporal and kind 2 is spectral.

References
----------
.. [1] J. Jung et al., "AASIST: Audio anti-spoofing using integrated spectro-temporal graph attention networks",
   ICASSP 2022.
.. [2] H. Tak et al., "Automatic speaker verification spoofing and deepfake detection using wav2vec 2.0 and data
   augmentation", Odyssey 2022.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.detector.backends.graph_head import GraphHead
from dfdlib.detector.graph_layers import ResidualBlock
from dfdlib.errors import ParameterError

#: The image shrinks by this factor in both directions before the first convolution.
POOL = 3


@dataclass(frozen=True, kw_only=True)
class AasistConfiguration:
    """The sizes of the back end."""

    features: int  # rows of the image: what the linear layer makes of the front end's values per frame
    channels: tuple[int, ...]  # output channels of each residual block
    attention_width: int  # channels inside the attention over the map
    # Values per node after the first graph attention layers and after the heterogeneous ones.
    graph_width: int
    heterogeneous_width: int
    # What attention scores are divided by in these layers: higher makes them look at all nodes alike.
    graph_temperature: float = 2.0
    heterogeneous_temperature: float = 100.0
    keep: float = 0.5  # share of the nodes that a graph pooling keeps
    # Dropout, in training only: on the input of graph attention, on what graph pooling scores, on the output of each
    # branch, and before the last layer.
    graph_dropout: float = 0.2
    pool_dropout: float = 0.3
    branch_dropout: float = 0.2
    readout_dropout: float = 0.5

    def __post_init__(self):
        if self.features < POOL:
            raise ParameterError(f"features={self.features}: must be at least {POOL}, or no spectral node is left")
        for name, value in vars(self).items():
            if name.endswith("dropout") and not 0 <= value < 1:
                raise ParameterError(f"{name}={value}: must be at least 0 and below 1")
            if name.endswith("temperature") and not 0 < value < float("inf"):
                raise ParameterError(f"{name}={value}: must be above 0")
        if not 0 < self.keep <= 1:
            raise ParameterError(f"keep={self.keep}: must be above 0 and at most 1")

    @property
    def spectral_nodes(self) -> int:
        """Number of spectral nodes, which is fixed: each has a learned position."""
        return self.features // POOL

    @property
    def least_frames(self) -> int:
        """Fewest frames that leave one temporal node."""
        return POOL


FULL = AasistConfiguration(
    features=128,
    channels=(32, 32, 64, 64, 64, 64),
    attention_width=128,
    graph_width=64,
    heterogeneous_width=32,
)

SMALL = AasistConfiguration(
    features=60,
    channels=(16, 16, 24, 32),
    attention_width=64,
    graph_width=32,
    heterogeneous_width=24,
)


class Aasist(GraphHead):
    """Features of shape (B, T, inputs) to logits of shape (B, 2): column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: AasistConfiguration = FULL, *, inputs: int = 1024):
        super().__init__()
        c = configuration
        map_width, width = c.channels[-1], c.graph_width
        self._make_nodes(spectral=c.spectral_nodes, before=map_width, width=width)
        self.LL = nn.Linear(inputs, c.features)
        self.first_bn = nn.BatchNorm2d(1)
        ins = (1, *c.channels[:-1])
        # The sequences of one element only give the parameters their published names, `encoder.0.0.conv1` and so on.
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(ResidualBlock(before, after, first=index == 0))
                for index, (before, after) in enumerate(zip(ins, c.channels, strict=True))
            )
        )
        self.first_bn1 = nn.BatchNorm2d(map_width)
        self.attention = nn.Sequential(
            nn.Conv2d(map_width, c.attention_width, kernel_size=1),
            nn.SELU(),
            nn.BatchNorm2d(c.attention_width),
            nn.Conv2d(c.attention_width, map_width, kernel_size=1),
        )

        self._make_graphs(
            before=map_width,
            width=width,
            narrow=c.heterogeneous_width,
            keep=(c.keep,) * 3,
            temperatures=(c.graph_temperature, c.heterogeneous_temperature),
            dropouts=(c.graph_dropout, c.pool_dropout, c.branch_dropout, c.readout_dropout),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (B, 2) for features of shape (B, T, inputs)."""
        if features.shape[1] < POOL:
            raise ParameterError(f"features of {features.shape[1]} frames: the back end needs at least {POOL}")
        image = self.LL(features).transpose(1, 2).unsqueeze(1)  # (B, 1, features, T)
        image = F.selu(self.first_bn(F.max_pool2d(image, POOL)))
        places = F.selu(self.first_bn1(self.encoder(image)))  # (B, channels, bands, times)
        attention = self.attention(places)

        spectral = (places * attention.softmax(dim=3)).sum(dim=3).transpose(1, 2)
        temporal = (places * attention.softmax(dim=2)).sum(dim=2).transpose(1, 2)
        return self._decide(spectral, temporal)
