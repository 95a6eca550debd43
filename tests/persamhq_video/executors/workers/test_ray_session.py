"""This process's Ray: who starts it, who shares it, who ends it, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from persamhq_video.errors import ClusterError, ConfigError
from persamhq_video.executors.workers import ray_session
from persamhq_video.executors.workers.ray_session import connect

CLUSTER = "10.0.0.7:6379"

OWN_RAY = """
import json, os, threading
from pathlib import Path
import ray, psutil
from persamhq_video.executors.workers.ray_session import connect

thread = threading.Thread(target=connect, args=(None,), kwargs={"cpus": 1})
thread.start()
thread.join()
with connect(None, cpus=1):
    @ray.remote
    def mode():
        return os.environ["RAY_AUTH_MODE"]
    modes = ray.get(mode.remote())
    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    ips = sorted({c.laddr.ip for p in processes for c in p.net_connections() if c.status == "LISTEN"})
    folders = len(list(Path(os.environ["RAY_TMPDIR"]).iterdir()))
print(json.dumps([modes, ips, folders]))
"""


class StandInRay:
    """What `ray_session` uses of ray; `init` takes `seconds`, and fails as often as `failures` says."""

    def __init__(self):
        self.log, self.here, self.options = [], None, {}
        self.seconds, self.failures, self.seen = 0.0, 0, {}
        self.util = SimpleNamespace(get_node_ip_address=lambda: "10.0.0.7")

    def init(self, address, **options):
        time.sleep(self.seconds)
        self.log.append(f"init {address}")
        self.options = options
        self.seen = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no\nraylet")
        self.here = "127.0.0.1:4000" if address == "local" else CLUSTER
        self.thread = threading.current_thread()

    def shutdown(self):
        self.log.append("shutdown")
        self.here = None

    def is_initialized(self):
        return self.here is not None

    def get_runtime_context(self):
        return SimpleNamespace(gcs_address=self.here)


@pytest.fixture
def ray(monkeypatch):
    stand_in = StandInRay()
    monkeypatch.setattr(ray_session, "ray", stand_in)
    monkeypatch.setattr(ray_session, "check_machine", lambda cpus: None)
    monkeypatch.setattr(ray_session, "check_cluster", lambda address, timeout: {"RAY_AUTH_MODE": "token"})
    monkeypatch.setattr(ray_session, "_reload_authentication", lambda: None)
    for name in ("_session", "_late"):
        monkeypatch.setattr(ray_session, name, None)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    others = set(threading.enumerate())
    yield stand_in
    if ray_session._session is not None:
        ray_session._session.end()
    # One that was given up ends later, and must not end the real Ray of other tests
    for thread in set(threading.enumerate()) - others:
        thread.join(5)


def test_the_last_run_ends_it(ray):
    first, second = connect(None, cpus=1), connect(None, cpus=1)
    first.close()
    first.close()
    assert ray.log == ["init local"]
    second.close()
    assert ray.log == ["init local", "shutdown"]


def test_it_outlives_the_thread_that_asked_for_it(ray):
    """Linux ends the processes that a thread started with that thread."""
    asking = threading.Thread(target=connect, args=(None,), kwargs={"cpus": 1})
    asking.start()
    asking.join()
    assert ray.thread.is_alive()
    assert ray.thread is not asking
    with connect(None, cpus=1) as connection:
        assert connection.is_own


def test_runs_one_after_the_other_each_have_one(ray):
    for _ in range(2):
        with connect(None, cpus=1):
            pass
    assert ray.log == ["init local", "shutdown"] * 2


def test_a_ray_of_our_own_has_a_token_a_folder_and_no_dashboard(ray):
    with connect("local", cpus=64):
        folder = Path(ray.options["_temp_dir"])
        assert folder.is_dir()
        assert ray.options["num_cpus"] == 64
        assert ray.options["include_dashboard"] is False
        assert ray.seen["RAY_AUTH_MODE"] == "token"
        assert len(ray.seen["RAY_AUTH_TOKEN"]) == 64
        assert "RAY_AUTH_TOKEN" not in os.environ
    assert not folder.exists()


def test_a_cluster_keeps_its_own_token(ray, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    with connect(CLUSTER, cpus=1) as connection:
        assert ray.seen == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "theirs"}
        assert not connection.is_own
    assert (os.environ.get("RAY_AUTH_MODE"), os.environ["RAY_AUTH_TOKEN"]) == (None, "theirs")
    assert ray.log == [f"init {CLUSTER}", "shutdown"]


@pytest.mark.parametrize(
    ("first", "then"),
    [(None, "auto"), (None, CLUSTER), (CLUSTER, None), (CLUSTER, "10.0.0.8:6379"), (CLUSTER, "10.0.0.7:6380")],
)
def test_another_ray_than_the_one_of_this_process_is_refused(ray, first, then):
    with connect(first, cpus=1):
        with pytest.raises(ConfigError, match=r"this process is connected to the Ray at .* in another process"):
            connect(then, cpus=1)
        assert ray.log == [f"init {first or 'local'}"]


@pytest.mark.parametrize("then", ["auto", CLUSTER, "127.0.0.1:6379", "localhost:6379"])
def test_the_same_ray_by_another_name_is_shared(ray, then):
    with connect(CLUSTER, cpus=1), connect(then, cpus=1):
        pass
    assert ray.log == [f"init {CLUSTER}", "shutdown"]


@pytest.mark.parametrize("address", [None, "auto", CLUSTER])
def test_a_ray_of_the_callers_is_left_as_it_is(ray, address):
    ray.here = CLUSTER
    with connect(address, cpus=1) as connection:
        assert not connection.is_own
    assert ray.log == []


def test_another_address_than_that_of_the_callers_ray(ray):
    ray.here = CLUSTER
    with pytest.raises(ConfigError, match=r"the one at 10.0.0.8:6379 was asked for"):
        connect("10.0.0.8:6379", cpus=1)


def test_a_ray_that_somebody_shut_down_is_started_again(ray):
    lost = connect(None, cpus=1)
    ray.shutdown()
    with connect(None, cpus=1):
        lost.close()
        assert ray.is_initialized()


def test_a_busy_machine_gets_three_attempts(ray):
    ray.failures = 2
    connect(None, cpus=1).close()
    ray.failures = 3
    with pytest.raises(ClusterError, match=r"^cannot start Ray on this machine: no raylet; run without it: --executor"):
        connect(None, cpus=1)
    assert not ray.is_initialized()


def test_a_cluster_gets_one_attempt(ray):
    ray.failures = 1
    with pytest.raises(ClusterError, match=f"^cannot join the Ray cluster at {CLUSTER}: no raylet$"):
        connect(CLUSTER, cpus=1)


def test_a_cluster_that_does_not_let_us_in_is_not_waited_for(ray):
    ray.seconds = 0.5
    with pytest.raises(ClusterError, match=r"did not let this process join within 0.1 s; .*--connect-timeout"):
        connect(CLUSTER, cpus=1, timeout=0.1)
    with pytest.raises(ClusterError, match="Ray is still trying what was given up before"):
        connect(None, cpus=1)
    time.sleep(0.7)
    assert ray.log == [f"init {CLUSTER}", "shutdown"]
    connect(None, cpus=1).close()


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_during_the_start_ends_what_was_started(ray):
    ray.seconds = 0.5
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        connect(None, cpus=1)
    assert ray.log == ["init local", "shutdown"]
    assert not ray.thread.is_alive()


def test_the_handler_of_sigterm_is_pythons_again(ray, monkeypatch):
    def handler(number, frame):
        raise InterruptedError(number)

    given = []
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(ray_session.signal, "signal", lambda *args: given.append(args))
            connect(None, cpus=1).close()
        assert given == [(signal.SIGTERM, handler)]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_a_real_one(tmp_path):
    """It listens on the loopback alone, outlives the thread that asked for it, and leaves neither token nor files."""
    home = tmp_path / "home"
    home.mkdir()
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        environment = {**os.environ, "HOME": str(home), "RAY_TMPDIR": folder}
        environment |= {"RAY_AUTH_TOKEN": "of-another-cluster", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", OWN_RAY]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        left = list(Path(folder).iterdir())
    modes, ips, folders = json.loads(done.stdout.splitlines()[-1])
    assert modes == "token"
    assert {ip.removeprefix("::ffff:") for ip in ips} <= {"127.0.0.1", "::1"}
    assert folders == 1
    assert (left, list(home.iterdir())) == ([], [])
