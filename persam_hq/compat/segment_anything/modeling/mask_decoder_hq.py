"""`segment_anything.modeling.mask_decoder_hq` under its published name."""

from persam_hq.compat.modeling import MaskDecoderHQ

__all__ = ["MaskDecoderHQ"]
