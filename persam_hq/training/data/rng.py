"""Random numbers of training: the draws of one step, per row and for the step as a whole.

A draw depends on those before it, so their order is part of what a seed means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


class StepRng:
    """Random numbers of one step from one generator: values per row of the batch, and choices for the whole step.

    They are drawn on the CPU, the same for any device, and values per row are then on `device`.
    """

    def __init__(self, rng: np.random.Generator, *, batch: int, device: torch.device | str = "cpu") -> None:
        self.rng, self.batch, self.device = rng, batch, torch.device(device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float in [low, high)."""
        return torch.from_numpy(self.rng.uniform(low, high, size=(self.batch, *shape))).float().to(self.device)

    def each(self, probability: float) -> Tensor:
        """(B,) bool, each row's true with `probability`."""
        return torch.from_numpy(self.rng.random(self.batch) < probability).to(self.device)

    def once(self, probability: float) -> bool:
        """One bool for the whole step, true with `probability`."""
        return bool(self.rng.random() < probability)

    def integer(self, stop: int) -> int:
        """One of 0 to `stop` - 1, for the whole step."""
        return int(self.rng.integers(stop))

    def pick(self, weights: Mapping[str, float]) -> str:
        """One of the names for the whole step; their weights sum to 1."""
        return str(self.rng.choice(list(weights), p=list(weights.values())))

    def cells(self, weights: Tensor, number: int) -> Tensor:
        """Indices (B, number) of different cells per row, drawn by `weights` (B, cells)."""
        # numpy draws no weighted samples without replacement for several rows at once; torch does
        generator = torch.Generator().manual_seed(self.integer(2**31))
        return torch.multinomial(weights.cpu(), number, generator=generator).to(weights.device)


class RowRng(StepRng):
    """Random numbers of one step of several workers: a row's values do not depend on which other rows a worker has.

    Each row has a generator of its own. Choices for the whole step (`once`, `integer`, `pick`) are the same on every
    worker.
    """

    def __init__(self, *, seed: int, step: int, rows: Sequence[int], purpose: int) -> None:
        super().__init__(np.random.default_rng([seed, purpose, step]), batch=len(rows))
        # numpy takes a seed that ends in 0 for the one without it, which is the step's own: rows count from 1
        self._rows = [np.random.default_rng([seed, purpose, step, row + 1]) for row in rows]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """See StepRng."""
        drawn = np.stack([rng.uniform(low, high, size=shape) for rng in self._rows])
        return torch.from_numpy(drawn).float()

    def each(self, probability: float) -> Tensor:
        """See StepRng."""
        return torch.tensor([bool(rng.random() < probability) for rng in self._rows])

    def cells(self, weights: Tensor, number: int) -> Tensor:
        """See StepRng."""
        generators = [torch.Generator().manual_seed(int(rng.integers(2**31))) for rng in self._rows]
        drawn = [torch.multinomial(w, number, generator=g) for w, g in zip(weights, generators, strict=True)]
        return torch.stack(drawn)
