"""Where workers are put, and how what they need gets there."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from stand_ins import tracker as stand_in_tracker
from stand_ins.tracker import HashTracker

from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers import ray_pool
from persamhq_video.executors.workers.ray_pool import Cluster, RayPool
from persamhq_video.job.prepare import make_job

WHERE = """
import json, sys
import ray
import persamhq_video.job
from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.ray_pool import Cluster, RayPool
from persamhq_video.plan import make_job

persamhq_video.job.job.TRACKER_MODULE = "stand_ins.tracker"
ray.init(address="local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)
job = make_job(make_config({"device": "cpu"}))
found = []
for workers, gpus in json.loads(sys.argv[1]):
    try:
        with RayPool(job, Cluster(workers=workers, cpus_per_worker=1, gpus_per_worker=gpus)) as pool:
            asked = [actor.__ray_call__.remote(lambda worker: ray.get_gpu_ids()) for actor in pool._actors]
            found.append(sorted(ray.get(asked)))
    except ExecutorError as exc:
        found.append(str(exc))
print(json.dumps(found))
"""


@pytest.mark.long
def test_how_many_workers_share_a_gpu():
    """Ray is only told of two GPUs, which is enough for it to place workers."""
    cases = [[2, 1], [4, 0.5], [3, 1], [5, 0.5]]
    command = [sys.executable, "-c", WHERE, json.dumps(cases)]
    place = Path(stand_in_tracker.__file__).parent
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=place)
    one_each, two_each, three, five = json.loads(done.stdout.splitlines()[-1])
    assert one_each == [[0], [1]]
    assert two_each == [[0], [0], [1], [1]]
    assert three == "3 workers with 1 GPU each do not fit a cluster with 2"
    assert five == "5 workers with 0.5 GPU each do not fit a cluster with 2"


@pytest.mark.parametrize(
    ("nodes", "workers", "needs", "complaint"),
    [
        ([{"CPU": 3}, {"CPU": 3}], 2, (2, 0), None),
        ([{"CPU": 3}, {"CPU": 3}], 3, (2, 0), "3 workers with 2 CPU each do not fit; the nodes have room for 2"),
        ([{"CPU": 8}, {"CPU": 1, "GPU": 2}], 2, (1, 1), r"with 1 CPU and 1 GPU each do not fit; .* room for 1"),
        ([{"CPU": 8, "GPU": 1}], 3, (1, 0.5), r"3 workers with 0.5 GPU each do not fit a cluster with 1"),
    ],
)
def test_workers_that_no_node_has_room_for_are_refused(monkeypatch, nodes, workers, needs, complaint):
    """Otherwise Ray waits for ever."""
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    monkeypatch.setattr(ray_pool.ray, "cluster_resources", lambda: total)
    monkeypatch.setattr(ray_pool.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    pool = RayPool(None, Cluster(workers=workers, cpus_per_worker=needs[0], gpus_per_worker=needs[1]))
    if complaint is None:
        pool._check_room()
    else:
        with pytest.raises(ExecutorError, match=complaint):
            pool._check_room()


class TestWeights:
    """A worker of another machine is sent them."""

    @pytest.fixture
    def weights(self, monkeypatch, tmp_path):
        """Weights that can be read where the job is made; `tmp_path` is where other machines put theirs."""
        path = tmp_path / "weights.bin"
        path.write_bytes(np.random.default_rng(0).bytes(3_000_000))
        monkeypatch.setattr(stand_in_tracker, "weights_path", lambda config: config.checkpoint or path)
        monkeypatch.setattr("persamhq_video.job.job.tempfile.gettempdir", lambda: str(tmp_path / "elsewhere"))
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
