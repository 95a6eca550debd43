"""A job on its way to a worker: its weights, if the worker's machine does not have them, and its plugins."""

import os
import subprocess
import sys
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from stand_ins import tracker as stand_in_tracker
from stand_ins.tracker import HashTracker

from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.worker import Worker
from persamhq_video.job.prepare import make_job

TAKEN = {
    "file": lambda path, _: path.touch(mode=0o600),
    "folder": lambda path, _: path.mkdir(),
    "link": lambda path, victim: path.symlink_to(victim),
    "pipe": lambda path, _: os.mkfifo(path),
}


class TestWeights:
    """A worker of another machine is sent them."""

    @pytest.fixture
    def weights(self, monkeypatch, tmp_path):
        """Weights that can be read where the job is made; `tmp_path` is where other machines put theirs."""
        path = tmp_path / "weights.bin"
        path.write_bytes(np.random.default_rng(0).bytes(3_000_000))
        monkeypatch.setattr(stand_in_tracker, "weights_path", lambda config: config.checkpoint or path)
        monkeypatch.setattr("persamhq_video.job.weights.tempfile.gettempdir", lambda: str(tmp_path / "elsewhere"))
        (tmp_path / "elsewhere").mkdir()
        return path

    @pytest.fixture
    def job(self, weights, stand_in):
        return make_job(make_config({"executor": "inline", "checkpoint": str(weights)}))

    def test_what_is_here_already_is_used(self, job, weights, tmp_path):
        assert job.delivered(np.fromfile(weights, np.uint8)) is job
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_what_is_not_here_lies_in_a_folder_of_ones_own_until_it_is_read(self, job, weights, tmp_path):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        there = job.delivered(sent)
        there.check_fingerprint("a worker")
        (folder,) = (tmp_path / "elsewhere").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert there.config.checkpoint.parent == folder
        assert there.config.checkpoint.stat().st_size == sent.size
        there.discard_delivery()
        assert list((tmp_path / "elsewhere").iterdir()) == []
        there.discard_delivery()
        job.discard_delivery()

    @pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
    def test_what_others_left_in_the_folder_is_not_touched(self, job, weights, tmp_path, kind):
        """Names that another user can foresee are taken by something else."""
        names = [f"persamhq-weights-{job.fingerprint.weights_sha256[:16]}{end}" for end in ("", ".bin", ".safetensors")]
        victim = tmp_path / "victim"
        victim.write_text("theirs")
        for name in names:
            path = tmp_path / "elsewhere" / name
            TAKEN[kind](path, victim)
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        there = job.delivered(sent)
        there.check_fingerprint("a worker")
        there.discard_delivery()
        assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == sorted(names)
        assert victim.read_text() == "theirs"

    def test_other_bytes_are_not_believed(self, job, weights):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        sent[1000] ^= 1
        with pytest.raises(ExecutorError, match="the weights changed on their way to a worker"):
            job.delivered(sent)

    def test_a_full_disk_is_said(self, job, weights, tmp_path, monkeypatch):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()

        def full(prefix):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("tempfile.mkdtemp", full)
        with pytest.raises(
            ExecutorError, match=r"write its weights, 3 MB, .*: No space left on device; make room there"
        ):
            job.delivered(sent)

    @pytest.mark.parametrize("fails", [False, True])
    def test_a_worker_leaves_nothing_behind(self, job, weights, tmp_path, monkeypatch, fails):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        if fails:
            monkeypatch.setattr(stand_in_tracker.HashTracker, "__init__", lambda *_, **__: 1 / 0)
        worker = Worker(job)
        with pytest.raises(ZeroDivisionError) if fails else nullcontext():
            worker.prepare("a worker", sent)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_it_goes_with_the_process(self, weights, tmp_path):
        code = "import sys, hashlib, numpy as np; from persamhq_video.job.weights import deliver_weights;"
        code += (
            "w = np.zeros(9, np.uint8); print(deliver_weights(w, sha256=hashlib.sha256(w).hexdigest(), suffix='.x'))"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
        )
        assert done.stdout.startswith(f"{tmp_path}/persamhq-weights-")
        assert list(tmp_path.glob("persamhq-weights-*")) == []

    def test_several_workers_of_one_machine_at_once(self, job, weights):
        sent, errors = np.fromfile(weights, np.uint8), []
        weights.unlink()
        start = threading.Barrier(8)

        def deliver():
            start.wait()
            try:
                job.delivered(sent).check_fingerprint("a worker")
            except Exception as exc:  # noqa: BLE001 - whatever it is
                errors.append(exc)

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


def test_a_plugin_travels_as_its_text(stand_in, plugin_file):
    """A worker builds its strategies though the file is nowhere to be found."""
    job = make_job(make_config({"executor": "inline", "prompts": "mine", "plugins": [str(plugin_file)]}))
    plugin_file.unlink()
    tracker = job.build()
    assert isinstance(tracker, HashTracker)
    assert tracker._strategies.startswith("Mine")
