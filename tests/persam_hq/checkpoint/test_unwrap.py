from pathlib import Path

import pytest
import torch

from persam_hq.checkpoint.unwrap import unwrap
from persam_hq.errors import CheckpointError

PATH = Path("file.pth")
STATE = {"image_encoder.a": torch.zeros(2), "mask_decoder.b": torch.ones(3)}


def prefixed(prefix):
    return {prefix + key: value for key, value in STATE.items()}


@pytest.mark.parametrize(
    ("loaded", "around"),
    [
        (STATE, ()),
        ({"state_dict": STATE, "epoch": 3}, ("state_dict",)),
        ({"model": STATE, "optimizer": {"state": {0: {"step": torch.tensor(1)}}}, "epoch": 3}, ("model",)),
        ({"epoch": torch.tensor(3), "model_state_dict": STATE}, ("model_state_dict",)),
        ({"state_dict": {"net": STATE, "lr": 0.1}, "epoch": 3}, ("state_dict", "net")),
        (prefixed("module."), ("module.",)),
        (prefixed("_orig_mod.module."), ("_orig_mod.", "module.")),
        ({"state_dict": prefixed("model."), "epoch": 3}, ("state_dict", "model.")),
    ],
)
def test_the_state_dict_is_found_in_what_is_around_it(loaded, around):
    tensors, found = unwrap(loaded, PATH)
    assert found == around
    assert tensors.keys() == STATE.keys()
    assert all(tensors[key] is value for key, value in STATE.items())


def test_averaged_weights_come_first():
    other = {key: value + 1 for key, value in STATE.items()}
    tensors, around = unwrap({"model": other, "ema": STATE, "step": 3}, PATH)
    assert around == ("ema",)
    assert all(tensors[key] is value for key, value in STATE.items())


def test_a_prefix_that_not_all_keys_have_stays():
    mixed = STATE | {"module.c": torch.zeros(1)}
    assert unwrap(mixed, PATH)[0].keys() == mixed.keys()


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        ([torch.zeros(1)], "file.pth holds list, expected a mapping of names to tensors"),
        (torch.zeros(1), "file.pth holds Tensor, expected a mapping"),
        (
            {"epoch": 3, "loss": 0.1, "w": torch.zeros(1)},
            "holds no state dict: what is under epoch, loss are no tensors",
        ),
        ({"model": {"layers": [1, 2]}}, "what is under layers are no tensors, and there is none under ema"),
        ({1: torch.zeros(1)}, "holds no state dict"),
    ],
)
def test_where_there_is_none(loaded, message):
    with pytest.raises(CheckpointError, match=message):
        unwrap(loaded, PATH)


def test_nothing_is_a_state_dict_of_nothing():
    assert unwrap({}, PATH) == ({}, ())
