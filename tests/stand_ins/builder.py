"""The registered builder around a model of a few thousand weights, and its weights on disk."""

import torch
from safetensors.torch import save_file

from persam_hq.build.sam import SamBuilder
from stand_ins.model import square_model

SIDE = 64


class SmallSpec:
    """An encoder spec with nothing behind it: the builder below does not ask for one."""


class SmallBuilder(SamBuilder):
    """Builds `square_model`, with the default size of 1024 as its own 64 pixels."""

    def _assemble(self, *, hq, image_size):
        return square_model(hq=hq, side=SIDE if image_size == 1024 else image_size)


def small_builder(name="vit_b"):
    """The builder registered as `name`, for small models."""
    return SmallBuilder(name, SmallSpec())


def save(tensors, path):
    """In the format that the name asks for: .safetensors, .legacy.pth, or what torch writes today."""
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=".legacy" not in path.suffixes)
    return path
