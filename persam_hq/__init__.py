"""PerSAM-HQ: segment the object that one reference image and mask show, with the masks of HQ-SAM."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persam_hq.build import sam_model_registry
    from persam_hq.predictor import PerSamPredictor, SamPredictor
    from persam_hq.pretrained import load_model

__all__ = ["PerSamPredictor", "SamPredictor", "load_model", "sam_model_registry"]

_HOMES = {
    "PerSamPredictor": "persam_hq.predictor",
    "SamPredictor": "persam_hq.predictor",
    "load_model": "persam_hq.pretrained",
    "sam_model_registry": "persam_hq.build",
}


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds and 200 MB; whoever wants a type or an error should not wait for it.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
