"""The lock of a run's folder: one run at a time, from before the folder is looked at until its last file is written.

The lock ends with the process, however that ends. It lies in the hidden folder, which goes when a run is complete.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from persam_hq.io.atomic import open_unlinked
from persamhq_video.errors import ConfigError

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows, where two runs in one folder are not told apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderLock"]

_PATIENCE_SECONDS: Final = 1.0
"""Somebody who only looks whether the folder is in use holds the lock for less than a millisecond."""
_POLL_SECONDS: Final = 0.02


class FolderLock:
    """The lock at `path`, in a folder that is made for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __del__(self) -> None:
        self.release()

    def acquire(self, *, patience: float = _PATIENCE_SECONDS) -> None:
        """Take the lock and keep it; a ConfigError where another run has it."""
        give_up = time.monotonic() + patience
        while self._handle is None:
            is_last = time.monotonic() >= give_up
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                handle = open_unlinked(self._path, os.O_RDWR | os.O_CREAT)
            except (FileNotFoundError, FileExistsError):
                # The folder went between two steps, as it does when the run that had it ends
                if is_last:
                    raise
                continue
            if _lock(handle) and self._is_current(handle):
                self._handle = handle
                return
            os.close(handle)
            if is_last:
                raise self._in_use()
            time.sleep(_POLL_SECONDS)

    def check_free(self) -> None:
        """A ConfigError where another run has the lock; nothing is made."""
        if self._handle is None and self._path.parent.is_dir():
            with contextlib.suppress(FileNotFoundError):
                handle = open_unlinked(self._path, os.O_RDWR)
                try:
                    is_free = _lock(handle) or not self._is_current(handle)
                finally:
                    os.close(handle)
                if not is_free:
                    raise self._in_use()

    def remove(self) -> None:
        """Remove the lock's file and its folder, where nothing else is in it, and give up the lock."""
        # Another run may make both anew at any moment, so what is not empty stays
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._path.parent.rmdir()
        self.release()

    def release(self) -> None:
        """Give up the lock; twice is harmless."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _in_use(self) -> ConfigError:
        return ConfigError(f"{self._path.parent.parent} is in use by another run; wait, or use another --out")

    def _is_current(self, handle: int) -> bool:
        """Whether the file is still the one at the path: the run that had the lock removes it in the end."""
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False


def _lock(handle: int) -> bool:
    """Whether the file is locked for this process now."""
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
