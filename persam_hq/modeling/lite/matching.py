"""Dense matching of lite: softmax read-outs of a remembered mask by the similarity of keys.

Without a gradient directions are compared as bytes: exact sums of whole numbers, several times as fast as in float32.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.errors import ShapeError

__all__ = ["byte_product", "direction_bytes", "directions", "match_directions", "match_nearby"]

_QUERIES_AT_ONCE = 96
"""Queries that are matched together: their similarities to all keys then stay in the processor's cache.
Chosen."""
_EXACT_CHANNELS = 1040
"""Products of two bytes are at most 127 squared, and float32 holds whole numbers up to 2^24 exactly."""


def match_directions(
    queries: Tensor, keys: Tensor, mask: Tensor, *, temperature: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The mask as each query finds it among keys whose side is known; no gradient.

    Queries (B, N, C) and keys (B, M, C), float or from `direction_bytes`, directions alone count; mask (B, M) in
    [0, 1], `temperature` a scalar. Returns the softmax read-out (B, N) of the mask, and the best similarities (B, N) in
    [-1, 1] to a key of more than a half and to any other one, -1 where there is none.
    """
    found = [_match_one(*of_one, temperature=temperature) for of_one in zip(queries, keys, mask, strict=True)]
    read, inside, outside = (torch.stack(of_all) for of_all in zip(*found, strict=True))
    return read, inside, outside


def _match_one(queries: Tensor, keys: Tensor, mask: Tensor, *, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (N, C), keys (M, C), mask (M,): see `match_directions`."""
    # One side after the other, so that the best of a side is the highest in one stretch of memory
    order = torch.argsort((mask <= 0.5).to(torch.uint8), stable=True)
    foreground = int((mask > 0.5).sum())  # waits for a GPU, once per object
    mask = mask[order].float()
    q, q_length = _bytes_and_lengths(queries)
    k, k_length = _bytes_and_lengths(keys[order])
    k, per_key = k.t().contiguous(), 1 / k_length

    # A stretch of queries at a time, in memory that is reused
    n = len(q)
    read, inside, outside = (torch.full((n,), -1.0, device=q.device) for _ in range(3))
    for start in range(0, n, _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        similarity = byte_product(q[some], k).mul_(per_key).div_(q_length[some, None])
        if foreground:
            torch.amax(similarity[:, :foreground], dim=1, out=inside[some])
        if foreground < len(mask):
            torch.amax(similarity[:, foreground:], dim=1, out=outside[some])
        torch.mv(torch.softmax(similarity.mul_(temperature), dim=1, out=similarity), mask, out=read[some])
    return read, inside, outside


def match_nearby(
    queries: Tensor, keys: Tensor, mask: Tensor, *, temperature: Tensor, here: Tensor, there: Tensor
) -> Tensor:
    """The softmax read-out (B, N) of the mask, as of `match_directions`, where near keys count for more.

    The product of `here` (B, N, D) and `there` (B, M, D) is added to the logits.
    """
    rows = zip(queries, keys, mask, here, there, strict=True)
    return torch.stack([_match_nearby_one(*of_one, temperature=temperature) for of_one in rows])


def _match_nearby_one(
    queries: Tensor, keys: Tensor, mask: Tensor, here: Tensor, there: Tensor, *, temperature: Tensor
) -> Tensor:
    """Queries (N, C), keys (M, C), mask (M,), here (N, D), there (M, D): see `match_nearby`."""
    # The lengths are divided out of the logits, as those are fewer than the vectors' components
    mask, there = mask.float(), there.t()
    q, q_length = _bytes_and_lengths(queries)
    k, k_length = _bytes_and_lengths(keys)
    k, per_key, per_query = k.t().contiguous(), 1 / k_length, (temperature / q_length)[:, None]
    read = torch.empty(len(q), device=q.device)
    for start in range(0, len(q), _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        logits = byte_product(q[some], k).mul_(per_key).mul_(per_query[some]).addmm_(here[some], there)
        torch.mv(torch.softmax(logits, dim=1, out=logits), mask, out=read[some])
    return read


def _bytes_and_lengths(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (N, C) as int8 directions, which they may be already, and the lengths (N,) of those, 1 for zero."""
    stored = vectors if vectors.dtype == torch.int8 else direction_bytes(vectors.float(), dim=1)
    return stored, stored.float().norm(dim=1).clamp(min=1)


def byte_product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of int8 (N, C) and (C, M) as float32, exact for C up to 1040: no sum reaches 2^24."""
    assert len(b) <= _EXACT_CHANNELS, "sums of so many products of bytes are not exact"
    if a.device.type == "cpu" and _multiplies_bytes():
        return torch._int_mm(a, b).float()  # noqa: SLF001 - PyTorch has no other name for it
    return a.float() @ b.float()


@functools.cache
def _multiplies_bytes() -> bool:
    """Whether this processor multiplies bytes faster than floats, and exactly.

    Without VNNI instructions oneDNN falls back on a loop that takes twenty times as long as the float product.
    """
    return torch.cpu._is_vnni_supported() and _sums_bytes_exactly()  # noqa: SLF001 - as `_int_mm`


def _sums_bytes_exactly() -> bool:
    """Whether products of bytes exist and are exact: older processors saturate sums of two of them."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch, "_int_mm")):  # type: ignore[no-untyped-call]
        return False
    # The largest products there are, of both signs, so that any saturation shows
    a = torch.tensor([127, -127], dtype=torch.int8)[:, None].repeat(16, 128)
    expected = a.float() @ a.t().float()
    return torch.equal(torch._int_mm(a, a.t().contiguous()).float(), expected)  # noqa: SLF001


@dataclass(frozen=True, slots=True, eq=False)
class MatchMemory:
    """The matching memory of B objects: M cells of an annotated or tracked frame, with their share of the object.

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


def join_memories(first: MatchMemory, second: MatchMemory) -> MatchMemory:
    """Two memories of the same B objects as one, (B, M + M', ...)."""
    return MatchMemory(
        keys=torch.cat([first.keys, second.keys], dim=1),
        mask=torch.cat([first.mask, second.mask], dim=1),
        positions=torch.cat([first.positions, second.positions], dim=1),
    )


def read_out(logits: Tensor, mask: Tensor) -> Tensor:
    """Soft look-up of a remembered mask: matching logits (B, N, M) and mask (B, M) to (B, N) in [0, 1]."""
    return (torch.softmax(logits, dim=-1) @ mask[..., None].to(logits.dtype))[..., 0]


def direction_bytes(vectors: Tensor, *, dim: int) -> Tensor:
    """The direction of vectors along `dim`: int8, the largest component 127; zero stays zero."""
    # Scaled to the whole range of a byte; the tiniest divisor keeps a zero vector zero
    largest = vectors.abs().amax(dim=dim, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.round(127 * vectors / largest).to(torch.int8)


def directions(stored: Tensor, *, dim: int) -> Tensor:
    """Vectors of unit length, float32, from `direction_bytes`; zero stays zero."""
    return F.normalize(stored.float(), dim=dim)
