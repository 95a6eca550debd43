"""`segment_anything.build_sam_hq`, as packages name it that carry SAM and SAM-HQ side by side."""

from persam_hq.compat.builders import sam_hq_model_registry

__all__ = [
    "build_sam_hq",
    "build_sam_hq_vit_b",
    "build_sam_hq_vit_h",
    "build_sam_hq_vit_l",
    "build_sam_hq_vit_tiny",
    "sam_hq_model_registry",
]

build_sam_hq = build_sam_hq_vit_h = sam_hq_model_registry["vit_h"]
build_sam_hq_vit_l = sam_hq_model_registry["vit_l"]
build_sam_hq_vit_b = sam_hq_model_registry["vit_b"]
build_sam_hq_vit_tiny = sam_hq_model_registry["vit_tiny"]
