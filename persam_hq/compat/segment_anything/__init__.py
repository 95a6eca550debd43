"""The names that scripts import from `segment_anything` and `segment_anything_hq`, on the models of this package.

The submodules have their published names too: `modeling`, `predictor`, `build_sam`, `utils.transforms` and others.
"""

from persam_hq.compat.automatic_mask_generator import SamAutomaticMaskGenerator
from persam_hq.compat.builders import sam_hq_model_registry, sam_model_registry, sam_model_registry_baseline
from persam_hq.compat.modeling import Sam
from persam_hq.compat.resize import ResizeLongestSide
from persam_hq.compat.segment_anything import build_sam_baseline, modeling, utils
from persam_hq.compat.segment_anything.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
)
from persam_hq.compat.segment_anything.build_sam_hq import (
    build_sam_hq,
    build_sam_hq_vit_b,
    build_sam_hq_vit_h,
    build_sam_hq_vit_l,
)
from persam_hq.compat.segment_anything.predictor import SamPredictor

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_baseline",
    "build_sam_hq",
    "build_sam_hq_vit_b",
    "build_sam_hq_vit_h",
    "build_sam_hq_vit_l",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "modeling",
    "sam_hq_model_registry",
    "sam_model_registry",
    "sam_model_registry_baseline",
    "utils",
]
