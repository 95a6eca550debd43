"""The image encoder of lite: the trunk's features, joined top-down into the embeddings and the matching keys."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch.nn.functional as F
from torch import Tensor, nn

from persam_hq.modeling.common import FusedLayerNorm2d
from persam_hq.modeling.lite.efficientnet import EfficientNetLite


class IntermLevel(IntEnum):
    """The interm embeddings of lite, in the order in which the encoder returns them, each channels-last."""

    FINE = 0
    """Stride 4; the HQ features are fused from it, and it is the mask decoder's last skip."""
    MIDDLE = 1
    """Stride 8; the mask decoder's first skip."""
    KEYS = 2
    """Stride 8; what dense matching compares."""


def interm_map(interm_embeddings: Sequence[Tensor], level: IntermLevel) -> Tensor:
    """One of the interm embeddings as a feature map: (B, h, w, C) to (B, C, h, w)."""
    return interm_embeddings[level].permute(0, 3, 1, 2)


class KeyProjection(nn.Module):
    """The matching keys, at stride 8: learned keys and the trunk's own features, in few channels.

    Every part is brought to unit length per cell, so that each has the same say, and projected linearly. The inner
    product of two outputs stands for the mean of the parts' cosine similarities where the projection is that of
    `persam_hq.training.lite.key_projection`. Keys learned from few videos fit those videos; the trunk has seen
    ImageNet.
    """

    def __init__(self, *, learned_dim: int, trunk_channels: tuple[int, int, int], key_dim: int) -> None:
        super().__init__()
        c4, c16, c32 = trunk_channels
        self.from_learned = nn.Conv2d(learned_dim, key_dim, 1, bias=False)
        self.from4 = nn.Conv2d(c4, key_dim, 1, bias=False)
        self.from16 = nn.Conv2d(c16, key_dim, 1, bias=False)
        self.from32 = nn.Conv2d(c32, key_dim, 1, bias=False)

    def forward(self, learned: Tensor, trunk: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Learned keys (B, K', H/8, W/8) and trunk features at strides 4, 16 and 32 to keys (B, K, H/8, W/8)."""
        own, four, sixteen, thirty_two = self.parts(learned, trunk)
        # Projected before they are enlarged, which is the same and cheaper
        coarse = self.from16(sixteen) + _double(self.from32(thirty_two))
        out: Tensor = self.from_learned(own) + self.from4(four) + _double(coarse)
        return out

    @staticmethod
    def parts(learned: Tensor, trunk: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The parts that are projected: unit length per cell, at strides 8, 8, 16 and 32."""
        four, sixteen, thirty_two = trunk
        pooled = F.avg_pool2d(four, 2)
        own, pooled, sixteen, thirty_two = (F.normalize(t, dim=1) for t in (learned, pooled, sixteen, thirty_two))
        return own, pooled, sixteen, thirty_two


class LiteImageEncoder(nn.Module):
    """Trunk and neck: the image embedding at stride 16, and interm embeddings at strides 4, 8 and 8 (keys).

    The neck goes top-down: stride 32 joins the embedding at 16, that the features at 8, those the features at 4. The
    keys are what dense matching compares.
    """

    def __init__(
        self,
        *,
        trunk: EfficientNetLite,
        trunk_channels: tuple[int, int, int, int],
        embed_dim: int,
        middle_dim: int,
        fine_dim: int,
        learned_dim: int,
        key_dim: int,
    ) -> None:
        super().__init__()
        c4, c8, c16, c32 = trunk_channels
        self.trunk = trunk

        # The image embedding, at stride 16
        self.lateral32 = nn.Conv2d(c32, embed_dim, 1)
        self.lateral16 = nn.Conv2d(c16, embed_dim, 1)
        self.smooth16 = nn.Sequential(
            nn.GELU(), nn.Conv2d(embed_dim, embed_dim, 3, padding=1), FusedLayerNorm2d(embed_dim)
        )

        # Features at stride 8, and the keys made of them and of the trunk
        self.down8 = nn.Conv2d(embed_dim, middle_dim, 1)
        self.lateral8 = nn.Conv2d(c8, middle_dim, 1)
        self.smooth8 = nn.Sequential(
            nn.GELU(), nn.Conv2d(middle_dim, middle_dim, 3, padding=1), FusedLayerNorm2d(middle_dim)
        )
        self.key8 = nn.Conv2d(middle_dim, learned_dim, 1)
        self.key_projection = KeyProjection(learned_dim=learned_dim, trunk_channels=(c4, c16, c32), key_dim=key_dim)

        # Features at stride 4
        self.down4 = nn.Conv2d(middle_dim, fine_dim, 1)
        self.lateral4 = nn.Conv2d(c4, fine_dim, 1)
        self.norm4 = FusedLayerNorm2d(fine_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, H, W), normalised, sides multiples of 32, to embedding and interm embeddings.

        (B, C, H/16, W/16), and channels-last (B, H/4, W/4, fine), (B, H/8, W/8, middle), (B, H/8, W/8, key).
        """
        # Top-down, each level with a residual that smooths it
        t4, t8, t16, t32 = self.trunk(x)
        p16 = self.lateral16(t16) + _double(self.lateral32(t32))
        embedding = p16 + self.smooth16(p16)
        p8 = self.lateral8(t8) + _double(self.down8(embedding))
        middle = p8 + self.smooth8(p8)
        fine = self.norm4(self.lateral4(t4) + _double(self.down4(middle)))

        # Channels-last, as SAM's interm embeddings are
        levels = {
            IntermLevel.FINE: fine,
            IntermLevel.MIDDLE: middle,
            IntermLevel.KEYS: self.key_projection(self.key8(middle), (t4, t16, t32)),
        }
        return embedding, tuple(levels[level].permute(0, 2, 3, 1) for level in IntermLevel)


def _double(x: Tensor) -> Tensor:
    """(B, C, H, W) at twice the size, bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
