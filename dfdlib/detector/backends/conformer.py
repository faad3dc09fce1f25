"""Conformer back ends: a class token that attends over all frames, with and without temporal-channel modelling (TCM).

References
----------
.. [1] E. Rosello et al., "A conformer-based classifier for variable-length utterance processing in anti-spoofing",
   Interspeech 2023.
.. [2] D.-T. Truong et al., "Temporal-channel modeling in multi-head self-attention for synthetic speech detection",
   Interspeech 2024, arXiv 2406.17376.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from dfdlib.errors import ParameterError

# Frames that the tables of positions reach: relative ones beyond are clamped, absolute ones an error.
_FARTHEST, _MOST_FRAMES = 512, 10_000


@dataclass(frozen=True, kw_only=True)
class ConformerConfiguration:
    """The sizes of a conformer back end."""

    # Values per frame, attention heads, blocks, taps of the convolution over frames.
    width: int = 144
    heads: int = 4
    blocks: int = 4
    kernel: int = 31
    head_tokens: bool = False  # TCM: absolute positions, and a token for each head that all frames attend to
    least_frames: ClassVar = 1

    def __post_init__(self):
        if self.heads < 1 or self.width % self.heads:
            raise ParameterError(f"width={self.width}, heads={self.heads}: each head takes an equal part of the width")


class Conformer(nn.Module):
    """Features of shape (B, T, inputs) to logits of shape (B, 2): column 0 spoof, column 1 bona fide."""

    def __init__(self, configuration: ConformerConfiguration, *, inputs: int = 1024):
        super().__init__()
        self.LL = nn.Linear(inputs, configuration.width)
        self.first_bn = nn.BatchNorm2d(1)
        self.conformer = _Encoder(configuration)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        image = F.selu(self.first_bn(self.LL(features).unsqueeze(1)))
        return self.conformer(image.squeeze(1))


class _Encoder(nn.Module):
    def __init__(self, c: ConformerConfiguration):
        super().__init__()
        if c.head_tokens:
            self.register_buffer("positional_emb", _sines(_MOST_FRAMES, c.width))
        else:
            self.positional_emb = None
        self.class_token = nn.Parameter(torch.rand(1, c.width))
        self.encoder_blocks = nn.ModuleList(_Block(c) for _ in range(c.blocks))
        self.fc5 = nn.Linear(c.width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.positional_emb is not None:
            x = x + self.positional_emb[:, : x.shape[1]]
        x = torch.cat([self.class_token.expand(x.shape[0], 1, -1), x], dim=1)
        for block in self.encoder_blocks:
            x = block(x)
        return self.fc5(x[:, 0])


class _Block(nn.Module):
    def __init__(self, c: ConformerConfiguration):
        super().__init__()
        attention = _HeadTokenAttention if c.head_tokens else _RelativeAttention
        self.ff1 = _Half(_Normed(c.width, _feed_forward(c.width)))
        self.attn = _Normed(c.width, attention(c.width, c.heads))
        self.conv = _convolution(c.width, c.kernel)
        self.ff2 = _Half(_Normed(c.width, _feed_forward(c.width)))
        self.post_norm = nn.LayerNorm(c.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in (self.ff1, self.attn, self.conv, self.ff2):
            x = x + part(x)
        return self.post_norm(x)


class _Half(nn.Module):
    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.fn(x)


class _Normed(nn.Module):
    def __init__(self, width: int, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fn(self.norm(x))


class _Sequence(nn.Module):
    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.net = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def _feed_forward(width: int) -> _Sequence:
    # The published networks have dropout, of zero, in the place without parameters.
    return _Sequence(nn.Linear(width, 4 * width), nn.SiLU(), nn.Identity(), nn.Linear(4 * width, width))


class _RelativeAttention(nn.Module):
    """Self-attention with learned vectors for how far apart two frames are."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)
        self.rel_pos_emb = nn.Embedding(2 * _FARTHEST + 1, width // heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = x.shape[1]
        parts = (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        queries, keys, values = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        places = torch.arange(count, device=x.device)
        distance = (places[:, None] - places).clamp(-_FARTHEST, _FARTHEST) + _FARTHEST
        # All products with the table, then those that are wanted: no vector for each pair of frames.
        relative = (queries @ self.rel_pos_emb.weight.T).gather(3, distance.expand(*queries.shape[:2], -1, -1))
        attention = ((queries @ keys.transpose(2, 3) + relative) * queries.shape[3] ** -0.5).softmax(dim=-1)
        return self.to_out((attention @ values).transpose(1, 2).flatten(2))


class _HeadTokenAttention(nn.Module):
    """Self-attention over frames and a token made of each head's channels; the class token gathers both."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.pos_embed = nn.Parameter(torch.zeros(1, heads, width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.ht_proj = nn.Linear(width // heads, width)
        self.ht_norm = nn.LayerNorm(width // heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = x.shape[1]
        means = x.mean(dim=1).unflatten(1, (self.heads, -1))
        tokens = F.gelu(self.ht_norm(self.ht_proj(means).unflatten(2, (self.heads, -1)))).flatten(2)
        joined = torch.cat([x, tokens + self.pos_embed], dim=1)
        parts = self.qkv(joined).chunk(3, dim=-1)
        parts = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]
        x = self.proj(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
        frames = x[:, 1:count]
        first = x[:, :1] + x[:, count:].mean(dim=1, keepdim=True) + frames.mean(dim=1, keepdim=True)
        return torch.cat([first, frames], dim=1)


def _convolution(width: int, kernel: int) -> _Sequence:
    inner = 2 * width
    return _Sequence(
        nn.LayerNorm(width),
        _Transposed(),
        nn.Conv1d(width, 2 * inner, kernel_size=1),
        nn.GLU(dim=1),
        _DepthWise(inner, kernel),
        nn.BatchNorm1d(inner),
        nn.SiLU(),
        nn.Conv1d(inner, width, kernel_size=1),
        _Transposed(),
    )


class _DepthWise(nn.Module):
    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.padding = (kernel // 2, kernel // 2 - (kernel + 1) % 2)
        self.conv = nn.Conv1d(channels, channels, kernel_size=kernel, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(x, self.padding))


class _Transposed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def _sines(frames: int, width: int) -> torch.Tensor:
    """Return the table of absolute positions, shape (1, frames, width)."""
    # On the processor, whatever torch's default device is now, and quick to compute.
    columns = torch.arange(width, device="cpu")
    angles = torch.arange(frames, device="cpu")[:, None] / 10_000 ** (2 * (columns // 2).double() / width)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float().unsqueeze(0)
