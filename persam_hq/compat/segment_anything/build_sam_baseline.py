"""`segment_anything.build_sam_baseline` of SAM-HQ's code: SAM's models without HQ parts."""

from persam_hq.compat.builders import sam_model_registry_baseline

__all__ = ["build_sam", "build_sam_vit_b", "build_sam_vit_h", "build_sam_vit_l", "sam_model_registry_baseline"]

build_sam = build_sam_vit_h = sam_model_registry_baseline["vit_h"]
build_sam_vit_l = sam_model_registry_baseline["vit_l"]
build_sam_vit_b = sam_model_registry_baseline["vit_b"]
