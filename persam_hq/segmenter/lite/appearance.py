"""The appearance that lite's tracker learns after the first frame: frames to match, sums for the ridge classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes
from persam_hq.modeling.lite.ridge import RIDGE_KEYS, RidgeSums, add_ridge_sums, ridge_sums
from persam_hq.segmenter.lite.config import LiteConfig

__all__ = ["Appearance"]


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Confident frames of K objects, in S slots of M cells; part of the travelling memory.

    keys: (K, S, M, C) int8, see `direction_bytes`; zero in an empty slot, which counts for little beside any real
    match. mask: (K, S, M) float16 in [0, 1]; ridge: running means of the frames' sums; filled: (K,) int64, slots
    filled so far; waited: (K,) int64, frames since the last one was.
    """

    keys: Tensor
    mask: Tensor
    ridge: RidgeSums
    filled: Tensor
    waited: Tensor

    @classmethod
    def empty(cls, k: int, *, cells: int, key_dim: int, slots: int) -> Appearance:
        """Nothing learned yet of `k` objects, with S = `slots`, M = `cells` and C = `key_dim`."""
        n = min(key_dim, RIDGE_KEYS) + 1
        return cls(
            keys=torch.zeros(k, slots, cells, key_dim, dtype=torch.int8),
            mask=torch.zeros(k, slots, cells, dtype=torch.float16),
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

    @property
    def examples(self) -> MatchMemory:
        """The confident frames as a matching memory (int8 keys); their positions play no part and are zero."""
        keys, mask = self.keys.flatten(1, 2), self.mask.float().flatten(1)
        return MatchMemory(keys=keys, mask=mask, positions=mask.new_zeros(*mask.shape, 2))

    def learn(self, example: MatchMemory, confident: Tensor, config: LiteConfig) -> Appearance:
        """The appearance after a frame, which is learned from where the result is `confident` (K,) bool."""
        # The oldest slot is overwritten, unless the newest one is too fresh
        _, slots, _, _ = self.keys.shape
        take = confident & ((self.filled == 0) | (self.waited + 1 >= config.appearance_interval))
        slot = torch.arange(slots, device=take.device)[None] == (self.filled % slots)[:, None]
        written = (slot & take[:, None])[..., None]

        # The classifier learns from every confident frame
        rate = config.ridge_rate * confident.float()
        kept = RidgeSums(
            gram=(1 - rate)[:, None, None] * self.ridge.gram, moment=(1 - rate)[:, None] * self.ridge.moment
        )
        return Appearance(
            keys=torch.where(written[..., None], direction_bytes(example.keys, dim=-1)[:, None], self.keys),
            mask=torch.where(written, example.mask[:, None].half(), self.mask),
            ridge=add_ridge_sums(kept, ridge_sums(example), weight=rate),
            filled=self.filled + take.long(),
            waited=torch.where(take, torch.zeros_like(self.waited), self.waited + 1),
        )
