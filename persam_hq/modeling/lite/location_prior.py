"""The dense location prior of lite: where the object is, as matching, a target model and the past say it.

Per cell, at the stride of the keys, it has the channels of `PriorChannel`. What is not known is zero, and so is its
flag. The decoder receives the prior twice, embedded: on the image embedding and on the skip at the keys' stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, match_directions, match_nearby, read_out
from persam_hq.modeling.lite.ridge import RidgeSums, ridge_weights


class PriorChannel(IntEnum):
    """The channels of the dense prior, in the order in which the weights expect them."""

    FIRST_READ_OUT = 0
    """The first frame's mask, read out by matching, in [-1, 1]; confident frames are matched together with it."""
    FIRST_FOREGROUND = 1
    """The best similarity to a foreground cell of it, a cosine."""
    FIRST_BACKGROUND = 2
    """The best similarity to a background cell of it, a cosine."""
    RIDGE_SCORE = 3
    """The ridge classifier's score in [-2, 2]; 1 is foreground, -1 background."""
    PREVIOUS_READ_OUT = 4
    """The previous frame's mask, read out by matching, in [-1, 1]."""
    FIRST_KNOWN = 5
    """Flag: 1 where there is a first frame."""
    RIDGE_KNOWN = 6
    """Flag: 1 where there is a ridge classifier."""
    PREVIOUS_KNOWN = 7
    """Flag: 1 where there is a previous mask."""
    PREVIOUS_MASK_TOP_LEFT = 8
    """The previous mask itself in [-1, 1]. It is twice as fine as the prior, so its sub-cells are four channels."""
    PREVIOUS_MASK_TOP_RIGHT = 9
    PREVIOUS_MASK_BOTTOM_LEFT = 10
    PREVIOUS_MASK_BOTTOM_RIGHT = 11


PRIOR_CHANNELS: Final = len(PriorChannel)

PREVIOUS_MASK_CHANNELS: Final[list[int]] = [
    PriorChannel.PREVIOUS_MASK_TOP_LEFT,
    PriorChannel.PREVIOUS_MASK_TOP_RIGHT,
    PriorChannel.PREVIOUS_MASK_BOTTOM_LEFT,
    PriorChannel.PREVIOUS_MASK_BOTTOM_RIGHT,
]
FIRST_CHANNELS: Final[list[int]] = [
    PriorChannel.FIRST_READ_OUT,
    PriorChannel.FIRST_FOREGROUND,
    PriorChannel.FIRST_BACKGROUND,
    PriorChannel.FIRST_KNOWN,
]
RIDGE_CHANNELS: Final[list[int]] = [PriorChannel.RIDGE_SCORE, PriorChannel.RIDGE_KNOWN]
PREVIOUS_CHANNELS: Final[list[int]] = [
    PriorChannel.PREVIOUS_READ_OUT,
    PriorChannel.PREVIOUS_KNOWN,
    *PREVIOUS_MASK_CHANNELS,
]
"""The channels of each source, its flag among them."""

MASK_CHANNELS: Final[tuple[list[int], ...]] = (
    [PriorChannel.FIRST_READ_OUT],
    [PriorChannel.RIDGE_SCORE],
    [PriorChannel.PREVIOUS_READ_OUT, *PREVIOUS_MASK_CHANNELS],
)
"""The channels of each source that say where the mask is, without similarities and flags."""

