"""Image encoders whose direct calls give what the published ones give: a tensor, or SAM-HQ's interm embeddings too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from persam_hq.compat.modeling.arguments import refuse_others
from persam_hq.modeling import image_encoder, tiny_vit

__all__ = ["Encoded", "ImageEncoderViT", "TinyViT"]

Encoded = Tensor | tuple[Tensor, list[Tensor]]
"""The image embedding alone (Segment Anything, PerSAM, MobileSAM), or with the interm embeddings (SAM-HQ)."""


class ImageEncoderViT(image_encoder.ImageEncoderViT):
    """The plain vision transformer with the published constructor; see `persam_hq.modeling.image_encoder`."""

    returns_interm = False
    """Whether a call gives the interm embeddings too: those of SAM-HQ's code do."""

    def __init__(  # noqa: PLR0917 - the published signature
        self,
        img_size: int = 1024,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        qkv_bias: bool = True,  # noqa: FBT001, FBT002 - as published
        norm_layer: Callable[[int], nn.Module] | None = None,
        act_layer: type[nn.Module] = nn.GELU,
        use_abs_pos: bool = True,  # noqa: FBT001, FBT002 - as published
        use_rel_pos: bool = True,  # noqa: FBT001, FBT002 - as published
        rel_pos_zero_init: bool = True,  # noqa: FBT001, FBT002 - as published
        window_size: int = 14,
        global_attn_indexes: Sequence[int] = (),
    ) -> None:
        del rel_pos_zero_init  # weights are loaded over it
        refuse_others(
            "the image encoder",
            in_chans=(in_chans, 3),
            mlp_ratio=(float(mlp_ratio), 4.0),
            qkv_bias=(qkv_bias, True),
            act_layer=(act_layer, nn.GELU),
            use_abs_pos=(use_abs_pos, True),
            use_rel_pos=(use_rel_pos, True),
            # The published builders pass LayerNorm with this epsilon
            norm_layer_eps=(1e-6 if norm_layer is None else getattr(norm_layer(1), "eps", None), 1e-6),
        )
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            out_chans=out_chans,
            window_size=window_size,
            global_attn_indexes=global_attn_indexes,
        )

    def forward(self, x: Tensor, *, with_interm: bool | None = None) -> Encoded:  # type: ignore[override]  # as published
        """(B, 3, S, S) float to the image embedding (B, C, s, s); `with_interm` None is what the model's code gives."""
        embedding, interm = super().forward(x)
        return (embedding, list(interm)) if _wanted(self.returns_interm, with_interm) else embedding


class TinyViT(tiny_vit.TinyViT):
    """TinyViT of MobileSAM and Light HQ-SAM; see `persam_hq.modeling.tiny_vit`."""

    returns_interm = False
    """As of ImageEncoderViT."""

    def forward(self, x: Tensor, *, with_interm: bool | None = None) -> Encoded:  # type: ignore[override]  # as published
        """See ImageEncoderViT.forward."""
        embedding, interm = super().forward(x)
        return (embedding, list(interm)) if _wanted(self.returns_interm, with_interm) else embedding


def _wanted(usual: bool, asked: bool | None) -> bool:  # noqa: FBT001 - two of a kind
    return usual if asked is None else asked
