"""The Ray pool call by call: where workers are put, what is sent, what stays, and how long it waits for others."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import ray
from stand_ins import tracker as stand_in_tracker

from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers import ray_pool
from persamhq_video.executors.workers.ray_pool import Cluster, RayPool, RayWorker
from persamhq_video.executors.workers.worker_pool import Call
from persamhq_video.job.prepare import make_job
from persamhq_video.types import Frame

WHERE = """
import json, sys
import ray
from stand_ins.tracker import BUILDER
from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.ray_pool import Cluster, RayPool
from persamhq_video.job.prepare import make_job

ray.init(address="local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)
job = make_job(make_config({"device": "cpu"}), builder=BUILDER)
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

LABELS = np.zeros((8, 10), np.uint8)
LABELS[2:4, 3:6] = 1


def frame(index):
    image = np.full((8, 10, 3), index, np.uint8)
    return Frame(index=index, pts=index, time_base=Fraction(1, 25), image=image, name=f"{index}")


@pytest.fixture
def job(stand_in):
    return make_job(make_config({"executor": "ray", "workers": 1}))


class TestTheStateThatStays:
    @pytest.fixture
    def worker(self, job):
        worker = RayWorker(job)
        worker.prepare("worker 1")
        return worker

    def test_a_worker_goes_on_from_its_own_newest_state(self, worker):
        target, state, _ = worker.begin_packed(0, frame(0), LABELS)
        worker.receive_target(0, target)
        states = [state]
        for index in (1, 2, 3):
            worker.encode(0, frame(index))
            stays = index > 1
            sent = None if stays else states[-1]
            states.append(worker.track_packed(0, sent, index, target_received=True, from_newest=stays)[0])

        assert len({bytes(state) for state in states}) == 4
        worker.encode(0, frame(3))
        again, _ = worker.track_packed(0, states[2], 3, target_received=True, from_newest=False)
        assert again == states[3]

    def test_it_is_forgotten_with_the_video(self, worker):
        target, state, _ = worker.begin_packed(0, frame(0), LABELS)
        worker.receive_target(0, target)
        worker.encode(0, frame(1))
        worker.track_packed(0, state, 1, target_received=True, from_newest=False)
        worker.close_video(0)
        assert worker._newest_states == {}


class Asked:
    """A method of an actor: keeps what it is called with, and answers with two references of its own."""

    def __init__(self):
        self.calls = []

    def options(self, **_):
        return self

    def remote(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        return object(), object()


class Actor:
    def __init__(self):
        self.receive_target, self.track_packed = Asked(), Asked()


class TestWhatIsSent:
    @pytest.fixture
    def pool(self, monkeypatch):
        pool = RayPool(None, Cluster(workers=2, cpus_per_worker=1))
        pool._actors = [Actor(), Actor()]
        monkeypatch.setattr(pool, "_answer", lambda *_: None)
        return pool

    def track(self, pool, worker, state, index):
        return pool.track(Call(worker, lambda *_: None), 0, target="target", state=state, index=index)

    def test_the_newest_state_is_not_sent_to_where_it_is(self, pool):
        first = self.track(pool, 0, "state 0", 1)
        second = self.track(pool, 0, first, 2)
        self.track(pool, 1, second, 3)
        here = [(args[1], kwargs["from_newest"]) for args, kwargs in pool._actors[0].track_packed.calls]
        assert here == [("state 0", False), (None, True)]
        ((args, kwargs),) = pool._actors[1].track_packed.calls
        assert (args[1], kwargs["from_newest"]) == (second, False)

    def test_an_older_state_is_sent_again(self, pool):
        first = self.track(pool, 0, "state 0", 1)
        self.track(pool, 0, first, 2)
        self.track(pool, 0, first, 2)
        assert pool._actors[0].track_packed.calls[-1][0][1] is first
        assert pool._actors[0].track_packed.calls[-1][1]["from_newest"] is False

    def test_a_target_is_sent_to_each_worker_once(self, pool):
        state = self.track(pool, 0, "state 0", 1)
        self.track(pool, 0, state, 2)
        assert [args for args, _ in pool._actors[0].receive_target.calls] == [(0, "target")]


@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_that_others_hold_is_not_waited_for_without_end(job):
    @ray.remote(num_cpus=int(ray.available_resources()["CPU"]))
    class Holder:
        def ready(self):
            return True

    holder = Holder.remote()
    assert ray.get(holder.ready.remote())
    pool = RayPool(job, Cluster(workers=1, cpus_per_worker=1, start_timeout=0.5))
    with pytest.raises(ExecutorError, match=r"1 workers were not all ready within 0.5 s; other jobs may hold"), pool:
        pass
    ray.kill(holder)


# Where workers are put


@pytest.mark.long
def test_how_many_workers_share_a_gpu():
    """Ray is only told of two GPUs, which is enough for it to place workers."""
    cases = [[2, 1], [4, 0.5], [3, 1], [5, 0.5]]
    command = [sys.executable, "-c", WHERE, json.dumps(cases)]
    place = Path(stand_in_tracker.__file__).parents[1]
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
