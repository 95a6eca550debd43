"""This process's Ray: started or joined by the first run that needs it, shared, and ended after the last one.

A process can have one Ray. A thread of its own starts it, keeps it and ends it: Linux ends Ray's processes with the
thread that started them, and an interrupt of the main thread then never meets a Ray that is half started.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import ray
import ray._raylet as ray_core
from ray._private import ray_constants

from persam_hq.errors import one_line
from persamhq_video.errors import ClusterError, ConfigError
from persamhq_video.executors.workers.ray_address import check_cluster, parse_address
from persamhq_video.executors.workers.ray_local import SessionFolder, check_machine, token_environment

__all__ = ["DIRECT_BYTES", "Connection", "connect"]

DIRECT_BYTES: Final = 640 * 1024
"""States up to this size travel with their call, where Ray's default is 100 KiB; through the object store each takes
Ray twice the time. A state has at most 256 KiB per object, so those of two objects are below."""
_START_ATTEMPTS: Final = 3
"""On a busy machine Ray gives up on its own processes after 30 seconds; they are quicker when tried again."""
_START_SECONDS: Final = 120.0
"""Three attempts of 30 seconds, and as much again as one of them for ending what did not come up."""
_END_SECONDS: Final = 30.0
"""Ray asks its processes to end and kills those that have not after 10 seconds or so."""

_QUIET: Final = {
    # Ray tells of its GPU variables and its usage statistics; a run has nothing to do with them
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The state of a call that failed is never asked for; that it failed is known from its result
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_max_direct_call_object_size": str(DIRECT_BYTES),
}

_lock = threading.RLock()
_session: _Session | None = None
"""The Ray that `connect` started or joined, while anybody uses it; guarded by `_lock`."""
_late: _Session | None = None
"""The last one that was given up; it is in Ray's hands until that gives up too. Guarded by `_lock`."""


class Connection:
    """The use of this process's Ray by one run; the last one to close ends a Ray that `connect` began.

    is_own: whether it is a Ray on this machine that `connect` started, which runs of this process alone use.
    """

    def __init__(self, session: _Session | None) -> None:
        self.is_own = session is not None and session.address is None
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the use back; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            _leave(session)


def connect(address: str | None, *, cpus: int, timeout: float = 30.0) -> Connection:
    """Join the cluster at `address`, which has to answer within `timeout` seconds, or start one with room for `cpus`.

    A Ray that this process has already is shared, if it is the one that was asked for; otherwise that is a ConfigError.
    """
    global _session, _late  # noqa: PLW0603 - Ray is one per process too
    address = None if address == "local" else address
    with _lock:
        # Somebody else may have shut Ray down
        if _session is not None and not ray.is_initialized():
            _session.end()
            _session = None

        # The Ray that is there, ...
        if _session is not None or ray.is_initialized():
            _check_same(address, _session)
            if _session is not None:
                _session.users += 1
            return Connection(_session)

        # ... or a new one
        if _late is not None and _late.is_alive:
            raise ClusterError("Ray is still trying what was given up before; try again later, or in another process")
        session = _late = _Session(address, cpus=cpus, timeout=timeout)
        session.begin()
        _session, _late = session, None
        return Connection(session)


def _leave(session: _Session) -> None:
    global _session  # noqa: PLW0603 - as in `connect`
    with _lock:
        session.users -= 1
        if session.users == 0 and _session is session:
            _session = None
            session.end()


@atexit.register
def _end_at_exit() -> None:
    """End what nobody closed; registered after Ray's own end, and so called before it."""
    if _session is not None:
        _session.end()


def _check_same(address: str | None, session: _Session | None) -> None:
    """Refuse an address that is not the one of the Ray that this process has."""
    # Without an address the Ray that the caller began will do, and one that we started ourselves
    has_own = session is not None and session.address is None
    if address is None and (session is None or has_own):
        return
    here: str = ray.get_runtime_context().gcs_address
    if address == "auto" and not has_own:
        return
    if address is not None and _is_same_place(address, here):
        return
    wanted = "one of this machine alone" if address is None else f"the one at {address}"
    raise ConfigError(
        f"this process is connected to the Ray at {here}, and {wanted} was asked for; a process can have one: run this"
        " in another process, or end the other run first (or call ray.shutdown(), if you called ray.init)"
    )


