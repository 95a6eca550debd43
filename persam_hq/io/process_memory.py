"""Memory of this process as the operating system counts it."""

from __future__ import annotations

import resource
import sys


def peak_memory() -> int:
    """The most bytes of resident memory that this process has had."""
    # Linux counts in KiB, macOS in bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
