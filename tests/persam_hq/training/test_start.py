import pytest
import torch
from golden.fill_weights import fill_state_dict
from stand_ins.training import sam_config

from persam_hq.build.sam import build_model
from persam_hq.checkpoint import HQ_PREFIXES
from persam_hq.errors import CheckpointError, InputError
from persam_hq.training.config.device import training_device
from persam_hq.training.distributed import SingleWorker
from persam_hq.training.start import _model_to_train, start_training


class OneOfTwo(SingleWorker):
    world_size = 2


def test_lite_is_trained_by_one_worker(make_config, tmp_path):
    with pytest.raises(InputError, match="lite is trained by one worker"):
        start_training(make_config(), tmp_path / "run", report=print, communicator=OneOfTwo())
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read .*none.pth"):
        start_training(sam_config(start_from=tmp_path / "none.pth"), tmp_path / "run", report=print)


@pytest.mark.parametrize("with_hq", [True, False])
def test_a_mask_decoder_may_come_from_a_file_of_its_own(tmp_path, with_hq):
    """What SAM-HQ's training starts from (SAM's decoder alone) and what it saves (the same with HQ parts)."""
    published = build_model("vit_tiny", hq=with_hq)
    fill_state_dict(published)
    other = {key: value + 1 for key, value in published.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save({k: v for k, v in published.state_dict().items() if not k.startswith(HQ_PREFIXES)}, tmp_path / "sam.pth")
    torch.save({key.removeprefix("mask_decoder."): value for key, value in other.items()}, tmp_path / "decoder.pth")

    config = sam_config(start_from=tmp_path / "sam.pth", decoder_from=tmp_path / "decoder.pth")
    model, schedule = _model_to_train(config)
    assert schedule.wants_hq
    expected = {**published.state_dict(), **other}
    for key, value in model.state_dict().items():
        if key in expected:
            assert torch.equal(value, expected[key]), key
        else:
            assert key.startswith(HQ_PREFIXES)
    with pytest.raises(CheckpointError, match=r"decoder.pth lacks all of image_encoder .* as its decoder_from"):
        _model_to_train(sam_config(start_from=tmp_path / "decoder.pth"))


@pytest.mark.parametrize(
    ("asked", "there", "found"), [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")]
)
def test_the_device(monkeypatch, asked, there, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert training_device(asked).type == found


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="asks for device cuda, but torch finds no GPU; use auto or cpu"):
        training_device("cuda")
