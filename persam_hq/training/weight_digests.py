"""Digests of weights: proof of what a run changed, and what it rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def tensor_digest(value: Tensor) -> str:
    """SHA-256 of the bytes of a tensor, its dtype and shape included."""
    digest = hashlib.sha256(f"{value.dtype} {tuple(value.shape)}".encode())
    digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensor_digests(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, str]:
    """Name to digest."""
    return {name: tensor_digest(tensors[name]) for name in names}


def combined_digest(digests: Mapping[str, str]) -> str:
    """One digest of many, whatever their order."""
    lines = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()
