"""A job on its way to a worker: its weights, if the worker's machine does not have them, and its plugins."""

import threading

import numpy as np
import pytest
from stand_ins import tracker as stand_in_tracker
from stand_ins.tracker import HashTracker

from persamhq_video.config import make_config
from persamhq_video.job.prepare import make_job


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

    def test_what_is_not_here_is_written_once(self, job, weights, tmp_path):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        there = job.delivered(sent)
        there.check_fingerprint("a worker")
        (path,) = (tmp_path / "elsewhere").iterdir()
        assert (there.config.checkpoint, path.stat().st_size) == (path, sent.size)
        written = path.stat().st_mtime_ns
        job.delivered(sent)
        assert path.stat().st_mtime_ns == written

    def test_another_file_of_that_name_is_not_believed(self, job, weights):
        sent = np.fromfile(weights, np.uint8)
        weights.unlink()
        path = job.delivered(sent).config.checkpoint
        path.write_bytes(b"something else")
        job.delivered(sent).check_fingerprint("a worker")

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
