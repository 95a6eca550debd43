"""`per_segment_anything.modeling.image_encoder` under its published name."""

from persam_hq.compat.modeling import ImageEncoderViT

__all__ = ["ImageEncoderViT"]
