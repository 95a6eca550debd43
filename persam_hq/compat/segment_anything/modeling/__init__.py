"""`segment_anything.modeling` under its published names."""

from persam_hq.compat.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    MaskDecoderHQ,
    PromptEncoder,
    Sam,
    TinyViT,
    TwoWayTransformer,
)

__all__ = ["ImageEncoderViT", "MaskDecoder", "MaskDecoderHQ", "PromptEncoder", "Sam", "TinyViT", "TwoWayTransformer"]
