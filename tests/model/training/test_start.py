import pytest
import torch
from stand_in_training import sam_config

from persam_hq.errors import CheckpointError, InputError
from persam_hq.training.distributed import Alone
from persam_hq.training.start import _device, start_training


class OneOfTwo(Alone):
    world_size = 2


def test_lite_is_trained_by_one_worker(make_config, tmp_path):
    with pytest.raises(InputError, match="lite is trained by one worker"):
        start_training(make_config(), tmp_path / "run", report=print, communicator=OneOfTwo())
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read .*none.pth"):
        start_training(sam_config(start_from=tmp_path / "none.pth"), tmp_path / "run", report=print)


@pytest.mark.parametrize(
    ("asked", "there", "found"), [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")]
)
def test_the_device(monkeypatch, asked, there, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert _device(sam_config(device=asked)).type == found


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="asks for device cuda, but torch finds no GPU; use auto or cpu"):
        _device(sam_config(device="cuda"))
