"""Layers that encoders and decoders share: normalisation over channels, and perceptrons."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def channels_last(module: ModuleT) -> ModuleT:
    """The same module, changed in place: its kernels laid out channels-last, which CPUs convolve fastest with."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave this one out
    return module


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W); `weight` and `bias` are (C,)."""

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float, the same shape out."""
        # Spelled out rather than F.layer_norm: published numbers were computed in this order of operations
        centred = x - x.mean(dim=1, keepdim=True)
        variance = centred.square().mean(dim=1, keepdim=True)
        normalised = centred / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * normalised + self.bias[:, None, None]


class FusedLayerNorm2d(LayerNorm2d):
    """The same in one pass over channels-last memory, for lite, whose weights were trained with it.

    Its sums are rounded in another order than the published ones, so SAM's parts keep LayerNorm2d.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float, the same shape out."""
        _, c, _, _ = x.shape
        # Channels last by a view alone, where memory is laid out so
        return F.layer_norm(x.permute(0, 2, 3, 1), (c,), self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class MLP(nn.Module):
    """`num_layers` linear layers with ReLU between them (SAM's prediction heads)."""

    def __init__(self, *, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        sizes = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to (..., output_dim)."""
        # The last layer has no activation: its output is a logit, or a token's weights
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        out: Tensor = last(x)
        return out


class MLPBlock(nn.Module):
    """Linear, activation, linear: the feed-forward part of SAM's transformer blocks."""

    def __init__(self, *, embedding_dim: int, mlp_dim: int, act: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(..., embedding_dim) float, the same shape out."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out
