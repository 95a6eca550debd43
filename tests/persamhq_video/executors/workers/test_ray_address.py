"""Addresses of clusters: what is no address, what nobody answers at, and whose token is refused, each in one line."""

import socket
import subprocess
import sys

import pytest

from persamhq_video.errors import ClusterError, ConfigError
from persamhq_video.executors.workers import ray_address
from persamhq_video.executors.workers.ray_address import check_cluster, parse_address

REFUSED = "RPC error: InvalidAuthToken: Authentication token is missing or incorrect."


@pytest.fixture(autouse=True)
def no_token(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port():
    """A port of this machine that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def health_check(monkeypatch, code):
    monkeypatch.setattr(ray_address, "_HEALTH_CHECK", (sys.executable, "-c", f"import os, sys; {code}"))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("auto", None),
        ("192.168.0.10:6379", ("192.168.0.10", 6379)),
        ("head.local:6379", ("head.local", 6379)),
        ("[::1]:6379", ("::1", 6379)),
        ("ray://head:10001", ("head", 10001)),
    ],
)
def test_addresses(address, place):
    assert parse_address(address) == place


@pytest.mark.parametrize(
    "address", ["", "head", "head:", "head:port", "head:99999", "http://head:80", "head:6379/x", "a@head:1"]
)
def test_what_is_no_address(address):
    with pytest.raises(ConfigError, match=r"expected auto or HOST:PORT"):
        check_cluster(address, timeout=1)


def test_a_port_that_nobody_listens_at(port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"nothing answers at .*:{closed} \(Connection refused\)"):
        check_cluster(f"127.0.0.1:{closed}", timeout=5)
    assert ClusterError.exit_code == 2


def test_a_host_that_has_no_address():
    with pytest.raises(ClusterError, match=r"nothing answers at the address no-such-host.invalid:6379"):
        check_cluster("no-such-host.invalid:6379", timeout=5)


def test_a_host_that_never_answers(monkeypatch):
    def late(*_, **__):
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(ClusterError, match=r"within 5 s; --connect-timeout SECONDS waits longer"):
        check_cluster("10.255.255.1:6379", timeout=5)


def test_a_port_that_is_not_rays(monkeypatch, port):
    health_check(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(ClusterError, match=r"no Ray answered within 0.5 s; --connect-timeout SECONDS waits longer"):
        check_cluster(f"127.0.0.1:{port}", timeout=0.5)


def test_what_the_health_check_says_is_one_line(monkeypatch, port):
    health_check(monkeypatch, "sys.exit('Traceback\\n  File x\\nConnectionError: no Ray here')")
    with pytest.raises(ClusterError, match=r"cannot reach a Ray .*: ConnectionError: no Ray here$"):
        check_cluster(f"127.0.0.1:{port}", timeout=20)


def test_a_cluster_without_tokens_is_joined_as_it_is(monkeypatch, port):
    health_check(monkeypatch, "sys.exit('RAY_AUTH_MODE' in os.environ)")
    assert check_cluster(f"127.0.0.1:{port}", timeout=20) == {}


@pytest.mark.parametrize("place", ["file", "variable"])
def test_a_cluster_that_asks_for_the_token_that_is_here(monkeypatch, tmp_path, port, place):
    """Ray itself looks for one with `auto` alone, and fails in twenty lines."""
    if place == "file":
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    else:
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    health_check(monkeypatch, f"os.environ.get('RAY_AUTH_MODE') == 'token' or sys.exit({REFUSED!r})")
    assert check_cluster(f"127.0.0.1:{port}", timeout=20) == {"RAY_AUTH_MODE": "token"}


@pytest.mark.parametrize("variables", [{}, {"RAY_AUTH_TOKEN": "wrong"}, {"RAY_AUTH_MODE": "token"}])
def test_a_token_that_is_refused(monkeypatch, port, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    health_check(monkeypatch, f"sys.exit({REFUSED!r})")
    with pytest.raises(ClusterError, match=r"refused the token of this machine; copy the cluster's") as error:
        check_cluster(f"127.0.0.1:{port}", timeout=20)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_health_check_of_the_installed_ray(port):
    """That it is there and complains: the test above would not notice another name."""
    command = [*ray_address._HEALTH_CHECK, "--help"]
    done = subprocess.run([*command[:-2], "--help"], capture_output=True, text=True, check=True)
    assert "--address" in done.stdout
