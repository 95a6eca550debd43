"""Checks of tensors before a model takes them: names, shapes, kinds of numbers, and values to compute with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from persam_hq.errors import MisfitError

__all__ = ["listed", "misfits", "refuse_bad_values"]

_NAMED = 8  # keys that an error spells out before it only counts


def listed(keys: Iterable[str]) -> str:
    """The first of the keys, and how many more there are."""
    keys = list(keys)
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more


def misfits(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What keeps tensors out of a model with the state `expected`, one phrase per kind with the keys; empty if none."""
    # All misfits are collected before any is reported; load_state_dict would list hundreds of keys
    shared = [key for key in expected if key in tensors]
    found = {
        "missing": [key for key in expected if key not in tensors],
        "not part of the model": [key for key in tensors if key not in expected],
        "of another shape": [
            f"{key} {tuple(tensors[key].shape)}, expected {tuple(expected[key].shape)}"
            for key in shared
            if tensors[key].shape != expected[key].shape
        ],
        # Quantised weights are integers that mean something only with their scales
        "not of floating point": [
            f"{key} {str(tensors[key].dtype).removeprefix('torch.')}"
            for key in shared
            if expected[key].is_floating_point() and not tensors[key].is_floating_point()
        ],
    }
    return [f"{len(keys)} {what}: {listed(keys)}" for what, keys in found.items() if keys]


def refuse_bad_values(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise MisfitError where a tensor holds NaN or infinity: every mask would come out empty, without a word."""
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not _is_finite(value)]
    if bad:
        raise MisfitError(
            f"{path} holds NaN or infinite values in {len(bad)} of {len(tensors)} tensors: {listed(bad)}; "
            "did its training diverge? take an earlier or another file"
        )


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite in float32, which models compute in."""
    # Smallest and largest in one pass and without a copy: files are mapped, and weights are never held twice
    if not tensor.numel():
        return True
    with torch.no_grad():
        values = tensor.float() if tensor.element_size() == 1 else tensor  # 8-bit floats have no minimum
        lowest, highest = torch.aminmax(values)
        return math.isfinite(lowest.float().item()) and math.isfinite(highest.float().item())
