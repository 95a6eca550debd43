"""The order of files whose names count."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["natural_key"]


def natural_key(file: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which runs of digits count as numbers; the name itself breaks ties such as 1 and 01."""
    parts = re.split(r"([0-9]+)", file.name)
    return [(0, int(part), "") if i % 2 else (1, 0, part.casefold()) for i, part in enumerate(parts) if part], file.name
