"""The most memory that this process has used."""

from __future__ import annotations

import resource
import sys

import torch


def peak_memory() -> str:
    """In words: resident memory, and what torch held on the GPU if it used one."""
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    said = f"peak memory {resident / 1e9:.2f} GB"
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        said += f", on the GPU {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
    return said
