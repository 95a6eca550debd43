import numpy as np
import pytest
import torch
from stand_ins.training import HQ_STAGE, SAM_STAGE, join_and_train, sam_config, tiny_sam_training
from torch import nn

from persam_hq.training.curves import read_curves
from persam_hq.training.distributed import ProcessGroup, SingleWorker

pytestmark = pytest.mark.slow

STAGES = [SAM_STAGE | {"steps": 25}, HQ_STAGE | {"steps": 25}]


def losses(folder):
    return np.array([record["loss"] for record in read_curves(folder / "curves.jsonl")])


def test_two_workers_give_the_losses_of_one_with_twice_the_batch(tmp_path):
    tiny_sam_training(sam_config(stages=STAGES, batch=4), tmp_path / "one").run()
    arguments = (2, tmp_path / "meeting", sam_config(stages=STAGES, batch=2), tmp_path / "two")
    torch.multiprocessing.spawn(join_and_train, arguments, nprocs=2)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 50
    assert np.abs(two / one - 1).max() < 1e-4  # 0.04 without an average over the workers


@pytest.fixture
def alone_in_a_group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield ProcessGroup()
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("default")
def test_a_gradient_that_nobody_has_stays_none(alone_in_a_group):
    reached, unreached = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(4))
    reached.grad = torch.arange(6.0).reshape(2, 3)
    alone_in_a_group.average_gradients([reached, unreached])
    assert torch.equal(reached.grad, torch.arange(6.0).reshape(2, 3))
    assert unreached.grad is None
    alone_in_a_group.average_gradients([])
    assert alone_in_a_group.average_figures({"loss": 2.0}) == {"loss": 2.0}


def test_the_only_worker_changes_nothing():
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    alone = SingleWorker()
    alone.average_gradients([parameter])
    assert (alone.rank, alone.world_size) == (0, 1)
    assert parameter.grad.tolist() == [1, 1]
    assert alone.average_figures({"loss": 1.5}) == {"loss": 1.5}