_RIDGE_LIMIT: Final = 2.0
"""The classifier's scores are cut at twice what they are fitted to, so that a wild one does not outweigh all others."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorSources:
    """The sources of the prior of one frame; None where there is no such source.

    previous_mask: (B, 1, 2g, 2g) float in [0, 1] seen through the current window, at twice the keys' grid g.
    prompted: `previous` is what prompts say of this very image, roughly, and no result of another frame.
    """

    first: MatchMemory | None = None
    ridge: RidgeSums | None = None
    previous: MatchMemory | None = None
    previous_mask: Tensor | None = None
    prompted: bool = False

    def __repr__(self) -> str:
        mask = None if self.previous_mask is None else tuple(self.previous_mask.shape)
        return f"PriorSources(first={self.first}, ridge={self.ridge}, previous={self.previous}, previous_mask={mask})"


class DenseLocationPrior(nn.Module):
    """Computes the channels and embeds them, for the image embedding and for the skip at the keys' stride."""

    def __init__(self, *, hidden_dim: int, embed_dim: int, middle_dim: int) -> None:
        super().__init__()
        # What training starts from; the released weights hold 75, 45 and 10, which were set by `checkpoints fit-keys`
        self.log_temperature_first = nn.Parameter(torch.tensor(math.log(20.0)))
        self.log_temperature_previous = nn.Parameter(torch.tensor(math.log(20.0)))
        self.log_temperature_prompt = nn.Parameter(torch.tensor(math.log(10.0)))
        # Learned from here on: the reach of the past in window sides, and the regularisation of the ridge classifier
        self.log_reach = nn.Parameter(torch.tensor(math.log(0.12)))
        self.log_ridge = nn.Parameter(torch.tensor(math.log(0.02)))
        self.hidden = nn.Sequential(nn.Conv2d(PRIOR_CHANNELS, hidden_dim, 3, padding=1), nn.GELU())
        self.to_middle = nn.Conv2d(hidden_dim, middle_dim, 1)
        self.to_embedding = nn.Conv2d(hidden_dim, embed_dim, kernel_size=2, stride=2)

    def channels(self, keys: Tensor, positions: Tensor, window_side: Tensor, sources: PriorSources) -> Tensor:
        """The prior itself, (B, 12, g, g) float, in the order of `PriorChannel`.

        `keys` (B, K, g, g), unit length over K; `positions` (B, g*g, 2) pixels; `window_side` (B,) pixels, the unit
        of the previous frame's reach.
        """
        b, _, g, _ = keys.shape
        queries = keys.flatten(2).transpose(1, 2)

        # What each source says of each cell; without gradients, matching compares directions as bytes
        matched = queries if torch.is_grad_enabled() else direction_bytes(queries.float(), dim=-1)
        nothing = queries.new_zeros(queries.shape[:2])
        first = [nothing] * 3 if sources.first is None else self._match_first(matched, sources.first)
        ridge = self._classify(queries, sources.ridge)
        temperature = (self.log_temperature_prompt if sources.prompted else self.log_temperature_previous).exp()
        previous = nothing
        if sources.previous is not None:
            previous = self._match_previous(matched, positions, window_side, sources.previous, temperature=temperature)

        # A flag per source, beside what they say
        known = (sources.first is not None, sources.ridge is not None, sources.previous_mask is not None)
        flags = [torch.full_like(ridge, float(flag)) for flag in known]
        maps = torch.stack([*first, ridge, previous, *flags], dim=1).reshape(b, -1, g, g)

        # The previous mask is twice as fine: its sub-cells become channels
        mask = maps.new_zeros(b, 4, g, g)
        if sources.previous_mask is not None:
            mask = F.pixel_unshuffle(2 * sources.previous_mask.to(maps.dtype) - 1, 2)
        return torch.cat([maps, mask], dim=1)

    def _match_first(self, queries: Tensor, memory: MatchMemory) -> list[Tensor]:
        """Read-out, best foreground and best background similarity, (B, N) each in [-1, 1]."""
        temperature = self.log_temperature_first.exp()
        if not torch.is_grad_enabled():
            read, *best = match_directions(queries, memory.keys, memory.mask, temperature=temperature)
            return [2 * read - 1, *best]
        logits = (queries * temperature) @ memory.keys.transpose(1, 2).to(queries.dtype)
        read, inside = read_out(logits, memory.mask), (memory.mask > 0.5)[:, None]
        with torch.no_grad():  # the best similarities inform the decoder; learning goes through the read-out
            sides = (logits.masked_fill(other, -torch.inf) for other in (~inside, inside))
            best = [side.amax(dim=-1).clamp(min=-temperature) / temperature for side in sides]
        return [2 * read - 1, *best]

    def _classify(self, queries: Tensor, sums: RidgeSums | None) -> Tensor:
        """The ridge classifier's score (B, N) in [-2, 2]; 1 is foreground, -1 background."""
        if sums is None:
            return queries.new_zeros(queries.shape[:2])
        weights = ridge_weights(sums, regularisation=self.log_ridge.exp()).to(queries.dtype)
        leading = queries[..., : weights.shape[-1] - 1]
        score: Tensor = (leading @ weights[:, :-1, None])[..., 0] + weights[:, -1:]
        return score.clamp(-_RIDGE_LIMIT, _RIDGE_LIMIT)

    def _match_previous(
        self,
        queries: Tensor,
        positions: Tensor,
        window_side: Tensor,
        memory: MatchMemory,
        *,
        temperature: Tensor,
    ) -> Tensor:
        """Read-out (B, N) in [-1, 1] of the previous frame's mask, with a Gaussian bias for what lies near."""
        # A Gaussian of the distance is one more inner product: -|p - m|^2 / 2 = p.m - |m|^2 / 2, and what depends on
        # the query alone cancels in the softmax.
        unit = (window_side * self.log_reach.exp())[:, None, None]
        centre = memory.positions.mean(dim=1, keepdim=True)
        here, there = (positions - centre) / unit, (memory.positions - centre) / unit
        offset = -there.square().sum(dim=-1, keepdim=True) / 2
        here, there = torch.cat([here, torch.ones_like(here[..., :1])], dim=-1), torch.cat([there, offset], dim=-1)
        if not torch.is_grad_enabled():
            read = match_nearby(
                queries, memory.keys, memory.mask, temperature=temperature, here=here.float(), there=there.float()
            )
            return 2 * read - 1
        q = torch.cat([queries * temperature, here], dim=-1)
        k = torch.cat([memory.keys.to(queries.dtype), there], dim=-1)
        return 2 * read_out(q @ k.transpose(1, 2), memory.mask) - 1

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """The prior (B, 12, g, g), embedded for the image embedding (B, C, g/2, g/2) and for the skip (B, C', g, g)."""
        hidden = self.hidden(channels)
        return self.to_embedding(hidden), self.to_middle(hidden)
