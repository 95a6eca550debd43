"""Segment Anything with the published constructor, and models of this package made callable part by part."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from persam_hq.compat.modeling.image_encoder import ImageEncoderViT, TinyViT
from persam_hq.compat.modeling.mask_decoder import MaskDecoder, MaskDecoderHQ
from persam_hq.compat.modeling.prompt_encoder import PromptEncoder
from persam_hq.modeling import image_encoder, sam, tiny_vit
from persam_hq.transforms import LongestSide

__all__ = ["Sam", "as_published"]


class Sam(sam.Sam):
    """See `persam_hq.modeling.sam`; its parts take the calls of published code too."""

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        pixel_mean: Sequence[float] = (123.675, 116.28, 103.53),
        pixel_std: Sequence[float] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__(
            image_encoder=image_encoder,
            prompt_encoder=prompt_encoder,
            mask_decoder=mask_decoder,
            input_frame=LongestSide(prompt_encoder.input_image_size[0]),
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
        )

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `persam_hq.modeling.sam.Sam.encode_pixels`."""
        # An encoder of somebody's own may give either
        options = {"with_interm": True} if isinstance(self.image_encoder, ImageEncoderViT | TinyViT) else {}
        encoded = self.image_encoder(pixels, **options)
        if isinstance(encoded, Tensor):
            return encoded, ()
        embedding, interm = encoded
        return embedding, tuple(interm)


def as_published(model: sam.Sam, *, returns_interm: bool) -> Sam:
    """The same model with parts that take the calls of published code.

    `returns_interm` says what its image encoder gives: with SAM-HQ's code the interm embeddings too, with Meta's and
    PerSAM's the image embedding alone.
    """
    # Their classes are changed in place: modules around them would change the names of the weights, which scripts load
    model.__class__ = Sam
    model.prompt_encoder.__class__ = PromptEncoder
    model.mask_decoder.__class__ = MaskDecoderHQ if model.has_hq else MaskDecoder
    encoder = model.image_encoder
    if isinstance(encoder, image_encoder.ImageEncoderViT):
        encoder.__class__ = ImageEncoderViT
    elif isinstance(encoder, tiny_vit.TinyViT):
        encoder.__class__ = TinyViT
    if isinstance(encoder, ImageEncoderViT | TinyViT):
        encoder.returns_interm = returns_interm
    assert isinstance(model, Sam)
    return model
