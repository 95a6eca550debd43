"""The modules of Segment Anything as published code builds and calls them; numbers are those of `persam_hq.modeling`.

Published code calls the parts of a model by themselves: an image encoder that gives a tensor, a prompt encoder that
takes boxes (B, 1, 4), a mask decoder that gives the masks it selected. These are subclasses of this package's own
modules that take such calls too.
"""

from persam_hq.compat.modeling.image_encoder import ImageEncoderViT, TinyViT
from persam_hq.compat.modeling.mask_decoder import MaskDecoder, MaskDecoderHQ
from persam_hq.compat.modeling.prompt_encoder import PromptEncoder
from persam_hq.compat.modeling.sam import Sam, as_published
from persam_hq.compat.modeling.transformer import TwoWayTransformer

__all__ = [
    "ImageEncoderViT",
    "MaskDecoder",
    "MaskDecoderHQ",
    "PromptEncoder",
    "Sam",
    "TinyViT",
    "TwoWayTransformer",
    "as_published",
]
