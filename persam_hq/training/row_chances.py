"""Random choices of a step whose rows are spread over workers: each row draws from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from persam_hq.training.chances import Chances


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
