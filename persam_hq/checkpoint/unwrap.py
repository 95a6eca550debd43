"""Unwrapping of state dicts: training scripts save them among other things, and with prefixes before their keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from persam_hq.errors import CheckpointError

_DEEPEST = 16
"""Levels of mappings that are looked through. Trainers' files have three or so; one that holds itself has no end."""
WRAPPERS = ("ema", "model_ema", "ema_state_dict", "state_dict", "model_state_dict", "model", "net")
"""Keys that state dicts are found under; where there are several, averaged weights come first, as they are for use."""
PREFIXES = ("module.", "_orig_mod.", "model.", "sam.")
"""Prefixes that DistributedDataParallel, torch.compile and modules around a model put before each key."""


def unwrap(loaded: object, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict in what a file holds, and the keys and prefixes that were around it, outermost first.

    Raises CheckpointError where there is none.
    """
    # Into mappings, as far as it takes
    around: list[str] = []
    while not _is_state_dict(loaded):
        if not isinstance(loaded, Mapping):
            raise CheckpointError(f"{path} holds {type(loaded).__name__}, expected a mapping of names to tensors")
        if len(around) == _DEEPEST:
            raise CheckpointError(
                f"{path} holds mappings in mappings more than {_DEEPEST} deep ({' > '.join(around[:3])} > ...), or one "
                "that holds itself; save the model's state dict alone"
            )
        found = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if found is None:
            others = ", ".join(_shown(key) for key, value in loaded.items() if not isinstance(value, Tensor))
            raise CheckpointError(
                f"{path} holds no state dict: what is under {others[:200]} are no tensors, "
                f"and there is none under {', '.join(WRAPPERS)} either"
            )
        # One level down; mappings in mappings occur (a trainer's state around a model's)
        around.append(found)
        loaded = loaded[found]
    assert isinstance(loaded, Mapping)
    _refuse_empty_forms(loaded, path)

    # Prefixes that all keys share; the parts of a model never share one
    tensors = dict(loaded)
    while prefix := _common_prefix(tensors):
        around.append(prefix)
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors, tuple(around)


def _refuse_empty_forms(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise CheckpointError where tensors have no plain values of their own in the file."""
    for key, value in tensors.items():
        if value.is_meta or value.layout is not torch.strided or value.is_quantized:
            kind = "quantised" if value.is_quantized else "sparse" if not value.is_meta else "without values"
            raise CheckpointError(f"{path} holds {key} {kind}; save the model's weights as plain tensors")
        # Repeated values take no room in the file, but as much memory as they say once a model holds them
        if value.untyped_storage().nbytes() < value.numel() * value.element_size():
            raise CheckpointError(f"{path} holds {key} as repeated values; save the model's weights as plain tensors")


def _shown(key: object) -> str:
    # Other keys than names can have a text of any length, or none at all
    return key if isinstance(key, str) else f"a {type(key).__name__}"


def _is_state_dict(loaded: object) -> bool:
    return isinstance(loaded, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    )


def _common_prefix(tensors: Mapping[str, Tensor]) -> str | None:
    if not tensors:
        return None
    return next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in tensors)), None)
