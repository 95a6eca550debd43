"""The list of files that a run has claimed, on the disk: what a killed run wrote is told from a user's files by it.

Names may be no text, and hold line ends, which are stored as NULs: no name can hold one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from persam_hq.io.atomic import atomic_write, open_unlinked, read_limited
from persamhq_video.output.record_file import files_in

__all__ = ["ClaimsFile"]

_LARGEST: Final = 1 << 28
"""Bytes of the list; a million frames take a tenth of it."""


class ClaimsFile:
    """A line for each claimed file; `earlier` is where versions before kept theirs."""

    def __init__(self, path: Path, *, earlier: Path) -> None:
        self._path = path
        self._paths = (path, earlier)

    def read(self) -> set[str]:
        """Names in the list, but for the last line where it was torn; those that no run writes are left out."""
        names: set[str] = set()
        for path in self._paths:
            with contextlib.suppress(OSError):
                *lines, _ = read_limited(path, limit=_LARGEST).split(b"\n")
                names.update(os.fsdecode(line.replace(b"\0", b"\n")) for line in lines)
        return set(files_in({"files": sorted(names)}))

    def write(self, names: Iterable[str]) -> None:
        """Replace the list; OSError where that cannot be."""
        atomic_write(self._path, b"".join(map(_line, names)))

    def add(self, name: str, *, durable: bool) -> None:
        """Add a name; a `durable` one is on the disk when this returns. OSError where that cannot be."""
        handle = open_unlinked(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(handle, "ab") as file:
            file.write(_line(name))
            if durable:
                file.flush()
                os.fsync(file.fileno())


def _line(name: str) -> bytes:
    return os.fsencode(name).replace(b"\n", b"\0") + b"\n"
