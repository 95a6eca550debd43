"""Checks of a download beside its SHA-256: its size near the published one, and a weights file that is whole.

A server may cut an answer short, never end it, or send a login page in the place of a file. Where a sum is published it
tells all of that; where none is, the sum of the first download is kept, so that one has to be right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from persam_hq.hub.catalogue import Published
from persam_hq.io.zip_files import has_zip_directory

__all__ = ["largest_size", "smallest_size", "what_is_wrong"]

_TOLERANCE: Final = 0.1
"""Share by which a file may differ from its published size; the sizes of the catalogue are rounded to three digits."""
_SLACK: Final = 50_000
"""Bytes that a file may differ besides, for sizes that are rounded to a tenth of a megabyte."""
_LENGTH_BYTES: Final = 8
"""Length of the number that a safetensors file begins with: the size of its header."""


def largest_size(entry: Published) -> int:
    """The most bytes that are taken for a file; a download that goes on is stopped there."""
    return int(entry.megabytes * 1e6 * (1 + _TOLERANCE)) + _SLACK


def smallest_size(entry: Published) -> int:
    """The least bytes that a file of the published size has."""
    return max(1, int(entry.megabytes * 1e6 * (1 - _TOLERANCE)) - _SLACK)


def what_is_wrong(entry: Published, path: Path) -> str | None:
    """What a file is that cannot be the published one, as far as that shows without a sum; None where it can be."""
    # Login pages and messages of proxies are far too small, and an answer cut short often is
    size = path.stat().st_size
    if not smallest_size(entry) <= size <= largest_size(entry):
        return f"of {size / 1e6:.3g} MB, expected about {entry.megabytes:g}"

    # What ends too early shows in both formats: safetensors says how long it is, and a zip file's directory comes last
    with path.open("rb") as file:
        head = file.read(_LENGTH_BYTES + 1)
    if head.startswith(b"PK") and has_zip_directory(path):
        return None
    is_whole = head[_LENGTH_BYTES:] == b"{" and _safetensors_size(path) == size
    return None if is_whole else "not a whole weights file"


def _safetensors_size(path: Path) -> int | None:
    """The size that the header of a safetensors file says; None where there is no such header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        # More than the file itself would only be memory wasted
        header = file.read(min(length, path.stat().st_size))
    try:
        tensors = json.loads(header)
        ends = [int(tensor["data_offsets"][1]) for name, tensor in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return _LENGTH_BYTES + length + max(ends, default=0)
