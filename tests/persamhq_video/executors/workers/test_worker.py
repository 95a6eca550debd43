"""One worker without a pool: what it counts for whom, what its errors say, and what it does without."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from stand_ins.tracker import RED

from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.worker import Worker
from persamhq_video.job.prepare import make_job
from persamhq_video.types import Frame

LABELS = np.zeros((8, 10), np.uint8)
LABELS[2:4, 3:6] = 1


def frame(index, colour=None):
    image = np.full((8, 10, 3), index, np.uint8)
    if colour is not None:
        image[:] = colour
    return Frame(index=index, pts=index, time_base=Fraction(1, 25), image=image, name=f"{index}")


@pytest.fixture
def worker(stand_in):
    worker = Worker(make_job(make_config({"executor": "inline"})))
    assert worker.prepare("worker 1") is True
    return worker


def begin(worker, video):
    beginning = worker.begin(video, frame(0), LABELS)
    worker.receive_target(video, beginning.target)
    return beginning.state


def test_each_video_has_its_own_usage(worker):
    for video, frames in ((0, 3), (1, 1)):
        state = begin(worker, video)
        for index in range(1, frames + 1):
            worker.encode(video, frame(index))
            state, _ = worker.track(video, state, index, target_received=True)
    usages = [worker.close_video(video) for video in (0, 1)]
    assert [usage.counts["tracked"] for usage in usages] == [3, 1]
    assert [usage.counts["features_hits"] for usage in usages] == [3, 1]
    assert all(set(usage.seconds) == {"begin", "encode", "track"} for usage in usages)


def test_an_error_says_which_frame_and_which_stage(worker):
    state = begin(worker, 0)
    worker.encode(0, frame(5, RED))
    with pytest.raises(ExecutorError, match=r"^frame 5: track failed: RuntimeError: the stand-in does not like red$"):
        worker.track(0, state, 5, target_received=True)


@pytest.mark.parametrize("module", ["worker", "inline_pool", "worker_pool", "feature_store", "frame_reader", "malloc"])
def test_neither_torch_nor_ray_is_imported(module):
    name = f"persamhq_video.executors.workers.{module}"
    code = f"import sys, {name}; assert not {{'torch', 'ray'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
