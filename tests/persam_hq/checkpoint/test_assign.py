import pytest
import torch
from torch import nn

from persam_hq.checkpoint.assign import place


class Small(nn.Module):
    """A weight, a stored buffer of integers, and a constant that no file has."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("constant", torch.ones(1, device="cpu"), persistent=False)


def tensors(dtype=torch.float32):
    return {
        "linear.weight": torch.arange(6, dtype=dtype).reshape(3, 2),
        "linear.bias": torch.zeros(3, dtype=dtype),
        "count": torch.tensor(7),
    }


def on_meta():
    with torch.device("meta"):
        return Small()


def test_a_model_on_meta_takes_over_the_very_memory():
    model, given = on_meta(), tensors()
    place(given, model)
    assert all(value.data_ptr() == given[key].data_ptr() for key, value in model.state_dict().items())
    assert model.linear.weight.requires_grad
    assert model.constant.item() == 1


def test_a_model_with_memory_keeps_it():
    model, given = Small(), tensors()
    own = model.linear.weight.data_ptr()
    place(given, model)
    assert model.linear.weight.data_ptr() == own
    assert torch.equal(model.linear.weight, given["linear.weight"])


@pytest.mark.parametrize("build", [on_meta, Small])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_become_the_models(build, dtype):
    model = build()
    place(tensors(dtype), model)
    assert model.linear.weight.dtype == torch.float32
    assert torch.equal(model.linear.weight, tensors()["linear.weight"])
    assert model.count.dtype == torch.int64
    assert model.count.item() == 7


@pytest.mark.parametrize("build", [on_meta, Small])
def test_all_of_it_goes_to_the_device(build):
    model = build()
    place(tensors(), model, device="cpu")
    assert {value.device.type for value in (*model.parameters(), *model.buffers())} == {"cpu"}


def test_parameters_that_were_saved_as_such_are_taken_without_their_history():
    model = on_meta()
    place(tensors() | {"linear.bias": nn.Parameter(torch.ones(3))}, model)
    assert model.linear.bias.is_leaf
    assert model.linear.bias.sum() == 3
