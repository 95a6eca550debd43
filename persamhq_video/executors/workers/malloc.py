"""How the C library's heap is kept steady while frames go through it."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["steady_heap"]

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 256 * 2**20
_LARGEST_HEAP_BLOCK: Final = 32 * 2**20


def steady_heap() -> None:
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
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
