"""Weights files written: whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from persam_hq.errors import CheckpointError

__all__ = ["write_safetensors"]


def write_safetensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None) -> None:
    """Write tensors to `path`; what was there stays until all is written. Raises CheckpointError."""
    part = path.with_name(path.name + ".part")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, metadata=dict(metadata or {}))
        part.replace(path)
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(f"cannot write {path}: {exc}") from exc
