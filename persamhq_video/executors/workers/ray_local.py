"""A Ray of our own on this machine: what it needs, its folder, and the settings that keep it to ourselves.

Its processes talk over the loopback alone, with a token that is drawn for it, and have their sockets and logs in a
folder that nobody else can read and that goes when it ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import filelock

from persamhq_video.errors import ClusterError

__all__ = ["SessionFolder", "check_machine", "token_environment"]

_INLINE: Final = "or run without Ray: --executor inline"

_SOCKET_BYTES: Final = 103
"""Bytes that the path of a Unix socket may have: 103 on macOS, 107 on Linux."""
_SOCKET_TAIL: Final = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
"""What Ray appends to its folder for its longest socket; the number is the largest process id of Linux."""
_PREFIX: Final = "persamhq-"
_FOLDER_BYTES: Final = len(f"/{_PREFIX}xxxxxxxx")
"""As `tempfile.mkdtemp` makes them, with eight random characters."""
_IN_USE: Final = "in-use"
"""The file in a session's folder that its process holds a lock on; the lock goes with the process, however it ends."""
_LEFTOVER_SECONDS: Final = 600.0
"""Age at which a folder without a lock is one that was left behind; a younger one may be about to be locked."""
_REMOVE_SECONDS: Final = 3.0
"""Ray's processes write into their folder until they have ended, about a second after they are told to."""

_THREADS_PER_WORKER: Final = 30
_THREADS_OF_RAY: Final = 180
"""Threads that were counted with Ray 2.60 on 2 cores, rounded up by a tenth: a worker, of which Ray starts one per
core, and all other processes of Ray together with this one."""
_LOOPBACK_SECONDS: Final = 2.0


def check_machine(cpus: int) -> None:
    """Refuse a machine that Ray, told of so many `cpus`, could not start on: a ClusterError."""
    _check_loopback()
    _check_threads(_THREADS_OF_RAY + cpus * _THREADS_PER_WORKER)


def token_environment() -> dict[str, str]:
    """Token authentication with a token that is drawn here; no file in the home folder is read or written."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


class SessionFolder:
    """A new folder for one Ray session, for this user alone; `remove` takes it away, with what dead processes left."""

    def __init__(self) -> None:
        base = _base_folder()
        _remove_leftovers(base)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self._lock = filelock.FileLock(self.path / _IN_USE)
        self._lock.acquire()

    def remove(self) -> None:
        """Remove the folder once Ray's processes let go of it."""
        self._lock.release()
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self.path.exists():
            shutil.rmtree(self.path, ignore_errors=True)
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)


def _base_folder() -> Path:
    """A writable folder for temporary files whose path is short enough for sockets; `TMPDIR` where it is."""
    candidates = [os.environ.get("RAY_TMPDIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108
    for candidate in filter(None, candidates):
        is_short = len(os.fsencode(candidate)) + _FOLDER_BYTES + _SOCKET_TAIL <= _SOCKET_BYTES
        if is_short and Path(candidate).is_dir() and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    room = _SOCKET_BYTES - _SOCKET_TAIL - _FOLDER_BYTES
    raise ClusterError(
        f"no folder for Ray's sockets: none of {', '.join(filter(None, candidates))} is writable and has a path of at"
        f" most {room} characters; set RAY_TMPDIR to one that is, {_INLINE}"
    )


def _remove_leftovers(base: Path) -> None:
    """Remove the session folders of this user's processes that were killed."""
    for folder in base.glob(f"{_PREFIX}????????"):
        with contextlib.suppress(OSError, filelock.Timeout):
            status = folder.lstat()
            is_ours = folder.is_dir() and not folder.is_symlink() and status.st_uid == _user()
            if is_ours and time.time() - status.st_mtime > _LEFTOVER_SECONDS and (folder / _IN_USE).exists():
                with filelock.FileLock(folder / _IN_USE, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def _user() -> int:
    # Windows has no user numbers; all folders have 0 there
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _check_loopback() -> None:
    """Connect to a port of our own."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=_LOOPBACK_SECONDS).close()
    except OSError as exc:
        raise ClusterError(
            f"cannot start Ray: this machine cannot connect to itself at 127.0.0.1 ({exc.strerror or exc});"
            f" bring the loopback up (ip link set lo up), {_INLINE}"
        ) from exc


def _check_threads(needed: int) -> None:
    """Start as many threads as Ray will, and end them again.

    A limit (of the user, the container or the system) lets some of Ray's processes abort and the rest wait for them
    without end. Which limits hold for whom, only the system knows.
    """
    enough = threading.Event()
    threads = [threading.Thread(target=enough.wait, daemon=True) for _ in range(needed)]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    except (RuntimeError, MemoryError) as exc:
        raise ClusterError(
            f"cannot start Ray: its processes need about {needed} threads, and no more than {started} can be started"
            f" here; raise the limit (ulimit -u, or the container's), ask for fewer --workers, {_INLINE}"
        ) from exc
    finally:
        enough.set()
        for thread in threads[:started]:
            thread.join()
