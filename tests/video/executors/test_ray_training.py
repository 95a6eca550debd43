"""Ray Train's workers train as one process with the whole batch does."""

import sys
from functools import partial

import numpy as np
import pytest
from stand_in_training import HQ_STAGE, SAM_STAGE, fail, refuse, sam_config, tiny_sam_training, train_a_part

from persam_hq.errors import InputError
from persam_hq.training.curves import read_curves
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.ray_training import TrainingCluster, train_on_ray

TWO = TrainingCluster(workers=2, threads=1)


def losses(folder):
    return np.array([record["loss"] for record in read_curves(folder / "curves.jsonl")])


@pytest.fixture
def _ray_train():
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")


@pytest.mark.long
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("ray_cluster", "_ray_train")
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

    @pytest.mark.parametrize(
        ("work", "error", "message"),
        [
            (refuse, InputError, "no data here"),
            (fail, ExecutorError, r"worker \d failed in training: ZeroDivisionError: by zero"),
        ],
    )
    def test_an_error_of_a_worker_is_raised_here(self, tmp_path, work, error, message):
        with pytest.raises(error, match=message):
            train_on_ray(work, TWO, storage=tmp_path / "ray", report=print)

    def test_more_workers_than_fit_are_refused(self, tmp_path):
        many = TrainingCluster(workers=500, threads=1)
        with pytest.raises(ExecutorError, match="500 workers with 1 CPU each do not fit a cluster"):
            train_on_ray(refuse, many, storage=tmp_path / "ray", report=print)


def test_without_ray_train_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray.train.torch", None)
    with pytest.raises(ExecutorError, match=r"needs Ray Train: pip install 'persam-hq-video\[train\]'"):
        train_on_ray(refuse, TWO, storage=tmp_path, report=print)
