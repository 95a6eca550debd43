"""Settings of glibc's malloc in processes that frames go through, so that memory is steady and pages are reused."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["configure_malloc"]

# The numbers of mallopt's parameters in glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_TRIM_BYTES: Final = 256 * 2**20
"""Free memory at the top of the heap that is kept for the next frame instead of going back to the kernel; it bounds
what a worker that has nothing to do keeps."""
_MMAP_BYTES: Final = 32 * 2**20
"""Blocks up to this size come from the heap. 32 MiB is the most that glibc takes (HEAP_MAX_SIZE / 2 on 64 bits)."""


def configure_malloc() -> None:
    """Tell glibc to reuse the memory of one frame for the next, from one heap; elsewhere nothing happens.

    By default each thread has a heap of its own, and every large tensor is a mapping that is made and given back: the
    peak depends on how threads happen to meet, and a third of the encoder's time goes into page faults.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # a C library other than glibc
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
