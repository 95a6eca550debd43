"""What is learnt of the objects after the first frame: frames to match, and sums for the ridge classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, join_memories
from persam_hq.modeling.lite.ridge import RIDGE_KEYS, RidgeSums, add_ridge_sums, ridge_sums

__all__ = ["Appearance"]

SLOTS, INTERVAL = 2, 6
"""Frames kept for matching, and how many frames lie at least between two of them."""
RIDGE_RATE = 0.1
"""What a confident frame counts in the running mean of the classifier's sums, beside the first frame's."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Confident frames of K objects.

    keys: (K, SLOTS, M, C) int8, see `direction_bytes`; zero in an empty slot, which counts for little beside any
    real match. mask: (K, SLOTS, M) float16 in [0, 1]; ridge: running means of the frames' sums; filled: (K,) int64,
    slots filled so far; waited: (K,) int64, frames since the last one was.
    """

    keys: Tensor
    mask: Tensor
    ridge: RidgeSums
    filled: Tensor
    waited: Tensor

    @classmethod
    def empty(cls, k: int, *, cells: int, key_dim: int) -> Appearance:
        """Nothing learnt yet of `k` objects, with M = `cells` and C = `key_dim`."""
        n = min(key_dim, RIDGE_KEYS) + 1
        return cls(
            keys=torch.zeros(k, SLOTS, cells, key_dim, dtype=torch.int8),
            mask=torch.zeros(k, SLOTS, cells, dtype=torch.float16),
            ridge=RidgeSums(gram=torch.zeros(k, n, n), moment=torch.zeros(k, n)),
            filled=torch.zeros(k, dtype=torch.int64),
            waited=torch.zeros(k, dtype=torch.int64),
        )

    def to(self, device: torch.device | str) -> Appearance:
        """The same on a device."""
        return Appearance(
            keys=self.keys.to(device),
            mask=self.mask.to(device),
            ridge=RidgeSums(gram=self.ridge.gram.to(device), moment=self.ridge.moment.to(device)),
            filled=self.filled.to(device),
            waited=self.waited.to(device),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [self.keys, self.mask, self.ridge.gram, self.ridge.moment, self.filled, self.waited]
        return sum(t.numel() * t.element_size() for t in tensors)

    def __repr__(self) -> str:
        return f"Appearance(keys={tuple(self.keys.shape)}, bytes={self.nbytes})"

    def beside(self, first: MatchMemory) -> MatchMemory:
        """The first frame's memory (int8 keys) and the confident frames' keys, whose positions play no part."""
        keys, mask = self.keys.flatten(1, 2), self.mask.float().flatten(1)
        return join_memories(first, MatchMemory(keys=keys, mask=mask, positions=mask.new_zeros(*mask.shape, 2)))

    def added_to(self, first: RidgeSums) -> RidgeSums:
        """The first frame's sums and, weighing at most as much, those of the confident frames."""
        return add_ridge_sums(first, self.ridge, weight=torch.ones_like(first.moment[:, 0]))

    def learn(self, seen: MatchMemory, confident: Tensor) -> Appearance:
        """After a frame: keys and mask as it was `seen`, taken for objects whose result is `confident` (K,) bool."""
        _, slots, _, _ = self.keys.shape
        take = confident & ((self.filled == 0) | (self.waited + 1 >= INTERVAL))
        slot = torch.arange(slots, device=take.device)[None] == (self.filled % slots)[:, None]
        written = (slot & take[:, None])[..., None]
        frame = ridge_sums(seen)
        rate = RIDGE_RATE * confident.float()
        kept = RidgeSums(
            gram=(1 - rate)[:, None, None] * self.ridge.gram, moment=(1 - rate)[:, None] * self.ridge.moment
        )
        return Appearance(
            keys=torch.where(written[..., None], direction_bytes(seen.keys, dim=-1)[:, None], self.keys),
            mask=torch.where(written, seen.mask[:, None].half(), self.mask),
            ridge=add_ridge_sums(kept, frame, weight=rate),
            filled=self.filled + take.long(),
            waited=torch.where(take, torch.zeros_like(self.waited), self.waited + 1),
        )
