"""Writing of weights files as safetensors, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from persam_hq.errors import CheckpointError
from persam_hq.io.atomic import commit, discard, open_part, part_path

__all__ = ["write_safetensors"]


def write_safetensors(tensors: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None) -> None:
    """Write tensors by their names to `path`; what was there stays until all is written. Raises CheckpointError."""
    # safetensors refuses tensors that are not contiguous, and takes no metadata but strings
    stored = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        # An empty file of this process first: safetensors takes names alone, and would follow a link
        open_part(path).close()
        save_file(stored, part_path(path), metadata=dict(metadata or {}))
        commit(path)
    except (OSError, SafetensorError) as exc:
        with suppress(OSError):  # the folder itself may be what is wrong
            discard(path)
        raise CheckpointError(f"cannot write {path}: {exc}") from exc
