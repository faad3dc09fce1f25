"""The layers of AASIST: residual blocks, graph attention over one and two kinds of nodes, graph pooling."""

import torch
from torch import nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two convolutions across bands and times, and a shortcut around them; keeps the size of the map.

    The first block has no `bn1`; the others have one that is not used (see `aasist`).
    """

    def __init__(self, before: int, after: int, *, first: bool):
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(before).requires_grad_(False)
        # The first convolution adds a band and the second takes one away.
        self.conv1 = nn.Conv2d(before, after, kernel_size=(2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, kernel_size=(2, 3), padding=(0, 1))
        self.conv_downsample = None
        if before != after:
            self.conv_downsample = nn.Conv2d(before, after, kernel_size=(1, 3), padding=(0, 1))

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Return a map of shape (B, after, bands, times) for one of shape (B, before, bands, times)."""
        shortcut = places if self.conv_downsample is None else self.conv_downsample(places)
        return self.conv2(F.selu(self.bn2(self.conv1(places)))) + shortcut


class GraphAttention(nn.Module):
    """Each node becomes a mix of all nodes of its graph, plus itself: `before` values per node in, `after` out.

    Attention scores are divided by the temperature; dropout is on the input.
    """

    def __init__(self, before: int, after: int, *, temperature: float, dropout: float):
        super().__init__()
        self.temperature = temperature
        self.att_proj = nn.Linear(before, after)
        self.att_weight = _attention_vector(after)
        self.proj_with_att = nn.Linear(before, after)
        self.proj_without_att = nn.Linear(before, after)
        self.bn = nn.BatchNorm1d(after)
        self.input_dropout = nn.Dropout(dropout)

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """Return nodes of shape (B, N, after) for nodes of shape (B, N, before)."""
        nodes = self.input_dropout(nodes)
        scores = (_pairs(nodes, self.att_proj) @ self.att_weight).squeeze(-1)
        attention = (scores / self.temperature).softmax(dim=2)
        return _activate(self.proj_with_att(attention @ nodes) + self.proj_without_att(nodes), self.bn)


class HeterogeneousGraphAttention(nn.Module):
    """Graph attention over two kinds of nodes at once, and a master node that attends over all of them.

    Which learned vector scores a pair of nodes depends on their kinds: both of kind 1, both of kind 2, or one of each.
    Attention scores are divided by the temperature; dropout is on the input nodes of both kinds.
    """

    def __init__(self, before: int, after: int, *, temperature: float, dropout: float):
        super().__init__()
        self.temperature = temperature
        self.proj_type1 = nn.Linear(before, before)
        self.proj_type2 = nn.Linear(before, before)
        self.att_proj = nn.Linear(before, after)
        self.att_projM = nn.Linear(before, after)
        self.att_weight11 = _attention_vector(after)
        self.att_weight22 = _attention_vector(after)
        self.att_weight12 = _attention_vector(after)
        self.att_weightM = _attention_vector(after)
        self.proj_with_att = nn.Linear(before, after)
        self.proj_without_att = nn.Linear(before, after)
        self.proj_with_attM = nn.Linear(before, after)
        self.proj_without_attM = nn.Linear(before, after)
        self.bn = nn.BatchNorm1d(after)
        self.input_dropout = nn.Dropout(dropout)

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, master: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return both kinds of nodes and the master node, each with `after` values.

        They come with shapes (B, N1, before), (B, N2, before) and (B, 1, before).
        """
        n = first.shape[1]
        nodes = self.input_dropout(torch.cat([self.proj_type1(first), self.proj_type2(second)], dim=1))

        scores = (_scores(nodes * master, self.att_projM) @ self.att_weightM).transpose(1, 2)
        attention = (scores / self.temperature).softmax(dim=2)  # (B, 1, N1 + N2)
        master = self.proj_with_attM(attention @ nodes) + self.proj_without_attM(master)

        pairs = _pairs(nodes, self.att_proj)
        upper = torch.cat([pairs[:, :n, :n] @ self.att_weight11, pairs[:, :n, n:] @ self.att_weight12], dim=2)
        lower = torch.cat([pairs[:, n:, :n] @ self.att_weight12, pairs[:, n:, n:] @ self.att_weight22], dim=2)
        scores = torch.cat([upper, lower], dim=1).squeeze(-1)
        attention = (scores / self.temperature).softmax(dim=2)
        nodes = _activate(self.proj_with_att(attention @ nodes) + self.proj_without_att(nodes), self.bn)
        return nodes[:, :n], nodes[:, n:], master


class GraphPool(nn.Module):
    """Keep the nodes with the highest scores, each multiplied by its score.

    The share to keep is rounded down, but at least one node; dropout is on what the score is computed from.
    """

    def __init__(self, width: int, *, keep: float, dropout: float):
        super().__init__()
        self.keep = keep
        self.proj = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """Return nodes of shape (B, max(1, floor(keep N)), width), best first, for nodes of shape (B, N, width)."""
        scores = self.proj(self.dropout(nodes)).sigmoid()
        # torch's own rounding and maximum, so that an exported graph computes the number from the length it is given.
        kept = torch.sym_max(1, torch.sym_int(nodes.shape[1] * self.keep))
        best = scores.topk(kept, dim=1).indices
        return (nodes * scores).gather(1, best.expand(-1, -1, nodes.shape[2]))


def _attention_vector(width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(width, 1)))


def _scores(products: torch.Tensor, projection: nn.Linear) -> torch.Tensor:
    return torch.tanh(projection(products))


def _pairs(nodes: torch.Tensor, projection: nn.Linear) -> torch.Tensor:
    """Return shape (B, N, N, after): what attention scores are read from, for each pair of nodes (B, N, before)."""
    return _scores(nodes.unsqueeze(2) * nodes.unsqueeze(1), projection)


def _activate(nodes: torch.Tensor, norm: nn.BatchNorm1d) -> torch.Tensor:
    """Batch norm over all nodes of all clips, then SELU."""
    return F.selu(norm(nodes.flatten(0, 1))).view_as(nodes)
