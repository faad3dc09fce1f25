"""AASIST on waveforms: fixed filters, residual blocks, and the graphs of AASIST.

It differs from the form on a front end in front of the graphs: time shrinks in every block, and nodes are maxima of
the map instead of sums under attention.

References
----------
.. [1] J. Jung et al., "AASIST: Audio anti-spoofing using integrated spectro-temporal graph attention networks",
   ICASSP 2022, arXiv 2110.01200.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.detector.backends.filters import MelFilters
from dfdlib.detector.backends.graph_head import GraphHead
from dfdlib.detector.graph_layers import ResidualBlock

#: The image shrinks by this factor in both directions before the first block, and in time after each.
POOL = 3


@dataclass(frozen=True, kw_only=True)
class RawAasistConfiguration:
    """The sizes of AASIST on waveforms; the defaults are those of AASIST."""

    # Fixed filters, and samples of each.
    filters: int = 70
    taps: int = 129
    channels: tuple[int, ...] = (32, 32, 64, 64, 64, 64)  # output channels of each residual block
    # Values per node after the first graph attention layers and after the heterogeneous ones.
    graph_width: int = 64
    heterogeneous_width: int = 32
    # Share of nodes that pools keep: spectral, temporal, those in branches.
    keep: tuple[float, float, float] = (0.5, 0.7, 0.5)

    @property
    def least_samples(self) -> int:
        """Fewest samples that leave one temporal node."""
        return self.taps - 1 + POOL ** (len(self.channels) + 1)


#: AASIST-L, with a third of the parameters.
LIGHT = RawAasistConfiguration(channels=(32, 32, 24, 24, 24, 24), graph_width=24, keep=(0.4, 0.5, 0.7))


class RawAasist(GraphHead):
    """Waveforms of shape (B, n) to logits of shape (B, 2), column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: RawAasistConfiguration):
        super().__init__()
        c = configuration
        before, width = c.channels[-1], c.graph_width
        self._make_nodes(spectral=c.filters // POOL, before=before, width=width)
        self.conv_time = MelFilters(filters=c.filters, taps=c.taps)
        self.first_bn = nn.BatchNorm2d(1)
        ins = (1, *c.channels[:-1])
        # The sequences of one element give the parameters their published names.
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(ResidualBlock(one, other, first=number == 0))
                for number, (one, other) in enumerate(zip(ins, c.channels, strict=True))
            )
        )
        self._make_graphs(before=before, width=width, narrow=c.heterogeneous_width, keep=c.keep)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        image = self.conv_time(waveforms).abs().unsqueeze(1)  # (B, 1, filters, time)
        places = F.selu(self.first_bn(F.max_pool2d(image, POOL)))
        for block in self.encoder:
            places = F.max_pool2d(block(places), (1, POOL))
        places = places.abs()
        return self._decide(places.amax(dim=3).transpose(1, 2), places.amax(dim=2).transpose(1, 2))
