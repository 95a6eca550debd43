"""Atomic file writes: a file is written under a temporary name beside its own, synced, then renamed.

A run that is killed at any moment, or a machine that loses power, so leaves each file either whole or as it was. A
folder may be shared, so no file is opened through a link that somebody else put there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "atomic_write",
    "commit",
    "discard",
    "move_into_place",
    "open_part",
    "open_unlinked",
    "part_path",
    "read_limited",
    "sha256_of",
]

_LONGEST_NAME: Final = 100
"""Bytes of a name that a temporary name may repeat. File systems allow 255, encrypted ones down to 143, and the part
before and after the name must not make it too long."""
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""A named pipe would otherwise be waited for when it is opened."""
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows alone has it, and changes line ends without it


def part_path(path: Path) -> Path:
    """The temporary name of a file: hidden, and in the same folder, so that renaming is one step of the file system."""
    name = os.fsencode(path.name)
    if len(name) > _LONGEST_NAME:
        return path.with_name(f".{hashlib.sha256(name).hexdigest()[:32]}.part")
    return path.with_name(f".{path.name}.part")


def open_part(path: Path) -> BinaryIO:
    """``part_path(path)`` as a new file, open for writing; what an earlier process left under that name goes.

    A link of that name is removed, and what it leads to stays as it is.
    """
    part = part_path(path)
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o666)
    return os.fdopen(handle, "w+b")


def commit(path: Path) -> None:
    """Give the finished ``part_path(path)`` its name, after its bytes have reached the disk."""
    move_into_place(part_path(path), path)


def discard(path: Path) -> None:
    """Remove the unfinished ``part_path(path)`` if it is there."""
    part_path(path).unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_part(path) as file:
            file.write(data)
        commit(path)
    except BaseException:
        discard(path)
        raise


def move_into_place(part: Path, path: Path) -> None:
    """Give a file that was written elsewhere on the same disk its place, after its bytes have reached the disk."""
    # Without this the new name may outlive a power cut that its bytes do not
    with os.fdopen(open_unlinked(part, os.O_RDWR), "rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def open_unlinked(path: Path, flags: int) -> int:
    """A handle of a file that may be somebody else's: an OSError where it is a link or no regular file.

    `flags` are those of `os.open`.
    """
    handle = os.open(path, flags | _NO_LINK | _NO_WAIT | _BINARY, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return handle


def read_limited(path: Path, *, limit: int) -> bytes:
    """The content of a file that may be somebody else's; an OSError where it is a link, no file, or over the limit."""
    with os.fdopen(open_unlinked(path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"has {size} bytes, expected at most {limit}", str(path))
        return file.read(limit)


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
