"""`segment_anything.modeling.mask_decoder` under its published name."""

from persam_hq.compat.modeling import MaskDecoder

__all__ = ["MaskDecoder"]
