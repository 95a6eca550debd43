"""Atomic file writes: a file is written under a temporary name beside its own, synced, then renamed.

A run that is killed at any moment, or a machine that loses power, so leaves each file either whole or as it was.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["atomic_write", "commit", "discard", "move_into_place", "part_path", "sha256_of"]


def part_path(path: Path) -> Path:
    """The temporary name of a file: hidden, and in the same folder, so that renaming is one step of the file system."""
    return path.with_name(f".{path.name}.part")


def commit(path: Path) -> None:
    """Give the finished ``part_path(path)`` its name, after its bytes have reached the disk."""
    move_into_place(part_path(path), path)


def discard(path: Path) -> None:
    """Remove the unfinished ``part_path(path)`` if it is there."""
    part_path(path).unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    try:
        part.write_bytes(data)
        commit(path)
    except BaseException:
        discard(path)
        raise


def move_into_place(part: Path, path: Path) -> None:
    """Give a file that was written elsewhere on the same disk its place, after its bytes have reached the disk."""
    # Without this the new name may outlive a power cut that its bytes do not
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, where the system can."""
    # The name is on disk only once the folder is; not every system lets a folder be opened.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems sync files only
        pass
    finally:
        os.close(handle)
