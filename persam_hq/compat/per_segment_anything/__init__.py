"""The names that scripts import from `per_segment_anything`, on the models of this package; submodules as published."""

from persam_hq.compat.automatic_mask_generator import SamAutomaticMaskGenerator
from persam_hq.compat.builders import persam_registry as sam_model_registry
from persam_hq.compat.modeling import Sam
from persam_hq.compat.per_segment_anything import modeling, utils
from persam_hq.compat.per_segment_anything.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
)
from persam_hq.compat.per_segment_anything.predictor import SamPredictor
from persam_hq.compat.resize import ResizeLongestSide

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "modeling",
    "sam_model_registry",
    "utils",
]