def _is_same_place(address: str, here: str) -> bool:
    """Whether two addresses mean the same port of the same machine."""
    ours, theirs = parse_address(address), parse_address(here)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return False
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(ours[0], ours[1], type=socket.SOCK_STREAM)}
    except OSError:
        return ours == theirs
    # Ray itself knows this machine by its address in the network
    if any(ip == "::1" or ip.startswith("127.") for ip in found):
        found.add(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return theirs[0] in found


class _Session:
    """A Ray and the thread that starts and ends it; `address=None` is one of our own."""

    def __init__(self, address: str | None, *, cpus: int, timeout: float) -> None:
        self.address = address
        self.users = 1
        self._cpus, self._timeout = max(cpus, os.cpu_count() or 1), timeout
        self._began, self._over = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)

    def begin(self) -> None:
        """Start or join Ray; one that does not come up in time is a ClusterError and is ended as soon as it can be."""
        # What can be said before Ray is asked
        os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
        if self.address is None:
            check_machine(self._cpus)
            self._start, seconds = self._start_own, _START_SECONDS
        else:
            self._extra = check_cluster(self.address, timeout=self._timeout)
            self._start, seconds = self._join, self._timeout

        # An interrupt waits for Ray's processes to be there, since only then can they be ended
        self._thread.start()
        try:
            in_time = self._began.wait(seconds)
        except BaseException:
            self.end()
            raise
        finally:
            _restore_sigterm()
        if self._error is not None:
            raise self._error
        if not in_time:
            self._over.set()
            raise ClusterError(self._too_late(seconds))

    @property
    def is_alive(self) -> bool:
        """Whether Ray is being started, there, or being ended."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Leave Ray, and end it if it is our own; what hangs is left to the thread."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS if self._began.is_set() else _START_SECONDS)

    def _live(self) -> None:
        try:
            with self._start():
                self._began.set()
                self._over.wait()
        except BaseException as exc:  # noqa: BLE001 - raised in `begin`
            self._error = exc
        self._began.set()

    @contextmanager
    def _start_own(self) -> Iterator[None]:
        """A Ray on the loopback, with a token and a folder of its own."""
        folder = SessionFolder()
        options = {
            "num_cpus": self._cpus,
            "include_dashboard": False,
            "_temp_dir": str(folder.path),
        }
        try:
            with _authentication(token_environment()), _on_loopback():
                # "local" and not nothing: otherwise Ray joins whatever cluster an earlier process left noted
                self._initialise("local", _START_ATTEMPTS, options)
            yield
        finally:
            _shutdown()
            folder.remove()

    @contextmanager
    def _join(self) -> Iterator[None]:
        """The cluster at the address."""
        try:
            with _authentication(self._extra):
                self._initialise(self.address, 1, {})
            yield
        finally:
            _shutdown()

    def _initialise(self, address: str | None, attempts: int, options: Mapping[str, Any]) -> None:
        """Call ray.init; one that cannot be reached will not be there a moment later, so that gets one attempt."""
        for attempts_left in reversed(range(attempts)):
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
            except Exception as exc:
                ray.shutdown()
                if not attempts_left or self._over.is_set():
                    raise ClusterError(self._failed(one_line(exc))) from exc
            else:
                return

    def _failed(self, reason: str) -> str:
        if self.address is None:
            return f"cannot start Ray on this machine: {reason}; run without it: --executor inline"
        return f"cannot join the Ray cluster at {self.address}: {reason}"

    def _too_late(self, seconds: float) -> str:
        if self.address is None:
            return (
                f"Ray did not start on this machine within {seconds:g} s; it may be short of processes, memory or"
                " cores: try again, or run without it: --executor inline"
            )
        return (
            f"the Ray cluster at {self.address} did not let this process join within {seconds:g} s; is this one of its"
            " machines (`ray start --address=...`)? --connect-timeout SECONDS waits longer"
        )


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Ray's processes listen on the loopback only, as they do on Windows and macOS by this constant."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _authentication(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started or joined here uses Ray's authentication as `variables` say.

    Ray reads them once, and its processes are started with them. They do not stay in the environment, so that programs
    that this process starts, and its next Ray, know nothing of them; neither does what Ray itself sets.
    """
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ.update(variables)
    _reload_authentication()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _shutdown() -> None:
    """End Ray or leave it, and forget its token."""
    ray.shutdown()
    _reload_authentication()


def _reload_authentication() -> None:
    """Let Ray read its environment variables again, which it does once in the life of a process."""
    core: Any = ray_core  # its types leave these two out
    core.Config.initialize("")
    core.AuthenticationTokenLoader.instance().reset_cache()


def _restore_sigterm() -> None:
    """Put the handler of SIGTERM back where Ray's C++ part put one that prints its stack; only the main thread can."""
    if threading.current_thread() is threading.main_thread():
        handler: Callable[..., Any] | int | None = signal.getsignal(signal.SIGTERM)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
