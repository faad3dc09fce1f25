"""What the forms of AASIST have in common: from spectral and temporal nodes to logits."""

import torch
from torch import nn

from dfdlib.detector.graph_layers import GraphAttention, GraphPool, HeterogeneousGraphAttention


class GraphHead(nn.Module):
    """Graph attention, pooling, and two branches of layers that see both kinds of nodes, as a base class.

    Parameters are called as in the published checkpoints. They are made in two steps, as a subclass makes its own
    between them and equal seeds are to give equal weights.
    """

    def _make_nodes(self, *, spectral: int, before: int, width: int) -> None:
        """Make the positions of so many spectral nodes, `before` values each, and two master nodes of `width`."""
        self.pos_S = nn.Parameter(torch.randn(1, spectral, before))
        self.master1 = nn.Parameter(torch.randn(1, 1, width))
        self.master2 = nn.Parameter(torch.randn(1, 1, width))

    def _make_graphs(
        self,
        *,
        before: int,
        width: int,
        narrow: int,
        keep: tuple[float, float, float],
        temperatures: tuple[float, float] = (2.0, 100.0),
        dropouts: tuple[float, float, float, float] = (0.2, 0.3, 0.2, 0.5),
    ) -> None:
        """Make the layers: nodes have `before` values, `width` after graph attention, `narrow` in branches.

        Shares to `keep` are of pools: spectral, temporal, in branches. Temperatures are of graph attention and of
        heterogeneous layers. Dropouts are before graph attention, before pools, on branches, before the last layer.
        """
        graph_dropout, pool_dropout, branch_dropout, readout_dropout = dropouts

        def homogeneous() -> GraphAttention:
            return GraphAttention(before, width, temperature=temperatures[0], dropout=graph_dropout)

        def heterogeneous(values: int) -> HeterogeneousGraphAttention:
            return HeterogeneousGraphAttention(values, narrow, temperature=temperatures[1], dropout=graph_dropout)

        def pool(values: int, share: float) -> GraphPool:
            return GraphPool(values, keep=share, dropout=pool_dropout)

        self.GAT_layer_S, self.GAT_layer_T = homogeneous(), homogeneous()
        self.pool_S, self.pool_T = pool(width, keep[0]), pool(width, keep[1])
        self.HtrgGAT_layer_ST11, self.HtrgGAT_layer_ST12 = heterogeneous(width), heterogeneous(narrow)
        self.HtrgGAT_layer_ST21, self.HtrgGAT_layer_ST22 = heterogeneous(width), heterogeneous(narrow)
        self.pool_hS1, self.pool_hT1 = pool(narrow, keep[2]), pool(narrow, keep[2])
        self.pool_hS2, self.pool_hT2 = pool(narrow, keep[2]), pool(narrow, keep[2])
        self.branch_dropout = nn.Dropout(branch_dropout)
        self.readout_dropout = nn.Dropout(readout_dropout)
        self.out_layer = nn.Linear(5 * narrow, 2)

    def _decide(self, spectral: torch.Tensor, temporal: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (B, 2) for nodes of shape (B, N, before), spectral ones without their positions."""
        spectral = self.pool_S(self.GAT_layer_S(spectral + self.pos_S))
        temporal = self.pool_T(self.GAT_layer_T(temporal))
        first, second = (
            self._branch(temporal, spectral, master, layers=layers, pools=pools)
            for master, layers, pools in (
                (self.master1, (self.HtrgGAT_layer_ST11, self.HtrgGAT_layer_ST12), (self.pool_hT1, self.pool_hS1)),
                (self.master2, (self.HtrgGAT_layer_ST21, self.HtrgGAT_layer_ST22), (self.pool_hT2, self.pool_hS2)),
            )
        )
        temporal, spectral, master = (torch.maximum(one, other) for one, other in zip(first, second, strict=True))
        found = [part for nodes in (temporal, spectral) for part in (nodes.abs().amax(dim=1), nodes.mean(dim=1))]
        return self.out_layer(self.readout_dropout(torch.cat([*found, master.squeeze(1)], dim=1)))

    def _branch(
        self,
        temporal: torch.Tensor,
        spectral: torch.Tensor,
        master: torch.Tensor,
        *,
        layers: tuple[HeterogeneousGraphAttention, HeterogeneousGraphAttention],
        pools: tuple[GraphPool, GraphPool],
    ) -> list[torch.Tensor]:
        """Return temporal nodes, spectral nodes and master node after two heterogeneous layers."""
        temporal, spectral, master = layers[0](temporal, spectral, master.expand(temporal.shape[0], -1, -1))
        before = pools[0](temporal), pools[1](spectral), master
        after = layers[1](*before)
        return [self.branch_dropout(one + other) for one, other in zip(before, after, strict=True)]
