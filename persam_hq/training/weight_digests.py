"""SHA-256 digests of weights: they show what a run changed, and which weights it started from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def tensor_digest(value: Tensor) -> str:
    """SHA-256 of a tensor's bytes, dtype and shape, in hexadecimal."""
    digest = hashlib.sha256(f"{value.dtype} {tuple(value.shape)}".encode())
    digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensor_digests(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, str]:
    """The digest of each of the named tensors."""
    return {name: tensor_digest(tensors[name]) for name in names}


def combined_digest(digests: Mapping[str, str]) -> str:
    """One digest of many, independent of their order."""
    lines = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()
