"""PerSAM-HQ: segment the object that one reference image and mask show, with the masks of HQ-SAM."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persam_hq.build.pretrained import load_model
    from persam_hq.build.sam import sam_model_registry
    from persam_hq.predictor import PerSamPredictor, SamPredictor

__all__ = ["PerSamPredictor", "SamPredictor", "load_model", "sam_model_registry"]

_MODULES = {
    "PerSamPredictor": "persam_hq.predictor",
    "SamPredictor": "persam_hq.predictor",
    "load_model": "persam_hq.build.pretrained",
    "sam_model_registry": "persam_hq.build.sam",
}
"""The module that each public name is defined in."""


def __getattr__(name: str) -> Any:
    """The public names, imported on first use."""
    # Importing torch takes seconds and 200 MB; whoever wants a type or an error should not wait for it.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
