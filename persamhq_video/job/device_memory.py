"""How much memory there is for features."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

__all__ = ["free_memory"]

_SHARE: Final = 0.25
"""Of what is free: decoding, decoding threads, the model's own activations and other programs need the rest."""
_UNKNOWN: Final = 2_000_000_000
_MEMORY_TABLE: Final = Path("/proc/meminfo")


def free_memory(device: str, *, sharing: int) -> int:
    """Bytes for the features of one of `sharing` workers: a quarter of what the device has free, at least 64 MB."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return max(64_000_000, int(free * _SHARE))
    return max(64_000_000, int(_available() * _SHARE / sharing))


def _available() -> int:
    """Bytes that the system says programs could still have; a guess where it says nothing."""
    try:
        lines = _MEMORY_TABLE.read_text(encoding="ascii").splitlines()
    except OSError:
        return _UNKNOWN
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(sizes["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in sizes else _UNKNOWN
