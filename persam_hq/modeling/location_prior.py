"""The dense location prior of lite: where the object is, as matching, a target model and the past say it.

Twelve channels at the stride of the keys: read-out of the first frame's mask, its best foreground and background
similarity, the ridge classifier's score, read-out of the previous frame's mask, that mask itself (four channels, one a
sub-cell), and a flag for each of the three sources. What is not known is zero, and so is its flag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from persam_hq.errors import ShapeError
from persam_hq.modeling.direction_matching import match_directions, match_nearby
from persam_hq.modeling.directions import direction_bytes

PRIOR_CHANNELS = 12
FIRST_CHANNELS, RIDGE_CHANNELS, PAST_CHANNELS = [0, 1, 2, 5], [3, 6], [4, 7, 8, 9, 10, 11]
"""The channels of each source, its flag among them."""
RIDGE_KEYS = 64
"""Components of the keys, the leading ones, that the ridge classifier sees: its sums grow with their square."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchMemory:
    """What was seen of B objects on an annotated or tracked frame.

    keys: (B, M, K), unit length, or int8 from `direction_bytes` where there is no gradient; mask: (B, M) float in
    [0, 1]; positions: (B, M, 2) float (x, y) in pixels.
    """

    keys: Tensor
    mask: Tensor
    positions: Tensor

    def __post_init__(self) -> None:
        b, m, _ = self.keys.shape
        if tuple(self.mask.shape) != (b, m) or tuple(self.positions.shape) != (b, m, 2):
            raise ShapeError(
                f"a memory of keys {tuple(self.keys.shape)} takes a mask {(b, m)} and positions {(b, m, 2)}; "
                f"got {tuple(self.mask.shape)} and {tuple(self.positions.shape)}"
            )

    def __repr__(self) -> str:
        return f"MatchMemory(keys={tuple(self.keys.shape)})"


@dataclass(frozen=True, slots=True, eq=False)
class RidgeSums:
    """The running sums of a weighted ridge regression on n components: gram (B, n+1, n+1), moment (B, n+1), float32."""

    gram: Tensor
    moment: Tensor

    def __repr__(self) -> str:
        return f"RidgeSums(gram={tuple(self.gram.shape)})"


@dataclass(frozen=True, slots=True, eq=False)
class PriorSources:
    """What the prior of a frame is made from; None where there is no such source.

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


def join_memories(first: MatchMemory, second: MatchMemory) -> MatchMemory:
    """Two memories of the same B objects as one, (B, M + M', ...)."""
    return MatchMemory(
        keys=torch.cat([first.keys, second.keys], dim=1),
        mask=torch.cat([first.mask, second.mask], dim=1),
        positions=torch.cat([first.positions, second.positions], dim=1),
    )


def ridge_sums(memory: MatchMemory) -> RidgeSums:
    """Sums over one frame; foreground and background weigh the same however large they are."""
    b, m, _ = memory.keys.shape
    keys, mask = memory.keys[..., :RIDGE_KEYS].float(), memory.mask.float()
    x = torch.cat([keys, keys.new_ones(b, m, 1)], dim=-1)
    foreground = mask / mask.sum(dim=1, keepdim=True).clamp(min=1e-3)
    background = (1 - mask) / (1 - mask).sum(dim=1, keepdim=True).clamp(min=1e-3)
    weighted = x * (foreground + background)[..., None]
    return RidgeSums(gram=weighted.transpose(1, 2) @ x, moment=(weighted * (2 * mask - 1)[..., None]).sum(dim=1))


def add_ridge_sums(sums: RidgeSums, more: RidgeSums, *, weight: Tensor) -> RidgeSums:
    """Another frame's sums, `weight` (B,) times, on top."""
    return RidgeSums(
        gram=sums.gram + weight[:, None, None] * more.gram, moment=sums.moment + weight[:, None] * more.moment
    )


def ridge_weights(sums: RidgeSums, *, regularisation: Tensor) -> Tensor:
    """The closed-form solution (B, n+1), the bias last; `regularisation` is a positive scalar."""
    _, n, _ = sums.gram.shape
    identity = torch.eye(n, device=sums.gram.device)
    weights: Tensor = torch.linalg.solve(sums.gram + regularisation * identity, sums.moment[..., None])
    return weights[..., 0]


def read_out(logits: Tensor, mask: Tensor) -> Tensor:
    """Soft look-up of a remembered mask: matching logits (B, N, M) and mask (B, M) to (B, N) in [0, 1]."""
    return (torch.softmax(logits, dim=-1) @ mask[..., None].to(logits.dtype))[..., 0]


class DenseLocationPrior(nn.Module):
    """Computes the twelve channels and embeds them, for the image embedding and for the skip at the keys' stride."""

    def __init__(self, *, hidden_dim: int, embed_dim: int, middle_dim: int) -> None:
        super().__init__()
        self.log_temperature_first = nn.Parameter(torch.tensor(math.log(20.0)))
        self.log_temperature_previous = nn.Parameter(torch.tensor(math.log(20.0)))
        self.log_temperature_prompt = nn.Parameter(torch.tensor(math.log(10.0)))
        self.log_reach = nn.Parameter(torch.tensor(math.log(0.12)))
        self.log_ridge = nn.Parameter(torch.tensor(math.log(0.02)))
        self.hidden = nn.Sequential(nn.Conv2d(PRIOR_CHANNELS, hidden_dim, 3, padding=1), nn.GELU())
        self.to_middle = nn.Conv2d(hidden_dim, middle_dim, 1)
        self.to_embedding = nn.Conv2d(hidden_dim, embed_dim, kernel_size=2, stride=2)

    def channels(self, keys: Tensor, positions: Tensor, window_side: Tensor, sources: PriorSources) -> Tensor:
        """The prior itself, (B, 12, g, g) float.

        `keys` (B, K, g, g), unit length over K; `positions` (B, g*g, 2) pixels; `window_side` (B,) pixels, the unit
        of the previous frame's reach.
        """
        b, _, g, _ = keys.shape
        queries = keys.flatten(2).transpose(1, 2)

        # What each source says of each cell, and whether there is such a source
        matched = queries if torch.is_grad_enabled() else direction_bytes(queries.float(), dim=-1)
        nothing = queries.new_zeros(queries.shape[:2])
        first = [nothing] * 3 if sources.first is None else self._match_first(matched, sources.first)
        ridge = self._classify(queries, sources.ridge)
        temperature = (self.log_temperature_prompt if sources.prompted else self.log_temperature_previous).exp()
        previous = nothing
        if sources.previous is not None:
            previous = self._match_previous(matched, positions, window_side, sources.previous, temperature=temperature)
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
        return score.clamp(-2, 2)

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
        """(B, 12, g, g) to what is added to the image embedding (B, C, g/2, g/2) and to the skip (B, C', g, g)."""
        hidden = self.hidden(channels)
        return self.to_embedding(hidden), self.to_middle(hidden)
