"""Memory of this process and of this machine as the operating system counts it."""

from __future__ import annotations

import os
import sys

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

__all__ = ["installed_memory", "peak_memory"]


def peak_memory() -> int | None:
    """The most bytes of resident memory that this process has had; None where the system does not count them."""
    if resource is None:
        return None
    # Linux counts in KiB, macOS in bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def installed_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    # Neither the function nor its names are there on every system
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
