"""The random choices of one training step. What comes depends on the order of the draws, so that order is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


class Chances:
    """Draws for each of `batch` clips, and for the step as a whole, from one generator."""

    def __init__(self, rng: np.random.Generator, *, batch: int) -> None:
        self.rng, self.batch = rng, batch

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float in [low, high)."""
        return torch.from_numpy(self.rng.uniform(low, high, size=(self.batch, *shape))).float()

    def each(self, probability: float) -> Tensor:
        """(B,) bool, each true with `probability`."""
        return torch.from_numpy(self.rng.random(self.batch) < probability)

    def once(self, probability: float) -> bool:
        """True with `probability`, for all clips alike."""
        return bool(self.rng.random() < probability)

    def integer(self, stop: int) -> int:
        """One of 0 to `stop` - 1."""
        return int(self.rng.integers(stop))

    def pick(self, weights: Mapping[str, float]) -> str:
        """One of the names; their weights sum to 1."""
        return str(self.rng.choice(list(weights), p=list(weights.values())))

    def cells(self, weights: Tensor, number: int) -> Tensor:
        """Indices (B, number) of different cells, drawn by `weights` (B, cells)."""
        generator = torch.Generator().manual_seed(self.integer(2**31))
        return torch.multinomial(weights, number, generator=generator)


class RowChances(Chances):
    """As Chances, but what is drawn for a row is the same whatever other rows this worker has.

    What is drawn for the step as a whole (`once`, `integer`, `pick`) is the same on every worker.
    """

    def __init__(self, *, seed: int, step: int, rows: Sequence[int], purpose: int) -> None:
        super().__init__(np.random.default_rng([seed, purpose, step]), batch=len(rows))
        self._rows = [np.random.default_rng([seed, purpose, step, row + 1]) for row in rows]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float in [low, high)."""
        drawn = np.stack([rng.uniform(low, high, size=shape) for rng in self._rows])
        return torch.from_numpy(drawn).float()

    def each(self, probability: float) -> Tensor:
        """(B,) bool, each true with `probability`."""
        return torch.tensor([bool(rng.random() < probability) for rng in self._rows])

    def cells(self, weights: Tensor, number: int) -> Tensor:
        """Indices (B, number) of different cells, drawn by `weights` (B, cells)."""
        generators = [torch.Generator().manual_seed(int(rng.integers(2**31))) for rng in self._rows]
        drawn = [torch.multinomial(w, number, generator=g) for w, g in zip(weights, generators, strict=True)]
        return torch.stack(drawn)
