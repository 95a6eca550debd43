"""The lock of a folder: one run at a time, also while the folder's hidden part comes and goes."""

import os
import subprocess
import sys
import threading

import pytest

from persamhq_video.errors import ConfigError
from persamhq_video.output.lock import FolderLock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / ".persamhq" / "lock"


def test_one_at_a_time(path):
    FolderLock(path).check_free()
    assert not path.exists()
    first, second = FolderLock(path), FolderLock(path)
    first.acquire()
    first.acquire()
    with pytest.raises(ConfigError, match=r"out is in use by another run; wait, or use another --out"):
        second.acquire(patience=0)
    with pytest.raises(ConfigError, match="in use by another run"):
        second.check_free()
    first.release()
    first.release()
    second.acquire(patience=0)
    second.release()


def test_it_goes_with_its_folder_but_for_what_is_in_it(path):
    lock = FolderLock(path)
    lock.acquire()
    lock.remove()
    assert not path.parent.exists()
    lock.acquire()
    (path.parent / "files").write_text("of another run")
    lock.remove()
    assert [file.name for file in path.parent.iterdir()] == ["files"]


def test_a_lock_whose_file_is_gone_keeps_nobody_out(path):
    first, second = FolderLock(path), FolderLock(path)
    first.acquire()
    path.unlink()
    second.acquire(patience=0)
    assert path.exists()
    second.release()
    first.release()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.parent / "elsewhere"), os.mkdir])
@pytest.mark.timeout(20)
def test_no_lock_through_what_is_no_file(path, make):
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(OSError, match=r"regular|symbolic|directory"):
        FolderLock(path).acquire()
    assert not (path.parent / "elsewhere").exists()


def test_many_that_come_and_go(path):
    """Each takes the lock, is alone, and removes its file and folder in the end."""
    inside, most = [], []

    def work():
        for _ in range(25):
            lock = FolderLock(path)
            lock.acquire(patience=60)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock.remove()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (100, 1)
    assert not path.parent.exists()


def test_it_ends_with_its_process(path):
    code = f"""
import os, sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from persamhq_video.output.lock import FolderLock
lock = FolderLock(Path({str(path)!r})); lock.acquire(); print("locked", flush=True); sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError, match="in use"):
            FolderLock(path).acquire(patience=0)
        process.kill()
        process.wait()
    FolderLock(path).acquire(patience=0)
