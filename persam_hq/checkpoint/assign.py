"""Assignment of a file's tensors to a model: the one place where their dtype and device change."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn


def place(tensors: Mapping[str, Tensor], model: nn.Module, *, device: str | torch.device | None = None) -> None:
    """Give `model` exactly these tensors, which have its keys and shapes, in the dtype it was built with.

    A model built on the meta device takes over the very tensors of the file, mapped as they are, wherever dtype and
    device fit; the others are converted one by one, so that weights are never held twice. Into a model with memory
    of its own the values are copied. `device` None is that of the model, or the CPU for one built on meta.
    """
    expected = model.state_dict()
    # A model with memory takes copies; one on the meta device takes the tensors themselves
    if not any(value.is_meta for value in expected.values()):
        model.load_state_dict(tensors, strict=True)
    else:
        target = torch.device(device or "cpu")
        own = {key: tensors[key].detach().to(target, expected[key].dtype) for key in expected}
        model.load_state_dict(own, strict=True, assign=True)
    assert not any(value.is_meta for value in chain(model.parameters(), model.buffers()))
    if device is not None:
        model.to(device)  # what is no weight: the pixel statistics, and indices
