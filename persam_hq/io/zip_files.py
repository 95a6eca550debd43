"""Zip files, which torch writes weights as, told by their end."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["has_zip_directory"]


def has_zip_directory(path: Path) -> bool:
    """Whether a file ends with the directory of a zip file, which one that was cut short has lost."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # before Python 3.13 for some that are damaged
        return False
