"""Nes2Net and Nes2Net-X: groups of channels, each fed by the one before it, inside groups of channels.

Activation comes before batch norm everywhere, as in the published networks.

References
----------
.. [1] T. Liu et al., "Nes2Net: A lightweight nested architecture for foundation model driven speech anti-spoofing",
   IEEE T-IFS 2025, arXiv 2504.05657.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Nes2NetConfiguration:
    """The sizes of Nes2Net."""

    # Channels are split into so many groups, and those of each group again.
    groups: int = 8
    inner_groups: int = 8
    stacked: bool = True  # Nes2Net-X: an inner group is summed over all groups before it, with learned weights
    dilation: int = 2  # of the inner convolutions, in frames
    pooling: Literal["mean", "attentive"] = "mean"  # what is made of all frames: their mean, or attentive statistics
    activation: Literal["relu", "selu"] = "relu"
    outputs: int = 2  # a detector has two
    least_frames: ClassVar = 1


class Nes2Net(nn.Module):
    """Features of shape (B, T, inputs) to logits of shape (B, outputs): column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: Nes2NetConfiguration, *, inputs: int = 1024):
        super().__init__()
        self.Nested_Res2Net_TDNN = _Outer(configuration, inputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.Nested_Res2Net_TDNN(features.transpose(1, 2))


class _Outer(nn.Module):
    def __init__(self, c: Nes2NetConfiguration, inputs: int):
        super().__init__()
        width = inputs // c.groups
        self.activate = getattr(F, c.activation)
        self.Build_in_Res2Nets = nn.ModuleList(_Inner(c, width) for _ in range(c.groups - 1))
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(c.groups - 1))
        self.bn = nn.BatchNorm1d(inputs)
        self.pooling = _AttentiveStatistics(inputs) if c.pooling == "attentive" else None
        self.fc = nn.Linear(2 * inputs if self.pooling else inputs, c.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *groups, last = x.chunk(len(self.bns) + 1, dim=1)
        done: list[torch.Tensor] = []
        for block, norm, group in zip(self.Build_in_Res2Nets, self.bns, groups, strict=True):
            done.append(norm(self.activate(block(done[-1] + group if done else group))))
        x = self.activate(self.bn(torch.cat([*done, last], dim=1)))
        return self.fc(self.pooling(x) if self.pooling else x.mean(dim=2))


class _Inner(nn.Module):
    def __init__(self, c: Nes2NetConfiguration, width: int):
        super().__init__()
        narrow, count = width // c.inner_groups, c.inner_groups - 1
        self.activate, self.stacked = getattr(F, c.activation), c.stacked
        self.conv1, self.bn1 = nn.Conv1d(width, width, kernel_size=1), nn.BatchNorm1d(width)
        if c.stacked:
            self.weighted_sum = nn.ParameterList(
                torch.full((1, 1, 1, maps), 1 / maps) for maps in range(2, c.inner_groups + 1)
            )
            # A map for each place of the last axis: the kernel spans frames alone.
            sizes = {"kernel_size": (3, 1), "dilation": (c.dilation, 1), "padding": (c.dilation, 0)}
            convolution, norm = nn.Conv2d, nn.BatchNorm2d
        else:
            sizes = {"kernel_size": 3, "dilation": c.dilation, "padding": c.dilation}
            convolution, norm = nn.Conv1d, nn.BatchNorm1d
        self.convs = nn.ModuleList(convolution(narrow, narrow, **sizes) for _ in range(count))
        self.bns = nn.ModuleList(norm(narrow) for _ in range(count))
        self.conv3, self.bn3 = nn.Conv1d(width, width, kernel_size=1), nn.BatchNorm1d(width)
        self.se = _SqueezeAndExcitation(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *groups, last = self.bn1(self.activate(self.conv1(x))).chunk(len(self.convs) + 1, dim=1)
        done = self._stacked(groups, last) if self.stacked else self._chained(groups)
        y = self.bn3(self.activate(self.conv3(torch.cat([*done, last], dim=1))))
        return self.se(y) + x

    def _stacked(self, groups: list[torch.Tensor], last: torch.Tensor) -> list[torch.Tensor]:
        done, stack = [], last.unsqueeze(-1)
        for group, convolution, norm, weights in zip(groups, self.convs, self.bns, self.weighted_sum, strict=True):
            stack = norm(self.activate(convolution(torch.cat([stack, group.unsqueeze(-1)], dim=-1))))
            done.append((stack * weights).sum(dim=-1))
        return done

    def _chained(self, groups: list[torch.Tensor]) -> list[torch.Tensor]:
        done: list[torch.Tensor] = []
        for group, convolution, norm in zip(groups, self.convs, self.bns, strict=True):
            done.append(norm(self.activate(convolution(done[-1] + group if done else group))))
        return done


class _SqueezeAndExcitation(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(width, width, kernel_size=1),
            nn.ReLU(),
            nn.Conv1d(width, width, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.se(x)


class _AttentiveStatistics(nn.Module):
    def __init__(self, inputs: int, width: int = 128):
        super().__init__()
        self.linear1 = nn.Conv1d(inputs, width, kernel_size=1)
        self.linear2 = nn.Conv1d(width, inputs, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.linear2(torch.tanh(self.linear1(x))).softmax(dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * x**2).sum(dim=2) - mean**2
        return torch.cat([mean, variance.clamp(min=1e-10).sqrt()], dim=1)
