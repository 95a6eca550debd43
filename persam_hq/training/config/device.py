"""The device and the precision that a training computes with, as a configuration names them."""

from __future__ import annotations

from typing import Literal

import torch

from persam_hq.errors import InputError

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "float32", "bfloat16"]


def training_device(name: DeviceName) -> torch.device:
    """The device of that name; `auto` is a GPU where torch finds one. InputError where there is none to be had."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("the configuration asks for device cuda, but torch finds no GPU; use auto or cpu")
    return torch.device(name)


def training_precision(name: PrecisionName, device: torch.device) -> torch.dtype:
    """The precision of that name; `auto` is bfloat16 where the device computes with it, float32 elsewhere.

    A processor without such instructions emulates them, at several times the cost of float32.
    """
    if name == "auto":
        native = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - it has no other name
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32
