"""The two-layer perceptron inside every transformer block."""

from __future__ import annotations

from torch import Tensor, nn


class MLPBlock(nn.Module):
    """Linear, activation, linear: (..., embedding_dim) to the same shape."""

    def __init__(self, *, embedding_dim: int, mlp_dim: int, act: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(..., embedding_dim) float."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out
