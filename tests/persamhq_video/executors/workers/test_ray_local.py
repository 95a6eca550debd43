"""A Ray of our own: its folder and its sockets' paths, and machines that it could not start on."""

import os
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

import filelock
import pytest

from persamhq_video.errors import ClusterError
from persamhq_video.executors.workers import ray_local
from persamhq_video.executors.workers.ray_local import SessionFolder, check_machine, token_environment


@pytest.fixture
def base(monkeypatch):
    """A folder for temporary files with a short path, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


class TestSessionFolder:
    def test_it_is_for_this_user_alone_and_goes(self, base):
        folder = SessionFolder()
        assert folder.path.parent == base
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "session_1" / "logs").mkdir(parents=True)
        folder.remove()
        assert list(base.iterdir()) == []

    @pytest.mark.parametrize("name", ["x" * 90, "ä" * 20, "missing"])
    def test_another_place_where_the_folder_will_not_do(self, monkeypatch, tmp_path, name):
        folder = tmp_path / name
        if name != "missing":
            folder.mkdir()
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        session = SessionFolder()
        try:
            assert folder not in session.path.parents
            longest = session.path / "session_2026-11-29_08-05-40_911104_4194304" / "sockets" / "plasma_store"
            with socket.socket(socket.AF_UNIX) as server:
                longest.parent.mkdir(parents=True)
                server.bind(str(longest))
        finally:
            session.remove()

    def test_no_place_at_all(self, monkeypatch, tmp_path):
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 90)))
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(ClusterError, match=r"no folder for Ray's sockets: .* at most 21 characters; set RAY_TMP"):
            SessionFolder()

    @pytest.mark.parametrize(
        ("age", "held", "stays"), [(7200, False, False), (7200, True, True), (1, False, True)], ids=str
    )
    def test_what_a_killed_process_left_is_removed(self, base, age, held, stays):
        left = base / "persamhq-abcdefgh"
        left.mkdir()
        (left / "in-use").touch()
        os.utime(left, (time.time() - age,) * 2)
        lock = filelock.FileLock(left / "in-use")
        if held:
            lock.acquire()
        SessionFolder().remove()
        lock.release()
        assert left.exists() == stays

    @pytest.mark.parametrize("kind", ["link", "without a lock", "another name"])
    def test_what_is_not_ours_is_left_alone(self, base, tmp_path, kind):
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "in-use").touch()
        place = base / ("persamhq-abcdefgh" if kind != "another name" else "persamhq-abcdefgh-keep")
        if kind == "link":
            place.symlink_to(victim)
        else:
            place.mkdir()
            if kind == "another name":
                (place / "in-use").touch()
        for folder in (victim, place):
            os.utime(folder, (time.time() - 7200,) * 2)
        SessionFolder().remove()
        assert place.exists()
        assert (victim / "in-use").exists()


def test_a_machine_that_will_do():
    before = threading.active_count()
    check_machine(1)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_too_few_threads(monkeypatch, error):
    start, started = threading.Thread.start, []

    def limited(thread):
        if len(started) == 40:
            raise error
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(ClusterError, match=r"need about 300 threads, and no more than 40 can be started here; raise"):
        check_machine(4)
    assert not any(thread.is_alive() for thread in started)


@pytest.mark.parametrize("call", ["create_server", "create_connection"])
def test_no_loopback(monkeypatch, call):
    def unreachable(*_, **__):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, call, unreachable)
    with pytest.raises(ClusterError, match=r"cannot connect to itself at 127.0.0.1 \(Network is unreachable\); bring"):
        check_machine(1)


def test_every_token_is_new():
    first, second = token_environment(), token_environment()
    assert first["RAY_AUTH_MODE"] == second["RAY_AUTH_MODE"] == "token"
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
    assert len(first["RAY_AUTH_TOKEN"]) == 64


def test_the_limit_of_a_socket_is_this_systems():
    """One byte more than Linux allows is refused; ours is that of macOS, which has fewer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/".ljust(ray_local._SOCKET_BYTES, "x"))
        assert len(server.getsockname()) == ray_local._SOCKET_BYTES
