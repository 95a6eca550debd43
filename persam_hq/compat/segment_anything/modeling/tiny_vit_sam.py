"""`segment_anything.modeling.tiny_vit_sam` under its published name."""

from persam_hq.compat.modeling import TinyViT

__all__ = ["TinyViT"]
