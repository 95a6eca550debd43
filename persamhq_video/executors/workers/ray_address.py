"""Addresses of Ray clusters: whether one answers, and with which token, before this process joins it.

Ray itself tries an address that nobody answers at for many minutes and prints a warning for each attempt. So a port is
tried by a plain connection first, and then by Ray's own health check, in a process whose output is ours and that can
be ended.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from persamhq_video.errors import ClusterError, ConfigError

__all__ = ["HostAndPort", "check_cluster", "parse_address"]

HostAndPort = tuple[str, int]

_HEALTH_CHECK: Final = (sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address")
"""`ray health-check` of the Ray that this interpreter imports, whatever else is on the PATH."""
_MODE, _TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_TOKEN_FILE: Final = Path(".ray") / "auth_token"
"""Where Ray looks for a token in the home folder, unless RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH say otherwise."""
_WITH_TOKEN: Final = {_MODE: "token"}


def parse_address(address: str) -> HostAndPort | None:
    """The host and port of an address, None for `auto`; anything else is a ConfigError."""
    if address == "auto":
        return None
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # such as a port of 99999
        host = port = None
    if host is None or not port or parts.scheme not in {"", "ray"} or parts.path or parts.username is not None:
        raise ConfigError(f"option address: got {address!r}; expected auto or HOST:PORT, such as 192.168.0.10:6379")
    return host, port


def check_cluster(address: str, *, timeout: float) -> Mapping[str, str]:
    """See that a cluster answers at `address`; the environment variables that this process has to join it with.

    What does not answer within `timeout` seconds, and a token that is refused, is a ClusterError.
    """
    deadline = time.monotonic() + timeout
    place = parse_address(address)
    if place is not None:
        _connect(address, place, timeout)
    if address.startswith("ray://"):  # a proxy, which has no health check
        return {}

    # As the environment says; then with the token that there is, which Ray itself only does for `auto`
    complaint = _health_complaint(address, {}, _seconds_left(deadline), timeout)
    if complaint is None:
        return {}
    if _is_about_token(complaint) and _MODE not in os.environ and _has_token():
        complaint = _health_complaint(address, _WITH_TOKEN, _seconds_left(deadline), timeout)
        if complaint is None:
            return _WITH_TOKEN
    raise ClusterError(_reason(address, complaint))


def _connect(address: str, place: HostAndPort, timeout: float) -> None:
    """Open a connection and close it again: what nobody listens at is told in a moment."""
    try:
        socket.create_connection(place, timeout=timeout).close()
    except OSError as exc:
        is_late = isinstance(exc, TimeoutError)
        reason = f"within {timeout:g} s; --connect-timeout SECONDS waits longer" if is_late else exc.strerror or exc
        raise ClusterError(
            f"nothing answers at the address {address} ({reason}); see `ray status` on the cluster's head, and whether"
            " the port is open to this machine"
        ) from exc


def _health_complaint(address: str, extra: Mapping[str, str], seconds: float, timeout: float) -> str | None:
    """What Ray's health check says against a cluster; None where it is well."""
    command = [*_HEALTH_CHECK, address]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, env={**os.environ, **extra}, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no Ray answered within {timeout:g} s; --connect-timeout SECONDS waits longer"
    if done.returncode == 0:
        return None
    output = (done.stderr + done.stdout).decode(errors="replace").strip()
    return output.splitlines()[-1] if output else f"exit code {done.returncode}"


def _reason(address: str, complaint: str) -> str:
    """The complaint as one line with a remedy."""
    if _is_about_token(complaint):
        return (
            f"the Ray cluster at the address {address} refused the token of this machine; copy the cluster's (`ray"
            " get-auth-token` there) to ~/.ray/auth_token, or set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        )
    return f"cannot reach a Ray cluster at the address {address}: {complaint}"


def _is_about_token(complaint: str) -> bool:
    return "InvalidAuthToken" in complaint or "Unauthenticated" in complaint


def _has_token() -> bool:
    """Whether Ray would find a token, were it asked for one."""
    if os.environ.get(_TOKEN) or os.environ.get(f"{_TOKEN}_PATH"):
        return True
    try:
        return (Path.home() / _TOKEN_FILE).is_file()
    except (RuntimeError, OSError):  # a user without a home
        return False


def _seconds_left(deadline: float) -> float:
    # At least one second, since a check that has no time says nothing
    return max(1.0, math.ceil(deadline - time.monotonic()))
