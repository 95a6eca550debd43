"""Ray Train's workers train as one process with the whole batch does."""

import os
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from ray.exceptions import RayError
from stand_ins.training import HQ_STAGE, SAM_STAGE, refuse, sam_config, tiny_sam_training, train_a_part

from persam_hq.errors import InputError
from persam_hq.training.curves import read_curves
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.ray_training import TrainingCluster, _fit, train_on_ray

NO_RAY_TRAIN = not (find_spec("pyarrow") and find_spec("pandas")) and "PERSAMHQ_CI" not in os.environ
TWO = TrainingCluster(workers=2, threads=1)


def losses(folder):
    return np.array([record["loss"] for record in read_curves(folder / "curves.jsonl")])


@pytest.mark.long
@pytest.mark.skipif(NO_RAY_TRAIN, reason="Ray Train imports pandas and pyarrow")
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("ray_cluster")
class TestOnRay:
    def test_two_workers_give_the_losses_of_one_with_twice_the_batch(self, tmp_path):
        stages = [SAM_STAGE | {"steps": 25}, HQ_STAGE | {"steps": 25}]
        tiny_sam_training(sam_config(stages=stages, batch=4), tmp_path / "one").run()
        work = partial(train_a_part, sam_config(stages=stages, batch=2), tmp_path / "two")
        lines = []
        train_on_ray(work, TWO, storage=tmp_path / "ray", report=lines.append)
        one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
        assert len(one) == len(two) == 50
        assert np.abs(two / one - 1).max() < 0.01
        assert lines[-1].startswith("peak memory")

    def test_an_error_of_a_worker_is_raised_here(self, tmp_path):
        with pytest.raises(InputError, match="no data here"):
            train_on_ray(refuse, TWO, storage=tmp_path / "ray", report=print)

    def test_more_workers_than_fit_are_refused(self, tmp_path):
        many = TrainingCluster(workers=500, threads=1)
        with pytest.raises(ExecutorError, match="500 workers with 1 CPU each do not fit a cluster"):
            train_on_ray(refuse, many, storage=tmp_path / "ray", report=print)


class WorkersFailedError(Exception):
    """As Ray Train's error says which workers failed, and of what; each cause may be wrapped."""

    def __init__(self, failures):
        super().__init__("training failed")
        self.worker_failures = failures


class WrappedError(Exception):
    def __init__(self, cause):
        super().__init__("wrapped")
        self.cause = cause


class FailingTrainer:
    def __init__(self, error):
        self.error = error

    def fit(self):
        raise self.error


class RayTrainTypes:
    TrainingFailedError = WorkersFailedError


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (
            WorkersFailedError({1: ValueError("late"), 0: WrappedError(WrappedError(InputError("no data")))}),
            InputError,
            "^no data$",
        ),
        (
            WorkersFailedError({1: OSError("no\nroom")}),
            ExecutorError,
            "^worker 1 failed in training: OSError: no room$",
        ),
        (WorkersFailedError({}), ExecutorError, "^Ray Train failed: training failed$"),
        (RayError("lost"), ExecutorError, "^Ray failed in training: lost$"),
    ],
)
def test_what_a_worker_raised_becomes_one_line(raised, error, message):
    with pytest.raises(error, match=message):
        _fit(FailingTrainer(raised), RayTrainTypes)


def test_without_ray_train_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray.train.torch", None)
    with pytest.raises(ExecutorError, match=r"needs Ray Train: pip install 'persam-hq-video\[train\]'"):
        train_on_ray(refuse, TWO, storage=tmp_path, report=print)
